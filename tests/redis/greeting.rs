//! Requests that come while the server and Redis are still greeting each other: each is answered in
//! time, and carried out once if at all.

use std::time::{Duration, Instant};

use super::gate::Gate;
use super::*;
use crate::support::redis::let_pass;

const A_WHILE: Duration = Duration::from_millis(400);

#[test]
fn a_request_during_the_greeting_is_answered() {
    let redis = RedisServer::start();
    drop(with_pool(&serve(&redis), &["1", "2", "3"]));
    let gate = Gate::slowly_before(&redis, A_WHILE);
    let server = serve_at(&gate.url(), &[]);
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    let asked = Instant::now();
    for client in &mut clients {
        client.send("POST /pool/A/lock\n");
    }
    let mut held = 0;
    for client in &mut clients {
        let answer = client.read_line();
        match &*answer {
            "200 1" | "200 2" | "200 3" => held += 1,
            "409 busy" | DOWN => {}
            _ => panic!("{answer}"),
        }
    }
    let time = asked.elapsed();
    assert!(time < TIMEOUT + MARGIN, "answered after {time:?}");
    let client = &mut clients[0];
    await_service(client);
    await_answer(client, "GET /pool", &format!("200 3 {held} 0 A"));
}

/// Redis comes back, and only these clients ask for anything.
#[test]
fn a_request_during_a_repeated_greeting_is_answered() {
    let redis = RedisServer::start();
    let gate = Gate::slowly_before(&redis, A_WHILE);
    let server = serve_at(&gate.url(), &[]);
    let mut client = server.connect();
    await_service(&mut client);
    with_pool(&server, &["only"]);
    for _ in 0..3 {
        redis.cut_all();
        let cut = Instant::now();
        // One after another, each at another moment between the cut and the end of the greeting.
        while cut.elapsed() < Duration::from_millis(900) {
            let (answer, time) = ask_timed(&mut client, "GET /pool/A");
            assert!(["200 only", DOWN].contains(&&*answer), "{answer}");
            assert!(time < TIMEOUT + MARGIN, "{answer} after {time:?}");
            let_pass(Duration::from_millis(7));
        }
        await_service(&mut client);
    }
}

#[test]
fn a_waiter_that_comes_during_the_greeting_is_served_or_told() {
    let redis = RedisServer::start();
    drop(with_pool(&serve(&redis), &["only"]));
    let gate = Gate::slowly_before(&redis, A_WHILE);
    let server = serve_at(&gate.url(), &[]);
    let mut waiter = server.connect();
    waiter.send(format!("{WAIT}\n"));
    let answer = waiter.read_line();
    if answer != DOWN {
        assert_eq!(answer, "200 1 - only");
    }
    let held = usize::from(answer != DOWN);
    await_service(&mut waiter);
    await_answer(&mut waiter, "GET /pool", &format!("200 1 {held} 0 A"));
}

#[test]
fn a_greeting_that_takes_too_long_is_no_greeting() {
    let redis = RedisServer::start();
    let gate = Gate::slowly_before(&redis, TIMEOUT * 20);
    let server = serve_at(&gate.url(), &[]);
    let mut client = server.connect();
    for _ in 0..4 {
        expect_down(&mut client, "POST /pool/A 1");
        expect_ping(&mut client);
        let_pass(Duration::from_millis(300));
    }
}
