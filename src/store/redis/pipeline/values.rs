//! Values from Redis: replies in the order of the commands, and notices on a connection of their own.

use redis::Value;

use super::batches::describe;
use super::{LossReason, PendingReply, Pipeline, key};
use crate::store::redis::reply::{self, OperationAnswer};
use crate::time::Time;

impl Pipeline {
    /// Handles one value. After an error the connection is unusable: call `handle_loss`.
    pub(in super::super) fn handle_value(
        &mut self,
        value: Value,
        now: Time,
    ) -> Result<(), LossReason> {
        // Notices arrive on the other connection.
        if let Value::Push { .. } = value {
            return Err("an unexpected notice".into());
        }
        let question = self.awaited.pop_front().ok_or("an unexpected answer")?;
        self.answered += 1;
        match question.what {
            PendingReply::Greeting(step) => {
                self.handle_greeting(step, value, question.sent_at, now)
            }
            PendingReply::Batch(pool) => {
                let result = self.handle_batch(pool, value, question.sent_at, now);
                if result.is_err() {
                    // The loss that follows treats it like the others.
                    self.awaited.push_front(question);
                }
                result
            }
            PendingReply::Stamp(pool) => {
                self.handle_stamp(pool, value);
                Ok(())
            }
            PendingReply::Listing(job) => self.handle_listing(job, value, now),
            PendingReply::List(job) => self.handle_list(job, value, now),
            PendingReply::Seed(job) => self.handle_seed(job, value, question.sent_at, now),
            PendingReply::Slice(job, read) => self.handle_slice(job, read, value, now),
            PendingReply::ListSlice(job) => self.handle_list_slice(job, value, now),
            PendingReply::Retired(job) => self.handle_retired(job, value, now),
            PendingReply::Restored(job) => self.handle_restored(job, value, question.sent_at, now),
            PendingReply::Forgotten(pool) => {
                self.handle_forgotten(pool, value, now);
                Ok(())
            }
            PendingReply::Trial => self.handle_trial(value, now),
            PendingReply::Clock(jump_ms) => {
                self.handle_clock(jump_ms, value, question.sent_at, now)
            }
            PendingReply::Load | PendingReply::Ignored => {
                if let Value::ServerError(error) = value {
                    self.warn_throttled(&describe(&error), now);
                }
                Ok(())
            }
        }
    }

    /// Handles a notice on this server's channel: the base of a pool, a serial, and an answer. Without a serial
    /// it says that a waiter may be served, or that all its places are lost. Malformed and unknown notices are
    /// ignored.
    pub(in super::super) fn handle_notice(&mut self, data: Vec<Value>) {
        let Some(Ok(text)) = data.into_iter().nth(1).map(reply::text) else {
            return;
        };
        let mut lines = text.splitn(3, '\n');
        let (Some(base), Some(serial), Some(words)) = (lines.next(), lines.next(), lines.next())
        else {
            return;
        };
        if serial.is_empty() {
            let pool = key::pool_of(&self.options.prefix, base);
            if let Some(&pool) = pool.and_then(|pool| self.names.get(pool.as_str())) {
                match reply::read_text(words) {
                    Ok(OperationAnswer::Lapsed) => self.requeue_waiters(pool),
                    _ => self.poll_grants(pool),
                }
            }
            return;
        }
        let Ok(serial) = reply::number(serial) else {
            return;
        };
        if let Ok(OperationAnswer::Refused(refusal)) = reply::read_text(words) {
            self.dismiss(serial, refusal);
        }
    }
}
