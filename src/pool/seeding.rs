//! Seeds and listings in slices: a million ids must not hold up the pools that they do not concern.
//!
//! A pool that is being seeded serves no waiter until all its ids are members. Its leases end and its waiters
//! may withdraw, but no waiter is served or timed out. So new members become lendable all at once, in the
//! promised order. Then the pool serves again, while its changes are noted for the journal and its members
//! are reported. One seed is applied at a time: the caller keeps back commands about such a pool, commands
//! that change the members of the current pool, and other seeds.

use super::lending::Pool;
use super::membership::MembershipUpdate;
use super::resources::{ResourceKey, SeedOrder};
use super::{Engine, EngineState, PoolKey};
use crate::command::{IdList, PoolName, Refusal, Seed};
use crate::time::Time;

/// The work that a step may do. The unit: reporting one id costs 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepBudget(pub usize);

impl StepBudget {
    /// No limit: all work in one step.
    pub const UNLIMITED: StepBudget = StepBudget(usize::MAX);
    /// The smallest budget that makes progress.
    pub const MIN: StepBudget = StepBudget(1);
    /// The cost of adding or dropping a member.
    pub(super) const MEMBER_COST: usize = 5;
    /// The cost of noting the row of an id.
    const NOTE_COST: usize = 10;
    /// The cost of beginning a pool, which may have to be created.
    pub(super) const POOL_COST: usize = 35;

    /// The number of steps of this cost that fit, at least 1.
    pub(super) fn count(self, each: usize) -> usize {
        self.0.div_ceil(each).max(1)
    }

    pub(super) fn spend(&mut self, count: usize, each: usize) {
        self.0 = self.0.saturating_sub(count.saturating_mul(each));
    }
}

/// The effect of a seed on the pools that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeedKind {
    /// Adds members.
    #[default]
    Adds,
    /// Replaces the members.
    Sets,
}

/// The state of applying a seed, pool by pool.
#[derive(Debug, Default)]
pub struct Seeding {
    kind: SeedKind,
    seed: Seed,
    /// The index of the current pool in the seed.
    place: usize,
    step: SeedStep,
    /// The members of each pool once it was complete; `None` if they are not requested.
    members_now: Option<Seed>,
    /// The order of the current pool's ids, if it was begun before a crash.
    order: Option<SeedOrder>,
}

/// The next step for the current pool.
#[derive(Debug, Default)]
enum SeedStep {
    #[default]
    Begin,
    /// Adds its ids from this index on.
    AddMembers(usize, MembershipUpdate),
    /// Drops the members that the seed does not name.
    Drop(MembershipUpdate),
    /// Notes its changed rows. Its waiters are served again.
    Note(MembershipUpdate),
    /// Reports its members.
    List(Listing),
}

impl Seeding {
    /// Begins a seed.
    pub fn new(kind: SeedKind, seed: Seed) -> Seeding {
        Seeding {
            kind,
            seed,
            ..Seeding::default()
        }
    }

    /// Continues a seed that was applied in part: the first `place` pools are done, and some ids of the next
    /// may have been added in this order.
    pub fn resume(kind: SeedKind, seed: Seed, place: usize, order: Option<SeedOrder>) -> Seeding {
        Seeding {
            place,
            order,
            ..Seeding::new(kind, seed)
        }
    }

    /// Requests the members of each pool; those of the pools done so far are `before`.
    pub fn with_members_now(mut self, before: Seed) -> Seeding {
        self.members_now = Some(before);
        self
    }

    /// The seed to apply.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The effect of the seed.
    pub fn kind(&self) -> SeedKind {
        self.kind
    }

    fn is_begun(&self) -> bool {
        self.place > 0 || self.order.is_some() || !matches!(self.step, SeedStep::Begin)
    }

    /// The number of pools that are done.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Returns true if all pools are done.
    pub fn is_done(&self) -> bool {
        self.place == self.seed.pool_count()
    }

    /// The pool that is begun and not done, and true while it lacks some of its members.
    pub fn current_pool(&self) -> Option<(PoolName<'_>, bool)> {
        let is_seeding = match self.step {
            SeedStep::Begin => return None,
            SeedStep::AddMembers(..) | SeedStep::Drop(_) => true,
            SeedStep::Note(_) | SeedStep::List(_) => false,
        };
        Some((self.seed.pool(self.place).0, is_seeding))
    }

