//! One pool: its resources and the grants that hold some of them.

use slab::Slab;
use smallvec::smallvec;

use super::resources::{Chain, Holder, ResourceKey, Resources};
use super::{Change, Changes, GrantRow, PoolNumber, PoolRow, ResourceRow};
use crate::command::{Fence, Lease, Leases, PoolStatus, Refusal, ResourceId, StoredName, Wanted};
use crate::time::Time;

#[derive(Debug)]
pub(super) struct Pool {
    number: PoolNumber,
    name: StoredName,
    /// The fence of the latest grant.
    fence: Fence,
    resources: Resources,
    grants: Slab<Grant>,
    held_count: usize,
}

/// One grant: one or more resources under one fence.
#[derive(Debug)]
struct Grant {
    fence: Fence,
    granted_at: Time,
    resources: Chain,
}

impl Pool {
    pub(super) fn number(&self) -> PoolNumber {
        self.number
    }

    pub(super) fn name(&self) -> &StoredName {
        &self.name
    }

    pub(super) fn fence(&self) -> Fence {
        self.fence
    }

    pub(super) fn acquire(
        &mut self,
        wanted: &Wanted<'_>,
        now: Time,
        mut changes: Changes<'_>,
    ) -> Result<Leases, Refusal> {
        match wanted {
            Wanted::Any(count) => {
                let count = count.get() as usize;
                if count > self.resources.member_count() {
                    return Err(Refusal::OnlyResources(self.resources.member_count()));
                }
                if count > self.resources.free_count() {
                    return Err(Refusal::Busy);
                }
                Ok(self.grant(count, Resources::first_free, now, &mut changes))
            }
            Wanted::Named(id) => {
                let key = self
                    .resources
                    .find(id.as_str())
                    .ok_or(Refusal::NoResource)?;
                let resource = self.resources.get(key);
                if resource.seat.is_none() {
                    return Err(Refusal::NoResource);
                }
                if resource.holder != Holder::Free {
                    return Err(Refusal::Busy);
                }
                Ok(self.grant(1, |_| Some(key), now, &mut changes))
            }
        }
    }

    /// Makes one grant of `count` resources, each the one that `choose` picks then.
    fn grant(
        &mut self,
        count: usize,
        choose: impl Fn(&Resources) -> Option<ResourceKey>,
        now: Time,
        changes: &mut Changes<'_>,
    ) -> Leases {
        let fence = self.fence.next();
        assert!(fence > self.fence, "a fence never falls");
        self.fence = fence;
        changes.note(|| Change::Fence(self.number, fence));
        let slot = self.grants.vacant_key();
        let mut chain = Chain::default();
        let leases = (0..count).map(|_| {
            let key = choose(&self.resources).expect("as many are free as are granted");
            self.resources.lend(key, slot, &mut chain);
            let row = GrantRow {
                fence,
                granted_at: now,
            };
            note_resource(self.number, &self.resources, key, Some(row), changes);
            Lease {
                id: self.resources.get(key).id.clone(),
                fence,
                age_s: 0,
            }
        });
        let leases = leases.collect();
        self.grants.insert(Grant {
            fence,
            granted_at: now,
            resources: chain,
        });
        self.held_count += count;
        leases
    }

    pub(super) fn release(&mut self, id: &str, mut changes: Changes<'_>) -> Result<(), Refusal> {
        let key = self.resources.find(id).ok_or(Refusal::NotHeld)?;
        self.give_back(key, &mut changes)
    }

    /// Releases every resource, the longest held first. Answers how many there were.
    pub(super) fn release_all(&mut self, mut changes: Changes<'_>) -> usize {
        let keys: Vec<ResourceKey> = self.held().map(|(_, key)| key).collect();
        for &key in &keys {
            self.give_back(key, &mut changes)
                .expect("what is listed as held is held");
        }
        keys.len()
    }

    fn give_back(&mut self, key: ResourceKey, changes: &mut Changes<'_>) -> Result<(), Refusal> {
        let Holder::Grant(slot) = self.resources.get(key).holder else {
            return Err(Refusal::NotHeld);
        };
        let grant = &mut self.grants[slot];
        self.resources.take_back(key, &mut grant.resources);
        if grant.resources.is_empty() {
            self.grants.remove(slot);
        }
        self.held_count -= 1;
        match self.resources.get(key).seat {
            Some(_) => note_resource(self.number, &self.resources, key, None, changes),
            None => self.forget(key, changes),
        }
        Ok(())
    }

