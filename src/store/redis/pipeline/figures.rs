//! How the conversation stands: whether Redis answers, and what came of lending.

use super::{Pipeline, RedisPhase};
use crate::metrics::Lending;
use crate::store::redis::operation::PoolAction;
use crate::store::redis::reply::OperationAnswer;

impl Pipeline {
    /// Counts what has been lent and given back. What is given back because a lease is over is not
    /// told.
    pub(super) fn count(&mut self, action: &PoolAction, answer: &OperationAnswer) {
        let counts = &mut self.counts;
        match (action, answer) {
            (_, OperationAnswer::Granted(leases)) => counts.granted += leases.len() as u64,
            (_, OperationAnswer::Reconciled(grants)) => {
                let resources = grants.iter().map(|(_, leases)| leases.len() as u64);
                counts.granted += resources.sum::<u64>();
            }
            (PoolAction::Release(_) | PoolAction::ReleaseWith { .. }, OperationAnswer::Done) => {
                counts.released += 1
            }
            (_, OperationAnswer::Released(count)) => counts.released += *count as u64,
            _ => {}
        }
    }

    /// What came of lending for the clients of this server.
    pub(in super::super) fn counts(&self) -> &Lending {
        &self.counts
    }

    /// How many waiters this server has.
    pub(in super::super) fn waiting_count(&self) -> usize {
        self.waiters.len()
    }

    /// Whether Redis is there to be asked.
    pub(in super::super) fn is_ready(&self) -> bool {
        self.phase == RedisPhase::Ready
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
