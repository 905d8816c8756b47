//! Accepts connections.
//!
//! At the limit the connection that has been idle for longest is evicted. If none is idle, one new
//! connection is pending, and all others wait in the backlog of the listening sockets.

use std::io;
use std::net::IpAddr;

use mio::net::TcpStream;
use mio::{Interest, Token};
use rustix::io::Errno;

use super::connection::Connection;
use super::eviction::Eviction;
use super::listener::{self, Listener};
use super::{ACCEPT_PAUSE_MS, Server};
use crate::api::ListenerRole;
use crate::config::{Capacity, Tls};
use crate::host::Network;
use crate::metrics::Refused;
use crate::session::Session;
use crate::time::{LogThrottle, Time};
use crate::tls::Channel;

/// The maximum number of connections that are accepted at a time, before others are served.
const MAX_ACCEPTS: usize = 256;

/// The maximum number of connections that are still accepted when the server stops. A faster stream of them
/// must not keep it from stopping.
const MAX_LAST_ACCEPTS: usize = 64 << 10;

/// The listeners of clients, and the limits on their connections.
pub(super) struct Admission {
    pub(super) listeners: Vec<Listener>,
    pub(super) tls: Option<Tls>,
    /// When to accept next; `None` until an event reports a connection.
    accept_from: Option<Time>,
    pending: Option<PendingConnection>,
    max_connections: usize,
    max_per_address: usize,
    pub(super) eviction: Eviction,
    accept_error_throttle: LogThrottle,
    rejection_throttle: LogThrottle,
}

/// An accepted connection without a slot.
struct PendingConnection {
    socket: TcpStream,
    address: IpAddr,
    has_tls: bool,
}

impl Admission {
    pub(super) fn new(
        listeners: Vec<Listener>,
        tls: Option<Tls>,
        capacity: &Capacity,
    ) -> Admission {
        Admission {
            listeners,
            tls,
            accept_from: None,
            pending: None,
            max_connections: capacity.max_connections,
            max_per_address: capacity.max_per_address,
            eviction: Eviction::default(),
            accept_error_throttle: LogThrottle::default(),
            rejection_throttle: LogThrottle::default(),
        }
    }

    /// Notes that a connection may wait at a listener.
    pub(super) fn note_event(&mut self, now: Time) {
        self.accept_from.get_or_insert(now);
    }

    /// Notes that there may be room for a connection that waits.
    pub(super) fn note_free_slot(&mut self, now: Time) {
        self.accept_from = self.accept_from.map(|from| from.min(now));
    }

    /// Returns when to accept next; `None` if no connection waits.
    pub(super) fn accept_at(&self) -> Option<Time> {
        self.accept_from.filter(|_| !self.listeners.is_empty())
    }
}

impl Server {
    /// Accepts connections as far as there are slots: at the start of a tick.
    pub(super) fn accept(&mut self, now: Time) {
        self.accept_up_to(MAX_ACCEPTS, false, now);
    }

    /// Accepts connections by evicting idle ones: at the end of a tick, when all connections with
    /// events were read and answered.
    pub(super) fn accept_more(&mut self, now: Time) {
        self.accept_up_to(MAX_ACCEPTS, true, now);
    }

    fn accept_up_to(&mut self, max: usize, may_close: bool, now: Time) {
        if self.admission.accept_at().is_some_and(|from| from <= now) {
            self.admission.accept_from = self.accept_some(max, may_close, now);
        }
    }

    /// Accepts all connections that wait, the last ones of a server that stops. Then closes the listeners.
    pub(super) fn accept_last(&mut self, now: Time) {
        self.admission.accept_from = Some(now);
        self.accept_up_to(MAX_LAST_ACCEPTS, true, now);
        self.admission.listeners.clear();
    }

