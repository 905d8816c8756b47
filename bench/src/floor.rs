//! The floor: a server that answers every read with the same bytes and never parses what it read.
//!
//! One thread, one mio loop, edge-triggered. For each burst of requests it makes one read and one
//! write, and nothing else: a read that does not fill the buffer has emptied the socket, so no
//! second read follows. No server that answers on the same kind of loop can cost less; any cost of
//! latchd beyond this is its own.
//!
//! It counts nothing. Pipelined requests that arrive in one read get one answer, unless
//! `--requests-per-read` sets how many requests the load generator puts into one write. A burst
//! that loopback splits would be answered too often, which the load generator notices.
//!
//! With `--close` it reads straight after the accept, and never registers a connection whose
//! request is there already.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;
use socket2::{Domain, Socket, Type};

use crate::BenchResult;

/// Serve a fixed answer without parsing: the floor to compare a server's CPU time with
#[derive(clap::Args)]
pub struct Options {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Answers to each read; give the load generator's --depth when it pipelines
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    requests_per_read: u16,
    /// Shut down and close each connection after its answer
    #[arg(long)]
    close: bool,
}

/// The answer of latchd to a bare `POST /pool/A/lock`.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4";
const LISTENER: Token = Token(usize::MAX);
const BACKLOG: i32 = 4096;

pub fn run(options: &Options) -> BenchResult<()> {
    let listener = listen(options.listen)?;
    eprintln!("listening on {}", listener.local_addr()?);
    Floor::new(listener, options)?.serve()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit this on Linux, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    connections: Slab<Connection>,
    burst: Vec<u8>,
    buffer: Vec<u8>,
    close: bool,
}

impl Floor {
    fn new(mut listener: TcpListener, options: &Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Slab::new(),
            burst: ANSWER.repeat(options.requests_per_read.into()),
            buffer: vec![0; 64 * 1024],
            close: options.close,
        })
    }

    fn serve(&mut self) -> BenchResult<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept_all()?,
                    Token(key) => self.turn(key),
                }
            }
        }
    }

    fn accept_all(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            self.take_in(stream)?;
        }
    }

    fn take_in(&mut self, stream: TcpStream) -> io::Result<()> {
        let mut connection = Connection {
            stream,
            unsent_bytes: 0,
        };
        let interest = if self.close {
            if connection.answer_once(&mut self.buffer, &self.burst) == Fate::Done {
                return Ok(());
            }
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let entry = self.connections.vacant_entry();
        self.poll
            .registry()
            .register(&mut connection.stream, Token(entry.key()), interest)?;
        entry.insert(connection);
        Ok(())
    }

    fn turn(&mut self, key: usize) {
        // A descriptor has at most one event in a batch, so no event can be about a closed
        // connection.
        let connection = &mut self.connections[key];
        let fate = if self.close {
            connection.answer_once(&mut self.buffer, &self.burst)
        } else {
            connection.answer_all(&mut self.buffer, &self.burst)
        };
        if fate == Fate::Done {
            self.connections.remove(key);
        }
    }
}

#[derive(PartialEq)]
enum Fate {
    Open,
    Done,
}

struct Connection {
    stream: TcpStream,
    /// The unsent bytes of a burst.
    unsent_bytes: usize,
}

impl Connection {
    fn answer_all(&mut self, buffer: &mut [u8], burst: &[u8]) -> Fate {
        loop {
            if self.unsent_bytes > 0 {
                match self.stream.write(&burst[burst.len() - self.unsent_bytes..]) {
                    Ok(written) => self.unsent_bytes -= written,
                    Err(error) => return fate_of(&error),
                }
                continue;
            }
            match self.stream.read(buffer) {
                Ok(0) => return Fate::Done,
                Ok(read) => {
                    self.unsent_bytes = burst.len();
                    if read == buffer.len() {
                        continue;
                    }
                }
                Err(error) => return fate_of(&error),
            }
            match self.stream.write(burst) {
                Ok(written) => self.unsent_bytes -= written,
                Err(error) => return fate_of(&error),
            }
            if self.unsent_bytes == 0 {
                return Fate::Open;
            }
        }
    }

    fn answer_once(&mut self, buffer: &mut [u8], burst: &[u8]) -> Fate {
        match self.stream.read(buffer) {
            Ok(0) => Fate::Done,
            Ok(_) => {
                // An empty send buffer accepts these few bytes at once; a peer that is gone does
                // not matter.
                let _ = self.stream.write(burst);
                let _ = self.stream.shutdown(Shutdown::Write);
                Fate::Done
            }
            Err(error) => fate_of(&error),
        }
    }
}

fn fate_of(error: &io::Error) -> Fate {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Fate::Open,
        _ => Fate::Done,
    }
}
