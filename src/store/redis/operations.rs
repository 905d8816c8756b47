//! The operations of Redis as one table: each with its letter, its arguments and its kinds of reply.
//!
//! The table is the only place that knows which arguments an operation has, and in which order. The server writes
//! them as it says (`arguments.rs`), and the scripts read them by code that is made from it (`prologue.rs`). So no
//! script reads an argument of an operation by its position. Replies are held against it, and tests and fuzz targets
//! read it.
//!
//! For another argument: a row below, its value where the server writes the operation (`operation.rs`), and a
//! parameter of the Lua function that `call` names. A debug build checks that values and rows fit. A test fails
//! until the random stories draw the argument with a value and without.

#![allow(missing_docs, reason = "the names say what the variants are")]

/// One operation on a pool.
#[derive(Debug)]
pub struct OperationRow {
    pub id: OperationId,
    /// The argument by which scripts know it.
    pub letter: &'static str,
    pub arguments: &'static [Argument],
    pub run: Run,
    pub queue: QueueUse,
    /// The Lua expression that carries it out and is its reply. It names the arguments.
    pub call: &'static str,
    /// The kinds of reply that it has.
    pub replies: &'static [ReplyKind],
}

/// An argument, which is a local of the same name in Lua.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    pub id: ArgumentId,
    pub name: &'static str,
    pub kind: ArgumentKind,
    /// Whether it may be empty: without a value.
    pub is_optional: bool,
}

/// The form of an argument in Lua.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// A text; empty if the argument has no value.
    Text,
    /// A number that stays a text: it is stored or compared, and numbers of Lua are exact only below 2^53.
    Digits,
    /// A number; nil if the argument has no value.
    Number,
    /// A boolean.
    Flag,
}

/// The repetitions of an operation that its arguments stand for.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// It is carried out once.
    Once,
    /// As often as its only argument says.
    Repeated,
    /// As often as its only argument says, each time for one more argument of this form.
    ForEach(Argument),
}

/// The use that an operation makes of the queue. It decides the path of its batch: see `docs/architecture.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueUse {
    /// It is carried out whether or not waiters are queued.
    Never,
    /// With this argument it may queue a waiter.
    With(ArgumentId),
    /// It reads the queue, or takes a waiter out of it.
    Reads,
    /// It may change keys of the queue although no waiter is queued.
    Changes,
}

/// The operations, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationId {
    Acquire,
    ReleaseWith,
    Renew,
    RenewOwned,
    AcquireAny,
    Release,
    Undo,
    ReleaseAll,
    ReleaseGrants,
    ShowLock,
    Reconcile,
    ListLocks,
    ListMembers,
    Status,
    Poll,
    ListWaiters,
    Remove,
    Withdraw,
}

/// The arguments of operations and of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentId {
    Batch,
    Channel,
    Count,
    DefaultTtl,
    Earliest,
    Fence,
    Fences,
    Floor,
    Force,
    Grace,
    HadPlace,
    History,
    Id,
    IsLate,
    Jump,
    Jumps,
    Lapse,
    Latest,
    MaxMembers,
    Mode,
    Most,
    OlderS,
    Owner,
    Prefix,
    Retired,
    Room,
    Seen,
    Serial,
    Server,
    Ttl,
    WaitMs,
}

/// The kinds of reply to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    Done,
    AlreadyReleased,
    Granted,
    Recovered,
    Waits,
    Leases,
    Waiters,
    Released,
    Members,
    Status,
    Removed,
    Reconciled,
    Nothing,
    Lapsed,
    Long,
    Late,
    Refused,
}

impl OperationId {
    pub fn row(self) -> &'static OperationRow {
        &OPERATIONS[self as usize]
    }
}

const fn required(id: ArgumentId, name: &'static str, kind: ArgumentKind) -> Argument {
    Argument {
        id,
        name,
        kind,
        is_optional: false,
    }
}

const fn optional(id: ArgumentId, name: &'static str, kind: ArgumentKind) -> Argument {
    Argument {
        is_optional: true,
        ..required(id, name, kind)
    }
}

use ArgumentKind::{Digits, Flag, Number, Text};
use ReplyKind::{
    AlreadyReleased, Done, Granted, Lapsed, Leases, Long, Members, Nothing, Reconciled, Recovered,
    Refused, Released, Removed, Status, Waiters, Waits,
};

