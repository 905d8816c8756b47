//! The vocabulary that all rooms share: names, commands, replies and refusals.
//!
//! Values are checked when they are made: a name that exists is well formed. Nothing here depends on
//! HTTP, on sockets or on how a store keeps its data.

mod dump;
mod names;
mod overview;
mod owned;
mod seed;

use std::num::NonZeroU32;
use std::rc::Rc;

pub use crate::contract::Refusal;
pub use dump::{DumpPart, DumpPlace, DumpedLock, PoolDump, Restoration};
pub use names::{
    MAX_NAME_BYTES, NameError, OwnerName, PoolName, ResourceId, StoredName, has_dot_segment,
};
pub use overview::{NamePart, PoolQuery, PoolStatus, PoolSums, max_pools};
pub use seed::{IdList, Ids, Seed};
use smallvec::SmallVec;

/// A request to a store. It borrows from the client's request, so that it costs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Lists pools with their state.
    ListPools(PoolQuery<'a>),
    /// Adds up the state of all pools, or of those whose names contain this text.
    SumPools(Option<NamePart<'a>>),
    /// Adds up all pools, and shows this many of the oldest. It is never refused.
    Survey(usize),
    /// Checks that the store answers.
    Probe,
    /// Adds resources, creating pools that are missing.
    AddMembers(Seed),
    /// Replaces the members of each named pool with these.
    SetMembers(Seed),
    /// Lists the members of a pool in seeding order.
    ListMembers(PoolName<'a>),
    /// Removes a pool with its locks.
    RemovePool(PoolName<'a>),
    /// Takes a lock, or waits in the queue for one.
    Acquire(PoolName<'a>, Acquire<'a>),
    /// Restarts the lease of the lock that holds a resource.
    Renew(PoolName<'a>, ResourceId<'a>, Renewal<'a>),
    /// Restarts the lease of the lock that an owner has in a pool.
    RenewOwned(PoolName<'a>, Renewal<'a>),
    /// Releases one resource.
    Release(PoolName<'a>, ResourceId<'a>, ReleaseCondition<'a>),
    /// Releases every resource of a pool whose lock matches.
    ReleaseAll(PoolName<'a>, Filter<'a>),
    /// Releases a grant whose client was never told of it: the grant with this fence, which holds this
    /// resource and has no owner.
    Undo(PoolName<'a>, ResourceId<'a>, Fence),
    /// Lists the locks of a pool, in the order of their fences.
    ListLocks(PoolName<'a>),
    /// Shows the lock that holds a resource.
    ShowLock(PoolName<'a>, ResourceId<'a>),
    /// Lists the waiters of a pool, from the front of the queue.
    ListWaiters(PoolName<'a>),
    /// Releases every resource of every pool: `--purge-on-start`.
    Purge,
    /// Dumps some pools with their locks, from this place on.
    Dump(DumpPlace),
    /// Restores all pools from a dump. It is refused if there are pools already.
    Restore(Rc<Restoration>),
}

impl Command<'_> {
    /// Returns true if the client's further requests wait until this one is answered: because it may wait
    /// in a queue, or because the reply may be as long as the pool is large.
    pub fn blocks(&self) -> bool {
        match self {
            Command::ListPools(_) | Command::SumPools(_) => true,
            Command::ListMembers(_) | Command::ListLocks(_) => true,
            Command::Survey(_) | Command::ListWaiters(_) | Command::Dump(_) => true,
            Command::AddMembers(_) | Command::SetMembers(_) | Command::Restore(_) => true,
            Command::Acquire(_, acquire) => {
                let one = Selection::Any(NonZeroU32::MIN);
                let is_one =
                    matches!(acquire.selection, Selection::Named(_)) || acquire.selection == one;
                acquire.wait_ms > 0 || !is_one
            }
            Command::Renew(..) | Command::RenewOwned(..) => false,
            Command::Release(..) | Command::ReleaseAll(..) | Command::Undo(..) => false,
            Command::ShowLock(..) | Command::RemovePool(_) | Command::Purge => false,
            Command::Probe => false,
        }
    }

    /// Returns true if the command may be queued.
    pub fn may_wait(&self) -> bool {
        matches!(self, Command::Acquire(_, acquire) if acquire.wait_ms > 0)
    }
}

/// The terms of an acquire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire<'a> {
    /// The resources to take.
    pub selection: Selection<'a>,
    /// The owner, if the client names one. An owner that asks again gets the same lock.
    pub owner: Option<OwnerName<'a>>,
    /// The length of the lease; `None` means the owner's last length, else the server's default.
    pub ttl: Option<Ttl>,
    /// The longest wait in the queue, in milliseconds; 0 means no wait.
    pub wait_ms: u64,
    /// True if the client may enter the queue. A waiter that is queued already keeps its place.
    pub may_queue: bool,
}

/// The terms of a renewal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewal<'a> {
    /// The owner the caller claims to be.
    pub owner: Option<OwnerName<'a>>,
    /// The fence that the lock must have; `None` means any.
    pub fence: Option<Fence>,
    /// The new length of the lease; `None` keeps the last length.
    pub ttl: Option<Ttl>,
}

/// The condition under which a resource is released.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseCondition<'a> {
    /// The owner the caller claims to be.
    pub owner: Option<OwnerName<'a>>,
    /// The fence that the lock must have; `None` means any.
    pub fence: Option<Fence>,
    /// Release it whatever its owner.
    pub force: bool,
}

/// The locks that a command selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// The owner of the locks; `None` means all locks.
    pub owner: Option<OwnerName<'a>>,
    /// The least age of the locks, in seconds since the grant; `None` means any age.
    pub older_s: Option<u64>,
}

/// The length of a lease, in whole seconds: 1 to [`Ttl::MAX_S`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(u32);

impl Ttl {
    /// The longest lease in seconds: one year.
    pub const MAX_S: u32 = crate::contract::MAX_TTL_S;

    /// Makes a length of 1 to [`Ttl::MAX_S`] seconds; `None` outside this range.
    pub const fn from_s(seconds: u32) -> Option<Ttl> {
        if seconds >= 1 && seconds <= Ttl::MAX_S {
            Some(Ttl(seconds))
        } else {
            None
        }
    }

    /// The length in seconds.
    pub const fn as_s(self) -> u32 {
        self.0
    }

    /// The length in milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0 as u64 * 1000
    }
}

/// The resources that an acquire takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// This many resources, the next in the order of lending.
    Any(NonZeroU32),
    /// All members of the pool, as many as it has when it can lend them.
    All,
    /// The resource with this id.
    Named(ResourceId<'a>),
}

/// The number that matches a reply to its request. It is never used twice: a late reply finds no session
/// instead of another client that has the slot by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    serial: u64,
    slot: u32,
}

