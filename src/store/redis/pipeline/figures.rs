//! How the conversation stands: whether Redis answers, and what came of lending.

use redis::Value;

use super::batches::in_words;
use super::{Phase, Pipeline, Question};
use crate::command::{Refusal, Reply, Ticket};
use crate::metrics::Lending;
use crate::store::redis::operation::Action;
use crate::store::redis::reply::Answer;
use crate::time::Time;

impl Pipeline {
    /// Asks Redis whether it is there. While it is known not to be, nobody waits for it to come.
    pub(super) fn probe(&mut self, ticket: Ticket, now: Time) {
        if self.phase != Phase::Ready {
            return self.refuse(ticket, Refusal::StoreDown);
        }
        self.command.arg("PING");
        self.send(Question::Probe(ticket), now);
    }

    pub(super) fn handle_probe(&mut self, ticket: Ticket, value: Value, now: Time) {
        if let Value::ServerError(error) = value {
            self.complain(&in_words(&error), now);
            return self.refuse(ticket, Refusal::StoreDown);
        }
        self.replies.push_back((ticket, Reply::Ready));
    }

    /// Counts what has been lent and given back. What is given back because a lease is over is not
    /// told.
    pub(super) fn count(&mut self, action: &Action, answer: &Answer) {
        let counts = &mut self.counts;
        match (action, answer) {
            (_, Answer::Granted(leases)) => counts.granted += leases.len() as u64,
            (_, Answer::Settled(grants)) => {
                let resources = grants.iter().map(|(_, leases)| leases.len() as u64);
                counts.granted += resources.sum::<u64>();
            }
            (Action::Release(_) | Action::ReleaseWith { .. }, Answer::Done) => counts.released += 1,
            (_, Answer::Released(count)) => counts.released += *count as u64,
            _ => {}
        }
    }

    /// What came of lending for the clients of this server.
    pub(in super::super) fn counts(&self) -> &Lending {
        &self.counts
    }

    /// How many stand in line through this server.
    pub(in super::super) fn waiting_count(&self) -> usize {
        self.waiters.len()
    }

    /// Whether Redis is there to be asked.
    pub(in super::super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// How many commands were answered so far, and how many answers are awaited.
    pub(in super::super) fn answered_and_awaited(&self) -> (u64, usize) {
        (self.answered, self.awaited.len())
    }

    /// Whether a value that comes now may be an answer.
    pub(in super::super) fn awaits(&self) -> bool {
        !self.awaited.is_empty()
    }
}
