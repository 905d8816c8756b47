//! The address of their own that the metrics may have: `--admin-listen`.
//!
//! Who comes in there counts against no limit of the others, and nobody has to go for him, nor he for
//! anybody: so a server can be looked at while it is full. In turn there are never many of them.

use std::io;
use std::net::SocketAddr;

use mio::Registry;
use mio::net::TcpListener;

use super::{ACCEPT_PAUSE_MS, LISTENERS, Server, listener, watch_listeners};
use crate::api::Door;
use crate::time::Time;

/// The most connections. Their descriptors are among those that are kept free of clients.
const MAX_CONNECTIONS: usize = 16;

#[derive(Debug)]
pub(super) struct Admin {
    listeners: Vec<TcpListener>,
    /// Where the first one stands among all listeners of the server.
    first_place: usize,
    /// When to look next for connections that wait to be accepted; `None` until there is an event.
    accept_from: Option<Time>,
    connections: usize,
}

impl Admin {
    /// What one process has counted is of no use to who means another one, so that these ports are not
    /// shared.
    pub(super) fn bind(
        addresses: &[SocketAddr],
        first_place: usize,
        registry: &Registry,
    ) -> io::Result<Admin> {
        let mut listeners = listener::bind_all(addresses)?;
        watch_listeners(listeners.iter_mut(), first_place, registry)?;
        Ok(Admin {
            listeners,
            first_place,
            accept_from: None,
            connections: 0,
        })
    }

    /// Where the metrics are to be had; if nowhere, they are where all else is.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    pub(super) fn has(&self, token: usize) -> bool {
        let place = LISTENERS.checked_sub(token);
        let place = place.and_then(|place| place.checked_sub(self.first_place));
        place.is_some_and(|place| place < self.listeners.len())
    }

    pub(super) fn note_event(&mut self, now: Time) {
        self.accept_from.get_or_insert(now);
    }

    /// When somebody can be taken in who may be waiting.
    pub(super) fn accept_at(&self) -> Option<Time> {
        let has_room = self.connections < MAX_CONNECTIONS && !self.listeners.is_empty();
        self.accept_from.filter(|_| has_room)
    }

    /// How many have come in there.
    pub(super) fn connections(&self) -> usize {
        self.connections
    }

    /// What clients find who have come in elsewhere.
    pub(super) fn door_of_others(&self) -> Door {
        match self.listeners[..] {
            [] => Door::Whole,
            _ => Door::Service,
        }
    }

    /// One of its connections is closed.
    pub(super) fn leave(&mut self) {
        self.connections -= 1;
    }

    pub(super) fn stop(&mut self) {
        self.listeners.clear();
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

    /// Answers when to go on; `None` if all are in.
    fn accept_all_admins(&mut self, now: Time) -> Option<Time> {
        let mut place = 0;
        while self.admin.connections < MAX_CONNECTIONS {
            match self.admin.listeners.get(place)?.accept() {
                Ok((socket, _)) => {
                    if self
                        .watch_connection(socket, None, Door::Admin, now)
                        .is_some()
                    {
                        self.admin.connections += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => place += 1,
                Err(error) if listener::concerns_one_connection(&error) => {}
                Err(error) => {
                    self.complain(&error, now);
                    return Some(now.after_ms(ACCEPT_PAUSE_MS));
                }
            }
        }
        Some(now)
    }
}
