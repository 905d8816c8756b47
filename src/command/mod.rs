//! The vocabulary that all rooms speak: names, commands, replies and refusals.
//!
//! Past the edge a wrong value cannot be expressed: a name has been checked when it exists. Nothing
//! here knows of HTTP, of sockets or of how a store keeps what it is told.

mod dump;
mod names;
mod overview;
mod owned;
mod seed;

use std::num::NonZeroU32;
use std::rc::Rc;

pub use dump::{DumpPart, DumpPlace, DumpedLock, PoolDump, Restoration};
pub use names::{
    MAX_NAME_BYTES, NameError, OwnerName, PoolName, ResourceId, StoredName, has_dot_segment,
};
pub use overview::{NamePart, PoolQuery, PoolStatus, PoolSums, max_pools};
pub use seed::{IdList, Ids, Seed};
use smallvec::SmallVec;

/// What a store is asked to do. It borrows from the request, so that asking costs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Lists pools with their state.
    ListPools(PoolQuery<'a>),
    /// Adds up the state of all pools, or of those whose names contain a text.
    SumPools(Option<NamePart<'a>>),
    /// Sums up all pools, and shows so many of them: those that have been there longest. It is never
    /// refused.
    Survey(usize),
    /// Asks whether the store answers.
    Probe,
    /// Adds resources, creating pools that are missing.
    AddMembers(Seed),
    /// Makes the members of each named pool exactly these.
    SetMembers(Seed),
    /// Lists the members of a pool in seeding order.
    ListMembers(PoolName<'a>),
    /// Removes a pool with its locks.
    RemovePool(PoolName<'a>),
    /// Takes a lock, or waits in the queue for one.
    Acquire(PoolName<'a>, Acquire<'a>),
    /// Starts the lease of the lock anew that a resource is in.
    Renew(PoolName<'a>, ResourceId<'a>, Renewal<'a>),
    /// Starts the lease anew of what an owner holds in a pool.
    RenewOwned(PoolName<'a>, Renewal<'a>),
    /// Gives one resource back.
    Release(PoolName<'a>, ResourceId<'a>, ReleaseCondition<'a>),
    /// Gives back every resource of a pool whose lock matches.
    ReleaseAll(PoolName<'a>, Filter<'a>),
    /// Gives back what a grant holds that nobody was told of: the one with this fence, which has
    /// this resource and no owner.
    Undo(PoolName<'a>, ResourceId<'a>, Fence),
    /// Lists the locks of a pool, in the order of their fences.
    ListLocks(PoolName<'a>),
    /// Shows the lock that a resource is in.
    ShowLock(PoolName<'a>, ResourceId<'a>),
    /// Lists who is in the queue of a pool, from the front.
    ListWaiters(PoolName<'a>),
    /// Gives every resource of every pool back: `--purge-on-start`.
    Purge,
    /// Dumps some pools with their locks, from this place on.
    Dump(DumpPlace),
    /// Takes all pools from a dump, if there are none yet.
    Restore(Rc<Restoration>),
}

impl Command<'_> {
    /// Whether no further request of the same client is to be carried out before this one is
    /// answered: because it waits, or because the reply may be as long as a pool is large.
    pub fn blocks(&self) -> bool {
        match self {
            Command::ListPools(_) | Command::SumPools(_) => true,
            Command::ListMembers(_) | Command::ListLocks(_) => true,
            Command::Survey(_) | Command::ListWaiters(_) | Command::Dump(_) => true,
            Command::AddMembers(_) | Command::SetMembers(_) | Command::Restore(_) => true,
            Command::Acquire(_, acquire) => {
                let several = matches!(acquire.selection, Selection::Any(count) if count.get() > 1);
                acquire.wait_ms > 0 || several
            }
            Command::Renew(..) | Command::RenewOwned(..) => false,
            Command::Release(..) | Command::ReleaseAll(..) | Command::Undo(..) => false,
            Command::ShowLock(..) | Command::RemovePool(_) | Command::Purge => false,
            Command::Probe => false,
        }
    }

    /// Whether the reply may have to wait for others.
    pub fn may_wait(&self) -> bool {
        matches!(self, Command::Acquire(_, acquire) if acquire.wait_ms > 0)
    }
}

/// How a lock is to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire<'a> {
    /// What is wanted.
    pub selection: Selection<'a>,
    /// Who wants it. Whoever asks again by the same name gets the same lock.
    pub owner: Option<OwnerName<'a>>,
    /// How long the lease is to be; `None` leaves it to the owner's last one or to the server.
    pub ttl: Option<Ttl>,
    /// How long to be queued at most, in milliseconds; 0 not at all.
    pub wait_ms: u64,
    /// Whether its client may get in the queue. One that stands there already may stay.
    pub may_queue: bool,
}

/// How a lease is to be started anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewal<'a> {
    /// Who says that it is his.
    pub owner: Option<OwnerName<'a>>,
    /// The fence that it must have.
    pub fence: Option<Fence>,
    /// How long it is to be from now on; `None` as long as it was.
    pub ttl: Option<Ttl>,
}

/// Why a resource may be released.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseCondition<'a> {
    /// Who says that it is his.
    pub owner: Option<OwnerName<'a>>,
    /// The fence that its lock must have.
    pub fence: Option<Fence>,
    /// Release it whoever owns it.
    pub force: bool,
}

/// Which locks are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Only those of this owner.
    pub owner: Option<OwnerName<'a>>,
    /// Only those that were granted at least so many seconds ago.
    pub older_s: Option<u64>,
}

/// The length of a lease, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(u32);

impl Ttl {
    /// A year: the longest lease.
    pub const MAX_S: u32 = 31_536_000;

    /// A lease of 1 to [`Ttl::MAX_S`] seconds.
    pub const fn from_s(seconds: u32) -> Option<Ttl> {
        if seconds >= 1 && seconds <= Ttl::MAX_S {
            Some(Ttl(seconds))
        } else {
            None
        }
    }

    /// Its length in seconds.
    pub const fn as_s(self) -> u32 {
        self.0
    }

    /// Its length in milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0 as u64 * 1000
    }
}

/// What an acquire wants to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// So many resources, whichever are next in the order of lending.
    Any(NonZeroU32),
    /// This one.
    Named(ResourceId<'a>),
}

/// Which request a reply belongs to. It is never used twice, so that a reply that comes too late
/// finds nobody instead of whoever sits in the same slot by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    serial: u64,
    slot: u32,
}

