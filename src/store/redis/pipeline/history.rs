//! The history of the data in Redis, and the fences of the histories before.
//!
//! A Redis that was started again or replaced may have lost grants, and with them their fences. So each greeting
//! asks whose history the data are, and if it is a new one all fences go on above those of the one before. While
//! a connection lasts, only a lost list of pools can tell that Redis was emptied.

use redis::Value;

use super::{Pipeline, Question, Step, key};
use crate::command::Fence;
use crate::store::redis::reply::{self, Garbled};
use crate::store::redis::script::Script;
use crate::time::Time;

/// All fences are below this, so that a double holds each of them exactly.
const FENCES_END: u64 = 1 << 53;

/// What this server knows of the histories of the data.
#[derive(Debug, Default)]
pub(super) struct History {
    /// All fences from now on are above this; `None` before the first greeting.
    above: Option<u64>,
    /// The highest fence that was seen, of any pool.
    highest: u64,
    /// How many histories there were after the first one.
    changes: u64,
}

impl History {
    /// The number that all fences from now on are above.
    pub(super) fn above(&self) -> u64 {
        self.above.unwrap_or_default()
    }

    /// The highest number that fences are known to have had.
    pub(super) fn seen(&self) -> u64 {
        self.highest.max(self.above())
    }

    pub(super) fn note_fence(&mut self, fence: Fence) {
        if fence.number() < FENCES_END {
            self.highest = self.highest.max(fence.number());
        }
    }

    /// Notes what fences are above from now on. Returns whether that is another number than before, and not the
    /// first.
    fn begin(&mut self, above: u64) -> bool {
        let is_change = self.above.is_some_and(|before| before < above);
        self.changes += u64::from(is_change);
        self.above = self.above.max(Some(above));
        is_change
    }
}

impl Pipeline {
    pub(super) fn ask_for_history(&mut self, now: Time) {
        self.command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::History))
            .arg(1)
            .arg(key::history(&self.options.prefix))
            .arg(self.info.history())
            .arg(self.history.seen());
        self.send(Question::Greeting(Step::History), now);
    }

    /// Takes the history of the data. Returns Redis' clock, in milliseconds.
    pub(super) fn handle_history(&mut self, value: Value, now: Time) -> Result<u64, Garbled> {
        let mut values = reply::array(value)?.into_iter();
        let redis_ms = reply::integer(values.next())?
            .try_into()
            .map_err(|_| Garbled)?;
        let above = reply::number(&reply::text(values.next().ok_or(Garbled)?)?)?;
        if above >= FENCES_END {
            return Err(Garbled);
        }
        if self.history.begin(above) {
            log::warn!(
                "{} was started again or replaced, and may have lost locks; fences go on above {above}",
                self.options
            );
        }
        // No pool is made below it, and a list without it was lost.
        self.index_command().arg("begin").arg(above);
        self.send(Question::Unheeded, now);
        Ok(redis_ms)
    }

    /// Redis had lost the list of pools while the connection lasted; new pools start above this fence.
    pub(super) fn note_lost_data(&mut self, above: u64) {
        if self.history.begin(above.min(FENCES_END - 1)) {
            log::warn!(
                "{} was emptied: all pools and locks are lost; fences go on above {above}",
                self.options
            );
        }
    }

    /// How often Redis was found to have a new history.
    pub(in super::super) fn histories(&self) -> u64 {
        self.history.changes
    }
}
