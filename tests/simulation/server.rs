//! A server without sockets: the host of `latchd::server`, with sockets that are lists.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;

use latchd::api::ListenerRole;
use latchd::command::{Command, PoolName, Reply};
use latchd::host::{Connection, Host, HostLimits, Network};
use latchd::http::Limits;
use latchd::metrics::{Closed, Process};
use latchd::pool::Rules;
use latchd::session::{Context, Ending, Session, Settings};
use latchd::time::Time;

use super::ledger::Ledger;
use super::wire::{Asked, WireAnswer};
use super::witness::Witness;

/// An arrival at the server.
#[derive(Debug)]
pub enum Arrival {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// A socket, both ends.
pub struct Pipe {
    pub id: u64,
    /// The arrivals on their way, with their times.
    pub arriving: VecDeque<(u64, Arrival)>,
    inbox: Vec<u8>,
    end_is_near: bool,
    is_end_told: bool,
    is_end_read: bool,
    broken: bool,
    /// The number of bytes that the socket still takes.
    pub window: usize,
    /// The requests without an answer.
    pub asked: VecDeque<Asked>,
    wire: Vec<u8>,
    /// Answers on their way to the client.
    pub answers: VecDeque<(Asked, WireAnswer)>,
    /// The server has nothing more to say.
    pub closed: bool,
}

/// A connection of the host: a session, and the socket that the client has, too.
struct Link {
    session: Session,
    pipe: Rc<RefCell<Pipe>>,
    keeps_unsent: bool,
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
    pub witness: Witness,
    host: Host<Link>,
    /// The sockets by slot.
    pipes: Vec<Option<Rc<RefCell<Pipe>>>>,
    pub now: u64,
    next_connection: u64,
    broken: Option<Break>,
}

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
        let limits = HostLimits {
            max_requests: usize::MAX,
            max_waiters: usize::MAX,
            max_address_waiters: usize::MAX,
            max_wrong_keys: 0,
        };
        let witness = Witness::new(rules, broken);
        let store = Box::new(witness.clone());
        Server {
            witness,
            host: Host::new(store, settings, limits, Process::default),
            pipes: Vec::new(),
            now: 1_000_000,
            next_connection: 0,
            broken,
        }
    }

    /// Accepts a client. Answers the slot and the id of the connection.
    pub fn connect(&mut self) -> (usize, u64) {
        self.next_connection += 1;
        let pipe = Rc::new(RefCell::new(Pipe {
            id: self.next_connection,
            arriving: VecDeque::new(),
            inbox: Vec::new(),
            end_is_near: false,
            is_end_told: false,
            is_end_read: false,
            broken: false,
            window: usize::MAX,
            asked: VecDeque::new(),
            wire: Vec::new(),
            answers: VecDeque::new(),
            closed: false,
        }));
        let now = Time::from_ms(self.now);
        let link = Link {
            session: Session::new(&self.host.settings, ListenerRole::All, now),
            pipe: pipe.clone(),
            keeps_unsent: self.broken == Some(Break::KeepsUnsent),
        };
        let network = Network::of(Ipv4Addr::LOCALHOST.into());
        let slot = self.host.insert(link, Some(network));
        if self.pipes.len() <= slot {
            self.pipes.resize_with(slot + 1, || None);
        }
        self.pipes[slot] = Some(pipe);
        (slot, self.next_connection)
    }

    /// The socket in this slot.
    pub fn pipe(&self, slot: usize) -> Option<RefMut<'_, Pipe>> {
        self.pipes[slot].as_ref().map(|pipe| pipe.borrow_mut())
    }

    /// All sockets.
    pub fn pipes(&self) -> impl Iterator<Item = RefMut<'_, Pipe>> {
        self.pipes.iter().flatten().map(|pipe| pipe.borrow_mut())
    }

    /// Whether bytes of an answer have not reached their client yet.
    pub fn has_unsent_output(&self) -> bool {
        let mut links = self.host.iter();
        links.any(|(_, link)| {
            !link.session.output().is_empty() || !link.pipe.borrow().wire.is_empty()
        })
    }

    /// The time of the next arrival or deadline.
    pub fn next_event(&self) -> Option<u64> {
        let arrivals = self.pipes();
        let arrivals = arrivals.filter_map(|pipe| pipe.arriving.front().map(|first| first.0));
        let due = self.host.next_timeout().map(Time::as_ms);
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
        let now = Time::from_ms(self.now);
        for _ in 0..1000 {
            self.note_events();
            self.host.handle_hangups(now);
            let slots = self.host.take_to_read();
            for &slot in &slots {
                self.host.read_one(slot, now, Link::read);
            }
            self.host.give_back_to_read(slots);
            self.host.expire(now);
            self.host.commit(now);
            self.witness.check()?;
            self.host.write(now);
            self.take_answers()?;
            self.witness.ledger(Ledger::tick_is_over);
            if !self.host.has_work() {
                return self.check_half_closed();
            }
        }
        Err("the server never comes to rest".into())
    }

    /// Delivers the arrivals that are due, and tells the host of them.
    fn note_events(&mut self) {
        for slot in 0..self.pipes.len() {
            let Some(pipe) = &self.pipes[slot] else {
                continue;
            };
            let mut pipe = pipe.borrow_mut();
            pipe.deliver(self.now);
            let (has_hung_up, has_room) = (pipe.end_is_near && !pipe.is_end_told, pipe.window > 0);
            drop(pipe);
            self.host.note_event(slot, has_hung_up, has_room);
        }
    }

    /// Reads the written bytes as the clients will, and removes closed sockets.
    fn take_answers(&mut self) -> Result<(), String> {
        for mut pipe in self.pipes() {
            self.witness.ledger(|ledger| pipe.take_answers(ledger))?;
        }
        while let Some(slot) = self.host.take_closed() {
            let Some(pipe) = self.pipes[slot].take() else {
                continue;
            };
            let pipe = pipe.borrow();
            if !pipe.broken && !pipe.asked.is_empty() {
                return Err(format!("closed without answers to {:?}", pipe.asked));
            }
        }
        Ok(())
    }

    /// Checks that no half-closed client waits: it is answered at once.
    fn check_half_closed(&self) -> Result<(), String> {
        let ended = |pipe: &Pipe| pipe.is_end_read && pipe.window == usize::MAX;
        match self
            .pipes()
            .find(|pipe| ended(pipe) && !pipe.asked.is_empty())
        {
            Some(pipe) => Err(format!("half-closed, waits for {:?}", pipe.asked)),
            None => Ok(()),
        }
    }

    /// Carries out a command of no client, and returns the store's reply.
    pub fn ask(&mut self, command: Command<'_>) -> Option<Reply> {
        self.witness.ask(command, Time::from_ms(self.now))
    }
}

