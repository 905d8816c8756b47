//! Parsers of the replies to a batch.
//!
//! Redis is another machine, and other programs may write to it. A reply of another form is an error and
//! never a panic.

use redis::{ServerError, Value};

use super::operation::Operation;
use super::operations::ReplyKind;
use crate::command::{Fence, IdList, Lease, Leases, QueuedWaiter, Refusal, StoredName};

/// A reply that does not have the scripts' form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled;

/// The reply to a batch.
#[derive(Debug)]
pub(super) enum BatchReply {
    /// It was carried out.
    Done(BatchResult),
    /// It arrived too late, and nothing was done.
    Late,
}

/// The result of a batch that was carried out.
#[derive(Debug)]
pub(super) struct BatchResult {
    /// Redis' clock, in milliseconds.
    pub(super) redis_ms: u64,
    /// Milliseconds until a waiter may have to be served; `None` if no waiter is queued.
    pub(super) wake_ms: Option<u64>,
    /// Grants to waiters of this server, by serial.
    pub(super) served: Vec<(u64, Leases)>,
    /// The answers to the operations, in their order.
    pub(super) answers: Vec<OperationAnswer>,
    /// The error of Redis in the next operation. That one and those after it were not carried out.
    pub(super) refused: Option<ServerError>,
}

impl BatchResult {
    /// Returns true if it fits a batch of these operations: each answer is of a kind that its operation has.
    pub(super) fn is_answer_to(&self, operations: &[Operation]) -> bool {
        let has_kind = |(operation, answer): (&Operation, &OperationAnswer)| {
            let id = operation.action.id();
            id.is_some_and(|id| id.row().replies.contains(&answer.kind()))
        };
        let count = self.answers.len();
        let is_cut = self.answers.last() == Some(&OperationAnswer::Long);
        let has_count = match self.refused.is_some() || is_cut {
            false => count == operations.len(),
            true => count <= operations.len(),
        };
        has_count && operations.iter().zip(&self.answers).all(has_kind)
    }
}

/// The answer to one operation.
#[derive(Debug, PartialEq)]
pub(super) enum OperationAnswer {
    Done,
    /// The lock is released already: a success for an owner that repeats its release.
    AlreadyReleased,
    Granted(Leases),
    /// The owner holds this grant already, so nothing was lent.
    Recovered(Leases),
    /// The request is queued at this place; lower places come first.
    Waits(u64),
    Leases(Leases),
    /// The waiters of the queue.
    Waiters(Vec<QueuedWaiter>),
    Released(usize),
    Members(IdList),
    /// The numbers of resources, held ones, waiters and free ones.
    Status([usize; 4]),
    /// The pool is removed; this is its latest fence.
    Removed(Fence),
    /// The grants of a lost batch: serials of waiters, if they waited, and leases.
    Reconciled(Vec<(Option<u64>, Leases)>),
    /// Success without a result.
    Nothing,
    /// Redis has dropped this server as dead: its places in queues are lost.
    Lapsed,
    /// The list is too long for one script, or the locks are too many for one release. The operations after it were not carried out.
    Long,
    /// It arrived too late, and nothing was done.
    Late,
    Refused(Refusal),
}

impl OperationAnswer {
    pub(super) fn kind(&self) -> ReplyKind {
        match self {
            OperationAnswer::Done => ReplyKind::Done,
            OperationAnswer::AlreadyReleased => ReplyKind::AlreadyReleased,
            OperationAnswer::Granted(_) => ReplyKind::Granted,
            OperationAnswer::Recovered(_) => ReplyKind::Recovered,
            OperationAnswer::Waits(_) => ReplyKind::Waits,
            OperationAnswer::Leases(_) => ReplyKind::Leases,
            OperationAnswer::Waiters(_) => ReplyKind::Waiters,
            OperationAnswer::Released(_) => ReplyKind::Released,
            OperationAnswer::Members(_) => ReplyKind::Members,
            OperationAnswer::Status(_) => ReplyKind::Status,
            OperationAnswer::Removed(_) => ReplyKind::Removed,
            OperationAnswer::Reconciled(_) => ReplyKind::Reconciled,
            OperationAnswer::Nothing => ReplyKind::Nothing,
            OperationAnswer::Lapsed => ReplyKind::Lapsed,
            OperationAnswer::Long => ReplyKind::Long,
            OperationAnswer::Late => ReplyKind::Late,
            OperationAnswer::Refused(_) => ReplyKind::Refused,
        }
    }
}