impl Ticket {
    /// Makes a ticket. `serial` is unique in this process; `slot` is only a hint to the session that
    /// asked.
    pub const fn new(serial: u64, slot: u32) -> Ticket {
        Ticket { serial, slot }
    }

    /// The number that no other ticket of this process has.
    pub const fn serial(self) -> u64 {
        self.serial
    }

    /// The slot of the connection that asked.
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// The answer of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The command was carried out; there is nothing to report.
    Done,
    /// The grant.
    Granted(Granted),
    /// The requested locks.
    Leases(Leases),
    /// The waiters, from the front of the queue.
    Waiters(Vec<QueuedWaiter>),
    /// The number of released resources.
    Released(usize),
    /// The members of a pool.
    Members(IdList),
    /// The members of each named pool after the seed.
    Seeded(Seed),
    /// The state of each requested pool, sorted by name.
    Pools(Vec<PoolStatus>),
    /// The state of pools, added up.
    PoolSums(PoolSums),
    /// The sums over all pools; `None` if the store cannot tell.
    Survey(Option<Survey>),
    /// The store answers.
    Ready,
    /// A part of a dump.
    Dumped(Box<DumpPart>),
    /// The command was refused, and changed nothing.
    Refused(Refusal),
}

/// Leases; nearly always exactly one, which costs no allocation.
pub type Leases = SmallVec<[Lease; 1]>;

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The pool.
    pub pool: StoredName,
    /// The resources, at least one.
    pub leases: Leases,
}

impl Granted {
    /// Returns true if `undo` returns a command.
    pub fn can_be_undone(&self) -> bool {
        self.leases
            .first()
            .is_some_and(|lease| lease.owner.is_none())
    }

    /// Returns the command that takes the grant back, for a client that can no longer be told of it.
    /// `None` if the grant has an owner, who comes back for it.
    pub fn undo(&self) -> Option<Command<'_>> {
        let lease = self.leases.first().filter(|_| self.can_be_undone())?;
        let pool = PoolName::parse_stored(&*self.pool).ok()?;
        Some(Command::Undo(
            pool,
            ResourceId::parse_stored(&*lease.id).ok()?,
            lease.fence,
        ))
    }
}

/// One held resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The resource.
    pub id: StoredName,
    /// The fence of the grant that holds it.
    pub fence: Fence,
    /// Whole seconds until the lease ends; `None` if it does not.
    pub ttl_s: Option<u64>,
    /// The owner, if the grant has one.
    pub owner: Option<StoredName>,
    /// Whole seconds since the grant.
    pub age_s: u64,
}

/// A waiter in the queue of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedWaiter {
    /// The owner, if the waiter has one.
    pub owner: Option<StoredName>,
    /// The number of resources it waits for.
    pub count: usize,
    /// The id of the resource, if it waits for a named one.
    pub id: Option<StoredName>,
    /// Whole seconds since it entered the queue, however often it has asked since; `None` if unknown.
    pub age_s: Option<u64>,
    /// Whole seconds until its place is lost; `None` if unknown.
    pub left_s: Option<u64>,
    /// True for an owner whose client is gone and whose place is kept for a while.
    pub is_lost: bool,
}

/// The sums over all pools, with the oldest pools one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The number of pools.
    pub pool_count: usize,
    /// The oldest pools, at most as many as the command names.
    pub shown: Vec<PoolStatus>,
    /// The sum of all other pools, without a name. `None` if there are none, or if the sum would cost too
    /// much.
    pub others: Option<PoolStatus>,
}

/// The number of a grant: strictly increasing within a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// The fence with this number.
    pub const fn from_number(number: u64) -> Fence {
        Fence(number)
    }

    /// The number, for the wire and the store.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The fence of the grant after this one.
    pub const fn next(self) -> Fence {
        // 2^64 grants take 58,000 years at ten million a second.
        Fence(self.0 + 1)
    }
}
