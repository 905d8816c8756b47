//! How many requests are in flight in all connections together: who would add to too many is not read
//! from, until the store has answered some of them. Who is queued does not count: whoever could
//! end that waiting must be heard.

use super::Server;
use crate::api::ListenerRole;
use crate::session::Outstanding;

/// The requests that are in flight.
#[derive(Debug)]
pub(super) struct InFlightRequests {
    count: u64,
    max: u64,
    /// Slots that wait to be read from.
    paused: Vec<usize>,
}

impl InFlightRequests {
    pub(super) fn new(max: usize) -> InFlightRequests {
        InFlightRequests {
            count: 0,
            max: max as u64,
            paused: Vec::new(),
        }
    }

    /// How many more may be taken in flight.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.max.saturating_sub(self.count)).unwrap_or(usize::MAX)
    }
}

impl Server {
    /// Notes what a connection has in flight now.
    pub(super) fn update_in_flight(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get_mut(slot) {
            let now = connection.session.outstanding();
            let before = std::mem::replace(&mut connection.outstanding, now);
            self.note_in_flight(slot, before, now);
        }
    }

    /// A connection that is being closed has nothing in flight any more.
    pub(super) fn clear_in_flight(&mut self, slot: usize) {
        let before = std::mem::take(&mut self.connections[slot].outstanding);
        self.note_in_flight(slot, before, Outstanding::default());
    }

    fn note_in_flight(&mut self, slot: usize, before: Outstanding, now: Outstanding) {
        if before == now {
            return;
        }
        self.in_flight.count -= u64::from(before.requests - u32::from(before.is_queued));
        self.in_flight.count += u64::from(now.requests - u32::from(now.is_queued));
        if before.is_queued != now.is_queued {
            self.addresses.note_queued(slot, now.is_queued);
        }
    }

    /// A connection is to be read from when there is room for its requests. False if it is one that
    /// looks at the metrics, for which there always is.
    pub(super) fn pause_reading(&mut self, slot: usize) -> bool {
        let Some(connection) = self.connections.get_mut(slot) else {
            return true;
        };
        if connection.session.listener_role() == ListenerRole::Admin {
            return false;
        }
        if !std::mem::replace(&mut connection.is_paused, true) {
            self.in_flight.paused.push(slot);
        }
        true
    }

    /// If there is room for requests again, those who were held back are read from in the next tick.
    pub(super) fn resume_reading(&mut self) {
        if self.in_flight.paused.is_empty() || self.in_flight.room() == 0 {
            return;
        }
        for slot in self.in_flight.paused.drain(..) {
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.is_paused = false;
                self.to_read.push(slot);
            }
        }
    }
}
