//! The event loop: the sockets of clients, the signals and the clock. [`Server::run`] describes a tick.
//!
//! These can block it:
//!
//! - a log line, if the reader of a full pipe does not read (`--log-dir` writes to a file instead);
//! - on SIGHUP: reopening the log, reading keys and certificates;
//! - a full disk, which fails fast;
//! - before it serves: opening the file of the store, `--seed` and `--restore`.
//!
//! These do not: commits, which have a thread ([`JournalThread`](crate::store::JournalThread)), and the lookup of
//! Redis' host names, which has another.

mod accepting;
mod addresses;
mod admin;
mod clock;
mod connection;
mod eviction;
mod in_flight;
mod listener;
mod options;
mod process;
mod reading;
mod signals;
mod sink;
mod stalls;
mod tick_timer;
mod waiting;
mod wrong_keys;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use crate::api::ListenerRole;
use crate::command::{Granted, Refusal, Reply, Restoration, Seed, Ticket};
use crate::config::{Capacity, Tls};
use crate::metrics::{Closed, Metrics};
use crate::session::{Buffers, Context, Settings};
use crate::store::{Gather, Store};
use crate::time::{Deadlines, LogThrottle, Time};
use accepting::PendingConnection;
use addresses::Addresses;
use admin::Admin;
pub use clock::Clock;
use connection::Connection;
use eviction::Eviction;
use in_flight::InFlightRequests;
use listener::Listener;
pub use options::Options;
use reading::ReceivedRange;
use sink::{StoreSink, WaiterLimits};
use stalls::StallClock;
use tick_timer::TickTimer;
use waiting::watch_listeners;

const SIGNALS: Token = Token(usize::MAX);
const STORE: [Token; 2] = [Token(usize::MAX - 1), Token(usize::MAX - 2)];
/// Listener `i` has the token `LISTENERS - i`. A connection's token is its slot.
const LISTENERS: usize = usize::MAX - 3;

const EVENTS_PER_TICK: usize = 1024;
/// The maximum number of polls before a commit, so that a stream of requests cannot delay it for long.
const MAX_POLLS: usize = 8;
const READ_BYTES: usize = 64 << 10;
/// The pause in ms before accepting again when the system has no file descriptor left.
const ACCEPT_PAUSE_MS: u64 = 100;

/// The event loop and its state.
pub struct Server {
    poll: Poll,
    clock: Clock,
    signals: Signals,
    listeners: Vec<Listener>,
    tls: Option<Tls>,
    /// When to accept next; `None` until an event reports a connection.
    accept_from: Option<Time>,
    admin: Admin,
    connections: Slab<Connection>,
    max_connections: usize,
    addresses: Addresses,
    max_per_address: usize,
    waiter_limits: WaiterLimits,
    in_flight: InFlightRequests,
    pending: Option<PendingConnection>,
    eviction: Eviction,
    accept_error_throttle: LogThrottle,
    rejection_throttle: LogThrottle,
    deadlines: Deadlines,
    /// Slots whose clients have hung up, from the latest events.
    hung_up: Vec<usize>,
    /// Slots of connections that may have input or may resume.
    to_read: Vec<usize>,
    ranges: Vec<ReceivedRange>,
    /// Slots of connections that may have output, or may have ended.
    to_write: Vec<usize>,
    store: Box<dyn Store>,
    next_serial: u64,
    /// Commands were submitted since the last commit.
    uncommitted: bool,
    settings: Settings,
    metrics: Metrics,
    stall_clock: StallClock,
    buffers: Buffers,
    read_buffer: Box<[u8]>,
    log_dir: Option<PathBuf>,
    drain_ms: u64,
    keys_file: Option<PathBuf>,
    /// The server is stopping, and ends at this time at the latest.
    stop_at: Option<Time>,
}

/// A server that has bound its addresses, without a store.
pub struct Bound {
    poll: Poll,
    listeners: Vec<Listener>,
    admin: Admin,
    options: Options,
    clock: Clock,
}

