//! Views of pools: members, locks, queue and state; and the check of their consistency.

use std::collections::BinaryHeap;

use smallvec::smallvec;

use super::lending::Pool;
use super::queue::StoredSelection;
use super::{Engine, EngineState, GrantKey, PoolKey, PoolNumber};
use crate::command::{
    IdList, Leases, NamePart, PoolQuery, PoolStatus, PoolSums, QueuedWaiter, Refusal, Survey,
};
use crate::time::Time;

impl Engine {
    /// Lists pools by name. It visits each pool once, and sorts no more than the limit.
    pub(super) fn list(&self, query: &PoolQuery<'_>) -> Vec<PoolStatus> {
        let mut first: BinaryHeap<(&str, PoolKey)> = BinaryHeap::new();
        for (key, pool) in self.pools.iter() {
            let name = &*pool.name;
            let is_wanted = query.includes(name) && pool.resources_told(&self.state).is_some();
            if is_wanted && first.len() < query.max_pools() {
                first.push((name, key));
            } else if is_wanted && first.peek().is_some_and(|&(last, _)| name < last) {
                first.pop();
                first.push((name, key));
            }
        }
        let mut first = first.into_vec();
        first.sort_unstable();
        first
            .into_iter()
            .filter_map(|(_, key)| self.pools[key].status(&self.state))
            .collect()
    }

    /// Adds up pools. It visits each pool once.
    pub(super) fn sum(&self, contains: Option<&NamePart<'_>>) -> PoolSums {
        let pools = self.pools.iter().map(|(_, pool)| pool);
        let wanted = pools.filter(|pool| NamePart::occurs(contains, &pool.name));
        let mut sums = PoolSums::default();
        wanted
            .filter_map(|pool| pool.status(&self.state))
            .for_each(|status| sums.add(&status));
        sums
    }

    /// Adds up all pools, and shows the oldest: these stay the same, even over a restart, until one
    /// of them is removed. It visits each pool once.
    pub(super) fn survey(&self, shown: usize) -> Survey {
        let pool_count = self.pools.len();
        let mut first: BinaryHeap<(PoolNumber, PoolKey)> = BinaryHeap::new();
        let mut others = PoolStatus {
            name: "".into(),
            resources: 0,
            held: 0,
            free: 0,
            waiting: 0,
            role: None,
        };
        for (key, pool) in self.pools.iter() {
            let last = first.peek().map(|&(number, _)| number);
            let mut other = pool;
            if first.len() < shown {
                first.push((pool.number, key));
                continue;
            } else if last.is_some_and(|last| pool.number < last) {
                first.push((pool.number, key));
                other = first.pop().map_or(pool, |(_, key)| &self.pools[key]);
            }
            other.add_to(&mut others, &self.state);
        }
        let first = first.into_sorted_vec().into_iter();
        Survey {
            pool_count,
            shown: first
                .filter_map(|(_, key)| self.pools[key].status(&self.state))
                .collect(),
            others: (pool_count > shown).then_some(others),
        }
    }
}

impl Pool {
    pub(super) fn members(&self, state: &EngineState) -> IdList {
        let resources = &state.resources;
        let mut ids = IdList::default();
        resources
            .members_from(self.resources.first_member())
            .for_each(|key| ids.push_stored(&resources.get(key).id));
        ids
    }

    pub(super) fn locks(&self, now: Time, state: &EngineState) -> Leases {
        let grants = state.grants.of_pool(&self.grants);
        grants
            .filter(|&grant| !state.is_over(grant, now))
            .flat_map(|grant| state.leases_of(grant, now))
            .collect()
    }

