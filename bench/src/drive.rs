//! The load's event loop: one thread, edge-triggered, a closed loop over all connections, with the
//! measured window in it.
//!
//! With a rate it is an open loop: bursts are due at fixed times, whatever the server does, and a
//! burst's latency begins when it was due, not when a connection was free for it.
//!
//! Three stages: warm-up, the window, and the end, in which every connection releases what it
//! holds. Counts and CPU times are read at the two edges of the window and nowhere else.
//!
//! Rules that keep the measurement of the *server* fair, since they are the same for every server:
//!
//! - The loop spins and never sleeps, unless told to. A server that has to wake a sleeping client
//!   pays for it on each write, and how often depends on which of the two is ahead.
//! - A server that is faster than the load finds one request at a time, and pays for a sleep and an
//!   epoll_wait for each; a slower one finds many and seems cheap. The load, at its own limit, kept
//!   the floor 96 to 98 percent busy with keep-alive, and 44 with a connection for each request.
//!   The report says how busy both were. `--gather` shows whether it matters, by making the batches
//!   even: the next requests leave when that many connections are ready, one write straight after
//!   the other. It changed the floor's CPU time by at most 4 percent on the machine of these
//!   figures.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    time::{Duration, Instant},
};

use mio::{Events, Poll};

use crate::{
    BenchResult,
    connection::{Common, Connection, Expectation},
    plan::Plan,
    process::{cpu_ns, resident_bytes},
    requests::Requests,
    resp::{Redis, Usage},
    tally::Tally,
};

/// The measurements of the window.
pub struct Measured {
    pub window: Duration,
    pub tally: Tally,
    /// All requests before, in and after the window.
    pub all_requests: u64,
    /// Resident memory of the server at the end of the window, where its process is known.
    pub server_bytes: Option<u64>,
    /// The CPU time of the load generator itself.
    pub load_cpu_ns: u64,
    /// The CPU time of the server, where its process is known.
    pub server_cpu_ns: Option<u64>,
    /// The usage of the Redis that the server stores in, if it does.
    pub redis: Option<Usage>,
}

/// The time limit, after the window, for outstanding answers.
const END_PATIENCE: Duration = Duration::from_secs(10);
const SLEEP: Duration = Duration::from_millis(20);
/// More than a pipelined burst of answers takes.
const BUFFER_BYTES: usize = 256 * 1024;

pub fn drive(plan: &Plan, requests: &Requests, expectation: Expectation) -> BenchResult<Measured> {
    let poll = Poll::new()?;
    let connections = (0..plan.connections)
        .map(|number| Connection::open(number, plan.server, plan.mode, poll.registry()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| format!("connecting to {}: {error}", plan.server))?;
    let mut drive = Drive {
        plan,
        redis: plan.redis.map(Redis::connect).transpose()?,
        poll,
        ready: (0..connections.len()).collect(),
        sending: VecDeque::with_capacity(connections.len()),
        connections,
        common: Common {
            requests,
            depth: plan.depth,
            locks_only: plan.locks_only,
            expectation,
            ending: false,
            tally: Tally::new(),
            buffer: vec![0; BUFFER_BYTES],
            out: Vec::new(),
        },
    };
    drive.run()
}

struct Drive<'a> {
    plan: &'a Plan,
    redis: Option<Redis>,
    common: Common<'a>,
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections whose burst has been answered.
    ready: VecDeque<usize>,
    sending: VecDeque<usize>,
}

