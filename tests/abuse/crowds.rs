//! Crowds: thousands of connections that send nothing, send slowly, or do not take their answers.

use std::io::Write;
use std::net::TcpStream;

use super::{MEBIBYTE, Siege, read_until_closed};
use crate::limits::allow_descriptors;
use crate::memory::connect_narrowly;
use crate::support::Client;

/// Returns the wanted number, or as many as the hard limit of the system allows this process and
/// the server each; that is printed.
fn crowd_size(wanted: usize) -> usize {
    // For the server's own, those of other tests, and the 64 that a server keeps back.
    const RESERVE: usize = 2500;
    let allowed = allow_descriptors((wanted + RESERVE) as u64) as usize;
    let size = wanted.min(allowed.saturating_sub(RESERVE));
    if size < wanted {
        eprintln!(
            "only {size} connections instead of {wanted}: the hard limit allows {allowed} descriptors"
        );
    }
    size
}

#[test]
fn ten_thousand_slow_senders_do_not_keep_one_from_being_served() {
    let size = crowd_size(10_000);
    // Too many for one address by default.
    let siege = Siege::lay(&["--max-per-address", "20000"]);
    let mut crowd: Vec<Client> = (0..size).map(|_| siege.connect()).collect();
    assert_eq!(
        siege.connect().ask("GET /ping"),
        "200 pong",
        "all before it are accepted"
    );
    let silent = siege.grown();
    eprintln!(
        "{size} connections that send nothing: {} bytes each",
        silent / size
    );
    assert!(
        silent < 8 * MEBIBYTE,
        "{} KiB for {size} silent connections",
        silent >> 10
    );

    let head = b"GET /ping HTTP/1.1\r\nHost: h\r\nX-Slow: ";
    crowd.iter_mut().for_each(|client| client.send(head));
    for _ in 0..3 {
        crowd.iter_mut().for_each(|client| client.send(b"x"));
    }
    assert_eq!(siege.connect().ask("GET /ping"), "200 pong");
    let slow = siege.grown();
    eprintln!(
        "{size} slow senders of a header: {} bytes each",
        slow / size
    );

    // Slow as they are, they are served once their requests are complete.
    for client in crowd.iter_mut().step_by(size / 100) {
        client.send("\r\n\r\n");
        client.expect("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong");
    }
    drop(crowd);
    siege.lift("ten thousand slow senders", 24 * MEBIBYTE);
}

/// The most that a head may hold, and never its end.
#[test]
fn heads_as_long_as_may_be_take_no_more_than_was_sent() {
    let size = crowd_size(1000);
    let siege = Siege::lay(&[]);
    let head = format!("GET /ping HTTP/1.1\r\nX: {}", "x".repeat(8000));
    let mut crowd: Vec<Client> = (0..size).map(|_| siege.connect()).collect();
    for client in &mut crowd {
        // In two pieces, so that the first has to be kept.
        client.send(&head[..4000]);
    }
    for client in &mut crowd {
        client.send(&head[4000..]);
    }
    assert_eq!(siege.connect().ask("GET /ping"), "200 pong");
    eprintln!(
        "{size} heads of 8000 bytes: {} bytes each",
        siege.grown() / size
    );
    drop(crowd);
    siege.lift("heads as long as may be", 24 * MEBIBYTE);
}

#[test]
fn slow_senders_are_closed_when_their_time_is_up() {
    let size = crowd_size(1000);
    let siege = Siege::lay(&["--header-timeout", "1"]);
    let mut crowd: Vec<Client> = (0..size).map(|_| siege.connect()).collect();
    crowd
        .iter_mut()
        .for_each(|client| client.send("GET /ping HTTP/1.1\r\nX"));
    for client in &mut crowd {
        let answer = read_until_closed(client);
        assert_eq!(
            answer.escape_ascii().to_string(),
            "",
            "closed without a word"
        );
    }
    siege.lift("slow senders whose time is up", 8 * MEBIBYTE);
}

/// Each asks for many megabytes and reads none of them: the server keeps a few answers of 240 KB.
#[test]
fn slow_readers_cost_no_more_than_a_backlog_each() {
    const COUNT: usize = 100;
    let siege = Siege::lay(&[]);
    let ids: Vec<String> = (0..10_000)
        .map(|n| format!("resource number {n:08}"))
        .collect();
    let seeded = siege
        .connect()
        .ask(&format!("POST /pool/Long {}", serde_json::json!(ids)));
    assert!(seeded.starts_with("200 "));
    let before = siege.grown();
    let mut crowd: Vec<TcpStream> = (0..COUNT)
        .map(|_| connect_narrowly(&siege.server))
        .collect();
    for stream in &mut crowd {
        let requests = b"GET /pool/Long HTTP/1.1\r\n\r\n".repeat(100);
        stream.write_all(&requests).expect("so few bytes are taken");
    }
    for _ in 0..20 {
        assert_eq!(siege.connect().ask("GET /ping"), "200 pong");
    }
    let each = siege.grown().saturating_sub(before) / COUNT;
    eprintln!("{COUNT} slow readers of 25 MB each: {each} bytes each");
    drop(crowd);
    assert_eq!(siege.connect().ask("DELETE /pool/Long"), "200");
    siege.lift("slow readers", COUNT * MEBIBYTE);
}
