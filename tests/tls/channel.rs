//! A channel by itself, without a socket: bytes in, bytes out. Both ends are here.

use latchd::tls::{Channel, ClientSettings, Pem, Received, Roots, ServerSettings};

use crate::support::tls::{Authority, NAMES};

/// The settings of both ends.
struct Ends {
    server: ServerSettings,
    client: ClientSettings,
}

impl Ends {
    fn new(record_bytes: u16) -> Ends {
        let authority = Authority::new();
        let identity = authority.sign("server", NAMES);
        let [ca, cert, key] = [authority.ca(), identity.cert, identity.key]
            .map(|path| std::fs::read(path).expect("a file"));
        let server = ServerSettings::new(pem(&cert), pem(&key), record_bytes);
        let client = ClientSettings::new("localhost", Roots::File(pem(&ca)), None);
        Ends {
            server: server.expect("a certificate and its key"),
            client: client.expect("an authority"),
        }
    }

    /// Both ends after the handshake, with nothing left to say.
    fn connected(&self) -> (Channel, Channel) {
        let (mut server, mut client) = (self.server.accept(), self.client.connect());
        loop {
            let (to_server, to_client) = (taken(&mut client), taken(&mut server));
            if to_server.is_empty() && to_client.is_empty() {
                break;
            }
            assert_eq!(received(&mut server, to_server), "");
            assert_eq!(received(&mut client, to_client), "");
        }
        assert!(server.is_ready() && client.is_ready());
        (server, client)
    }
}

fn pem(text: &[u8]) -> Pem<'_> {
    Pem { name: "it", text }
}

/// All that a channel has to send, as if the system had taken it.
fn taken(channel: &mut Channel) -> Vec<u8> {
    let bytes = channel.output().to_vec();
    channel.handle_sent(bytes.len());
    bytes
}

/// The plaintext in the input of a channel, which must not be its end.
#[track_caller]
fn received(channel: &mut Channel, mut bytes: Vec<u8>) -> String {
    let mut plaintext = Vec::new();
    let result = channel.receive(&mut bytes, &mut |bytes| plaintext.extend_from_slice(bytes));
    assert_eq!(result, Ok(Received::More));
    String::from_utf8(plaintext).expect("tests speak UTF-8")
}

#[track_caller]
fn send(channel: &mut Channel, plaintext: &str) {
    channel.send(plaintext.as_bytes()).expect("it can be sent");
}

#[test]
fn every_cut_of_a_conversation_comes_to_the_same() {
    let ends = Ends::new(16384);
    for size in [1, 2, 3, 5, 7, 64, 333, 1024] {
        let (mut server, mut client) = (ends.server.accept(), ends.client.connect());
        let (mut heard, mut answered) = (String::new(), String::new());
        let mut rounds = 0;
        while answered.len() < 8 {
            let to_server = taken(&mut client);
            for piece in to_server.chunks(size) {
                heard += &received(&mut server, piece.to_vec());
            }
            if heard == "GET /ping\n" {
                send(&mut server, "200 pong");
                heard.clear();
            }
            for piece in taken(&mut server).chunks(size) {
                answered += &received(&mut client, piece.to_vec());
            }
            if rounds == 2 {
                send(&mut client, "GET /ping\n");
            }
            rounds += 1;
            assert!(rounds < 10, "in pieces of {size} it comes to an end");
        }
        assert_eq!(answered, "200 pong");
    }
}

#[test]
fn what_is_idle_has_nothing_to_send() {
    let (mut server, mut client) = Ends::new(16384).connected();
    for round in 0..3 {
        send(&mut client, &format!("request {round}"));
        let request = taken(&mut client);
        assert_eq!(received(&mut server, request), format!("request {round}"));
        assert_eq!(server.output(), b"", "a request alone makes no answer");
    }
}

