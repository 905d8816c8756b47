//! The grants of all pools, and when their leases end.

use slab::Slab;

use super::PoolKey;
use super::resources::Chain;
use crate::command::{Fence, OwnerName, Refusal, StoredName, Ttl};
use crate::time::{Deadlines, Time};

/// A grant. Valid until the last of its resources is given back.
pub(super) type GrantKey = usize;

/// One grant: one or more resources of one pool under one fence.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) pool: PoolKey,
    pub(super) fence: Fence,
    pub(super) granted_at: Time,
    pub(super) ttl: Option<Ttl>,
    pub(super) owner: Option<StoredName>,
    pub(super) resources: Chain,
    pub(super) count: usize,
}

impl Grant {
    /// Whether somebody may renew or release it who names himself and a fence like this.
    pub(super) fn admits(
        &self,
        owner: Option<&OwnerName<'_>>,
        fence: Option<Fence>,
        force: bool,
    ) -> Result<(), Refusal> {
        let owner_is_right = match &self.owner {
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
}

#[derive(Debug, Default)]
pub(super) struct Grants {
    slots: Slab<Grant>,
    expiries: Deadlines,
}

impl Grants {
    pub(super) fn get(&self, key: GrantKey) -> &Grant {
        &self.slots[key]
    }

    pub(super) fn get_mut(&mut self, key: GrantKey) -> &mut Grant {
        &mut self.slots[key]
    }

    pub(super) fn next_key(&self) -> GrantKey {
        self.slots.vacant_key()
    }

    /// Adds a grant, whose lease starts now.
    pub(super) fn insert(&mut self, grant: Grant, now: Time) -> GrantKey {
        let key = self.slots.insert(grant);
        self.start_lease(key, now);
        key
    }

    pub(super) fn remove(&mut self, key: GrantKey) -> Grant {
        self.expiries.remove(key);
        self.slots.remove(key)
    }

    /// Lets the lease last its full length from now on. `now` names a millisecond that has begun, so
    /// the lease ends with the millisecond in which its length is over: never early.
    pub(super) fn start_lease(&mut self, key: GrantKey, now: Time) {
        match self.slots[key].ttl {
            Some(ttl) => self.expiries.set(key, now.after_ms(ttl.as_ms() + 1)),
            None => self.expiries.remove(key),
        }
    }

    /// Whole seconds until the lease ends; rounded down, as a client may rely on it.
    pub(super) fn ttl_left_s(&self, key: GrantKey, now: Time) -> Option<u64> {
        self.expiries.of(key).map(|end| end.ms_since(now) / 1000)
    }

    /// When the first lease ends.
    pub(super) fn next_expiry(&self) -> Option<Time> {
        self.expiries.next()
    }

    /// A grant whose lease is over, if there is one. It counts as alive until it is removed.
    pub(super) fn pop_expired(&mut self, now: Time) -> Option<GrantKey> {
        self.expiries.pop_due(now)
    }
}
