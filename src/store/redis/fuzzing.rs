//! The parts of the Redis store that fuzz targets call. It is built for them alone (`cfg(fuzzing)`), so
//! that no other code can depend on it.

use std::fmt::Write;

use redis::{Parser, PushKind, Value};

use super::link::parse_pieces;
use super::operation::Operation;
use super::operations::{OPERATIONS, ReplyKind};
use super::pipeline::Pipeline;
use super::reply::{self, OperationAnswer};
use super::script::{Script, Scripts};
use super::{RedisAddress, RedisOptions};
use crate::command::{Command, Leases, QueuedWaiter, Reply, Ticket};
use crate::pool::Rules;
use crate::time::Time;

/// Parses values that arrive in `pieces`, and returns whether the connection would still be usable.
pub fn values(pieces: &[&[u8]]) -> (Vec<Value>, bool) {
    parse_pieces(&mut Parser::new(), pieces)
}

/// Reads the answer to an operation, and writes it again in the scripts' format.
pub fn read_and_write(text: &str) -> Option<String> {
    Some(write_answer(&reply::read_text(text).ok()?))
}

/// Returns true if the value is a readable reply to a batch.
pub fn read_batch(value: Value) -> bool {
    reply::read_batch(value).is_ok()
}

/// Returns all replies of the table, as texts of the scripts.
pub fn reply_texts() -> Vec<&'static str> {
    let kinds = OPERATIONS.iter().flat_map(|row| row.replies);
    kinds.flat_map(|&kind| samples(kind)).copied().collect()
}

/// Returns replies of this kind. An answer that is no text has none.
fn samples(kind: ReplyKind) -> &'static [&'static str] {
    match kind {
        ReplyKind::Done => &["D"],
        ReplyKind::AlreadyReleased => &["F"],
        ReplyKind::Granted => &["G17 60 0\n\n4", "G18446744073709551615 - 0\no\n1"],
        ReplyKind::Recovered => &["H17 60 0\no\n4"],
        ReplyKind::Waits => &["W1", "W2"],
        ReplyKind::Leases => &["L", "L1 - 0\n\n1"],
        ReplyKind::Waiters => &["P", "P3 57 2 0\no\n"],
        ReplyKind::Released => &["C 3"],
        ReplyKind::Members => &["M", "M1\n2"],
        ReplyKind::Status => &["S 4 1 0 3"],
        ReplyKind::Removed => &["D 9"],
        ReplyKind::Reconciled => &[],
        ReplyKind::Nothing => &["-"],
        ReplyKind::Lapsed => &["lapsed"],
        ReplyKind::Long => &["long"],
        ReplyKind::Late => &["late"],
        ReplyKind::Refused => &[
            "E busy",
            "E no pool",
            "E only 3",
            "E owner holds 2",
            "E not held",
        ],
    }
}

fn write_answer(answer: &OperationAnswer) -> String {
    match answer {
        OperationAnswer::Done => "D".into(),
        OperationAnswer::AlreadyReleased => "F".into(),
        OperationAnswer::Granted(leases) => format!("G{}", write_leases(leases)),
        OperationAnswer::Recovered(leases) => format!("H{}", write_leases(leases)),
        OperationAnswer::Leases(leases) => format!("L{}", write_leases(leases)),
        OperationAnswer::Waiters(waiters) => format!("P{}", write_waiters(waiters)),
        OperationAnswer::Members(ids) => {
            let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
            format!("M{}", ids.join("\n"))
        }
        OperationAnswer::Waits(place) => format!("W{place}"),
        OperationAnswer::Released(count) => format!("C {count}"),
        OperationAnswer::Status([resources, held, waiting, free]) => {
            format!("S {resources} {held} {waiting} {free}")
        }
        OperationAnswer::Removed(fence) => format!("D {}", fence.number()),
        OperationAnswer::Nothing => "-".into(),
        OperationAnswer::Lapsed => "lapsed".into(),
        OperationAnswer::Long => "long".into(),
        OperationAnswer::Late => "late".into(),
        OperationAnswer::Refused(refusal) => {
            let store = refusal.id().row().store.expect("a store refuses so");
            match refusal.count() {
                None => format!("E {}", store.wire),
                Some(count) => format!("E {} {count}", store.wire),
            }
        }
        OperationAnswer::Reconciled(_) => unreachable!("it is no text"),
    }
}

