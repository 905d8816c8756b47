//! The client's end of TLS with a bad way or peer: it gives up a stalled request at the deadline, and
//! takes no cut answer for a whole one.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use latchd::client::{
    Client, ClientError, ClientResponse, ClientResponseError, Peer, Request, Trust, Url,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::support::tls::{Authority, NAMES, Secured};
use crate::support::{PATIENCE, StoreKind};

/// A client of a server on loopback, which trusts an authority.
fn client_of(port: u16, authority: &Authority) -> Client {
    let url = Url::parse(&format!("https://localhost:{port}")).expect("a good URL");
    let trust = Trust::File {
        name: "--ca",
        path: &authority.ca(),
    };
    let peer = Peer::new(url, trust).expect("a good file");
    Client { peer, key: None }
}

/// The behaviour of a way when its limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    StandStill,
    End,
    /// A byte now and then.
    Trickle,
}

/// A way to a server that passes on at most `downwards` bytes from it, and at most `upwards` bytes to
/// it.
fn way(server: SocketAddr, upwards: u64, downwards: u64, then: Then) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        let (mut near, _) = listener.accept().expect("a connection");
        let mut far = TcpStream::connect(server).expect("the server accepts");
        let (mut near_too, mut far_too) = (
            near.try_clone().expect("it can be"),
            far.try_clone().expect("it can be"),
        );
        thread::spawn(move || {
            let mut let_through = Read::by_ref(&mut near_too).take(upwards);
            let _ = io::copy(&mut let_through, &mut far_too);
            if upwards == u64::MAX {
                let _ = far_too.shutdown(Shutdown::Write);
            } else {
                // And it reads no more, so that the client finds no room to write in.
                thread::sleep(PATIENCE);
            }
        });
        let mut let_through = Read::by_ref(&mut far).take(downwards);
        let _ = io::copy(&mut let_through, &mut near);
        let rest = BufReader::new(far).bytes().map_while(Result::ok);
        match then {
            Then::End => {
                let _ = near.shutdown(Shutdown::Both);
            }
            Then::StandStill => thread::sleep(PATIENCE),
            Then::Trickle => {
                for byte in rest {
                    thread::sleep(Duration::from_millis(20));
                    if near.write_all(&[byte]).is_err() {
                        return;
                    }
                }
            }
        }
    });
    port
}

const LIMIT: Duration = Duration::from_millis(300);
/// In which a handshake is over, however busy the machine is.
const LONG_LIMIT: Duration = Duration::from_secs(3);

/// Returns the error of a request that must be given up in time.
#[track_caller]
fn given_up(client: &Client, request: &Request, limit: Duration) -> ClientError {
    let started = Instant::now();
    let error = client.ask(request, limit).expect_err("there is no answer");
    let took = started.elapsed();
    assert!(took >= limit, "not before: {took:?}, {error}");
    assert!(
        took < limit + Duration::from_secs(5),
        "at its deadline: {took:?}"
    );
    error
}

