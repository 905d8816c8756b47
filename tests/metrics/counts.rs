//! Counts, to the line: after a known conversation each count is known.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use socket2::SockRef;

use super::*;
use crate::support::launch::eventually;
use crate::support::redis::RedisServer;
use crate::support::{programs, wait_until_told};

/// Requests to one pool of three, with each answer of the contract.
const CONVERSATION: [(&str, &str); 25] = [
    (
        r#"POST /pool {"A":["1","2","3"]}"#,
        r#"200 {"A":["1","2","3"]}"#,
    ),
    ("POST /pool/A/lock", "200 3"),
    ("POST /pool/A/lock?n=2", "200 2\t1"),
    ("POST /pool/A/lock", "409 busy"),
    ("POST /pool/A/lock?n=4", "422 only 3 resources"),
    ("DELETE /pool/A/lock/3", "200"),
    ("POST /pool/A/lock?owner=o&ttl=60", "200 3"),
    // It has that already: nothing is lent.
    ("POST /pool/A/lock?owner=o&ttl=60", "200 3"),
    ("POST /pool/A/lock?owner=o&n=2", "409 owner holds 1"),
    ("DELETE /pool/A/lock/3?owner=p", "409 not yours"),
    ("PUT /pool/A/lock/3?owner=o&fence=1", "409 stale"),
    ("PUT /pool/A/lock?owner=o", "200"),
    ("DELETE /pool/A/lock/3?owner=o", "200"),
    // It has given that back already: nothing comes back.
    ("DELETE /pool/A/lock/3?owner=o", "200"),
    ("POST /pool/A/lock/3?_method=DELETE", "404 not held"),
    ("POST /pool/A/lock/9", "404 no resource"),
    ("POST /pool/B/lock", "404 no pool"),
    ("POST /pool/A/lock/3?wait=9", "200 3"),
    ("POST /pool/A/lock?wait=1", "409 busy"),
    ("DELETE /pool/A/lock", "200 3"),
    ("GET /pool/A/lock?x=1", "400 bad parameter x"),
    ("PATCH /pool", "405 bad method"),
    ("GET /favicon.ico", "404 no route"),
    ("GET /ping", "200 pong"),
    ("GET /ready", "200 ready"),
];

#[test]
fn every_count_is_right_after_a_known_conversation() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut client = server.connect();
        converse(&mut client, &CONVERSATION);
        let page = scrape(server.address);
        expect_lines(
            &page,
            "latchd_requests_total",
            &[
                r#"{route="/ping",method="GET",status="200"} 1"#,
                r#"{route="/ready",method="GET",status="200"} 1"#,
                r#"{route="/pool",method="POST",status="200"} 1"#,
                r#"{route="/pool",method="other",status="405"} 1"#,
                r#"{route="/pool/:pool/lock",method="GET",status="400"} 1"#,
                r#"{route="/pool/:pool/lock",method="POST",status="200"} 4"#,
                r#"{route="/pool/:pool/lock",method="POST",status="404"} 1"#,
                r#"{route="/pool/:pool/lock",method="POST",status="409"} 3"#,
                r#"{route="/pool/:pool/lock",method="POST",status="422"} 1"#,
                r#"{route="/pool/:pool/lock",method="PUT",status="200"} 1"#,
                r#"{route="/pool/:pool/lock",method="DELETE",status="200"} 1"#,
                r#"{route="/pool/:pool/lock/:id",method="POST",status="200"} 1"#,
                r#"{route="/pool/:pool/lock/:id",method="POST",status="404"} 1"#,
                r#"{route="/pool/:pool/lock/:id",method="PUT",status="409"} 1"#,
                r#"{route="/pool/:pool/lock/:id",method="DELETE",status="200"} 3"#,
                r#"{route="/pool/:pool/lock/:id",method="DELETE",status="404"} 1"#,
                r#"{route="/pool/:pool/lock/:id",method="DELETE",status="409"} 1"#,
                r#"{route="none",method="GET",status="404"} 1"#,
            ],
        );
        expect_lines(
            &page,
            "latchd_refused_total",
            &[
                r#"{reason="busy"} 2"#,
                r#"{reason="no pool"} 1"#,
                r#"{reason="no resource"} 1"#,
                r#"{reason="not empty"} 0"#,
                r#"{reason="not held"} 1"#,
                r#"{reason="not yours"} 1"#,
                r#"{reason="owner holds"} 1"#,
                r#"{reason="only resources"} 1"#,
                r#"{reason="queue full"} 0"#,
                r#"{reason="stale"} 1"#,
                r#"{reason="store down"} 0"#,
                r#"{reason="too many pools"} 0"#,
                r#"{reason="too many resources"} 0"#,
            ],
        );
        expect_lines(&page, "latchd_resources_granted_total", &[" 5"]);
        expect_lines(&page, "latchd_resources_released_total", &[" 5"]);
        expect_lines(&page, "latchd_requests_abandoned_total", &[" 0"]);
        expect_lines(&page, "latchd_waiters", &[" 0"]);
        expect_lines(&page, "latchd_store_up", &[" 1"]);
        let version = format!("{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        expect_lines(&page, "latchd_build_info", &[&version]);
        // The client's connection and this one. The answer to this one's request is not on its own page.
        expect_lines(&page, "latchd_connections_accepted_total", &[" 2"]);
        expect_lines(&page, "latchd_connections ", &["2"]);
        let said: usize = CONVERSATION
            .iter()
            .map(|(request, _)| request.len() + 1)
            .sum();
        let heard: usize = CONVERSATION
            .iter()
            .map(|(_, answer)| answer.len() + 1)
            .sum();
        let asked = format!("GET /metrics HTTP/1.1\r\n{ACCEPT}\r\n").len();
        let received = page.value("latchd_received_bytes_total", &[]);
        assert_eq!(received as usize, said + asked, "{store:?}");
        let sent = page.value("latchd_sent_bytes_total", &[]);
        assert_eq!(sent as usize, heard, "{store:?}");
    }
}

