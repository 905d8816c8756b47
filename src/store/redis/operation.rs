//! What is asked of one pool, and how it is written down for the script `pool.lua`.

use std::rc::Rc;

use redis::Cmd;

use super::pipeline::JobKey;
use crate::command::{
    Acquire, Command, Fence, Filter, ReleaseCondition, Renewal, Selection, StoredName, Ticket, Ttl,
};
use crate::time::Time;

/// One operation on one pool, and on whose behalf.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) asker: Asker,
    pub(super) action: Action,
}

/// Who is to hear what came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A client that is answered at once.
    Client(Ticket),
    /// A client that may stand in line.
    Waiter(Ticket),
    /// A client that stands in line already, as far as this server knows.
    Returning(Ticket),
    /// A client that no longer wants to.
    Leaver(Ticket),
    /// Something that takes more than one pool.
    Job(JobKey),
    /// This server itself.
    Myself,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Action {
    /// Any one resource, with nothing else to say.
    AcquireAny,
    Acquire(Rc<Wish>),
    /// Given back, with nothing else to say.
    Release(StoredName),
    ReleaseWith {
        id: StoredName,
        owner: Option<StoredName>,
        fence: Option<Fence>,
        force: bool,
    },
    Renew {
        id: StoredName,
        owner: Option<StoredName>,
        fence: Option<Fence>,
        ttl: Option<Ttl>,
    },
    RenewOwned {
        owner: Option<StoredName>,
        fence: Option<Fence>,
        ttl: Option<Ttl>,
    },
    ReleaseAll {
        owner: Option<StoredName>,
        older_s: Option<u64>,
    },
    Undo(StoredName, Fence),
    ListLocks,
    ShowLock(StoredName),
    ListWaiters,
    ListMembers,
    /// The stamp says when the pool was listed.
    Status {
        stamp: StoredName,
    },
    Remove,
    /// Takes somebody out of the line.
    Leave(Leaving),
    /// A sign of life, and a look at who can be served.
    Look,
    /// Asks what a batch has granted whose reply was lost.
    Settle(u64),
    /// Keeps a place in the queue for new members; it is no operation of `pool.lua`.
    Seed,
}

/// Why somebody leaves the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Its client is away. If it has an owner its place is kept for a while.
    Gone,
    /// It has waited as long as it wanted to.
    Late,
}

/// An acquire that says more than a pool.
#[derive(Debug)]
pub(super) struct Wish {
    /// How many; `None` if `id` says which.
    pub(super) count: Option<u32>,
    pub(super) id: Option<StoredName>,
    pub(super) owner: Option<StoredName>,
    pub(super) ttl: Option<Ttl>,
    /// It waits so long; `None` not at all.
    pub(super) until: Option<Time>,
    /// It may get in line behind fewer than so many.
    pub(super) room: usize,
}

/// What is to be known of a line for somebody to get in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// One may get in behind fewer than so many.
    pub(super) room: usize,
    /// The longest that one may wait from now on.
    pub(super) max_wait_ms: u64,
    pub(super) now: Time,
}

impl Wish {
    fn of(acquire: &Acquire<'_>, entry: Entry) -> Wish {
        let (count, id) = match &acquire.selection {
            Selection::Any(count) => (Some(count.get()), None),
            Selection::Named(id) => (None, Some(stored(id.as_str()))),
        };
        let wait_ms = acquire.wait_ms.min(entry.max_wait_ms);
        Wish {
            count,
            id,
            owner: acquire.owner.as_ref().map(|owner| stored(owner.as_str())),
            ttl: acquire.ttl,
            until: (acquire.wait_ms > 0).then(|| entry.now.after_ms(wait_ms)),
            room: if acquire.may_queue { entry.room } else { 0 },
        }
    }

    fn says_nothing(&self) -> bool {
        self.count == Some(1) && self.owner.is_none() && self.ttl.is_none() && self.until.is_none()
    }
}

fn stored(name: &str) -> StoredName {
    StoredName::from(name)
}

impl Action {
    /// The action that a command on one pool stands for, and the pool. `None` for what takes more.
    /// `entry` is for whoever would stand in line.
    pub(super) fn of<'a>(command: &'a Command<'_>, entry: Entry) -> Option<(&'a str, Action)> {
        let (pool, action) = match command {
            Command::Acquire(pool, acquire) => {
                let wish = Wish::of(acquire, entry);
                let plain = wish.says_nothing();
                (
                    pool,
                    if plain {
                        Action::AcquireAny
                    } else {
                        Action::Acquire(Rc::new(wish))
                    },
                )
            }
            Command::Release(pool, id, condition) => {
                (pool, release(stored(id.as_str()), condition))
            }
            Command::Renew(pool, id, Renewal { owner, fence, ttl }) => {
                let owner = owner.as_ref().map(|owner| stored(owner.as_str()));
                let id = stored(id.as_str());
                (
                    pool,
                    Action::Renew {
                        id,
                        owner,
                        fence: *fence,
                        ttl: *ttl,
                    },
                )
            }
            Command::RenewOwned(pool, Renewal { owner, fence, ttl }) => {
                let owner = owner.as_ref().map(|owner| stored(owner.as_str()));
                (
                    pool,
                    Action::RenewOwned {
                        owner,
                        fence: *fence,
                        ttl: *ttl,
                    },
                )
            }
            Command::ReleaseAll(pool, Filter { owner, older_s }) => {
                let owner = owner.as_ref().map(|owner| stored(owner.as_str()));
                (
                    pool,
                    Action::ReleaseAll {
                        owner,
                        older_s: *older_s,
                    },
                )
            }
            Command::Undo(pool, id, fence) => (pool, Action::Undo(stored(id.as_str()), *fence)),
            Command::ListLocks(pool) => (pool, Action::ListLocks),
            Command::ShowLock(pool, id) => (pool, Action::ShowLock(stored(id.as_str()))),
            Command::ListWaiters(pool) => (pool, Action::ListWaiters),
            Command::ListMembers(pool) => (pool, Action::ListMembers),
            Command::RemovePool(pool) => (pool, Action::Remove),
            Command::ListPools(_)
            | Command::SumPools(_)
            | Command::Survey(_)
            | Command::Probe
            | Command::AddMembers(_)
            | Command::SetMembers(_)
            | Command::Purge
            | Command::Dump(_)
            | Command::Restore(_) => return None,
        };
        Some((pool.as_str(), action))
    }
}