    /// Each held resource with its grant, in the order of the fences.
    fn held(&self) -> impl Iterator<Item = (&Grant, ResourceKey)> + '_ {
        let mut grants: Vec<&Grant> = self.grants.iter().map(|(_, grant)| grant).collect();
        grants.sort_unstable_by_key(|grant| grant.fence);
        grants.into_iter().flat_map(|grant| {
            self.resources
                .walk(&grant.resources)
                .map(move |key| (grant, key))
        })
    }

    pub(super) fn locks(&self, now: Time) -> Leases {
        self.held()
            .map(|(grant, key)| self.lease(grant, key, now))
            .collect()
    }

    pub(super) fn lock_of(&self, id: &str, now: Time) -> Result<Leases, Refusal> {
        let key = self.resources.find(id).ok_or(Refusal::NoResource)?;
        match self.resources.get(key).holder {
            Holder::Free => Err(Refusal::NotHeld),
            Holder::Grant(slot) => Ok(smallvec![self.lease(&self.grants[slot], key, now)]),
        }
    }

    fn lease(&self, grant: &Grant, key: ResourceKey, now: Time) -> Lease {
        Lease {
            id: self.resources.get(key).id.clone(),
            fence: grant.fence,
            age_s: now.ms_since(grant.granted_at) / 1000,
        }
    }

    pub(super) fn members(&self) -> Vec<StoredName> {
        self.resources.members()
    }

    pub(super) fn status(&self) -> PoolStatus {
        PoolStatus {
            name: self.name.clone(),
            resources: self.resources.member_count(),
            held: self.held_count,
        }
    }

    /// Makes each id a member that is not one yet.
    pub(super) fn add_members(&mut self, ids: &[ResourceId<'_>], mut changes: Changes<'_>) {
        for id in ids {
            match self.resources.find(id.as_str()) {
                Some(key) if self.resources.get(key).seat.is_some() => {}
                _ => self.seat(id, &mut changes),
            }
        }
    }

    /// Makes the members exactly these. What is held and not named goes when it is released.
    pub(super) fn set_members(&mut self, ids: &[ResourceId<'_>], mut changes: Changes<'_>) {
        let mut dropped = self.resources.keys();
        let first_seat = self.resources.seats_from();
        for id in ids {
            let named_already = (self.resources.find(id.as_str()))
                .and_then(|key| self.resources.get(key).seat)
                .is_some_and(|seat| seat >= first_seat);
            if !named_already {
                self.seat(id, &mut changes);
            }
        }
        dropped.retain(|&key| {
            self.resources
                .get(key)
                .seat
                .is_some_and(|seat| seat < first_seat)
        });
        for key in dropped {
            self.resources.unseat(key);
            match self.resources.get(key).holder {
                Holder::Free => self.forget(key, &mut changes),
                Holder::Grant(_) => self.note(key, &mut changes),
            }
        }
    }

    /// Gives an id the last place in seeding order; it becomes free if it is new.
    fn seat(&mut self, id: &ResourceId<'_>, changes: &mut Changes<'_>) {
        let key = match self.resources.find(id.as_str()) {
            Some(key) => {
                self.resources.seat_last(key);
                key
            }
            None => self.resources.add(id.as_str()),
        };
        self.note(key, changes);
    }

    fn forget(&mut self, key: ResourceKey, changes: &mut Changes<'_>) {
        let id = self.resources.remove(key);
        changes.note(|| Change::ResourceRemoved(self.number, id));
    }

    fn note(&self, key: ResourceKey, changes: &mut Changes<'_>) {
        let grant = match self.resources.get(key).holder {
            Holder::Free => None,
            Holder::Grant(slot) => Some(&self.grants[slot]),
        };
        let row = grant.map(|g| GrantRow {
            fence: g.fence,
            granted_at: g.granted_at,
        });
        note_resource(self.number, &self.resources, key, row, changes);
    }

    /// The pool that a stored row describes.
    pub(super) fn restore(mut row: PoolRow) -> Pool {
        let mut pool = Pool {
            number: row.number,
            name: row.name,
            fence: row.fence,
            resources: Resources::default(),
            grants: Slab::new(),
            held_count: 0,
        };
        row.resources
            .sort_unstable_by_key(|(_, resource)| resource.rank);
        let mut slot_of_fence = std::collections::HashMap::new();
        for (id, resource) in row.resources {
            let key = pool.resources.restore(id, resource.seat, resource.rank);
            let Some(GrantRow { fence, granted_at }) = resource.grant else {
                pool.resources.link_free_last(key);
                continue;
            };
            let slot = *slot_of_fence.entry(fence).or_insert_with(|| {
                pool.grants.insert(Grant {
                    fence,
                    granted_at,
                    resources: Chain::default(),
                })
            });
            pool.resources
                .link_held(key, slot, &mut pool.grants[slot].resources);
            pool.held_count += 1;
        }
        pool
    }

    /// Panics if grants and resources disagree.
    pub(super) fn check(&self) {
        self.resources.check();
        assert_eq!(self.held().count(), self.held_count);
        for (slot, grant) in &self.grants {
            assert!(!grant.resources.is_empty() && grant.fence <= self.fence);
            for key in self.resources.walk(&grant.resources) {
                assert_eq!(self.resources.get(key).holder, Holder::Grant(slot));
            }
        }
    }
}

fn note_resource(
    pool: PoolNumber,
    resources: &Resources,
    key: ResourceKey,
    grant: Option<GrantRow>,
    changes: &mut Changes<'_>,
) {
    changes.note(|| {
        let resource = resources.get(key);
        let row = ResourceRow {
            seat: resource.seat,
            rank: resource.rank,
            grant,
        };
        Change::ResourceSet(pool, resource.id.clone(), row)
    });
}