    /// Returns when to continue; `None` if no connection waits.
    fn accept_some(&mut self, max: usize, may_close: bool, now: Time) -> Option<Time> {
        let later = Some(if may_close {
            now.after_ms(ACCEPT_PAUSE_MS)
        } else {
            now
        });
        if let Some(pending) = self.admission.pending.take()
            && !self.admit(pending, may_close, now)
        {
            return later;
        }
        let (mut index, mut was_short) = (0, false);
        for _ in 0..max {
            let listener = self.admission.listeners.get(index)?;
            match listener.socket.accept() {
                Ok((socket, address)) => {
                    was_short = false;
                    let pending = PendingConnection {
                        socket,
                        address: address.ip(),
                        has_tls: listener.has_tls,
                    };
                    if !self.admit(pending, may_close, now) {
                        return later;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => index += 1,
                Err(error) if listener::concerns_one_connection(&error) => {}
                Err(_) if !may_close => return later,
                Err(error) => {
                    self.warn_accept_error(&error, now);
                    // One eviction is enough for this shortage.
                    let has_evicted = !was_short && is_shortage(&error) && self.evict_idle(now);
                    if !has_evicted {
                        return later;
                    }
                    was_short = true;
                }
            }
        }
        Some(now)
    }

    fn is_at_limit(&self) -> bool {
        self.host.len() - self.admin.connections() >= self.admission.max_connections
    }

    /// Admits or rejects a new connection. Returns false if it must wait for a slot.
    fn admit(&mut self, pending: PendingConnection, may_close: bool, now: Time) -> bool {
        let network = Network::of(pending.address);
        let is_address_full = self.host.count_of(network) >= self.admission.max_per_address;
        let is_at_limit = self.is_at_limit();
        if (is_address_full || is_at_limit) && !may_close {
            self.admission.pending = Some(pending);
            return false;
        }
        if is_address_full && !self.evict_idle_at(network, now) {
            self.host.metrics.connections.refuse(Refused::Crowded);
            if let Some(occurrences) = self.admission.rejection_throttle.record(now) {
                let (max, address) = (self.admission.max_per_address, pending.address);
                log::warn!(
                    "{address} has {max} connections, none idle: one more is closed{occurrences}"
                );
            }
            return true;
        }
        if self.is_at_limit() && !self.evict_idle(now) {
            self.admission.pending = Some(pending);
            return false;
        }
        self.register(pending, network, now);
        true
    }

    fn register(&mut self, pending: PendingConnection, network: Network, now: Time) {
        let tls = self.admission.tls.as_ref().filter(|_| pending.has_tls);
        let channel = tls.map(|tls| tls.settings.accept());
        let listener_role = self.admin.role_of_others();
        let network = Some(network);
        self.watch_connection(pending.socket, channel, listener_role, network, now);
    }

    /// Registers a connection. Returns its slot, or `None` if the poll refuses it. `network` is the address that it
    /// counts for.
    pub(super) fn watch_connection(
        &mut self,
        mut socket: TcpStream,
        channel: Option<Channel>,
        listener_role: ListenerRole,
        network: Option<Network>,
        now: Time,
    ) -> Option<usize> {
        let token = Token(self.host.next_slot());
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut socket, token, interest) {
            self.warn_accept_error(&error, now);
            return None;
        }
        let settings = &self.host.settings;
        let session = Session::new(settings, listener_role, now).with_tls(channel.is_some());
        let connection = Connection::new(socket, channel, session);
        Some(self.host.insert(connection, network))
    }

    pub(super) fn warn_accept_error(&mut self, error: &io::Error, now: Time) {
        self.host.metrics.connections.refuse(Refused::NoDescriptor);
        if let Some(occurrences) = self.admission.accept_error_throttle.record(now) {
            log::error!("a connection could not be accepted: {error}{occurrences}");
        }
    }
}

/// Returns whether the system lacks a resource that closing a connection frees.
fn is_shortage(error: &io::Error) -> bool {
    let errors = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    errors
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&error.raw_os_error())
}
