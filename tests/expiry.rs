//! Very many leases that end together, on a whole server: the time that a client waits for its answer
//! meanwhile.
//!
//! The normal run has some thousands, and checks that the server serves. `LATCHD_FULL=1` has a million on a
//! file and 300,000 on Redis; with `--release` it limits the time of an answer and of a script.

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use crate::support::redis::{RedisServer, let_pass};
use crate::support::{Client, PATIENCE, Server, StoreKind};

/// The number of held resources, the number of them in a grant, and the lease in seconds.
fn sizes(full: usize, normal: usize) -> (usize, usize, u32) {
    match std::env::var_os("LATCHD_FULL") {
        Some(_) => (full, 1, 120),
        None => (normal, 20, 5),
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
    let ids: Vec<String> = (1..=count).map(|id| id.to_string()).collect();
    // In parts, since Redis takes each in one step.
    for part in ids.chunks(20_000) {
        let mut client = server.connect();
        let body = part.join("\n");
        let length = body.len();
        let head = format!("POST /pool/A HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
        client.send(head + &body);
        let answer = client.read_to_end();
        let start = answer[..answer.len().min(100)].escape_ascii().to_string();
        assert!(
            start.starts_with("HTTP/1.1 200 OK"),
            "a seed is answered {start}"
        );
    }
    let mut client = server.connect();
    assert_eq!(client.ask("POST /pool/B [\"1\"]"), "200 [\"1\"]");
    let request = format!("POST /pool/A/lock?n={in_a_grant}&ttl={ttl_s}");
    ask_often(&mut client, &request, count / in_a_grant);
}

/// The number of held resources in `A`, by the list of pools.
fn held(client: &mut Client) -> usize {
    let list = client.ask("GET /pool");
    let row = list
        .strip_prefix("200 ")
        .and_then(|rows| rows.split('\t').next());
    let held = row.and_then(|row| row.split(' ').nth(1));
    held.and_then(|held| held.parse().ok())
        .unwrap_or_else(|| panic!("a list of pools: {list}"))
}

/// Locks and releases in `B` until `is_done` says so. Answers how long an answer took at most.
fn use_b_until(server: &Server, mut is_done: impl FnMut(&mut Client) -> bool) -> Duration {
    let (mut client, mut overseer) = (server.connect(), server.connect());
    let mut longest = Duration::ZERO;
    let end = Instant::now() + 10 * PATIENCE;
    loop {
        let before = Instant::now();
        assert_eq!(client.ask("POST /pool/B/lock"), "200 1");
        longest = longest.max(before.elapsed());
        assert_eq!(client.ask("DELETE /pool/B/lock/1"), "200");
        if is_done(&mut overseer) {
            return longest;
        }
        assert!(Instant::now() < end, "not all has ended in time");
    }
}

#[test]
fn a_file_of_leases_that_restart_together_delays_no_client() {
    let (count, in_a_grant, ttl_s) = sizes(1_000_000, 4_000);
    let mut server = Server::start(StoreKind::File);
    all_held(&server, count, in_a_grant, ttl_s);
    server.kill();
    server.restart();
    let mut asked = 0;
    let longest = use_b_until(&server, |client| {
        let held = held(client);
        asked += usize::from((1..count).contains(&held));
        held == 0
    });
    eprintln!(
        "{count} leases on a file: {asked} lists meanwhile, the longest request took {longest:?}"
    );
    #[cfg(not(debug_assertions))]
    assert!(longest < Duration::from_millis(100), "{longest:?}");
}

/// On Redis leases end when a request comes, in slices of 500 resources. The others count as ended.
#[test]
fn many_leases_on_redis_end_in_short_scripts() {
    let (count, in_a_grant, ttl_s) = sizes(300_000, 12_000);
    let redis = RedisServer::start();
    let server = Server::start_at(&redis.url(), &["--redis-timeout", "30"]);
    all_held(&server, count, in_a_grant, ttl_s);
    let held_since = Instant::now();
    let mut client = server.connect();
    // The last grant is kept, and the one before is over last.
    assert_eq!(client.ask("PUT /pool/A/lock/1?ttl=600"), "200");
    let over = in_a_grant + 1;
    let over_after = Duration::from_secs(u64::from(ttl_s)) + Duration::from_millis(100);
    let_pass(over_after.saturating_sub(held_since.elapsed()));

    redis.order(&["CONFIG", "SET", "latency-monitor-threshold", "1"]);
    let not_held = "404 not held";
    assert_eq!(client.ask(&format!("PUT /pool/A/lock/{over}")), not_held);
    assert_eq!(client.ask(&format!("DELETE /pool/A/lock/{over}")), not_held);
    assert_eq!(client.ask(&format!("GET /pool/A/lock/{over}")), not_held);
    let locks = client.ask("GET /pool/A/lock");
    assert_eq!(
        locks.split('\t').count(),
        in_a_grant,
        "what is over is not listed"
    );
    assert!(held(&mut client) > count / 2, "not all have ended so far");
    let lent = client.ask(&format!("POST /pool/A/lock/{over}"));
    assert_eq!(lent, format!("200 {over}"));
    assert_eq!(client.ask("POST /pool/A/lock/1"), "409 busy");
    let left = count - in_a_grant - 1;
    if left < 20_000 {
        let all = client.ask(&format!("POST /pool/A/lock?n={left}"));
        assert_eq!(all.split('\t').count(), left);
    } else {
        let longest = use_b_until(&server, |client| {
            client.ask("PUT /pool/A/lock/1") == "200" && held(client) == count - left
        });
        let slowest_ms = slowest_command_ms(&redis);
        eprintln!(
            "{count} leases on Redis: the longest request took {longest:?}, the slowest script {slowest_ms} ms"
        );
        #[cfg(not(debug_assertions))]
        assert!(slowest_ms < 50, "{slowest_ms}");
    }
}

/// The longest time that Redis needed for a command since the test began to watch, in milliseconds.
fn slowest_command_ms(redis: &RedisServer) -> u64 {
    let latest = redis.ask(&["LATENCY", "LATEST"]);
    let mut lines = latest.lines().skip_while(|line| *line != "command");
    lines.nth(3).and_then(|line| line.parse().ok()).unwrap_or(0)
}
