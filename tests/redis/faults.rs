//! Redis is away: at the start, in the middle, and back again with its data or with nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::*;
use crate::support::redis::{DURABLE, let_pass};

#[test]
fn a_redis_that_is_away_at_the_start_is_taken_up_when_it_comes() {
    let mut redis = RedisServer::absent(&[]);
    let server = serve(&redis);
    let mut client = server.connect();
    for request in ["GET /pool", "POST /pool/A/lock", "POST /pool/A 1"] {
        let (answer, time) = ask_timed(&mut client, request);
        assert_eq!(answer, DOWN, "{request}");
        assert!(time < Duration::from_millis(500), "{request}: {time:?}");
    }
    expect_ping(&mut client);
    redis.resume();
    let came = Instant::now();
    await_service(&mut client);
    assert!(came.elapsed() < Duration::from_secs(5), "it tries often");
    assert_eq!(client.ask("POST /pool/A 1"), r#"200 ["1"]"#);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
}

#[test]
fn the_words_for_a_store_that_is_down() {
    let redis = RedisServer::absent(&[]);
    let server = serve(&redis);
    let mut client = server.connect();
    client.send("POST /pool/A/lock HTTP/1.1\r\n\r\n");
    client.expect("HTTP/1.1 503 store down\r\nContent-Length: 10\r\n\r\nstore down");
    client.send("POST /pool/A/lock HTTP/1.1\r\nAccept: application/json\r\n\r\n");
    client.expect("HTTP/1.1 503 store down\r\n");
}

#[test]
fn what_is_in_hand_when_redis_is_killed_is_answered() {
    let mut redis = RedisServer::durable();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3", "4"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 4");
    redis.freeze();
    let requests = [
        "POST /pool/A/lock",
        "POST /pool/A/lock/1?owner=a",
        "DELETE /pool/A/lock/4",
        "PUT /pool/A/lock/4?ttl=5",
        "GET /pool",
        "POST /pool/B x",
    ];
    let mut asking: Vec<Client> = requests.map(|_| server.connect()).into();
    for (client, request) in asking.iter_mut().zip(requests) {
        client.send(format!("{request}\n"));
    }
    // The server has read them all, and sent them on.
    expect_ping(&mut client);
    expect_ping(&mut client);
    let asked = Instant::now();
    redis.kill();
    for (client, request) in asking.iter_mut().zip(requests) {
        assert_eq!(client.read_line(), DOWN, "{request}");
    }
    let time = asked.elapsed();
    assert!(time < TIMEOUT + MARGIN, "answered after {time:?}");
    expect_down(&mut client, "POST /pool/A/lock");
    expect_ping(&mut client);

    redis.resume();
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool"), "200 4 1 0 A", "nothing was done");
    assert_eq!(client.ask("GET /pool/A/lock"), "200 1 - 4");
    let (fence, id) = grant(&client.ask("POST /pool/A/lock?lease"));
    assert_eq!((fence > 1, &*id), (true, "3"));
}

/// The test listens on the port and closes each connection at once, so that it can count the
/// attempts.
#[test]
fn a_lost_redis_is_sought_again_and_again_but_not_without_pause() {
    let mut redis = RedisServer::durable();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1"]);
    redis.kill();
    let listener = TcpListener::bind(redis.address()).expect("the port is free");
    listener.set_nonblocking(true).expect("non-blocking");
    let (started, mut attempts) = (Instant::now(), Vec::new());
    while started.elapsed() < Duration::from_secs(4) {
        match listener.accept() {
            Ok(_) => attempts.push(started.elapsed()),
            Err(_) => let_pass(Duration::from_millis(1)),
        }
    }
    assert!(
        (2..60).contains(&attempts.len()),
        "attempts within 4 seconds: {attempts:?}"
    );
    expect_down(&mut client, "GET /pool");
    drop(listener);
    redis.resume();
    await_service(&mut client);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
}

/// The port accepts, and never sends a byte: only time shows that it is no Redis.
#[test]
fn a_redis_that_accepts_and_says_nothing_is_down() {
    let redis = RedisServer::absent(&[]);
    let listener = TcpListener::bind(redis.address()).expect("the port is free");
    let server = serve(&redis);
    let mut client = server.connect();
    expect_down(&mut client, "POST /pool/A/lock");
    expect_ping(&mut client);
    expect_down(&mut client, "GET /pool");
    drop(listener);
    let mut redis = redis;
    redis.resume();
    await_service(&mut client);
}

#[test]
fn a_waiter_keeps_its_place_while_redis_is_killed_and_restarted() {
    keep_places(Duration::ZERO);
}

#[test]
fn a_waiter_keeps_its_place_while_redis_is_away_for_longer_than_any_heartbeat() {
    keep_places(Duration::from_secs(9));
}

fn keep_places(away: Duration) {
    let mut redis = RedisServer::durable();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let mut line: Vec<Client> = (0..4).map(|ahead| park(&server, WAIT, ahead)).collect();
    redis.kill();
    expect_down(&mut holder, "GET /pool");
    let_pass(away);
    line.iter_mut().for_each(expect_silence);
    redis.resume();
    await_service(&mut holder);
    // A client that comes now comes last.
    assert_eq!(server.connect().ask("POST /pool/A/lock"), "409 busy");
    line.push(park(&server, WAIT, 4));
    line.iter_mut().for_each(expect_silence);
    assert_eq!(holder.ask("GET /pool"), "200 1 1 5 A");
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    pass_through(&mut line, 1);
    assert_eq!(holder.ask("GET /pool"), "200 1 0 0 A");
}

