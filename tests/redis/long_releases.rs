//! Releases of thousands of locks at once: they go in slices, and other clients are served in between.

use super::gate::Gate;
use super::long_lists::{
    COUNT, LOCKS, calls, lock_each, locks_in, seed, serve_patiently, with_long_pool,
};
use super::*;

const ALL: &str = "DELETE /pool/A/lock";

/// Waits until some of the locks are released.
#[track_caller]
fn await_first_slice(client: &mut Client) {
    eventually("a slice is released", || {
        let answer = client.ask("GET /pool");
        let held = answer.split(' ').nth(2).expect("a number");
        (held != LOCKS.to_string()).then_some(())
    });
}

#[test]
fn a_release_of_many_locks_counts_them_all() {
    let (redis, _server, mut client) = with_long_pool(LOCKS, LOCKS);
    redis.order(&["CONFIG", "RESETSTAT"]);
    assert_eq!(client.ask(ALL), format!("200 {LOCKS}"));
    let scans = calls(&redis, "hscan");
    assert!((3..=10).contains(&scans));
    // One that finds the locks too many, the scans, and 500 locks each.
    assert_eq!(calls(&redis, "evalsha"), 1 + scans + LOCKS / 500);
    assert_eq!(client.ask("GET /pool"), format!("200 {LOCKS} 0 0 A"));
    // Released the oldest first, and so they are lent.
    assert_eq!(client.ask("POST /pool/A/lock?n=3"), "200 1\t2\t3");
    assert_eq!(client.ask(ALL), "200 3");
    assert_eq!(client.ask(ALL), "200 0");
}

#[test]
fn a_release_of_five_hundred_locks_takes_one_script() {
    let (redis, _server, mut client) = with_long_pool(500, 500);
    redis.order(&["CONFIG", "RESETSTAT"]);
    assert_eq!(client.ask(ALL), "200 500");
    assert_eq!(calls(&redis, "evalsha"), 1);
}

#[test]
fn a_release_of_old_locks_among_many_leaves_the_others() {
    let (_redis, _server, mut client) = with_long_pool(LOCKS, LOCKS);
    let old = format!("{ALL}?older=3600");
    assert_eq!(client.ask(&old), "200 0");
    assert_eq!(client.ask("GET /pool"), format!("200 {LOCKS} {LOCKS} 0 A"));
    assert_eq!(
        client.ask(&format!("{ALL}?older=0")),
        format!("200 {LOCKS}")
    );
}

/// Grants of several resources, one of which has more than a slice.
#[test]
fn a_grant_is_released_as_a_whole() {
    let (redis, _server, mut client) = with_long_pool(LOCKS, 0);
    for n in [400, 1_000, 1, 400, 99] {
        let answer = client.ask(&format!("POST /pool/A/lock?n={n}"));
        assert_eq!(answer.split('\t').count(), n);
    }
    redis.order(&["CONFIG", "RESETSTAT"]);
    assert_eq!(client.ask(ALL), "200 1900");
    // The last three fit into one slice.
    assert_eq!(calls(&redis, "evalsha"), 1 + calls(&redis, "hscan") + 3);
}

/// A connection sees its requests carried out in order.
#[test]
fn what_a_connection_asks_behind_a_long_release_comes_after_it() {
    let (_redis, _server, mut client) = with_long_pool(COUNT, LOCKS);
    for _ in 0..3 {
        client.send(
            "PUT /pool/A/lock/7\nDELETE /pool/A/lock\nPOST /pool/A/lock/7\nDELETE /pool/A/lock/8\n\
             POST /pool/A/lock/9?wait=60\nPOST /pool/A/lock/9?wait=1\nGET /pool/A/lock\n",
        );
        let expected = [
            "200",
            "200 3000",
            "200 7",
            "404 not held",
            "200 9",
            "409 busy",
        ];
        for expected in expected {
            assert_eq!(client.read_line(), expected);
        }
        let left: Vec<String> = locks_in(&client.read_line())
            .into_iter()
            .map(|(_, id)| id)
            .collect();
        assert_eq!(left, ["7", "9"]);
        assert_eq!(client.ask(ALL), "200 2");
        lock_each(&mut client, LOCKS);
    }
}

