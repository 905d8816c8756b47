//! Dumps of pools, each as it is at one moment.
//!
//! A small pool is dumped at once. A large one is read in slices while commands go on. The last slice adds the
//! changes since the first: later grants have higher fences, and later releases higher ranks, so both are at the
//! end of their chains. The members must not change meanwhile.

use std::collections::BTreeMap;

use super::resources::{Holder, ResourceKey};
use super::{Engine, EngineState, GrantKey, PoolKey, StepBudget};
use crate::command::{DumpPart, DumpPlace, DumpedLock, Fence, PoolDump, PoolName};
use crate::time::Time;

/// The most members and locks in one part of a dump, in small pools.
const PART: StepBudget = StepBudget(20_000);

/// A large pool that is being dumped.
#[derive(Debug)]
pub struct Dumping {
    pool: PoolKey,
    stage: DumpStage,
    /// The pool's fence at the first slice: later grants have higher ones.
    first_fence: Fence,
    /// The highest rank at the first slice: resources released later have higher ones.
    first_rank: i64,
    /// The members that were read, in seeding order.
    seen: Vec<DumpedMember>,
    /// Held resources that are no longer members.
    leaving: Vec<(ResourceKey, Fence)>,
    dump: PoolDump,
    /// The place in the dump after this pool.
    next: DumpPlace,
}

/// The part of a large pool to read next.
#[derive(Debug)]
enum DumpStage {
    Begin,
    /// The members from this one on.
    Members(ResourceKey),
    /// Grants of all pools from this slot on, to find held resources that are no longer members.
    Grants(usize),
}

/// A member in the state in which it was read.
#[derive(Debug)]
struct DumpedMember {
    seed_index: u64,
    rank: i64,
    /// The fence of its grant; `None` if it was free.
    fence: Option<Fence>,
}

impl Engine {
    /// Returns true if the next pool of a dump has more members and locks than the budget.
    pub fn dump_exceeds(&self, budget: StepBudget, place: &DumpPlace) -> bool {
        let next = self.pool_in_dump(place);
        next.is_some_and(|(key, _)| self.pool_size(key) > budget.0)
    }

    /// Dumps small pools from this place on, up to the next large one. It dumps at least one pool, unless none is
    /// left.
    pub(super) fn dump_pools(&self, mut place: DumpPlace, now: Time) -> DumpPart {
        let mut pools = Vec::new();
        let mut left = PART;
        while let Some((key, next)) = self.pool_in_dump(&place) {
            let size = self.pool_size(key);
            if !pools.is_empty() && size > left.0 {
                break;
            }
            left.spend(size, 1);
            left.spend(1, StepBudget::POOL_COST);
            pools.push(self.dump_pool(key, now));
            place = next;
        }
        self.dump_part(pools, place)
    }

    /// Begins the dump of the large pool at this place. `None` if no pool is left.
    pub fn begin_dumping(&self, place: &DumpPlace) -> Option<Dumping> {
        let (pool, next) = self.pool_in_dump(place)?;
        let dump = PoolDump {
            name: self.pools[pool].name.clone(),
            ..PoolDump::default()
        };
        Some(Dumping {
            pool,
            stage: DumpStage::Begin,
            first_fence: Fence::default(),
            first_rank: 0,
            seen: Vec::new(),
            leaving: Vec::new(),
            dump,
            next,
        })
    }

    /// Dumps a slice of a large pool. Returns `None` if there is more to do. The pool's members must not change
    /// before it is done: that panics.
    pub fn advance_dump(
        &self,
        dumping: &mut Dumping,
        mut budget: StepBudget,
        now: Time,
    ) -> Option<DumpPart> {
        while budget > StepBudget(0) {
            if self.dump_step(dumping, &mut budget, now) {
                self.add_changes(dumping, now);
                let dump = std::mem::take(&mut dumping.dump);
                return Some(self.dump_part(vec![dump], std::mem::take(&mut dumping.next)));
            }
        }
        None
    }

    fn dump_part(&self, pools: Vec<PoolDump>, next: DumpPlace) -> DumpPart {
        DumpPart {
            pools,
            next: self.pool_in_dump(&next).is_some().then_some(next),
            retired_fence: self.retired_fence,
        }
    }

    /// The next pool of a dump, and the place after it.
    fn pool_in_dump(&self, place: &DumpPlace) -> Option<(PoolKey, DumpPlace)> {
        let (slot, end) = match place {
            DumpPlace::Start => (0, self.next_number.0),
            DumpPlace::Slot { slot, end } => (*slot, *end),
            DumpPlace::Names(_) => panic!("names are another store's"),
        };
        let mut pools = self.pools.iter_from(slot);
        let (key, _) = pools.find(|(_, pool)| pool.number.0 < end)?;
        let slot = key.slot() + 1;
        Some((key, DumpPlace::Slot { slot, end }))
    }

