//! `latchd --ping URL`, the health check of an image without a shell: exit code 0 if `200` is
//! answered, 1 with one line if not, 2 if the URL is wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::launch::{free_port, latchd_in};
use crate::support::{Ended, Server, StoreKind, run, run_command, signal};

#[test]
fn a_server_that_lives_is_well() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let port = server.address.port();
        for url in [
            server.url(),
            server.url() + "/ping",
            server.url() + "/",
            server.address.to_string(),
            format!("http://localhost:{port}"),
        ] {
            assert_eq!(ping(&url), (Some(0), String::new()), "{url}");
        }
    }
}

#[test]
fn an_answer_other_than_200_is_shown() {
    let server = Server::start(StoreKind::Memory);
    let url = server.url() + "/pool/missing";
    let line = format!("error: {url}: it answered \"HTTP/1.1 404 no pool\"\n");
    assert_eq!(ping(&url), (Some(1), line));
}

#[test]
fn a_port_without_a_listener_is_named() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let (code, line) = ping(&url);
    assert_eq!(code, Some(1), "{line}");
    assert!(line.starts_with(&format!("error: {url}/ping: ")), "{line}");
    assert!(line.contains("refused"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn a_name_that_is_nowhere_is_named() {
    let (code, line) = ping("latchd.invalid:8081");
    assert_eq!((code, line.lines().count()), (Some(1), 1), "{line}");
    assert!(
        line.starts_with("error: http://latchd.invalid:8081/ping: "),
        "{line}"
    );
}

/// The system still accepts for it.
#[test]
fn a_server_that_hangs_is_given_up_after_two_seconds() {
    let server = Server::start(StoreKind::Memory);
    signal(server.pid(), "STOP");
    let started = Instant::now();
    let (code, line) = ping(&server.url());
    let took = started.elapsed();
    assert_eq!(code, Some(1), "{line}");
    assert!(line.ends_with(": no answer within 2 s\n"), "{line}");
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn whatever_else_may_answer_is_not_taken_for_a_latchd() {
    for (answer, words) in [
        ("", "closed the connection without an answer"),
        ("200 pong\n", r#"answered "200 pong""#),
        ("SSH-2.0-x\r\n", r#"answered "SSH-2.0-x""#),
        ("\u{1b}[31m\n", r#"answered "\u{1b}[31m""#),
        (&"x".repeat(100_000), "answered \"xxx"),
    ] {
        let (address, request) = stranger(answer);
        let (code, line) = ping(&address.to_string());
        assert_eq!((code, line.lines().count()), (Some(1), 1), "{line}");
        assert!(line.contains(words), "{line}");
        assert!(line.len() < 400, "{line}");
        let expected =
            format!("GET /ping HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        assert_eq!(request.join().expect("it was asked"), expected);
    }
}

#[test]
fn a_wrong_url_is_a_wrong_configuration() {
    for (url, words) in [
        ("", "the port is missing"),
        ("http://127.0.0.1", "the port is missing"),
        ("http://127.0.0.1:99999", "1 to 65535"),
        ("http://user:secret@h:1", "no passwords"),
        ("user:secret@h:1", "no passwords"),
    ] {
        let ended = run(&TempDir::new().expect("a folder"), &["--ping", url]);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{url}");
        assert!(ended.stderr.contains(words), "{url}: {}", ended.stderr);
        assert!(ended.stderr.contains("--ping"), "{url}: {}", ended.stderr);
        assert!(!ended.stderr.contains("secret"), "{url}: {}", ended.stderr);
    }
}

/// The environment of a container is its server's. So it may not turn the server into a health
/// check, nor keep the check from being one.
#[test]
fn the_environment_is_the_servers() {
    let server = Server::start(StoreKind::Memory);
    let folder = TempDir::new().expect("a folder");
    let mut command = latchd_in(&folder, &["--ping", &server.url()]);
    command
        .env("LATCHD_LISTEN", "not.here.invalid:1")
        .env("LATCHD_CONFIG", "missing.json5")
        .env("NODE_CONFIG", "{");
    assert_eq!(run_command(command).code, Some(0));

    let mut command = latchd_in(&folder, &["--check"]);
    command.env("LATCHD_PING", server.url());
    let ended = run_command(command);
    assert!(ended.stdout.starts_with("listen "), "{}", ended.stdout);
    let both = run(&folder, &["--ping", &server.url(), "--check"]);
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}

#[track_caller]
fn ping(url: &str) -> (Option<i32>, String) {
    let folder = TempDir::new().expect("a folder");
    let ended = run(&folder, &["--ping", url]);
    let Ended {
        code,
        stdout,
        stderr,
    } = ended;
    assert_eq!(stdout, "", "all that is said is what is wrong");
    (code, stderr)
}

/// Plays a server that gives one request this answer, and reports the request.
fn stranger(answer: &str) -> (SocketAddr, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let answer = answer.to_owned();
    let request = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 1000];
        let length = stream.read(&mut request).expect("a request");
        // A client that has read enough may have closed.
        let _ = stream.write_all(answer.as_bytes());
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (address, request)
}
