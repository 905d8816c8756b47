//! Memory that sessions take while they work and give back when they are idle: thousands of silent
//! connections cost next to nothing, and busy ones allocate nothing once warm.

use std::collections::VecDeque;

use super::exchange::Exchange;
use super::undelivered::Undelivered;

/// Memory that is lent to sessions.
#[derive(Debug, Default)]
pub struct Buffers {
    spare: Vec<Vec<u8>>,
    spare_queues: Vec<VecDeque<Exchange>>,
    #[expect(clippy::vec_box, reason = "it is lent as it is, in its box")]
    spare_undelivered: Vec<Box<Undelivered>>,
    body: Vec<u8>,
    /// What all sessions hold together, but for the little that each may hold for nothing.
    pub(super) held_bytes: usize,
}

/// What is larger is given back to the system.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// The most of each kind that are kept: as many as are busy within one tick of a busy server.
const MAX_KEPT: usize = 1024;

impl Buffers {
    /// An empty buffer, with memory to it.
    pub(super) fn lend(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(256))
    }

    /// Takes a buffer back that is not needed for now.
    pub(super) fn take_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= MAX_KEPT_BYTES && self.spare.len() < MAX_KEPT {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    pub(super) fn lend_queue(&mut self) -> VecDeque<Exchange> {
        self.spare_queues.pop().unwrap_or_default()
    }

    /// Takes back a queue that is empty.
    pub(super) fn take_back_queue(&mut self, queue: VecDeque<Exchange>) {
        if self.spare_queues.len() < MAX_KEPT {
            self.spare_queues.push(queue);
        }
    }

    pub(super) fn lend_undelivered(&mut self) -> Box<Undelivered> {
        self.spare_undelivered.pop().unwrap_or_default()
    }

    pub(super) fn take_back_undelivered(&mut self, mut undelivered: Box<Undelivered>) {
        if self.spare_undelivered.len() < MAX_KEPT {
            undelivered.clear();
            self.spare_undelivered.push(undelivered);
        }
    }

    /// An empty buffer for the body of one answer.
    pub(super) fn body(&mut self) -> &mut Vec<u8> {
        if self.body.capacity() > MAX_KEPT_BYTES {
            self.body = Vec::new();
        }
        self.body.clear();
        &mut self.body
    }
}