    /// The order of the current pool's ids, until all its rows are noted.
    pub fn order(&self) -> Option<SeedOrder> {
        match &self.step {
            SeedStep::AddMembers(_, update) | SeedStep::Drop(update) | SeedStep::Note(update) => {
                Some(update.order)
            }
            SeedStep::Begin | SeedStep::List(_) => None,
        }
    }

    /// Takes the members of each pool once it was complete.
    pub fn take_members_now(&mut self) -> Seed {
        self.members_now.take().unwrap_or_default()
    }
}

/// The progress of listing a pool's members.
#[derive(Debug, Default)]
pub struct Listing {
    /// The next member to report; `None` before the first and after the last.
    next: Option<ResourceKey>,
    is_begun: bool,
}

/// The reported state of a pool that is incomplete.
#[derive(Debug)]
pub(super) struct SeedingPool {
    pub(super) pool: PoolKey,
    /// The number of its members before the seed; `None` if it is new.
    pub(super) member_count: Option<usize>,
}

impl Engine {
    /// Returns true if a seed costs more than this budget, with the report of its members.
    pub fn seed_exceeds(&self, budget: StepBudget, seed: &Seed) -> bool {
        let pools = seed.pool_count().saturating_mul(StepBudget::POOL_COST);
        let ids = seed.id_count().saturating_mul(StepBudget::MEMBER_COST + 1);
        let least = pools.saturating_add(ids);
        if least > budget.0 {
            return true;
        }
        let known = seed.pools().filter_map(|(name, _)| self.find(&name));
        let members: usize = known
            .map(|key| self.pools[key].resources.member_count())
            .sum();
        least + members > budget.0
    }

    /// Returns true if listing a pool costs more than this budget.
    pub fn listing_exceeds(&self, budget: StepBudget, name: &PoolName<'_>) -> bool {
        let key = self.find(name);
        key.is_some_and(|key| self.pools[key].resources.member_count() > budget.0)
    }

    /// Spends a budget on a seed. It may exceed the budget a little: a step that is begun is finished. Panics
    /// if another seed has an incomplete pool.
    pub fn advance_seed(&mut self, seeding: &mut Seeding, mut budget: StepBudget, now: Time) {
        self.catch_up(now);
        if !seeding.is_begun() {
            self.reserve_for(seeding.seed());
        }
        while budget > StepBudget(0) && !seeding.is_done() {
            self.seed_step(seeding, &mut budget, now);
        }
        #[cfg(debug_assertions)]
        self.check();
    }

    fn seed_step(&mut self, seeding: &mut Seeding, budget: &mut StepBudget, now: Time) {
        let (name, ids) = seeding.seed.pool(seeding.place);
        seeding.step = match std::mem::take(&mut seeding.step) {
            SeedStep::Begin => {
                budget.spend(1, StepBudget::POOL_COST);
                let order = self.begin_pool(&name, ids.len(), seeding.order.take());
                let sets = seeding.kind == SeedKind::Sets;
                SeedStep::AddMembers(0, MembershipUpdate::new(order, sets))
            }
            SeedStep::AddMembers(from, mut update) => {
                let to = ids
                    .len()
                    .min(from.saturating_add(budget.count(StepBudget::MEMBER_COST)));
                budget.spend(to - from, StepBudget::MEMBER_COST);
                let (pool, state) = self.seeding_pool();
                pool.add_members(ids.slice(from..to), from, &mut update, state);
                match update.sets {
                    _ if to < ids.len() => SeedStep::AddMembers(to, update),
                    true => SeedStep::Drop(update),
                    false => self.complete_pool(update, now),
                }
            }
            SeedStep::Drop(mut update) => {
                let most = budget.count(StepBudget::MEMBER_COST);
                let (pool, state) = self.seeding_pool();
                let count = pool.drop_members(most, &mut update, state);
                budget.spend(count, StepBudget::MEMBER_COST);
                if count < most {
                    pool.dismiss_unsatisfiable(state);
                    self.complete_pool(update, now)
                } else {
                    SeedStep::Drop(update)
                }
            }
            SeedStep::Note(mut update) => {
                let pool = &self.pools[self.current(&name)];
                let mut is_done = false;
                while *budget > StepBudget(0) && !is_done {
                    match update.changed_ids.pop() {
                        Some(id) => pool.note_changed(id, &mut self.state),
                        None => is_done = true,
                    }
                    budget.spend(1, StepBudget::NOTE_COST);
                }
                match is_done {
                    true => SeedStep::List(Listing::default()),
                    false => SeedStep::Note(update),
                }
            }
            SeedStep::List(mut listing) => {
                let is_done = seeding.members_now.as_mut().is_none_or(|members_now| {
                    if !listing.is_begun {
                        members_now.add_pool(&name);
                    }
                    let tell = |id: &str| members_now.add_stored_id(id);
                    self.list_some(self.current(&name), &mut listing, budget, tell)
                });
                if is_done {
                    seeding.place += 1;
                    SeedStep::Begin
                } else {
                    SeedStep::List(listing)
                }
            }
        };
    }