    fn pool_size(&self, key: PoolKey) -> usize {
        let pool = &self.pools[key];
        pool.resources.member_count() + pool.held_count as usize
    }

    fn dump_pool(&self, key: PoolKey, now: Time) -> PoolDump {
        let (pool, state) = (&self.pools[key], &self.state);
        let mut dump = PoolDump {
            name: pool.name.clone(),
            fence: pool.fence,
            ..PoolDump::default()
        };
        let members = state.resources.members_from(pool.resources.first_member());
        for (place, member) in (0..).zip(members) {
            let resource = state.resources.get(member);
            dump.members.push_stored(&resource.id);
            if !matches!(resource.holder(), Holder::Grant(_)) {
                dump.free.insert(resource.rank, place);
            }
        }
        for grant in state.grants.of_pool(&pool.grants) {
            state.dump_grant(grant, now, &mut dump.locks);
        }
        dump
    }

    /// Reads a step of a large pool. Returns true once all was read.
    fn dump_step(&self, dumping: &mut Dumping, budget: &mut StepBudget, now: Time) -> bool {
        let (pool, resources) = (&self.pools[dumping.pool], &self.state.resources);
        match dumping.stage {
            DumpStage::Begin => {
                dumping.first_fence = pool.fence;
                dumping.first_rank = resources.highest_rank();
                dumping.seen.reserve(pool.resources.member_count());
                dumping.stage = match pool.resources.first_member() {
                    Some(first) => DumpStage::Members(first),
                    None => DumpStage::Grants(0),
                };
            }
            DumpStage::Members(member) => {
                self.dump_member(dumping, member, now);
                budget.spend(1, 2);
                dumping.stage = match resources.next_member(member) {
                    Some(next) => DumpStage::Members(next),
                    None => DumpStage::Grants(0),
                };
            }
            DumpStage::Grants(slot) => {
                let Some((grant, of)) = self.state.grants.next_from(slot) else {
                    return true;
                };
                budget.spend(1, 1);
                if of == dumping.pool {
                    let lent = self.state.lent_by(grant);
                    let leaving = lent.filter(|&key| !resources.get(key).is_member());
                    let fence = self.state.grants.get(grant).fence;
                    dumping.leaving.extend(leaving.map(|key| (key, fence)));
                }
                dumping.stage = DumpStage::Grants(grant.slot() + 1);
            }
        }
        false
    }

    fn dump_member(&self, dumping: &mut Dumping, member: ResourceKey, now: Time) {
        let resource = self.state.resources.get(member);
        let seed_index = resource
            .seed_index()
            .expect("the members of a pool do not change while it is dumped");
        let place = dumping.seen.len() as u32;
        dumping.dump.members.push_stored(&resource.id);
        let grant = self.state.grant_of(member);
        dumping.seen.push(DumpedMember {
            seed_index,
            rank: resource.rank,
            fence: grant.map(|grant| self.state.grants.get(grant).fence),
        });
        match grant {
            None => {
                dumping.dump.free.insert(resource.rank, place);
            }
            Some(grant) => self
                .state
                .dump_lock(grant, member, now, &mut dumping.dump.locks),
        }
    }

    /// Adds the changes since the first slice, in one step.
    fn add_changes(&self, dumping: &mut Dumping, now: Time) {
        let (pool, state) = (&self.pools[dumping.pool], &self.state);
        dumping.dump.fence = pool.fence;
        let (since_fence, since_rank) = (dumping.first_fence, dumping.first_rank);
        let given_back = state.resources.free_from_last(&pool.resources);
        for key in given_back.take_while(|&key| state.resources.get(key).rank > since_rank) {
            if let Some(place) = dumping.forget(key, state) {
                let rank = state.resources.get(key).rank;
                dumping.dump.free.insert(rank, place);
            }
        }
        let lent = state.grants.of_pool_from_last(&pool.grants);
        for grant in lent.take_while(|&grant| state.grants.get(grant).fence > since_fence) {
            for key in state.lent_by(grant) {
                dumping.forget(key, state);
            }
            state.dump_grant(grant, now, &mut dumping.dump.locks);
        }
        for (key, fence) in std::mem::take(&mut dumping.leaving) {
            // It may have been released since, and another resource may have its key.
            let holder = state
                .resources
                .try_get(key)
                .filter(|one| one.pool == dumping.pool);
            let grant = holder.and_then(|one| match one.holder() {
                Holder::Grant(grant) if !one.is_member() => Some(grant),
                _ => None,
            });
            if let Some(grant) = grant.filter(|&grant| state.grants.get(grant).fence == fence) {
                state.dump_lock(grant, key, now, &mut dumping.dump.locks);
            }
        }
    }
}