#[test]
fn under_the_base_path_for_json_routes_count_as_without_it() {
    let server = Server::start(StoreKind::Memory);
    let problem = |line: &str, status: &str| {
        let answer = server.connect().ask(line);
        assert!(answer.starts_with(status), "{line}: {answer}");
    };
    converse(
        &mut server.connect(),
        &[
            ("POST /json/pool/A 1", r#"200 ["1"]"#),
            (
                "POST /json/pool/A/lock/1",
                r#"200 [{"id":"1","fence":1,"ttl":null,"owner":null,"age":0}]"#,
            ),
            ("DELETE /json/pool/A/lock/1", r#"200 """#),
            ("GET /json/ping", r#"200 {"result":"pong"}"#),
        ],
    );
    problem("GET /json/nope", "404 {");
    problem("POST /json/pool/B/lock", "404 {");
    let page = scrape(server.address);
    expect_lines(
        &page,
        "latchd_requests_total",
        &[
            r#"{route="/ping",method="GET",status="200"} 1"#,
            r#"{route="/pool/:pool",method="POST",status="200"} 1"#,
            r#"{route="/pool/:pool/lock",method="POST",status="404"} 1"#,
            r#"{route="/pool/:pool/lock/:id",method="POST",status="200"} 1"#,
            r#"{route="/pool/:pool/lock/:id",method="DELETE",status="200"} 1"#,
            r#"{route="none",method="GET",status="404"} 1"#,
        ],
    );
}

#[test]
fn what_a_store_stands_on_is_told_of_that_store_alone() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        converse(&mut server.connect(), &CONVERSATION);
        let page = scrape(server.address);
        let families = [
            "latchd_journal_commit_duration_seconds_count",
            "latchd_journal_failures_total",
            "latchd_redis_round_trip_duration_seconds_count",
            "latchd_redis_commands_total",
            "latchd_redis_losses_total",
            "latchd_redis_histories_total",
            "latchd_redis_clock_jumps_total",
            "latchd_resources_expired_total",
        ];
        let found = families.map(|name| page.find(name, &[]));
        match store {
            StoreKind::Memory => {
                assert_eq!(found, [None, None, None, None, None, None, None, Some(0.0)]);
            }
            // Each of the 8 changing requests is a commit.
            StoreKind::File => {
                let [Some(commits), ..] = found else {
                    panic!("commits are told: {found:?}");
                };
                assert_eq!(commits, 8.0);
                assert_eq!(
                    found[1..],
                    [Some(0.0), None, None, None, None, None, Some(0.0)]
                );
            }
            StoreKind::Redis => {
                let [
                    None,
                    None,
                    Some(trips),
                    Some(commands),
                    losses,
                    histories,
                    jumps,
                    None,
                ] = found
                else {
                    panic!("{found:?}");
                };
                assert!(trips >= 20.0 && commands > trips, "{found:?}");
                assert_eq!([losses, histories, jumps], [Some(0.0); 3]);
            }
        }
    }
}

#[test]
fn a_lease_that_ends_is_no_release() {
    for store in [StoreKind::Memory, StoreKind::File] {
        let server = Server::start(store);
        let mut client = server.connect();
        let both = "200 2\t1";
        converse(
            &mut client,
            &[
                (r#"POST /pool {"A":["1","2"]}"#, r#"200 {"A":["1","2"]}"#),
                ("POST /pool/A/lock?n=2&ttl=1", both),
                // It comes when that lease is over.
                ("POST /pool/A/lock?n=2&wait=9&owner=o", both),
            ],
        );
        let page = scrape(server.address);
        expect_lines(&page, "latchd_resources_granted_total", &[" 4"]);
        expect_lines(&page, "latchd_resources_expired_total", &[" 2"]);
        expect_lines(&page, "latchd_resources_released_total", &[" 0"]);
    }
}

#[test]
fn connections_are_counted_by_why_they_end() {
    let server = Server::start_with(StoreKind::Memory, &["--header-timeout", "1"]);
    let mut silent = server.connect();
    let mut ended = server.connect();
    ended.half_close();
    ended.expect_end();
    let mut told = server.connect();
    told.send("GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n");
    told.read_to_end();
    drop(told);
    let mut wrong = server.connect();
    wrong.send("GET /ping HTTP/1.1\r\nContent-Length: x\r\n\r\n");
    wrong.read_to_end();
    drop(wrong);
    reset(server.connect());
    silent.expect_end();
    let lines = [
        r#"{reason="client"} 1"#,
        r#"{reason="error"} 1"#,
        r#"{reason="server"} 2"#,
        r#"{reason="stopping"} 0"#,
        r#"{reason="timeout"} 1"#,
        r#"{reason="yielded"} 0"#,
    ];
    let page = scrape(server.address);
    expect_lines(&page, "latchd_connections_closed_total", &lines);
    expect_lines(&page, "latchd_connections_accepted_total", &[" 6"]);
    expect_lines(&page, "latchd_connections ", &["1"]);
    assert!(page.value("latchd_connections_max", &[]) > 100.0);
}

/// Redis makes a grant for a client that is gone: it is undone.
#[test]
fn a_request_whose_client_is_gone_is_abandoned() {
    let redis = RedisServer::start();
    let server = Server::start_at(&redis.url(), &["--redis-timeout", "10"]);
    let mut client = server.connect();
    assert_eq!(client.ask("POST /pool/A 1"), r#"200 ["1"]"#);
    redis.freeze();
    let mut gone = server.connect();
    // One segment: the first answer shows that the rest has been read.
    gone.send("GET /ping\nPOST /pool/A/lock\n");
    assert_eq!(gone.read_line(), "200 pong");
    let address = gone.stream.local_addr().expect("its address");
    reset(gone);
    wait_until_told(server.address, address);
    converse(&mut client, &[("GET /ping", "200 pong"); 2]);
    redis.thaw();
    let page = eventually("it is given back", || {
        let page = scrape(server.address);
        (page.value("latchd_resources_released_total", &[]) == 1.0).then_some(page)
    });
    expect_lines(&page, "latchd_requests_abandoned_total", &[" 1"]);
    expect_lines(&page, "latchd_resources_granted_total", &[" 1"]);
    expect_lines(&page, "latchd_pool_free", &["{pool=\"A\"} 1"]);
}

#[test]
fn waiters_are_counted() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut client = server.connect();
        let held = [
            ("POST /pool/A 1", r#"200 ["1"]"#),
            ("POST /pool/A/lock", "200 1"),
        ];
        converse(&mut client, &held);
        let mut waiter = server.connect();
        waiter.send("POST /pool/A/lock?wait=60\n");
        while client.ask("GET /pool") != "200 1 1 1 A" {}
        expect_lines(&scrape(server.address), "latchd_waiters", &[" 1"]);
        assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
        assert_eq!(waiter.read_line(), "200 1");
        expect_lines(&scrape(server.address), "latchd_waiters", &[" 0"]);
    }
}

/// Closes a connection in the way that a crashed client does.
fn reset(client: Client) {
    let socket = SockRef::from(&client.stream);
    socket.set_linger(Some(Duration::ZERO)).expect("linger");
}

/// An independent reader finds the same figures on a page as the tests' own.
#[test]
fn the_reader_of_prometheus_reads_the_same() {
    const READER: &str = "\
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = sorted(sample.labels.items())
        print('\\t'.join([family.type, sample.name, repr(labels), repr(float(sample.value))]))
";
    let server = Server::start(StoreKind::File);
    let mut client = server.connect();
    converse(&mut client, &CONVERSATION);
    for name in pools::HOSTILE {
        let seed = serde_json::to_string(&BTreeMap::from([(name, [1])])).expect("a seed");
        let answer = client.ask(&format!("POST /pool {seed}"));
        assert!(answer.starts_with("200 "), "{answer}");
    }
    let page = scrape(server.address);
    let mut python = programs::client("/usr/bin/python3");
    let read = programs::succeed(python.args(["-I", "-c", READER]), &page.text);
    let read: Vec<Vec<&str>> = read
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(read.len(), page.samples().count());
    for name in pools::HOSTILE {
        let found = read.iter().any(|row| {
            row[1] == "latchd_pool_free" && row[2] == format!("[('pool', {})]", python_repr(name))
        });
        assert!(found, "{name:?} in {read:#?}");
    }
    let sum = |rows: &mut dyn Iterator<Item = f64>| rows.sum::<f64>();
    let theirs = sum(&mut read.iter().map(|row| row[3].parse().expect("a number")));
    let ours = sum(&mut page.samples().map(|sample| sample.value));
    assert!((theirs - ours).abs() < 1e-3, "{theirs} and {ours}");
    let histograms = read.iter().filter(|row| row[0] == "histogram").count();
    assert!(histograms > 100, "{histograms} samples are of histograms");
}

/// The notation of a text in Python.
fn python_repr(text: &str) -> String {
    const PROGRAM: &str = "import sys; print(repr(sys.argv[1]))";
    let mut python = Command::new("/usr/bin/python3");
    let output = python.args(["-I", "-c", PROGRAM, text]).output();
    let output = output.expect("python3 is installed, tests/run sees to it");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .trim_end()
        .to_owned()
}