    fn current(&self, name: &PoolName<'_>) -> PoolKey {
        self.find(name).expect("the current pool is not removed")
    }

    /// Begins a pool, which is created if it is missing: no waiter in it is served from now on. Returns the
    /// order of its ids.
    fn begin_pool(
        &mut self,
        name: &PoolName<'_>,
        count: usize,
        order: Option<SeedOrder>,
    ) -> SeedOrder {
        let known = self.find(name);
        let pool = known.unwrap_or_else(|| self.create(name));
        let member_count = known.map(|key| self.pools[key].resources.member_count());
        let resources = &mut self.state.resources;
        let order = match order {
            None => resources.allocate_order(count),
            Some(order) => {
                resources.claim_order(order, count);
                order
            }
        };
        let before = self
            .state
            .seeding_pool
            .replace(SeedingPool { pool, member_count });
        assert!(before.is_none(), "one seed is applied at a time");
        order
    }

    fn seeding_pool(&mut self) -> (&mut Pool, &mut EngineState) {
        let seeding = self.state.seeding_pool.as_ref();
        let key = seeding
            .expect("a pool is begun before it is worked on")
            .pool;
        (&mut self.pools[key], &mut self.state)
    }

    /// Completes the pool that is being seeded: all waiters that can be served are.
    fn complete_pool(&mut self, mut update: MembershipUpdate, now: Time) -> SeedStep {
        update.changed_ids.finish();
        let (pool, state) = self.seeding_pool();
        state.seeding_pool = None;
        pool.serve_all(now, state);
        SeedStep::Note(update)
    }

    /// Spends a budget on a listing. Returns `None` if there is more to do. The pool's members must not
    /// change before it is done: that panics.
    pub fn advance_listing(
        &self,
        name: &PoolName<'_>,
        listing: &mut Listing,
        ids: &mut IdList,
        mut budget: StepBudget,
    ) -> Option<Result<(), Refusal>> {
        let Some(key) = self.find(name) else {
            return Some(Err(Refusal::NoPool));
        };
        let is_done = self.list_some(key, listing, &mut budget, |id| ids.push_stored(id));
        is_done.then_some(Ok(()))
    }

    /// Reports further members of a pool. Returns true if none are left.
    fn list_some(
        &self,
        key: PoolKey,
        listing: &mut Listing,
        budget: &mut StepBudget,
        mut tell: impl FnMut(&str),
    ) -> bool {
        let resources = &self.state.resources;
        if !listing.is_begun {
            listing.next = self.pools[key].resources.first_member();
            listing.is_begun = true;
        }
        let mut members = resources.members_from(listing.next);
        while *budget > StepBudget(0)
            && let Some(member) = members.next()
        {
            let resource = resources.get(member);
            assert!(
                resource.pool == key && resource.is_member(),
                "the members of a pool do not change while they are listed"
            );
            tell(&resource.id);
            budget.spend(1, 1);
        }
        listing.next = members.next();
        listing.next.is_none()
    }
}
