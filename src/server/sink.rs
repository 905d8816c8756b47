//! The way of sessions to the store.

use super::addresses::Addresses;
use super::process;
use crate::command::{Command, Survey, Ticket};
use crate::keys::Key;
use crate::metrics::{Metrics, Scrape};
use crate::session::CommandSink;
use crate::store::Store;
use crate::time::Time;

/// The way of one connection's session to the store.
pub(super) struct StoreSink<'a> {
    pub(super) store: &'a mut dyn Store,
    pub(super) next_serial: &'a mut u64,
    pub(super) uncommitted: &'a mut bool,
    pub(super) addresses: &'a mut Addresses,
    pub(super) waiter_limits: WaiterLimits,
    pub(super) slot: usize,
    pub(super) now: Time,
}

/// The maximum number of requests that are queued through this server.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaiterLimits {
    /// All together: fewer than there are connections, so that a client can still connect and
    /// release something.
    pub(super) max: usize,
    pub(super) max_per_address: usize,
}

impl CommandSink for StoreSink<'_> {
    fn submit(&mut self, mut command: Command<'_>) -> Ticket {
        if let Command::Acquire(_, acquire) = &mut command
            && acquire.wait_ms > 0
        {
            acquire.may_queue = self.addresses.queued() < self.waiter_limits.max
                && self.addresses.queued_beside(self.slot) < self.waiter_limits.max_per_address;
        }
        let ticket = Ticket::new(*self.next_serial, self.slot as u32);
        *self.next_serial += 1;
        *self.uncommitted = true;
        self.store.submit(ticket, command, self.now);
        ticket
    }

    fn holds(&self, ticket: Ticket) -> bool {
        self.store.is_deferred(ticket)
    }

    fn withdraw(&mut self, ticket: Ticket) {
        *self.uncommitted = true;
        self.store.withdraw(ticket, self.now);
    }

    fn admits_key(&mut self, key: &Key) -> bool {
        self.addresses.admits_key(self.slot, key, self.now)
    }

    fn admits_wrong_key(&mut self) -> bool {
        self.addresses.admits_wrong_key(self.slot, self.now)
    }

    fn write_page(&mut self, survey: Option<&Survey>, metrics: &Metrics, page: &mut Vec<u8>) {
        let scrape = Scrape {
            metrics,
            store: &self.store.figures(),
            survey,
            process: process::measure(),
            now: self.now,
        };
        scrape.write(page);
    }
}