impl Bound {
    /// Attaches the store. The server serves nothing before [`Server::run`].
    pub fn with_store(self, mut store: Box<dyn Store>) -> io::Result<Server> {
        let Bound {
            poll,
            listeners,
            admin,
            options,
            clock,
        } = self;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        poll.registry()
            .register(&mut signals, SIGNALS, Interest::READABLE)?;
        store.attach(poll.registry(), STORE, clock.now())?;
        let capacity = Capacity::new(
            options.max_connections,
            options.max_per_address,
            options.max_address_waiters,
        );
        let mut metrics = Metrics::default();
        metrics.connections.max = capacity.max_connections as u64;
        Ok(Server {
            poll,
            clock,
            signals,
            listeners,
            tls: options.tls,
            accept_from: None,
            admin,
            connections: Slab::new(),
            max_connections: capacity.max_connections,
            addresses: Addresses::new(options.max_wrong_keys),
            max_per_address: capacity.max_per_address,
            waiter_limits: WaiterLimits {
                max: capacity.max_waiters,
                max_per_address: capacity.max_address_waiters,
            },
            in_flight: InFlightRequests::new(options.max_requests),
            pending: None,
            eviction: Eviction::default(),
            accept_error_throttle: LogThrottle::default(),
            rejection_throttle: LogThrottle::default(),
            deadlines: Deadlines::default(),
            hung_up: Vec::new(),
            to_read: Vec::new(),
            ranges: Vec::new(),
            to_write: Vec::new(),
            store,
            next_serial: 0,
            uncommitted: false,
            settings: options.settings,
            metrics,
            stall_clock: StallClock::new(clock.now()),
            buffers: Buffers::default(),
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            log_dir: options.log_dir,
            drain_ms: options.drain_ms,
            keys_file: options.keys_file,
            stop_at: None,
        })
    }
}

impl Server {
    /// Binds all addresses. This comes first, so that a failure creates no store.
    pub fn bind(options: Options, clock: Clock) -> io::Result<Bound> {
        let poll = Poll::new()?;
        let mut listeners = listener::open(&options)?;
        let sockets = listeners.iter_mut().map(|listener| &mut listener.socket);
        watch_listeners(sockets, 0, poll.registry())?;
        let admin = Admin::bind(&options.admin_listen, listeners.len(), poll.registry())?;
        Ok(Bound {
            poll,
            listeners,
            admin,
            options,
            clock,
        })
    }

    /// Returns the addresses of the listeners, with the ports that the system chose, and whether each has TLS.
    pub fn addresses(&self) -> io::Result<Vec<(SocketAddr, bool)>> {
        let address = |listener: &Listener| Ok((listener.socket.local_addr()?, listener.has_tls));
        self.listeners.iter().map(address).collect()
    }

    /// Restores a dump. Call it first. The store refuses it unless it is empty.
    pub fn restore(&mut self, restoration: Restoration) -> Result<(), Refusal> {
        self.store.restore(Rc::new(restoration), self.clock.now())
    }

    /// Purges and seeds the store as configured for the start. Call it before [`Server::run`].
    pub fn prepare(&mut self, purge: bool, seed: Option<Seed>) -> Result<(), Refusal> {
        self.store.prepare(purge, seed, self.clock.now())
    }

