//! The way of the virtual server's commands to the store; the ledger notes them.

use std::collections::HashMap;

use latchd::command::{Command, Ticket};
use latchd::session::CommandSink;
use latchd::store::{EmbeddedStore, Store};
use latchd::time::Time;

use super::ledger::Ledger;

/// The outstanding tickets.
#[derive(Default)]
pub struct Clerk {
    pub serial: u64,
    pub uncommitted: bool,
    /// The pool that a ticket asked about, and whether it takes many locks away.
    pub tickets: HashMap<Ticket, (String, bool)>,
}

pub struct StoreSink<'a> {
    pub store: &'a mut EmbeddedStore,
    pub clerk: &'a mut Clerk,
    pub ledger: &'a mut Ledger,
    pub slot: u32,
    pub now: Time,
}

impl CommandSink for StoreSink<'_> {
    fn submit(&mut self, command: Command<'_>) -> Ticket {
        let ticket = Ticket::new(self.clerk.serial, self.slot);
        self.clerk.serial += 1;
        self.clerk.uncommitted = true;
        self.ledger.asked(&command);
        let purges = matches!(command, Command::ReleaseAll(..) | Command::RemovePool(_));
        let pool = match &command {
            Command::ReleaseAll(pool, _) | Command::RemovePool(pool) => pool.as_str(),
            Command::Renew(pool, ..) | Command::RenewOwned(pool, _) => pool.as_str(),
            _ => "",
        };
        self.clerk.tickets.insert(ticket, (pool.to_owned(), purges));
        self.store.submit(ticket, command, self.now);
        ticket
    }

    fn withdraw(&mut self, ticket: Ticket) {
        self.clerk.uncommitted = true;
        self.store.withdraw(ticket, self.now);
    }
}