impl Ticket {
    /// `serial` is unique in this process; `slot` only says where the asker is likely to be found.
    pub const fn new(serial: u64, slot: u32) -> Ticket {
        Ticket { serial, slot }
    }

    /// What it is, in this process, that no other ticket is.
    pub const fn serial(self) -> u64 {
        self.serial
    }

    /// Where the asker sat when it asked.
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// What a store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, and there is nothing to tell.
    Done,
    /// What was granted.
    Granted(Granted),
    /// The locks that were asked for.
    Leases(Leases),
    /// Who is queued, from the front.
    Waiters(Vec<QueuedWaiter>),
    /// How many resources were released.
    Released(usize),
    /// The members of a pool.
    Members(IdList),
    /// The members that each named pool has now.
    Seeded(Seed),
    /// The state of each pool that was asked for, sorted by name.
    Pools(Vec<PoolStatus>),
    /// The state of pools, added up.
    PoolSums(PoolSums),
    /// The pools, summed up; `None` if the store cannot tell.
    Survey(Option<Survey>),
    /// The store answers.
    Ready,
    /// Some pools with their locks.
    Dumped(Box<DumpPart>),
    /// It was refused, and nothing has changed.
    Refused(Refusal),
}

/// Nearly always exactly one, which then costs no allocation.
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
    /// Whether `undo` has an answer.
    pub fn can_be_undone(&self) -> bool {
        self.leases
            .first()
            .is_some_and(|lease| lease.owner.is_none())
    }

    /// The command that takes it back, for a client that can no longer be told of it. An owner will
    /// come back for it, so that there is nothing to undo then.
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
    /// The number of the grant that it is held by.
    pub fence: Fence,
    /// Whole seconds until the lease ends; `None` if it does not.
    pub ttl_s: Option<u64>,
    /// Who holds it, if it has given a name.
    pub owner: Option<StoredName>,
    /// Whole seconds since the grant.
    pub age_s: u64,
}

/// Somebody who is in the queue of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedWaiter {
    /// Who it is, if it has given a name.
    pub owner: Option<StoredName>,
    /// How many resources it wants.
    pub count: usize,
    /// Which one, if only this one will do.
    pub id: Option<StoredName>,
    /// Whole seconds since it got in the queue, however often it has asked since; `None` if nobody knows.
    pub age_s: Option<u64>,
    /// Whole seconds until its place is lost; `None` if nobody knows.
    pub left_s: Option<u64>,
    /// Nobody is there to be told: it is an owner, whose place is kept for a while.
    pub is_lost: bool,
}

/// All pools, summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// How many there are.
    pub pool_count: usize,
    /// Those that have been there longest, as many as were asked for.
    pub shown: Vec<PoolStatus>,
    /// All others together, without a name. `None` if there are none, or if it would cost too much
    /// to ask for them.
    pub others: Option<PoolStatus>,
}

/// Why a store refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no pool of that name.
    NoPool,
    /// The pool has no such member.
    NoResource,
    /// The resource is not held.
    NotHeld,
    /// What is wanted is held by others.
    Busy,
    /// The lock has another owner.
    NotYours,
    /// The lock has another fence.
    Stale,
    /// The owner holds so many resources already, and not what it asks for now.
    OwnerHolds(usize),
    /// The pool has only so many members, fewer than are wanted.
    OnlyResources(usize),
    /// There are pools already.
    NotEmpty,
    /// No more acquires may be queued.
    QueueFull,
    /// No more pools may be made.
    TooManyPools,
    /// No more resources may be added, to this pool or to any.
    TooManyResources,
    /// The store cannot be written or reached. Nothing has changed, as far as the store can tell.
    StoreDown,
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
