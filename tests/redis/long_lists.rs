//! Lists of thousands of members or locks: Redis is asked for them in slices, and each list is the pool as it was at
//! one moment.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

use super::gate::Gate;
use super::*;
use crate::support::launch::latchd_in;
use crate::support::redis::Logged;

/// More members than two slices have.
pub(super) const COUNT: usize = 4_001;
pub(super) const LOCKS: usize = 3_000;

/// Tokens at the beginning and at the end of a pool.
pub(super) const NEAR: [&str; 3] = ["near0", "near1", "near2"];
pub(super) const FAR: [&str; 3] = ["far0", "far1", "far2"];

/// A server that has patience with a Redis beside which much else goes on.
pub(super) fn serve_patiently(url: &str) -> Server {
    let arguments = ["--redis-prefix", "t:", "--redis-timeout", "30"];
    Server::start_at(url, &arguments)
}

pub(super) fn ids(count: usize) -> Vec<String> {
    (1..=count).map(|id| id.to_string()).collect()
}

/// A Redis, a server on it, and a client, with pool A of this size, of which `locks` are held.
pub(super) fn with_long_pool(members: usize, locks: usize) -> (RedisServer, Server, Client) {
    let redis = RedisServer::start();
    let server = serve_patiently(&redis.url());
    let mut client = server.connect();
    seed(&mut client, members);
    lock_each(&mut client, locks);
    (redis, server, client)
}

/// Sets pool A to ids from 1 on.
pub(super) fn seed(client: &mut Client, count: usize) {
    seed_with(client, &ids(count));
}

pub(super) fn seed_with(client: &mut Client, ids: &[String]) {
    let list = serde_json::json!(ids);
    let answer = client.ask(&format!("PUT /pool/A {list}"));
    assert!(answer == format!("200 {list}"), "{} bytes", answer.len());
}

/// Locks ids from 1 on, under a fence each.
pub(super) fn lock_each(client: &mut Client, count: usize) {
    let all = ids(count);
    for some in all.chunks(100) {
        let requests = some
            .iter()
            .map(|id| format!("POST /pool/A/lock/{id}?ttl=3600\n"));
        client.send(requests.collect::<String>());
        for id in some {
            assert_eq!(client.read_line(), format!("200 {id}"));
        }
    }
}

/// The fence and the id of each lock in a list, which is in the order of the fences.
#[track_caller]
pub(super) fn locks_in(answer: &str) -> Vec<(u64, String)> {
    let lines = answer.strip_prefix("200").expect("a list").trim_start();
    let lock = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let fence = words.next().expect("a fence").parse().expect("a number");
        (fence, words.nth(1).expect("an id").to_owned())
    };
    let locks: Vec<_> = { lines.split('\t').filter(|line| !line.is_empty()) }
        .map(lock)
        .collect();
    assert!(locks.is_sorted_by(|(one, _), (other, _)| one < other));
    locks
}

/// The number of times that Redis has carried out a command since its counts were reset.
pub(super) fn calls(redis: &RedisServer, command: &str) -> usize {
    let stats = redis.ask(&["INFO", "commandstats"]);
    let start = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&*start));
    let number = line.and_then(|rest| rest.split(',').next());
    number.map_or(0, |number| number.parse().expect("a number"))
}

#[test]
fn long_lists_are_the_same_bytes_in_several_scripts() {
    let (redis, _server, mut client) = with_long_pool(COUNT, 0);
    let members = format!("200 {}", ids(COUNT).join("\t"));

    redis.order(&["CONFIG", "RESETSTAT"]);
    assert!(client.ask("GET /pool/A") == members);
    // One that finds the list too long, and three slices of 2,000 members at most.
    assert_eq!((calls(&redis, "evalsha"), calls(&redis, "zrange")), (4, 4));

    lock_each(&mut client, LOCKS);
    redis.order(&["CONFIG", "RESETSTAT"]);
    let locks = client.ask("GET /pool/A/lock");
    let expected = ids(LOCKS).into_iter().enumerate();
    let expected: Vec<(u64, String)> = expected.map(|(at, id)| (at as u64 + 1, id)).collect();
    assert_eq!(locks_in(&locks), expected);
    assert!(
        locks.starts_with("200 1 35") && locks.contains("\t3000 35"),
        "the time left"
    );
    // A scan looks at some thousand grants at a time.
    assert!((3..=10).contains(&calls(&redis, "hscan")));
    assert_eq!(calls(&redis, "hgetall"), 0);
}

