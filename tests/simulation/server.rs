//! A server without sockets: the tick of `latchd::server`, with sockets that are lists.

use std::collections::VecDeque;

use latchd::api::ListenerRole;
use latchd::command::{Command, Granted, PoolName, Reply, Ticket};
use latchd::http::Limits;
use latchd::metrics::Metrics;
use latchd::pool::Rules;
use latchd::session::{Buffers, CommandSink, Context, Ending, Session, Settings};
use latchd::store::{EmbeddedStore, Store};
use latchd::time::Time;

use super::ledger::Ledger;
use super::sink::{Clerk, StoreSink};
use super::wire::{Answer, Asked};

/// An arrival at the server.
#[derive(Debug)]
pub enum Arrival {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// One connection, both ends.
pub struct Connection {
    pub id: u64,
    session: Session,
    /// The arrivals on their way, with their times.
    pub arriving: VecDeque<(u64, Arrival)>,
    inbox: Vec<u8>,
    end_is_near: bool,
    told_of_end: bool,
    end_was_read: bool,
    broken: bool,
    /// The number of bytes that the socket still takes.
    pub window: usize,
    /// The requests without an answer.
    pub asked: VecDeque<Asked>,
    wire: Vec<u8>,
    /// Answers on their way to the client.
    pub answers: VecDeque<(Asked, Answer)>,
    /// The server has nothing more to say.
    pub closed: bool,
}

/// The fault of a broken server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// A grant that could not be sent stays.
    KeepsUnsent,
    /// A grant to a client that is gone stays.
    KeepsUntaken,
    /// A held resource can be lent again.
    LendsTwice,
    /// Each reply goes to the connection in the next slot.
    Misdirects,
}

pub struct Server {
    pub store: EmbeddedStore,
    pub connections: Vec<Option<Connection>>,
    pub ledger: Ledger,
    pub now: u64,
    settings: Settings,
    buffers: Buffers,
    metrics: Metrics,
    clerk: Clerk,
    next_connection: u64,
    broken: Option<Break>,
}

const NOBODY: u32 = u32::MAX;

impl Server {
    pub fn new(rules: Rules, broken: Option<Break>) -> Server {
        let settings = Settings {
            limits: Limits {
                head_bytes: 512,
                body_bytes: 512,
            },
            max_pipeline: 4,
            max_backlog_bytes: 150,
            header_timeout_ms: 1 << 40,
            idle_timeout_ms: 1 << 40,
            ..Settings::default()
        };
        Server {
            store: EmbeddedStore::in_memory(rules),
            connections: Vec::new(),
            ledger: Ledger::default(),
            now: 1_000_000,
            settings,
            buffers: Buffers::default(),
            metrics: Metrics::default(),
            clerk: Clerk::default(),
            next_connection: 0,
            broken,
        }
    }

    /// Accepts a client. Answers the slot and the id of the connection.
    pub fn connect(&mut self) -> (usize, u64) {
        let free = self.connections.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.next_connection += 1;
        self.connections[slot] = Some(Connection {
            id: self.next_connection,
            session: Session::new(&self.settings, ListenerRole::All, Time::from_ms(self.now)),
            arriving: VecDeque::new(),
            inbox: Vec::new(),
            end_is_near: false,
            told_of_end: false,
            end_was_read: false,
            broken: false,
            window: usize::MAX,
            asked: VecDeque::new(),
            wire: Vec::new(),
            answers: VecDeque::new(),
            closed: false,
        });
        (slot, self.next_connection)
    }

    /// The time of the next arrival or deadline.
    pub fn next_event(&self) -> Option<u64> {
        let connections = self.connections.iter().flatten();
        let arrivals = connections
            .clone()
            .filter_map(|c| c.arriving.front().map(|a| a.0));
        let deadlines = connections.filter_map(|c| c.session.deadline());
        let due = deadlines.chain(self.store.next_timeout()).map(Time::as_ms);
        arrivals.chain(due).min()
    }

    /// Lets time pass up to `until`, with all arrivals and deadlines at their times.
    pub fn pass(&mut self, until: u64) -> Result<(), String> {
        while let Some(next) = self.next_event().filter(|&next| next <= until) {
            self.now = self.now.max(next);
            self.tick()?;
        }
        self.now = self.now.max(until);
        self.tick()
    }

