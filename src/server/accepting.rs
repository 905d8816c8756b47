//! Accepts connections.
//!
//! At the limit the connection that has been idle for longest is evicted. If none is idle, one new
//! connection is pending, and all others wait in the backlog of the listening sockets.

use std::io;
use std::net::IpAddr;

use mio::net::TcpStream;
use mio::{Interest, Token};
use rustix::io::Errno;

use super::addresses::Network;
use super::connection::Connection;
use super::{ACCEPT_PAUSE_MS, Server, listener, watch};
use crate::api::ListenerRole;
use crate::metrics::Refused;
use crate::session::Session;
use crate::time::Time;
use crate::tls::Channel;

/// The maximum number of connections that are accepted at a time, before others are served.
const MAX_ACCEPTS: usize = 256;

/// An accepted connection without a slot.
pub(super) struct PendingConnection {
    socket: TcpStream,
    address: IpAddr,
    has_tls: bool,
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

    pub(super) fn accept_up_to(&mut self, max: usize, may_close: bool, now: Time) {
        if self.accept_from.is_some_and(|from| from <= now) && !self.listeners.is_empty() {
            self.accept_from = self.accept_some(max, may_close, now);
        }
    }

    /// Returns when to continue; `None` if no connection waits.
    fn accept_some(&mut self, max: usize, may_close: bool, now: Time) -> Option<Time> {
        let later = Some(if may_close {
            now.after_ms(ACCEPT_PAUSE_MS)
        } else {
            now
        });
        if let Some(pending) = self.pending.take()
            && !self.admit(pending, may_close, now)
        {
            return later;
        }
        let (mut index, mut was_short) = (0, false);
        for _ in 0..max {
            let listener = self.listeners.get(index)?;
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
        self.connections.len() - self.admin.connections() >= self.max_connections
    }

    /// Admits or rejects a new connection. Returns false if it must wait for a slot.
    fn admit(&mut self, pending: PendingConnection, may_close: bool, now: Time) -> bool {
        let network = Network::of(pending.address);
        let is_address_full = self.addresses.count(network) >= self.max_per_address;
        let is_at_limit = self.is_at_limit();
        if (is_address_full || is_at_limit) && !may_close {
            self.pending = Some(pending);
            return false;
        }
        if is_address_full && !self.evict_idle_at(network, now) {
            self.metrics.connections.refuse(Refused::Crowded);
            if let Some(occurrences) = self.rejection_throttle.record(now) {
                let (max, address) = (self.max_per_address, pending.address);
                log::warn!(
                    "{address} has {max} connections, none idle: one more is closed{occurrences}"
                );
            }
            return true;
        }
        if self.is_at_limit() && !self.evict_idle(now) {
            self.pending = Some(pending);
            return false;
        }
        self.register(pending, network, now);
        true
    }

    fn register(&mut self, pending: PendingConnection, network: Network, now: Time) {
        let tls = self.tls.as_ref().filter(|_| pending.has_tls);
        let channel = tls.map(|tls| tls.settings.accept());
        let listener_role = self.admin.role_of_others();
        if let Some(slot) = self.watch_connection(pending.socket, channel, listener_role, now) {
            self.addresses.insert(slot, network);
        }
    }

    /// Registers a connection. Returns its slot, or `None` if the poll refuses it.
    pub(super) fn watch_connection(
        &mut self,
        mut socket: TcpStream,
        channel: Option<Channel>,
        listener_role: ListenerRole,
        now: Time,
    ) -> Option<usize> {
        let entry = self.connections.vacant_entry();
        let slot = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self
            .poll
            .registry()
            .register(&mut socket, Token(slot), interest)
        {
            Ok(()) => {
                let session =
                    Session::new(&self.settings, listener_role, now).with_tls(channel.is_some());
                let connection = entry.insert(Connection::new(socket, channel, session));
                watch(&mut self.deadlines, slot, connection);
                self.metrics.connections.accepted += 1;
                Some(slot)
            }
            Err(error) => {
                self.warn_accept_error(&error, now);
                None
            }
        }
    }

    pub(super) fn warn_accept_error(&mut self, error: &io::Error, now: Time) {
        self.metrics.connections.refuse(Refused::NoDescriptor);
        if let Some(occurrences) = self.accept_error_throttle.record(now) {
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
