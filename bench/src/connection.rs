//! One client: sends a burst of locks, checks the answers, then releases, and begins again.
//!
//! It releases what the burst of locks before the last one gave it. So it holds some resource
//! nearly all the time, for a round trip and more. An id that is granted twice then meets its
//! holder in the ledger. If it released at once, most ids that the ledger should know as held would
//! be on their way back when the server is busy.
//!
//! A burst is one write; its size is 1, or the depth when pipelining. With `Mode::Close` every
//! burst has a connection of its own, and is over when the server has closed it. The event loop
//! tells connections when to send and when to read.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    time::Instant,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::{
    BenchResult,
    answer::{self, HttpAnswer},
    ledger::Ledger,
    plan::Mode,
    requests::Requests,
    tally::Tally,
};

/// The requirement for every answer.
pub enum Expectation {
    /// A lock's answer names a seeded id without a holder, a release's answer is a success.
    Checked(Ledger),
    /// An answer of this size, whatever its bytes.
    Fixed { answer_bytes: usize },
}

/// The state that all connections share.
pub struct Common<'a> {
    pub requests: &'a Requests,
    /// Requests in one burst of locks.
    pub depth: u32,
    /// True if nothing is released.
    pub locks_only: bool,
    pub expectation: Expectation,
    /// True at the end: no more locks, only release what is held.
    pub ending: bool,
    pub tally: Tally,
    /// The buffer for reads, and `out` for bursts of releases.
    pub buffer: Vec<u8>,
    pub out: Vec<u8>,
}

/// The most that one connection holds at once, in bursts.
pub const BURSTS_HELD: u32 = 2;

pub struct Connection {
    number: u32,
    server: SocketAddr,
    mode: Mode,
    stream: TcpStream,
    phase: Phase,
    outstanding: u32,
    /// The ids of the last burst of locks; `older` has those of the one before it.
    newest: Vec<u32>,
    older: Vec<u32>,
    due_at: Instant,
    closed: bool,
    /// The start of an incomplete answer. Nearly always empty, like `unsent`.
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Locking,
    Releasing,
}