    /// Ticks until nothing is left to do at this moment.
    pub fn tick(&mut self) -> Result<(), String> {
        for _ in 0..1000 {
            for slot in 0..self.connections.len() {
                self.at(slot, Connection::read);
            }
            self.expire();
            self.commit()?;
            let mut wish = false;
            for slot in 0..self.connections.len() {
                wish |= self.write(slot)?;
            }
            self.ledger.tick_is_over();
            if !wish && !self.clerk.uncommitted {
                return self.check_half_closed();
            }
        }
        Err("the server never comes to rest".into())
    }

    /// Checks that no half-closed client waits: it is answered at once.
    fn check_half_closed(&self) -> Result<(), String> {
        let mut connections = self.connections.iter().flatten();
        let ended = |c: &&Connection| c.end_was_read && c.window == usize::MAX;
        match connections.find(|c| ended(c) && !c.asked.is_empty()) {
            Some(connection) => Err(format!("half-closed, waits for {:?}", connection.asked)),
            None => Ok(()),
        }
    }

    /// Carries out a command of no client, and returns the store's reply.
    pub fn ask(&mut self, command: Command<'_>) -> Option<Reply> {
        let ticket = Ticket::new(u64::MAX, NOBODY);
        let now = Time::from_ms(self.now);
        self.store.submit(ticket, command, now);
        self.store.commit(now);
        let mut replies = std::iter::from_fn(|| self.store.poll_reply());
        replies
            .find(|(other, _)| *other == ticket)
            .map(|(_, reply)| reply)
    }

    fn at<R>(
        &mut self,
        slot: usize,
        act: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let connection = self.connections[slot].as_mut()?;
        let now = Time::from_ms(self.now);
        let mut sink = StoreSink {
            store: &mut self.store,
            clerk: &mut self.clerk,
            ledger: &mut self.ledger,
            slot: slot as u32,
            now,
        };
        let mut context = Context {
            settings: &self.settings,
            buffers: &mut self.buffers,
            now,
            metrics: &mut self.metrics,
            sink: &mut sink,
        };
        Some(act(connection, &mut context))
    }

    fn expire(&mut self) {
        let now = Time::from_ms(self.now);
        for connection in self.connections.iter_mut().flatten() {
            connection.session.handle_timeout(now);
        }
        self.store.handle_timeout(now);
    }

    fn commit(&mut self) -> Result<(), String> {
        self.clerk.uncommitted = false;
        self.store.commit(Time::from_ms(self.now));
        while let Some((ticket, reply)) = self.store.poll_reply() {
            let asked = self.clerk.tickets.remove(&ticket);
            let (pool, purges) = asked.ok_or_else(|| format!("{ticket:?} is answered twice"))?;
            if purges {
                self.ledger.purged(&pool);
            }
            self.ledger.replied(&pool, &reply, self.now)?;
            if self.broken == Some(Break::LendsTwice)
                && let Reply::Granted(granted) = &reply
                && let Some(command) = granted.undo()
            {
                let ticket = Ticket::new(u64::MAX, NOBODY);
                self.clerk.tickets.insert(ticket, Default::default());
                self.store.submit(ticket, command, Time::from_ms(self.now));
                self.clerk.uncommitted = true;
            }
            let mut slot = ticket.slot();
            if self.broken == Some(Break::Misdirects) && ticket.slot() % 3 == 1 {
                slot += 1;
            }
            let mut reply = Some(reply);
            if slot < self.connections.len() {
                self.at(slot, |connection, context| {
                    let mut untaken =
                        |reply| connection.session.handle_reply(ticket, reply, context);
                    reply = reply.take().and_then(|reply| untaken(reply).err());
                });
            }
            if let Some(Reply::Granted(granted)) = reply {
                self.undo(&granted);
            }
        }
        Ok(())
    }

