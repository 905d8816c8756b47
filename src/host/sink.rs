//! The way of sessions to the store.

use super::addresses::Addresses;
use crate::command::{Command, Survey, Ticket};
use crate::keys::Key;
use crate::metrics::{Metrics, Process, Scrape};
use crate::session::CommandSink;
use crate::store::Store;
use crate::time::Time;

/// The store, and the tickets of its commands.
pub(super) struct Backend {
    pub(super) store: Box<dyn Store>,
    next_serial: u64,
    /// Commands were submitted since the last commit.
    pub(super) uncommitted: bool,
    /// Measures this process, for the metrics.
    measure: fn() -> Process,
}

impl Backend {
    pub(super) fn new(store: Box<dyn Store>, measure: fn() -> Process) -> Backend {
        Backend {
            store,
            next_serial: 0,
            uncommitted: false,
            measure,
        }
    }

    pub(super) fn submit(&mut self, slot: u32, command: Command<'_>, now: Time) -> Ticket {
        let ticket = Ticket::new(self.next_serial, slot);
        self.next_serial += 1;
        self.uncommitted = true;
        self.store.submit(ticket, command, now);
        ticket
    }
}

/// The clients by address, and the maximum number of their requests that are queued through this server.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) addresses: Addresses,
    pub(super) max_waiters: usize,
    pub(super) max_address_waiters: usize,
}

impl Clients {
    /// Returns whether a request of the connection in this slot may queue.
    fn may_queue(&self, slot: usize) -> bool {
        self.addresses.queued() < self.max_waiters
            && self.addresses.queued_beside(slot) < self.max_address_waiters
    }
}

/// The way of one connection's session to the store.
pub(super) struct StoreSink<'a> {
    pub(super) backend: &'a mut Backend,
    pub(super) clients: &'a mut Clients,
    pub(super) slot: usize,
    pub(super) now: Time,
}

impl CommandSink for StoreSink<'_> {
    fn submit(&mut self, mut command: Command<'_>) -> Ticket {
        if let Command::Acquire(_, acquire) = &mut command
            && acquire.wait_ms > 0
        {
            acquire.may_queue = self.clients.may_queue(self.slot);
        }
        self.backend.submit(self.slot as u32, command, self.now)
    }

    fn holds(&self, ticket: Ticket) -> bool {
        self.backend.store.is_deferred(ticket)
    }

    fn withdraw(&mut self, ticket: Ticket) {
        self.backend.uncommitted = true;
        self.backend.store.withdraw(ticket, self.now);
    }

    fn admits_key(&mut self, key: &Key) -> bool {
        let addresses = &mut self.clients.addresses;
        addresses.admits_key(self.slot, key, self.now)
    }

    fn admits_wrong_key(&mut self) -> bool {
        let addresses = &mut self.clients.addresses;
        addresses.admits_wrong_key(self.slot, self.now)
    }

    fn write_page(&mut self, survey: Option<&Survey>, metrics: &Metrics, page: &mut Vec<u8>) {
        let scrape = Scrape {
            metrics,
            store: &self.backend.store.figures(),
            survey,
            process: (self.backend.measure)(),
            now: self.now,
        };
        scrape.write(page);
    }
}
