//! Reading: first the bytes of many sockets, then their meaning.
//!
//! Alternating between the system and one client's request costs more than the calls: the code of both evicts
//! each other from the caches. So a batch of sockets is read, and then all input is parsed in the same order.
//! A connection with TLS, with work to resume, or near its end is read alone, after all before it are parsed.
//! So no client overtakes another.

use std::ops::Range;

use super::Server;
use super::connection::Connection;
use crate::session::Context;
use crate::time::Time;

/// A batch ends when less room than this is left for the next socket, in bytes. Most requests are far
/// shorter.
const MIN_ROOM_BYTES: usize = 4 << 10;
/// The maximum number of connections in a batch, so that their input stays in the caches, too.
const MAX_BATCH: usize = 64;

/// Input of one connection that is not parsed yet.
#[derive(Debug)]
pub(super) struct ReceivedRange {
    slot: usize,
    /// Its place in the read buffer.
    range: Range<usize>,
}

impl Server {
    /// Lets sessions read and submit their commands. Clients that have hung up leave the queue first: a
    /// release in the same tick must not serve them.
    pub(super) fn read(&mut self, now: Time) {
        self.handle_hangups(now);
        let mut slots = std::mem::take(&mut self.to_read);
        let mut left = &slots[..];
        while !left.is_empty() {
            let count = self.read_batch(left);
            match count {
                0 => self.read_alone(left[0], now),
                _ => self.process_batch(now),
            }
            left = &left[count.max(1)..];
        }
        slots.clear();
        debug_assert!(
            self.to_read.is_empty(),
            "reading makes no further work to read"
        );
        self.to_read = slots;
    }

    /// Reports the hang-ups of the latest events to the sessions.
    pub(super) fn handle_hangups(&mut self, now: Time) {
        let mut hung_up = std::mem::take(&mut self.hung_up);
        for slot in hung_up.drain(..) {
            self.with_connection(slot, now, |connection, _, context| {
                connection.note_hangup(context)
            });
        }
        self.hung_up = hung_up;
    }

    /// Reads from the sockets of the first of these connections, up to one that must be read alone. Returns
    /// how many. A slot that occurs twice has no more input the second time; else it has filled the buffer
    /// and was the last.
    fn read_batch(&mut self, slots: &[usize]) -> usize {
        // Each may bring a full pipeline of requests.
        let max = (self.in_flight.room() / self.settings.max_pipeline).min(MAX_BATCH);
        let mut start = 0;
        for &slot in slots.iter().take(max) {
            let room = &mut self.read_buffer[start..];
            if room.len() < MIN_ROOM_BYTES {
                break;
            }
            let connection = self.connections.get_mut(slot);
            let Some(count) = connection.and_then(|c| c.try_read(room, &self.settings)) else {
                break;
            };
            let range = start..start + count;
            start = range.end;
            self.ranges.push(ReceivedRange { slot, range });
        }
        self.ranges.len()
    }

    fn process_batch(&mut self, now: Time) {
        let mut ranges = std::mem::take(&mut self.ranges);
        for ReceivedRange { slot, range } in ranges.drain(..) {
            self.act_on(slot, now, |connection, buffer, context| {
                connection.receive_range(buffer, range, context);
            });
        }
        self.ranges = ranges;
    }

    fn read_alone(&mut self, slot: usize, now: Time) {
        if self.in_flight.room() == 0 && self.pause_reading(slot) {
            return;
        }
        self.act_on(slot, now, Connection::read);
    }

    /// Runs `act` on a connection, and notes the effect.
    pub(super) fn act_on(
        &mut self,
        slot: usize,
        now: Time,
        act: impl FnOnce(&mut Connection, &mut [u8], &mut Context<'_>),
    ) {
        let is_queued = self.with_connection(slot, now, |connection, read_buffer, context| {
            act(connection, read_buffer, context);
            connection.queue_to_write()
        });
        self.update_in_flight(slot);
        if is_queued == Some(true) {
            self.to_write.push(slot);
        }
    }
}
