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
const LEAST_ROOM_BYTES: usize = 4 << 10;
/// So many have their turn in one batch: what they brought is to stay in the caches, too.
const MOST_AT_ONCE: usize = 64;

/// What has been read from one connection and not yet been understood.
#[derive(Debug)]
pub(super) struct Piece {
    slot: usize,
    /// Where it stands in the buffer.
    place: Range<usize>,
}

impl Server {
    /// Lets sessions read, and hand their commands to the store. Who has hung up leaves the queue
    /// first: a release that has come at the same moment is not to be handed to it.
    pub(super) fn read(&mut self, now: Time) {
        self.tell_hangups(now);
        let mut slots = std::mem::take(&mut self.to_read);
        let mut left = &slots[..];
        while !left.is_empty() {
            let count = self.read_batch(left);
            match count {
                0 => self.read_alone(left[0], now),
                _ => self.understand_batch(now),
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
    pub(super) fn tell_hangups(&mut self, now: Time) {
        let mut hung_up = std::mem::take(&mut self.hung_up);
        for slot in hung_up.drain(..) {
            self.at(slot, now, |connection, _, context| {
                connection.note_hangup(context)
            });
        }
        self.hung_up = hung_up;
    }

    /// Reads from the sockets of the first of these connections, up to one that must be read from alone.
    /// Answers from how many. One that stands there twice has nothing more to be read the second time: else it
    /// has filled the room, and was the last.
    fn read_batch(&mut self, slots: &[usize]) -> usize {
        // Each may bring as many requests as it may have in hand.
        let most = (self.load.room() / self.settings.max_pipeline).min(MOST_AT_ONCE);
        let mut start = 0;
        for &slot in slots.iter().take(most) {
            let room = &mut self.read_buffer[start..];
            if room.len() < LEAST_ROOM_BYTES {
                break;
            }
            let connection = self.connections.get_mut(slot);
            let Some(count) = connection.and_then(|c| c.read_piece(room, &self.settings)) else {
                break;
            };
            let place = start..start + count;
            start = place.end;
            self.pieces.push(Piece { slot, place });
        }
        self.pieces.len()
    }

    fn understand_batch(&mut self, now: Time) {
        let mut pieces = std::mem::take(&mut self.pieces);
        for Piece { slot, place } in pieces.drain(..) {
            self.let_act(slot, now, |connection, buffer, context| {
                connection.receive_piece(buffer, place, context);
            });
        }
        self.pieces = pieces;
    }

    fn read_alone(&mut self, slot: usize, now: Time) {
        if self.load.room() == 0 && self.hold_back(slot) {
            return;
        }
        self.let_act(slot, now, Connection::read);
    }

    /// Lets a connection act, and notes what came of it.
    pub(super) fn let_act(
        &mut self,
        slot: usize,
        now: Time,
        act: impl FnOnce(&mut Connection, &mut [u8], &mut Context<'_>),
    ) {
        let enlisted = self.at(slot, now, |connection, read_buffer, context| {
            act(connection, read_buffer, context);
            connection.enlist_to_write()
        });
        self.recount(slot);
        if enlisted == Some(true) {
            self.to_write.push(slot);
        }
    }
}