impl Drive<'_> {
    fn run(&mut self) -> BenchResult<Measured> {
        let mut events = Events::with_capacity(self.connections.len().clamp(64, 4096));
        self.turn_until(Instant::now() + self.plan.warmup, &mut events)?;

        let warmup = std::mem::replace(&mut self.common.tally, Tally::new());
        let before = Edge::read(self.plan.pid, &mut self.redis)?;
        let start = Instant::now();
        self.turn_until(start + self.plan.window, &mut events)?;
        let window = start.elapsed();
        let after = Edge::read(self.plan.pid, &mut self.redis)?;
        let tally = std::mem::replace(&mut self.common.tally, Tally::new());

        let server_bytes = self.plan.pid.map(resident_bytes).transpose()?;

        self.finish(&mut events)?;
        Ok(Measured {
            window,
            all_requests: warmup.requests + tally.requests + self.common.tally.requests,
            tally,
            server_bytes: server_bytes.map(|(now, _)| now),
            load_cpu_ns: after.load_ns - before.load_ns,
            server_cpu_ns: after.server_ns.zip(before.server_ns).map(|(b, a)| b - a),
            redis: after.redis.zip(before.redis).map(|(b, a)| b.since(a)),
        })
    }

    fn turn_until(&mut self, end: Instant, events: &mut Events) -> BenchResult<()> {
        let mut due_at = Instant::now();
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            match self.plan.burst_interval {
                Some(interval) => self.send_due(&mut due_at, now, interval)?,
                None if self.ready.len() >= self.plan.gather => self.send_ready()?,
                None => {}
            }
            self.receive(events)?;
        }
    }

    /// Sends the due bursts, as far as connections are ready. The others are late.
    fn send_due(
        &mut self,
        due_at: &mut Instant,
        now: Instant,
        interval: Duration,
    ) -> BenchResult<()> {
        while *due_at <= now {
            // The longest-idle one, so that all of them are used.
            let Some(index) = self.ready.pop_front() else {
                return Ok(());
            };
            self.connections[index].send(*due_at, &mut self.common, self.poll.registry())?;
            *due_at += interval;
        }
        Ok(())
    }

    /// Lets each connection release what it holds, so that the next load finds the pool unchanged.
    fn finish(&mut self, events: &mut Events) -> BenchResult<()> {
        let patience = Instant::now() + END_PATIENCE;
        self.common.ending = true;
        loop {
            let connections = &self.connections;
            self.ready.retain(|index| connections[*index].holds_some());
            self.send_ready()?;
            let busy = |connection: &&Connection| !connection.is_done() || connection.holds_some();
            let busy = self.connections.iter().filter(busy).count();
            if busy == 0 {
                return Ok(());
            }
            if Instant::now() > patience {
                return Err(format!("the server owes answers on {busy} connections").into());
            }
            self.receive(events)?;
        }
    }

    fn send_ready(&mut self) -> BenchResult<()> {
        std::mem::swap(&mut self.ready, &mut self.sending);
        while let Some(index) = self.sending.pop_back() {
            let now = Instant::now();
            let sent = self.connections[index].send(now, &mut self.common, self.poll.registry());
            match sent {
                Ok(()) => {}
                Err(error) if is_out_of_ports(error.as_ref()) => {
                    self.common.tally.port_waits += 1;
                    self.ready.push_back(index);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, events: &mut Events) -> BenchResult<()> {
        let timeout = if self.plan.sleep {
            SLEEP
        } else {
            Duration::ZERO
        };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in events.iter() {
            let index = event.token().0;
            let connection = &mut self.connections[index];
            if event.is_writable() {
                connection.writable()?;
            }
            if event.is_readable() && !connection.is_done() {
                connection.readable(event.is_read_closed(), &mut self.common)?;
                if connection.is_done() {
                    self.ready.push_back(index);
                }
            }
        }
        Ok(())
    }
}

/// Returns whether no local port is free: closed connections hold their ports for a while, and new
/// ones then have to wait.
fn is_out_of_ports(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

/// The usage of the processes at an edge of the window.
struct Edge {
    load_ns: u64,
    server_ns: Option<u64>,
    redis: Option<Usage>,
}

impl Edge {
    fn read(server: Option<u32>, redis: &mut Option<Redis>) -> BenchResult<Self> {
        Ok(Self {
            redis: redis.as_mut().map(Redis::usage).transpose()?,
            load_ns: cpu_ns(std::process::id())?,
            server_ns: server.map(cpu_ns).transpose()?,
        })
    }
}
