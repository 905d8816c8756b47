//! The grants of all pools, and the ends of their leases.

use super::index::{Index, Named};
use super::resources::Resource;
use super::slots::{Chain, Links, Slots, walk, walk_back};
use super::{GrantKey, PoolKey, PoolNumber};
use crate::command::{Fence, OwnerName, Refusal, StoredName, Ttl};
use crate::time::{Deadlines, Time};

/// One grant: one or more resources of one pool under one fence.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) pool: PoolKey,
    pub(super) count: u32,
    pub(super) fence: Fence,
    pub(super) granted_at: Time,
    pub(super) ttl: Option<Ttl>,
    /// Empty without an owner, as no name is empty: so it takes no more memory than a name.
    owner: StoredName,
    pub(super) resources: Chain<Resource>,
    /// The neighbours among the grants of its pool, by fence.
    siblings: Links<Grant>,
}

const _: () = assert!(size_of::<Grant>() == 64 && size_of::<Option<Grant>>() == 64);

impl Grant {
    /// Makes a grant without resources.
    pub(super) fn new(
        pool: PoolKey,
        fence: Fence,
        granted_at: Time,
        ttl: Option<Ttl>,
        owner: Option<StoredName>,
    ) -> Grant {
        Grant {
            pool,
            count: 0,
            fence,
            granted_at,
            ttl,
            owner: owner.unwrap_or_default(),
            resources: Chain::default(),
            siblings: Links::default(),
        }
    }

    pub(super) fn owner(&self) -> Option<&StoredName> {
        (!self.owner.is_empty()).then_some(&self.owner)
    }

    /// Checks that a caller who claims this owner and this fence may renew or release it. `force` skips
    /// the check of the owner.
    pub(super) fn admits(
        &self,
        owner: Option<&OwnerName<'_>>,
        fence: Option<Fence>,
        force: bool,
    ) -> Result<(), Refusal> {
        let owner_is_right = match self.owner() {
            Some(holder) => owner.is_some_and(|owner| owner.as_str() == &**holder),
            None => true,
        };
        if !owner_is_right && !force {
            return Err(Refusal::NotYours);
        }
        if fence.is_some_and(|fence| fence != self.fence) {
            return Err(Refusal::Stale);
        }
        Ok(())
    }

    fn siblings(&mut self) -> &mut Links<Grant> {
        &mut self.siblings
    }
}

impl Named for Grant {
    fn scope(&self) -> u32 {
        self.pool.number().get()
    }

    fn name(&self) -> &str {
        &self.owner
    }
}

#[derive(Debug, Default)]
pub(super) struct Grants {
    slots: Slots<Grant>,
    /// The grants with an owner. An owner never has two in one pool.
    owners: Index<Grant>,
    expiries: Deadlines,
}

impl Grants {
    pub(super) fn get(&self, key: GrantKey) -> &Grant {
        &self.slots[key]
    }

    pub(super) fn get_mut(&mut self, key: GrantKey) -> &mut Grant {
        &mut self.slots[key]
    }

    /// The grant of an owner in a pool.
    pub(super) fn of_owner(&self, pool: PoolKey, owner: &str) -> Option<GrantKey> {
        self.owners.find(pool.number().get(), owner, &self.slots)
    }

    /// The grants of a pool, in the order of their fences.
    pub(super) fn of_pool(&self, chain: &Chain<Grant>) -> impl Iterator<Item = GrantKey> + '_ {
        walk(chain.first(), &self.slots, |grant| &grant.siblings)
    }

    /// The grant with the next higher fence in its pool.
    pub(super) fn next_of_pool(&self, key: GrantKey) -> Option<GrantKey> {
        self.slots[key].siblings.next()
    }

    /// The grants of a pool, the highest fence first.
    pub(super) fn of_pool_from_last(
        &self,
        chain: &Chain<Grant>,
    ) -> impl Iterator<Item = GrantKey> + '_ {
        walk_back(chain.last(), &self.slots, |grant| &grant.siblings)
    }

    /// The first grant in this slot or a later one, with its pool.
    pub(super) fn next_from(&self, slot: usize) -> Option<(GrantKey, PoolKey)> {
        let (key, grant) = self.slots.iter_from(slot).next()?;
        Some((key, grant.pool))
    }

    pub(super) fn next_key(&self) -> GrantKey {
        self.slots.next_key()
    }

    /// Adds a grant to its pool, and starts its lease. Its fence must be higher than those of the pool's
    /// other grants.
    pub(super) fn insert(
        &mut self,
        chain: &mut Chain<Grant>,
        grant: Grant,
        number: PoolNumber,
        now: Time,
    ) -> GrantKey {
        let key = self.slots.insert(grant);
        chain.push_last(key, &mut self.slots, Grant::siblings);
        if self.slots[key].owner().is_some() {
            self.owners.insert(key, &self.slots);
        }
        self.start_lease(key, number, now);
        key
    }

    pub(super) fn remove(&mut self, chain: &mut Chain<Grant>, key: GrantKey) {
        self.expiries.remove(key.slot());
        chain.remove(key, &mut self.slots, Grant::siblings);
        if self.slots[key].owner().is_some() {
            self.owners.remove(key, &self.slots);
        }
        self.slots.remove(key);
    }

    /// Restarts the lease at its full length. `now` names a millisecond that has begun, so the lease ends
    /// with the millisecond in which its length is over: never early.
    pub(super) fn start_lease(&mut self, key: GrantKey, number: PoolNumber, now: Time) {
        let grant = &self.slots[key];
        match grant.ttl {
            Some(ttl) => {
                let end = now.after_ms(ttl.as_ms() + 1);
                let order = order_of_end(number, grant.fence);
                self.expiries.set_in_order(key.slot(), end, order);
            }
            None => self.expiries.remove(key.slot()),
        }
    }

    /// Returns true if the lease is over. It may not have ended yet, if many are over at once.
    pub(super) fn is_over(&self, key: GrantKey, now: Time) -> bool {
        self.expiries.of(key.slot()).is_some_and(|end| end <= now)
    }

    /// Whole seconds until the lease ends, rounded down, as the client may rely on it; `None` if it does
    /// not end.
    pub(super) fn ttl_left_s(&self, key: GrantKey, now: Time) -> Option<u64> {
        let end = self.expiries.of(key.slot());
        end.map(|end| end.ms_since(now) / 1000)
    }

    /// The time at which the first lease ends.
    pub(super) fn next_expiry(&self) -> Option<Time> {
        self.expiries.next()
    }

    /// The grant whose lease ends first, if it is over.
    pub(super) fn first_over(&self, now: Time) -> Option<GrantKey> {
        self.expiries.first_due(now).map(GrantKey::of_slot)
    }
}

/// Orders the leases that end in the same millisecond: by pool, and within a pool by fence. Only the low
/// bits of both fit. Where they wrap, resources are lent in another order, and nothing else changes.
fn order_of_end(number: PoolNumber, fence: Fence) -> u32 {
    const FENCE_BITS: u32 = 24;
    (number.0 as u32) << FENCE_BITS | (fence.number() as u32 & ((1 << FENCE_BITS) - 1))
}