impl Connection {
    /// Connects, and registers itself unless each burst will open a connection of its own.
    pub fn open(number: u32, server: SocketAddr, mode: Mode, poll: &Registry) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        if mode != Mode::Close {
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.register(&mut stream, Token(number as usize), interest)?;
        }
        Ok(Self {
            number,
            server,
            mode,
            stream,
            phase: Phase::Locking,
            outstanding: 0,
            newest: Vec::new(),
            older: Vec::new(),
            due_at: Instant::now(),
            // No request is in flight, whatever the mode.
            closed: true,
            unread: Vec::new(),
            unsent: Vec::new(),
        })
    }

    /// Returns whether it holds ids that it must still release.
    pub fn holds_some(&self) -> bool {
        !self.newest.is_empty() || !self.older.is_empty()
    }

    /// Returns whether the burst has been answered, so that the next one may be sent.
    pub fn is_done(&self) -> bool {
        self.outstanding == 0 && (self.closed || self.mode != Mode::Close)
    }

    /// Sends the next burst: releases of what it held before the last locks, else locks. Its
    /// latency counts from `due_at`.
    pub fn send(
        &mut self,
        due_at: Instant,
        common: &mut Common,
        poll: &Registry,
    ) -> BenchResult<()> {
        self.due_at = due_at;
        if self.mode == Mode::Close {
            // Dropping the old stream closes it, and removes it from the poll.
            self.stream = TcpStream::connect(self.server)?;
        }
        self.closed = false;
        if self.older.is_empty() {
            std::mem::swap(&mut self.older, &mut self.newest);
            if !common.ending {
                self.phase = Phase::Locking;
                self.outstanding = common.depth;
                common.tally.request_bytes += common.requests.locks.len() as u64;
                return self.write(&common.requests.locks, poll);
            }
        }
        self.phase = Phase::Releasing;
        self.outstanding = self.older.len() as u32;
        common.out.clear();
        for resource in self.older.drain(..) {
            if let Expectation::Checked(ledger) = &mut common.expectation {
                ledger.release_sent(resource);
            }
            common
                .out
                .extend_from_slice(common.requests.release(resource));
        }
        common.tally.request_bytes += common.out.len() as u64;
        self.write(&common.out, poll)
    }

    fn write(&mut self, bytes: &[u8], poll: &Registry) -> BenchResult<()> {
        let written = match self.stream.write(bytes) {
            Ok(written) => written,
            // A write on a connection that is not established yet would block.
            Err(error) if would_block(&error) || error.kind() == ErrorKind::NotConnected => 0,
            Err(error) => return Err(format!("cannot send to the server: {error}").into()),
        };
        self.unsent.extend_from_slice(&bytes[written..]);
        if self.mode == Mode::Close {
            // Loopback has usually established the connection before `connect` returns; then only
            // the answer is waited for.
            let interest = match self.unsent.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            poll.register(&mut self.stream, Token(self.number as usize), interest)?;
        }
        Ok(())
    }

    /// Sends unsent bytes, as the socket is writable again.
    pub fn writable(&mut self) -> BenchResult<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(format!("cannot send to the server: {error}").into()),
            }
        }
        Ok(())
    }

    /// Reads bytes or the end. `closed`: the server is known to have closed its side.
    pub fn readable(&mut self, closed: bool, common: &mut Common) -> BenchResult<()> {
        let Common {
            requests,
            expectation,
            locks_only,
            tally,
            buffer,
            ..
        } = common;
        let mut filled = self.unread.len();
        buffer[..filled].copy_from_slice(&self.unread);
        self.unread.clear();
        loop {
            let room = buffer.len() - filled;
            let read = match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => {
                    self.closed = true;
                    break;
                }
                Ok(read) => read,
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(format!("cannot read from the server: {error}").into()),
            };
            filled += read;
            let taken = self.take_answers(&buffer[..filled], requests, expectation, tally)?;
            // Ids that are not kept for a release stay held at the server.
            if *locks_only {
                self.newest.clear();
            }
            buffer.copy_within(taken..filled, 0);
            filled -= taken;
            if read < room {
                // A read that leaves room has emptied the socket; a known end need not be read.
                self.closed |= closed;
                break;
            }
            if filled == buffer.len() {
                return Err("an answer is longer than the load generator's buffer".into());
            }
        }
        self.unread.extend_from_slice(&buffer[..filled]);
        if self.closed && (self.outstanding > 0 || self.mode != Mode::Close) {
            let missing = self.outstanding;
            return Err(format!("the server closed a connection with {missing} to answer").into());
        }
        Ok(())
    }

    /// Processes the complete answers at the start of `bytes`, and returns their size in bytes.
    fn take_answers(
        &mut self,
        bytes: &[u8],
        requests: &Requests,
        expectation: &mut Expectation,
        tally: &mut Tally,
    ) -> BenchResult<usize> {
        let latency_ns = self.due_at.elapsed().as_nanos() as u64;
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            let answer_bytes = match expectation {
                Expectation::Fixed { answer_bytes } if rest.len() >= *answer_bytes => *answer_bytes,
                Expectation::Fixed { .. } => break,
                Expectation::Checked(ledger) => match answer::parse(rest) {
                    Ok(Some(answer)) => self.check(&answer, requests, ledger)?,
                    Ok(None) => break,
                    Err(answer::Malformed) => {
                        return Err(format!("no HTTP answer: {:?}", start_of(rest)).into());
                    }
                },
            };
            taken += answer_bytes;
            self.outstanding = self
                .outstanding
                .checked_sub(1)
                .ok_or("the server answered more than it was asked")?;
            tally.answered(latency_ns, answer_bytes, self.phase == Phase::Locking);
        }
        Ok(taken)
    }

    fn check(
        &mut self,
        answer: &HttpAnswer,
        requests: &Requests,
        ledger: &mut Ledger,
    ) -> BenchResult<usize> {
        let body = || start_of(answer.body);
        if answer.status != 200 {
            return Err(format!("the server refused: {} {}", answer.status, body()).into());
        }
        if self.phase == Phase::Locking {
            let resource = requests
                .resource(answer.body)
                .ok_or_else(|| format!("the server lent {:?}, which was never seeded", body()))?;
            ledger.lent(resource, self.number)?;
            self.newest.push(resource);
        }
        Ok(answer.whole_bytes)
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Returns enough of the bytes to show in a message.
fn start_of(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
}