fn release(id: StoredName, condition: &ReleaseCondition<'_>) -> Action {
    if *condition == ReleaseCondition::default() {
        return Action::Release(id);
    }
    let owner = condition.owner.as_ref().map(|owner| stored(owner.as_str()));
    Action::ReleaseWith {
        id,
        owner,
        fence: condition.fence,
        force: condition.force,
    }
}

/// Appends operations as arguments, as of now. Neighbours of the two plain kinds are written as one.
pub(super) fn write(operations: &[Operation], now: Time, command: &mut Cmd) {
    let mut rest = operations;
    while let Some(first) = rest.first() {
        let run = rest
            .iter()
            .take_while(|next| continues(&first.action, &next.action))
            .count();
        let (these, later) = rest.split_at(run.max(1));
        match &first.action {
            Action::AcquireAny => {
                command.arg("a").arg(run);
            }
            Action::Release(_) => {
                command.arg("r").arg(run);
                for operation in these {
                    if let Action::Release(id) = &operation.action {
                        command.arg(&**id);
                    }
                }
            }
            _ => write_one(first, now, command),
        }
        rest = later;
    }
}

fn continues(first: &Action, next: &Action) -> bool {
    matches!(
        (first, next),
        (Action::AcquireAny, Action::AcquireAny) | (Action::Release(_), Action::Release(_))
    )
}

fn write_one(operation: &Operation, now: Time, command: &mut Cmd) {
    match &operation.action {
        Action::AcquireAny => command.arg("a").arg(1),
        Action::Acquire(wish) => {
            let has_place = matches!(operation.asker, Asker::Returning(_));
            command.arg("A").arg(serial_of(operation.asker));
            optional(command, wish.count);
            command.arg(name(&wish.id)).arg(name(&wish.owner));
            optional(command, wish.ttl.map(Ttl::as_s));
            match wish.until {
                None => command.arg(0),
                Some(until) => {
                    let left_ms = until.ms_since(now);
                    command.arg(format!("{} {left_ms}", 1 + u8::from(has_place)))
                }
            };
            command
                // Who had a place may have one again.
                .arg(if has_place { usize::MAX } else { wish.room })
        }
        Action::Release(id) => command.arg("r").arg(1).arg(&**id),
        Action::ReleaseWith {
            id,
            owner,
            fence,
            force,
        } => {
            command.arg("R").arg(&**id).arg(name(owner));
            optional(command, fence.map(Fence::number));
            command.arg(u8::from(*force))
        }
        Action::Renew {
            id,
            owner,
            fence,
            ttl,
        } => {
            command.arg("N").arg(&**id).arg(name(owner));
            optional(command, fence.map(Fence::number));
            optional(command, ttl.map(Ttl::as_s))
        }
        Action::RenewOwned { owner, fence, ttl } => {
            command.arg("O").arg(name(owner));
            optional(command, fence.map(Fence::number));
            optional(command, ttl.map(Ttl::as_s))
        }
        Action::ReleaseAll { owner, older_s } => {
            command.arg("X").arg(name(owner));
            optional(command, *older_s)
        }
        Action::Undo(id, fence) => command.arg("U").arg(&**id).arg(fence.number()),
        Action::ListLocks => command.arg("L"),
        Action::ShowLock(id) => command.arg("l").arg(&**id),
        Action::ListWaiters => command.arg("W"),
        Action::ListMembers => command.arg("M"),
        Action::Status { .. } => command.arg("S"),
        Action::Remove => command.arg("D"),
        Action::Leave(why) => command
            .arg("Q")
            .arg(serial_of(operation.asker))
            .arg(match why {
                Leaving::Gone => "gone",
                Leaving::Late => "late",
            }),
        Action::Look => command.arg("B"),
        Action::Settle(batch) => command.arg("K").arg(*batch),
        Action::Seed => unreachable!("new members are no operation of a batch"),
    };
}

fn serial_of(asker: Asker) -> u64 {
    match asker {
        Asker::Client(ticket)
        | Asker::Waiter(ticket)
        | Asker::Returning(ticket)
        | Asker::Leaver(ticket) => ticket.serial(),
        Asker::Job(_) | Asker::Myself => u64::MAX,
    }
}

fn name(name: &Option<StoredName>) -> &str {
    name.as_deref().unwrap_or_default()
}

/// A number, or nothing where there is none.
fn optional(command: &mut Cmd, number: Option<impl Into<u64>>) -> &mut Cmd {
    match number {
        Some(number) => command.arg(number.into()),
        None => command.arg(""),
    }
}
