//! One of several servers is lost, for good or for a while, and the others keep serving.

use std::time::{Duration, Instant};

use super::*;
use crate::support::redis::let_pass;

/// Within this time a server that has died is out of every line.
const LAPSE: Duration = Duration::from_secs(8);

/// Longer than a server may say nothing before the others count it out.
const SILENCE: Duration = Duration::from_secs(12);

#[test]
fn waiters_of_a_killed_server_leave_the_queue() {
    let redis = RedisServer::start();
    let (mut lost, server) = (serve(&redis), serve(&redis));
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let _first = park(&lost, WAIT, 0);
    let mut second = park(&server, WAIT, 1);
    let _third = park(&lost, WAIT, 2);
    let mut fourth = park(&server, WAIT, 3);
    lost.kill();
    let killed = Instant::now();
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    let (fence, _) = grant(&second.read_line());
    let time = killed.elapsed();
    eprintln!("the next waiter was served {time:?} after the kill");
    assert!(time < LAPSE, "served after {time:?}");
    expect_silence(&mut fourth);
    assert_eq!(
        holder.ask(&format!("DELETE /pool/A/lock/only?fence={fence}")),
        "200"
    );
    grant(&fourth.read_line());
    assert!(killed.elapsed() < LAPSE + MARGIN);
    assert_eq!(holder.ask("GET /pool"), "200 1 1 0 A");
}

/// No other client waits, so no event can wake the server.
#[test]
fn what_was_kept_for_a_killed_server_is_lent_again() {
    let redis = RedisServer::start();
    let (mut lost, server) = (serve(&redis), serve(&redis));
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    let _waiter = park(&lost, WAIT, 0);
    lost.kill();
    let killed = Instant::now();
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    await_answer(&mut holder, "POST /pool/A/lock", "200 only");
    let time = killed.elapsed();
    assert!(time < LAPSE, "lent again after {time:?}");
}

#[test]
fn what_clients_of_a_killed_server_hold_they_hold() {
    let redis = RedisServer::start();
    let (mut lost, server) = (serve(&redis), serve(&redis));
    let mut client = with_pool(&lost, &["1", "2"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 2");
    assert_eq!(
        client.ask("POST /pool/A/lock?lease&ttl=9&owner=a"),
        "200 2 9 1"
    );
    let mut waiter = park(&server, WAIT, 0);
    let taken = Instant::now();
    lost.kill();
    let mut other = server.connect();
    assert_eq!(other.ask("POST /pool/A/lock/2"), "409 busy");
    let (_, id) = grant(&waiter.read_line());
    assert_eq!(id, "1", "the one whose lease ended");
    let time = taken.elapsed();
    assert!(
        (Duration::from_millis(8500)..Duration::from_millis(10500)).contains(&time),
        "a lease of 9 s ended after {time:?}"
    );
    assert_eq!(other.ask("DELETE /pool/A/lock/2?fence=1"), "200");
}

/// A server that stops leaves the queue itself, so the others need not time it out.
#[test]
fn a_server_that_stops_leaves_the_queue_at_once() {
    let redis = RedisServer::start();
    let (mut stops, server) = (serve(&redis), serve(&redis));
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    let mut first = park(&stops, WAIT, 0);
    let mut second = park(&server, WAIT, 1);
    assert_eq!(stops.terminate().code(), Some(0));
    let stopped = Instant::now();
    assert_eq!(first.read_line(), "503 stopping");
    assert_eq!(holder.ask("GET /pool"), "200 1 1 1 A");
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    grant(&second.read_line());
    let time = stopped.elapsed();
    assert!(time < Duration::from_secs(1), "served after {time:?}");
}

/// The waiters behind it are served meanwhile; when it continues, its client has an answer in the
/// end, and nothing is lent twice.
#[test]
fn a_server_that_stood_still_finds_its_client_a_turn() {
    let redis = RedisServer::start();
    let (frozen, server) = (serve(&redis), serve(&redis));
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    let mut first = park(&frozen, WAIT, 0);
    let mut second = park(&server, WAIT, 1);
    frozen.signal("STOP");
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    let (fence, _) = grant(&second.read_line());
    let_pass(SILENCE);
    frozen.signal("CONT");
    // It has seen that it was counted out, and has had time to ask again.
    await_service(&mut frozen.connect());
    let_pass(Duration::from_secs(1));
    let listed = frozen.connect().ask("GET /pool/A/lock");
    assert_eq!(
        listed,
        format!("200 {fence} - only"),
        "it is the second one's"
    );
    let release = format!("DELETE /pool/A/lock/only?fence={fence}");
    assert_eq!(holder.ask(&release), "200");
    // It is queued again, behind the other waiters.
    let (later, _) = grant(&first.read_line());
    assert!(later > fence, "{later} comes after {fence}");
}

/// It delayed no other client, but its own client had been granted a resource before it was
/// stopped.
#[test]
fn a_grant_to_a_server_that_stands_still_is_delivered_later_or_lapses_but_not_both() {
    let redis = RedisServer::start();
    let (frozen, server) = (serve(&redis), serve(&redis));
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    let mut first = park(&frozen, WAIT, 0);
    frozen.signal("STOP");
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    frozen.signal("CONT");
    // The other server has not dropped it yet.
    let (fence, _) = grant(&first.read_line());
    assert_eq!(holder.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(
        holder.ask(&format!("DELETE /pool/A/lock/only?fence={fence}")),
        "200"
    );
}

/// Both have waited, in turns, when Redis goes; and both find their places again.
#[test]
fn the_queue_across_servers_outlives_redis() {
    let mut redis = RedisServer::durable();
    let servers = [serve(&redis), serve(&redis)];
    let mut holder = with_pool(&servers[0], &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    let mut line: Vec<Client> = (0..6)
        .map(|ahead| park(&servers[ahead % 2], WAIT, ahead))
        .collect();
    redis.kill();
    expect_down(&mut holder, "GET /pool");
    redis.resume();
    await_service(&mut holder);
    // One server may be back long before the other.
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    pass_through_either(&mut line, &servers);
}

/// Releases on a server that is back, whichever that is.
#[track_caller]
fn pass_through_either(line: &mut [Client], servers: &[Server]) {
    let mut fence = 1;
    for place in 0..line.len() {
        let granted = grant(&line[place].read_line());
        assert!(granted.0 > fence, "{granted:?} comes after {fence}");
        fence = granted.0;
        line[place + 1..].iter_mut().for_each(expect_silence);
        let server = &servers[place % servers.len()];
        let release = format!("DELETE /pool/A/lock/only?fence={fence}");
        await_answer(&mut server.connect(), &release, "200");
    }
}

/// A killed server comes back as a new one, which has nothing to do with the old one's line.
#[test]
fn a_server_that_was_killed_comes_back() {
    let redis = RedisServer::start();
    let (mut lost, server) = (serve(&redis), serve(&redis));
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    let _old = park(&lost, WAIT, 0);
    let mut second = park(&server, WAIT, 1);
    lost.kill();
    let killed = Instant::now();
    lost.restart();
    let mut new = lost.connect();
    new.send(format!("{WAIT}\n"));
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    let (fence, _) = grant(&second.read_line());
    assert!(
        killed.elapsed() < LAPSE,
        "served after {:?}",
        killed.elapsed()
    );
    expect_silence(&mut new);
    assert_eq!(
        holder.ask(&format!("DELETE /pool/A/lock/only?fence={fence}")),
        "200"
    );
    grant(&new.read_line());
}