impl Dumping {
    /// The pool that is being dumped.
    pub fn pool(&self) -> PoolName<'_> {
        PoolName::parse_stored(&*self.dump.name).expect("a pool has a good name")
    }

    /// Removes a member that has changed since it was read from the dump. Returns its index in the dump.
    fn forget(&mut self, key: ResourceKey, state: &EngineState) -> Option<u32> {
        let seed_index = state.resources.get(key).seed_index()?;
        let place = self
            .seen
            .binary_search_by_key(&seed_index, |seen| seen.seed_index)
            .ok()?;
        let DumpedMember { rank, fence, .. } = self.seen[place];
        match fence {
            None => {
                self.dump.free.remove(&rank);
            }
            Some(fence) => {
                self.dump.locks.remove(&(fence, rank));
            }
        }
        Some(place as u32)
    }
}

impl EngineState {
    fn lent_by(&self, grant: GrantKey) -> impl Iterator<Item = ResourceKey> + '_ {
        self.resources.lent(&self.grants.get(grant).resources)
    }

    fn dump_grant(
        &self,
        grant: GrantKey,
        now: Time,
        locks: &mut BTreeMap<(Fence, i64), DumpedLock>,
    ) {
        for key in self.lent_by(grant) {
            self.dump_lock(grant, key, now, locks);
        }
    }

    fn dump_lock(
        &self,
        grant: GrantKey,
        key: ResourceKey,
        now: Time,
        locks: &mut BTreeMap<(Fence, i64), DumpedLock>,
    ) {
        let lease = self.lease(grant, key, now);
        let lock = DumpedLock {
            id: lease.id,
            lease: self.grants.get(grant).ttl,
            ttl_s: lease.ttl_s,
            owner: lease.owner,
            age_s: lease.age_s,
        };
        locks.insert((lease.fence, self.resources.get(key).rank), lock);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::command::{
        Acquire, Command, ReleaseCondition, ResourceId, Seed, Selection, Ticket, Ttl,
    };
    use crate::pool::Rules;

    const NOW: Time = Time::from_ms(1_000_000);

    fn ask(engine: &mut Engine, command: Command<'_>) {
        engine.execute(Ticket::new(0, 0), command, NOW);
    }

    fn seed(name: &str, ids: std::ops::Range<u32>) -> Seed {
        let mut seed = Seed::default();
        seed.add_pool(&PoolName::parse(name).expect("a good name"));
        for id in ids {
            seed.add_id(&ResourceId::parse(id.to_string()).expect("a good id"));
        }
        seed
    }

    fn change(engine: &mut Engine, random: &mut fastrand::Rng) {
        let pool = PoolName::parse("A").expect("a good name");
        let id = ResourceId::parse(random.u32(0..30).to_string()).expect("a good id");
        let command = match random.u32(0..3) {
            0 => Command::Release(pool, id, ReleaseCondition::default()),
            kind => {
                let count = NonZeroU32::new(random.u32(1..4)).expect("it is not 0");
                let wanted = if kind == 1 {
                    Selection::Any(count)
                } else {
                    Selection::Named(id)
                };
                let acquire = Acquire {
                    selection: wanted,
                    owner: None,
                    ttl: Ttl::from_s(60),
                    wait_ms: 0,
                    may_queue: true,
                };
                Command::Acquire(pool, acquire)
            }
        };
        ask(engine, command);
    }

    /// A dump in slices equals the pool at the last slice, whatever is lent and released in between.
    #[test]
    fn a_large_pool_is_dumped_as_it_is_at_the_end() {
        let mut random = fastrand::Rng::with_seed(15);
        for _ in 0..300 {
            let mut engine = Engine::new(Rules::default());
            ask(&mut engine, Command::AddMembers(seed("B", 0..3)));
            ask(&mut engine, Command::AddMembers(seed("A", 0..30)));
            (0..random.u32(0..40)).for_each(|_| change(&mut engine, &mut random));
            // The held ones among these are no longer members.
            ask(&mut engine, Command::SetMembers(seed("A", 5..30)));
            let place = DumpPlace::Slot { slot: 1, end: 2 };
            let mut dumping = engine.begin_dumping(&place).expect("there is a pool");
            assert_eq!(dumping.pool().as_str(), "A");
            let part = loop {
                if let Some(part) = engine.advance_dump(&mut dumping, StepBudget(3), NOW) {
                    break part;
                }
                (0..random.u32(0..3)).for_each(|_| change(&mut engine, &mut random));
            };
            assert_eq!(part, engine.dump_pools(place, NOW));
            assert_eq!(part.next, None);
        }
    }
}
