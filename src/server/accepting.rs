//! How the server takes in who wants to connect.

use std::io;

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::connection::Connection;
use super::{ACCEPT_PAUSE_MS, Server, listener, watch};
use crate::time::Time;

impl Server {
    pub(super) fn may_accept(&self) -> bool {
        self.connections.len() < self.max_connections && !self.listeners.is_empty()
    }

    pub(super) fn accept(&mut self, now: Time) {
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

    fn welcome(&mut self, mut socket: TcpStream, now: Time) {
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
}
