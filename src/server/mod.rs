//! The event loop: the only room that touches sockets, signals and the clock.
//!
//! One tick: wait for events; read the clock once; accept; let sessions read and the store decide;
//! see what is due; commit once; hand out the replies; write once for each connection that has
//! something to say; close what has ended, last, so that no stale event meets a slot that is used
//! again.

mod clock;
mod connection;
mod descriptors;
mod listener;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use crate::command::{Command, Refusal, Reply, Seed, Ticket};
use crate::logging;
use crate::session::{Buffers, Context, Settings};
use crate::store::Store;
use crate::time::{Deadlines, Time};
use clock::Clock;
use connection::Connection;

const SIGNALS: Token = Token(usize::MAX);
/// Listener `i` has the token `LISTENERS - i`; connections have the token of their slot.
const LISTENERS: usize = usize::MAX - 1;

const EVENTS_PER_TICK: usize = 1024;
const READ_BYTES: usize = 64 << 10;
/// How long what is in hand may take to be answered when the server stops.
const STOP_MS: u64 = 5_000;
/// How long to wait before accepting again when the system has no descriptor to give.
const ACCEPT_PAUSE_MS: u64 = 100;

/// What a server needs to be told.
pub struct Options {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Limits and time-outs of a connection.
    pub settings: Settings,
    /// The most connections; `None` for what the system's descriptor limit allows.
    pub max_connections: Option<usize>,
    /// The folder of the log file, which is opened again on SIGHUP.
    pub log_dir: Option<PathBuf>,
}

/// The event loop with all that it owns.
pub struct Server {
    poll: Poll,
    clock: Clock,
    signals: Signals,
    listeners: Vec<TcpListener>,
    /// When to look next for connections that wait to be accepted; `None` until there is an event.
    accept_from: Option<Time>,
    connections: Slab<Connection>,
    max_connections: usize,
    deadlines: Deadlines,
    /// Slots whose connection may have something to read or to go on with.
    to_read: Vec<usize>,
    /// Slots whose connection may have something to write, or may have ended.
    to_write: Vec<usize>,
    store: Box<dyn Store>,
    next_serial: u64,
    settings: Settings,
    buffers: Buffers,
    read_buffer: Box<[u8]>,
    log_dir: Option<PathBuf>,
    /// The server stops, at this time at the latest.
    stop_at: Option<Time>,
}

