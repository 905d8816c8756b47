//! Ends of a conversation with TLS: by either peer, with an alert or without, and their effect on
//! requests.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;

use crate::support::launch::eventually;
use crate::support::tls::{Secured, TlsClient};
use crate::support::{Client, StoreKind, signal, wait_until_told};

const SEED: &str = r#"POST /pool {"A":["1","2","3","4"]}"#;

/// A server with the pool of `SEED`, and a client without TLS.
fn seeded() -> (Secured, Client) {
    let server = Secured::start();
    let mut aside = Client::connect(server.plain);
    assert_eq!(aside.ask(SEED), r#"200 {"A":["1","2","3","4"]}"#);
    (server, aside)
}

/// The client's address at a connection.
fn address(client: &TlsClient) -> SocketAddr {
    client.stream.socket.local_addr().expect("an address")
}

/// The server has read all that was sent before.
fn settle(aside: &mut Client) {
    for _ in 0..2 {
        assert_eq!(aside.ask("GET /ping"), "200 pong");
    }
}

#[track_caller]
fn await_waiters(aside: &mut Client, count: usize, held: usize) {
    let line = format!("200 4 {held} {count} A");
    let seen = eventually(&line, || {
        let seen = aside.ask("GET /pool");
        (seen == line).then_some(seen)
    });
    assert_eq!(seen, line);
}

#[test]
fn close_notify_after_a_request_is_no_abort() {
    let (server, _aside) = seeded();
    for request in [
        "POST /pool/A/lock HTTP/1.1\r\n\r\n",
        "POST /pool/A/lock HTTP/1.1\r\nHost: h\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        client.close_notify();
        let answer = client.stream.read(&mut [0; 100]).expect("an answer");
        assert_eq!(
            answer,
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4".len()
        );
        client.expect_end();
    }
}

#[test]
fn an_end_that_only_tcp_tells_of_is_no_abort_either() {
    let (server, _aside) = seeded();
    let mut client = server.connect();
    client.send("POST /pool/A/lock HTTP/1.1\r\n\r\n");
    client.half_close();
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4");
    client.expect_end();
}

/// Any host on the way can make a FIN, and so cut a request short: the server does not guess the rest.
#[test]
fn what_an_unsaid_end_cuts_off_is_not_carried_out() {
    let (server, mut aside) = seeded();
    for cut in [
        "POST /pool/A/lock HTTP/1.1\r\nHost: h\r\n",
        "POST /pool/A/lock HTTP/1.1\r\n",
        "POST /pool/A/lock",
    ] {
        let mut client = server.connect();
        client.send(cut);
        client.half_close();
        client.expect_end();
    }
    assert_eq!(aside.ask("GET /pool"), "200 4 0 0 A");
}

#[test]
fn the_server_says_when_it_ends() {
    let (server, _aside) = seeded();
    let mut client = server.connect();
    client.send("GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n");
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npong");
    client.expect_end();
    let mut client = server.connect();
    client.send("no request at all HTTP/1.1\r\n\r\n");
    let mut answer = String::new();
    client
        .stream
        .read_to_string(&mut answer)
        .expect("close_notify behind the answer");
    assert!(answer.starts_with("HTTP/1.1 400 bad"), "{answer}");
}

#[test]
fn a_silent_client_is_told_of_the_end() {
    let server = Secured::start_with(StoreKind::Memory, &["--idle-timeout", "1"]);
    let mut client = server.connect();
    assert_eq!(client.ask("GET /ping"), "200 pong");
    client.expect_end();
}

#[test]
fn a_server_that_stops_tells_of_the_end() {
    let (mut server, _aside) = seeded();
    let mut idle = server.connect();
    assert_eq!(idle.ask("GET /ping"), "200 pong");
    let mut waiter = server.connect();
    waiter.send("POST /pool/A/lock?n=4\nPOST /pool/A/lock?wait=100\n");
    assert_eq!(waiter.read_line(), "200 4\t3\t2\t1");
    signal(server.process.child.id(), "TERM");
    idle.expect_end();
    assert_eq!(waiter.read_line(), "503 stopping");
    waiter.expect_end();
    assert_eq!(server.process.wait().code(), Some(0));
}

#[test]
fn a_waiter_that_is_gone_leaves_the_queue() {
    let (server, mut aside) = seeded();
    assert_eq!(aside.ask("POST /pool/A/lock?n=4"), "200 4\t3\t2\t1");
    // By FIN, with a TLS alert or not; and by a reset.
    for goes in [
        |client: TlsClient| drop(client),
        |mut client: TlsClient| client.close_notify(),
        |client: TlsClient| {
            let socket = SockRef::from(&client.stream.socket);
            socket.set_linger(Some(Duration::ZERO)).expect("a reset");
        },
    ] {
        let mut client = server.connect();
        client.send("POST /pool/A/lock?wait=100 HTTP/1.1\r\n\r\n");
        await_waiters(&mut aside, 1, 4);
        let gone = address(&client);
        goes(client);
        wait_until_told(server.tls, gone);
        settle(&mut aside);
        assert_eq!(aside.ask("GET /pool"), "200 4 4 0 A");
    }
    assert_eq!(aside.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(
        aside.ask("POST /pool/A/lock"),
        "200 1",
        "it was not handed over"
    );
}

/// TCP knows nothing of this end, so it is seen although there is no room for a further request.
#[test]
fn a_waiter_that_says_it_has_ended_is_busy() {
    let (server, mut aside) = seeded();
    assert_eq!(aside.ask("POST /pool/A/lock?n=4"), "200 4\t3\t2\t1");
    for behind in [0, 1, 100, 8000] {
        let mut client = server.connect();
        client.send("POST /pool/A/lock?wait=100\n");
        await_waiters(&mut aside, 1, 4);
        client.send("\n".repeat(behind));
        client.close_notify();
        assert_eq!(client.read_line(), "409 busy");
        client.expect_end();
        assert_eq!(aside.ask("GET /pool"), "200 4 4 0 A");
    }
}

#[test]
fn what_is_pipelined_behind_a_wait_comes_after_it() {
    let (server, mut aside) = seeded();
    assert_eq!(aside.ask("POST /pool/A/lock?n=4"), "200 4\t3\t2\t1");
    let mut client = server.connect();
    client.send("POST /pool/A/lock?wait=100\n");
    await_waiters(&mut aside, 1, 4);
    for _ in 0..3 {
        client.send("GET /ping\n".repeat(200));
        settle(&mut aside);
    }
    assert_eq!(aside.ask("DELETE /pool/A/lock/2"), "200");
    assert_eq!(client.read_line(), "200 2");
    client.expect(&"200 pong\n".repeat(600));
}

#[test]
fn a_server_that_closes_first_is_not_waited_for_by_a_client_that_only_listens() {
    let (server, _aside) = seeded();
    let mut client = server.connect();
    client.send("GET /ping HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    client
        .stream
        .read_to_string(&mut answer)
        .expect("the end is said");
    assert!(answer.ends_with("\r\n\r\npong"), "{answer}");
    // Input behind the end is dropped, and eats nothing.
    client.send("GET /ping\n");
    let rest = client.stream.socket.read(&mut [0; 10]);
    assert!(
        matches!(rest, Ok(0))
            || rest.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    );
}

/// The server is stopped while the resource is released and its next holder goes, so that it finds both
/// at once, in either order.
#[test]
fn a_grant_for_a_client_that_has_gone_is_undone() {
    for goes_first in [true, false] {
        let (server, mut aside) = seeded();
        assert_eq!(aside.ask("POST /pool/A/lock?n=4"), "200 4\t3\t2\t1");
        let mut waiter = server.connect();
        waiter.send("POST /pool/A/lock?wait=100\n");
        await_waiters(&mut aside, 1, 4);
        signal(server.process.child.id(), "STOP");
        let go = |waiter: TlsClient| {
            let socket = SockRef::from(&waiter.stream.socket);
            socket.set_linger(Some(Duration::ZERO)).expect("a reset");
            let gone = address(&waiter);
            drop(waiter);
            wait_until_told(server.tls, gone);
        };
        if goes_first {
            go(waiter);
            aside.send("DELETE /pool/A/lock/1\n");
        } else {
            aside.send("DELETE /pool/A/lock/1\n");
            go(waiter);
        }
        signal(server.process.child.id(), "CONT");
        assert_eq!(aside.read_line(), "200");
        await_waiters(&mut aside, 0, 3);
        assert_eq!(aside.ask("POST /pool/A/lock"), "200 1");
    }
}

/// As without TLS: whether the client ended with a TLS alert or only with TCP.
#[test]
fn a_grant_to_a_client_that_closed_is_undone_if_its_system_refuses_it() {
    let (server, mut aside) = seeded();
    let mut held = 0;
    for (says_so, reads) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut client = server.connect();
        // With unread bytes behind the handshake, its system would reset the connection.
        assert_eq!(client.ask("GET /ping"), "200 pong");
        let gone = address(&client);
        signal(server.process.child.id(), "STOP");
        client.send("POST /pool/A/lock?lease\n");
        if says_so {
            client.close_notify();
        }
        if reads {
            client.half_close();
        }
        let reader = reads.then_some(client);
        wait_until_told(server.tls, gone);
        signal(server.process.child.id(), "CONT");
        if let Some(mut reader) = reader {
            assert!(reader.read_line().starts_with("200 "));
            reader.expect_end();
            held += 1;
        }
        await_waiters(&mut aside, 0, held);
        settle(&mut aside);
        await_waiters(&mut aside, 0, held);
    }
    // Each was granted: a fence was used for it.
    let next = aside.ask("POST /pool/A/lock?lease");
    assert!(next.starts_with("200 5 - "), "{next}");
}

#[test]
fn an_evicted_client_is_told() {
    let server = Secured::start_with(StoreKind::Memory, &["--max-connections", "2"]);
    let mut first = server.connect();
    assert_eq!(first.ask("GET /ping"), "200 pong");
    let mut others = [server.connect(), server.connect()];
    first.expect_end();
    for other in &mut others {
        assert_eq!(other.ask("GET /ping"), "200 pong");
    }
}
