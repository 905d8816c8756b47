//! The connection to Redis: one non-blocking socket, and the values parsed from it.
//!
//! It knows how to connect, and when the connection is lost. It knows neither the commands on it nor when
//! to try again.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::mem;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use memchr::memchr_iter;
use mio::event::Event;
use mio::net::{TcpStream, UnixStream};
use mio::{Registry, Token, Waker};
use redis::{Parser, RedisError, Value};

use super::options::RedisAddress;
use super::resolver::{self, Lookup};
use super::stream::{ReadWrite, Stream};
use crate::tls::ClientSettings;

const READ_BYTES: usize = 64 << 10;
/// The limit on reads in one turn: a Redis that never stops sending must not stop the event loop.
const READS_PER_TURN: usize = 2;
/// The limit on the bytes of a value: more than a listing of a million resources has.
const MAX_VALUE_BYTES: usize = 256 << 20;
/// The limit on line ends in a value, which has fewer parts than these: parts take more memory than their
/// bytes.
const MAX_VALUE_LINES: usize = 4_000_000;
/// The limit on the bytes of a value that is not a reply: notices are short.
const MAX_NOTICE_BYTES: usize = 1 << 20;
/// The limit on the characters of a parser's error in the log.
const MAX_DETAIL: usize = 200;

/// The connection to Redis, with its state: down, resolving a name, connecting, or up.
///
/// [`connect`](Link::connect) starts an attempt. For each event of its token call
/// [`note_event`](Link::note_event) and [`begin_turn`](Link::begin_turn), then
/// [`progress`](Link::progress) until it returns [`LinkProgress::None`], then [`read`](Link::read) until
/// it returns `None`. `progress` returns [`LinkProgress::Connected`] once a connection. If
/// [`has_more`](Link::has_more) is true after that, no event will come for the rest: call them again in
/// the next tick. [`send`](Link::send) takes bytes in every state; before the connection is up it keeps
/// them until the next `send`.
///
/// An error of any method ends the connection or the attempt: call [`close`](Link::close) before anything
/// else, unless it is [`connect`](Link::connect), which closes first. A call too many of `close`,
/// `progress`, `read` or of `send` with no bytes has no effect. Nothing is read without a `begin_turn`,
/// since each turn has its own limit.
///
/// Bytes are sent in their order, each once; `close` drops those that are unsent, and an incomplete value.
pub(super) struct Link {
    address: RedisAddress,
    tls: Option<ClientSettings>,
    registry: Registry,
    token: Token,
    waker: Arc<Waker>,
    state: LinkState,
    input: Input,
    parser: Parser,
    /// Bytes to send, and below the number of those already sent.
    unsent: Vec<u8>,
    sent: usize,
    /// Reads left in this turn.
    reads_left: usize,
    /// Whether the turn ended before all was read.
    has_more: bool,
}

enum LinkState {
    Down,
    Resolving(Lookup),
    /// Connecting to one address; the others follow if it fails.
    Connecting(Stream, VecDeque<SocketAddr>),
    Up(Stream),
}

/// The progress of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LinkProgress {
    /// No news.
    None,
    /// The connection is up.
    Connected,
}

impl Link {
    /// Returns a link that is down. Its sockets are registered under `token`, and `waker` wakes the loop
    /// under it.
    pub(super) fn new(
        address: RedisAddress,
        tls: Option<ClientSettings>,
        registry: &Registry,
        token: Token,
        waker: Arc<Waker>,
    ) -> io::Result<Link> {
        Ok(Link {
            address,
            tls,
            registry: registry.try_clone()?,
            token,
            waker,
            state: LinkState::Down,
            input: Input::default(),
            parser: Parser::new(),
            unsent: Vec::new(),
            sent: 0,
            reads_left: 0,
            has_more: false,
        })
    }

