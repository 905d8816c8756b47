//! The address of their own that the metrics may have: `--admin-listen`.
//!
//! Its connections count against no limit of the others, and neither make way for the other: so a server
//! can be looked at while it is full. In turn there are never many of them. When there are as many as may
//! be, the one that has been idle for longest makes way for a new one.

use std::io;
use std::net::SocketAddr;

use mio::Registry;
use mio::net::{TcpListener, TcpStream};

use super::{ACCEPT_PAUSE_MS, LISTENERS, Server, listener, watch_listeners};
use crate::api::ListenerRole;
use crate::time::Time;

/// The most connections. Their descriptors are among those that are kept free of clients.
const MAX_CONNECTIONS: usize = 16;

/// How long a connection keeps its place although it does nothing with it.
const IDLE_MS: u64 = 2_000;

#[derive(Debug)]
pub(super) struct Admin {
    listeners: Vec<TcpListener>,
    /// Where the first one stands among all listeners of the server.
    first_listener: usize,
    /// When to look next for connections that wait to be accepted; `None` until there is an event.
    accept_from: Option<Time>,
    /// A connection that waits for the place of another one.
    pending: Option<TcpStream>,
    /// Slots of the connections.
    slots: Vec<usize>,
}

impl Admin {
    /// What one process has counted is of no use to who means another one, so that these ports are not
    /// shared.
    pub(super) fn bind(
        addresses: &[SocketAddr],
        first_listener: usize,
        registry: &Registry,
    ) -> io::Result<Admin> {
        let mut listeners = listener::bind_all(addresses)?;
        watch_listeners(listeners.iter_mut(), first_listener, registry)?;
        Ok(Admin {
            listeners,
            first_listener,
            accept_from: None,
            pending: None,
            slots: Vec::with_capacity(MAX_CONNECTIONS),
        })
    }

    /// Where the metrics are to be had; if nowhere, they are where all else is.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    pub(super) fn has(&self, token: usize) -> bool {
        let index = LISTENERS.checked_sub(token);
        let index = index.and_then(|index| index.checked_sub(self.first_listener));
        index.is_some_and(|index| index < self.listeners.len())
    }

    pub(super) fn note_event(&mut self, now: Time) {
        self.accept_from.get_or_insert(now);
    }

    /// When to look for a connection that may be waiting.
    pub(super) fn accept_at(&self) -> Option<Time> {
        self.accept_from.filter(|_| !self.listeners.is_empty())
    }

    /// The number of connections.
    pub(super) fn connections(&self) -> usize {
        self.slots.len()
    }

    /// What clients find who have come in elsewhere.
    pub(super) fn role_of_others(&self) -> ListenerRole {
        match self.listeners[..] {
            [] => ListenerRole::All,
            _ => ListenerRole::Service,
        }
    }

    /// The connection in this slot is closed. One that waits for its place may have it at once.
    pub(super) fn remove(&mut self, slot: usize, now: Time) {
        self.slots.retain(|&other| other != slot);
        self.accept_from = self.accept_from.map(|from| from.min(now));
    }

    pub(super) fn stop(&mut self) {
        self.listeners.clear();
        self.pending = None;
    }
}

impl Server {
    /// The addresses that are for the metrics alone.
    pub fn admin_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.admin.addresses()
    }

    pub(super) fn accept_admin(&mut self, now: Time) {
        if self.admin.accept_at().is_some_and(|from| from <= now) {
            self.admin.accept_from = self.accept_all_admins(now);
        }
    }

    /// Returns when to look again; `None` if no connection waits.
    fn accept_all_admins(&mut self, now: Time) -> Option<Time> {
        let mut index = 0;
        for _ in 0..MAX_CONNECTIONS {
            let accepted = match self.admin.pending.take() {
                Some(socket) => Ok(socket),
                None => {
                    let listener = self.admin.listeners.get(index)?;
                    listener.accept().map(|(socket, _)| socket)
                }
            };
            match accepted {
                Ok(socket) if !self.can_admit_admin(now) => {
                    self.admin.pending = Some(socket);
                    return Some(now.after_ms(ACCEPT_PAUSE_MS));
                }
                Ok(socket) => {
                    let slot = self.watch_connection(socket, None, ListenerRole::Admin, now);
                    self.admin.slots.extend(slot);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => index += 1,
                Err(error) if listener::concerns_one_connection(&error) => {}
                Err(error) => {
                    self.warn_accept_error(&error, now);
                    return Some(now.after_ms(ACCEPT_PAUSE_MS));
                }
            }
        }
        Some(now)
    }

    /// Whether there is room for another connection, if need be in the place of the one that has been idle
    /// for longest.
    fn can_admit_admin(&mut self, now: Time) -> bool {
        if self.admin.slots.len() < MAX_CONNECTIONS {
            return true;
        }
        let idle = self.admin.slots.iter().filter_map(|&slot| {
            let connection = self.connections.get(slot)?;
            // It is in the middle of a request if this is `None`.
            connection.idle_since(&self.settings, now)?;
            Some((connection.session.last_active_at(&self.settings), slot))
        });
        match idle.min() {
            Some((since, slot)) if since.after_ms(IDLE_MS) <= now => {
                self.evict(slot, now);
                true
            }
            _ => false,
        }
    }
}
