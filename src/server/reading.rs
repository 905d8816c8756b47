//! How the server takes in what clients have sent: first the bytes of many sockets, then their meaning.
//!
//! To go to the system and back for each single client costs more than the calls: its code and ours
//! drive each other out of the caches. So a batch of sockets is read from, one after the other, and then
//! what they brought is understood in the same order. A connection that does not fit in, as there is TLS, or
//! something to go on with, or its end is near, is read from alone, when all before it have been understood. So
//! nobody overtakes.

use std::ops::Range;

use super::Server;
use super::connection::Connection;
use crate::session::Context;
use crate::time::Time;

/// A batch ends when there is less room than this for what the next socket may have. Most requests are
/// shorter by far.
const MIN_ROOM_BYTES: usize = 4 << 10;
/// So many have their turn in one batch: what they brought is to stay in the caches, too.
const MAX_BATCH: usize = 64;

/// What has been read from one connection and not yet been understood.
#[derive(Debug)]
pub(super) struct ReceivedRange {
    slot: usize,
    /// Where it stands in the buffer.
    range: Range<usize>,
}

impl Server {
    /// Lets sessions read, and hand their commands to the store. Who has hung up leaves the queue
    /// first: a release that has come at the same moment is not to be handed to it.
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

    /// Tells the sessions whose clients have hung up, as the last events say.
    pub(super) fn handle_hangups(&mut self, now: Time) {
        let mut hung_up = std::mem::take(&mut self.hung_up);
        for slot in hung_up.drain(..) {
            self.with_connection(slot, now, |connection, _, context| {
                connection.note_hangup(context)
            });
        }
        self.hung_up = hung_up;
    }

    /// Reads from the sockets of the first of these connections, up to one that must be read from alone.
    /// Answers from how many. One that stands there twice has nothing more to be read the second time: else it
    /// has filled the room, and was the last.
    fn read_batch(&mut self, slots: &[usize]) -> usize {
        // Each may bring as many requests as it may have in flight.
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

    /// Lets a connection act, and notes what came of it.
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
