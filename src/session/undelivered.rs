//! Grants whose answers have not left yet.
//!
//! A grant whose answer cannot be written is undone, unless it has an owner, who comes back for it.
//! So each is remembered until the system has taken the last byte of its answer.

use std::collections::VecDeque;

use super::exchange::State;
use super::{Buffers, Desk, Outcome};
use crate::command::{Granted, Reply};

/// Grants whose answers have not left yet, in the order of their answers.
#[derive(Debug, Default)]
pub(super) struct Undelivered {
    grants: VecDeque<(u64, Granted)>,
    /// How many bytes of answers there were so far.
    written: u64,
    /// How many of these have left.
    sent: u64,
}

impl Undelivered {
    /// An answer of this length has been written down, to what is in this state.
    pub(super) fn note(&mut self, length: usize, state: State, buffers: &mut Buffers) {
        self.note_other(length);
        if let State::Ready(Outcome::Reply(Reply::Granted(granted))) = state
            && granted.can_be_undone()
        {
            if self.grants.capacity() == 0 {
                self.grants = buffers.lend_grants();
            }
            self.grants.push_back((self.written, granted));
        }
    }

    /// Something else of this length has been written down.
    pub(super) fn note_other(&mut self, length: usize) {
        self.written += length as u64;
    }

    /// So many further bytes have left.
    pub(super) fn handle_sent(&mut self, count: usize, buffers: &mut Buffers) {
        self.sent += count as u64;
        while self
            .grants
            .front()
            .is_some_and(|(end, _)| *end <= self.sent)
        {
            self.grants.pop_front();
        }
        if self.grants.is_empty() && self.grants.capacity() > 0 {
            buffers.take_back_grants(std::mem::take(&mut self.grants));
        }
    }

    /// Undoes all that have not left.
    pub(super) fn undo(&mut self, desk: &mut dyn Desk) {
        for (_, granted) in self.grants.drain(..) {
            granted.undo().map(|command| desk.submit(command));
        }
    }
}