/// The peer can use only complete records, so plaintext in a partial one has not left.
#[test]
fn plaintext_counts_as_sent_with_the_last_byte_of_its_record() {
    let (mut server, mut client) = Ends::new(512).connected();
    let plaintext = "x".repeat(512 + 512 + 100);
    send(&mut server, &plaintext);
    assert_eq!(server.unsent_plaintext(), plaintext.len());
    let output = server.output().to_vec();
    let ends = record_ends(&output);
    let sizes: Vec<usize> = ends
        .iter()
        .scan(0, |start, end| Some(end - std::mem::replace(start, *end)))
        .collect();
    assert_eq!(
        sizes,
        [512 + 22, 512 + 22, 100 + 22],
        "a header, a type, a tag"
    );
    let (mut sent, mut left) = (0, 0);
    for (byte, _) in output.iter().enumerate() {
        let now = server.handle_sent(1);
        sent += now;
        left += usize::from(now > 0);
        let whole: usize = ends.iter().filter(|end| **end <= byte + 1).count();
        assert_eq!(left, whole, "at byte {byte}");
        assert_eq!(server.unsent_plaintext(), plaintext.len() - sent);
    }
    assert_eq!(sent, plaintext.len());
    assert_eq!(received(&mut client, output), plaintext);
}

/// The ends of the records in some bytes: RFC 8446, 5.1.
fn record_ends(bytes: &[u8]) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        at += 5 + usize::from(u16::from_be_bytes([bytes[at + 3], bytes[at + 4]]));
        ends.push(at);
    }
    assert_eq!(at, bytes.len(), "whole records");
    ends
}

#[test]
fn nothing_more_is_encrypted_while_there_is_something_to_be_sent() {
    let (mut server, mut client) = Ends::new(16384).connected();
    let long = "x".repeat(1 << 20);
    send(&mut server, &long);
    let held = server.output().len();
    assert!(
        held < 66 << 10,
        "{held} bytes are held for a client that does not read"
    );
    for _ in 0..10 {
        send(&mut server, &long);
        assert_eq!(server.output().len(), held);
    }
    // The rest has not been taken: the caller must offer it again.
    let carried = server.unsent_plaintext();
    let output = taken(&mut server);
    assert_eq!(received(&mut client, output).len(), carried);
}

#[test]
fn no_record_carries_more_than_was_asked_for_and_what_fits_is_in_one() {
    for (record_bytes, length, records) in [
        (512, 512, 1),
        (512, 513, 2),
        (4096, 4096, 1),
        (4096, 10_000, 3),
        (16384, 16384, 1),
        (16384, 16385, 2),
    ] {
        let ends = Ends::new(record_bytes);
        let mut server = ends.server.accept();
        let mut client = ends.client.connect();
        let hello = taken(&mut client);
        received(&mut server, hello);
        let handshake = server.output().to_vec();
        let longest = |ends: &[usize]| {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            starts.zip(ends).map(|(start, end)| end - start).max()
        };
        let longest_allowed = 5 + usize::from(record_bytes) + 1 + 16;
        assert!(longest(&record_ends(&handshake)) <= Some(longest_allowed));
        let (mut server, _) = ends.connected();
        send(&mut server, &"x".repeat(length));
        let ends = record_ends(server.output());
        assert_eq!(
            ends.len(),
            records,
            "{length} bytes in records of {record_bytes}"
        );
        assert!(longest(&ends) <= Some(longest_allowed));
    }
}

#[test]
fn the_end_is_said_and_heard_once() {
    let (mut server, mut client) = Ends::new(16384).connected();
    send(&mut client, "the last");
    client.close();
    assert!(client.is_over());
    let mut last = taken(&mut client);
    let mut plaintext = Vec::new();
    let take = &mut |bytes: &[u8]| plaintext.extend_from_slice(bytes);
    assert_eq!(server.receive(&mut last, take), Ok(Received::End));
    assert_eq!(
        plaintext, b"the last",
        "all that was said before it is heard"
    );
    assert!(server.has_ended() && !server.is_over());
    assert_eq!(received(&mut server, b"what comes behind it".to_vec()), "");
    // We may still speak.
    send(&mut server, "an answer");
    server.close();
    assert_eq!(record_ends(server.output()).len(), 2);
    let output = taken(&mut server);
    // The client has sent its end, and receives nothing any more.
    assert_eq!(received(&mut client, output), "");
    send(&mut server, "more");
    assert_eq!(server.output(), b"", "behind the end nothing can be said");
}

