//! Operations on one pool, and their values for the arguments of the table.

use std::rc::Rc;

use redis::Cmd;

use super::arguments::{self, ArgumentValue};
use super::operations::{ArgumentId, OperationId};
use crate::command::{
    Acquire, Command, Fence, Filter, ReleaseCondition, Renewal, Selection, StoredName, Ticket, Ttl,
};
use crate::time::Time;

/// The index of a job on several pools. It is valid until the job is done.
pub(super) type JobKey = usize;

/// One operation on one pool, and the recipient of its answer.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) reply_to: ReplyTo,
    pub(super) action: PoolAction,
}

/// The recipient of an operation's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyTo {
    /// A client whose command never waits.
    Client(Ticket),
    /// A client that may be queued.
    Waiter(Ticket),
    /// A client that this server takes for queued already.
    Requeue(Ticket),
    /// A client that leaves the queue.
    Withdrawal(Ticket),
    /// A job on several pools.
    Job(JobKey),
    /// This server itself.
    Internal,
}

/// The operation itself.
#[derive(Debug)]
pub(super) enum PoolAction {
    /// An acquire of any one resource without other parameters.
    AcquireAny,
    Acquire(Rc<AcquireRequest>),
    /// A release without other parameters.
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
    /// Releases these grants, as far as they are left.
    ReleaseGrants(Vec<Fence>),
    Undo(StoredName, Fence),
    /// Lists locks or members, up to this number; longer lists are read in slices.
    List(ListKind, usize),
    ShowLock(StoredName),
    ListWaiters,
    /// The stamp of the pool in the list.
    Status {
        stamp: StoredName,
    },
    Remove,
    /// Removes a waiter from the queue.
    Withdraw(WithdrawReason),
    /// Sends a heartbeat, and asks for grants of this server's waiters.
    Poll,
    /// Asks for the grants of a batch whose reply was lost.
    Reconcile(u64),
    /// Holds a place among the pending operations for a seed. It is not an operation of the table.
    Seed,
}

/// The lists of a pool that may be long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    Locks,
    Members,
}

/// The longest list that one script makes: a few ms of Redis' time. Longer ones are read in slices.
const MAX_AT_ONCE: usize = 2_000;

/// The reason why a waiter is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithdrawReason {
    /// Its client has disconnected. With an owner its place is kept for a while.
    Disconnected,
    /// Its wait has ended.
    TimedOut,
}

/// An acquire with more parameters than the pool.
#[derive(Debug)]
pub(super) struct AcquireRequest {
    /// The number of resources; `None` if `id` names one.
    pub(super) count: Option<u32>,
    pub(super) id: Option<StoredName>,
    pub(super) owner: Option<StoredName>,
    pub(super) ttl: Option<Ttl>,
    /// The end of its wait; `None` if it does not wait.
    pub(super) until: Option<Time>,
    /// The limit on waiters before it in the queue.
    pub(super) room: usize,
}

/// The limits for a request that may be queued.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueLimits {
    /// The limit on waiters in the queue before it.
    pub(super) room: usize,
    /// The longest wait from now on, in ms.
    pub(super) max_wait_ms: u64,
    pub(super) now: Time,
}

/// The count that stands for all members, in arguments and in the records of waiters. It is above every
/// count that a client can ask for: for an older server it is more than can be lent.
const ALL: u32 = 1_000_000_000;

impl AcquireRequest {
    fn of(acquire: &Acquire<'_>, limits: QueueLimits) -> AcquireRequest {
        let (count, id) = match &acquire.selection {
            Selection::Any(count) => (Some(count.get()), None),
            Selection::All => (Some(ALL), None),
            Selection::Named(id) => (None, Some(stored(id.as_str()))),
        };
        let wait_ms = acquire.wait_ms.min(limits.max_wait_ms);
        AcquireRequest {
            count,
            id,
            owner: acquire.owner.as_ref().map(|owner| stored(owner.as_str())),
            ttl: acquire.ttl,
            until: (acquire.wait_ms > 0).then(|| limits.now.after_ms(wait_ms)),
            room: if acquire.may_queue { limits.room } else { 0 },
        }
    }

    fn is_plain(&self) -> bool {
        self.count == Some(1) && self.owner.is_none() && self.ttl.is_none() && self.until.is_none()
    }
}