    /// Serves until a signal stops the server. Returns false if the store could not make everything durable at the end.
    ///
    /// # One tick
    ///
    /// 1. Wait for events, then read the clock: `now` stays the same for the whole tick. If the wait or the tick before
    ///    took much too long, hold the store's time-outs.
    /// 2. Note the events: handle signals, pass the store its events, and collect the slots to read and to write.
    /// 3. Accept connections, as far as there are slots. None is evicted yet, since its request may be in its socket.
    /// 4. Withdraw the requests of clients that have hung up, then read. So a release in the same tick serves a client
    ///    that still waits.
    /// 5. After a stall, read until no input is left, for a bounded time, then release the time-outs. Input that came
    ///    in time counts before a lease ends.
    /// 6. Poll for more commands if the next commit has to be synced: they share it.
    /// 7. Expire: time-outs of sessions, then leases and waiters in the store. This follows all reading.
    /// 8. Commit once, then pass the replies to their sessions. A grant without its session is undone, unless
    ///    it has an owner.
    /// 9. Write once for each connection that has output, and close those that have ended. Closing comes after all
    ///    reading, so that no stale event meets a reused slot.
    /// 10. Evict unauthenticated clients that hold too much memory, then accept at the limit by evicting idle
    ///     connections. Now every connection with an event has been served, so that idle ones are really idle.
    /// 11. Read the clock again: a tick's requests took as long as the tick.
    ///
    /// Work that is left makes the next tick begin at once; a tick does not loop. So no client with a deep pipeline
    /// delays the others. A stopping server ends when no connection is left and the store is quiescent, when the drain
    /// time is over, or at a second signal.
    pub fn run(mut self) -> io::Result<bool> {
        let mut events = Events::with_capacity(EVENTS_PER_TICK);
        let (mut ended, _) = self.clock.read();
        self.stall_clock = StallClock::new(ended);
        loop {
            let wake_at = self.wait(&mut events, ended)?;
            let timer = log::log_enabled!(log::Level::Debug).then(TickTimer::start);
            let (now, began_at) = self.clock.read();
            self.metrics.requests.begin_tick(began_at);
            let is_stalled = self.hold_after_stall(wake_at, ended, now);
            self.note_events(&events, now);
            self.accept(now);
            self.accept_admin(now);
            self.read(now);
            if is_stalled {
                self.catch_up(&mut events, now)?;
            }
            self.gather(&mut events, now)?;
            self.expire(now);
            self.commit(now);
            self.write(now);
            self.evict_unauthenticated(now);
            self.accept_more(now);
            timer.inspect(TickTimer::note);
            let ended_at;
            (ended, ended_at) = self.clock.read();
            self.metrics.requests.end_tick(ended_at);
            if self.stop_at.is_some_and(|at| {
                at <= now || self.connections.is_empty() && self.store.is_quiescent()
            }) {
                return Ok(self.store.close());
            }
        }
    }

    /// Polls for more commands before a commit, as long as the store waits for them. Clients that were answered
    /// together ask again nearly together, and should share the next commit.
    fn gather(&mut self, events: &mut Events, now: Time) -> io::Result<()> {
        let (mut polls, mut elapsed_us, mut began_at) = (0, 0, None);
        while polls < MAX_POLLS {
            let gather = self.store.gather(elapsed_us, now);
            if gather == Gather::Nothing {
                break;
            }
            self.poll_events(events, Some(Duration::ZERO))?;
            if gather == Gather::Arrived {
                polls = if events.is_empty() {
                    MAX_POLLS
                } else {
                    polls + 1
                };
            }
            if !events.is_empty() {
                self.note_events(events, now);
                self.accept(now);
                self.read(now);
            }
            let (_, at) = self.clock.read();
            elapsed_us = at.since(*began_at.get_or_insert(at));
        }
        Ok(())
    }

    fn expire(&mut self, now: Time) {
        while let Some(slot) = self.deadlines.pop_due(now) {
            let connection = &mut self.connections[slot];
            connection.session.handle_timeout(now);
            // The deadline may have moved since it was noted; `write` notes it again.
            if connection.queue_to_write() {
                self.to_write.push(slot);
            }
        }
        self.store.handle_timeout(now);
    }