/// Reads the reply to a batch.
pub(super) fn read_batch(value: Value) -> Result<BatchReply, Garbled> {
    let mut values = array(value)?.into_iter();
    let redis_ms = integer(values.next())?.try_into().map_err(|_| Garbled)?;
    let wake_ms = match values.next() {
        Some(Value::Int(wake_ms)) => u64::try_from(wake_ms).ok(),
        Some(Value::BulkString(word)) if word == b"late" => {
            return Ok(BatchReply::Late);
        }
        _ => return Err(Garbled),
    };
    let served = served(values.next().ok_or(Garbled)?)?;
    let served = served
        .into_iter()
        .map(|(serial, leases)| Ok((serial.ok_or(Garbled)?, leases)));
    let served = served.collect::<Result<_, Garbled>>()?;
    let mut values: Vec<Value> = values.collect();
    let refused = match values.pop() {
        Some(Value::ServerError(error)) => Some(error),
        Some(answer) => {
            values.push(answer);
            None
        }
        None => None,
    };
    let answers = values.into_iter().map(read_answer);
    Ok(BatchReply::Done(BatchResult {
        redis_ms,
        wake_ms,
        served,
        answers: answers.collect::<Result<_, Garbled>>()?,
        refused,
    }))
}

/// Reads the answer to one operation.
pub(super) fn read_answer(value: Value) -> Result<OperationAnswer, Garbled> {
    if let Value::Array(_) = value {
        return served(value).map(OperationAnswer::Reconciled);
    }
    let text = text(value)?;
    read_text(&text)
}

/// Reads an answer that is a text, as all but one are. Notices have this form, too.
pub(super) fn read_text(text: &str) -> Result<OperationAnswer, Garbled> {
    let kind = text.chars().next().ok_or(Garbled)?;
    let rest = &text[kind.len_utf8()..];
    Ok(match kind {
        'G' => OperationAnswer::Granted(some_leases(rest)?),
        'H' => OperationAnswer::Recovered(some_leases(rest)?),
        'L' => OperationAnswer::Leases(leases(rest).ok_or(Garbled)?),
        'P' => OperationAnswer::Waiters(waiters(rest).ok_or(Garbled)?),
        'M' if rest.is_empty() => OperationAnswer::Members(IdList::default()),
        'M' => OperationAnswer::Members(ids(rest)),
        'E' => OperationAnswer::Refused(Refusal::from_wire(rest.trim_start()).ok_or(Garbled)?),
        'C' => OperationAnswer::Released(number(rest)?),
        'S' => {
            let mut numbers = rest.split_whitespace().map(number);
            let mut next = || numbers.next().unwrap_or(Err(Garbled));
            OperationAnswer::Status([next()?, next()?, next()?, next()?])
        }
        'D' if rest.is_empty() => OperationAnswer::Done,
        'D' => OperationAnswer::Removed(Fence::from_number(number(rest)?)),
        'W' => OperationAnswer::Waits(number(rest)?),
        'F' if rest.is_empty() => OperationAnswer::AlreadyReleased,
        '-' => OperationAnswer::Nothing,
        _ if text == "lapsed" => OperationAnswer::Lapsed,
        _ if text == "long" => OperationAnswer::Long,
        _ if text == "late" => OperationAnswer::Late,
        _ => return Err(Garbled),
    })
}

fn ids(text: &str) -> IdList {
    let mut ids = IdList::default();
    text.split('\n').for_each(|id| ids.push_stored(id));
    ids
}

/// Reads pairs of a serial, which may be empty, and a grant.
fn served(value: Value) -> Result<Vec<(Option<u64>, Leases)>, Garbled> {
    let mut values = array(value)?.into_iter();
    let mut served = Vec::new();
    while let Some(serial) = values.next() {
        let serial = text(serial)?;
        let serial = (!serial.is_empty()).then(|| number(&serial)).transpose()?;
        match read_answer(values.next().ok_or(Garbled)?)? {
            OperationAnswer::Granted(leases) => served.push((serial, leases)),
            _ => return Err(Garbled),
        }
    }
    Ok(served)
}

/// Reads at least one lease.
fn some_leases(text: &str) -> Result<Leases, Garbled> {
    leases(text)
        .filter(|leases| !leases.is_empty())
        .ok_or(Garbled)
}

/// Reads leases of three lines each.
fn leases(text: &str) -> Option<Leases> {
    let mut leases = Leases::new();
    let mut lines = text.split('\n');
    if text.is_empty() {
        return Some(leases);
    }
    while let Some(numbers) = lines.next() {
        let (owner, id) = (lines.next()?, lines.next()?);
        let mut numbers = numbers.split(' ');
        let fence = Fence::from_number(numbers.next()?.parse().ok()?);
        let ttl_s = match numbers.next()? {
            "-" => None,
            ttl_s => Some(ttl_s.parse().ok()?),
        };
        let age_s = numbers.next()?.parse().ok()?;
        let owner = (!owner.is_empty()).then(|| StoredName::from(owner));
        leases.push(Lease {
            id: StoredName::from(id),
            fence,
            ttl_s,
            owner,
            age_s,
        });
    }
    Some(leases)
}