#[test]
fn a_broken_record_ends_it_with_an_alert() {
    let (mut server, mut client) = Ends::new(16384).connected();
    send(&mut client, "a request");
    let mut record = taken(&mut client);
    *record.last_mut().expect("a record") ^= 1;
    let failure = server.receive(&mut record, &mut |_| panic!("nothing of it can be read"));
    assert!(failure.is_err());
    assert!(server.is_over());
    let alert = taken(&mut server);
    let mut alert_received = alert.clone();
    let failure = client.receive(&mut alert_received, &mut |_| {});
    let failure = failure.expect_err("an alert is the end").to_string();
    assert_eq!(failure, "it refuses: BadRecordMac");
    assert_eq!(received(&mut server, b"more".to_vec()), "");
    assert_eq!(server.output(), b"", "it is said once");
}

/// A grant whose answer has not left is undone when its connection fails, so the answer must not leave
/// after that.
#[test]
fn what_had_not_left_before_a_failure_never_leaves() {
    let (mut server, mut client) = Ends::new(16384).connected();
    send(&mut server, "200 4\n");
    let first = server.output()[..3].to_vec();
    assert_eq!(server.handle_sent(first.len()), 0);
    let failure = server.receive(&mut [0; 100], &mut |_| {});
    assert!(failure.is_err());
    assert_eq!(server.output(), b"");
    assert_eq!(server.unsent_plaintext(), 0);
    assert_eq!(received(&mut client, first), "");
}

/// However the bytes are broken, the peer sends at most one more alert, and never panics.
#[test]
fn whatever_comes_instead_of_a_handshake_is_refused() {
    let ends = Ends::new(16384);
    let mut client = ends.client.connect();
    let hello = taken(&mut client);
    let mut random = fastrand::Rng::with_seed(1);
    let mut refused = 0;
    for round in 0..2000 {
        let mut bytes = hello.clone();
        match round % 3 {
            0 => {
                let place = random.usize(..bytes.len());
                bytes[place] = random.u8(..);
            }
            1 => bytes = std::iter::repeat_with(|| random.u8(..)).take(600).collect(),
            _ => {
                let place = random.usize(..bytes.len());
                bytes.splice(place..place, (0..random.usize(..20)).map(|n| n as u8));
            }
        }
        let mut server = ends.server.accept();
        let mut heard = false;
        let result = server.receive(&mut bytes, &mut |_| heard = true);
        assert!(!heard, "no plaintext comes without a handshake");
        refused += usize::from(result.is_err());
        let output = taken(&mut server);
        assert!(output.len() < 4 << 10);
        if result.is_err() {
            let ends = record_ends(&output);
            let start = ends.len().checked_sub(2).map_or(0, |place| ends[place]);
            assert!(
                output.is_empty() || output[start] == 21 || output[start] == 23,
                "an alert"
            );
        }
    }
    assert!(refused > 1000, "{refused} were refused");
}

/// The same behind the handshake, where all is encrypted.
#[test]
fn whatever_comes_behind_the_handshake_is_refused() {
    let ends = Ends::new(16384);
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..100 {
        let (mut server, mut client) = ends.connected();
        send(&mut client, "GET /ping\n");
        let mut bytes = taken(&mut client);
        let place = random.usize(..bytes.len());
        bytes[place] ^= 1 << random.u8(..8);
        // A length that was made greater waits for bytes that never come.
        bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(70_000));
        let result = server.receive(&mut bytes, &mut |_| panic!("it was tampered with"));
        assert!(result.is_err());
    }
}

#[test]
fn a_handshake_without_end_is_not_waited_for() {
    let ends = Ends::new(16384);
    let mut server = ends.server.accept();
    // A ClientHello of 65,535 bytes that begins, and never ends.
    let mut sent = 0;
    let mut record = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    let failure = loop {
        let result = server.receive(&mut record.clone(), &mut |_| {});
        sent += record.len();
        if let Err(failure) = result {
            break failure;
        }
        record[5..9].fill(0);
        assert!(sent < 60_000, "it is refused before it is whole");
    };
    assert_eq!(failure.to_string(), "its handshake has too long a message");
}