    /// Starts an attempt, after closing the last connection. `progress` continues it.
    pub(super) fn connect(&mut self) -> io::Result<()> {
        self.close();
        match &self.address {
            RedisAddress::Unix(path) => {
                let stream = Stream::Unix(UnixStream::connect(path)?);
                self.watch(stream, VecDeque::new())
            }
            RedisAddress::Tcp(host, port) => match resolver::literal(host, *port) {
                Some(address) => self.try_next([address].into()),
                None => {
                    let lookup = Lookup::start(host, *port, self.waker.clone())?;
                    self.state = LinkState::Resolving(lookup);
                    Ok(())
                }
            },
        }
    }

    /// Connects to the first of these addresses for which a socket can be made.
    fn try_next(&mut self, mut addresses: VecDeque<SocketAddr>) -> io::Result<()> {
        let mut problem = io::Error::other("it has no address");
        while let Some(address) = addresses.pop_front() {
            match TcpStream::connect(address) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    let channel = self.tls.as_ref().map(ClientSettings::connect);
                    return self.watch(Stream::tcp(socket, channel), addresses);
                }
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    fn watch(&mut self, mut stream: Stream, others: VecDeque<SocketAddr>) -> io::Result<()> {
        stream.register(&self.registry, self.token)?;
        self.state = LinkState::Connecting(stream, others);
        Ok(())
    }

    /// Continues an attempt. An error means that it has failed.
    pub(super) fn progress(&mut self) -> io::Result<LinkProgress> {
        match mem::replace(&mut self.state, LinkState::Down) {
            LinkState::Resolving(lookup) => match lookup.poll() {
                Some(addresses) => self.try_next(addresses?.into())?,
                None => self.state = LinkState::Resolving(lookup),
            },
            LinkState::Connecting(mut stream, others) => match stream.has_connected() {
                Ok(true) if stream.shake_hands()? => {
                    self.state = LinkState::Up(stream);
                    return Ok(LinkProgress::Connected);
                }
                Ok(_) => self.state = LinkState::Connecting(stream, others),
                Err(error) if others.is_empty() => return Err(error),
                Err(_) => self.try_next(others)?,
            },
            state => self.state = state,
        }
        Ok(LinkProgress::None)
    }

    /// Returns true if the socket is connected, and the TLS handshake is not done.
    pub(super) fn waits_for_tls(&self) -> bool {
        match &self.state {
            LinkState::Connecting(stream, _) => matches!(stream.has_connected(), Ok(true)),
            LinkState::Down | LinkState::Resolving(_) | LinkState::Up(_) => false,
        }
    }

    /// Closes the connection, or ends the attempt.
    pub(super) fn close(&mut self) {
        // A closed socket leaves the poll by itself.
        self.state = LinkState::Down;
        self.input = Input::default();
        self.parser = Parser::new();
        self.unsent = Vec::new();
        self.sent = 0;
        self.has_more = false;
    }

    /// Notes an event. The end of the stream after the last bytes is reported only once.
    pub(super) fn note_event(&mut self, event: &Event) {
        self.input.end_is_near |= event.is_read_closed();
    }

    /// Begins a turn, with a limit of its own on reads.
    pub(super) fn begin_turn(&mut self) {
        self.reads_left = READS_PER_TURN;
        self.has_more = false;
    }

    /// Returns true if the last turn ended before all was read. No event will report the rest.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Returns the next value; `None` if no complete one has arrived, or the turn's limit is reached. An
    /// error means that the connection is lost, or unusable (`InvalidData`). `is_awaited` allows the
    /// length of a reply instead of that of a notice.
    pub(super) fn read(&mut self, is_awaited: bool) -> io::Result<Option<Value>> {
        let LinkState::Up(stream) = &mut self.state else {
            return Ok(None);
        };
        loop {
            self.input.starved = false;
            match self.parser.parse_value(&mut self.input) {
                Ok(value) => {
                    self.input.begin_value();
                    return Ok(Some(value));
                }
                Err(_) if self.input.starved => {}
                Err(error) => return Err(not_redis(&error)),
            }
            self.input.check_size(is_awaited)?;
            if self.reads_left == 0 && !self.input.emptied {
                self.has_more = true;
                return Ok(None);
            }
            self.reads_left = self.reads_left.saturating_sub(1);
            match self.input.fill(stream.as_io()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends bytes as far as the socket takes them, and keeps the rest. Empties `bytes`.
    pub(super) fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.unsent.is_empty() {
            mem::swap(&mut self.unsent, bytes);
        } else {
            self.unsent.append(bytes);
        }
        let LinkState::Up(stream) = &mut self.state else {
            return Ok(());
        };
        let stream = stream.as_io();
        while self.sent < self.unsent.len() {
            match stream.write(&self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        stream.flush()
    }
}

/// Bytes read from the socket and not parsed. To the parser an empty input is a reader that would block,
/// which keeps the parser's state.
struct Input {
    buffer: Box<[u8]>,
    /// The unread part of the buffer.
    unread: Range<usize>,
    /// Whether the parser asked for more than there is.
    starved: bool,
    /// Whether the last read emptied the socket: a further one would only return `WouldBlock`.
    emptied: bool,
    /// Whether the peer has closed the connection: a read finds the end after all bytes sent before.
    end_is_near: bool,
    /// The bytes of the current value so far, and the line ends among them.
    value_bytes: usize,
    value_lines: usize,
}

impl Default for Input {
    fn default() -> Input {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Input {
            buffer,
            unread: 0..0,
            starved: false,
            emptied: false,
            end_is_near: false,
            value_bytes: 0,
            value_lines: 0,
        }
    }
}

impl Input {
    /// Begins a value with the unread bytes.
    fn begin_value(&mut self) {
        self.value_bytes = self.unread.len();
        self.value_lines = 0;
    }

    /// Checks the size of a value, which is kept until it is complete.
    fn check_size(&self, is_awaited: bool) -> io::Result<()> {
        let most_bytes = if is_awaited {
            MAX_VALUE_BYTES
        } else {
            MAX_NOTICE_BYTES
        };
        if self.value_bytes > most_bytes {
            let problem = format!("a reply of more than {} MiB", most_bytes >> 20);
            return Err(invalid(problem));
        }
        if self.value_lines > MAX_VALUE_LINES {
            return Err(invalid(format!(
                "a reply of more than {MAX_VALUE_LINES} parts"
            )));
        }
        Ok(())
    }

    /// Reads once from the socket.
    fn fill(&mut self, stream: &mut dyn ReadWrite) -> io::Result<()> {
        if mem::take(&mut self.emptied) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        loop {
            match stream.read(&mut self.buffer) {
                Ok(0) => return Err(io::Error::other("it has closed the connection")),
                Ok(count) => {
                    self.unread = 0..count;
                    self.value_bytes += count;
                    self.value_lines += memchr_iter(b'\r', &self.buffer[..count]).count();
                    let is_short = count < self.buffer.len() && stream.short_read_is_last();
                    self.emptied = is_short && !self.end_is_near;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
            self.starved = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.unread.len());
        let start = self.unread.start;
        into[..count].copy_from_slice(&self.buffer[start..start + count]);
        self.unread.start += count;
        Ok(count)
    }
}

/// Returns the error for bytes that the parser cannot read.
fn not_redis(error: &RedisError) -> io::Error {
    let detail = error.to_string();
    let detail: Vec<&str> = detail.lines().map(str::trim).collect();
    let detail: String = detail.join(", ").chars().take(MAX_DETAIL).collect();
    invalid(format!("it does not speak Redis' protocol ({detail})"))
}

/// Returns the error for a value that Redis would not send.
fn invalid(problem: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_string())
}

/// Parses bytes that arrive in these pieces, and returns whether the connection is still usable. Fuzz
/// targets call it, as they have no socket.
#[cfg(fuzzing)]
pub(super) fn parse_pieces(parser: &mut Parser, pieces: &[&[u8]]) -> (Vec<Value>, bool) {
    let (mut input, mut values) = (Input::default(), Vec::new());
    for piece in pieces {
        input.buffer = (*piece).into();
        input.unread = 0..piece.len();
        loop {
            input.starved = false;
            match parser.parse_value(&mut input) {
                Ok(value) => values.push(value),
                Err(_) if input.starved => break,
                Err(_) => return (values, false),
            }
        }
    }
    (values, true)
}