/// A released resource can be lent at once, also to a waiter. It is another lock then, and stays.
#[test]
fn locks_granted_during_a_long_release_stay() {
    let redis = RedisServer::start();
    let gate = Gate::before(&redis);
    let (slow, other) = (serve_patiently(&gate.url()), serve_patiently(&redis.url()));
    let (mut client, mut beside) = (slow.connect(), other.connect());
    seed(&mut beside, LOCKS);
    lock_each(&mut beside, LOCKS);
    let mut waiters = [&slow, &other].map(|server| server.connect());
    for (at, waiter) in waiters.iter_mut().enumerate() {
        waiter.send(format!("POST /pool/A/lock?n=2&wait=60&owner=w{at}\n"));
        await_line_of(&mut beside, at + 1);
    }
    gate.delay(150);
    client.send(format!("{ALL}\n"));
    await_first_slice(&mut beside);
    for waiter in &mut waiters {
        assert!(waiter.read_line().starts_with("200 "));
    }
    // 1 to 4 went to the waiters.
    assert_eq!(beside.ask("POST /pool/A/lock/5"), "200 5");
    assert_eq!(
        beside.ask("DELETE /pool/A/lock/3000"),
        "200",
        "its slice has not come"
    );
    assert_eq!(client.read_line(), format!("200 {}", LOCKS - 1));
    let locks = beside.ask("GET /pool/A/lock");
    let left: Vec<&str> = locks
        .split('\t')
        .filter_map(|lock| lock.rsplit(' ').next())
        .collect();
    assert_eq!(left, ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_pool_that_is_removed_during_a_long_release_ends_it() {
    let redis = RedisServer::start();
    let gate = Gate::before(&redis);
    let (slow, other) = (serve_patiently(&gate.url()), serve_patiently(&redis.url()));
    let (mut client, mut beside) = (slow.connect(), other.connect());
    seed(&mut beside, LOCKS);
    lock_each(&mut beside, LOCKS);
    gate.delay(150);
    client.send(format!("{ALL}\n"));
    await_first_slice(&mut beside);
    assert_eq!(beside.ask("DELETE /pool/A"), "200");
    seed(&mut beside, 1);
    assert_eq!(beside.ask("POST /pool/A/lock"), "200 1");
    let answer = client.read_line();
    let count: usize = answer["200 ".len()..].parse().expect("a number");
    let slices: Vec<usize> = (1..LOCKS / 500).map(|slice| slice * 500).collect();
    assert!(slices.contains(&count), "{answer}");
    assert_eq!(beside.ask("GET /pool"), "200 1 1 0 A");
}

/// A seed of several pools behind a long release of one of them holds up no other one.
#[test]
fn a_seed_behind_a_long_release_does_not_wait_for_it() {
    let redis = RedisServer::start();
    let gate = Gate::before(&redis);
    let (slow, other) = (serve_patiently(&gate.url()), serve_patiently(&redis.url()));
    let (mut client, mut beside) = (slow.connect(), other.connect());
    seed(&mut beside, LOCKS);
    lock_each(&mut beside, LOCKS);
    gate.delay(150);
    client.send(format!(
        "{ALL}\nPOST /pool {{\"A\":[\"x\"],\"B\":[\"1\"]}}\n"
    ));
    eventually("the seed has come", || {
        (beside.ask("GET /pool/B") == "200 1").then_some(())
    });
    assert!(
        beside.ask("GET /pool/A/lock/3000").starts_with("200 "),
        "it is not released yet"
    );
    assert_eq!(client.read_line(), format!("200 {LOCKS}"));
    assert!(client.read_line().starts_with("200 {\"A\":["));
}

#[test]
fn a_purge_releases_the_locks_of_large_pools_too() {
    let (redis, server, mut client) = with_long_pool(LOCKS, LOCKS);
    assert_eq!(
        client.ask("POST /pool {\"B\":[\"1\"]}"),
        "200 {\"B\":[\"1\"]}"
    );
    assert_eq!(client.ask("POST /pool/B/lock"), "200 1");
    drop((client, server));

    // A request at the start comes after the purge.
    let purge = [
        "--redis-prefix",
        "t:",
        "--redis-timeout",
        "30",
        "--purge-on-start",
        "true",
    ];
    let server = Server::start_at(&redis.url(), &purge);
    let mut client = server.connect();
    eventually("the store is there", || {
        let answer = client.ask("POST /pool/A/lock/3000");
        assert!(answer == "200 3000" || answer == DOWN, "{answer}");
        (answer != DOWN).then_some(())
    });
    assert_eq!(
        client.ask("GET /pool"),
        format!("200 {LOCKS} 1 0 A\t1 0 0 B")
    );
}

#[test]
fn a_long_release_whose_connection_is_cut_can_be_repeated() {
    let (redis, _server, mut client) = with_long_pool(LOCKS, LOCKS);
    let mut cut_count = 0;
    for _ in 0..100 {
        client.send(format!("{ALL}\n"));
        redis.cut_all();
        let answer = client.read_line();
        if answer == DOWN {
            cut_count += 1;
        } else {
            assert_eq!(answer, format!("200 {LOCKS}"));
        }
        await_service(&mut client);
        // A slice may arrive though its answer is lost.
        eventually("all are released", || {
            let answer = client.ask(ALL);
            assert!(answer == DOWN || answer.starts_with("200 "), "{answer}");
            (answer == "200 0").then_some(())
        });
        lock_each(&mut client, LOCKS);
        if cut_count == 3 {
            break;
        }
    }
    assert!(cut_count > 0);
}

/// A release goes on without its client, as every request does.
#[test]
fn a_long_release_outlives_its_client() {
    let (_redis, server, mut client) = with_long_pool(LOCKS, LOCKS);
    let mut other = server.connect();
    other.send(format!("GET /version\n{ALL}\n"));
    // The system resets a connection that is closed with unread input.
    other.stream.peek(&mut [0]).expect("an answer");
    drop(other);
    await_answer(&mut client, "GET /pool", &format!("200 {LOCKS} 0 0 A"));
}
