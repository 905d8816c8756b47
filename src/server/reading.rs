//! Reading: first the bytes of many sockets, then their meaning.
//!
//! Alternating between the system and one client's request costs more than the calls: the code of both evicts
//! each other from the caches. So a batch of sockets is read, and then all input is parsed in the same order.
//! A connection with TLS, with work to resume, or near its end is read alone, after all before it are parsed.
//! So no client overtakes another.

use std::ops::Range;

use super::connection::Connection;
use crate::host::Host;
use crate::time::Time;

const READ_BYTES: usize = 64 << 10;
/// A batch ends when less room than this is left for the next socket, in bytes. Most requests are far
/// shorter.
const MIN_ROOM_BYTES: usize = 4 << 10;
/// The maximum number of connections in a batch, so that their input stays in the caches, too.
const MAX_BATCH: usize = 64;

/// The buffer for the input of one batch.
pub(super) struct ReadBuffer {
    bytes: Box<[u8]>,
    /// The input that is not parsed yet.
    ranges: Vec<ReceivedRange>,
}

/// Input of one connection that is not parsed yet.
#[derive(Debug)]
struct ReceivedRange {
    slot: usize,
    /// Its place in the read buffer.
    range: Range<usize>,
}

impl ReadBuffer {
    pub(super) fn new() -> ReadBuffer {
        ReadBuffer {
            bytes: vec![0; READ_BYTES].into_boxed_slice(),
            ranges: Vec::new(),
        }
    }

    /// Lets sessions read and submit their commands. Clients that have hung up leave the queue first: a
    /// release in the same tick must not serve them.
    pub(super) fn read(&mut self, host: &mut Host<Connection>, now: Time) {
        host.handle_hangups(now);
        let slots = host.take_to_read();
        let mut left = &slots[..];
        while !left.is_empty() {
            let count = self.read_batch(left, host);
            match count {
                0 => self.read_alone(left[0], host, now),
                _ => self.process_batch(host, now),
            }
            left = &left[count.max(1)..];
        }
        host.give_back_to_read(slots);
    }

    /// Reads from the sockets of the first of these connections, up to one that must be read alone. Returns
    /// how many. A slot that occurs twice has no more input the second time; else it has filled the buffer
    /// and was the last.
    fn read_batch(&mut self, slots: &[usize], host: &mut Host<Connection>) -> usize {
        // Each may bring a full pipeline of requests.
        let max = (host.room() / host.settings.max_pipeline).min(MAX_BATCH);
        let mut start = 0;
        for &slot in slots.iter().take(max) {
            let room = &mut self.bytes[start..];
            if room.len() < MIN_ROOM_BYTES {
                break;
            }
            let Some(count) = host.change(slot, |connection, settings| {
                connection.try_read(room, settings)
            }) else {
                break;
            };
            let range = start..start + count;
            start = range.end;
            self.ranges.push(ReceivedRange { slot, range });
        }
        self.ranges.len()
    }

    fn process_batch(&mut self, host: &mut Host<Connection>, now: Time) {
        for ReceivedRange { slot, range } in self.ranges.drain(..) {
            host.read_one(slot, now, |connection, context| {
                connection.receive_range(&mut self.bytes, range, context);
            });
        }
    }

    fn read_alone(&mut self, slot: usize, host: &mut Host<Connection>, now: Time) {
        if host.room() == 0 && host.pause_reading(slot) {
            return;
        }
        host.read_one(slot, now, |connection, context| {
            connection.read(&mut self.bytes, context);
        });
    }
}
