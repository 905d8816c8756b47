//! Very many leases that are over together, on a whole server: how long a client waits for its answer while
//! they end.
//!
//! The normal run has some thousands and holds that all goes on. `LATCHD_FULL=1` has a million on a file;
//! with `--release` it holds how long an answer takes at most.

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use crate::support::{Client, PATIENCE, Server, StoreKind};

/// How many resources are held, how many of them a grant has, and for how long, in seconds.
fn sizes(full: usize) -> (usize, usize, u32) {
    match std::env::var_os("LATCHD_FULL") {
        Some(_) => (full, 1, 60),
        None => (4_000, 20, 5),
    }
}

/// Asks for `count` times the same, some at a time, and expects that each is granted.
fn ask_often(client: &mut Client, request: &str, count: usize) {
    let mut answers = BufReader::new(client.stream.try_clone().expect("a second handle"));
    let mut left = count;
    while left > 0 {
        let now = left.min(100);
        let requests = format!("{request}\n").repeat(now);
        client
            .stream
            .write_all(requests.as_bytes())
            .expect("the server reads");
        for _ in 0..now {
            let mut line = String::new();
            answers.read_line(&mut line).expect("an answer");
            assert!(line.starts_with("200 "), "{request} is answered {line}");
        }
        left -= now;
    }
}

/// A server with `count` resources in `A`, all of them held with this lease, and one in `B`.
fn all_held(server: &Server, count: usize, in_a_grant: usize, ttl_s: u32) {
    let mut client = server.connect();
    let ids: Vec<String> = (1..=count).map(|id| id.to_string()).collect();
    let body = ids.join("\n");
    let head = format!(
        "POST /pool/A HTTP/1.0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head + &body);
    let answer = client.read_to_end();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{count} are seeded");
    let mut client = server.connect();
    assert_eq!(client.ask("POST /pool/B [\"1\"]"), "200 [\"1\"]");
    let request = format!("POST /pool/A/lock?n={in_a_grant}&ttl={ttl_s}");
    ask_often(&mut client, &request, count / in_a_grant);
}

/// How many of `A` are held by the list of pools.
fn held(client: &mut Client) -> usize {
    let list = client.ask("GET /pool");
    let row = list
        .strip_prefix("200 ")
        .and_then(|rows| rows.split('\t').next());
    let held = row.and_then(|row| row.split(' ').nth(1));
    held.and_then(|held| held.parse().ok())
        .unwrap_or_else(|| panic!("a list of pools: {list}"))
}

/// Locks and releases in `B` until all that is held in `A` has ended. Answers how long an answer took at
/// most, and how often it was asked while leases ended.
fn use_b_until_all_has_ended(server: &Server, count: usize) -> (Duration, usize) {
    let (mut client, mut overseer) = (server.connect(), server.connect());
    let (mut longest, mut asked) = (Duration::ZERO, 0);
    let end = Instant::now() + 10 * PATIENCE;
    loop {
        let before = Instant::now();
        assert_eq!(client.ask("POST /pool/B/lock"), "200 1");
        longest = longest.max(before.elapsed());
        assert_eq!(client.ask("DELETE /pool/B/lock/1"), "200");
        match held(&mut overseer) {
            0 => return (longest, asked),
            some if some < count => asked += 1,
            _ => {}
        }
        assert!(Instant::now() < end, "not all has ended in time");
    }
}

#[test]
fn a_file_of_leases_that_start_anew_together_holds_up_nobody() {
    let (count, in_a_grant, ttl_s) = sizes(1_000_000);
    let mut server = Server::start_with(StoreKind::File, &["--max-body", "16777216"]);
    all_held(&server, count, in_a_grant, ttl_s);
    server.kill();
    server.restart();
    let (longest, asked) = use_b_until_all_has_ended(&server, count);
    eprintln!("{count} leases on a file: {asked} requests meanwhile, the longest took {longest:?}");
    assert!(asked > 0, "they end in slices");
    #[cfg(not(debug_assertions))]
    assert!(longest < Duration::from_millis(100), "{longest:?}");
}