fn stored(name: &str) -> StoredName {
    StoredName::from(name)
}

impl PoolAction {
    /// Returns the action of a command on one pool, with the pool; `None` for a job on several
    /// pools. `limits` apply to a request that may be queued.
    pub(super) fn of<'a>(
        command: &'a Command<'_>,
        limits: QueueLimits,
    ) -> Option<(&'a str, PoolAction)> {
        let (pool, action) = match command {
            Command::Acquire(pool, acquire) => {
                let request = AcquireRequest::of(acquire, limits);
                let plain = request.is_plain();
                (
                    pool,
                    if plain {
                        PoolAction::AcquireAny
                    } else {
                        PoolAction::Acquire(Rc::new(request))
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
                    PoolAction::Renew {
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
                    PoolAction::RenewOwned {
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
                    PoolAction::ReleaseAll {
                        owner,
                        older_s: *older_s,
                    },
                )
            }
            Command::Undo(pool, id, fence) => (pool, PoolAction::Undo(stored(id.as_str()), *fence)),
            Command::ListLocks(pool) => (pool, PoolAction::List(ListKind::Locks, MAX_AT_ONCE)),
            Command::ShowLock(pool, id) => (pool, PoolAction::ShowLock(stored(id.as_str()))),
            Command::ListWaiters(pool) => (pool, PoolAction::ListWaiters),
            Command::ListMembers(pool) => (pool, PoolAction::List(ListKind::Members, MAX_AT_ONCE)),
            Command::RemovePool(pool) => (pool, PoolAction::Remove),
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

fn release(id: StoredName, condition: &ReleaseCondition<'_>) -> PoolAction {
    if *condition == ReleaseCondition::default() {
        return PoolAction::Release(id);
    }
    let owner = condition.owner.as_ref().map(|owner| stored(owner.as_str()));
    PoolAction::ReleaseWith {
        id,
        owner,
        fence: condition.fence,
        force: condition.force,
    }
}

impl PoolAction {
    /// Returns the operation of the table; `None` for a seed, which is a script of its own.
    pub(super) fn id(&self) -> Option<OperationId> {
        Some(match self {
            PoolAction::AcquireAny => OperationId::AcquireAny,
            PoolAction::Acquire(_) => OperationId::Acquire,
            PoolAction::Release(_) => OperationId::Release,
            PoolAction::ReleaseWith { .. } => OperationId::ReleaseWith,
            PoolAction::Renew { .. } => OperationId::Renew,
            PoolAction::RenewOwned { .. } => OperationId::RenewOwned,
            PoolAction::ReleaseAll { .. } => OperationId::ReleaseAll,
            PoolAction::ReleaseGrants(_) => OperationId::ReleaseGrants,
            PoolAction::Undo(..) => OperationId::Undo,
            PoolAction::List(ListKind::Locks, _) => OperationId::ListLocks,
            PoolAction::List(ListKind::Members, _) => OperationId::ListMembers,
            PoolAction::ShowLock(_) => OperationId::ShowLock,
            PoolAction::ListWaiters => OperationId::ListWaiters,
            PoolAction::Status { .. } => OperationId::Status,
            PoolAction::Remove => OperationId::Remove,
            PoolAction::Withdraw(_) => OperationId::Withdraw,
            PoolAction::Poll => OperationId::Poll,
            PoolAction::Reconcile(_) => OperationId::Reconcile,
            PoolAction::Seed => return None,
        })
    }
}

/// Appends operations as arguments, as of now. Neighbours of either plain kind are written as one.
pub(super) fn write(operations: &[Operation], now: Time, command: &mut Cmd) {
    let mut rest = operations;
    while let Some(first) = rest.first() {
        let run = rest
            .iter()
            .take_while(|next| continues(&first.action, &next.action))
            .count();
        let (these, later) = rest.split_at(run.max(1));
        let Some(id) = first.action.id() else {
            unreachable!("new members are no operation of a batch")
        };
        write_these(these, id, now, command);
        rest = later;
    }
}

fn continues(first: &PoolAction, next: &PoolAction) -> bool {
    matches!(
        (first, next),
        (PoolAction::AcquireAny, PoolAction::AcquireAny)
            | (PoolAction::Release(_), PoolAction::Release(_))
    )
}

/// Appends one operation, or a run of either plain kind.
fn write_these(these: &[Operation], id: OperationId, now: Time, command: &mut Cmd) {
    use {ArgumentId as Id, ArgumentValue as Value};

    let row = id.row();
    command.arg(row.letter);
    let mut put =
        |values: &[(ArgumentId, Value<'_>)]| arguments::write(command, row.arguments, values);
    let Operation { reply_to, action } = &these[0];
    match action {
        PoolAction::AcquireAny => put(&[(Id::Count, Value::Number(these.len() as u64))]),
        PoolAction::Release(_) => {
            put(&[(Id::Count, Value::Number(these.len() as u64))]);
            for operation in these {
                if let PoolAction::Release(id) = &operation.action {
                    command.arg(&**id);
                }
            }
        }
        PoolAction::Acquire(request) => {
            let had_place = matches!(reply_to, ReplyTo::Requeue(_));
            let left_ms = request.until.map(|until| until.ms_since(now));
            // A waiter that had a place may have one again.
            let room = if had_place { usize::MAX } else { request.room };
            put(&[
                (Id::Serial, Value::Number(serial_of(*reply_to))),
                (Id::Count, Value::number(request.count.map(u64::from))),
                (Id::Id, Value::name(&request.id)),
                (Id::Owner, Value::name(&request.owner)),
                (Id::Ttl, ttl_value(request.ttl)),
                (Id::WaitMs, Value::number(left_ms)),
                (Id::HadPlace, Value::Flag(had_place)),
                (Id::Room, Value::Number(room as u64)),
            ]);
        }
        PoolAction::ReleaseWith {
            id,
            owner,
            fence,
            force,
        } => put(&[
            (Id::Id, Value::Text(id)),
            (Id::Owner, Value::name(owner)),
            (Id::Fence, Value::fence(*fence)),
            (Id::Force, Value::Flag(*force)),
        ]),
        PoolAction::Renew {
            id,
            owner,
            fence,
            ttl,
        } => put(&[
            (Id::Id, Value::Text(id)),
            (Id::Owner, Value::name(owner)),
            (Id::Fence, Value::fence(*fence)),
            (Id::Ttl, ttl_value(*ttl)),
        ]),
        PoolAction::RenewOwned { owner, fence, ttl } => put(&[
            (Id::Owner, Value::name(owner)),
            (Id::Fence, Value::fence(*fence)),
            (Id::Ttl, ttl_value(*ttl)),
        ]),
        PoolAction::ReleaseAll { owner, older_s } => put(&[
            (Id::Owner, Value::name(owner)),
            (Id::OlderS, Value::number(*older_s)),
        ]),
        PoolAction::ReleaseGrants(fences) => {
            let fences: Vec<String> = { fences.iter() }
                .map(|fence| fence.number().to_string())
                .collect();
            put(&[(Id::Fences, Value::Text(&fences.join(" ")))]);
        }
        PoolAction::Undo(id, fence) => put(&[
            (Id::Id, Value::Text(id)),
            (Id::Fence, Value::Number(fence.number())),
        ]),
        PoolAction::List(_, most) => put(&[(Id::Most, Value::Number(*most as u64))]),
        PoolAction::ShowLock(id) => put(&[(Id::Id, Value::Text(id))]),
        PoolAction::Withdraw(why) => put(&[
            (Id::Serial, Value::Number(serial_of(*reply_to))),
            (Id::IsLate, Value::Flag(*why == WithdrawReason::TimedOut)),
        ]),
        PoolAction::Reconcile(batch) => put(&[(Id::Batch, Value::Number(*batch))]),
        PoolAction::ListWaiters
        | PoolAction::Status { .. }
        | PoolAction::Remove
        | PoolAction::Poll
        | PoolAction::Seed => put(&[]),
    }
}

fn serial_of(reply_to: ReplyTo) -> u64 {
    match reply_to {
        ReplyTo::Client(ticket)
        | ReplyTo::Waiter(ticket)
        | ReplyTo::Requeue(ticket)
        | ReplyTo::Withdrawal(ticket) => ticket.serial(),
        ReplyTo::Job(_) | ReplyTo::Internal => u64::MAX,
    }
}

fn ttl_value(ttl: Option<Ttl>) -> ArgumentValue<'static> {
    ArgumentValue::number(ttl.map(|ttl| u64::from(ttl.as_s())))
}
