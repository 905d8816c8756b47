//! Refusals by a store, as commands are answered with them and Redis writes them; and the exit codes of `latch`.

/// The reason why a store refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Others hold the requested resources.
    Busy,
    /// There is no pool of that name.
    NoPool,
    /// The pool has no such member.
    NoResource,
    /// The store has pools already.
    NotEmpty,
    /// The resource is not held.
    NotHeld,
    /// The lock has another owner.
    NotYours,
    /// The owner holds this number of resources, and not the ones it asks for.
    OwnerHolds(usize),
    /// The pool has only this number of members, fewer than requested.
    OnlyResources(usize),
    /// The queue, or the client's share of it, is full.
    QueueFull,
    /// The lock has another fence.
    Stale,
    /// The store cannot be written or reached. As far as it can tell, nothing has changed.
    StoreDown,
    /// The command would exceed the limit of pools.
    TooManyPools,
    /// The command would exceed the limit of resources, of one pool or of all.
    TooManyResources,
}

impl Refusal {
    /// Returns its row in the table.
    #[inline]
    pub const fn id(self) -> RefusalId {
        match self {
            Refusal::Busy => RefusalId::Busy,
            Refusal::NoPool => RefusalId::NoPool,
            Refusal::NoResource => RefusalId::NoResource,
            Refusal::NotEmpty => RefusalId::NotEmpty,
            Refusal::NotHeld => RefusalId::NotHeld,
            Refusal::NotYours => RefusalId::NotYours,
            Refusal::OwnerHolds(_) => RefusalId::OwnerHolds,
            Refusal::OnlyResources(_) => RefusalId::OnlyResources,
            Refusal::QueueFull => RefusalId::QueueFull,
            Refusal::Stale => RefusalId::Stale,
            Refusal::StoreDown => RefusalId::StoreDown,
            Refusal::TooManyPools => RefusalId::TooManyPools,
            Refusal::TooManyResources => RefusalId::TooManyResources,
        }
    }

    /// Returns the number in its words, if they have one.
    pub fn count(self) -> Option<usize> {
        match self {
            Refusal::OwnerHolds(count) | Refusal::OnlyResources(count) => Some(count),
            _ => None,
        }
    }
}

/// The rows of the table of refusals: first those of a store, in the order of their labels in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the rows say it")]
pub enum RefusalId {
    Busy,
    NoPool,
    NoResource,
    NotEmpty,
    NotHeld,
    NotYours,
    OwnerHolds,
    OnlyResources,
    QueueFull,
    Stale,
    StoreDown,
    TooManyPools,
    TooManyResources,
    BadRequest,
    MisspeltVersion,
    SeveralHosts,
    BadHeader,
    BadLength,
    BadChunk,
    BadPath,
    BadEscape,
    BadUtf8,
    BadName,
    BadId,
    QuotedId,
    BadJson,
    EmptyBody,
    BodyNotUtf8,
    BodyNotIds,
    Multipart,
    BodyOfParameters,
    BadDump,
    UnknownParameter,
    UnnamedParameter,
    MethodOverrideOff,
    MethodOverrideOfPage,
    BadValue,
    NoKey,
    WrongKey,
    TooManyWrongKeys,
    NotAllowed,
    OtherOrigin,
    UnknownHost,
    NoRoute,
    BadMethod,
    BodyTooLarge,
    PathTooLong,
    HeadersTooLarge,
    BadEncoding,
    BadVersion,
    NoMemory,
    Stopping,
}

/// The cause of a failure of `latch`; each is an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The reader of the output is gone, so there is nothing more to do.
    Unread = 0,
    /// The request was refused, or failed.
    Failed = 1,
    /// The command line or the environment is wrong.
    Usage = 2,
    /// The lock was not granted in time.
    Busy = 3,
    /// The pool or resource does not exist, or is not held.
    NotFound = 4,
    /// The lock has another owner, or another fence.
    NotYours = 5,
    /// The server cannot be reached, or cannot serve now.
    Unreachable = 6,
    /// The server requires a key, or another one.
    NotAllowed = 7,
}

impl Cause {
    /// Returns the cause that a status means by itself: also that of a proxy's answer, whose words are not ours.
    pub const fn of_status(status: u16) -> Cause {
        match status {
            401 | 403 => Cause::NotAllowed,
            409 => Cause::NotYours,
            429 => Cause::Busy,
            502..=504 => Cause::Unreachable,
            _ => Cause::Failed,
        }
    }
}
