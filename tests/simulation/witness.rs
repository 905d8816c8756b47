//! A store that notes what is asked and answered in a ledger, and may be broken.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use latchd::command::{Command, Refusal, Reply, Restoration, Seed, Ticket};
use latchd::pool::Rules;
use latchd::store::StoreFigures;
use latchd::store::{EmbeddedStore, Store};
use latchd::time::Time;

use super::ledger::Ledger;
use super::server::Break;

/// The store of the virtual server. The test has another handle of it.
#[derive(Clone)]
pub struct Witness(Rc<RefCell<State>>);

struct State {
    store: EmbeddedStore,
    ledger: Ledger,
    /// The pool that an outstanding ticket asked about, and whether it takes many locks away.
    tickets: HashMap<Ticket, (String, bool)>,
    now: Time,
    broken: Option<Break>,
    /// The first promise that a reply has broken.
    problem: Option<String>,
}

const NO_SLOT: u32 = u32::MAX;

/// The ticket of commands that no client has sent.
const OWN: Ticket = Ticket::new(u64::MAX, NO_SLOT);

impl Witness {
    pub fn new(rules: Rules, broken: Option<Break>) -> Witness {
        Witness(Rc::new(RefCell::new(State {
            store: EmbeddedStore::in_memory(rules),
            ledger: Ledger::default(),
            tickets: HashMap::new(),
            now: Time::default(),
            broken,
            problem: None,
        })))
    }

    /// Does something with the ledger.
    pub fn ledger<R>(&self, act: impl FnOnce(&mut Ledger) -> R) -> R {
        act(&mut self.0.borrow_mut().ledger)
    }

    /// Returns the first broken promise since the last call.
    pub fn check(&self) -> Result<(), String> {
        self.0.borrow_mut().problem.take().map_or(Ok(()), Err)
    }

    /// Carries out a command of no client, and returns the store's reply.
    pub fn ask(&self, command: Command<'_>, now: Time) -> Option<Reply> {
        let store = &mut self.0.borrow_mut().store;
        store.submit(OWN, command, now);
        store.commit(now);
        let mut replies = std::iter::from_fn(|| store.poll_reply());
        replies
            .find(|(ticket, _)| *ticket == OWN)
            .map(|(_, reply)| reply)
    }
}

impl State {
    fn note(&mut self, ticket: Ticket, reply: &Reply) -> Result<(), String> {
        let asked = self.tickets.remove(&ticket);
        let (pool, purges) = asked.ok_or_else(|| format!("{ticket:?} is answered twice"))?;
        if purges {
            self.ledger.purged(&pool);
        }
        self.ledger.replied(&pool, reply, self.now.as_ms())?;
        if self.broken == Some(Break::LendsTwice)
            && let Reply::Granted(granted) = reply
            && let Some(command) = granted.undo()
        {
            self.store.submit(OWN, command, self.now);
        }
        Ok(())
    }
}

impl Store for Witness {
    fn prepare(&mut self, purge: bool, seed: Option<Seed>, now: Time) -> Result<(), Refusal> {
        self.0.borrow_mut().store.prepare(purge, seed, now)
    }

    fn restore(&mut self, restoration: Rc<Restoration>, now: Time) -> Result<(), Refusal> {
        self.0.borrow_mut().store.restore(restoration, now)
    }

    fn submit(&mut self, ticket: Ticket, command: Command<'_>, now: Time) {
        let state = &mut *self.0.borrow_mut();
        let is_untaken = ticket.slot() == NO_SLOT as usize;
        if is_untaken && state.broken == Some(Break::KeepsUntaken) {
            return;
        }
        state.ledger.asked(&command);
        let purges = matches!(command, Command::ReleaseAll(..) | Command::RemovePool(_));
        let pool = match &command {
            Command::ReleaseAll(pool, _) | Command::RemovePool(pool) => pool.as_str(),
            Command::Renew(pool, ..) | Command::RenewOwned(pool, _) => pool.as_str(),
            _ => "",
        };
        state.tickets.insert(ticket, (pool.to_owned(), purges));
        state.store.submit(ticket, command, now);
    }

    fn is_deferred(&self, ticket: Ticket) -> bool {
        self.0.borrow().store.is_deferred(ticket)
    }

    fn withdraw(&mut self, ticket: Ticket, now: Time) {
        self.0.borrow_mut().store.withdraw(ticket, now);
    }

    fn commit(&mut self, now: Time) {
        let state = &mut *self.0.borrow_mut();
        state.now = now;
        state.store.commit(now);
    }

    fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        let state = &mut *self.0.borrow_mut();
        loop {
            let (ticket, reply) = state.store.poll_reply()?;
            if ticket == OWN {
                continue;
            }
            if let Err(problem) = state.note(ticket, &reply) {
                state.problem.get_or_insert(problem);
            }
            let slot = ticket.slot() as u32;
            if state.broken == Some(Break::Misdirects) && slot % 3 == 1 {
                return Some((Ticket::new(u64::MAX, slot + 1), reply));
            }
            return Some((ticket, reply));
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.0.borrow().store.next_timeout()
    }

    fn handle_timeout(&mut self, now: Time) {
        self.0.borrow_mut().store.handle_timeout(now);
    }

    fn figures(&self) -> StoreFigures {
        self.0.borrow().store.figures()
    }

    fn close(&mut self) -> bool {
        self.0.borrow_mut().store.close()
    }
}
