//! How many requests are in hand in all connections together: who would add to too many is not read
//! from, until the store has answered some of them. Who is queued does not count: whoever could
//! end that waiting must be heard.

use super::Server;
use crate::api::ListenerRole;
use crate::session::InHand;

/// The requests that are in hand.
#[derive(Debug)]
pub(super) struct Load {
    count: u64,
    most: u64,
    /// Slots that wait to be read from.
    held_back: Vec<usize>,
}

impl Load {
    pub(super) fn new(most: usize) -> Load {
        Load {
            count: 0,
            most: most as u64,
            held_back: Vec::new(),
        }
    }

    /// How many more may be taken in hand.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.most.saturating_sub(self.count)).unwrap_or(usize::MAX)
    }
}

impl Server {
    /// Notes what a connection has in hand now.
    pub(super) fn recount(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get_mut(slot) {
            let now = connection.session.in_hand();
            let before = std::mem::replace(&mut connection.in_hand, now);
            self.note_in_hand(slot, before, now);
        }
    }

    /// A connection that is being closed has nothing in hand any more.
    pub(super) fn discount(&mut self, slot: usize) {
        let before = std::mem::take(&mut self.connections[slot].in_hand);
        self.note_in_hand(slot, before, InHand::default());
    }

    fn note_in_hand(&mut self, slot: usize, before: InHand, now: InHand) {
        if before == now {
            return;
        }
        self.load.count -= u64::from(before.requests - u32::from(before.waits));
        self.load.count += u64::from(now.requests - u32::from(now.waits));
        if before.waits != now.waits {
            self.addresses.note_queued(slot, now.waits);
        }
    }

    /// A connection is to be read from when there is room for its requests. False if it is one that
    /// looks at the metrics, for which there always is.
    pub(super) fn hold_back(&mut self, slot: usize) -> bool {
        let Some(connection) = self.connections.get_mut(slot) else {
            return true;
        };
        if connection.session.listener_role() == ListenerRole::Admin {
            return false;
        }
        if !std::mem::replace(&mut connection.is_held_back, true) {
            self.load.held_back.push(slot);
        }
        true
    }

    /// If there is room for requests again, those who were held back are read from in the next tick.
    pub(super) fn let_go(&mut self) {
        if self.load.held_back.is_empty() || self.load.room() == 0 {
            return;
        }
        for slot in self.load.held_back.drain(..) {
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.is_held_back = false;
                self.to_read.push(slot);
            }
        }
    }
}