#[test]
fn short_lists_take_one_script() {
    let (redis, _server, mut client) = with_long_pool(2_000, 2_000);
    redis.order(&["CONFIG", "RESETSTAT"]);
    let members = format!("200 {}", ids(2_000).join("\t"));
    assert!(client.ask("GET /pool/A") == members);
    assert_eq!(locks_in(&client.ask("GET /pool/A/lock")).len(), 2_000);
    assert_eq!(calls(&redis, "evalsha"), 2);
}

/// A connection sees its requests carried out in order.
#[test]
fn what_a_connection_asks_behind_a_long_list_comes_after_it() {
    let (_redis, _server, mut client) = with_long_pool(COUNT, LOCKS);
    for _ in 0..5 {
        client.send(
            "DELETE /pool/A/lock/7\nGET /pool/A/lock\nPOST /pool/A/lock/7\nGET /pool/A\nPOST /pool/A last\n\
             GET /pool/A/lock\nPUT /pool/A/lock/7\nGET /pool/A\n",
        );
        assert_eq!(client.read_line(), "200");
        assert_eq!(locks_in(&client.read_line()).len(), LOCKS - 1);
        assert_eq!(client.read_line(), "200 7");
        let members = client.read_line();
        assert!(members.ends_with("\t4001") || members.ends_with("\tlast"));
        assert!(client.read_line().starts_with("200 ["));
        let locks = locks_in(&client.read_line());
        assert_eq!(locks.len(), LOCKS);
        assert_eq!(locks.last().map(|(_, id)| &**id), Some("7"));
        assert_eq!(client.read_line(), "200");
        assert!(client.read_line().ends_with("\t4001\tlast"));
    }
}

/// Lends the tokens one after the other, each before the one in front of it is given back.
pub(super) fn pass_tokens_on(
    address: SocketAddr,
    tokens: &[&str],
    stop: &AtomicBool,
    passed: &AtomicUsize,
) {
    let mut client = Client::connect(address);
    for at in 1.. {
        let (next, last) = (tokens[at % tokens.len()], tokens[(at - 1) % tokens.len()]);
        assert_eq!(
            client.ask(&format!("POST /pool/A/lock/{next}")),
            format!("200 {next}")
        );
        assert_eq!(client.ask(&format!("DELETE /pool/A/lock/{last}")), "200");
        passed.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Tells the others to stop, also if this one ends by failing.
pub(super) struct StopAtTheEnd<'a>(pub(super) &'a AtomicBool);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn each_long_list_of_locks_is_a_state_that_was() {
    let redis = RedisServer::start();
    let (one, other) = (serve_patiently(&redis.url()), serve_patiently(&redis.url()));
    let mut client = one.connect();
    seed(&mut client, LOCKS);
    lock_each(&mut client, LOCKS);
    // Half of what is held is no member any more.
    let mut members = ids(LOCKS / 2);
    members.extend([NEAR, FAR].concat().iter().map(ToString::to_string));
    seed_with(&mut client, &members);
    for token in [NEAR[0], FAR[0]] {
        assert_eq!(
            client.ask(&format!("POST /pool/A/lock/{token}")),
            format!("200 {token}")
        );
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
        for _ in 0..15 {
            let locks = locks_in(&client.ask("GET /pool/A/lock"));
            let held: BTreeSet<String> = locks.iter().map(|(_, id)| id.clone()).collect();
            assert_eq!(held.len(), locks.len(), "no resource is listed twice");
            assert!(held.is_superset(&all), "all that stays held is listed");
            for tokens in [NEAR, FAR] {
                let count = tokens.iter().filter(|token| held.contains(**token)).count();
                assert!((1..=2).contains(&count), "{count} of {tokens:?}");
            }
        }
        assert!(
            passed.load(Ordering::Relaxed) > before + 15,
            "others are served meanwhile"
        );
    });
}