    pub(super) fn lock_of(
        &self,
        id: &str,
        now: Time,
        state: &EngineState,
    ) -> Result<Leases, Refusal> {
        let key = state.resources.find(self.key, id);
        let key = key.ok_or(Refusal::NoResource)?;
        let grant = state.grant_of(key).ok_or(Refusal::NotHeld)?;
        if state.is_over(grant, now) {
            // A resource that is no longer a member vanishes with its lease.
            return Err(match state.resources.get(key).is_member() {
                true => Refusal::NotHeld,
                false => Refusal::NoResource,
            });
        }
        Ok(smallvec![state.lease(grant, key, now)])
    }

    /// Lists its waiters, from the front of the queue.
    pub(super) fn waiters(&self, now: Time, state: &EngineState) -> Vec<QueuedWaiter> {
        let waiters = self.queue.all().into_iter();
        waiters
            .map(|key| {
                let waiter = state.waiters.get(key);
                let count = self.count_of(&waiter.selection);
                let id = match &waiter.selection {
                    StoredSelection::Named(id) => Some(id.clone()),
                    StoredSelection::Any(_) | StoredSelection::All => None,
                };
                let until = state.waiters.until(key).unwrap_or(now);
                QueuedWaiter {
                    owner: waiter.owner.clone(),
                    count,
                    id,
                    age_s: Some(now.ms_since(waiter.since) / 1000),
                    left_s: Some(until.ms_since(now) / 1000),
                    is_lost: waiter.ticket.is_none(),
                }
            })
            .collect()
    }

    /// The state of the pool. While it is being seeded, the state before the seed; `None` if it is
    /// new.
    pub(super) fn status(&self, state: &EngineState) -> Option<PoolStatus> {
        let resources = self.resources_told(state)?;
        Some(PoolStatus {
            name: self.name.clone(),
            resources,
            held: self.held_count as usize,
            free: self.lendable_count().min(resources),
            waiting: self.queue.len(),
            role: None,
        })
    }

    fn add_to(&self, sum: &mut PoolStatus, state: &EngineState) {
        let resources = self.resources_told(state).unwrap_or(0);
        sum.resources += resources;
        sum.held += self.held_count as usize;
        sum.free += self.lendable_count().min(resources);
        sum.waiting += self.queue.len();
    }

    fn resources_told(&self, state: &EngineState) -> Option<usize> {
        match state.seeding(self.key) {
            Some(seeding) => seeding.member_count,
            None => Some(self.resources.member_count()),
        }
    }

    /// Lists its grants, in the order of their fences.
    pub(super) fn grants(&self, state: &EngineState) -> Vec<GrantKey> {
        state.grants.of_pool(&self.grants).collect()
    }

    /// Panics if grants, resources and the queue disagree. Returns the number of its resources.
    pub(super) fn check(&self, state: &EngineState) -> usize {
        let is_seeding = state.seeding(self.key).is_some();
        state
            .resources
            .check_pool(self.key, &self.resources, is_seeding);
        let mut held = HeldCounts::default();
        let mut latest = None;
        for key in state.grants.of_pool(&self.grants) {
            let grant = state.grants.get(key);
            assert!(latest < Some(grant.fence) && grant.fence <= self.fence);
            latest = Some(grant.fence);
            let before = held.count;
            for resource in state.resources.lent(&grant.resources) {
                assert_eq!(state.grant_of(resource), Some(key));
                let resource = state.resources.get(resource);
                assert_eq!((grant.pool, resource.pool), (self.key, self.key));
                held.count += 1;
                held.leaving += usize::from(!resource.is_member());
            }
            assert!(grant.count > 0 && grant.count as usize == held.count - before);
            if let Some(owner) = grant.owner() {
                let found = state.grants.of_owner(self.key, owner);
                assert_eq!(found, Some(key), "an owner has one grant");
            }
        }
        assert_eq!(held.count, self.held_count as usize);
        if !is_seeding {
            self.check_queue(state);
        }
        self.resources.member_count() + held.leaving
    }
}

#[derive(Default)]
struct HeldCounts {
    count: usize,
    /// The number of held resources that are no longer members.
    leaving: usize,
}