/// The number of a batch of this server.
const BATCH: Argument = required(ArgumentId::Batch, "batch", Digits);
const COUNT: Argument = required(ArgumentId::Count, "count", Number);
const FENCE: Argument = required(ArgumentId::Fence, "fence", Digits);
const FENCE_IF: Argument = optional(ArgumentId::Fence, "fence", Digits);
const FORCE: Argument = required(ArgumentId::Force, "force", Flag);
const ID: Argument = required(ArgumentId::Id, "id", Text);
/// The longest list to make.
const MOST: Argument = required(ArgumentId::Most, "most", Number);
const OWNER: Argument = optional(ArgumentId::Owner, "owner", Text);
/// The name of a request among those of its server.
const SERIAL: Argument = required(ArgumentId::Serial, "serial", Digits);
/// The length of the lease in seconds.
const TTL: Argument = optional(ArgumentId::Ttl, "ttl", Digits);

/// The operations. Letters of operations are not those of replies.
pub static OPERATIONS: [OperationRow; 18] = [
    OperationRow {
        id: OperationId::Acquire,
        letter: "A",
        arguments: &[
            SERIAL,
            // Either a number of resources or the id of one.
            optional(ArgumentId::Count, "n", Number),
            optional(ArgumentId::Id, "id", Text),
            OWNER,
            TTL,
            // The time left to wait.
            optional(ArgumentId::WaitMs, "wait_ms", Number),
            // The server takes it for queued already.
            required(ArgumentId::HadPlace, "had_place", Flag),
            // The limit on waiters before it in the queue.
            required(ArgumentId::Room, "room", Number),
        ],
        run: Run::Once,
        queue: QueueUse::With(ArgumentId::WaitMs),
        call: "acquire(serial, n, id, owner, ttl, wait_ms, had_place, room)",
        replies: &[Granted, Recovered, Waits, Refused],
    },
    OperationRow {
        id: OperationId::ReleaseWith,
        letter: "R",
        arguments: &[ID, OWNER, FENCE_IF, FORCE],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "release(id, owner, fence, force)",
        replies: &[Done, AlreadyReleased, Refused],
    },
    OperationRow {
        id: OperationId::Renew,
        letter: "N",
        arguments: &[ID, OWNER, FENCE_IF, TTL],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "renew(id, owner, fence, ttl)",
        replies: &[Leases, Refused],
    },
    OperationRow {
        id: OperationId::RenewOwned,
        letter: "O",
        arguments: &[OWNER, FENCE_IF, TTL],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "renew_owned(owner, fence, ttl)",
        replies: &[Leases, Refused],
    },
    // Plain acquires of any one resource. `quick.lua` carries out runs, too.
    OperationRow {
        id: OperationId::AcquireAny,
        letter: "a",
        arguments: &[COUNT],
        run: Run::Repeated,
        queue: QueueUse::Never,
        call: "acquire('', 1, '', '', '', nil, false, 0)",
        replies: &[Granted, Refused],
    },
    // Plain releases.
    OperationRow {
        id: OperationId::Release,
        letter: "r",
        arguments: &[COUNT],
        run: Run::ForEach(ID),
        queue: QueueUse::Never,
        call: "release(id, '', '', false)",
        replies: &[Done, Refused],
    },
    OperationRow {
        id: OperationId::Undo,
        letter: "U",
        arguments: &[ID, FENCE],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "undo(id, fence)",
        replies: &[Released, Refused],
    },
    OperationRow {
        id: OperationId::ReleaseAll,
        letter: "X",
        arguments: &[OWNER, optional(ArgumentId::OlderS, "older_s", Number)],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "release_all(owner, older_s)",
        replies: &[Released, Long, Refused],
    },
    // A slice of a release of all that is too long for one call.
    OperationRow {
        id: OperationId::ReleaseGrants,
        letter: "x",
        // With spaces between.
        arguments: &[required(ArgumentId::Fences, "fences", Text)],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "release_these(fences)",
        replies: &[Released, Refused],
    },
    OperationRow {
        id: OperationId::ShowLock,
        letter: "l",
        arguments: &[ID],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "lock_of(id)",
        replies: &[Leases, Refused],
    },
    // Asks for the grants of a batch whose reply was lost.
    OperationRow {
        id: OperationId::Reconcile,
        letter: "K",
        arguments: &[required(ArgumentId::Batch, "lost_batch", Digits)],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "grants_of_batch(lost_batch)",
        replies: &[Reconciled, Refused],
    },
    OperationRow {
        id: OperationId::ListLocks,
        letter: "L",
        arguments: &[MOST],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "locks(most)",
        replies: &[Leases, Long, Refused],
    },
    OperationRow {
        id: OperationId::ListMembers,
        letter: "M",
        arguments: &[MOST],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "members(most)",
        replies: &[Members, Long, Refused],
    },
    OperationRow {
        id: OperationId::Status,
        letter: "S",
        arguments: &[],
        run: Run::Once,
        queue: QueueUse::Never,
        call: "status()",
        replies: &[Status, Removed, Refused],
    },
    // A heartbeat, and the question for grants of this server's waiters.
    OperationRow {
        id: OperationId::Poll,
        letter: "B",
        arguments: &[],
        run: Run::Once,
        queue: QueueUse::Changes,
        call: "poll()",
        replies: &[Nothing, Lapsed, Refused],
    },
    OperationRow {
        id: OperationId::ListWaiters,
        letter: "W",
        arguments: &[],
        run: Run::Once,
        queue: QueueUse::Reads,
        call: "list_queue()",
        replies: &[Waiters, Refused],
    },
    OperationRow {
        id: OperationId::Remove,
        letter: "D",
        arguments: &[],
        run: Run::Once,
        queue: QueueUse::Changes,
        call: "remove()",
        replies: &[Removed, Refused],
    },
    OperationRow {
        id: OperationId::Withdraw,
        letter: "Q",
        // Its wait has ended; else its client has disconnected.
        arguments: &[SERIAL, required(ArgumentId::IsLate, "is_late", Flag)],
        run: Run::Once,
        queue: QueueUse::Reads,
        call: "withdraw(serial, is_late)",
        replies: &[Nothing, Granted, Refused],
    },
];

