//! The limit on requests in flight of all connections together. At the limit, further connections are not
//! read until the store has answered some requests. Queued requests do not count: the client whose release
//! would end their waiting must be read.

use std::mem;

use super::{Connection, Host};
use crate::api::ListenerRole;
use crate::session::Outstanding;

/// The number of requests in flight.
#[derive(Debug)]
pub(super) struct InFlightRequests {
    count: u64,
    max: u64,
    /// Slots of connections that are not read until there is room.
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

    /// Returns how many more requests may be taken in flight.
    fn room(&self) -> usize {
        usize::try_from(self.max.saturating_sub(self.count)).unwrap_or(usize::MAX)
    }

    /// Counts the requests of one connection, which had others in flight before.
    fn replace(&mut self, before: Outstanding, now: Outstanding) {
        self.count -= u64::from(before.requests - u32::from(before.is_queued));
        self.count += u64::from(now.requests - u32::from(now.is_queued));
    }
}

impl<C: Connection> Host<C> {
    /// Returns how many more requests may be taken in flight.
    pub fn room(&self) -> usize {
        self.in_flight.room()
    }

    /// Pauses a connection until there is room for its requests. Returns false for one to `--admin-listen`,
    /// which is never paused.
    pub fn pause_reading(&mut self, slot: usize) -> bool {
        let Some(entry) = self.entries.get_mut(slot) else {
            return true;
        };
        if entry.connection.session().listener_role() == ListenerRole::Admin {
            return false;
        }
        if !mem::replace(&mut entry.is_paused, true) {
            self.in_flight.paused.push(slot);
        }
        true
    }

    /// Counts the requests that a connection has in flight now.
    pub(super) fn update_in_flight(&mut self, slot: usize) {
        if let Some(entry) = self.entries.get_mut(slot) {
            let now = entry.connection.session().outstanding();
            let before = mem::replace(&mut entry.outstanding, now);
            self.note_in_flight(slot, before, now);
        }
    }

    pub(super) fn note_in_flight(&mut self, slot: usize, before: Outstanding, now: Outstanding) {
        if before == now {
            return;
        }
        self.in_flight.replace(before, now);
        if before.is_queued != now.is_queued {
            self.clients.addresses.note_queued(slot, now.is_queued);
        }
    }

    /// Lets paused connections be read in the next tick if there is room again.
    pub(super) fn resume_reading(&mut self) {
        if self.in_flight.paused.is_empty() || self.in_flight.room() == 0 {
            return;
        }
        for slot in self.in_flight.paused.drain(..) {
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.is_paused = false;
                self.ready.to_read.push(slot);
            }
        }
    }
}