    fn undo(&mut self, granted: &Granted) {
        if self.broken == Some(Break::KeepsUntaken) {
            return;
        }
        if let Some(command) = granted.undo() {
            let mut sink = StoreSink {
                store: &mut self.store,
                clerk: &mut self.clerk,
                ledger: &mut self.ledger,
                slot: NOBODY,
                now: Time::from_ms(self.now),
            };
            sink.submit(command);
        }
    }

    /// Writes, and returns whether the connection is to be read again at once.
    fn write(&mut self, slot: usize) -> Result<bool, String> {
        let now = Time::from_ms(self.now);
        let settings = self.settings.clone();
        let keeps_unsent = self.broken == Some(Break::KeepsUnsent);
        let is_over = self.at(slot, |connection, context| {
            connection.write(context);
            let ending = connection.session.poll_ending(&settings, now);
            connection.closed |= ending != Ending::NotYet;
            let is_acknowledged = ending == Ending::CloseWhenAcknowledged;
            if is_acknowledged && !connection.broken {
                connection.session.handle_acknowledged(context);
            }
            let is_over =
                connection.broken || is_acknowledged || matches!(ending, Ending::Close(_));
            if is_over && keeps_unsent {
                connection.session.handle_hangup(context);
            } else if is_over {
                connection.session.abandon(context);
            }
            is_over
        });
        let (Some(is_over), Some(connection)) = (is_over, self.connections[slot].as_mut()) else {
            return Ok(false);
        };
        connection.take_answers(&mut self.ledger)?;
        if is_over {
            if !connection.broken && !connection.asked.is_empty() {
                return Err(format!("closed without answers to {:?}", connection.asked));
            }
            self.connections[slot] = None;
            return Ok(false);
        }
        let readable =
            !connection.inbox.is_empty() || (connection.end_is_near && !connection.end_was_read);
        let session = &connection.session;
        let due = connection
            .arriving
            .front()
            .is_some_and(|(at, _)| *at <= self.now);
        Ok(due || session.wants_resume(&settings) || (readable && session.wants_input(&settings)))
    }
}

impl Connection {
    pub fn has_unsent_output(&self) -> bool {
        !self.session.output().is_empty() || !self.wire.is_empty()
    }

    fn read(&mut self, context: &mut Context<'_>) {
        let now = context.now.as_ms();
        while self.arriving.front().is_some_and(|(at, _)| *at <= now) {
            match self.arriving.pop_front() {
                Some((_, Arrival::Bytes(bytes))) => self.inbox.extend(bytes),
                Some((_, Arrival::End)) => self.end_is_near = true,
                Some((_, Arrival::Reset)) => self.broken = true,
                None => {}
            }
        }
        if self.session.wants_resume(context.settings) {
            self.session.resume(context);
        }
        // A reset discards unread bytes.
        if !self.broken && self.session.wants_input(context.settings) {
            if !self.inbox.is_empty() {
                let bytes = std::mem::take(&mut self.inbox);
                self.session.receive(&bytes, context);
            } else if self.end_is_near && !self.end_was_read {
                self.end_was_read = true;
                self.session.receive_end(context);
            }
        }
        if self.end_is_near && !self.told_of_end {
            self.told_of_end = true;
            self.session.handle_hangup(context);
        }
    }

    fn write(&mut self, context: &mut Context<'_>) {
        let count = self.session.output().len().min(self.window);
        if count > 0 && !self.broken {
            self.window -= count;
            self.wire.extend_from_slice(&self.session.output()[..count]);
            self.session.handle_sent(count, context);
        }
    }

    /// Reads the written bytes as the client will.
    fn take_answers(&mut self, ledger: &mut Ledger) -> Result<(), String> {
        while !self.wire.is_empty() {
            let asked = self.asked.front().ok_or("an answer to nothing")?;
            let Some(answer) = asked.take_answer(&mut self.wire)? else {
                break;
            };
            for (id, fence) in asked.check(&answer)? {
                ledger.written(asked.pool, &id, fence)?;
            }
            let asked = self.asked.pop_front();
            self.answers.extend(asked.map(|asked| (asked, answer)));
        }
        Ok(())
    }
}

/// A pool's name that is well formed.
pub fn pool_name(name: &str) -> PoolName<'_> {
    PoolName::parse(name).expect("a pool's name is well formed")
}
