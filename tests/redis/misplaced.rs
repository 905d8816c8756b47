//! A Redis that answers but cannot keep locks: a Sentinel, a node of a Cluster, or one whose settings lose locks.
//! The log says so, and what would be right.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::metrics::scrape;
use crate::support::Process;
use crate::support::launch::{free_port, latchd_in};
use crate::support::redis::{DURABLE, Logged};

fn start_logged(url: &str) -> Logged {
    start_logged_with(url, &[])
}

fn start_logged_with(url: &str, further: &[&str]) -> Logged {
    let folder = TempDir::new().expect("a folder");
    let arguments = [
        &["--listen", "127.0.0.1:0", "--store", url],
        &ARGUMENTS[..],
        further,
    ]
    .concat();
    Logged::start(latchd_in(&folder, &arguments))
}

/// It tries again and again, and says why once.
#[track_caller]
fn expect_refusal(url: &str, words: &str) {
    let mut latchd = start_logged(url);
    await_refusals(&mut latchd, words);
    expect_told_once(&latchd.end(), words);
}

#[track_caller]
fn await_refusals(latchd: &mut Logged, words: &str) {
    latchd.wait_for(|line| line.contains("ERROR") && line.contains(words));
    let address = latchd.address;
    eventually("it has tried again", || {
        let losses = scrape(address).value("latchd_redis_losses_total", &[]);
        (losses >= 3.0).then_some(())
    });
    assert_eq!(Client::connect(address).ask("GET /ready"), DOWN);
}

#[track_caller]
fn expect_told_once(log: &[String], words: &str) {
    let told = log.iter().filter(|line| line.contains(words)).count();
    assert_eq!(told, 1, "{log:#?}");
    assert!(
        !log.iter().any(|line| line.contains("connected to")),
        "{log:#?}"
    );
}

#[test]
fn a_sentinel_is_named() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("sentinel.conf");
    let port = free_port();
    fs::write(&file, format!("port {port}\nbind 127.0.0.1\n")).expect("a file");
    let mut command = Command::new("redis-server");
    command
        .current_dir(folder.path())
        .arg(&file)
        .arg("--sentinel");
    let _sentinel = Process::spawn(command);
    let url = format!("redis://127.0.0.1:{port}");
    expect_refusal(
        &url,
        "it is a Sentinel, which holds no data; point --store at the master itself",
    );
}

#[test]
fn a_node_of_a_cluster_is_named() {
    let redis = RedisServer::start_new(&["--cluster-enabled", "yes"]);
    let words = "it is a node of a Redis Cluster, which is not supported yet; point --store at a Redis \
                 without cluster mode";
    expect_refusal(&redis.url(), words);
}

const NO_LIST: &str = "it has no list of pools under t:, and --must-exist wants one; name the right Redis, database \
                       and --redis-prefix, or start once without --must-exist to create it";

#[test]
fn must_exist_uses_no_redis_without_pools() {
    let redis = RedisServer::start_new(&[]);
    let mut latchd = start_logged_with(&redis.url(), &["--must-exist"]);
    await_refusals(&mut latchd, NO_LIST);
    assert_eq!(redis.contents("t:"), [], "nothing is written there");
    expect_told_once(&latchd.end(), NO_LIST);
}

#[test]
fn must_exist_goes_on_when_there_are_pools() {
    let redis = RedisServer::start_new(&[]);
    let mut latchd = start_logged_with(&redis.url(), &["--must-exist"]);
    latchd.wait_for(|line| line.contains(NO_LIST));
    with_pool(&serve(&redis), &["1"]);
    let mut client = Client::connect(latchd.address);
    await_answer(&mut client, "GET /pool", "200 1 0 0 A");
    let mut second = start_logged_with(&redis.url(), &["--must-exist"]);
    second.wait_for(|line| line.contains("connected to"));
    expect_told_no(&second.end(), NO_LIST);

    // Only the first Redis is taken for the wrong one.
    redis.order(&["FLUSHALL"]);
    redis.cut_all();
    await_answer(&mut client, "GET /pool", "200");
    assert_eq!(client.ask("PUT /pool/A 1"), r#"200 ["1"]"#);
}

#[track_caller]
fn expect_told_no(log: &[String], words: &str) {
    assert!(!log.iter().any(|line| line.contains(words)), "{log:#?}");
}

#[test]
fn settings_that_lose_locks_are_warned_of_once() {
    let redis = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let mut latchd = start_logged(&redis.url());
    latchd.wait_for(|line| line.contains("connected to"));
    redis.cut_all();
    // A visible pool shows the second greeting.
    await_answer(
        &mut Client::connect(latchd.address),
        "POST /pool/A 1",
        r#"200 ["1"]"#,
    );
    let log = latchd.end();
    for words in [
        "it keeps no append-only file, so a restart loses locks; set appendonly yes",
        "its maxmemory-policy is allkeys-lru, so it drops locks when it is full; set noeviction",
    ] {
        let told = log
            .iter()
            .filter(|line| line.contains("WARN") && line.contains(words));
        assert_eq!(told.count(), 1, "{words}: {log:#?}");
    }
}

#[test]
fn settings_that_lose_nothing_are_not_warned_of() {
    let redis = RedisServer::start_with(&DURABLE);
    let mut latchd = start_logged(&redis.url());
    latchd.wait_for(|line| line.contains("connected to"));
    let log = latchd.end();
    let told = log
        .iter()
        .find(|line| line.contains("append-only") || line.contains("maxmemory"));
    assert_eq!(told, None);
}

/// A user without the right to `INFO` is served all the same.
#[test]
fn a_user_without_info_is_served_and_warned() {
    let user = [
        "--user", "alice", "on", ">secret", "~*", "&*", "+@all", "-info",
    ];
    let redis = RedisServer::start_new(&user);
    let mut latchd = start_logged(&format!("redis://alice:secret@127.0.0.1:{}", redis.port));
    latchd.wait_for(|line| line.contains("WARN") && line.contains("the user needs +info"));
    let mut client = Client::connect(latchd.address);
    await_answer(&mut client, "POST /pool/A 1", r#"200 ["1"]"#);
    let (first, _) = grant(&client.ask("POST /pool/A/lock?lease"));
    assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
    redis.cut_all();
    let again = eventually("the store is back", || {
        Some(client.ask("POST /pool/A/lock?lease")).filter(|answer| answer != DOWN)
    });
    assert!(grant(&again).0 > first, "{again} after {first}");
}
