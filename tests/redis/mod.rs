//! The store in Redis: what clients see while Redis is away, slow, full or wrong, and the cooperation
//! of several servers on one Redis.
//!
//! Each test has a redis-server of its own. Real seconds in a test are those of a time-out, a lease
//! or a heartbeat, never time for work to be done.

mod clocks;
mod connecting;
mod cut;
mod faults;
pub mod gate;
mod greeting;
mod histories;
mod liar;
mod lies;
mod long_dumps;
mod long_lists;
mod long_releases;
mod misheard;
mod misplaced;
mod notices;
mod overload;
mod ready;
mod refusals;
mod rights;
mod servers;
mod servers_lost;
mod stalls;
mod starting;
mod unheard;
mod waiters;
mod words;

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use crate::support::launch::eventually;
use crate::support::redis::RedisServer;
use crate::support::{Client, Server};

const DOWN: &str = "503 store down";
const WAIT: &str = "POST /pool/A/lock?wait=60&lease";

/// The time for which the servers of these tests wait for Redis. The default is 2 seconds.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Long enough for a loaded machine to do instant work.
const MARGIN: Duration = Duration::from_millis(900);

/// The arguments of the servers in these tests, so that the tests know the keys in Redis.
const ARGUMENTS: [&str; 4] = ["--redis-prefix", "t:", "--redis-timeout", "1"];

/// A server on this Redis.
fn serve(redis: &RedisServer) -> Server {
    serve_with(redis, &[])
}

fn serve_with(redis: &RedisServer, arguments: &[&str]) -> Server {
    serve_at(&redis.url(), arguments)
}

fn serve_at(url: &str, arguments: &[&str]) -> Server {
    Server::start_at(url, &[&ARGUMENTS, arguments].concat())
}

/// A connection to a server which has now set pool A to these members.
#[track_caller]
fn with_pool(server: &Server, ids: &[&str]) -> Client {
    let mut client = server.connect();
    let list = format!("[\"{}\"]", ids.join("\",\""));
    assert_eq!(
        client.ask(&format!("PUT /pool/A {list}")),
        format!("200 {list}")
    );
    client
}

/// The answer and how long it took.
#[track_caller]
fn ask_timed(client: &mut Client, request: &str) -> (String, Duration) {
    let asked = Instant::now();
    let answer = client.ask(request);
    (answer, asked.elapsed())
}

/// Sends a request that needs Redis, and expects `store down` within the server's time for Redis.
#[track_caller]
fn expect_down(client: &mut Client, request: &str) {
    let (answer, time) = ask_timed(client, request);
    assert_eq!(answer, DOWN, "{request}");
    assert!(time < TIMEOUT + MARGIN, "{request} is answered in {time:?}");
}

/// The server itself is well.
#[track_caller]
fn expect_ping(client: &mut Client) {
    let (answer, time) = ask_timed(client, "GET /ping");
    assert_eq!(answer, "200 pong");
    assert!(time < MARGIN, "a ping takes {time:?}");
}

/// Waits until the server has its Redis back.
#[track_caller]
fn await_service(client: &mut Client) {
    eventually("the store is back", || {
        let answer = client.ask("GET /pool");
        assert!(
            answer == DOWN || answer == "200" || answer.starts_with("200 "),
            "{answer}"
        );
        (answer != DOWN).then_some(())
    });
}

/// Looks again and again until this is the answer.
#[track_caller]
fn await_answer(client: &mut Client, request: &str, expected: &str) {
    let mut last = String::new();
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        last = client.ask(request);
        if last == expected {
            return;
        }
        crate::support::redis::let_pass(Duration::from_millis(2));
    }
    panic!("{request}: {last:?} to the end, not {expected:?}");
}

/// Waits until this number of clients are queued for pool A.
#[track_caller]
fn await_line_of(client: &mut Client, expected: usize) {
    let mut last = String::new();
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        last = client.ask("GET /pool");
        let pools = last.strip_prefix("200 ").unwrap_or_default();
        let pool = pools.split('\t').find(|pool| pool.ends_with(" A"));
        if pool.and_then(|pool| pool.split(' ').nth(2)?.parse().ok()) == Some(expected) {
            return;
        }
        crate::support::redis::let_pass(Duration::from_millis(2));
    }
    panic!("{last:?} to the end, but {expected} are to wait for A");
}

/// Parks a client behind the current waiters.
#[track_caller]
fn park(server: &Server, request: &str, ahead: usize) -> Client {
    let mut client = server.connect();
    client.send(format!("{request}\n"));
    await_line_of(&mut server.connect(), ahead + 1);
    client
}

/// Nothing has come for this client, whose connection is open.
#[track_caller]
fn expect_silence(client: &mut Client) {
    client.stream.set_nonblocking(true).expect("non-blocking");
    let mut bytes = [0; 256];
    match client.stream.read(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Ok(0) => panic!("closed where it was to wait"),
        Ok(count) => panic!(
            "{:?} came too early",
            bytes[..count].escape_ascii().to_string()
        ),
        Err(error) => panic!("{error}"),
    }
    client.stream.set_nonblocking(false).expect("blocking");
}

/// The fence and the id of a grant that was asked for with `lease`.
#[track_caller]
fn grant(answer: &str) -> (u64, String) {
    let fields: Vec<&str> = answer.split(' ').collect();
    match fields[..] {
        ["200", fence, _, id] => (fence.parse().expect("a fence"), id.to_owned()),
        _ => panic!("expected a grant, not {answer:?}"),
    }
}

/// Each waiter for the only resource gets it in turn, and releases it.
#[track_caller]
fn pass_through(line: &mut [Client], mut fence: u64) -> u64 {
    for place in 0..line.len() {
        let granted = grant(&line[place].read_line());
        assert!(granted.0 > fence, "{granted:?} comes after {fence}");
        fence = granted.0;
        line[place + 1..].iter_mut().for_each(expect_silence);
        let released = line[place].ask(&format!("DELETE /pool/A/lock/{}?fence={fence}", granted.1));
        assert_eq!(released, "200");
    }
    fence
}
