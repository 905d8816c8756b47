//! What the engine tells its journal: rows that were set or removed, and what they sum up to.
//!
//! A journal needs to know no rule of lending: whoever keeps the last row of each key can hand back
//! a [`Snapshot`].

use crate::command::{Fence, StoredName, Ttl};
use crate::time::Time;

/// One change of what must outlive the process. A later one for the same key replaces an earlier
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A pool came into being, without resources.
    PoolCreated {
        /// Its number, which no other pool has.
        number: PoolNumber,
        /// Its name.
        name: StoredName,
        /// Its first grant will have the fence after this one.
        fence: Fence,
    },
    /// A pool is gone with all its resources.
    PoolRemoved {
        /// Its number.
        number: PoolNumber,
        /// Its name.
        name: StoredName,
        /// The highest fence of any pool removed so far.
        retired_fence: Fence,
    },
    /// A pool's latest fence.
    Fence(PoolNumber, Fence),
    /// A resource is new or has changed.
    ResourceSet(PoolNumber, StoredName, ResourceRow),
    /// A resource is gone.
    ResourceRemoved(PoolNumber, StoredName),
}

/// Stands for a pool where its name would be long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolNumber(pub u64);

impl PoolNumber {
    pub(super) fn next(self) -> PoolNumber {
        // As with fences, 2^64 are enough.
        PoolNumber(self.0 + 1)
    }
}

/// Everything that the engine must be told to go on where it ended.
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
    /// Its number, which no other pool has.
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
    /// Its place in seeding order; `None` if it is a member no longer and goes when it is
    /// released.
    pub seed_index: Option<u64>,
    /// Its place in the order of lending, the lowest first; while it is held, the place that it
    /// was taken from.
    pub rank: i64,
    /// The grant that holds it.
    pub grant: Option<GrantRow>,
}

/// The grant that holds a resource. Resources of one pool with the same fence are in the same
/// grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    /// Its number.
    pub fence: Fence,
    /// When it was granted.
    pub granted_at: Time,
    /// How long its lease is. When it ends is not kept: after a restart it starts anew.
    pub ttl: Option<Ttl>,
    /// Who holds it, if it has given a name.
    pub owner: Option<StoredName>,
}