/// The first arguments of each script that writes pools: a script outside these times does nothing, and `jumps` is
/// taken off the time.
const EARLIEST: Argument = required(ArgumentId::Earliest, "earliest", Number);
const LATEST: Argument = required(ArgumentId::Latest, "latest", Number);
/// The sum of the jumps of Redis' clock that servers have seen, in ms.
const JUMPS: Argument = required(ArgumentId::Jumps, "jumps", Number);
/// The channel of each server begins like this.
const CHANNEL: Argument = required(ArgumentId::Channel, "channel", Text);
/// The time for which the place of an absent owner is kept, in ms.
const GRACE: Argument = required(ArgumentId::Grace, "grace", Number);
/// The time after which a server without a heartbeat is dead, in ms.
const LAPSE: Argument = required(ArgumentId::Lapse, "lapse", Number);

/// The arguments of a batch before its operations.
pub const BATCH_HEAD: &[Argument] = &[
    EARLIEST,
    LATEST,
    JUMPS,
    required(ArgumentId::Server, "server", Text),
    BATCH,
    // The highest fence that this server has seen, possibly in a Redis that has lost it.
    required(ArgumentId::Floor, "floor", Number),
    // In seconds, or '-' for a lease that does not end.
    required(ArgumentId::DefaultTtl, "default_ttl", Digits),
    GRACE,
    LAPSE,
    CHANNEL,
];

/// The arguments of a seed before its pools.
pub(super) const SEED_HEAD: &[Argument] = &[
    EARLIEST,
    LATEST,
    JUMPS,
    // "add" or "set".
    required(ArgumentId::Mode, "mode", Text),
    // The fence above which new pools start.
    required(ArgumentId::Retired, "retired", Number),
    GRACE,
    LAPSE,
    CHANNEL,
    // The limit on members of a pool.
    required(ArgumentId::MaxMembers, "max_members", Number),
];

/// The arguments of a restore before its pools.
pub(super) const RESTORE_HEAD: &[Argument] = &[
    EARLIEST,
    LATEST,
    JUMPS,
    // All keys begin with it.
    optional(ArgumentId::Prefix, "prefix", Text),
    // The highest fence of removed pools.
    required(ArgumentId::Retired, "retired", Number),
];

pub(super) const HISTORY_HEAD: &[Argument] = &[
    // Empty if the server may not ask for it.
    optional(ArgumentId::History, "id", Text),
    // The highest fence known to the server.
    required(ArgumentId::Seen, "seen", Number),
    // The sum of the jumps known to the server, and the jump that it has seen; 0 for none.
    required(ArgumentId::Jumps, "known_jumps", Number),
    required(ArgumentId::Jump, "jump", Number),
];

pub(super) const TRIAL_HEAD: &[Argument] = &[CHANNEL];
