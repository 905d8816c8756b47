//! Records and writes: an answer is one record and leaves in one write, and no record is larger than
//! the client's announced limit.

use std::io::{Read, Write};

use crate::support::StoreKind;
use crate::support::tls::{Secured, TlsClient};

/// The sizes of the records of application data until the plaintext is complete, and the number of
/// reads for them.
fn record_sizes(client: &mut TlsClient, plaintext_bytes: usize) -> (Vec<usize>, usize) {
    let (mut bytes, mut reads, mut plaintext) = (Vec::new(), 0, 0);
    while plaintext < plaintext_bytes {
        let mut buffer = vec![0; 1 << 20];
        let count = client.stream.socket.read(&mut buffer).expect("an answer");
        assert!(count > 0, "it closed");
        reads += 1;
        bytes.extend_from_slice(&buffer[..count]);
        let connection = &mut client.stream.connection;
        let mut input = &buffer[..count];
        while !input.is_empty() {
            connection.read_tls(&mut input).expect("room");
            connection.process_new_packets().expect("good records");
            let mut taken = vec![0; 1 << 20];
            plaintext += connection.reader().read(&mut taken).unwrap_or(0);
        }
    }
    assert_eq!(plaintext, plaintext_bytes);
    let (mut sizes, mut rest) = (Vec::new(), &bytes[..]);
    while let [_, _, _, high, low, more @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        sizes.push(5 + length);
        rest = &more[length..];
    }
    (sizes, reads)
}

const OVERHEAD: usize = 5 + 1 + 16;

#[test]
fn an_answer_is_one_record() {
    let server = Secured::start();
    let mut client = server.connect();
    // The ticket that comes behind the handshake is out of the way then.
    assert_eq!(client.ask("GET /ping"), "200 pong");
    client.send("GET /ping HTTP/1.1\r\n\r\n");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong".len();
    assert_eq!(
        record_sizes(&mut client, answer),
        (vec![answer + OVERHEAD], 1)
    );
}

#[test]
fn a_burst_of_requests_is_answered_in_one_record_and_one_write() {
    let server = Secured::start();
    let mut client = server.connect();
    assert_eq!(client.ask("GET /ping"), "200 pong");
    // In one record, and in as many records as there are requests.
    client.send("GET /ping\n".repeat(100));
    let answers = "200 pong\n".len() * 100;
    assert_eq!(
        record_sizes(&mut client, answers),
        (vec![answers + OVERHEAD], 1)
    );
    let mut records = Vec::new();
    for _ in 0..100 {
        let connection = &mut client.stream.connection;
        connection
            .writer()
            .write_all(b"GET /ping\n")
            .expect("a record");
        connection.write_tls(&mut records).expect("a record");
    }
    client
        .stream
        .socket
        .write_all(&records)
        .expect("they are taken");
    assert_eq!(
        record_sizes(&mut client, answers),
        (vec![answers + OVERHEAD], 1)
    );
}

#[test]
fn records_are_as_small_as_was_asked_for() {
    for (arguments, most) in [(&[][..], 16384), (&["--tls-record-size", "1024"][..], 1024)] {
        let server = Secured::start_with(StoreKind::Memory, arguments);
        let mut client = server.connect();
        let ids: Vec<String> = (0..10_000).map(|n| format!("resource {n}")).collect();
        let body = ids.join("\n");
        client.send(format!(
            "POST /pool/A HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let mut answer = vec![0; serde_json::json!(ids).to_string().len()];
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n",
            answer.len()
        );
        client.expect(&head);
        client.stream.read_exact(&mut answer).expect("the members");
        client.send("GET /pool/A HTTP/1.1\r\n\r\n");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let (sizes, _) = record_sizes(&mut client, head.len() + body.len());
        let full = sizes
            .iter()
            .filter(|size| **size == most + OVERHEAD)
            .count();
        assert_eq!(
            full,
            (head.len() + body.len()) / most,
            "as few as possible: {sizes:?}"
        );
        assert!(
            sizes.iter().all(|size| *size <= most + OVERHEAD),
            "{sizes:?}"
        );
    }
}
