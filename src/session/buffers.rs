//! Memory that sessions take while they work and give back when they are idle: thousands of silent
//! connections cost next to nothing, and busy ones allocate nothing once warm.

use std::collections::VecDeque;
use std::mem;

use super::exchange::Exchange;
use super::undelivered_grants::UndeliveredGrants;

/// Memory that is lent to sessions.
#[derive(Debug, Default)]
pub struct Buffers {
    spare: Vec<Vec<u8>>,
    spare_queues: Vec<VecDeque<Exchange>>,
    #[expect(clippy::vec_box, reason = "it is lent as it is, in its box")]
    spare_undelivered: Vec<Box<UndeliveredGrants>>,
    body: Vec<u8>,
    /// What all sessions hold together, but for the little that each may hold for nothing.
    charged_bytes: usize,
    /// How much of that strangers hold: clients that have shown no key, where there are keys.
    unauthenticated_bytes: usize,
}

/// Strangers may hold one part of so many of what all may hold.
const UNAUTHENTICATED_SHARE: usize = 8;

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

    pub(super) fn lend_undelivered(&mut self) -> Box<UndeliveredGrants> {
        self.spare_undelivered.pop().unwrap_or_default()
    }

    pub(super) fn take_back_undelivered(&mut self, mut undelivered: Box<UndeliveredGrants>) {
        if self.spare_undelivered.len() < MAX_KEPT {
            undelivered.clear();
            self.spare_undelivered.push(undelivered);
        }
    }

    /// An empty buffer for the body of one answer, which is to be given back.
    pub(super) fn lend_body(&mut self) -> Vec<u8> {
        mem::take(&mut self.body)
    }

    /// Takes it back when the answer is written.
    pub(super) fn take_back_body(&mut self, mut body: Vec<u8>) {
        if body.capacity() <= MAX_KEPT_BYTES {
            body.clear();
            self.body = body;
        }
    }
}

impl Buffers {
    /// A session that held `before` bytes holds `now`.
    pub(super) fn charge(&mut self, before: usize, now: usize, is_unauthenticated: bool) {
        self.charged_bytes = self.charged_bytes - before + now;
        if is_unauthenticated {
            self.unauthenticated_bytes = self.unauthenticated_bytes - before + now;
        }
    }

    /// Whether others hold all that may be held, so that a session that holds `own` bytes is to hold no
    /// more. What strangers hold counts only for strangers: they make way.
    pub(super) fn is_full(&self, own: usize, is_unauthenticated: bool, max: usize) -> bool {
        let others = self.charged_bytes - own;
        match is_unauthenticated {
            false => others - self.unauthenticated_bytes >= max,
            true => {
                others >= max || self.unauthenticated_bytes - own >= max / UNAUTHENTICATED_SHARE
            }
        }
    }

    /// Whether connections of strangers are to be closed, since these hold all that they may, or all that
    /// may be held is held.
    pub fn must_evict_unauthenticated(&self, max: usize) -> bool {
        self.unauthenticated_bytes > 0
            && (self.unauthenticated_bytes >= max / UNAUTHENTICATED_SHARE
                || self.charged_bytes >= max)
    }

    /// Whether enough of them were closed: half of their part is free again. So each time that this is
    /// needed, strangers have sent as much as was freed.
    pub fn has_unauthenticated_room(&self, max: usize) -> bool {
        self.unauthenticated_bytes <= max / UNAUTHENTICATED_SHARE / 2 && self.charged_bytes < max
    }
}

/// Drops the first `count` bytes, and gives memory back if what is left needs but a small part of it.
pub(super) fn drop_first(buffer: &mut Vec<u8>, count: usize) {
    buffer.drain(..count);
    if buffer.capacity() > MAX_KEPT_BYTES && buffer.len() < buffer.capacity() / 4 {
        buffer.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_is_not_kept() {
        let mut buffers = Buffers::default();
        for (length, is_kept) in [(100, true), (MAX_KEPT_BYTES, true), (9_000_000, false)] {
            let mut body = buffers.lend_body();
            assert!(body.is_empty());
            body.reserve_exact(length);
            body.resize(length, b'x');
            buffers.take_back_body(body);
            assert_eq!(buffers.body.capacity() >= length, is_kept, "{length}");
            assert!(buffers.body.is_empty());

            let mut output = buffers.lend();
            output.resize(length, b'x');
            buffers.take_back(output);
            let largest = buffers.spare.iter().map(Vec::capacity).max();
            assert!(largest.unwrap_or(0) <= MAX_KEPT_BYTES, "{length}");
        }
    }

    #[test]
    fn a_buffer_of_which_little_is_left_becomes_small() {
        for (length, left) in [(9_000_000, 1), (100_000, 1000), (100_000, 0)] {
            let mut buffer = vec![b'x'; length];
            buffer[length - left..].fill(b'y');
            drop_first(&mut buffer, length - left);
            assert_eq!(buffer, vec![b'y'; left]);
            assert!(buffer.capacity() < length / 4, "{length} {left}");
        }
        // One that is small anyhow, or needed, is left as it is.
        for (length, left) in [(10_000, 1), (100_000, 90_000)] {
            let mut buffer = vec![b'x'; length];
            drop_first(&mut buffer, length - left);
            assert!(buffer.capacity() >= length, "{length} {left}");
        }
    }
}
