//! The engine's changes for its journal: rows set or removed, and the snapshot they add up to.
//!
//! A journal needs no rule of lending: it keeps the last row of each key and hands back a
//! [`Snapshot`].

use crate::command::{Fence, StoredName, Ttl};
use crate::time::Time;

/// One change that must outlive the process. A later one for the same key replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A pool was created, without resources.
    PoolCreated {
        /// Its number, which no other pool ever has.
        number: PoolNumber,
        /// Its name.
        name: StoredName,
        /// The fence before that of its first grant.
        fence: Fence,
    },
    /// A pool was removed with all its resources.
    PoolRemoved {
        /// Its number.
        number: PoolNumber,
        /// Its name.
        name: StoredName,
        /// The highest fence of any pool removed so far.
        retired_fence: Fence,
    },
    /// The fence of a pool's latest grant.
    Fence(PoolNumber, Fence),
    /// A resource was added or changed.
    ResourceSet(PoolNumber, StoredName, ResourceRow),
    /// A resource was removed.
    ResourceRemoved(PoolNumber, StoredName),
}

/// The number that stands for a pool's name in rows and changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolNumber(pub u64);

impl PoolNumber {
    pub(super) fn next(self) -> PoolNumber {
        // As for fences, 2^64 are enough.
        PoolNumber(self.0 + 1)
    }
}

/// The contents of an engine, as far as they outlive the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The highest fence of any pool that was removed.
    pub retired_fence: Fence,
    /// All pools.
    pub pools: Vec<PoolRow>,
}

/// One pool with its resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRow {
    /// Its number, which no other pool ever has.
    pub number: PoolNumber,
    /// Its name.
    pub name: StoredName,
    /// The fence of its latest grant.
    pub fence: Fence,
    /// Its resources, in any order.
    pub resources: Vec<(StoredName, ResourceRow)>,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRow {
    /// Its index in seeding order; `None` if it is no longer a member and vanishes when it is
    /// released.
    pub seed_index: Option<u64>,
    /// Its rank in the order of lending, the lowest first. While it is held: the rank it was lent
    /// from.
    pub rank: i64,
    /// The grant that holds it; `None` if it is free.
    pub grant: Option<GrantRow>,
}

/// The grant that holds a resource. Resources of one pool with the same fence are in the same
/// grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    /// Its number.
    pub fence: Fence,
    /// The time of the grant.
    pub granted_at: Time,
    /// The length of its lease; `None` if it does not end. The end is not stored: the lease
    /// restarts when the store does.
    pub ttl: Option<Ttl>,
    /// The owner, if the grant has one.
    pub owner: Option<StoredName>,
}