#[test]
fn each_long_list_of_members_is_a_state_that_was() {
    let redis = RedisServer::start();
    let (one, other) = (serve_patiently(&redis.url()), serve_patiently(&redis.url()));
    let mut client = one.connect();
    let first = ids(COUNT);
    let second: Vec<String> = (0..COUNT).map(|id| format!("x{id}")).collect();
    seed(&mut client, COUNT);
    let stop = AtomicBool::new(false);
    let shown = |ids: &[String]| format!("200 {}", ids.join("\t"));
    let expected = [shown(&first), shown(&second), "404 no pool".to_owned()];
    thread::scope(|scope| {
        let _stop = StopAtTheEnd(&stop);
        let address = other.address;
        let stop = &stop;
        scope.spawn(move || {
            let mut client = Client::connect(address);
            while !stop.load(Ordering::Relaxed) {
                seed_with(&mut client, &second);
                assert_eq!(client.ask("DELETE /pool/A"), "200");
                seed_with(&mut client, &first);
            }
        });
        for _ in 0..15 {
            let answer = client.ask("GET /pool/A");
            let is_state = expected.contains(&answer);
            assert!(
                is_state,
                "{} bytes: {}",
                answer.len(),
                &answer[..40.min(answer.len())]
            );
        }
    });
}

#[test]
fn a_list_whose_connection_is_cut_is_whole_or_refused() {
    let (redis, _server, mut client) = with_long_pool(COUNT, LOCKS);
    let mut cut_count = 0;
    for _ in 0..100 {
        await_service(&mut client);
        client.send("GET /pool/A/lock\nGET /pool/A/lock/1\n");
        redis.cut_all();
        let answers = [client.read_line(), client.read_line()];
        if answers[0] == DOWN {
            cut_count += 1;
        } else {
            assert_eq!(locks_in(&answers[0]).len(), LOCKS);
        }
        assert!(
            answers[1] == DOWN || answers[1].starts_with("200 1 "),
            "{}",
            answers[1]
        );
        if cut_count == 5 {
            break;
        }
    }
    assert!(cut_count > 0);
    await_service(&mut client);
    assert_eq!(locks_in(&client.ask("GET /pool/A/lock")).len(), LOCKS);
}

/// Redis pauses, so that the clients are gone before their lists are read.
#[test]
fn lists_whose_clients_are_gone_are_not_read() {
    const GONE: usize = 60;
    let (redis, server, mut client) = with_long_pool(LOCKS, LOCKS);
    let mut others: Vec<Client> = (0..GONE).map(|_| server.connect()).collect();
    redis.order(&["CONFIG", "RESETSTAT"]);
    // Half of the lists wait for others when their clients go; the rest are not known to be long yet.
    for (at, other) in others.iter_mut().enumerate() {
        if at == GONE / 2 {
            redis.order(&["CLIENT", "PAUSE", "1000"]);
        }
        other.send("GET /version\nGET /pool/A/lock\n");
        // The system resets a connection that is closed with unread input.
        other.stream.peek(&mut [0]).expect("an answer");
    }
    drop(others);
    assert_eq!(locks_in(&client.ask("GET /pool/A/lock")).len(), LOCKS);
    let calls = calls(&redis, "evalsha");
    assert!(calls < 3 * GONE, "{calls} scripts");
}

