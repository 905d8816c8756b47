//! Limits on a client: the number of connections, time-outs, and the sizes of its input. Each limit
//! holds to the byte or the second, and none of them hurts clients that keep within it.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Client, Server, StoreKind};

const MEBIBYTE: usize = 1 << 20;

#[test]
fn a_head_or_body_that_does_not_come_closes_the_connection_without_a_word() {
    let server = Server::start_with(StoreKind::Memory, &["--header-timeout", "1"]);
    let start = Instant::now();
    let mut answered = server.connect();
    assert_eq!(answered.ask("GET /ping"), "200 pong");
    let half = [
        "",
        "GET",
        "POST /pool HTTP/1.1\r\nHost: h\r\n",
        "POST /pool HTTP/1.1\r\nContent-Length: 5\r\n\r\n{",
        "POST /pool HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        "GET /ping\nGET /pi",
    ];
    let mut clients = half.map(|text| {
        let mut client = server.connect();
        client.send(text);
        client
    });
    clients[5].expect("200 pong\n");
    for client in &mut clients {
        client.expect_end();
        assert_a_second(start);
    }
    assert_eq!(
        answered.ask("GET /ping"),
        "200 pong",
        "to be idle is another time-out"
    );
}

/// The head has one time-out: to send now and then does not put it off.
#[test]
fn a_head_that_comes_byte_by_byte_is_timed_as_a_whole() {
    let server = Server::start_with(StoreKind::Memory, &["--header-timeout", "1"]);
    let start = Instant::now();
    let mut client = server.connect();
    let pace = Duration::from_millis(100);
    client
        .stream
        .set_read_timeout(Some(pace))
        .expect("a read time-out");
    for byte in "GET /ping HTTP/1.1\r\nX: this goes on for ever".bytes() {
        // Once the server has closed, this may fail, and the read sees it.
        let _ = client.stream.write_all(&[byte]);
        match client.stream.read(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            heard => panic!("neither silence nor the end: {heard:?}"),
        }
    }
    assert_a_second(start);
}

/// Each piece of a body has the time-out for itself: slow links are not cut off.
#[test]
fn a_body_that_comes_in_small_pieces_is_taken() {
    let server = Server::start_with(StoreKind::Memory, &["--header-timeout", "1"]);
    let mut client = server.connect();
    client.send("POST /pool/A HTTP/1.1\r\nContent-Length: 9\r\n\r\n");
    for piece in ["[\"1", "\",", "\"2\"", "]"] {
        thread::sleep(Duration::from_millis(500));
        client.send(piece);
    }
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Type: application/json\r\n\r\n[\"1\",\"2\"]");

    client.send("PUT /pool/A HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
    for byte in format!("[\"9\"{}]", " ".repeat(995)).bytes() {
        client.send([byte]);
    }
    client.expect(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"9\"]",
    );
}

/// The grace is over after a second. From then on it depends on how much there is.
#[test]
fn a_body_that_trickles_is_ended_and_one_that_flows_is_taken() {
    let limits = ["--body-grace", "1", "--min-body-rate", "100"];
    let server = Server::start_with(StoreKind::Memory, &limits);
    let start = Instant::now();
    let mut trickling = server.connect();
    let mut flowing = server.connect();
    let mut chunked = server.connect();
    trickling.send("PUT /pool/A HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
    flowing.send("PUT /pool/B HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
    chunked.send("PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    let pace = Duration::from_millis(100);
    trickling
        .stream
        .set_read_timeout(Some(pace))
        .expect("a read time-out");
    let mut ended_after = None;
    for _ in 0..20 {
        // Once the server has closed, this may fail, and the read sees it.
        let _ = trickling.stream.write_all(b" ");
        let _ = chunked.stream.write_all(b"1\r\n \r\n");
        flowing.send(" ".repeat(45));
        match trickling.stream.read(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ if ended_after.is_some() => thread::sleep(pace),
            heard => {
                assert!(!matches!(heard, Ok(1..)), "closed without a word");
                ended_after = Some(start.elapsed().as_secs_f32());
            }
        }
    }
    flowing.send(format!("[\"9\"]{}", " ".repeat(95)));
    flowing.expect(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"9\"]",
    );
    let took = ended_after.expect("the one that trickles is closed");
    assert!((0.9..1.8).contains(&took), "closed after {took} s");
    // The bytes around chunks count as well, but they are no more than it takes.
    assert_eq!(crate::abuse::read_until_closed(&mut chunked), b"");
}

#[test]
fn a_silent_connection_is_closed_without_a_word() {
    let server = Server::start_with(StoreKind::Memory, &["--idle-timeout", "1"]);
    let mut idle = server.connect();
    assert_eq!(idle.ask("GET /ping"), "200 pong");
    let start = Instant::now();
    let mut half = server.connect();
    half.send("GET /ping HTTP/1.1\r\n");
    idle.expect_end();
    assert_a_second(start);
    half.send("\r\n");
    half.expect("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong");
}

/// At least a second since `start`, and not much more.
#[track_caller]
pub fn assert_a_second(start: Instant) {
    let seconds = start.elapsed().as_secs_f32();
    assert!(
        (0.9..4.0).contains(&seconds),
        "after {seconds} s instead of 1 s"
    );
}

#[test]
fn requests_that_come_all_at_once_are_answered_in_order() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut client = server.connect();
        let ids: Vec<String> = (1..=200).rev().map(|n| n.to_string()).collect();
        let seeded = client.ask(&format!("POST /pool/A {}", serde_json::json!(ids)));
        assert!(seeded.starts_with("200 "), "{seeded}");
        let (mut requests, mut answers) = (String::new(), String::new());
        for n in 1..=200 {
            let digits = n.to_string().len();
            if n % 3 == 0 {
                requests.push_str("POST /pool/A/lock\n");
                answers.push_str(&format!("200 {n}\n"));
            } else {
                requests.push_str("POST /pool/A/lock HTTP/1.1\r\nHost: h\r\n\r\n");
                answers.push_str(&format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {digits}\r\n\r\n{n}"
                ));
            }
        }
        client.send(requests);
        client.expect(answers);
        assert_eq!(client.ask("POST /pool/A/lock"), "409 busy");
    }
}

/// A JSON body of exactly this length, which names one resource.
fn body_of(length: usize) -> String {
    let body = format!("[\"1\"{}]", " ".repeat(length - 5));
    assert_eq!(body.len(), length);
    body
}

#[test]
fn a_body_of_a_mebibyte_is_taken_and_a_byte_more_is_not() {
    let server = Server::start(StoreKind::Memory);
    for (path, length, taken) in [
        ("A", MEBIBYTE, true),
        ("B", MEBIBYTE + 1, false),
        ("C", 8 * MEBIBYTE, false),
    ] {
        let body = body_of(length);
        let chunk = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
        for (field, body) in [
            (format!("Content-Length: {length}"), &body),
            ("Transfer-Encoding: chunked".into(), &chunk),
        ] {
            let mut client = server.connect();
            client.send(format!("POST /pool/{path} HTTP/1.1\r\n{field}\r\n\r\n"));
            // All of it is sent before anything is read, and still no reset eats the answer.
            client.send(body);
            if taken {
                client.expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"1\"]");
            } else {
                client.expect("HTTP/1.1 413 body too large\r\nContent-Length: 14\r\n");
                client.expect("Connection: close\r\n\r\nbody too large");
                client.expect_end();
            }
        }
    }
    assert_eq!(server.connect().ask("GET /pool"), "200 1 0 0 A");
}