/// They wait for a resource that is free when Redis is back.
#[test]
fn a_waiter_is_served_when_a_lease_has_ended_while_redis_was_away() {
    let mut redis = RedisServer::durable();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease&ttl=2"), "200 1 2 only");
    let mut line: Vec<Client> = (0..2).map(|ahead| park(&server, WAIT, ahead)).collect();
    redis.kill();
    let_pass(Duration::from_millis(2100));
    line.iter_mut().for_each(expect_silence);
    redis.resume();
    pass_through(&mut line, 1);
}

/// A wait that ends while Redis is away has an answer all the same.
#[test]
fn a_wait_ends_in_time_while_redis_is_away() {
    let mut redis = RedisServer::durable();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    let asked = Instant::now();
    let mut waiter = park(&server, "POST /pool/A/lock?wait=2", 0);
    redis.kill();
    let answer = waiter.read_line();
    let time = asked.elapsed();
    assert!(["409 busy", DOWN].contains(&&*answer), "{answer}");
    let most = Duration::from_secs(2) + TIMEOUT + MARGIN;
    assert!(
        (Duration::from_millis(1900)..most).contains(&time),
        "{answer} after {time:?}"
    );
    redis.resume();
    await_service(&mut holder);
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    assert_eq!(holder.ask("GET /pool"), "200 1 0 0 A");
}

#[test]
fn a_client_that_leaves_while_redis_is_away_is_not_served_later() {
    let mut redis = RedisServer::durable();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let leaves = park(&server, WAIT, 0);
    let mut stays = park(&server, WAIT, 1);
    redis.kill();
    drop(leaves);
    expect_down(&mut holder, "GET /pool");
    redis.resume();
    await_service(&mut holder);
    await_line_of(&mut holder, 1);
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    assert_eq!(grant(&stays.read_line()).1, "only");
}

#[test]
fn a_redis_that_comes_back_empty_has_no_pools_and_fences_rise_all_the_same() {
    let mut redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3"]);
    assert_eq!(client.ask("POST /pool/B x"), r#"200 ["x"]"#);
    assert_eq!(client.ask("POST /pool/B/lock?lease"), "200 1 - x");
    let held = client.ask("POST /pool/A/lock?lease");
    for id in ["2", "1"] {
        let granted = grant(&client.ask("POST /pool/A/lock?lease"));
        assert_eq!(granted.1, id);
    }
    let highest = grant(&held).0 + 2;
    let mut waiters = [park(&server, WAIT, 0), park(&server, WAIT, 1)];
    redis.kill();
    expect_down(&mut client, "GET /pool");
    redis.resume();
    for waiter in &mut waiters {
        assert_eq!(waiter.read_line(), "404 no pool");
    }
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool"), "200");
    assert_eq!(client.ask("POST /pool/A/lock"), "404 no pool");
    with_pool(&server, &["1", "2", "3"]);
    assert_eq!(client.ask("GET /pool"), "200 3 0 0 A");
    let (fence, id) = grant(&client.ask("POST /pool/A/lock?lease"));
    assert_eq!(id, "3");
    assert!(fence > highest, "{fence} comes after {highest}");
    assert_eq!(client.ask("POST /pool/B x"), r#"200 ["x"]"#);
    assert!(grant(&client.ask("POST /pool/B/lock?lease")).0 > 1);
}

/// The connection stays as it is, only that all is gone.
#[test]
fn a_redis_that_is_emptied_has_no_pools_and_fences_rise_all_the_same() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 2");
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 2 - 1");
    redis.order(&["FLUSHALL"]);
    assert_eq!(client.ask("POST /pool/A/lock"), "404 no pool");
    assert_eq!(client.ask("GET /pool"), "200");
    with_pool(&server, &["1", "2"]);
    let (fence, _) = grant(&client.ask("POST /pool/A/lock?lease"));
    assert!(fence > 2, "{fence} comes after 2");
}

#[test]
fn a_redis_that_comes_back_with_its_file_has_all_that_was_answered() {
    let mut redis = RedisServer::start_with(&DURABLE);
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3", "4"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 4");
    assert_eq!(
        client.ask("POST /pool/A/lock?lease&owner=a&n=2"),
        "200 2 - 3\t2 - 2"
    );
    let mut highest = 2;
    for round in 3..6 {
        match round % 2 {
            0 => redis.terminate(),
            _ => redis.kill(),
        }
        redis.resume();
        await_service(&mut client);
        assert_eq!(client.ask("POST /pool/A/lock/4"), "409 busy");
        assert_eq!(client.ask("DELETE /pool/A/lock/3"), "409 not yours");
        assert_eq!(
            client.ask("POST /pool/A/lock?lease&owner=a&n=2"),
            "200 2 - 3\t2 - 2"
        );
        let (fence, id) = grant(&client.ask("POST /pool/A/lock?lease"));
        assert_eq!((fence > highest, &*id), (true, "1"));
        highest = fence;
        assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
    }
}
