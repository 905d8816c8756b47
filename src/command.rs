//! The vocabulary that all rooms speak: names, commands, replies and refusals.
//!
//! Past the edge a wrong value cannot be expressed: a name has been checked when it exists. Nothing
//! here knows of HTTP, of sockets or of how a store keeps what it is told.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::rc::Rc;

use smallvec::SmallVec;

/// What a store is asked to do. It borrows from the request, so that asking costs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Lists all pools with their state.
    ListPools,
    /// Adds resources, creating pools that are missing.
    AddMembers(Seed<'a>),
    /// Makes the members of each named pool exactly these.
    SetMembers(Seed<'a>),
    /// Lists the members of a pool in seeding order.
    ListMembers(PoolName<'a>),
    /// Removes a pool with its locks.
    RemovePool(PoolName<'a>),
    /// Takes a lock.
    Acquire(PoolName<'a>, Wanted<'a>),
    /// Gives one resource back.
    Release(PoolName<'a>, ResourceId<'a>),
    /// Gives every resource of a pool back.
    ReleaseAll(PoolName<'a>),
    /// Lists the locks of a pool, in the order of their fences.
    ListLocks(PoolName<'a>),
    /// Shows the lock that a resource is in.
    ShowLock(PoolName<'a>, ResourceId<'a>),
    /// Gives every resource of every pool back: `--purge-on-start`.
    Purge,
}

impl Command<'_> {
    /// Whether the reply may be as long as a pool is large.
    pub fn may_have_a_long_reply(&self) -> bool {
        match self {
            Command::ListPools | Command::ListMembers(_) | Command::ListLocks(_) => true,
            Command::AddMembers(_) | Command::SetMembers(_) => true,
            Command::Acquire(_, Wanted::Any(count)) => count.get() > 1,
            Command::Acquire(_, Wanted::Named(_)) => false,
            Command::Release(..) | Command::ReleaseAll(_) | Command::ShowLock(..) => false,
            Command::RemovePool(_) | Command::Purge => false,
        }
    }
}

/// What an acquire wants to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// So many resources, whichever are next in the order of lending.
    Any(NonZeroU32),
    /// This one.
    Named(ResourceId<'a>),
}

/// Pools with their members, in the order in which they were named. No pool stands twice.
pub type Seed<'a> = Vec<(PoolName<'a>, Vec<ResourceId<'a>>)>;

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
    /// What was granted, or the locks that were asked for.
    Leases(Leases),
    /// How many resources were released.
    Released(usize),
    /// The members of a pool.
    Members(Vec<StoredName>),
    /// The members that each named pool has now.
    Seeded(Vec<(StoredName, Vec<StoredName>)>),
    /// The state of every pool, sorted by name.
    Pools(Vec<PoolStatus>),
    /// It was refused, and nothing has changed.
    Refused(Refusal),
}

/// Nearly always exactly one, which then costs no allocation.
pub type Leases = SmallVec<[Lease; 1]>;

/// One held resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The resource.
    pub id: StoredName,
    /// The number of the grant that it is held by.
    pub fence: Fence,
    /// Whole seconds since the grant.
    pub age_s: u64,
}

/// The state of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// The pool.
    pub name: StoredName,
    /// How many members it has.
    pub resources: usize,
    /// How many resources are held, those included that are members no longer.
    pub held: usize,
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
    /// The pool has only so many members, fewer than are wanted.
    OnlyResources(usize),
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

/// A name as a store keeps it: shared, so that a reply costs no copy.
pub type StoredName = Rc<str>;

/// The most bytes that a name may have.
pub const MAX_NAME_BYTES: usize = 128;

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It has no bytes.
    Empty,
    /// It has more than [`MAX_NAME_BYTES`].
    TooLong,
    /// It has a control character in it.
    Control,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "a name is empty; it must have 1 to 128 bytes",
            NameError::TooLong => "a name is too long; it must have 1 to 128 bytes",
            NameError::Control => "a name has a control character; it must have none",
        })
    }
}

/// Names are of the same form and must not be mixed: each gets a type of its own.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name<'a>(Cow<'a, str>);

        impl<'a> $name<'a> {
            /// Checks the form: 1 to 128 bytes of UTF-8 without control characters.
            pub fn parse(text: impl Into<Cow<'a, str>>) -> Result<$name<'a>, NameError> {
                let text = text.into();
                check_name(&text).map(|()| $name(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// The name of a pool.
    PoolName
);
name_type!(
    /// The id of a resource.
    ResourceId
);

fn check_name(text: &str) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        1..=MAX_NAME_BYTES if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(()),
        1..=MAX_NAME_BYTES if text.chars().any(char::is_control) => Err(NameError::Control),
        1..=MAX_NAME_BYTES => Ok(()),
        _ => Err(NameError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_where_they_enter() {
        assert!(PoolName::parse("A").is_ok());
        assert!(PoolName::parse("with space / \"quote\" and \u{e9}").is_ok());
        assert!(ResourceId::parse("x".repeat(128)).is_ok());
        assert_eq!(ResourceId::parse("x".repeat(129)), Err(NameError::TooLong));
        assert_eq!(PoolName::parse(""), Err(NameError::Empty));
        for control in ["a\nb", "a\tb", "\u{0}", "\u{7f}", "\u{85}"] {
            assert_eq!(
                PoolName::parse(control),
                Err(NameError::Control),
                "{control:?}"
            );
        }
    }
}