    /// Runs `act` on the connection in this slot, if there is one, with its context.
    fn with_connection<R>(
        &mut self,
        slot: usize,
        now: Time,
        act: impl FnOnce(&mut Connection, &mut [u8], &mut Context<'_>) -> R,
    ) -> Option<R> {
        let connection = self.connections.get_mut(slot)?;
        let mut sink = StoreSink {
            store: &mut *self.store,
            next_serial: &mut self.next_serial,
            uncommitted: &mut self.uncommitted,
            addresses: &mut self.addresses,
            waiter_limits: self.waiter_limits,
            slot,
            now,
        };
        let mut context = Context {
            settings: &self.settings,
            buffers: &mut self.buffers,
            now,
            metrics: &mut self.metrics,
            sink: &mut sink,
        };
        Some(act(connection, &mut self.read_buffer, &mut context))
    }

    /// Commits, and passes the replies to their sessions. Undoes grants whose client is gone.
    fn commit(&mut self, now: Time) {
        self.uncommitted = false;
        self.store.commit(now);
        while let Some((ticket, reply)) = self.store.poll_reply() {
            let slot = ticket.slot();
            let mut reply = Some(reply);
            let is_queued = self.with_connection(slot, now, |connection, _, context| {
                let untaken = |reply| {
                    connection
                        .session
                        .handle_reply(ticket, reply, context)
                        .err()
                };
                reply = reply.take().and_then(untaken);
                reply.is_none() && connection.queue_to_write()
            });
            match reply {
                None if is_queued == Some(true) => self.to_write.push(slot),
                Some(Reply::Granted(granted)) => self.undo(&granted, now),
                None | Some(_) => {}
            }
        }
    }

    fn undo(&mut self, granted: &Granted, now: Time) {
        if let Some(command) = granted.undo() {
            let ticket = self.next_ticket(NO_SLOT);
            self.store.submit(ticket, command, now);
            self.uncommitted = true;
        }
    }

    fn write(&mut self, now: Time) {
        let mut slots = std::mem::take(&mut self.to_write);
        for slot in slots.drain(..) {
            self.write_one(slot, now);
        }
        // Connections whose output did not fit into this tick.
        slots.append(&mut self.to_write);
        self.to_write = slots;
        self.resume_reading();
    }

    fn write_one(&mut self, slot: usize, now: Time) {
        let ending = self.with_connection(slot, now, |connection, _, context| {
            connection.write(context);
            let ending = connection.poll_ending(context);
            if ending.is_some() {
                connection.session.abandon(context);
            }
            ending
        });
        let Some(ending) = ending else { return };
        self.update_in_flight(slot);
        if let Some(why) = ending {
            self.close(slot, why, now);
            return;
        }
        let connection = &mut self.connections[slot];
        connection.adapt_probes();
        watch(&mut self.deadlines, slot, connection);
        if connection.take_read_request(&self.settings) {
            self.to_read.push(slot);
        }
        if connection.can_write() && connection.queue_to_write() {
            self.to_write.push(slot);
        }
    }

    /// Closes a connection. A pending connection may have its slot at once.
    fn close(&mut self, slot: usize, why: Closed, now: Time) {
        self.deadlines.remove(slot);
        self.clear_in_flight(slot);
        let connection = self.connections.remove(slot);
        match connection.session.listener_role() {
            ListenerRole::Admin => self.admin.remove(slot, now),
            ListenerRole::All | ListenerRole::Service => self.addresses.remove(slot),
        }
        self.metrics.connections.close(why);
        self.accept_from = self.accept_from.map(|from| from.min(now));
    }

    fn next_ticket(&mut self, slot: u32) -> Ticket {
        let ticket = Ticket::new(self.next_serial, slot);
        self.next_serial += 1;
        ticket
    }
}

/// A slot that never has a connection.
const NO_SLOT: u32 = u32::MAX;

/// Notes the deadline of a connection. An earlier note stands: when it comes due, the session is asked again, which is
/// cheaper than to move the note with each request.
fn watch(deadlines: &mut Deadlines, slot: usize, connection: &Connection) {
    if let Some(deadline) = connection.session.deadline()
        && deadlines.of(slot).is_none_or(|noted| noted > deadline)
    {
        deadlines.set(slot, deadline);
    }
}
