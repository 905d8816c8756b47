//! A connection with one deadline for all steps, the lookup of the name and the TLS handshake included.

use std::io::{self, Read, Write};
use std::time::Instant;

use super::Peer;
use super::secured::Secured;
use super::socket::Socket;
use crate::tls::ClientSettings;

/// A connection to a server, with a deadline. With TLS, an unauthenticated end is `UnexpectedEof`, and a
/// failure of TLS is `InvalidData`.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    tls: Option<Secured>,
}

impl Connection {
    /// Connects to the first address of the host that answers, and makes the TLS handshake. `InvalidData`
    /// means another server, or one without TLS: no request was sent.
    pub fn open(peer: &Peer, deadline: Instant) -> io::Result<Connection> {
        let mut socket = Socket::open(peer.url(), deadline)?;
        let channel = peer.tls().map(ClientSettings::connect);
        let tls = channel.map(|channel| Secured::handshake(channel, &mut socket));
        let tls = tls.transpose()?;
        Ok(Connection { socket, tls })
    }
}

impl Connection {
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.socket.deadline = deadline;
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => tls.read(&mut self.socket, buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write(bytes),
            Some(tls) => tls.write(&mut self.socket, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.socket);
        }
    }
}
