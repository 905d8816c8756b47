//! The two connections of a server: one for its requests, and one for Redis' notices. Each can be lost
//! without the other.

use super::gate::Gate;
use super::*;
use crate::metrics::scrape;

/// A listing that is longer than Redis' output buffer for a subscriber.
#[test]
fn a_long_listing_cuts_no_client_off() {
    let redis = RedisServer::start();
    redis.order(&[
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 20000 20000 0",
    ]);
    let server = serve(&redis);
    let mut client = server.connect();
    await_service(&mut client);
    let ids: Vec<String> = (0..5_000).map(|id| format!("\"{id:08}\"")).collect();
    let list = ids.join(",");
    assert_eq!(
        client.ask(&format!("PUT /pool/A [{list}]")),
        format!("200 [{list}]")
    );
    let listed = client.ask("GET /pool/A");
    assert_eq!(listed.split(['\t', ' ']).count(), 5_001);
    assert_eq!(
        client.ask("POST /pool/A/lock?n=5000&wait=1").len(),
        5_000 * 9 + 3
    );
    assert!(client.ask("GET /pool/A/lock").len() > 50_000);
    let losses = scrape(server.address).value("latchd_redis_losses_total", &[]);
    assert_eq!(losses, 0.0);
}

/// It is woken by a change of another server, whichever connection is cut before.
#[test]
fn a_waiter_is_woken_after_either_connection_was_lost() {
    let redis = RedisServer::start();
    let servers = [serve(&redis), serve(&redis)];
    let mut holder = with_pool(&servers[0], &["only"]);
    let mut fence = grant(&holder.ask("POST /pool/A/lock?lease")).0;
    for cut in [&["pubsub"][..], &["normal"], &["normal", "pubsub"], &[]] {
        let mut waiter = park(&servers[1], WAIT, 0);
        cut.iter().for_each(|kind| redis.cut_connections(kind));
        await_service(&mut holder);
        await_answer(&mut holder, "DELETE /pool/A/lock/only", "200");
        let (next, id) = grant(&waiter.read_line());
        assert!(next > fence && id == "only", "after {cut:?} were cut");
        fence = next;
    }
}

/// A notice without a listener is not lost.
#[test]
fn a_waiter_is_told_that_its_pool_is_gone_after_the_connection_was_lost() {
    let redis = RedisServer::start();
    let servers = [serve(&redis), serve(&redis)];
    let mut holder = with_pool(&servers[0], &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    let mut waiter = park(&servers[1], WAIT, 0);
    redis.cut_connections("pubsub");
    await_answer(&mut holder, "DELETE /pool/A", "200");
    assert_eq!(waiter.read_line(), "404 no pool");
}

/// Redis knows which connection is which.
#[test]
fn both_connections_have_names() {
    let redis = RedisServer::start();
    let _server = serve(&redis);
    eventually("both are there", || {
        let list = redis.ask(&["CLIENT", "LIST"]);
        let is_there = |name: &str| list.contains(&format!(" name={name} "));
        (is_there("latchd") && is_there("latchd-notices")).then_some(())
    });
}

/// The number of the latest connection for notices, once it is another than `before`.
#[track_caller]
fn await_notices(redis: &RedisServer, before: u64) -> u64 {
    eventually("it connects for notices", || {
        let list = redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        let numbers = list.lines().filter_map(|line| {
            let number = line.strip_prefix("id=")?.split(' ').next()?;
            number.parse().ok()
        });
        numbers.max().filter(|&latest| latest > before)
    })
}

/// A firewall has forgotten it, say.
#[test]
fn a_connection_that_is_lost_without_a_word_is_replaced() {
    let redis = RedisServer::start();
    let gate = Gate::before(&redis);
    let server = serve_at(&gate.url(), &[]);
    let mut holder = with_pool(&server, &["only"]);
    let first = await_notices(&redis, 0);
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    gate.lose_notices();
    await_notices(&redis, first);
    let mut waiter = park(&server, WAIT, 0);
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    grant(&waiter.read_line());
    let losses = scrape(server.address).value("latchd_redis_losses_total", &[]);
    assert_eq!(losses, 0.0, "the other connection stays");
}

/// At least 25, 50, 100, 200, 400 and 800 ms go by before the attempts.
#[test]
fn a_connection_that_is_cut_at_once_is_tried_ever_more_patiently() {
    let redis = RedisServer::start();
    let _server = serve(&redis);
    let mut latest = await_notices(&redis, 0);
    let begun = Instant::now();
    for _ in 0..6 {
        redis.cut_connections("pubsub");
        latest = await_notices(&redis, latest);
    }
    let time = begun.elapsed();
    assert!(time > Duration::from_millis(1500), "six times in {time:?}");
}
