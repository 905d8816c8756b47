//! Floods: heads, bodies and pipelines that do not end.

use std::io::{ErrorKind, Read, Write};
use std::thread;

use super::{MEBIBYTE, Siege};
use crate::support::Client;

/// Sends `start`, and then `more` again and again, up to `most_bytes` or until the server closes.
/// Returns the answer.
fn flood(mut client: Client, start: &str, more: &str, most_bytes: usize) -> String {
    let piece = more.repeat((64 << 10) / more.len());
    let mut reader = client.stream.try_clone().expect("a second handle");
    let answer = thread::spawn(move || {
        let mut answer = Vec::new();
        // A reset may come behind the answer: the server does not wait for the end of a flood.
        let _ = reader.read_to_end(&mut answer);
        String::from_utf8(answer).expect("UTF-8")
    });
    let mut sent = client
        .stream
        .write_all(start.as_bytes())
        .map(|()| start.len());
    while let Ok(bytes) = sent
        && bytes < most_bytes
    {
        sent = client
            .stream
            .write_all(piece.as_bytes())
            .map(|()| bytes + piece.len());
    }
    if let Err(error) = sent {
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    answer.join().expect("the answer is read")
}

#[test]
fn what_does_not_end_is_refused_and_costs_no_memory() {
    let siege = Siege::lay(&[]);
    let chunked = "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        (
            "GET /ping HTTP/1.1\r\n",
            "X: y\r\n",
            "431 headers too large",
        ),
        ("GET /ping HTTP/1.1\r\nX: ", "x", "431 headers too large"),
        ("GET /ping HTTP/1.1\r\n", "x", "431 headers too large"),
        ("GET /", "x", "414 path too long"),
        ("", "x", "414 path too long"),
        ("GET /ping", " ", "413 body too large"),
        (chunked, "1\r\n \r\n", "413 body too large"),
        (chunked, "1;x=y\r\n \r\n", "413 body too large"),
        (chunked, "0", "400 bad chunk"),
        (
            "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "x",
            "400 bad chunk",
        ),
        (
            "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "X: y\r\n",
            "400 bad chunk",
        ),
        (
            "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
            "y",
            "400 bad chunk",
        ),
        (
            "PUT /pool/A HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n",
            "x",
            "413 body too large",
        ),
        ("PUT /pool/A ", "x", "413 body too large"),
    ];
    for (start, more, refusal) in cases {
        let answer = flood(siege.connect(), start, more, 24 * MEBIBYTE);
        let first = answer.strip_prefix("HTTP/1.1 ").unwrap_or(&answer);
        assert!(
            first.starts_with(refusal),
            "{start:?} {more:?}…: {answer:?}"
        );
    }
    siege.lift("heads and bodies without end", 8 * MEBIBYTE);
}

/// Blank lines, and fields between one-line requests, are skipped: the request behind any number of
/// them is answered, and no other client waits for that.
#[test]
fn what_is_passed_over_without_end_costs_no_memory() {
    let siege = Siege::lay(&[]);
    let cases = [
        ("", "\r\n", ""),
        ("", "\n", ""),
        ("GET /ping\n", "X: y\r\n", "200 pong\n"),
        ("GET /ping\n", "\r\n", "200 pong\n"),
    ];
    for (start, more, answered) in cases {
        let mut client = siege.connect();
        client.send(start);
        client.expect(answered);
        let piece = more.repeat((64 << 10) / more.len());
        for _ in 0..100 {
            client.send(&piece);
        }
        assert_eq!(client.ask("GET /ping"), "200 pong", "{more:?}");
    }
    siege.lift("what is passed over", 4 * MEBIBYTE);
}

/// Many at a time, each with all but the last byte of the largest body: the server keeps the bytes
/// it got, and frees them with the connections.
#[test]
fn bodies_that_are_never_finished_take_what_was_sent_and_give_it_back() {
    const COUNT: usize = 20;
    let siege = Siege::lay(&[]);
    let body = " ".repeat(MEBIBYTE - 1);
    let mut clients: Vec<Client> = (0..COUNT).map(|_| siege.connect()).collect();
    for client in &mut clients {
        client.send("PUT /pool/A HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n");
        client.send(&body);
    }
    // Announced, and not sent.
    let mut announced: Vec<Client> = (0..COUNT).map(|_| siege.connect()).collect();
    for client in &mut announced {
        client.send("PUT /pool/A HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n");
    }
    drop(clients);
    for mut client in announced {
        client.half_close();
        client.expect_end();
    }
    siege.lift("bodies that are never finished", (2 * COUNT + 4) * MEBIBYTE);
}

#[test]
fn a_million_requests_in_one_pipeline_are_answered_in_order() {
    const COUNT: usize = 1_000_000;
    let siege = Siege::lay(&[]);
    let client = siege.connect();
    let mut writer = client.stream.try_clone().expect("a second handle");
    let sender = thread::spawn(move || {
        let requests = "GET /x\nGET /ping\n".repeat(1000);
        for _ in 0..COUNT / 2000 {
            writer
                .write_all(requests.as_bytes())
                .expect("they are taken as they are answered");
        }
    });
    let mut stream = client.stream;
    let answers = "404 no route\n200 pong\n".repeat(1000).into_bytes();
    let mut received = vec![0; answers.len()];
    for _ in 0..COUNT / 2000 {
        stream.read_exact(&mut received).expect("every answer");
        assert!(received == answers, "another answer");
    }
    sender.join().expect("all are sent");
    siege.lift("a million requests in one pipeline", 4 * MEBIBYTE);
}

/// The same in HTTP, whose answers are longer than their requests.
#[test]
fn a_hundred_thousand_requests_of_http_in_one_pipeline_are_answered_in_order() {
    const COUNT: usize = 100_000;
    let siege = Siege::lay(&[]);
    let client = siege.connect();
    let mut writer = client.stream.try_clone().expect("a second handle");
    let sender = thread::spawn(move || {
        let requests = "GET / HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n".repeat(1000);
        for _ in 0..COUNT / 2000 {
            writer
                .write_all(requests.as_bytes())
                .expect("they are taken as they are answered");
        }
    });
    let mut stream = client.stream;
    let version = concat!("latchd ", env!("CARGO_PKG_VERSION"));
    let answers = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{version}\
         HTTP/1.1 404 no route\r\nContent-Length: 8\r\n\r\nno route",
        version.len()
    );
    let answers = answers.repeat(1000).into_bytes();
    let mut received = vec![0; answers.len()];
    for _ in 0..COUNT / 2000 {
        stream.read_exact(&mut received).expect("every answer");
        assert!(received == answers, "another answer");
    }
    sender.join().expect("all are sent");
    siege.lift("a pipeline of HTTP", 4 * MEBIBYTE);
}

/// The server stops reading from a client that sends and never reads.
#[test]
fn a_pipeline_that_is_never_read_is_not_carried_on() {
    let siege = Siege::lay(&[]);
    let mut client = siege.connect();
    client.stream.set_nonblocking(true).expect("non-blocking");
    let requests = "GET /pool/A/lock HTTP/1.1\r\n\r\n".repeat(2000);
    let mut aside = siege.connect();
    let (mut sent, mut blocked) = (0, 0);
    while blocked < 20 && sent < 64 * MEBIBYTE {
        match client.stream.write(requests.as_bytes()) {
            Ok(count) => (sent, blocked) = (sent + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert_eq!(aside.ask("GET /ping"), "200 pong");
                blocked += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(blocked == 20, "the server takes requests without end");
    siege.lift("a pipeline that is never read", 4 * MEBIBYTE);
}
