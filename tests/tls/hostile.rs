//! A client that speaks no TLS, or breaks it, or takes too long, gets an alert, and disturbs no
//! other client.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::limits::assert_a_second;
use crate::support::tls::Secured;
use crate::support::{Client, PATIENCE, StoreKind};

/// All that the server says to these bytes, up to its end.
fn answer_to(server: &Secured, bytes: &[u8]) -> Vec<u8> {
    let mut client = Client::connect(server.tls);
    client.send(bytes);
    client.read_to_end()
}

/// A record that says decode_error, fatal: RFC 8446, 6.
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

#[test]
fn http_without_tls_gets_an_alert_and_nothing_else() {
    let mut server = Secured::start();
    for request in [
        "GET /ping HTTP/1.1\r\n\r\n",
        "POST /pool/A/lock\n",
        "POST /pool HTTP/1.1\r\nContent-Length: 100000\r\n\r\n",
    ] {
        assert_eq!(answer_to(&server, request.as_bytes()), DECODE_ERROR);
        let line = server.process.wait_for_line("a connection with TLS broke");
        assert!(line.contains("DEBUG"), "{line}");
        assert!(line.contains("127.0.0.1:"), "the client: {line}");
        assert!(
            line.ends_with("what it sends is not TLS, or broken"),
            "{line}"
        );
    }
}

/// Further bytes, which the server never reads, must not reset the connection before the client has
/// read the alert.
#[test]
fn an_alert_survives_what_was_sent_on() {
    let server = Secured::start();
    let mut client = Client::connect(server.tls);
    client.send("GET /ping HTTP/1.1\r\n\r\n");
    let mut alert = [0; 7];
    client.stream.read_exact(&mut alert).expect("an alert");
    assert_eq!(alert, DECODE_ERROR);
    for _ in 0..100 {
        client.send([0; 1000]);
    }
    client.half_close();
    client.expect_end();
}

#[test]
fn garbage_disturbs_no_client() {
    let server = Secured::start();
    let mut well = server.connect();
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..100 {
        let length = random.usize(1..40_000);
        let mut garbage: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect();
        if round % 2 == 0 {
            // It looks like a handshake at first.
            garbage.splice(..0, [22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3]);
        }
        let mut stream = TcpStream::connect(server.tls).expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let _ = stream.write_all(&garbage);
        let _ = stream.shutdown(Shutdown::Write);
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => assert!(
                rest.is_empty() || rest[0] == 21 || rest[0] == 22,
                "{rest:?}"
            ),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert_eq!(well.ask("GET /ping"), "200 pong");
    }
}

/// A byte on the way is changed: the request is not carried out, and earlier grants stay held.
#[test]
fn a_record_that_was_tampered_with_is_not_carried_out() {
    let server = Secured::start();
    let mut aside = Client::connect(server.plain);
    assert_eq!(
        aside.ask(r#"POST /pool {"A":["1","2"]}"#),
        r#"200 {"A":["1","2"]}"#
    );
    let mut client = server.connect();
    assert_eq!(client.ask("POST /pool/A/lock"), "200 2");
    let mut record = Vec::new();
    let connection = &mut client.stream.connection;
    connection
        .writer()
        .write_all(b"POST /pool/A/lock\n")
        .expect("a record");
    connection.write_tls(&mut record).expect("a record");
    record[20] ^= 1;
    client
        .stream
        .socket
        .write_all(&record)
        .expect("it is taken");
    let error = client.stream.read(&mut [0; 10]).expect_err("an alert");
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    assert_eq!(aside.ask("GET /pool"), "200 2 1 0 A");
}

/// The time for a header block counts from the start, and the handshake is part of it.
#[test]
fn a_handshake_that_takes_too_long_is_closed() {
    let server = Secured::start_with(StoreKind::Memory, &["--header-timeout", "1"]);
    let mut hello = Vec::new();
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let config = server.trust(rustls::ALL_VERSIONS);
    let mut connection = rustls::ClientConnection::new(config, name).expect("a client");
    connection.write_tls(&mut hello).expect("a ClientHello");
    for sent in [0, 1, 100, hello.len()] {
        let start = Instant::now();
        let mut client = Client::connect(server.tls);
        client.send(&hello[..sent]);
        client.read_to_end();
        assert_a_second(start);
    }
    // Byte by byte it does not get longer.
    let start = Instant::now();
    let mut client = Client::connect(server.tls);
    client
        .stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a time-out");
    let mut bytes = hello.iter();
    loop {
        if let Some(byte) = bytes.next() {
            let _ = client.stream.write_all(&[*byte]);
        }
        match client.stream.read(&mut [0; 10]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            end => break assert!(matches!(end, Ok(0)), "{end:?}"),
        }
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "it was to be closed"
        );
    }
    assert_a_second(start);
}

#[test]
fn a_client_that_says_nothing_behind_its_handshake_is_closed() {
    let server = Secured::start_with(StoreKind::Memory, &["--header-timeout", "1"]);
    let start = Instant::now();
    let mut client = server.connect();
    client.expect_end();
    assert_a_second(start);
}

#[test]
fn a_thousand_unfinished_handshakes_delay_no_client() {
    let server = Secured::start();
    let crowd: Vec<TcpStream> = (0..1000)
        .map(|place| {
            let mut stream = TcpStream::connect(server.tls).expect("it accepts");
            if place % 2 == 0 {
                stream.write_all(&[22, 3, 1, 1, 0, 1]).expect("a start");
            }
            stream
        })
        .collect();
    assert_eq!(server.connect().ask("GET /ping"), "200 pong");
    drop(crowd);
    assert_eq!(server.connect().ask("GET /ping"), "200 pong");
}
