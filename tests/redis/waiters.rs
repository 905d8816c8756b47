//! The list of waiters, which each server of a Redis shows for all of them.

use super::*;

const QUEUE: &str = "GET /pool/A/queue";

/// The numbers of each queue, and the fields behind them.
#[track_caller]
fn queue(client: &mut Client) -> Vec<([u64; 2], String)> {
    let answer = client.ask(QUEUE);
    let lines = answer.strip_prefix("200 ").expect("a waiter is queued");
    let lines = lines.split('\t').map(|line| {
        let mut words = line.splitn(3, ' ');
        let mut number = || words.next().expect("a number").parse().expect("a number");
        let numbers = [number(), number()];
        (
            numbers,
            words.next().expect("a count and an owner").to_owned(),
        )
    });
    lines.collect()
}

#[track_caller]
fn expect_queue(client: &mut Client, expected: &[(u64, &str)]) {
    let queue = queue(client);
    assert_eq!(queue.len(), expected.len(), "{queue:?}");
    for (([age, left], who), (wait, expected)) in queue.iter().zip(expected) {
        assert_eq!(who, expected);
        assert!(
            *age < 10 && *left <= *wait && *left + 10 > *wait,
            "{queue:?}"
        );
    }
}

#[test]
fn both_servers_tell_of_the_same_line() {
    let redis = RedisServer::start();
    let servers = [serve(&redis), serve(&redis)];
    let mut one = with_pool(&servers[0], &["1", "2"]);
    let mut other = servers[1].connect();
    assert_eq!(one.ask("POST /pool/A/lock?n=2"), "200 2\t1");
    assert_eq!(other.ask(QUEUE), "200");
    let _first = park(
        &servers[1],
        "POST /pool/A/lock?n=2&owner=of+the+other&wait=60",
        0,
    );
    let second = park(&servers[0], "POST /pool/A/lock/1?owner=b&wait=100", 1);
    let _third = park(&servers[1], "POST /pool/A/lock?wait=200", 2);
    let all = [(60, "2 of the other"), (100, "1 b"), (200, "1 -")];
    for client in [&mut one, &mut other] {
        expect_queue(client, &all);
    }
    let field = "Accept: application/json\r\nConnection: close\r\n\r\n";
    let in_json = |server: &Server| {
        let mut client = server.connect();
        client.send(format!("{QUEUE} HTTP/1.1\r\n{field}"));
        String::from_utf8(client.read_to_end()).expect("it is UTF-8")
    };
    // It is away, and the other server says so as well.
    drop(second);
    eventually("it is away", || {
        in_json(&servers[0]).contains("true").then_some(())
    });
    for server in &servers {
        let told = in_json(server);
        assert!(told.contains(r#"{"owner":"b","n":1,"id":"1","#), "{told}");
        assert_eq!(told.matches(r#""lost":true}"#).count(), 1, "{told}");
    }
    let kept = [(60, "2 of the other"), (10, "1 b"), (200, "1 -")];
    for client in [&mut one, &mut other] {
        expect_queue(client, &kept);
    }
    // It comes back through the other one.
    let _second = park(&servers[1], "POST /pool/A/lock/1?owner=b&wait=100", 2);
    await_answer_that(&mut one, |client| queue(client)[1].0[1] > 10);
    expect_queue(&mut one, &all);
}

#[track_caller]
fn await_answer_that(client: &mut Client, is_right: impl Fn(&mut Client) -> bool) {
    eventually("the answer is right", || is_right(client).then_some(()));
}

/// Servers of an older version count the places in a line, and leave no times.
#[test]
fn an_entry_of_an_older_version_has_no_times() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 1");
    let place = "0000000000000001";
    let row = "older\n7\n1\n\nci 9\n\n0";
    let key = |part: &str| format!("t:{{A}}:{part}");
    for order in [
        ["ZADD", &key("line"), "1", place],
        ["ZADD", &key("any"), "1", place],
        ["HSET", &key("waiters"), place, row],
        ["HSET", &key("tickets"), "older/7", place],
        ["HSET", &key("queued"), "ci 9", place],
        ["ZADD", &key("servers"), "9999999999999", "older"],
    ] {
        redis.order(&order);
    }
    assert_eq!(client.ask(QUEUE), "200 - - 1 ci 9");
    let _behind = park(&server, "POST /pool/A/lock?wait=60", 1);
    let told = client.ask(QUEUE);
    let (older, newer) = told.split_once('\t').expect("there are two");
    assert_eq!(older, "200 - - 1 ci 9");
    assert!(newer.ends_with(" 1 -") && !newer.starts_with('-'), "{told}");
    // It comes back through this one, which knows how long it waits now; not since when.
    let mut came_back = server.connect();
    came_back.send("POST /pool/A/lock?owner=ci+9&wait=60&lease\n");
    await_answer_that(&mut client, |client| {
        !client.ask(QUEUE).starts_with("200 - -")
    });
    let told = client.ask(QUEUE);
    assert!(
        told.starts_with("200 - 5") || told.starts_with("200 - 60 "),
        "{told}"
    );
    assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(came_back.read_line(), "200 2 - 1");
}
