//! Pools with their locks, as a dump has them.

use std::collections::BTreeMap;

use super::{Fence, IdList, StoredName, Ttl};

/// One pool as it was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolDump {
    /// Its name.
    pub name: StoredName,
    /// The fence of its latest grant.
    pub fence: Fence,
    /// Its members in seeding order.
    pub members: IdList,
    /// The free ones, by their ranks in the order of lending: each is a place among `members`.
    pub free: BTreeMap<i64, u32>,
    /// The held ones, members or not, by their fences and then in the order in which they were lent.
    pub locks: BTreeMap<(Fence, i64), DumpedLock>,
}

/// One held resource in a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpedLock {
    /// The resource.
    pub id: StoredName,
    /// How long its lease is; `None` if it does not end.
    pub lease: Option<Ttl>,
    /// Whole seconds until the lease ends; `None` if it does not.
    pub ttl_s: Option<u64>,
    /// The owner, if it has given a name.
    pub owner: Option<StoredName>,
    /// Whole seconds since the grant.
    pub age_s: u64,
}

/// The place at which a dump goes on. A store makes it and understands it; a client hands it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DumpPlace {
    /// Nothing was dumped yet.
    #[default]
    Start,
    /// The next pool stands in this slot or behind it, and its number is below `end`: those above were
    /// created since the dump began.
    Slot {
        /// The slot.
        slot: usize,
        /// The number of the first pool that is not in the dump.
        end: u64,
    },
    /// These pools are left, the next one last.
    Names(Vec<StoredName>),
}

/// Some pools of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpPart {
    /// The pools, in no order.
    pub pools: Vec<PoolDump>,
    /// The place at which it goes on; `None` behind the last part.
    pub next: Option<DumpPlace>,
    /// The highest fence of any pool that was removed before.
    pub retired_fence: Fence,
}

/// All pools of a dump that is to be restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restoration {
    /// The pools. No name stands twice, each member is free or locked, and each fence is one that its pool has given.
    pub pools: Vec<PoolDump>,
    /// A new pool starts above this fence.
    pub retired_fence: Fence,
}

impl PoolDump {
    /// About how much memory it holds, in bytes.
    pub fn capacity_bytes(&self) -> usize {
        const FREE_BYTES: usize = 24;
        let locks = self.locks.len() * 2 * size_of::<DumpedLock>();
        self.members.capacity_bytes() + self.free.len() * FREE_BYTES + locks
    }
}