#[test]
fn too_many_long_lists_are_refused() {
    const CLIENTS: usize = 200;
    let (redis, server, mut client) = with_long_pool(COUNT, 0);
    let members = format!("200 {}", ids(COUNT).join("\t"));
    let mut others: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    redis.order(&["CLIENT", "PAUSE", "500"]);
    for other in &mut others {
        other.send("GET /pool/A\n");
    }
    let answers: Vec<String> = others.iter_mut().map(Client::read_line).collect();
    let refused = answers.iter().filter(|answer| *answer == DOWN).count();
    let read = answers.iter().filter(|answer| **answer == members).count();
    assert_eq!(refused + read, CLIENTS);
    assert!(refused > 0 && read > 64, "{refused} refused");
    assert!(client.ask("GET /pool/A") == members);
}

/// A user without the right to HSCAN has long lists all the same, in one script.
#[test]
fn a_long_list_needs_no_new_right() {
    let redis = RedisServer::start();
    redis.order(&[
        "ACL", "SETUSER", "bob", "on", ">word", "~*", "&*", "+@all", "-hscan",
    ]);
    let store = format!("redis://bob:word@127.0.0.1:{}", redis.port);
    let folder = TempDir::new().expect("a folder");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--store",
        &store,
        "--redis-timeout",
        "30",
    ];
    let mut latchd = Logged::start(latchd_in(&folder, &arguments));
    latchd.wait_for(|line| {
        line.contains("+hscan lets it; until then a long list of locks holds up all clients")
    });
    let mut client = Client::connect(latchd.address);
    await_service(&mut client);
    seed(&mut client, LOCKS);
    lock_each(&mut client, LOCKS);
    assert_eq!(locks_in(&client.ask("GET /pool/A/lock")).len(), LOCKS);
    assert_eq!(client.ask("GET /ready"), "200 ready");
}

