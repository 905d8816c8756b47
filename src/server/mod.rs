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
mod admin;
mod clock;
mod connection;
mod eviction;
mod listener;
mod process;
mod reading;
mod signals;
mod stalls;
mod waiting;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::command::{Refusal, Restoration, Seed};
use crate::config::{Capacity, Tls};
use crate::host::{Host, HostLimits};
use crate::metrics::Closed;
use crate::session::Settings;
use crate::store::{Gather, Store};
use crate::time::Time;
use accepting::Admission;
use admin::Admin;
pub use clock::Clock;
use clock::TickTimer;
use connection::Connection;
use listener::Listener;
use reading::ReadBuffer;
use stalls::StallClock;
use waiting::watch_listeners;

const SIGNALS: Token = Token(usize::MAX);
const STORE: [Token; 2] = [Token(usize::MAX - 1), Token(usize::MAX - 2)];
/// Listener `i` has the token `LISTENERS - i`. A connection's token is its slot.
const LISTENERS: usize = usize::MAX - 3;

const EVENTS_PER_TICK: usize = 1024;
/// The maximum number of polls before a commit, so that a stream of requests cannot delay it for long.
const MAX_POLLS: usize = 8;
/// The pause in ms before accepting again when the system has no file descriptor left.
const ACCEPT_PAUSE_MS: u64 = 100;

/// The event loop and its state.
pub struct Server {
    poll: Poll,
    clock: Clock,
    signals: Signals,
    /// The sessions, the store, and what they share.
    host: Host<Connection>,
    admission: Admission,
    admin: Admin,
    read_buffer: ReadBuffer,
    stall_clock: StallClock,
    log_dir: Option<PathBuf>,
    keys_file: Option<PathBuf>,
    drain_ms: u64,
    /// The server is stopping, and ends at this time at the latest.
    stop_at: Option<Time>,
}

/// The options of a server, as [`Server::bind`](Server::bind) takes them.
pub struct Options {
    /// The addresses to listen on, unless listening sockets were inherited.
    pub listen: Vec<SocketAddr>,
    /// The addresses to listen on with TLS, and the certificate; `None` for no TLS.
    pub tls: Option<Tls>,
    /// The addresses for the metrics alone. If empty, all listeners serve them.
    pub admin_listen: Vec<SocketAddr>,
    /// Share the ports with other processes.
    pub reuse_port: bool,
    /// Limits and time-outs of sessions.
    pub settings: Settings,
    /// The file of the keys in `settings`, which is read again on SIGHUP.
    pub keys_file: Option<PathBuf>,
    /// The maximum number of connections; `None` for what the system's descriptor limit allows.
    pub max_connections: Option<usize>,
    /// The maximum number of connections of one address; `None` for a part of all.
    pub max_per_address: Option<usize>,
    /// The maximum number of queued requests of one address; `None` for a part of all.
    pub max_address_waiters: Option<usize>,
    /// The maximum number of requests in flight in all, without those that are queued.
    pub max_requests: usize,
    /// The maximum number of wrong keys of one address in a minute; 0 for no limit.
    pub max_wrong_keys: usize,
    /// The time in ms for which requests in flight may be answered when the server stops.
    pub drain_ms: u64,
    /// The directory of the log file, which is opened again on SIGHUP.
    pub log_dir: Option<PathBuf>,
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
        let limits = HostLimits {
            max_requests: options.max_requests,
            max_waiters: capacity.max_waiters,
            max_address_waiters: capacity.max_address_waiters,
            max_wrong_keys: options.max_wrong_keys,
        };
        let mut host = Host::new(store, options.settings, limits, process::measure);
        host.metrics.connections.max = capacity.max_connections as u64;
        Ok(Server {
            poll,
            clock,
            signals,
            host,
            admission: Admission::new(listeners, options.tls, &capacity),
            admin,
            read_buffer: ReadBuffer::new(),
            stall_clock: StallClock::new(clock.now()),
            log_dir: options.log_dir,
            keys_file: options.keys_file,
            drain_ms: options.drain_ms,
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
        self.admission.listeners.iter().map(address).collect()
    }

    /// Restores a dump. Call it first. The store refuses it unless it is empty.
    pub fn restore(&mut self, restoration: Restoration) -> Result<(), Refusal> {
        let now = self.clock.now();
        self.host.store_mut().restore(Rc::new(restoration), now)
    }

    /// Purges and seeds the store as configured for the start. Call it before [`Server::run`].
    pub fn prepare(&mut self, purge: bool, seed: Option<Seed>) -> Result<(), Refusal> {
        let now = self.clock.now();
        self.host.store_mut().prepare(purge, seed, now)
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
            self.host.metrics.requests.begin_tick(began_at);
            let is_stalled = self.hold_after_stall(wake_at, ended, now);
            self.note_events(&events, now);
            self.accept(now);
            self.accept_admin(now);
            self.read(now);
            if is_stalled {
                self.catch_up(&mut events, now)?;
            }
            self.gather(&mut events, now)?;
            self.host.expire(now);
            self.host.commit(now);
            self.write(now);
            self.evict_unauthenticated(now);
            self.accept_more(now);
            timer.inspect(TickTimer::note);
            let ended_at;
            (ended, ended_at) = self.clock.read();
            self.host.metrics.requests.end_tick(ended_at);
            if self.stop_at.is_some_and(|at| {
                at <= now || self.host.is_empty() && self.host.store().is_quiescent()
            }) {
                return Ok(self.host.store_mut().close());
            }
        }
    }

    /// Polls for more commands before a commit, as long as the store waits for them. Clients that were answered
    /// together ask again nearly together, and should share the next commit.
    fn gather(&mut self, events: &mut Events, now: Time) -> io::Result<()> {
        let (mut polls, mut elapsed_us, mut began_at) = (0, 0, None);
        while polls < MAX_POLLS {
            let gather = self.host.store_mut().gather(elapsed_us, now);
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

    fn read(&mut self, now: Time) {
        self.read_buffer.read(&mut self.host, now);
    }

    fn write(&mut self, now: Time) {
        self.host.write(now);
        while let Some(slot) = self.host.take_closed() {
            self.note_closed(slot, now);
        }
    }

    /// Closes a connection for the sake of others.
    fn close_evicted(&mut self, slot: usize, now: Time) {
        let announce = Connection::announce_end;
        self.host.close(slot, Closed::Evicted, now, announce);
        self.note_closed(slot, now);
    }

    /// Notes that a slot is free: a pending connection may have it at once.
    fn note_closed(&mut self, slot: usize, now: Time) {
        self.admin.remove(slot, now);
        self.admission.note_free_slot(now);
    }
}
