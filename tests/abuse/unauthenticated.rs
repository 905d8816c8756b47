//! Unauthenticated clients of a server with keys: whatever they send or leave unread, the holder of a
//! key is served, also with large requests and answers.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;

use super::{MEBIBYTE, read_until_closed};
use crate::keys::serve;
use crate::memory::{connect_narrowly, peak_bytes, resident_bytes};
use crate::support::stopwatch::Stopwatch;
use crate::support::{Client, Server};

const KEYS: &str = "all 0123456789abcdef-all admin *\n";

/// Less than some of the crowds here would take.
const LIMITS: [&str; 2] = ["--max-buffers", "2000000"];

/// Unauthenticated clients in each crowd.
const COUNT: usize = 60;

/// A request, and its answer to a holder of the key.
type Turn = (String, String);

/// Sends requests that need memory: a large body, and a long list.
fn large_turns() -> [Turn; 2] {
    let ids: Vec<String> = (0..10_000).map(|n| format!("id{n:08}")).collect();
    let json = format!("[\"{}\"]", ids.join("\",\""));
    let show = "key=0123456789abcdef-all ";
    [
        (
            format!("{show}PUT /pool/A {json}\n"),
            format!("200 {json}\n"),
        ),
        (
            format!("{show}GET /pool/A\n"),
            format!("200 {}\n", ids.join("\t")),
        ),
    ]
}

/// Has the holder of a key served, once in each way and by two connections.
fn serve_holder(server: &Server, stays: &mut Client, turns: &[Turn], what: &str) {
    let mut longest = 0.0_f64;
    for (request, answer) in turns {
        for client in [&mut *stays, &mut server.connect()] {
            let watch = Stopwatch::start(server.pid());
            // In two pieces, so that the first one has to be kept.
            let (first, second) = request.split_at(request.len() / 2);
            client.send(first);
            let mut aside = server.connect();
            assert_eq!(aside.ask("GET /ping"), "200 pong");
            client.send(second);
            client.expect(answer);
            longest = longest.max(watch.elapsed().as_secs_f64());
        }
    }
    eprintln!(
        "{what}: the longest turn of a holder {:.1} ms",
        longest * 1e3
    );
}

/// Sends as much of `bytes` as the server takes for now. It may have closed the connection.
fn send_some(mut stream: &TcpStream, bytes: &[u8]) -> usize {
    stream.set_nonblocking(true).expect("non-blocking");
    match stream.write(bytes) {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => {
            let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            assert!(kinds.contains(&error.kind()), "{error}");
            0
        }
    }
}

#[test]
fn unauthenticated_lines_without_an_end_cost_no_memory() {
    let server = serve(KEYS, &LIMITS);
    let turns = large_turns();
    let mut holder = server.connect();
    serve_holder(&server, &mut holder, &turns, "before");
    let before = resident_bytes(&server);
    let mut crowd: Vec<Client> = (0..COUNT).map(|_| server.connect()).collect();
    let body = "x".repeat(MEBIBYTE - 1);
    for (place, stranger) in crowd.iter_mut().enumerate() {
        let key = if place % 2 == 0 { "" } else { "key=guessed " };
        stranger.send(format!("{key}PUT /pool/A {body}"));
        if place % 20 == 0 {
            serve_holder(&server, &mut holder, &turns, "beside lines without an end");
        }
    }
    serve_holder(&server, &mut holder, &turns, "beside lines without an end");
    let grown = peak_bytes(&server).saturating_sub(before);
    assert!(grown < 6 * MEBIBYTE, "{} KiB", grown >> 10);
    // A client that ends its line is answered, and may go on. One that exceeds the body limit is
    // rejected.
    for (place, stranger) in crowd.iter_mut().enumerate() {
        match place % 4 {
            0 => stranger.send("\nGET /ping\n"),
            1 => stranger.send("\r\nGET /ping\n"),
            _ => stranger.send("yyyy"),
        }
        match place % 4 {
            0 => stranger.expect("401 no key\n200 pong\n"),
            1 => stranger.expect("401 wrong key\n200 pong\n"),
            _ => assert_eq!(read_until_closed(stranger), b"413 body too large\n"),
        }
    }
}

#[test]
fn unauthenticated_clients_that_do_not_read_their_answers_go_first() {
    let mut server = serve(KEYS, &LIMITS);
    let turns = large_turns();
    let mut holder = server.connect();
    serve_holder(&server, &mut holder, &turns, "before");
    let before = resident_bytes(&server);
    let requests = "GET /pool/A/lock HTTP/1.1\r\n\r\n".repeat(2000);
    let mut crowd: Vec<(TcpStream, usize)> =
        (0..COUNT).map(|_| (connect_narrowly(&server), 0)).collect();
    for _ in 0..10 {
        for (stranger, sent) in &mut crowd {
            *sent += send_some(stranger, &requests.as_bytes()[*sent % requests.len()..]);
        }
        serve_holder(
            &server,
            &mut holder,
            &turns,
            "beside answers that are not read",
        );
    }
    let grown = peak_bytes(&server).saturating_sub(before);
    assert!(grown < 8 * MEBIBYTE, "{} KiB", grown >> 10);
    let log = server.wait_for_log("clients without a key");
    assert!(log.contains("--max-buffers"), "{log}");
}