impl Link {
    fn read(&mut self, context: &mut Context<'_>) {
        if self.session.wants_resume(context.settings) {
            self.session.resume(context);
        }
        if !self.has_input(context.settings) {
            return;
        }
        let bytes = std::mem::take(&mut self.pipe.borrow_mut().inbox);
        if bytes.is_empty() {
            self.pipe.borrow_mut().is_end_read = true;
            self.session.receive_end(context);
        } else {
            self.session.receive(&bytes, context);
        }
    }
}

impl Connection for Link {
    fn session(&self) -> &Session {
        &self.session
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    fn note_hangup(&mut self, context: &mut Context<'_>) {
        self.pipe.borrow_mut().is_end_told = true;
        self.session.handle_hangup(context);
    }

    fn write(&mut self, context: &mut Context<'_>) -> Option<Closed> {
        let pipe = &mut *self.pipe.borrow_mut();
        let count = self.session.output().len().min(pipe.window);
        if count > 0 && !pipe.broken {
            pipe.window -= count;
            pipe.wire.extend_from_slice(&self.session.output()[..count]);
            self.session.handle_sent(count, context);
        }
        let ending = self.session.poll_ending(context.settings, context.now);
        pipe.closed |= ending != Ending::NotYet;
        let is_acknowledged = ending == Ending::CloseWhenAcknowledged;
        if is_acknowledged && !pipe.broken {
            self.session.handle_acknowledged(context);
        }
        let is_over = pipe.broken || is_acknowledged || matches!(ending, Ending::Close(_));
        if is_over && self.keeps_unsent {
            self.session.handle_hangup(context);
            self.session = Session::new(context.settings, ListenerRole::All, context.now);
        }
        is_over.then_some(Closed::Client)
    }

    fn can_write(&self) -> bool {
        let pipe = self.pipe.borrow();
        !pipe.broken && pipe.window > 0 && !self.session.output().is_empty()
    }

    /// A reset discards unread bytes.
    fn has_input(&self, settings: &Settings) -> bool {
        let pipe = self.pipe.borrow();
        let has_more = !pipe.inbox.is_empty() || pipe.end_is_near && !pipe.is_end_read;
        has_more && !pipe.broken && self.session.wants_input(settings)
    }
}

impl Pipe {
    /// Delivers the arrivals up to `now`.
    fn deliver(&mut self, now: u64) {
        while self.arriving.front().is_some_and(|(at, _)| *at <= now) {
            match self.arriving.pop_front() {
                Some((_, Arrival::Bytes(bytes))) => self.inbox.extend(bytes),
                Some((_, Arrival::End)) => self.end_is_near = true,
                Some((_, Arrival::Reset)) => self.broken = true,
                None => {}
            }
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
