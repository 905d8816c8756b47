//! The listeners of `--admin-listen`, which serve only the metrics.
//!
//! Their connections count against no limit of the others, and neither kind is evicted for the other. So a
//! full server can still be observed. In turn their number is small: at the limit, the one that has been idle
//! for longest is evicted.

use std::io;
use std::net::SocketAddr;

use mio::Registry;
use mio::net::{TcpListener, TcpStream};

use super::waiting::watch_listeners;
use super::{ACCEPT_PAUSE_MS, LISTENERS, Server, listener};
use crate::api::ListenerRole;
use crate::time::Time;

/// The maximum number of connections. Their descriptors are among those that are kept free of clients.
const MAX_CONNECTIONS: usize = 16;

/// The time in ms for which an idle connection keeps its slot.
const IDLE_MS: u64 = 2_000;

#[derive(Debug)]
pub(super) struct Admin {
    listeners: Vec<TcpListener>,
    /// The index of the first one among all listeners of the server.
    first_listener: usize,
    /// When to accept next; `None` until an event reports a connection.
    accept_from: Option<Time>,
    /// A connection that waits for a slot.
    pending: Option<TcpStream>,
    slots: Vec<usize>,
}

impl Admin {
    /// Binds the addresses. Their ports are not shared: the counts of one process are useless to a client
    /// that means another.
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

    /// Returns the addresses for the metrics alone. If empty, all listeners serve them.
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

    /// Returns when to accept next; `None` if no connection waits.
    pub(super) fn accept_at(&self) -> Option<Time> {
        self.accept_from.filter(|_| !self.listeners.is_empty())
    }

    pub(super) fn connections(&self) -> usize {
        self.slots.len()
    }

    /// Returns the role of all other listeners.
    pub(super) fn role_of_others(&self) -> ListenerRole {
        match self.listeners[..] {
            [] => ListenerRole::All,
            _ => ListenerRole::Service,
        }
    }

    /// Removes the connection in this slot, if it is one of these. A pending one may have its slot at once.
    pub(super) fn remove(&mut self, slot: usize, now: Time) {
        if let Some(at) = self.slots.iter().position(|&other| other == slot) {
            self.slots.remove(at);
            self.accept_from = self.accept_from.map(|from| from.min(now));
        }
    }

    pub(super) fn stop(&mut self) {
        self.listeners.clear();
        self.pending = None;
    }
}

impl Server {
    /// Returns the addresses of `--admin-listen`, with the ports that the system chose.
    pub fn admin_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.admin.addresses()
    }

    pub(super) fn accept_admin(&mut self, now: Time) {
        if self.admin.accept_at().is_some_and(|from| from <= now) {
            self.admin.accept_from = self.accept_all_admins(now);
        }
    }

    /// Accepts connections. Returns when to try again; `None` if no connection waits.
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
                    let slot = self.watch_connection(socket, None, ListenerRole::Admin, None, now);
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

    /// Returns whether there is a slot for another connection, if need be by evicting the one that has been
    /// idle for longest.
    fn can_admit_admin(&mut self, now: Time) -> bool {
        if self.admin.slots.len() < MAX_CONNECTIONS {
            return true;
        }
        let idle = self.admin.slots.iter().filter_map(|&slot| {
            let connection = self.host.get(slot)?;
            // `None` means that it is in the middle of a request.
            connection.idle_since(&self.host.settings, now)?;
            Some((connection.session.last_active_at(&self.host.settings), slot))
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
