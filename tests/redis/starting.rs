//! The options for the start, when Redis comes later or again.

use std::fs;

use tempfile::TempDir;

use super::*;

const LATER: [&str; 2] = ["--redis-timeout", "1"];

/// A server with a file of pools, in a folder of its own.
fn serve_seeded(redis: &RedisServer, arguments: &[&str]) -> Server {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("pools.json");
    fs::write(&file, r#"{"A":["1","2"],"my pool":["x"]}"#).expect("a file in it");
    let seed = file.to_str().expect("a temporary name is UTF-8");
    let server = serve_with(redis, &[&["--seed", seed], arguments].concat());
    // It has been read when the server listens.
    drop(folder);
    server
}

/// Takes both of A but leaves one free; the server is gone then, and the locks are not.
fn with_locks(redis: &RedisServer) {
    let server = serve(redis);
    let mut client = with_pool(&server, &["1", "2", "3"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 3");
    assert_eq!(client.ask("POST /pool/A/lock?lease&owner=a"), "200 2 - 2");
}

#[test]
fn locks_outlive_a_server() {
    let redis = RedisServer::start();
    with_locks(&redis);
    let server = serve(&redis);
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool/A/lock"), "200 1 - 3\t2 - 2");
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 3 - 1");
}

#[test]
fn a_seed_is_there_from_the_first_request() {
    let redis = RedisServer::start();
    let server = serve_seeded(&redis, &[]);
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool"), "200 2 0 0 A\t1 0 0 my pool");
    assert_eq!(client.ask("POST /pool/A/lock"), "200 2");
}

#[test]
fn a_seed_waits_for_redis() {
    let mut redis = RedisServer::absent(&[]);
    let server = serve_seeded(&redis, &[]);
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool"), DOWN);
    redis.resume();
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool"), "200 2 0 0 A\t1 0 0 my pool");
    assert_eq!(client.ask("POST /pool/A/lock"), "200 2");
}

#[test]
fn a_seed_that_waits_for_redis_leaves_what_is_held_alone() {
    let mut redis = RedisServer::durable();
    with_locks(&redis);
    redis.kill();
    let server = serve_seeded(&redis, &[]);
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool"), DOWN);
    redis.resume();
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool"), "200 3 2 0 A\t1 0 0 my pool");
    assert_eq!(client.ask("GET /pool/A/lock"), "200 1 - 3\t2 - 2");
}

#[test]
fn purging_releases_every_lock_and_nothing_else() {
    let redis = RedisServer::start();
    with_locks(&redis);
    let server = serve_with(&redis, &["--purge-on-start", "true"]);
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool"), "200 3 0 0 A");
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 3 - 1");
}

#[test]
fn purging_waits_for_redis() {
    let mut redis = RedisServer::durable();
    with_locks(&redis);
    redis.kill();
    let server = serve_with(&redis, &["--purge-on-start", "true"]);
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool"), DOWN);
    redis.resume();
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool"), "200 3 0 0 A");
}

#[test]
fn purging_happens_once() {
    let mut redis = RedisServer::durable();
    with_locks(&redis);
    let server = serve_with(&redis, &["--purge-on-start", "true"]);
    let mut client = server.connect();
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 3 - 1");
    redis.kill();
    expect_down(&mut client, "GET /pool");
    redis.resume();
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool/A/lock"), "200 3 - 1");
    redis.cut_all();
    await_service(&mut client);
    // The server may not have noticed the cut yet; this request at the latest is made on a new
    // connection.
    await_answer(&mut client, "GET /pool/A/lock", "200 3 - 1");
    assert_eq!(client.ask("POST /pool/A/lock/1"), "409 busy");
}

/// A seed and a purge at the start change this prefix only.
#[test]
fn a_start_leaves_other_prefixes_alone() {
    let redis = RedisServer::start();
    with_locks(&redis);
    let before = redis.contents("t:{");
    let arguments = ["--redis-prefix", "o:", "--purge-on-start", "true"];
    let other = Server::start_at(&redis.url(), &[&arguments[..], &LATER].concat());
    with_pool(&other, &["9"]);
    assert_eq!(other.connect().ask("DELETE /pool/A"), "200");
    assert_eq!(redis.contents("t:{"), before);
}

#[test]
fn seeding_and_purging_together_wait_for_redis() {
    let mut redis = RedisServer::durable();
    with_locks(&redis);
    redis.kill();
    let server = serve_seeded(&redis, &["--purge-on-start", "true"]);
    let mut client = server.connect();
    assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
    redis.resume();
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool"), "200 3 0 0 A\t1 0 0 my pool");
}

/// A dump with these pools, each with one free member.
fn dump_of(pools: &[&str]) -> String {
    let pool = |name: &&str| {
        format!(
            "{{\"pool\":\"{name}\",\"fence\":5,\"members\":[\"x\"],\"free\":[\"x\"],\"locks\":[]}}\n"
        )
    };
    let rows: String = pools.iter().map(pool).collect();
    let count = pools.len();
    format!(
        "{{\"latchd\":\"0\",\"dump\":1}}\n{rows}{{\"pools\":{count},\"members\":{count},\"locks\":0,\"retired_fence\":0}}\n"
    )
}

#[test]
fn a_restore_clears_what_is_left_of_pools_that_are_gone() {
    let redis = RedisServer::start();
    redis.order(&["SET", "t:{B}:members", "no set"]);
    redis.order(&["ZADD", "t:{A}:free", "-1", "stale"]);
    redis.order(&["HSET", "t:{A}:held", "x", "3"]);
    redis.order(&["HSET", "t:{A}:reserved", "x", "3"]);

    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("pools.dump");
    fs::write(&file, dump_of(&["A", "B"])).expect("a file in it");
    let dump = file.to_str().expect("a temporary name is UTF-8");
    let server = serve_with(&redis, &["--restore", dump]);
    let mut client = server.connect();
    await_answer(&mut client, "GET /pool", "200 1 0 0 A\t1 0 0 B");
    for pool in ["A", "B"] {
        assert_eq!(client.ask(&format!("POST /pool/{pool}/lock")), "200 x");
        assert_eq!(client.ask(&format!("POST /pool/{pool}/lock")), "409 busy");
    }
}
