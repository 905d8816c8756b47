//! Leases to the millisecond: never early, and over when they are over.

use std::thread;
use std::time::{Duration, Instant};

use super::expected::Expected;
use super::wire::Connection;
use crate::support::{Server, StoreKind};

/// A clock in milliseconds is off by less than one. So each of many locks is taken at another part of a
/// millisecond.
#[test]
fn no_lease_ends_early() {
    let server = Server::start(StoreKind::Memory);
    let mut client = Connection::open(&server);
    let mut waiters = Vec::new();
    for pool in 0..100 {
        let request = format!("POST /pool/{pool} x");
        client.ask(&request, r#"200 ["x"]"#).expect("a pool");
        let taken = Instant::now();
        let request = format!("POST /pool/{pool}/lock?ttl=1");
        client.ask(&request, "200 x").expect("a lock");
        let mut waiter = Connection::open(&server);
        let request = format!("POST /pool/{pool}/lock?wait=9\n");
        waiter.send(request.as_bytes()).expect("a request");
        waiters.push((taken, waiter));
    }
    let mut early = Vec::new();
    for (taken, mut waiter) in waiters {
        let answer = waiter.expect(&Expected::Line("200 x".into()));
        answer.expect("the lock after the lease");
        let after = taken.elapsed();
        if after < Duration::from_secs(1) {
            early.push(after);
        }
    }
    assert!(early.is_empty(), "leases of 1 s ended after {early:?}");
}

/// The process is stopped while a lease ends, and finds these requests when it continues. It cannot know when
/// they came, so they count as sent in time. Redis has a clock of its own, by which they are late.
#[test]
fn what_a_server_finds_after_it_stood_still_counts_as_sent_in_time() {
    let late = [
        ("PUT /pool/A/lock/x", "200", "404 not held"),
        ("PUT /pool/B/lock/x?ttl=60&fence=1", "200", "404 not held"),
        ("PUT /pool/C/lock?owner=a", "200", "404 not held"),
        ("DELETE /pool/D/lock/x", "200", "404 not held"),
        ("DELETE /pool/E/lock", "200 1", "200 0"),
        ("POST /pool/F/lock?lease", "409 busy", "200 2 - x"),
        ("POST /pool/G/lock?lease&owner=a", "200 1 1 x", "200 2 - x"),
        ("POST /pool/H/lock/x?lease&owner=b", "409 busy", "200 2 - x"),
        ("GET /pool/I/lock", "200 1 …", "200"),
        ("GET /pool/J/lock/x", "200 1 …", "404 not held"),
    ];
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut client = Connection::open(&server);
        for (pool, (request, ..)) in ('A'..).zip(&late) {
            assert!(request.contains(&format!("/pool/{pool}/")), "{request}");
            let seeded = client.ask(&format!("POST /pool/{pool} x"), r#"200 ["x"]"#);
            seeded.expect("a pool");
            let owner = if "CGH".contains(pool) { "&owner=a" } else { "" };
            let locked = client.ask(&format!("POST /pool/{pool}/lock?ttl=1{owner}"), "200 x");
            locked.expect("a lock");
        }
        // One connection each, so that each request may be the first that the server finds.
        let mut clients: Vec<Connection> = late.map(|_| Connection::open(&server)).into();
        client.ask("GET /ping", "200 pong").expect("all are let in");
        server.signal("STOP");
        thread::sleep(Duration::from_millis(1500));
        for (client, (request, ..)) in clients.iter_mut().zip(&late) {
            let line = format!("{request}\n");
            client.send(line.as_bytes()).expect("a request");
        }
        server.signal("CONT");
        for (client, (request, in_time, late)) in clients.iter_mut().zip(late) {
            let answer = match store {
                StoreKind::Redis => late,
                StoreKind::Memory | StoreKind::File => in_time,
            };
            let heard = client.expect(&Expected::Line(answer.into()));
            assert_eq!(heard, Ok(()), "{request} on {store:?}");
        }
    }
}
