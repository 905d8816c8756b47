//! The unsent answers of a session, and the grants among them.

use std::mem;

use super::buffers::{Buffers, drop_first};
use super::undelivered_grants::UndeliveredGrants;
use crate::command::Granted;

/// Answers that have not left yet. Owns no memory while it is empty.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// The number of bytes at the start of `bytes` that have been sent.
    sent: usize,
    /// Grants to undo if their answers cannot be sent, or are refused by the peer of a client that has closed
    /// its side.
    undelivered: Option<Box<UndeliveredGrants>>,
}

impl Output {
    /// Returns the bytes to send next.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns the bytes, to append an answer.
    pub(super) fn bytes_mut(&mut self, buffers: &mut Buffers) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.lend();
        }
        &mut self.bytes
    }

    /// Appends bytes that are no answer.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes a long answer, of which the bytes before `start` do not count. All earlier output has left.
    pub(super) fn take_long(&mut self, bytes: Vec<u8>, start: usize) {
        (self.bytes, self.sent) = (bytes, start);
    }

    /// Remembers a grant whose answer is the last in the output. It is undone if these bytes do not leave.
    pub(super) fn note_grant(&mut self, granted: Granted, buffers: &mut Buffers) {
        if granted.can_be_undone() {
            let unsent = self.bytes.len() - self.sent;
            self.undelivered
                .get_or_insert_with(|| buffers.lend_undelivered())
                .note(unsent, granted);
        }
    }

    /// Counts `count` more bytes as sent. `client_has_closed` keeps the grants until their answers are acknowledged.
    pub(super) fn handle_sent(
        &mut self,
        count: usize,
        client_has_closed: bool,
        buffers: &mut Buffers,
    ) {
        self.sent += count;
        assert!(
            self.sent <= self.bytes.len(),
            "no more is sent than there is"
        );
        if let Some(undelivered) = self
            .undelivered
            .take_if(|undelivered| undelivered.handle_sent(count, client_has_closed))
        {
            buffers.take_back_undelivered(undelivered);
        }
        if self.sent == self.bytes.len() {
            self.sent = 0;
            buffers.take_back(mem::take(&mut self.bytes));
        }
    }

    /// Drops the sent part: a client that always leaves a little unread must not keep it in memory.
    pub(super) fn drop_sent(&mut self) {
        if self.sent > self.bytes.len() / 2 {
            drop_first(&mut self.bytes, self.sent);
            self.sent = 0;
        }
    }

    /// Drops all bytes. The grants stay.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    /// Returns whether grants are not delivered, or not acknowledged yet.
    pub(super) fn has_undelivered(&self) -> bool {
        self.undelivered.is_some()
    }

    /// Takes the grants that are not delivered, to undo or to forget them.
    pub(super) fn take_undelivered(&mut self) -> Option<Box<UndeliveredGrants>> {
        self.undelivered.take()
    }
}
