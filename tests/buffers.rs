//! The limit on what all clients together leave half done: partial bodies and answers that are not
//! read. Beyond it the server begins nothing large; small requests go on.

use std::io::Write;

use crate::memory::{connect_narrowly, send_until_blocked, server_with_a_long_listing};
use crate::support::launch::eventually;
use crate::support::{Client, Server, StoreKind};

const NO_MEMORY: &str =
    "HTTP/1.1 503 no memory\r\nContent-Length: 9\r\nConnection: close\r\n\r\nno memory";

/// Lets the server read all earlier input, including what takes many ticks.
fn pass_time(server: &Server) {
    let mut client = server.connect();
    for _ in 0..30 {
        assert_eq!(client.ask("GET /ping"), "200 pong");
    }
}

/// Sends the beginning of a body with an announced length, in bytes.
fn begin(server: &Server, announced: usize, sent: usize) -> Client {
    let mut client = server.connect();
    client.send(format!(
        "PUT /pool/A HTTP/1.1\r\nContent-Length: {announced}\r\n\r\n"
    ));
    client.send(" ".repeat(sent));
    client
}

#[test]
fn a_large_body_is_refused_while_others_are_under_way_and_a_small_one_is_not() {
    let server = Server::start_with(StoreKind::Memory, &["--max-buffers", "300000"]);
    let mut first = begin(&server, 250_000, 200_000);
    let second = begin(&server, 250_000, 150_000);
    pass_time(&server);

    let mut large = begin(&server, 250_000, 20_000);
    large.expect(NO_MEMORY);
    large.expect_end();
    let mut line = server.connect();
    line.send(format!("PUT /pool/A {}", "x".repeat(20_000)));
    line.expect("503 no memory\n");
    line.expect_end();
    let mut json = server.connect();
    json.send("PUT /pool/A HTTP/1.1\r\nContent-Length: 250000\r\nExpect: 100-continue\r\n\r\n");
    json.expect("HTTP/1.1 100 Continue\r\n\r\n");
    json.send(" ".repeat(20_000));
    json.expect(NO_MEMORY);

    // In two pieces, so that the first has to be kept.
    let mut small = begin(&server, 10_000, 5_000);
    pass_time(&server);
    small.send(format!("[\"1\"]{}", " ".repeat(4_995)));
    small.expect(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"1\"]",
    );
    // It would have to go if it began now; but it has begun, and others hold less than there may be.
    first.send(format!("[\"2\"]{}", " ".repeat(49_995)));
    first.expect(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"2\"]",
    );
    let mut large = begin(&server, 30_000, 25_000);
    pass_time(&server);
    large.send(format!("[\"3\"]{}", " ".repeat(4_995)));
    large.expect(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"3\"]",
    );

    // Pending work is dropped with its connection, and with its answer.
    drop(second);
    for round in 0..20 {
        let mut client = begin(&server, 250_000, 200_000);
        match round % 2 {
            0 => client.send(format!("[\"4\"]{}", " ".repeat(49_995))),
            _ => client.half_close(),
        }
        if round % 2 == 0 {
            client.expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"4\"]");
        }
    }
}

/// The body may exceed the limit while no other client holds any buffer.
#[test]
fn a_body_that_is_alone_may_be_as_large_as_any() {
    let server = Server::start_with(StoreKind::Memory, &["--max-buffers", "1000"]);
    let mut client = begin(&server, 1_000_000, 900_000);
    client.send(format!("[\"1\"]{}", " ".repeat(99_995)));
    client.expect(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"1\"]",
    );
}

#[test]
fn a_long_list_is_refused_while_others_are_not_taken_and_a_short_one_is_not() {
    let (server, listing) = server_with_a_long_listing(&["--max-buffers", "100000"]);
    let mut aside = server.connect();
    let mut slow = connect_narrowly(&server);
    send_until_blocked(&mut slow, b"GET /pool/A HTTP/1.1\r\n\r\n", &mut aside);

    let mut client = server.connect();
    client.send("GET /pool/A HTTP/1.1\r\n\r\n");
    client.expect("HTTP/1.1 503 no memory\r\nContent-Length: 9\r\n\r\nno memory");
    assert_eq!(client.ask("GET /pool"), "200 10000 0 0 A");
    // The answer about completed work is sent, however long it is.
    let ids: Vec<String> = (0..5_000).map(|id| format!("\"{id}\"")).collect();
    let ids = format!("[{}]", ids.join(","));
    assert_eq!(
        client.ask(&format!("POST /pool/B {ids}")),
        format!("200 {ids}")
    );
    assert_eq!(client.ask("GET /pool/B"), "503 no memory");

    drop(slow);
    eventually("room for a long list", || {
        (client.ask("GET /pool/B") != "503 no memory").then_some(())
    });
    client.send("GET /pool/A HTTP/1.1\r\n\r\n");
    client.expect(listing);
    client.stream.flush().expect("it is still there");
}
