//! Memory that busy sessions borrow and idle sessions give back. Thousands of silent connections cost next to
//! nothing, and busy ones allocate nothing once the buffers are warm.

use std::collections::VecDeque;
use std::mem;

use super::exchange::Exchange;
use super::undelivered_grants::UndeliveredGrants;

/// Memory that is lent to sessions, and the sum of what they hold.
#[derive(Debug, Default)]
pub struct Buffers {
    spare: Vec<Vec<u8>>,
    spare_queues: Vec<VecDeque<Exchange>>,
    #[expect(clippy::vec_box, reason = "it is lent as it is, in its box")]
    spare_undelivered: Vec<Box<UndeliveredGrants>>,
    body: Vec<u8>,
    /// Bytes that all sessions hold together, beyond the free allowance of each.
    charged_bytes: usize,
    /// The part of `charged_bytes` that unauthenticated clients hold. 0 where there are no keys.
    unauthenticated_bytes: usize,
}

/// Unauthenticated clients may hold one part in this many of the budget.
const UNAUTHENTICATED_SHARE: usize = 8;

/// Buffers above this capacity go back to the system.
const MAX_KEPT_BYTES: usize = 16 << 10;

/// The maximum number of spare buffers of each kind: as many as are busy within one tick of a busy server.
const MAX_KEPT: usize = 1024;

impl Buffers {
    /// Returns an empty buffer that has capacity.
    pub(super) fn lend(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(256))
    }

    /// Takes back a buffer that is not needed for now.
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

    /// Returns an empty buffer for the body of one answer. The caller gives it back by `take_back_body`.
    pub(super) fn lend_body(&mut self) -> Vec<u8> {
        mem::take(&mut self.body)
    }

    /// Takes back the body buffer when the answer is written.
    pub(super) fn take_back_body(&mut self, mut body: Vec<u8>) {
        if body.capacity() <= MAX_KEPT_BYTES {
            body.clear();
            self.body = body;
        }
    }
}

impl Buffers {
    /// Replaces the `before` bytes of a session by `now` bytes.
    pub(super) fn charge(&mut self, before: usize, now: usize, is_unauthenticated: bool) {
        self.charged_bytes = self.charged_bytes - before + now;
        if is_unauthenticated {
            self.unauthenticated_bytes = self.unauthenticated_bytes - before + now;
        }
    }

    /// Returns whether the other sessions use up the budget of `max` bytes, so that a session with `own`
    /// bytes may take no more. Bytes of unauthenticated clients count only against unauthenticated clients:
    /// they make way.
    pub(super) fn is_full(&self, own: usize, is_unauthenticated: bool, max: usize) -> bool {
        let others = self.charged_bytes - own;
        match is_unauthenticated {
            false => others - self.unauthenticated_bytes >= max,
            true => {
                others >= max || self.unauthenticated_bytes - own >= max / UNAUTHENTICATED_SHARE
            }
        }
    }

    /// Returns whether connections of unauthenticated clients must be evicted: they use up their share, or
    /// all sessions use up the budget of `max` bytes.
    pub fn must_evict_unauthenticated(&self, max: usize) -> bool {
        self.unauthenticated_bytes > 0
            && (self.unauthenticated_bytes >= max / UNAUTHENTICATED_SHARE
                || self.charged_bytes >= max)
    }

    /// Returns whether enough of them were evicted: half of their share is free again. So before the next
    /// eviction, unauthenticated clients must send as much as was freed.
    pub fn has_unauthenticated_room(&self, max: usize) -> bool {
        self.unauthenticated_bytes <= max / UNAUTHENTICATED_SHARE / 2 && self.charged_bytes < max
    }
}

/// Drops the first `count` bytes. Gives memory back if the rest needs only a small part of it.
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
        // A buffer that is small or mostly used stays as it is.
        for (length, left) in [(10_000, 1), (100_000, 90_000)] {
            let mut buffer = vec![b'x'; length];
            drop_first(&mut buffer, length - left);
            assert!(buffer.capacity() >= length, "{length} {left}");
        }
    }
}
