//! Metrics while a store is down: the process is well, the store is not, and no count falls.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::full_disk::{fill_until_refused, start_on_a_small_disk};
use crate::support::launch::eventually;
use crate::support::redis::RedisServer;

const DOWN: &str = "503 store down";

/// Waits until the store is ready again.
fn await_ready(client: &mut Client) {
    eventually("the store is back", || {
        (client.ask("GET /ready") == "200 ready").then_some(())
    });
}

#[test]
fn a_redis_that_is_gone() {
    let mut redis = RedisServer::durable();
    let server = Server::start_at(&redis.url(), &["--redis-timeout", "1"]);
    let mut client = server.connect();
    converse(
        &mut client,
        &[
            ("POST /pool/A 1", r#"200 ["1"]"#),
            ("POST /pool/A/lock", "200 1"),
            ("GET /ready", "200 ready"),
        ],
    );
    let before = scrape(server.address);
    assert_eq!(before.value("latchd_store_up", &[]), 1.0);
    redis.kill();
    eventually("the loss is seen", || {
        (client.ask("GET /ready") == DOWN).then_some(())
    });
    converse(
        &mut client,
        &[("GET /health", "200 ok"), ("POST /pool/A/lock", DOWN)],
    );
    let (head, body) = get(&mut client, "/ready", "Accept: application/json\r\n");
    assert!(head.starts_with("HTTP/1.1 503 store down\r\n"), "{head}");
    assert!(
        body.starts_with(r#"{"code":"store down","message":""#),
        "{body}"
    );
    let during = scrape(server.address);
    during.expect_not_below(&before);
    assert_eq!(during.value("latchd_store_up", &[]), 0.0);
    assert!(during.value("latchd_redis_losses_total", &[]) >= 1.0);
    assert!(during.value("latchd_refused_total", &[("reason", "store down")]) >= 2.0);
    assert!(
        during.lines("latchd_pool").is_empty(),
        "the pools are unknown"
    );
    redis.resume();
    await_ready(&mut client);
    let after = scrape(server.address);
    after.expect_not_below(&during);
    assert_eq!(after.value("latchd_store_up", &[]), 1.0);
    assert_eq!(after.value("latchd_pool_held", &[("pool", "A")]), 1.0);
}

#[test]
fn a_redis_that_does_not_answer() {
    let redis = RedisServer::start();
    let server = Server::start_at(&redis.url(), &["--redis-timeout", "3"]);
    let mut client = server.connect();
    await_ready(&mut client);
    redis.freeze();
    let started = Instant::now();
    // Its last answer counts for a second.
    eventually("it does not answer", || {
        (client.ask("GET /ready") == DOWN).then_some(())
    });
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(6), "{waited:?}");
    // No client waits for it any more.
    let started = Instant::now();
    converse(
        &mut client,
        &[("GET /ready", DOWN), ("GET /health", "200 ok")],
    );
    assert_eq!(scrape(server.address).value("latchd_store_up", &[]), 0.0);
    assert!(started.elapsed() < Duration::from_millis(2500));
    redis.thaw();
    await_ready(&mut client);
}

#[test]
fn a_scrape_that_redis_leaves_unanswered_tells_the_rest() {
    let redis = RedisServer::start();
    let server = Server::start_at(&redis.url(), &["--redis-timeout", "1"]);
    assert_eq!(server.connect().ask("POST /pool/A 1"), r#"200 ["1"]"#);
    redis.freeze();
    let page = scrape(server.address);
    assert_eq!(page.value("latchd_store_up", &[]), 0.0);
    assert!(page.lines("latchd_pool").is_empty());
    redis.thaw();
}

#[test]
fn a_file_that_is_not_at_its_place() {
    let mut server = Server::start(StoreKind::File);
    let (address, mut client) = (server.address, server.connect());
    converse(
        &mut client,
        &[
            ("POST /pool/A 1", r#"200 ["1"]"#),
            ("POST /pool/A/lock", "200 1"),
            ("DELETE /pool/A/lock/1", "200"),
            ("GET /ready", "200 ready"),
        ],
    );
    let before = scrape(address);
    assert_eq!(before.value("latchd_store_up", &[]), 1.0);
    let file = server.folder.path().join("latchd.redb");
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).expect("it is moved");
    converse(
        &mut client,
        &[
            ("POST /pool/A/lock", DOWN),
            ("GET /ready", DOWN),
            ("GET /health", "200 ok"),
            ("POST /pool/A/lock", DOWN),
        ],
    );
    let during = scrape(address);
    during.expect_not_below(&before);
    assert_eq!(during.value("latchd_store_up", &[]), 0.0);
    assert!(during.value("latchd_journal_failures_total", &[]) >= 1.0);
    assert_eq!(
        during.value("latchd_refused_total", &[("reason", "store down")]),
        3.0
    );
    assert!(during.lines("latchd_pool").is_empty());
    fs::rename(&aside, &file).expect("it is moved back");
    server.wait_for_log("the store can be written again");
    await_ready(&mut client);
    let after = scrape(address);
    after.expect_not_below(&during);
    assert_eq!(after.value("latchd_store_up", &[]), 1.0);
    // Refused requests were never granted.
    assert_eq!(after.value("latchd_resources_granted_total", &[]), 1.0);
    assert_eq!(after.value("latchd_pool_free", &[("pool", "A")]), 1.0);
}

#[test]
fn a_disk_that_is_full() {
    let folder = TempDir::new().expect("a folder");
    let (_process, mut client) = start_on_a_small_disk(&folder);
    let address = client.stream.peer_addr().expect("its address");
    converse(&mut client, &[("POST /pool/A 1", r#"200 ["1"]"#)]);
    let before = scrape(address);
    fill_until_refused(&mut client);
    let during = scrape(address);
    during.expect_not_below(&before);
    assert_eq!(
        during.value("latchd_refused_total", &[("reason", "store down")]),
        1.0
    );
    assert!(during.value("latchd_journal_failures_total", &[]) >= 1.0);
    // Locks still work.
    assert_eq!(during.value("latchd_store_up", &[]), 1.0);
    converse(
        &mut client,
        &[("GET /ready", "200 ready"), ("POST /pool/A/lock", "200 1")],
    );
}

#[test]
fn counts_restart_with_the_process() {
    let mut server = Server::start(StoreKind::File);
    let mut client = server.connect();
    converse(
        &mut client,
        &[
            ("POST /pool/A 1", r#"200 ["1"]"#),
            ("POST /pool/A/lock", "200 1"),
        ],
    );
    server.restart();
    let page = scrape(server.address);
    expect_lines(&page, "latchd_resources_granted_total", &[" 0"]);
    expect_lines(&page, "latchd_requests_total", &[]);
    expect_lines(&page, "latchd_pool_held", &["{pool=\"A\"} 1"]);
}

#[test]
fn no_count_ever_falls() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut random = fastrand::Rng::with_seed(7);
        let mut client = server.connect();
        let mut before = scrape(server.address);
        for _ in 0..20 {
            for _ in 0..20 {
                let (pool, id) = (random.u8(0..3), random.u8(0..4));
                let request = match random.u8(0..8) {
                    0 => format!("POST /pool/{pool} [0,1,2,3]"),
                    1 => format!("PUT /pool/{pool} [{id}]"),
                    2 => format!("DELETE /pool/{pool}/lock"),
                    3 => format!("DELETE /pool/{pool}/lock/{id}"),
                    4 if id == 0 => format!("DELETE /pool/{pool}"),
                    5 => format!("POST /pool/{pool}/lock?owner=o{id}"),
                    _ => format!("POST /pool/{pool}/lock?n={}", id + 1),
                };
                client.ask(&request);
            }
            let page = scrape(server.address);
            page.expect_not_below(&before);
            before = page;
        }
        assert!(before.value("latchd_resources_granted_total", &[]) > 50.0);
    }
}
