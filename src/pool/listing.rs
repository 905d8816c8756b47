//! One pool as others see it: its locks, its state, and whether all of it agrees.

use smallvec::smallvec;

use super::Books;
use super::grants::GrantKey;
use super::lending::Pool;
use super::resources::ResourceKey;
use crate::command::{Lease, Leases, PoolStatus, Refusal};
use crate::time::Time;

impl Pool {
    pub(super) fn locks(&self, now: Time, books: &Books) -> Leases {
        let held = self.held(books).into_iter();
        held.map(|(grant, key)| self.lease(grant, key, now, books))
            .collect()
    }

    pub(super) fn lock_of(&self, id: &str, now: Time, books: &Books) -> Result<Leases, Refusal> {
        let key = self.resources.find(id).ok_or(Refusal::NoResource)?;
        let grant = self.grant_of(key).ok_or(Refusal::NotHeld)?;
        Ok(smallvec![self.lease(grant, key, now, books)])
    }

    pub(super) fn status(&self) -> PoolStatus {
        PoolStatus {
            name: self.name.clone(),
            resources: self.resources.member_count(),
            held: self.held_count,
            waiting: self.line.len(),
        }
    }

    /// Its grants, in the order of their fences.
    pub(super) fn grants(&self, books: &Books) -> Vec<GrantKey> {
        let all = self.resources.keys().into_iter();
        let mut grants: Vec<GrantKey> = all.filter_map(|key| self.grant_of(key)).collect();
        grants.sort_unstable_by_key(|&grant| books.grants.get(grant).fence);
        grants.dedup();
        grants
    }

    /// Each held resource with its grant, in the order of the fences.
    pub(super) fn held(&self, books: &Books) -> Vec<(GrantKey, ResourceKey)> {
        let resources = |grant| self.resources.walk(&books.grants.get(grant).resources);
        let grants = self.grants(books).into_iter();
        grants
            .flat_map(|grant| resources(grant).map(move |key| (grant, key)))
            .collect()
    }

    pub(super) fn leases_of(&self, grant: GrantKey, now: Time, books: &Books) -> Leases {
        let keys = self.resources.walk(&books.grants.get(grant).resources);
        keys.map(|key| self.lease(grant, key, now, books)).collect()
    }

    pub(super) fn lease(
        &self,
        key: GrantKey,
        resource: ResourceKey,
        now: Time,
        books: &Books,
    ) -> Lease {
        let grant = books.grants.get(key);
        Lease {
            id: self.resources.get(resource).id.clone(),
            fence: grant.fence,
            ttl_s: books.grants.ttl_left_s(key, now),
            owner: grant.owner.clone(),
            age_s: now.ms_since(grant.granted_at) / 1000,
        }
    }

    /// Panics if grants, resources and the line disagree.
    pub(super) fn check(&self, books: &Books) {
        self.resources.check();
        let held = self.held(books);
        assert_eq!(held.len(), self.held_count);
        for &(slot, key) in &held {
            let grant = books.grants.get(slot);
            assert_eq!((grant.pool, self.grant_of(key)), (self.key, Some(slot)));
            assert!(grant.count > 0 && grant.fence <= self.fence);
            assert_eq!(grant.count, self.resources.walk(&grant.resources).count());
            if let Some(owner) = &grant.owner {
                assert_eq!(
                    self.owners.get(owner),
                    Some(&slot),
                    "an owner has one grant"
                );
            }
        }
        self.check_line(books);
    }
}
