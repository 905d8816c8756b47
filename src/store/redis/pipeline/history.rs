//! The history of the data in Redis, and the fences of earlier histories.
//!
//! A Redis that was restarted or replaced may have lost grants, and with them their fences. So each greeting
//! asks for the history of the data. In a new history all fences continue above those of the one before. During
//! a connection only a lost list of pools shows that Redis was emptied.

use redis::Value;

use super::{PendingReply, Pipeline, key};
use crate::command::Fence;
use crate::store::redis::arguments::{self, ArgumentValue};
use crate::store::redis::operations::{ArgumentId, HISTORY_HEAD};
use crate::store::redis::reply::{self, Garbled};
use crate::store::redis::script::Script;
use crate::time::Time;

/// The bound on fences, so that a double holds each of them exactly.
const FENCES_END: u64 = 1 << 53;

/// The histories of the data that this server has seen.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The number below all new fences; `None` before the first greeting.
    above: Option<u64>,
    /// The highest fence seen of any pool.
    highest: u64,
    /// Histories after the first one.
    changes: u64,
}

impl History {
    /// Returns the number below all new fences.
    pub(super) fn above(&self) -> u64 {
        self.above.unwrap_or_default()
    }

    /// Returns the highest number that a fence may have had.
    pub(super) fn seen(&self) -> u64 {
        self.highest.max(self.above())
    }

    pub(super) fn note_fence(&mut self, fence: Fence) {
        if fence.number() < FENCES_END {
            self.highest = self.highest.max(fence.number());
        }
    }

    /// Sets the number below all new fences. Returns true if it has changed, and was set before.
    fn begin(&mut self, above: u64) -> bool {
        let is_change = self.above.is_some_and(|before| before < above);
        self.changes += u64::from(is_change);
        self.above = self.above.max(Some(above));
        is_change
    }
}

/// The history of the data, as stored in Redis.
#[derive(Debug)]
pub(super) struct KnownHistory {
    /// Redis' clock without its jumps, in milliseconds.
    pub(super) redis_ms: u64,
    /// The number below all its fences.
    pub(super) above: u64,
    /// The sum of the clock's jumps, in ms; negative if it was set back.
    pub(super) jumps_ms: i64,
}

pub(super) fn read_history(value: Value) -> Result<KnownHistory, Garbled> {
    let mut values = reply::array(value)?.into_iter();
    let redis_ms = reply::integer(values.next())?;
    let mut next = || reply::text(values.next().ok_or(Garbled)?);
    let history = KnownHistory {
        redis_ms: redis_ms.try_into().map_err(|_| Garbled)?,
        above: reply::number(&next()?)?,
        jumps_ms: reply::number(&next()?)?,
    };
    match history.above < FENCES_END {
        true => Ok(history),
        false => Err(Garbled),
    }
}

impl Pipeline {
    /// Writes a command for the history, which adds a jump of the clock; 0 ms adds none.
    pub(super) fn write_history(&mut self, jump_ms: i64) {
        self.command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::History))
            .arg(1)
            .arg(key::history(&self.options.prefix));
        let (id, seen) = (self.info.history(), self.history.seen());
        let known_jumps = self.clock.jumps_ms();
        arguments::write(
            &mut self.command,
            HISTORY_HEAD,
            &[
                (ArgumentId::History, ArgumentValue::Text(&id)),
                (ArgumentId::Seen, ArgumentValue::Number(seen)),
                (ArgumentId::Jumps, ArgumentValue::Signed(known_jumps)),
                (ArgumentId::Jump, ArgumentValue::Signed(jump_ms)),
            ],
        );
    }

    /// Takes over the number below all new fences.
    pub(super) fn handle_history(&mut self, above: u64, now: Time) {
        if self.history.begin(above) {
            log::warn!(
                "{} was started again or replaced, and may have lost locks; fences go on above {above}",
                self.options
            );
        }
        // No pool is created below it, and a list without it was lost.
        self.index_command().arg("begin").arg(above);
        self.send(PendingReply::Ignored, now);
    }

    /// Handles the loss of the list of pools during a connection; new pools start above this fence.
    pub(super) fn note_lost_data(&mut self, above: u64) {
        if self.history.begin(above.min(FENCES_END - 1)) {
            log::warn!(
                "{} was emptied: all pools and locks are lost; fences go on above {above}",
                self.options
            );
        }
    }

    /// Returns the number of new histories seen.
    pub(in super::super) fn histories(&self) -> u64 {
        self.history.changes
    }
}
