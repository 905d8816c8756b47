//! Where a connection's session asks the store.

use super::process;
use crate::command::{Command, Survey, Ticket};
use crate::metrics::{Metrics, Scrape};
use crate::session::Desk;
use crate::store::Store;
use crate::time::Time;

/// Where one connection's session asks the store.
pub(super) struct StoreDesk<'a> {
    pub(super) store: &'a mut dyn Store,
    pub(super) next_serial: &'a mut u64,
    pub(super) uncommitted: &'a mut bool,
    pub(super) slot: usize,
    pub(super) now: Time,
}

impl Desk for StoreDesk<'_> {
    fn submit(&mut self, command: Command<'_>) -> Ticket {
        let ticket = Ticket::new(*self.next_serial, self.slot as u32);
        *self.next_serial += 1;
        *self.uncommitted = true;
        self.store.submit(ticket, command, self.now);
        ticket
    }

    fn withdraw(&mut self, ticket: Ticket) {
        *self.uncommitted = true;
        self.store.withdraw(ticket, self.now);
    }

    fn write_page(&mut self, survey: Option<&Survey>, metrics: &Metrics, page: &mut Vec<u8>) {
        let scrape = Scrape {
            metrics,
            store: &self.store.figures(),
            survey,
            process: process::look(),
            now: self.now,
        };
        scrape.write(page);
    }
}