/// A one-line request is received as a whole, and its body is then read in pieces.
#[test]
fn a_line_of_a_mebibyte_is_taken_and_what_follows_is_understood() {
    let server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    let body = body_of(MEBIBYTE - 1);
    // The end of a line is no part of its body.
    for end in ["", "\r", " \t \r", &" ".repeat(5_000)] {
        client.send(format!("PUT /pool/A {body}{end}\nGET /pool\n"));
        client.expect("200 [\"1\"]\n200 1 0 0 A\n");
    }
    client.send(format!("POST /pool/A {body}x\n\nGET /ping\n"));
    client.expect("400 bad JSON\n200 pong\n");
}

#[test]
fn the_cap_on_bodies_can_be_moved() {
    let server = Server::start_with(StoreKind::Memory, &["--max-body", "2000000"]);
    let mut client = server.connect();
    client.send("POST /pool/A HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n");
    client.send(body_of(2_000_000));
    client.expect(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"1\"]",
    );
    client.send("POST /pool/A HTTP/1.1\r\nContent-Length: 2000001\r\n\r\n");
    client.expect("HTTP/1.1 413 body too large\r\n");
}

#[test]
fn a_head_without_end_is_refused_while_it_is_sent() {
    let server = Server::start(StoreKind::Memory);
    for (start, status) in [
        ("GET /ping HTTP/1.1\r\nX-Endless: ", "431 headers too large"),
        ("GET /ping HTTP/1.1\r\nHost: h", "431 headers too large"),
        ("GET /", "414 path too long"),
        ("GET ", "414 path too long"),
    ] {
        let mut client = server.connect();
        client.send(start);
        let mut answer = Vec::new();
        client.stream.set_nonblocking(true).expect("non-blocking");
        for _ in 0..1000 {
            // A server that waits for the end takes all of this; one that has refused may take none.
            let _ = client.stream.write(&[b'x'; 1024]);
            let mut buffer = [0; 1024];
            if let Ok(count) = client.stream.read(&mut buffer) {
                answer.extend_from_slice(&buffer[..count]);
                break;
            }
        }
        client.stream.set_nonblocking(false).expect("blocking");
        answer.extend(client.read_to_end());
        let answer = String::from_utf8(answer).expect("UTF-8");
        let words = &status[4..];
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{start:?}: {answer:?}"
        );
        assert!(answer.ends_with(words), "{start:?}: {answer:?}");
    }
}

#[test]
fn a_thousand_silent_connections_do_not_keep_one_from_being_served() {
    assert!(allow_descriptors(3000) >= 3000, "the system allows it");
    let server = Server::start(StoreKind::Memory);
    let before = crate::memory::resident_bytes(&server);
    let mut silent: Vec<Client> = (0..1000).map(|_| server.connect()).collect();
    let mut active = server.connect();
    assert_eq!(
        active.ask(r#"POST /pool {"A":["1"]}"#),
        r#"200 {"A":["1"]}"#
    );
    for _ in 0..100 {
        assert_eq!(active.ask("POST /pool/A/lock"), "200 1");
        assert_eq!(active.ask("DELETE /pool/A/lock/1"), "200");
    }
    for client in &mut silent {
        assert_eq!(client.ask("GET /ping"), "200 pong");
    }
    let grown = crate::memory::resident_bytes(&server).saturating_sub(before);
    assert!(
        grown < 2 * MEBIBYTE,
        "a silent connection costs {} bytes",
        grown / 1000
    );
}

/// Raises the soft limit of this process, and so of the servers that it starts, as far as needed and
/// allowed. Returns the new limit.
pub fn allow_descriptors(count: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|&current| current < count) else {
        return limit.current.unwrap_or(u64::MAX);
    };
    let wanted = limit.maximum.map_or(count, |maximum| maximum.min(count));
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => current,
    }
}