#[test]
fn what_stands_still_is_given_up_in_time() {
    let server = Secured::start();
    let ping = Request::new("GET", &["ping"]);
    for (downwards, then, words) in [
        (0, Then::StandStill, "no TLS handshake in time"),
        (1, Then::StandStill, "no TLS handshake in time"),
        (200, Then::StandStill, "no TLS handshake in time"),
        (0, Then::Trickle, "no TLS handshake in time"),
        (500, Then::Trickle, "no TLS handshake in time"),
    ] {
        let port = way(server.tls, u64::MAX, downwards, then);
        let error = given_up(&client_of(port, &server.authority), &ping, LIMIT);
        assert!(matches!(error, ClientError::Unreachable(_)), "{error:?}");
        assert!(error.to_string().starts_with(words), "{downwards}: {error}");
    }
    // Behind the handshake. It has been asked, and the answer is not there.
    let wait = Request::new("POST", &["pool", "A", "lock"]).with("wait", Some("60"));
    let plain = &mut crate::support::Client::connect(server.plain);
    plain.ask(r#"POST /pool {"A":["1"]}"#);
    plain.ask("POST /pool/A/lock");
    let error = given_up(
        &client_of(server.tls.port(), &server.authority),
        &wait,
        LONG_LIMIT,
    );
    assert!(matches!(error, ClientError::Unanswered(_)), "{error:?}");
    assert_eq!(error.to_string(), "no answer in time");
}

/// A body that the server does not read fills the sockets, and then writes block.
#[test]
fn a_write_that_stands_still_is_given_up_in_time() {
    let server = Secured::start();
    let request = Request::new("PUT", &["pool", "A"]).with_body(vec![b' '; 64 << 20]);
    let port = way(server.tls, 100_000, u64::MAX, Then::StandStill);
    let error = given_up(&client_of(port, &server.authority), &request, LONG_LIMIT);
    assert!(matches!(error, ClientError::Unanswered(_)), "{error:?}");
    assert_eq!(error.to_string(), "no answer in time");
}

/// At every end of the way, an answer is complete or an error; an end behind the answer does no harm.
#[test]
fn an_answer_that_is_cut_off_is_none() {
    let server = Secured::start_with(StoreKind::Memory, &[]);
    let ids: Vec<String> = (0..2000).map(|n| format!("resource {n}")).collect();
    let members = serde_json::json!({"A": ids}).to_string();
    let answer =
        crate::support::Client::connect(server.plain).ask(&format!("POST /pool {members}"));
    assert!(answer.starts_with("200 "), "{answer}");
    let request = Request::new("GET", &["pool", "A"]);
    let mut seen = [0; 3];
    let mut downwards = 0;
    loop {
        let port = way(server.tls, u64::MAX, downwards, Then::End);
        let told = client_of(port, &server.authority).ask(&request, PATIENCE);
        match told {
            Ok(ClientResponse { status, body, .. }) => {
                assert_eq!(status, 200);
                let told: Vec<String> = serde_json::from_slice(&body).expect("JSON");
                assert_eq!(told, ids);
                seen[2] += 1;
            }
            Err(ClientError::Unreachable(error)) => {
                let words = "it closed the connection in the TLS handshake";
                assert_eq!(error.to_string(), words);
                assert_eq!((seen[1], seen[2]), (0, 0), "at {downwards}");
                seen[0] += 1;
            }
            Err(ClientError::Unanswered(ClientResponseError::Cut)) => {
                assert_eq!(seen[2], 0, "at {downwards}");
                seen[1] += 1;
            }
            Err(error) => panic!("at {downwards}: {error:?}"),
        }
        if seen[2] == 3 {
            break;
        }
        downwards += if seen[1] == 0 { 97 } else { 1009 };
    }
    assert!(seen[0] > 5 && seen[1] > 10, "{seen:?}");
}

/// The end of a connection behind its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As TLS wants it.
    Said,
    /// Without an alert, as any host on the way could end it.
    Unsaid,
    /// It waits for the client to end.
    Awaited,
}

/// Plays a server with a certificate that gives one request this answer, and reports how the client
/// ended.
fn stranger(
    authority: &Authority,
    answer: &'static [u8],
    end: End,
) -> (u16, JoinHandle<io::Result<usize>>) {
    let identity = authority.sign("stranger", NAMES);
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(identity.cert).expect("a certificate")],
            PrivateKeyDer::from_pem_file(identity.key).expect("a key"),
        )
        .expect("they fit");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let conversation = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        let mut connection = ServerConnection::new(Arc::new(config)).expect("a good config");
        let mut tls = rustls::Stream::new(&mut connection, &mut socket);
        let mut request = [0; 4096];
        let count = tls.read(&mut request).expect("a request");
        assert!(request[..count].ends_with(b"\r\n\r\n"));
        tls.write_all(answer).expect("it is taken");
        if end == End::Said {
            tls.conn.send_close_notify();
            tls.flush().expect("it is taken");
        }
        if end != End::Awaited {
            // The end of TCP, and no reset.
            tls.sock.shutdown(Shutdown::Write).expect("it is open");
        }
        tls.read(&mut request)
    });
    (port, conversation)
}

#[test]
fn an_end_that_was_not_said_ends_no_answer_but_one_that_is_whole() {
    let authority = Authority::new();
    let counted = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";
    let endless = b"HTTP/1.0 200 OK\r\n\r\npong";
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npong";
    for (answer, end, is_whole) in [
        (&counted[..], End::Said, true),
        (counted, End::Unsaid, true),
        (endless, End::Said, true),
        (endless, End::Unsaid, false),
        (short, End::Said, false),
        (short, End::Unsaid, false),
        (b"", End::Said, false),
        (b"", End::Unsaid, false),
    ] {
        let (port, _) = stranger(&authority, answer, end);
        let told = client_of(port, &authority).ask(&Request::new("GET", &["ping"]), PATIENCE);
        let case = format!("{}, {end:?}", answer.escape_ascii());
        match told {
            Ok(told) => assert!(is_whole && told.body == b"pong", "{case}"),
            Err(ClientError::Unanswered(ClientResponseError::Cut)) => assert!(!is_whole, "{case}"),
            Err(error) => panic!("{case}: {error:?}"),
        }
    }
}

#[test]
fn it_says_its_end() {
    let authority = Authority::new();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";
    let (port, conversation) = stranger(&authority, answer, End::Awaited);
    let told = client_of(port, &authority).ask(&Request::new("GET", &["ping"]), PATIENCE);
    assert_eq!(told.expect("an answer").body, b"pong");
    let end = conversation.join().expect("no panic");
    assert_eq!(end.expect("close_notify, and no end without it"), 0);
}
