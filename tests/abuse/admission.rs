//! More hostile clients than the connection limit admits, and one well-behaved client among them: it
//! is admitted and served.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use super::{MEBIBYTE, Siege, expect, live_on, read_until_closed};
use crate::eviction::connect_from;
use crate::support::{Client, PATIENCE};

/// Beginnings of requests that keep a connection open as long as the limits allow.
const STARTS: [&str; 4] = [
    "",
    "GET /ping HTTP/1.1\r\nHost: h\r\nX",
    "PUT /pool/A HTTP/1.1\r\nContent-Length: 1000\r\n\r\n[",
    "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[",
];

/// They connect as fast as they can, never end what they begin, and never go.
#[test]
fn a_client_that_asks_is_admitted_among_more_silent_ones_than_fit() {
    const COUNT: usize = 1000;
    let arguments = ["--max-connections", "200", "--max-per-address", "200"];
    let siege = Siege::lay_beside(&arguments, |server, enough| {
        live_on(server, enough, Client::connect, retry)
    });
    let server = siege.server.address;
    let crowd = STARTS.map(|start| {
        thread::spawn(move || {
            let come = || {
                let stream = TcpStream::connect(server).expect("the system accepts");
                // The server may have evicted it already.
                let _ = (&stream).write_all(start.as_bytes());
                stream
            };
            let held: Vec<TcpStream> = std::iter::repeat_with(come).take(COUNT).collect();
            held
        })
    });
    for _ in 0..20 {
        retry(&mut siege.connect(), server, "GET /ping\n", "200 pong\n");
    }
    let crowd = crowd.map(|thread| thread.join().expect("all have come"));
    for _ in 0..20 {
        retry(&mut siege.connect(), server, "GET /ping\n", "200 pong\n");
    }
    drop(crowd);
    siege.lift("more silent clients than fit", 8 * MEBIBYTE);
}

/// Sends one request and expects its answer. An idle client may have been evicted, and reconnects: no
/// part of its next request was carried out before.
fn retry(client: &mut Client, server: SocketAddr, request: &str, answer: &str) {
    let end = Instant::now() + PATIENCE;
    while exchange(client, request, answer).is_err() {
        assert!(Instant::now() < end, "it never gets in");
        *client = Client::connect(server);
    }
}

fn exchange(client: &mut Client, request: &str, answer: &str) -> io::Result<()> {
    client.stream.write_all(request.as_bytes())?;
    let mut received = vec![0; answer.len()];
    client.stream.read_exact(&mut received)?;
    assert_eq!(String::from_utf8_lossy(&received), answer);
    Ok(())
}

/// They are queued, so that none of them is ever evicted; but all have one address.
#[test]
fn a_crowd_queued_at_one_address_leaves_room_for_others() {
    let arguments = ["--max-connections", "150", "--max-per-address", "100"];
    let siege = Siege::lay_beside(&arguments, |server, enough| {
        let connect = |server| connect_from(Ipv4Addr::new(127, 0, 0, 2), server);
        live_on(server, enough, connect, expect)
    });
    let mut crowd: Vec<Client> = (0..100).map(|_| siege.connect()).collect();
    for client in &mut crowd {
        // All have been admitted: so they are queued in this order, up to the limit.
        assert_eq!(client.ask("GET /ping"), "200 pong");
    }
    for client in &mut crowd {
        // It is held, and stays so.
        client.send("POST /pool/A/lock/4?wait=60\n");
    }
    for _ in 0..1000 {
        let mut turned_away = siege.connect();
        let _ = turned_away.stream.write_all(b"GET /ping\n");
        assert_eq!(read_until_closed(&mut turned_away), b"");
    }
    drop(crowd);
    siege.lift("a crowd queued at one address", 4 * MEBIBYTE);
}