/// Reads waiters of three lines each.
fn waiters(text: &str) -> Option<Vec<QueuedWaiter>> {
    let mut waiters = Vec::new();
    let mut lines = text.split('\n');
    if text.is_empty() {
        return Some(waiters);
    }
    while let Some(numbers) = lines.next() {
        let (owner, id) = (lines.next()?, lines.next()?);
        let mut numbers = numbers.split(' ');
        let mut known = || match numbers.next()? {
            "-" => Some(None),
            seconds => Some(Some(seconds.parse().ok()?)),
        };
        let (age_s, left_s) = (known()?, known()?);
        let count = numbers.next()?.parse().ok()?;
        let is_lost = match numbers.next()? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let stored = |name: &str| (!name.is_empty()).then(|| StoredName::from(name));
        waiters.push(QueuedWaiter {
            owner: stored(owner),
            count,
            id: stored(id),
            age_s,
            left_s,
            is_lost,
        });
    }
    Some(waiters)
}

pub(super) fn array(value: Value) -> Result<Vec<Value>, Garbled> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(Garbled),
    }
}

pub(super) fn integer(value: Option<Value>) -> Result<i64, Garbled> {
    match value {
        Some(Value::Int(number)) => Ok(number),
        _ => Err(Garbled),
    }
}

pub(super) fn text(value: Value) -> Result<String, Garbled> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| Garbled),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(text),
        _ => Err(Garbled),
    }
}

/// Parses a number. Redis gives scores as text, and some numbers too.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Result<N, Garbled> {
    text.trim().parse().map_err(|_| Garbled)
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn lease(fence: u64, ttl_s: Option<u64>, age_s: u64, owner: Option<&str>, id: &str) -> Lease {
        let (fence, owner) = (Fence::from_number(fence), owner.map(StoredName::from));
        Lease {
            id: StoredName::from(id),
            fence,
            ttl_s,
            owner,
            age_s,
        }
    }

    fn in_line(
        age_s: Option<u64>,
        left_s: Option<u64>,
        count: usize,
        owner: Option<&str>,
        id: Option<&str>,
    ) -> QueuedWaiter {
        QueuedWaiter {
            owner: owner.map(StoredName::from),
            count,
            id: id.map(StoredName::from),
            age_s,
            left_s,
            is_lost: false,
        }
    }

    #[test]
    fn answers_are_read() {
        let plain = lease(17, Some(60), 0, None, "4");
        let owned = lease(3, None, 9, Some("a b"), "x y");
        for (text, answer) in [
            (
                "G17 60 0\n\n4",
                OperationAnswer::Granted(smallvec![plain.clone()]),
            ),
            (
                "H17 60 0\n\n4",
                OperationAnswer::Recovered(smallvec![plain.clone()]),
            ),
            (
                "L17 60 0\n\n4\n3 - 9\na b\nx y",
                OperationAnswer::Leases(smallvec![plain, owned]),
            ),
            ("L", OperationAnswer::Leases(smallvec![])),
            (
                "P3 57 2 0\n\n\n- - 1 1\na b\nx y",
                OperationAnswer::Waiters(vec![
                    in_line(Some(3), Some(57), 2, None, None),
                    QueuedWaiter {
                        is_lost: true,
                        ..in_line(None, None, 1, Some("a b"), Some("x y"))
                    },
                ]),
            ),
            ("P", OperationAnswer::Waiters(Vec::new())),
            ("M1\n2", OperationAnswer::Members(ids("1\n2"))),
            ("M", OperationAnswer::Members(IdList::default())),
            ("S 4 1 0 3", OperationAnswer::Status([4, 1, 0, 3])),
            ("C 3", OperationAnswer::Released(3)),
            ("D", OperationAnswer::Done),
            ("F", OperationAnswer::AlreadyReleased),
            ("D 9", OperationAnswer::Removed(Fence::from_number(9))),
            (
                "E owner holds 2",
                OperationAnswer::Refused(Refusal::OwnerHolds(2)),
            ),
            (
                "E only 3",
                OperationAnswer::Refused(Refusal::OnlyResources(3)),
            ),
            ("lapsed", OperationAnswer::Lapsed),
        ] {
            assert_eq!(read_text(text), Ok(answer), "{text:?}");
        }
    }

    #[test]
    fn what_no_script_says_is_an_error() {
        for text in [
            "",
            "G",
            "G1",
            "G1 2 3",
            "Gx - 0\n\n4",
            "E",
            "E tired",
            "S 1 2 3",
            "C",
            "P1 2 3 0",
            "P1 2 - 0\n\n",
            "P1 2 3 x\n\n",
            "P1 2 3\n\n",
            "P1 2 3 0\n\n\n",
            "\u{e9}",
        ] {
            assert_eq!(read_text(text), Err(Garbled), "{text:?}");
        }
        assert!(read_batch(Value::Nil).is_err());
        assert!(read_batch(Value::Array(vec![Value::Int(-1), Value::Int(0)])).is_err());
    }
}
