//! The socket to a Redis, with or without TLS. It never blocks: it returns `WouldBlock`, and is tried
//! again at the next event.

use std::io::{self, Read, Write};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::tls::{Channel, Failure, Received};

/// Room for a TLS record and the start of another one.
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

    /// Returns true once the socket is connected; an error if it cannot connect any more.
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

    /// Continues the handshake of a connected socket. Returns true when it is done.
    pub(super) fn shake_hands(&mut self) -> io::Result<bool> {
        match self {
            Stream::Tls(stream) => stream.shake_hands(),
            Stream::Tcp(_) | Stream::Unix(_) => Ok(true),
        }
    }
}

/// Reading and writing on all kinds of sockets.
pub(super) trait ReadWrite: Read + Write {
    /// Returns true if a read shorter than its buffer has emptied the socket.
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
    /// Decrypted bytes, and below the number of those already read.
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

    /// Reads once from the socket. Returns false if nothing more comes.
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
        // An error of the peer explains more than a failure to answer it.
        let received = received.map_err(describe)?;
        pushed?;
        Ok(received == Received::More)
    }

    /// Sends the output of the channel, as far as the socket takes it.
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

    /// Returns the peer's reason to close the connection, if it sent one before.
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
    /// Encrypts bytes and sends as many as the socket takes; `flush` sends the rest.
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
