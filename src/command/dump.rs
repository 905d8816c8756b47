//! Pools with their locks, in the form of a dump.

use std::collections::BTreeMap;

use super::{Fence, IdList, StoredName, Ttl};

/// One pool at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolDump {
    /// Its name.
    pub name: StoredName,
    /// The fence of its latest grant.
    pub fence: Fence,
    /// Its members in seeding order.
    pub members: IdList,
    /// The free members: rank in the order of lending to index in `members`.
    pub free: BTreeMap<i64, u32>,
    /// The held resources, members or not, by fence and then in the order in which they were lent.
    pub locks: BTreeMap<(Fence, i64), DumpedLock>,
}

/// One held resource in a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpedLock {
    /// The resource.
    pub id: StoredName,
    /// The length of its lease; `None` if it does not end.
    pub lease: Option<Ttl>,
    /// Whole seconds until the lease ends; `None` if it does not.
    pub ttl_s: Option<u64>,
    /// The owner, if the grant has one.
    pub owner: Option<StoredName>,
    /// Whole seconds since the grant.
    pub age_s: u64,
}

/// The place at which a dump continues. The store makes and reads it; a client only hands it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DumpPlace {
    /// The beginning of the dump.
    #[default]
    Start,
    /// The next pool is in this slot or a later one, and its number is below `end`: pools with higher numbers were
    /// created after the dump began.
    Slot {
        /// The slot.
        slot: usize,
        /// The number of the first pool that is not part of the dump.
        end: u64,
    },
    /// The pools that remain, the next one last.
    Names(Vec<StoredName>),
}

/// Some pools of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpPart {
    /// The pools, in no particular order.
    pub pools: Vec<PoolDump>,
    /// The place at which the dump continues; `None` after the last part.
    pub next: Option<DumpPlace>,
    /// The highest fence of any removed pool.
    pub retired_fence: Fence,
}

/// All pools of a dump to restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restoration {
    /// The pools. Their names are distinct, each member is free or locked, and each fence was given by its pool.
    pub pools: Vec<PoolDump>,
    /// The highest fence of any removed pool: new pools start above it.
    pub retired_fence: Fence,
}

impl PoolDump {
    /// Estimates the memory that the pool takes, in bytes.
    pub fn capacity_bytes(&self) -> usize {
        const FREE_BYTES: usize = 24;
        let locks = self.locks.len() * 2 * size_of::<DumpedLock>();
        self.members.capacity_bytes() + self.free.len() * FREE_BYTES + locks
    }
}
