//! `GET /ready` tries the steps of a lock: it says no if Redis answers but takes no write.

use super::*;

const READY: &str = "GET /ready";

/// The number of times that scripts have published anything, as each trial does once.
fn trial_count(redis: &RedisServer) -> u64 {
    let stats = redis.ask(&["INFO", "commandstats"]);
    let line = stats
        .lines()
        .find(|line| line.starts_with("cmdstat_publish:"));
    let calls = line.and_then(|line| line.split(['=', ',']).nth(1));
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[track_caller]
fn expect_ready_only_without(set: &[&str], unset: &[&str]) {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2"]);
    await_answer(&mut client, READY, "200 ready");
    redis.order(set);
    await_answer(&mut client, READY, DOWN);
    assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
    assert_eq!(client.ask(READY), DOWN);
    redis.order(unset);
    await_answer(&mut client, READY, "200 ready");
    let (_, id) = grant(&client.ask("POST /pool/A/lock?lease"));
    assert_eq!(id, "2", "nothing was lent meanwhile");
}

#[test]
fn a_replica_is_not_ready() {
    expect_ready_only_without(
        &["REPLICAOF", "127.0.0.1", "1"],
        &["REPLICAOF", "NO", "ONE"],
    );
}

#[test]
fn a_master_without_the_replicas_it_wants_is_not_ready() {
    expect_ready_only_without(
        &["CONFIG", "SET", "min-replicas-to-write", "1"],
        &["CONFIG", "SET", "min-replicas-to-write", "0"],
    );
}

#[test]
fn a_full_redis_is_not_ready() {
    expect_ready_only_without(
        &["CONFIG", "SET", "maxmemory", "1"],
        &["CONFIG", "SET", "maxmemory", "0"],
    );
}

/// Requests that need no memory go on, and a server that connects later finds the same.
#[test]
fn a_full_redis_takes_releases_and_renewals_of_a_new_server_too() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2"]);
    assert_eq!(client.ask("POST /pool/A/lock?ttl=60"), "200 2");
    redis.order(&["CONFIG", "SET", "maxmemory", "1"]);
    let late = serve(&redis);
    let mut later = late.connect();
    await_service(&mut later);
    assert_eq!(later.ask(READY), DOWN);
    assert_eq!(later.ask("POST /pool/A/lock"), DOWN);
    assert_eq!(later.ask("PUT /pool/A/lock/2?ttl=600"), "200");
    assert_eq!(later.ask("DELETE /pool/A/lock/2"), "200");
}

#[test]
fn all_probes_within_a_second_share_a_trial() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    await_answer(&mut clients[0], READY, "200 ready");
    let (asked, before) = (Instant::now(), trial_count(&redis));
    for _ in 0..20 {
        clients
            .iter_mut()
            .for_each(|client| client.send(format!("{READY}\n")));
        for client in &mut clients {
            assert_eq!(client.read_line(), "200 ready");
        }
    }
    let most = asked.elapsed().as_secs() + 1;
    let trials = trial_count(&redis) - before;
    assert!(trials <= most, "{trials} trials in less than {most} s");
}
