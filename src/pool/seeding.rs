//! Seeds and listings that are carried out in slices: a million ids are not to hold up the pools that
//! they do not concern.
//!
//! A pool that is begun serves no waiter until all its ids are members: its leases end, and whoever waits may
//! hang up, but nobody is served, nor told that his time is over. So new members become lendable all
//! at once, in the order that is promised. Then it serves again, while what has changed is noted for
//! the journal, and its members are told. One seed is applied at a time: whoever hands over commands
//! sees to it that none is about such a pool, that none changes the members of a pool that is at
//! hand, and that none is another seed.

use super::lending::Pool;
use super::membership::MembershipUpdate;
use super::resources::{ResourceKey, SeedOrder};
use super::{Engine, EngineState, PoolKey};
use crate::command::{IdList, PoolName, Refusal, Seed};
use crate::time::Time;

/// How much work a step may do: to tell an id costs 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepBudget(pub usize);

impl StepBudget {
    /// Everything in one step.
    pub const UNLIMITED: StepBudget = StepBudget(usize::MAX);
    /// The least that makes progress.
    pub const MIN: StepBudget = StepBudget(1);
    /// To add a member, or to drop a member.
    pub(super) const MEMBER_COST: usize = 5;
    /// To note for the journal what became of an id.
    const NOTE_COST: usize = 10;
    /// To begin with a pool, which may have to be created.
    pub(super) const POOL_COST: usize = 35;

    /// How many things of this size fit, one at least.
    pub(super) fn count(self, each: usize) -> usize {
        self.0.div_ceil(each).max(1)
    }

    pub(super) fn spend(&mut self, count: usize, each: usize) {
        self.0 = self.0.saturating_sub(count.saturating_mul(each));
    }
}

/// What a seed does to the pools that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeedKind {
    /// Adds members.
    #[default]
    Adds,
    /// Sets the members.
    Sets,
}

/// A seed that is being applied, pool by pool.
#[derive(Debug, Default)]
pub struct Seeding {
    kind: SeedKind,
    seed: Seed,
    /// The place in the seed of the current pool.
    place: usize,
    step: SeedStep,
    /// What the members of each pool were once it was complete; `None` if nobody wants to know.
    members_now: Option<Seed>,
    /// Of the current pool, if it was begun before a crash.
    order: Option<SeedOrder>,
}

/// What is to be done next for the current pool.
#[derive(Debug, Default)]
enum SeedStep {
    #[default]
    Begin,
    /// Its ids from this place on are to be added.
    AddMembers(usize, MembershipUpdate),
    /// Members that were not named are dropped.
    Drop(MembershipUpdate),
    /// Its waiters are served again; what has changed is noted.
    Note(MembershipUpdate),
    /// Its members are told.
    List(Listing),
}

impl Seeding {
    /// A seed that is to be applied.
    pub fn new(kind: SeedKind, seed: Seed) -> Seeding {
        Seeding {
            kind,
            seed,
            ..Seeding::default()
        }
    }

    /// A seed that was applied in part: so many pools are done with, and of the next one perhaps some
    /// ids are added, in this order.
    pub fn resume(kind: SeedKind, seed: Seed, place: usize, order: Option<SeedOrder>) -> Seeding {
        Seeding {
            place,
            order,
            ..Seeding::new(kind, seed)
        }
    }

    /// The members of each pool are wanted, too; those of the pools before are these.
    pub fn with_members_now(mut self, before: Seed) -> Seeding {
        self.members_now = Some(before);
        self
    }

    /// What is applied.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// What it does.
    pub fn kind(&self) -> SeedKind {
        self.kind
    }

    fn is_begun(&self) -> bool {
        self.place > 0 || self.order.is_some() || !matches!(self.step, SeedStep::Begin)
    }

    /// How many pools are done with.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Whether nothing is left to be done.
    pub fn is_done(&self) -> bool {
        self.place == self.seed.pool_count()
    }

    /// The pool that is begun and not done with, and whether it is still without some of its members.
    pub fn current_pool(&self) -> Option<(PoolName<'_>, bool)> {
        let is_seeding = match self.step {
            SeedStep::Begin => return None,
            SeedStep::AddMembers(..) | SeedStep::Drop(_) => true,
            SeedStep::Note(_) | SeedStep::List(_) => false,
        };
        Some((self.seed.pool(self.place).0, is_seeding))
    }

    /// The order of the ids of the current pool, if nothing of it is noted yet, or not all.
    pub fn order(&self) -> Option<SeedOrder> {
        match &self.step {
            SeedStep::AddMembers(_, update) | SeedStep::Drop(update) | SeedStep::Note(update) => {
                Some(update.order)
            }
            SeedStep::Begin | SeedStep::List(_) => None,
        }
    }

    /// What the members of each pool were once it was complete.
    pub fn take_members_now(&mut self) -> Seed {
        self.members_now.take().unwrap_or_default()
    }
}

/// How far a listing of a pool's members has come.
#[derive(Debug, Default)]
pub struct Listing {
    /// The next one to be told; `None` before the first.
    next: Option<ResourceKey>,
    is_begun: bool,
}

/// A pool that is begun and not complete, as others are told of it.
#[derive(Debug)]
pub(super) struct SeedingPool {
    pub(super) pool: PoolKey,
    /// How many members it had before; `None` if it is new.
    pub(super) member_count: Option<usize>,
}

impl Engine {
    /// Whether a seed costs more than this budget, with what is to be told of it.
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

    /// Whether the listing of a pool costs more than this budget.
    pub fn listing_exceeds(&self, budget: StepBudget, name: &PoolName<'_>) -> bool {
        let key = self.find(name);
        key.is_some_and(|key| self.pools[key].resources.member_count() > budget.0)
    }

    /// Spends a budget on a seed. It may be a little more: what is begun for a single id is ended.
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

    /// Nobody is served in this pool any more, which is created if it is missing. Returns the order
    /// for so many ids.
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

    /// All ids of the pool that is being seeded are members: whoever can be served is.
    fn complete_pool(&mut self, mut update: MembershipUpdate, now: Time) -> SeedStep {
        update.changed_ids.finish();
        let (pool, state) = self.seeding_pool();
        state.seeding_pool = None;
        pool.serve_all(now, state);
        SeedStep::Note(update)
    }

    /// Spends a budget on a listing. None if there is more to do.
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

    /// Tells further members of a pool. True if there are no more.
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
