//! Dumps of pools with thousands of resources: Redis is asked for them in slices, and each dump has a pool as it was
//! at one moment.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use super::long_lists::{
    FAR, LOCKS, NEAR, StopAtTheEnd, calls, ids, pass_tokens_on, seed_with, serve_patiently,
    with_long_pool,
};
use super::*;

/// The pool of a dump: its members, those that are free, and the locked resources.
fn dumped(client: &mut Client) -> [Vec<String>; 3] {
    let answer = client.ask("GET /dump");
    let mut lines = answer.strip_prefix("200 ").expect("a dump").split('\t');
    let pool = lines.nth(1).expect("a pool");
    let pool: Value = serde_json::from_str(pool).expect("JSON");
    let list = |field: &str| pool[field].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let locks = list("locks").iter().map(|lock| text(&lock["id"])).collect();
    let [members, free] = ["members", "free"].map(|field| list(field).iter().map(text).collect());
    [members, free, locks]
}

#[test]
fn a_dump_of_a_large_pool_takes_a_script_for_each_thousand_resources() {
    let (redis, _server, mut client) = with_long_pool(2 * LOCKS, LOCKS);
    redis.order(&["CONFIG", "RESETSTAT"]);
    let [members, free, locks] = dumped(&mut client);
    assert!(members == ids(2 * LOCKS) && locks == ids(LOCKS));
    let others: Vec<String> = ids(2 * LOCKS).split_off(LOCKS).into_iter().rev().collect();
    assert!(free == others);
    // The list of pools, six slices of members, one of changes, and the fence of removed pools.
    assert_eq!(calls(&redis, "evalsha"), 9);

    // All that is held is no member any more: then it is scanned.
    assert_eq!(client.ask("PUT /pool/A [\"x\"]"), "200 [\"x\"]");
    redis.order(&["CONFIG", "RESETSTAT"]);
    let expected = [vec!["x".into()], vec!["x".into()], ids(LOCKS)];
    assert!(dumped(&mut client) == expected);
    assert!((3..=10).contains(&calls(&redis, "hscan")));
    assert_eq!(calls(&redis, "hgetall"), 0);
}

/// Grants whose release was cut off, as a Redis of an older version may have left them, are no locks.
#[test]
fn a_large_pool_with_remains_of_releases_is_dumped() {
    let (redis, _server, mut client) = with_long_pool(LOCKS, LOCKS);
    for fence in ["7", "1007", "2999"] {
        assert_eq!(redis.ask(&["HDEL", "t:{A}:grants", fence]), "1");
    }
    let [_, free, locks] = dumped(&mut client);
    assert_eq!(free, ["7", "1007", "2999"]);
    assert_eq!(locks.len(), LOCKS - 3);
}

#[test]
fn each_dump_of_a_large_pool_is_a_state_that_was() {
    let redis = RedisServer::start();
    let (one, other) = (serve_patiently(&redis.url()), serve_patiently(&redis.url()));
    let mut client = one.connect();
    // Half of what is held is no member any more, and each grant has five resources.
    seed_with(&mut client, &ids(LOCKS));
    for _ in 0..LOCKS / 5 {
        assert!(client.ask("POST /pool/A/lock?n=5").starts_with("200 "));
    }
    let mut members = ids(LOCKS / 2);
    members.splice(0..0, NEAR.map(str::to_owned));
    members.extend(FAR.map(str::to_owned));
    seed_with(&mut client, &members);
    for token in [NEAR[0], FAR[0]] {
        let lock = format!("POST /pool/A/lock/{token}");
        assert_eq!(client.ask(&lock), format!("200 {token}"));
    }
    let (stop, passed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let all: BTreeSet<String> = ids(LOCKS).into_iter().collect();
    thread::scope(|scope| {
        let _stop = StopAtTheEnd(&stop);
        for (server, tokens) in [(&one, &NEAR), (&other, &FAR)] {
            let address = server.address;
            let (stop, passed) = (&stop, &passed);
            scope.spawn(move || pass_tokens_on(address, tokens, stop, passed));
        }
        let before = passed.load(Ordering::Relaxed);
        for _ in 0..10 {
            let [shown, free, locks] = dumped(&mut client);
            assert!(shown == members);
            let held: BTreeSet<String> = locks.iter().cloned().collect();
            assert_eq!(held.len(), locks.len(), "no lock is shown twice");
            assert!(held.is_superset(&all), "all that stays held is shown");
            let free: BTreeSet<String> = free.into_iter().collect();
            assert!(free.is_disjoint(&held), "nothing is both");
            for tokens in [NEAR, FAR] {
                let count = tokens.iter().filter(|token| held.contains(**token)).count();
                assert!((1..=2).contains(&count), "{count} of {tokens:?}");
                let free_count = tokens.iter().filter(|token| free.contains(**token)).count();
                assert_eq!(count + free_count, tokens.len());
            }
        }
        assert!(
            passed.load(Ordering::Relaxed) > before + 10,
            "others are served meanwhile"
        );
    });
}
