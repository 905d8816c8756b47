//! Redis is connected and does not answer: clients get `store down` in time. When it goes on it finds
//! requests that are too old; whether it refuses or grants them, no client holds a lock in the end.
//! `unheard` makes sure that it does grant them.

use std::time::{Duration, Instant};

use super::*;
use crate::support::redis::let_pass;

/// Longer than servers wait for an answer.
const PAUSE: Duration = Duration::from_millis(2500);

#[test]
fn a_paused_redis_is_down_until_it_goes_on() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1"]);
    let paused = Instant::now();
    redis.order(&["CLIENT", "PAUSE", "2500", "ALL"]);
    expect_down(&mut client, "POST /pool/A/lock");
    expect_ping(&mut client);
    expect_down(&mut server.connect(), "GET /pool");
    assert!(
        paused.elapsed() < PAUSE,
        "too slow a machine to tell a refusal from a late answer"
    );
    await_service(&mut client);
    assert!(paused.elapsed() >= PAUSE, "it serves before the pause ends");
    await_answer(&mut client, "GET /pool", "200 1 0 0 A");
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
}

#[test]
fn an_owner_that_was_told_that_a_paused_redis_is_down_asks_again_and_has_its_lock() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1"]);
    redis.order(&["CLIENT", "PAUSE", "2500", "ALL"]);
    expect_down(&mut client, "POST /pool/A/lock?owner=a");
    await_service(&mut client);
    assert_eq!(client.ask("POST /pool/A/lock?owner=a"), "200 1");
    assert_eq!(client.ask("POST /pool/A/lock?owner=b"), "409 busy");
    assert_eq!(client.ask("DELETE /pool/A/lock?owner=a"), "200 1");
}

/// It may have its lock all the while, so its answer at the end of its wait is not `busy`.
#[test]
fn an_owner_that_waits_for_a_paused_redis_is_not_told_that_it_has_nothing() {
    let redis = RedisServer::start();
    let server = Server::start_at(&redis.url(), &["--redis-timeout", "1.5"]);
    let mut client = with_pool(&server, &["1"]);
    assert_eq!(client.ask("POST /pool/A/lock?owner=a"), "200 1");
    redis.freeze();
    assert_eq!(client.ask("POST /pool/A/lock?owner=a&wait=1"), DOWN);
    redis.thaw();
    await_service(&mut client);
    assert_eq!(client.ask("POST /pool/A/lock?owner=a&wait=1"), "200 1");
}

/// A pause that is shorter than the time-out is a slow answer, and no more.
#[test]
fn a_short_pause_is_waited_for() {
    let redis = RedisServer::start();
    let server = Server::start_at(&redis.url(), &["--redis-timeout", "5"]);
    let mut client = with_pool(&server, &["1"]);
    let mut beside = server.connect();
    redis.order(&["CLIENT", "PAUSE", "700", "ALL"]);
    client.send("POST /pool/A/lock\n");
    expect_ping(&mut beside);
    assert_eq!(client.read_line(), "200 1");
    assert_eq!(client.ask("POST /pool/A/lock"), "409 busy");
}

/// Two seconds by default.
#[test]
fn the_time_that_redis_is_given_by_default() {
    let redis = RedisServer::start();
    let server = Server::start_at(&redis.url(), &[]);
    let mut client = with_pool(&server, &["1"]);
    redis.freeze();
    let (answer, time) = ask_timed(&mut client, "POST /pool/A/lock");
    assert_eq!(answer, DOWN);
    assert!(
        (Duration::from_millis(1000)..Duration::from_millis(3000)).contains(&time),
        "{time:?}"
    );
    redis.thaw();
    await_service(&mut client);
}

#[test]
fn an_undelivered_grant_is_undone() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3", "4"]);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 4");
    for request in [
        "POST /pool/A/lock",
        "POST /pool/A/lock?n=3",
        "POST /pool/A/lock/2",
        "POST /pool/A/lock?ttl=600",
    ] {
        redis.freeze();
        let mut asking = server.connect();
        expect_down(&mut asking, request);
        expect_down(&mut client, "GET /pool");
        redis.thaw();
        await_service(&mut client);
        await_answer(&mut client, "GET /pool", "200 4 1 0 A");
    }
    assert_eq!(
        client
            .ask("POST /pool/A/lock?n=3&lease")
            .matches('\t')
            .count(),
        2
    );
}