/// The list of pools comes in parts. Pools that are seeded again move to its end: each is shown once all the same.
#[test]
fn a_long_list_of_pools_shows_each_once() {
    const POOLS: usize = 4_001;
    let redis = RedisServer::start();
    let (one, other) = (serve_patiently(&redis.url()), serve_patiently(&redis.url()));
    let mut client = one.connect();
    let pools: serde_json::Map<_, _> = (0..POOLS)
        .map(|pool| (format!("p{pool:04}"), serde_json::json!(["1"])))
        .collect();
    let body = serde_json::Value::from(pools);
    assert_eq!(
        client.ask(&format!("PUT /pool {body}")),
        format!("200 {body}")
    );
    redis.order(&["CONFIG", "RESETSTAT"]);
    assert_eq!(client.ask("GET /pool?limit=1"), "200 1 0 0 p0000");
    assert_eq!(calls(&redis, "zrangebyscore"), 3);
    let rows = (0..POOLS).map(|pool| format!("1 0 0 p{pool:04}"));
    let expected = format!("200 {}", rows.collect::<Vec<String>>().join("\t"));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = StopAtTheEnd(&stop);
        let address = other.address;
        let stop = &stop;
        scope.spawn(move || {
            let mut client = Client::connect(address);
            for pool in (0..POOLS).cycle() {
                let answer = client.ask(&format!("POST /pool/p{pool:04} 1"));
                assert_eq!(answer, "200 [\"1\"]");
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..3 {
            assert!(client.ask("GET /pool") == expected);
        }
    });
}

/// A client that has sent all, and closed its sending side, still reads.
#[test]
fn a_long_list_comes_after_a_half_close() {
    let (redis, server, _client) = with_long_pool(COUNT, LOCKS);
    for (request, expected) in [("GET /pool/A\n", COUNT), ("GET /pool/A/lock\n", LOCKS)] {
        let mut client = server.connect();
        redis.order(&["CLIENT", "PAUSE", "200"]);
        client.send(request);
        client.half_close();
        assert_eq!(client.read_line().split('\t').count(), expected);
    }
}

/// A pool that is restored with as many members as one that was restored before is another one.
#[test]
fn a_long_list_of_members_does_not_mix_restored_pools() {
    let redis = RedisServer::start();
    let gate = Gate::before(&redis);
    let slow = serve_patiently(&gate.url());
    let other = serve_patiently(&redis.url());
    let (mut client, mut beside) = (slow.connect(), other.connect());
    let restore = |ids: &[String]| {
        let pool =
            serde_json::json!({"pool": "A", "fence": 0, "members": ids, "free": ids, "locks": []});
        let dump = format!(
            "{{\"latchd\":\"0\",\"dump\":1}}\n{pool}\n\
             {{\"pools\":1,\"members\":{COUNT},\"locks\":0,\"retired_fence\":0}}\n"
        );
        let mut client = other.connect();
        let length = dump.len();
        client.send(format!(
            "PUT /dump HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{dump}"
        ));
        let answer = client.read_to_end();
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
    };
    let first = ids(COUNT);
    let second: Vec<String> = (0..COUNT).map(|id| format!("x{id}")).collect();
    restore(&first);
    redis.order(&["CONFIG", "RESETSTAT"]);
    gate.delay(300);
    client.send("GET /pool/A\n");
    eventually("the first slice is read", || {
        (calls(&redis, "evalsha") >= 2).then_some(())
    });
    assert_eq!(beside.ask("DELETE /pool/A"), "200");
    restore(&second);
    let answer = client.read_line();
    let is_one = [&first, &second].map(|ids| answer == format!("200 {}", ids.join("\t")));
    assert!(is_one.contains(&true), "{} bytes", answer.len());
}

/// The answer to a seed lists all members, also those of a large pool.
#[test]
fn members_that_are_added_to_a_large_pool_are_listed_in_slices() {
    let (redis, _server, mut client) = with_long_pool(COUNT, 0);
    let list = |count: usize, more: &[&str]| {
        let mut all = ids(count);
        all.extend(more.iter().map(ToString::to_string));
        serde_json::json!(all).to_string()
    };
    redis.order(&["CONFIG", "RESETSTAT"]);
    let answer = client.ask("POST /pool/A [\"x\",\"7\"]");
    assert!(answer == format!("200 {}", list(COUNT, &["x"])));
    // The list of pools twice, the seed, and three slices of 2,000 members at most.
    assert_eq!(calls(&redis, "evalsha"), 6);

    let answer = client.ask("POST /pool {\"B\":[\"1\"],\"A\":[\"y\"]}");
    let all = list(COUNT, &["x", "y"]);
    assert!(answer == format!("200 {{\"B\":[\"1\"],\"A\":{all}}}"));

    // All members of a pool that is set are in the request.
    redis.order(&["CONFIG", "RESETSTAT"]);
    let body = list(COUNT, &["x", "7", "x"]);
    let answer = client.ask(&format!("PUT /pool/A {body}"));
    assert!(answer == format!("200 {}", list(COUNT, &["x"])));
    assert_eq!(calls(&redis, "evalsha"), 3);
}

#[test]
fn a_seed_of_a_large_pool_that_is_removed_meanwhile_is_answered() {
    let redis = RedisServer::start();
    let gate = Gate::before(&redis);
    let slow = serve_patiently(&gate.url());
    let other = serve_patiently(&redis.url());
    let (mut client, mut beside) = (slow.connect(), other.connect());
    seed(&mut beside, COUNT);
    gate.delay(150);
    client.send("POST /pool/A x\n");
    eventually("it is seeded", || {
        (beside.ask("GET /pool") == format!("200 {} 0 0 A", COUNT + 1)).then_some(())
    });
    assert_eq!(beside.ask("DELETE /pool/A"), "200");
    assert_eq!(client.read_line(), "200 [\"x\"]");
}
