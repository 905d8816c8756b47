//! The end of a server as clients see it, and the handover to the next one: requests that are on their
//! way are answered, and with an inherited listening socket no client is refused in between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use tempfile::TempDir;

use crate::memory::connect_narrowly;
use crate::support::launch::{latchd_in, start};
use crate::support::{Client, PATIENCE, Process, Server, StoreKind, signal};

const SEED: &str = r#"POST /pool {"A":["1","2","3","4"]}"#;
const SEEDED: &str = r#"200 {"A":["1","2","3","4"]}"#;
const CLOSING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n";

#[test]
fn a_request_that_is_on_its_way_at_sigterm_is_answered() {
    let mut server = Server::start(StoreKind::File);
    let mut answered = server.connect();
    assert_eq!(answered.ask(SEED), SEEDED);
    let mut silent = server.connect();
    let mut half_head = server.connect();
    half_head.send("POST /pool/A/lock HTTP/1.1\r\nHost: h\r\n");
    let mut waits = server.connect();
    server.signal("TERM");
    // Its end shows that the server stops: it has asked before, and asks nothing now.
    answered.expect_end();
    half_head.send("\r\n");
    half_head.expect(format!("{CLOSING}4"));
    half_head.expect_end();
    silent.send("POST /pool/A/lock HTTP/1.1\r\n\r\nGET /ping HTTP/1.1\r\n\r\n");
    silent.expect(format!("{CLOSING}3"));
    silent.expect_end();
    waits.send("POST /pool/A/lock/4?wait=60 HTTP/1.1\r\n\r\n");
    waits.expect("HTTP/1.1 503 stopping\r\nContent-Length: 8\r\nConnection: close\r\n\r\nstopping");
    waits.expect_end();
    drop((answered, half_head, silent, waits));
    assert_eq!(server.wait().code(), Some(0));
    server.restart();
    assert_eq!(
        server.connect().ask("GET /pool/A/lock"),
        "200 1 - 4\t2 - 3",
        "and no client holds what was not waited for"
    );
}

#[test]
fn a_client_that_takes_no_answer_holds_up_the_end_for_as_long_as_drain_says() {
    let mut server = Server::start_with(StoreKind::Memory, &["--drain", "1"]);
    let ids: Vec<String> = (0..8000).map(|n| format!("\"{n:0>120}\"")).collect();
    let seed = format!("POST /pool {{\"A\":[{}]}}", ids.join(","));
    assert!(server.connect().ask(&seed).starts_with("200 "));
    let mut client = connect_narrowly(&server);
    for _ in 0..8 {
        client.write_all(b"GET /pool/A\n").expect("it is sent");
    }
    let mut first = [0; 1];
    client.read_exact(&mut first).expect("the answer begins");
    let asked = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?} is too early");
    assert!(took < Duration::from_secs(6), "{took:?} is too late");
}

/// Starts latchd as systemd starts a service with a socket of its own.
fn start_with_socket(folder: &TempDir, socket: &TcpListener) -> (Process, Vec<SocketAddr>) {
    let latchd = latchd_in(
        folder,
        &["--store", "file:x.redb", "--listen", "192.0.2.1:1"],
    );
    start(with_sockets(latchd, &[socket]))
}

/// The same command, but so that it inherits these sockets.
pub fn with_sockets(latchd: Command, sockets: &[&TcpListener]) -> Command {
    let mut shell = Command::new("sh");
    let count = sockets.len();
    let inherits = format!(r#"LISTEN_FDS={count} LISTEN_PID=$$ exec "$0" "$@""#);
    shell.args(["-c", &inherits]);
    shell.arg(latchd.get_program()).args(latchd.get_args());
    shell.current_dir(latchd.get_current_dir().expect("it is given"));
    for (name, value) in latchd.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mapping = |(place, socket): (usize, &&TcpListener)| FdMapping {
        parent_fd: OwnedFd::from(socket.try_clone().expect("a descriptor")),
        child_fd: 3 + place as i32,
    };
    let mappings = sockets.iter().enumerate().map(mapping).collect();
    shell.fd_mappings(mappings).expect("nothing collides");
    shell
}

/// Asks on new connections until `enough` is set; returns the number of requests.
fn ask_on(address: SocketAddr, enough: &AtomicBool) -> usize {
    let mut count = 0;
    while !enough.load(Ordering::Relaxed) {
        let mut socket = TcpStream::connect(address).expect("no client is refused");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let request = b"GET /pool HTTP/1.1\r\nConnection: close\r\n\r\n";
        socket.write_all(request).expect("it is sent");
        let mut answer = String::new();
        socket
            .read_to_string(&mut answer)
            .expect("no client is reset");
        assert!(answer.ends_with("\r\n\r\n4 1 0 A"), "{answer:?}");
        count += 1;
    }
    count
}

#[test]
fn a_restart_with_an_inherited_socket_refuses_no_client() {
    let folder = TempDir::new().expect("a folder");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("its address");
    let (mut latchd, addresses) = start_with_socket(&folder, &socket);
    assert_eq!(addresses, [address], "it listens on nothing else");
    let mut client = Client::connect(address);
    assert_eq!(client.ask(SEED), SEEDED);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 4");

    let enough = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..2)
        .map(|_| {
            let enough = enough.clone();
            thread::spawn(move || ask_on(address, &enough))
        })
        .collect();
    for _ in 0..5 {
        signal(latchd.child.id(), "TERM");
        assert_eq!(latchd.wait().code(), Some(0));
        // No server runs now; this client waits for the next one.
        let mut between = Client::connect(address);
        between.send("GET /ping\n");
        (latchd, _) = start_with_socket(&folder, &socket);
        assert_eq!(between.read_line(), "200 pong");
    }
    enough.store(true, Ordering::Relaxed);
    for asker in askers {
        let count = asker.join().expect("every request was answered");
        assert!(count > 5, "only {count} requests");
    }
}
