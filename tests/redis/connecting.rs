//! The ways to Redis: passwords and users, databases, prefixes, names of hosts, unix sockets.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::support::launch::latchd_in;
use crate::support::redis::{DURABLE, Logged};

/// Takes a lock and gives it back.
#[track_caller]
fn expect_service(server: &Server) {
    let mut client = with_pool(server, &["1"]);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
    assert_eq!(client.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
}

/// The connections of Redis, without the one that asks.
fn others(redis: &RedisServer) -> Vec<String> {
    let list = redis.ask(&["CLIENT", "LIST"]);
    let others = list
        .lines()
        .filter(|line| !line.contains("cmd=client|list"));
    others.map(str::to_owned).collect()
}

#[test]
fn a_password() {
    let redis = RedisServer::start_with(&["--requirepass", "p@ss:w/rd %"]);
    let url = format!("redis://:p%40ss%3Aw%2Frd%20%25@127.0.0.1:{}", redis.port);
    expect_service(&serve_at(&url, &[]));
}

#[test]
fn a_password_survives_a_restart_of_redis() {
    let mut redis = RedisServer::start_with(&["--requirepass", "secret", "--appendonly", "yes"]);
    let url = format!("redis://:secret@127.0.0.1:{}", redis.port);
    let server = serve_at(&url, &[]);
    expect_service(&server);
    redis.kill();
    redis.resume();
    await_service(&mut server.connect());
    expect_service(&server);
}

#[test]
fn a_user_and_a_password() {
    let user = ["--user", "alice", "on", ">secret", "~*", "&*", "+@all"];
    let redis = RedisServer::start_with(&user);
    let url = format!("redis://alice:secret@127.0.0.1:{}", redis.port);
    let server = serve_at(&url, &[]);
    expect_service(&server);
    let others = others(&redis);
    assert!(!others.is_empty());
    let all_hers = others.iter().all(|line| line.contains(" user=alice "));
    assert!(all_hers, "{others:#?}");
}

#[test]
fn a_numbered_database() {
    let redis = RedisServer::start_new(&[]);
    expect_service(&serve_at(&format!("{}/3", redis.url()), &[]));
    assert_eq!(redis.ask(&["DBSIZE"]), "0");
    assert_ne!(redis.ask_in(3, &["DBSIZE"]), "0");
}

#[test]
fn the_database_is_the_same_after_a_restart_of_redis() {
    let mut redis = RedisServer::start_new(&DURABLE);
    let server = serve_at(&format!("{}/3", redis.url()), &[]);
    let mut client = with_pool(&server, &["1"]);
    redis.kill();
    redis.resume();
    await_service(&mut client);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
    assert_eq!(redis.ask(&["DBSIZE"]), "0");
}

/// Messages in Redis know nothing of databases.
#[test]
fn databases_have_nothing_to_do_with_each_other() {
    let redis = RedisServer::start();
    let [third, fourth] = [3, 4].map(|number| serve_at(&format!("{}/{number}", redis.url()), &[]));
    expect_separate_pools(&third, &fourth);
}

#[test]
fn prefixes_have_nothing_to_do_with_each_other() {
    let redis = RedisServer::start_new(&[]);
    // One begins as the other does.
    let [one, other] =
        ["t:", "t:t:"].map(|prefix| Server::start_at(&redis.url(), &["--redis-prefix", prefix]));
    expect_separate_pools(&one, &other);
    assert_eq!(
        redis
            .ask(&["KEYS", "*"])
            .lines()
            .find(|k| !k.starts_with("t:")),
        None
    );
}

#[track_caller]
fn expect_separate_pools(one: &Server, other: &Server) {
    let mut here = with_pool(one, &["1"]);
    assert_eq!(here.ask("POST /pool/A/lock"), "200 1");
    let mut waiter = park(one, WAIT, 0);
    assert_eq!(other.connect().ask("GET /pool"), "200");
    let mut there = with_pool(other, &["1"]);
    assert_eq!(there.ask("POST /pool/A/lock"), "200 1");
    assert_eq!(there.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(there.ask("DELETE /pool/A"), "200");
    assert_eq!(here.ask("GET /pool"), "200 1 1 1 A");
    expect_silence(&mut waiter);
    assert_eq!(here.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(grant(&waiter.read_line()).1, "1");
}

#[test]
fn a_unix_socket() {
    let mut redis = RedisServer::durable();
    let url = format!("redis+unix://{}", redis.socket().display());
    let server = serve_at(&url, &[]);
    expect_service(&server);
    let others = others(&redis);
    let through_it = others.iter().all(|line| line.contains("redis.sock:0"));
    assert!(!others.is_empty() && through_it, "{others:#?}");
    redis.kill();
    expect_down(&mut server.connect(), "GET /pool");
    redis.resume();
    await_service(&mut server.connect());
    expect_service(&server);
}

/// Of its addresses Redis has only one.
#[test]
fn the_name_of_a_host() {
    let mut redis = RedisServer::durable();
    let server = serve_at(&format!("redis://localhost:{}", redis.port), &[]);
    expect_service(&server);
    redis.kill();
    redis.resume();
    await_service(&mut server.connect());
    expect_service(&server);
}

#[test]
fn the_name_of_an_unknown_host() {
    let server = serve_at("redis://no-such-host.invalid:6379", &[]);
    let mut client = server.connect();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        expect_ping(&mut client);
        expect_down(&mut client, "POST /pool/A/lock");
    }
}

/// The log says why, and not the password; and all is well once the password is right.
#[test]
fn a_wrong_password_is_named_but_not_told() {
    let mut redis = RedisServer::start_with(&["--requirepass", "right"]);
    let url = format!("redis://:much-too-secret@127.0.0.1:{}", redis.port);
    let mut latchd = start_logged(&url);
    let mut client = Client::connect(latchd.address);
    expect_down(&mut client, "POST /pool/A 1");
    latchd.wait_for(|line| is_about(line, &["wrongpass", "password"]));
    expect_ping(&mut client);
    redis.set_password("much-too-secret");
    await_answer(&mut client, "POST /pool/A 1", r#"200 ["1"]"#);
    expect_nothing_of("much-too-secret", latchd);
}

#[test]
fn a_wrong_password_of_a_user() {
    let user = ["--user", "alice", "on", ">right", "~*", "&*", "+@all"];
    let redis = RedisServer::start_with(&user);
    let url = format!("redis://alice:much-too-secret@127.0.0.1:{}", redis.port);
    let mut latchd = start_logged(&url);
    let mut client = Client::connect(latchd.address);
    expect_down(&mut client, "POST /pool/A 1");
    latchd.wait_for(|line| is_about(line, &["wrongpass", "password"]));
    redis.order(&["ACL", "SETUSER", "alice", ">much-too-secret"]);
    await_answer(&mut client, "POST /pool/A 1", r#"200 ["1"]"#);
    expect_nothing_of("much-too-secret", latchd);
}

#[test]
fn a_missing_password_is_named() {
    let mut redis = RedisServer::start_with(&["--requirepass", "right"]);
    let mut latchd = start_logged(&redis.url());
    let mut client = Client::connect(latchd.address);
    expect_down(&mut client, "POST /pool/A 1");
    latchd.wait_for(|line| is_about(line, &["noauth", "password", "authenticat"]));
    redis.set_password("");
    await_answer(&mut client, "POST /pool/A 1", r#"200 ["1"]"#);
    drop(latchd);
}

/// The password is changed while the server is connected, and then the connection is lost.
#[test]
fn a_password_that_is_changed_later() {
    let mut redis = RedisServer::start_with(&["--requirepass", "secret"]);
    let mut latchd = start_logged(&format!("redis://:secret@127.0.0.1:{}", redis.port));
    let mut client = Client::connect(latchd.address);
    assert_eq!(client.ask("POST /pool/A 1"), r#"200 ["1"]"#);
    redis.set_password("other");
    redis.cut_all();
    await_answer(&mut client, "GET /pool", DOWN);
    latchd.wait_for(|line| is_about(line, &["wrongpass", "password"]));
    redis.set_password("secret");
    await_answer(&mut client, "GET /pool", "200 1 0 0 A");
    expect_nothing_of("secret", latchd);
}

/// A user without a necessary right.
#[test]
fn a_user_without_rights_is_named() {
    let user = [
        "--user", "alice", "on", ">secret", "~other:*", "&*", "+@all",
    ];
    let redis = RedisServer::start_with(&user);
    let mut latchd = start_logged(&format!("redis://alice:secret@127.0.0.1:{}", redis.port));
    let mut client = Client::connect(latchd.address);
    expect_down(&mut client, "POST /pool/A 1");
    latchd.wait_for(|line| is_about(line, &["noperm", "permission"]));
    redis.order(&["ACL", "SETUSER", "alice", "~*"]);
    await_answer(&mut client, "POST /pool/A 1", r#"200 ["1"]"#);
}

fn start_logged(url: &str) -> Logged {
    let folder = TempDir::new().expect("a folder");
    let arguments = [&["--listen", "127.0.0.1:0", "--store", url], &ARGUMENTS[..]].concat();
    Logged::start(latchd_in(&folder, &arguments))
}

/// Whether a line is an error or a warning with one of these words.
fn is_about(line: &str, words: &[&str]) -> bool {
    let serious = ["ERROR", "WARN"].iter().any(|level| line.contains(level));
    let line = line.to_lowercase();
    serious && words.iter().any(|word| line.contains(word))
}

#[track_caller]
fn expect_nothing_of(password: &str, latchd: Logged) {
    let log = latchd.end();
    let told = log.iter().find(|line| line.contains(password));
    assert_eq!(told, None, "a password is in the log");
}
