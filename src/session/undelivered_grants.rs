//! Grants whose answers have not left yet.
//!
//! A grant whose answer cannot be written is undone, unless it has an owner, who comes back for it.
//! So each is remembered until the system has taken the last byte of its answer.
//!
//! A client that has closed its side by then may still read, or be gone: only the acknowledgement of its
//! system, or its refusal, tells the two apart. Grants to such a client are remembered until then.

use std::collections::VecDeque;

use super::exchange::State;
use super::{Buffers, CommandSink, Outcome};
use crate::command::{Granted, Reply};

/// The most grants of one connection that are remembered until their answers are acknowledged.
const MAX_UNACKNOWLEDGED: usize = 1024;

/// Grants whose answers have not left yet, in the order of their answers: at least one.
#[derive(Debug, Default)]
pub(super) struct UndeliveredGrants {
    /// Each with how many bytes will have left when its answer has, counted as `sent` is.
    grants: VecDeque<(u64, Granted)>,
    /// How many bytes have left since there are such grants.
    sent: u64,
}

/// Notes what is to be undone if the last `unsent` bytes, which an answer ends that was just written
/// down, do not leave.
pub(super) fn note(
    undelivered: &mut Option<Box<UndeliveredGrants>>,
    unsent: usize,
    state: State,
    buffers: &mut Buffers,
) {
    if let State::Ready(Outcome::Reply(Reply::Granted(granted))) = state
        && granted.can_be_undone()
    {
        let undelivered = undelivered.get_or_insert_with(|| buffers.lend_undelivered());
        let end = undelivered.sent + unsent as u64;
        undelivered.grants.push_back((end, granted));
    }
}

impl UndeliveredGrants {
    /// So many further bytes have left. Whether that was all. `client_has_closed` keeps the grants
    /// until their answers are acknowledged.
    pub(super) fn handle_sent(&mut self, count: usize, client_has_closed: bool) -> bool {
        self.sent += count as u64;
        // Other systems do not tell what is acknowledged.
        let keeps = client_has_closed && cfg!(target_os = "linux");
        let kept = if keeps { MAX_UNACKNOWLEDGED } else { 0 };
        while self.grants.len() > kept
            && let Some((end, _)) = self.grants.front()
            && *end <= self.sent
        {
            self.grants.pop_front();
        }
        self.grants.is_empty()
    }

    /// Undoes all that have not left, or that were refused.
    pub(super) fn undo(&mut self, sink: &mut dyn CommandSink) {
        for (_, granted) in self.grants.drain(..) {
            granted.undo().map(|command| sink.submit(command));
        }
    }

    /// As one that was never used, but with its memory.
    pub(super) fn clear(&mut self) {
        self.grants.clear();
        self.sent = 0;
    }
}
