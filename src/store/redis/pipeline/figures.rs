//! The state of the pipeline, and its counts.

#[cfg(fuzzing)]
use super::PendingReply;
use super::{Pipeline, RedisPhase};
use crate::pool::Lending;
#[cfg(fuzzing)]
use crate::store::redis::operation::Operation;
use crate::store::redis::operation::PoolAction;
use crate::store::redis::reply::OperationAnswer;

impl Pipeline {
    /// Counts grants and releases. Redis does not report those releases that end a lease.
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

    /// Returns the counts of grants, releases and refusals for clients of this server.
    pub(in super::super) fn counts(&self) -> &Lending {
        &self.counts
    }

    /// Returns the number of waiters on this server.
    pub(in super::super) fn waiting_count(&self) -> usize {
        self.waiters.len()
    }

    /// Returns true if Redis is ready for commands.
    pub(in super::super) fn is_ready(&self) -> bool {
        self.phase == RedisPhase::Ready
    }

    /// Returns the number of replies received, and of those awaited.
    pub(in super::super) fn answered_and_awaited(&self) -> (u64, usize) {
        (self.answered, self.awaited.len())
    }

    /// Returns the operations of the batch whose reply is next, if it is one.
    #[cfg(fuzzing)]
    pub(in super::super) fn awaited_batch(&self) -> Option<&[Operation]> {
        match self.awaited.front()?.what {
            PendingReply::Batch(pool) => Some(&self.pools[pool].in_flight.as_ref()?.operations),
            _ => None,
        }
    }

    /// Returns true if the next value may be a reply.
    pub(in super::super) fn awaits(&self) -> bool {
        !self.awaited.is_empty()
    }
}