impl Server {
    /// Binds all addresses. Nothing is served yet.
    pub fn bind(options: Options, store: Box<dyn Store>) -> io::Result<Server> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        poll.registry()
            .register(&mut signals, SIGNALS, Interest::READABLE)?;
        let mut listeners = Vec::new();
        for (place, address) in options.listen.iter().enumerate() {
            let mut listener = listener::bind(*address)
                .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
            poll.registry().register(
                &mut listener,
                Token(LISTENERS - place),
                Interest::READABLE,
            )?;
            listeners.push(listener);
        }
        let descriptors = descriptors::raise_limit();
        Ok(Server {
            poll,
            clock: Clock::start(),
            signals,
            listeners,
            accept_from: None,
            connections: Slab::new(),
            max_connections: options
                .max_connections
                .map_or(descriptors, |max| max.min(descriptors)),
            deadlines: Deadlines::default(),
            to_read: Vec::new(),
            to_write: Vec::new(),
            store,
            next_serial: 0,
            settings: options.settings,
            buffers: Buffers::default(),
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            log_dir: options.log_dir,
            stop_at: None,
        })
    }

    /// The addresses that are listened on, with the ports that the system has picked.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Carries out what was ordered for the start, before anybody is served.
    pub fn prepare(&mut self, purge: bool, seed: Option<Seed<'_>>) -> Result<(), Refusal> {
        let now = self.clock.now();
        let commands = purge.then_some(Command::Purge).into_iter();
        for command in commands.chain(seed.map(Command::AddMembers)) {
            let ticket = self.next_ticket(u32::MAX);
            self.store.submit(ticket, command, now);
        }
        self.store.commit(now);
        while let Some((_, reply)) = self.store.poll_reply() {
            if let Reply::Refused(refusal) = reply {
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Serves until a signal says stop. False if something could not be made durable at the end.
    pub fn run(mut self) -> io::Result<bool> {
        let mut events = Events::with_capacity(EVENTS_PER_TICK);
        loop {
            self.wait(&mut events)?;
            let now = self.clock.now();
            self.note_events(&events, now);
            self.accept(now);
            self.read(now);
            self.expire(now);
            self.commit(now);
            self.write(now);
            if self
                .stop_at
                .is_some_and(|at| self.connections.is_empty() || at <= now)
            {
                return Ok(self.store.close());
            }
        }
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = if self.to_read.is_empty() {
            self.next_timeout()
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    fn next_timeout(&self) -> Option<Duration> {
        let accept_at = self.accept_from.filter(|_| self.may_accept());
        let times = [
            self.deadlines.next(),
            self.store.next_timeout(),
            accept_at,
            self.stop_at,
        ];
        let next = times.into_iter().flatten().min()?;
        Some(Duration::from_millis(next.ms_since(self.clock.now())))
    }

    fn note_events(&mut self, events: &Events, now: Time) {
        for event in events {
            match event.token() {
                SIGNALS => self.handle_signals(now),
                Token(token) if token > LISTENERS - self.listeners.len() => {
                    self.accept_from.get_or_insert(now);
                }
                Token(slot) => {
                    let Some(connection) = self.connections.get_mut(slot) else {
                        continue;
                    };
                    connection.note_event(event);
                    self.to_read.push(slot);
                    if event.is_writable() && connection.has_output() {
                        self.to_write.push(slot);
                    }
                }
            }
        }
    }

    fn handle_signals(&mut self, now: Time) {
        let signals: Vec<i32> = self.signals.pending().collect();
        for signal in signals {
            match (signal, &self.log_dir) {
                (SIGHUP, None) => {}
                (SIGHUP, Some(folder)) => {
                    if let Err(error) = logging::redirect(folder) {
                        log::error!("the log file could not be opened again: {error}");
                    }
                }
                _ if self.stop_at.is_some() => self.stop_at = Some(now),
                _ => self.stop(now),
            }
        }
    }

    /// Takes in what has been sent up to now, then lets every session come to its end.
    fn stop(&mut self, now: Time) {
        log::info!("stopping: {} connections", self.connections.len());
        self.stop_at = Some(now.after_ms(STOP_MS));
        self.accept_from = Some(now);
        self.accept(now);
        self.listeners.clear();
        for (slot, connection) in &mut self.connections {
            connection.look_for_input();
            self.to_read.push(slot);
        }
        self.read(now);
        for (slot, connection) in &mut self.connections {
            connection.session.stop();
            self.to_read.push(slot);
        }
    }

    fn may_accept(&self) -> bool {
        self.connections.len() < self.max_connections && !self.listeners.is_empty()
    }

    fn accept(&mut self, now: Time) {
        if !self.may_accept() || self.accept_from.is_none_or(|from| from > now) {
            return;
        }
        for place in 0..self.listeners.len() {
            while self.connections.len() < self.max_connections {
                match self.listeners[place].accept() {
                    Ok((socket, _)) => self.welcome(socket, now),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if listener::concerns_one_connection(&error) => {}
                    Err(error) => {
                        log::error!("no connection could be accepted: {error}");
                        self.accept_from = Some(now.after_ms(ACCEPT_PAUSE_MS));
                        return;
                    }
                }
            }
        }
        if self.connections.len() < self.max_connections {
            self.accept_from = None;
        }
    }

    fn welcome(&mut self, mut socket: mio::net::TcpStream, now: Time) {
        let entry = self.connections.vacant_entry();
        let slot = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self
            .poll
            .registry()
            .register(&mut socket, Token(slot), interest)
        {
            Ok(()) => {
                let connection = entry.insert(Connection::new(socket, &self.settings, now));
                watch(&mut self.deadlines, slot, connection);
            }
            Err(error) => log::error!("a connection could not be watched: {error}"),
        }
    }

    fn expire(&mut self, now: Time) {
        while let Some(slot) = self.deadlines.pop_due(now) {
            let connection = &mut self.connections[slot];
            connection.session.handle_timeout(now);
            // It may have been put off since it was noted; `write` notes it again.
            self.to_write.push(slot);
        }
        self.store.handle_timeout(now);
    }

    /// Lets sessions read, and hand their commands to the store.
    fn read(&mut self, now: Time) {
        let mut slots = std::mem::take(&mut self.to_read);
        for slot in slots.drain(..) {
            let Some(connection) = self.connections.get_mut(slot) else {
                continue;
            };
            let (store, next_serial) = (&mut self.store, &mut self.next_serial);
            let mut submit = |command: Command<'_>| {
                let ticket = Ticket::new(*next_serial, slot as u32);
                *next_serial += 1;
                store.submit(ticket, command, now);
                ticket
            };
            let mut context = Context {
                settings: &self.settings,
                buffers: &mut self.buffers,
                now,
                submit: &mut submit,
            };
            connection.read(&mut self.read_buffer, &mut context);
            self.to_write.push(slot);
        }
        debug_assert!(
            self.to_read.is_empty(),
            "reading makes no further work to read"
        );
        self.to_read = slots;
    }

    /// Makes durable what was decided, and hands the replies to whoever asked.
    fn commit(&mut self, now: Time) {
        self.store.commit(now);
        while let Some((ticket, reply)) = self.store.poll_reply() {
            let Some(connection) = self.connections.get_mut(ticket.slot()) else {
                continue;
            };
            let mut context = Context {
                settings: &self.settings,
                buffers: &mut self.buffers,
                now,
                submit: &mut never_submit,
            };
            if connection.session.handle_reply(ticket, reply, &mut context) {
                self.to_write.push(ticket.slot());
            }
        }
    }

    fn write(&mut self, now: Time) {
        let mut slots = std::mem::take(&mut self.to_write);
        for slot in slots.drain(..) {
            // It stands here once for each thing that happened; the first time settles all.
            let Some(connection) = self.connections.get_mut(slot) else {
                continue;
            };
            let mut context = Context {
                settings: &self.settings,
                buffers: &mut self.buffers,
                now,
                submit: &mut never_submit,
            };
            connection.write(&mut context);
            if connection.is_over(&self.settings, now) {
                self.deadlines.remove(slot);
                self.connections.remove(slot);
                continue;
            }
            watch(&mut self.deadlines, slot, connection);
            if connection.take_wish_to_read(&self.settings) {
                self.to_read.push(slot);
            }
        }
        self.to_write = slots;
    }

    fn next_ticket(&mut self, slot: u32) -> Ticket {
        let ticket = Ticket::new(self.next_serial, slot);
        self.next_serial += 1;
        ticket
    }
}

/// Notes when a connection is to be looked at. An earlier note stands: when it comes due the
/// session is asked again, which is cheaper than to move the note with each request.
fn watch(deadlines: &mut Deadlines, slot: usize, connection: &Connection) {
    if let Some(deadline) = connection.session.deadline()
        && deadlines.of(slot).is_none_or(|noted| noted > deadline)
    {
        deadlines.set(slot, deadline);
    }
}

fn never_submit(_: Command<'_>) -> Ticket {
    unreachable!("a session hands over commands only while it reads")
}