/// With an answer at once or queued until then, it gets nothing that it does not know of.
#[test]
fn a_waiter_that_comes_while_redis_is_stalled_has_what_it_is_told() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["only"]);
    redis.freeze();
    let mut waiter = server.connect();
    waiter.send(format!("{WAIT}\n"));
    expect_down(&mut client, "GET /pool");
    redis.thaw();
    match waiter.read_line() {
        answer if answer == DOWN => await_answer(&mut client, "GET /pool", "200 1 0 0 A"),
        answer => {
            assert_eq!(grant(&answer).1, "only");
            await_service(&mut client);
            await_answer(&mut client, "GET /pool", "200 1 1 0 A");
        }
    }
}

/// The same, where its resource goes to the waiter behind the client without an answer.
#[test]
fn an_undelivered_grant_goes_to_the_next() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["only"]);
    redis.freeze();
    expect_down(&mut server.connect(), "POST /pool/A/lock");
    redis.thaw();
    await_service(&mut client);
    // At once or when the other grant is undone.
    assert_eq!(grant(&client.ask(WAIT)).1, "only");
    assert_eq!(client.ask("GET /pool"), "200 1 1 0 A");
}

#[test]
fn an_owner_s_grant_that_it_was_not_told_of_is_kept_for_it() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2"]);
    redis.freeze();
    expect_down(&mut client, "POST /pool/A/lock?owner=a");
    redis.thaw();
    await_service(&mut client);
    // Another client can take only what the owner does not have.
    let (_, of_another) = grant(&client.ask("POST /pool/A/lock?lease&owner=b"));
    let (fence, of_owner) = grant(&client.ask("POST /pool/A/lock?lease&owner=a"));
    assert_ne!(of_owner, of_another);
    let again = grant(&client.ask("POST /pool/A/lock?lease&owner=a"));
    assert_eq!(again, (fence, of_owner));
    assert_eq!(client.ask("GET /pool"), "200 2 2 0 A");
}

#[test]
fn a_release_that_was_not_answered_can_be_repeated() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 1");
    redis.freeze();
    expect_down(&mut client, "DELETE /pool/A/lock/1?fence=1");
    redis.thaw();
    await_service(&mut client);
    let answer = client.ask("DELETE /pool/A/lock/1?fence=1");
    assert!(["200", "404 not held"].contains(&&*answer), "{answer}");
    assert_eq!(client.ask("GET /pool"), "200 1 0 0 A");
    assert!(grant(&client.ask("POST /pool/A/lock?lease")).0 > 1);
}

#[test]
fn a_waiter_stays_queued_while_redis_is_stalled() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let mut line: Vec<Client> = (0..3).map(|ahead| park(&server, WAIT, ahead)).collect();
    redis.freeze();
    expect_down(&mut holder, "GET /pool");
    let_pass(PAUSE);
    line.iter_mut().for_each(expect_silence);
    redis.thaw();
    await_service(&mut holder);
    line.iter_mut().for_each(expect_silence);
    assert_eq!(holder.ask("GET /pool"), "200 1 1 3 A");
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    pass_through(&mut line, 1);
}

/// Its answer is lost, but its effect is not: the waiter must be served.
#[test]
fn a_release_that_was_not_answered_serves_waiters() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let mut line: Vec<Client> = (0..2).map(|ahead| park(&server, WAIT, ahead)).collect();
    redis.freeze();
    expect_down(&mut holder, "DELETE /pool/A/lock/only?fence=1");
    redis.thaw();
    await_service(&mut holder);
    let answer = holder.ask("DELETE /pool/A/lock/only?fence=1");
    assert!(
        ["200", "404 not held", "409 stale"].contains(&&*answer),
        "{answer}"
    );
    pass_through(&mut line, 1);
}

/// Hundreds are in flight at once, and each is answered on its own connection.
#[test]
fn a_crowd_in_flight_is_told_in_time() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let ids: Vec<String> = (0..200).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut observer = with_pool(&server, &ids);
    let mut crowd: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    redis.freeze();
    let asked = Instant::now();
    for client in &mut crowd {
        client.send("POST /pool/A/lock\nPOST /pool/A/lock\n");
    }
    for client in &mut crowd {
        assert_eq!(client.read_line(), DOWN);
        assert_eq!(client.read_line(), DOWN);
    }
    let time = asked.elapsed();
    assert!(time < TIMEOUT + MARGIN, "the last is told after {time:?}");
    redis.thaw();
    await_service(&mut observer);
    await_answer(&mut observer, "GET /pool", "200 200 0 0 A");
}