fn write_leases(leases: &Leases) -> String {
    let mut text = String::new();
    for lease in leases {
        if !text.is_empty() {
            text.push('\n');
        }
        let ttl = lease
            .ttl_s
            .map_or("-".into(), |seconds| seconds.to_string());
        let owner = lease.owner.as_deref().unwrap_or("");
        let (fence, age, id) = (lease.fence.number(), lease.age_s, &lease.id);
        let _ = write!(text, "{fence} {ttl} {age}\n{owner}\n{id}");
    }
    text
}

fn write_waiters(waiters: &[QueuedWaiter]) -> String {
    let known = |seconds: Option<u64>| seconds.map_or("-".into(), |seconds| seconds.to_string());
    let write_one = |waiter: &QueuedWaiter| {
        let (age, left, count) = (known(waiter.age_s), known(waiter.left_s), waiter.count);
        let (lost, owner) = (u8::from(waiter.is_lost), waiter.owner.as_deref());
        let (owner, id) = (owner.unwrap_or(""), waiter.id.as_deref().unwrap_or(""));
        format!("{age} {left} {count} {lost}\n{owner}\n{id}")
    };
    let texts: Vec<String> = waiters.iter().map(write_one).collect();
    texts.join("\n")
}

/// A pipeline whose Redis may send anything.
pub struct FuzzPeer(Pipeline);

impl FuzzPeer {
    /// Returns a pipeline without a connection.
    pub fn new(rules: Rules) -> FuzzPeer {
        let options = RedisOptions {
            address: RedisAddress::Tcp("h".into(), 1),
            tls: None,
            login: None,
            database: 0,
            prefix: "pool:".into(),
            timeout_ms: 2000,
        };
        let scripts = Scripts::with_clock("");
        FuzzPeer(Pipeline::new(options, rules, "s".into(), scripts))
    }

    /// Completes a connection.
    pub fn connect(&mut self, now: Time) {
        self.0.handle_attempt();
        self.0.handle_connected(now);
    }

    /// Returns the replies that each operation of a batch may have, if the next reply is that of a batch.
    pub fn fitting_replies(&self) -> Option<Vec<Vec<&'static str>>> {
        let fitting = |operation: &Operation| {
            let id = operation.action.id()?;
            let samples = id.row().replies.iter().flat_map(|&kind| samples(kind));
            Some(samples.copied().collect())
        };
        self.0.awaited_batch()?.iter().map(fitting).collect()
    }

    /// Returns the number of scripts that a greeting loads.
    pub fn script_count() -> usize {
        Script::ALL.len()
    }

    /// Submits a command of a client.
    pub fn submit(&mut self, ticket: Ticket, command: &Command<'_>, now: Time) {
        self.0.submit(ticket, command, now);
    }

    /// Withdraws a waiter.
    pub fn withdraw(&mut self, ticket: Ticket) {
        self.0.withdraw(ticket);
    }

    /// Handles a value on either connection; an error means that the connection is lost.
    pub fn receive(&mut self, value: Value, now: Time) -> Result<(), String> {
        match value {
            Value::Push {
                kind: PushKind::Subscribe,
                ..
            } => self.0.handle_listening(),
            Value::Push {
                kind: PushKind::Message,
                data,
            } => self.0.handle_notice(data),
            value => return self.0.handle_value(value, now),
        }
        Ok(())
    }

    /// Handles timeouts; an error means that the connection is lost.
    pub fn pass_time(&mut self, now: Time) -> Result<(), String> {
        self.0.handle_timeout(now)
    }

    /// Loses the connection.
    pub fn lose(&mut self, may_be_alive: bool, now: Time) {
        self.0.handle_loss(may_be_alive, now);
    }

    /// Returns the bytes to send to Redis.
    pub fn send(&mut self, now: Time) -> Vec<u8> {
        self.0.flush(now);
        std::mem::take(self.0.output())
    }

    /// Returns the next reply to a client.
    pub fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        self.0.poll_reply()
    }
}
