//! Abuse over real sockets: requests, silence and unread answers of hostile clients. The server stays
//! up, its memory stays below a ceiling, its state stays the same, and a well-behaved client is served
//! all the while.
//!
//! Each test lays a siege: a server with pools and a lock, a neighbour that locks and releases on
//! connections of its own, and the abuse. At the end the figures are printed. The bounds are wide,
//! because machines differ and tests run beside each other.

mod admission;
mod bombs;
mod crowds;
mod floods;
mod garbage;
mod paths;
mod smuggling;
mod unauthenticated;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::memory::{peak_bytes, resident_bytes};
use crate::support::stopwatch::Stopwatch;
use crate::support::{Client, Server, StoreKind};

pub const MEBIBYTE: usize = 1 << 20;

/// Longest wait for an answer that a well-behaved client accepts. On a busy machine, time in which the
/// server could not run does not count.
const LONGEST_TURN: Duration = Duration::from_secs(5);

/// A server under abuse, and the state that must stay the same.
pub struct Siege {
    pub server: Server,
    before: Vec<String>,
    resident_before: usize,
    started_at: Instant,
    neighbour: JoinHandle<Turns>,
    enough: Arc<AtomicBool>,
}

impl Siege {
    pub fn lay(arguments: &[&str]) -> Siege {
        Siege::lay_beside(arguments, live_beside)
    }

    /// The same with a neighbour of another kind.
    fn lay_beside(arguments: &[&str], neighbour: fn(Besieged, &AtomicBool) -> Turns) -> Siege {
        let server = Server::start_with(StoreKind::Memory, arguments);
        let mut client = server.connect();
        let seeded = client.ask(r#"POST /pool {"A":["1","2","3","4"],"N":["n"]}"#);
        assert!(seeded.starts_with("200 "), "{seeded}");
        assert_eq!(client.ask("POST /pool/A/lock?owner=o"), "200 4");
        assert_eq!(client.ask("POST /pool/A/lock"), "200 3");
        let before = state(&server);
        let enough = Arc::new(AtomicBool::new(false));
        let neighbour = {
            let besieged = Besieged {
                address: server.address,
                pid: server.pid(),
            };
            let enough = enough.clone();
            thread::spawn(move || neighbour(besieged, &enough))
        };
        Siege {
            resident_before: resident_bytes(&server),
            before,
            started_at: Instant::now(),
            neighbour,
            enough,
            server,
        }
    }

    pub fn connect(&self) -> Client {
        self.server.connect()
    }

    /// The growth of the server's resident memory since the siege began, in bytes.
    pub fn grown(&self) -> usize {
        resident_bytes(&self.server).saturating_sub(self.resident_before)
    }

    /// Ends the siege. The server never took more memory than `ceiling`, every well-behaved client was
    /// served, all state is as before, and the server stops in an orderly way.
    #[track_caller]
    pub fn lift(mut self, what: &str, ceiling: usize) {
        self.enough.store(true, Ordering::Relaxed);
        let turns = self.neighbour.join().expect("the neighbour was served");
        let peak = peak_bytes(&self.server).saturating_sub(self.resident_before);
        eprintln!(
            "{what}: {:.1} s, at most {} KiB more than {} KiB; beside it {} turns, the longest {:.1} ms, {:.2} ms on average",
            self.started_at.elapsed().as_secs_f64(),
            peak >> 10,
            self.resident_before >> 10,
            turns.count,
            turns.longest.as_secs_f64() * 1e3,
            turns.sum.as_secs_f64() * 1e3 / f64::from(turns.count.max(1)),
        );
        assert_eq!(
            state(&self.server),
            self.before,
            "{what} has changed something"
        );
        assert!(turns.count > 0, "no client was served beside {what}");
        assert!(
            turns.longest < LONGEST_TURN,
            "a client waited for {:?} beside {what}",
            turns.longest
        );
        assert!(
            peak < ceiling,
            "{what} took {} KiB, more than {} KiB",
            peak >> 10,
            ceiling >> 10
        );
        assert_eq!(
            self.server.terminate().code(),
            Some(0),
            "the server has ended well"
        );
    }
}

/// All that there is to see of pools and locks. The fences of the neighbour's pool are its own.
fn state(server: &Server) -> Vec<String> {
    let mut client = server.connect();
    let questions = [
        "GET /pool",
        "GET /pool/A",
        "GET /pool/A/lock",
        "GET /pool/N",
        "GET /pool/N/lock",
    ];
    questions.map(|question| client.ask(question)).to_vec()
}

/// The server, as far as a neighbour needs it.
#[derive(Clone, Copy)]
struct Besieged {
    address: SocketAddr,
    pid: u32,
}

/// Waiting times of a well-behaved client.
#[derive(Default)]
struct Turns {
    count: u32,
    longest: Duration,
    sum: Duration,
}

/// Locks and releases on a connection that stays, and now and then on a new one.
fn live_beside(server: Besieged, enough: &AtomicBool) -> Turns {
    live_on(server, enough, Client::connect, expect)
}

/// A neighbour's request and its expected answer.
type Exchange = fn(&mut Client, SocketAddr, &str, &str);

fn live_on(
    Besieged {
        address: server,
        pid,
    }: Besieged,
    enough: &AtomicBool,
    connect: fn(SocketAddr) -> Client,
    exchange: Exchange,
) -> Turns {
    let mut turns = Turns::default();
    let mut client = connect(server);
    while !enough.load(Ordering::Relaxed) || turns.count == 0 {
        let watch = Stopwatch::start(pid);
        if turns.count % 16 == 15 {
            client = connect(server);
        }
        let lock = "POST /pool/N/lock HTTP/1.1\r\nHost: h\r\n\r\n";
        let locked = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nn";
        exchange(&mut client, server, lock, locked);
        exchange(&mut client, server, "DELETE /pool/N/lock/n\n", "200\n");
        let took = watch.elapsed();
        turns.count += 1;
        turns.longest = turns.longest.max(took);
        turns.sum += took;
        // It behaves: it leaves the server time for others.
        thread::sleep(Duration::from_millis(1));
    }
    turns
}

/// Its connection is never closed.
fn expect(client: &mut Client, _: SocketAddr, request: &str, answer: &str) {
    client.send(request);
    client.expect(answer);
}

/// Sends all of `bytes`, or as much as the server takes before it closes, and reads up to the end.
pub fn exchange(mut client: Client, bytes: &[u8]) -> Vec<u8> {
    // The server may close the connection of a rejected client while it still sends.
    let _ = client.stream.write_all(bytes);
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    read_until_closed(&mut client)
}

/// All that comes before the connection ends, in whatever way.
pub fn read_until_closed(client: &mut Client) -> Vec<u8> {
    let mut received = Vec::new();
    match client.stream.read_to_end(&mut received) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection does not end: {error}"),
    }
    received
}
