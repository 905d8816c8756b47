//! Grants whose answers have not left yet.
//!
//! A grant whose answer cannot be delivered is undone, unless it has an owner, who can ask for it again. So
//! each is remembered until the system has taken the last byte of its answer.
//!
//! A client that has closed its side by then may still read, or be gone. Only the acknowledgement or the
//! refusal by the peer's system tells these apart, so grants to such a client are remembered until then.

use std::collections::VecDeque;

use crate::command::Granted;

/// The maximum number of grants of one connection that are remembered until acknowledged.
const MAX_UNACKNOWLEDGED: usize = 1024;

/// Grants whose answers have not left yet, in the order of their answers. Never empty.
#[derive(Debug, Default)]
pub(super) struct UndeliveredGrants {
    /// Each with the value of `sent` at which its answer has left.
    grants: VecDeque<(u64, Granted)>,
    /// Bytes that have left since there are such grants.
    sent: u64,
}

impl UndeliveredGrants {
    /// Remembers a grant whose answer ends `unsent` bytes from now.
    pub(super) fn note(&mut self, unsent: usize, granted: Granted) {
        self.grants.push_back((self.sent + unsent as u64, granted));
    }

    /// Counts `count` more bytes as sent. Returns whether no grant is left. `client_has_closed` keeps the
    /// grants until their answers are acknowledged.
    pub(super) fn handle_sent(&mut self, count: usize, client_has_closed: bool) -> bool {
        self.sent += count as u64;
        // Other systems do not report acknowledgements.
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

    /// Takes all grants whose answers have not left or were refused, to undo them.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Granted> + '_ {
        self.grants.drain(..).map(|(_, granted)| granted)
    }

    /// Resets it for reuse, but keeps its memory.
    pub(super) fn clear(&mut self) {
        self.grants.clear();
        self.sent = 0;
    }
}
