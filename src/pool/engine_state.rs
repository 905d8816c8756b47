//! The state that all pools share: resources, grants, waiters, and the changes and answers to hand
//! out.

use std::collections::VecDeque;

use smallvec::smallvec;

use super::grants::Grants;
use super::queue::Waiters;
use super::resources::{Holder, ResourceKey, Resources};
use super::seeding::SeedingPool;
use super::{Change, GrantKey, GrantRow, Lending, PoolKey, ResourceRow, Rules};
use crate::command::{Lease, Leases, Refusal, Reply, Ticket};
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct EngineState {
    pub(super) rules: Rules,
    pub(super) resources: Resources,
    pub(super) grants: Grants,
    pub(super) waiters: Waiters,
    /// The pool that is being seeded: no waiter in it is served.
    pub(super) seeding_pool: Option<SeedingPool>,
    /// Replies to waiters.
    pub(super) answers: VecDeque<(Ticket, Reply)>,
    /// The changes to note; `None` without a journal.
    pub(super) changes: Option<Vec<Change>>,
    /// The counts of grants, releases, expiries and refusals.
    pub(super) counts: Lending,
    /// True if more was due than ends at once. The rest counts as over until it has ended.
    pub(super) is_behind: bool,
    /// The latest time of leases and waits that may end; `None` means that they are not held.
    pub(super) held_after: Option<Time>,
}

impl EngineState {
    /// The reported state of this pool, if it is being seeded.
    pub(super) fn seeding(&self, pool: PoolKey) -> Option<&SeedingPool> {
        self.seeding_pool
            .as_ref()
            .filter(|seeding| seeding.pool == pool)
    }

    /// The time up to which leases and waits may end.
    pub(super) fn ends_until(&self, now: Time) -> Time {
        self.held_after.map_or(now, |held| held.min(now))
    }

    pub(super) fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(changes) = &mut self.changes {
            changes.push(change());
        }
    }

    /// Takes the changes since the last call. `spare` must be empty; its memory is used for the next
    /// ones.
    pub(super) fn take_changes(&mut self, spare: Vec<Change>) -> Vec<Change> {
        assert!(spare.is_empty(), "no change is told twice");
        match &mut self.changes {
            Some(changes) => std::mem::replace(changes, spare),
            None => spare,
        }
    }

    pub(super) fn answer(&mut self, ticket: Option<Ticket>, refusal: Refusal) {
        if let Some(ticket) = ticket {
            self.answers.push_back((ticket, Reply::Refused(refusal)));
            self.counts.refuse(refusal);
        }
    }

    /// Returns the grant that holds a resource.
    pub(super) fn grant_of(&self, key: ResourceKey) -> Option<GrantKey> {
        match self.resources.get(key).holder() {
            Holder::Grant(grant) => Some(grant),
            Holder::Free | Holder::Reserved => None,
        }
    }

    /// Returns true if the lease is over and has not ended yet.
    pub(super) fn is_over(&self, grant: GrantKey, now: Time) -> bool {
        self.is_behind && self.grants.is_over(grant, self.ends_until(now))
    }

    /// The row of a resource for the journal.
    pub(super) fn row_of(&self, key: ResourceKey) -> ResourceRow {
        let resource = self.resources.get(key);
        let grant = self.grant_of(key).map(|grant| self.grants.get(grant));
        ResourceRow {
            seed_index: resource.seed_index(),
            rank: resource.rank,
            grant: grant.map(|grant| GrantRow {
                fence: grant.fence,
                granted_at: grant.granted_at,
                ttl: grant.ttl,
                owner: grant.owner().cloned(),
            }),
        }
    }

    /// One resource of a grant in the form for clients.
    pub(super) fn lease(&self, key: GrantKey, resource: ResourceKey, now: Time) -> Lease {
        let grant = self.grants.get(key);
        Lease {
            id: self.resources.get(resource).id.clone(),
            fence: grant.fence,
            ttl_s: self.grants.ttl_left_s(key, now),
            owner: grant.owner().cloned(),
            age_s: now.ms_since(grant.granted_at) / 1000,
        }
    }

    /// All resources of a grant in the form for clients.
    pub(super) fn leases_of(&self, key: GrantKey, now: Time) -> Leases {
        let grant = self.grants.get(key);
        let mut resources = self.resources.lent(&grant.resources);
        match (grant.count, resources.next()) {
            // The usual case.
            (1, Some(only)) => smallvec![self.lease(key, only, now)],
            (_, first) => {
                let resources = first.into_iter().chain(resources);
                let leases = resources.map(|resource| self.lease(key, resource, now));
                leases.collect()
            }
        }
    }
}
