//! The socket to a Redis, with TLS on it or without. It never waits: what cannot be done yet is
//! `WouldBlock`, and is tried again when the event loop has something to tell.

use std::io::{self, Read, Write};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::tls::{Channel, Failure, Received};

/// As much as a TLS record and the start of another one.
const READ_BYTES: usize = 32 << 10;

/// A socket to a Redis.
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn tcp(socket: TcpStream, channel: Option<Channel>) -> Stream {
        match channel {
            None => Stream::Tcp(socket),
            Some(channel) => Stream::Tls(Box::new(TlsStream {
                socket,
                channel,
                received: vec![0; READ_BYTES].into_boxed_slice(),
                plaintext: Vec::new(),
                taken: 0,
            })),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let source: &mut dyn Source = match self {
            Stream::Tcp(socket) => socket,
            Stream::Tls(stream) => &mut stream.socket,
            Stream::Unix(socket) => socket,
        };
        registry.register(source, token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(super) fn as_io(&mut self) -> &mut dyn ReadWrite {
        match self {
            Stream::Tcp(socket) => socket,
            Stream::Tls(stream) => &mut **stream,
            Stream::Unix(socket) => socket,
        }
    }

    /// Whether the connection has come about; an error if it cannot any more.
    pub(super) fn has_connected(&self) -> io::Result<bool> {
        let socket = match self {
            Stream::Tcp(socket) => SockRef::from(socket),
            Stream::Tls(stream) => SockRef::from(&stream.socket),
            Stream::Unix(socket) => SockRef::from(socket),
        };
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Goes on with what comes before the first byte, of a connection that there is. True when that is
    /// done.
    pub(super) fn shake_hands(&mut self) -> io::Result<bool> {
        match self {
            Stream::Tls(stream) => stream.shake_hands(),
            Stream::Tcp(_) | Stream::Unix(_) => Ok(true),
        }
    }
}

/// All kinds of sockets.
pub(super) trait ReadWrite: Read + Write {
    /// Whether a read that brings less than there is room for has emptied the socket.
    fn short_read_is_last(&self) -> bool {
        true
    }
}

impl ReadWrite for TcpStream {}
impl ReadWrite for UnixStream {}

/// A socket with TLS on it.
pub(super) struct TlsStream {
    socket: TcpStream,
    channel: Channel,
    received: Box<[u8]>,
    /// What has been understood, and how much of that has been taken.
    plaintext: Vec<u8>,
    taken: usize,
}

impl TlsStream {
    fn shake_hands(&mut self) -> io::Result<bool> {
        self.push()?;
        while !self.channel.is_ready() {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return Err(io::Error::other("it has closed the connection")),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads once from the socket. False if nothing more comes.
    fn fill(&mut self) -> io::Result<bool> {
        if self.channel.has_ended() {
            return Ok(false);
        }
        let count = self.socket.read(&mut self.received)?;
        if count == 0 {
            return Ok(false);
        }
        let plaintext = &mut self.plaintext;
        let bytes = &mut self.received[..count];
        let take = &mut |bytes: &[u8]| plaintext.extend_from_slice(bytes);
        let received = self.channel.receive(bytes, take);
        let pushed = self.push();
        // What is wrong is more telling than that it cannot be said to the other side.
        let received = received.map_err(describe)?;
        pushed?;
        Ok(received == Received::More)
    }

    /// Sends what the channel has to say, as far as the socket takes it.
    fn push(&mut self) -> io::Result<()> {
        while !self.channel.output().is_empty() {
            match self.socket.write(self.channel.output()) {
                Ok(count) => {
                    self.channel.handle_sent(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.last_words().unwrap_or(error)),
            }
        }
        Ok(())
    }

    /// Why the other side has closed the connection, if it has said so before.
    fn last_words(&mut self) -> Option<io::Error> {
        let count = self.socket.read(&mut self.received).ok()?;
        let bytes = &mut self.received[..count];
        let failure = self.channel.receive(bytes, &mut |_| {}).err()?;
        Some(describe(failure))
    }
}

impl ReadWrite for TlsStream {
    fn short_read_is_last(&self) -> bool {
        false
    }
}

impl Read for TlsStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.plaintext.len() {
            self.plaintext.clear();
            self.taken = 0;
            if !self.fill()? && self.plaintext.is_empty() {
                return Ok(0);
            }
        }
        let count = into.len().min(self.plaintext.len() - self.taken);
        into[..count].copy_from_slice(&self.plaintext[self.taken..][..count]);
        self.taken += count;
        Ok(count)
    }
}

impl Write for TlsStream {
    /// What is taken and finds no room in the socket is sent by `flush`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push()?;
        if !self.channel.output().is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.channel.send(bytes).map_err(describe)?;
        let count = self.channel.unsent_plaintext();
        self.push()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

fn describe(failure: Failure) -> io::Error {
    io::Error::other(failure.to_string())
}
