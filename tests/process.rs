//! A server process from its start to its end: it listens at the configured address and says so. It
//! refuses to start if it could not keep its promises. It ends with 0 on a signal, whatever its
//! clients are doing, once it has answered all that they had sent.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::launch::{
    Start, addresses_in, eventually, free_port, latchd_in, refused, start, try_start,
};
use crate::support::{Client, Ended, Server, StoreKind, signal};

const SEED: &str = r#"POST /pool {"A":["1","2","3","4"]}"#;

#[test]
fn it_listens_on_each_address_that_it_is_told() {
    let folder = TempDir::new().expect("a folder");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--store",
        "memory:",
        "--listen",
        "127.0.0.2:0",
    ];
    let (_process, addresses) = start(latchd_in(&folder, &arguments));
    let hosts: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    assert_eq!(hosts, ["127.0.0.1", "127.0.0.2"]);
    assert_eq!(
        Client::connect(addresses[0]).ask(SEED),
        r#"200 {"A":["1","2","3","4"]}"#
    );
    assert_eq!(
        Client::connect(addresses[1]).ask("POST /pool/A/lock"),
        "200 4"
    );
}

#[test]
fn it_listens_on_a_port_that_it_is_told() {
    let folder = TempDir::new().expect("a folder");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let listen = address.to_string();
    let arguments = ["--listen", &listen, "--store", "memory:"];
    let (_process, addresses) = start(latchd_in(&folder, &arguments));
    assert_eq!(addresses, [address]);
    assert_eq!(Client::connect(address).ask("GET /ping"), "200 pong");
}

#[test]
fn it_logs_one_line_at_the_start_that_says_where_it_listens_and_stores() {
    for store in ["memory:", "file:x.redb"] {
        let folder = TempDir::new().expect("a folder");
        let arguments = ["--listen", "127.0.0.1:0", "--store", store];
        let Start::Serves(mut process, line) = try_start(latchd_in(&folder, &arguments)) else {
            panic!("it was to serve");
        };
        let port = addresses_in(&line)[0].port();
        assert_ne!(port, 0, "the port that the system has picked");
        let said = format!("listening on 127.0.0.1:{port}, storing in {store}");
        assert!(line.ends_with(&said), "{line}");
        signal(process.child.id(), "TERM");
        let rest = process.rest_of_log();
        assert!(
            rest.len() == 1 && rest[0].contains("stopping"),
            "nothing but the end: {rest:?}"
        );
    }
}

/// Stops a server while clients are in the middle of all kinds of requests.
fn ends_well(signal_name: &str, store: StoreKind) {
    let mut server = Server::start(store);
    let mut idle = server.connect();
    assert_eq!(idle.ask(SEED), r#"200 {"A":["1","2","3","4"]}"#);
    let mut silent = server.connect();
    let mut half_head = server.connect();
    half_head.send("POST /pool/A/lock HTTP/1.1\r\nHost: h\r\n");
    let mut half_body = server.connect();
    half_body.send("POST /pool/A HTTP/1.1\r\nContent-Length: 5\r\n\r\n[1,");
    let mut half_line = server.connect();
    half_line.send("POST /pool/A/lo");
    pass_time(&server);

    let asked = Instant::now();
    server.signal(signal_name);
    assert_eq!(
        server.wait().code(),
        Some(0),
        "SIG{signal_name} on {store:?}"
    );
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "idle clients hold nothing up"
    );
    for client in [
        &mut idle,
        &mut silent,
        &mut half_head,
        &mut half_body,
        &mut half_line,
    ] {
        client.expect_end();
    }
    if store.is_durable() {
        server.restart();
        assert_eq!(
            server.connect().ask("GET /pool"),
            "200 4 0 0 A",
            "what was half sent is not done"
        );
    }
}

#[test]
fn sigterm_ends_it_with_0_while_connections_are_open() {
    ends_well("TERM", StoreKind::Memory);
    ends_well("TERM", StoreKind::File);
}

#[test]
fn sigint_ends_it_with_0_while_connections_are_open() {
    ends_well("INT", StoreKind::Memory);
    ends_well("INT", StoreKind::File);
}

/// The process is stopped while the request and the signal come in, so that it finds both at once.
#[test]
fn a_request_that_was_sent_before_sigterm_is_answered() {
    for store in StoreKind::ALL {
        let mut server = Server::start(store);
        let mut known = server.connect();
        assert_eq!(known.ask(SEED), r#"200 {"A":["1","2","3","4"]}"#);
        server.signal("STOP");
        known.send("POST /pool/A/lock HTTP/1.1\r\n\r\n");
        let mut unknown = server.connect();
        unknown.send("POST /pool/A/lock/2 HTTP/1.1\r\n\r\n");
        server.signal("TERM");
        server.signal("CONT");
        known.expect("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4");
        unknown.expect("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
        known.expect_end();
        unknown.expect_end();
        drop((known, unknown));
        assert_eq!(server.wait().code(), Some(0));
        if store.is_durable() {
            server.restart();
            let locks = server.connect().ask("GET /pool/A/lock");
            assert!(
                ["200 1 - 4\t2 - 2", "200 1 - 2\t2 - 4"].contains(&&*locks),
                "{locks}"
            );
        }
    }
}

#[test]
fn pipelined_requests_that_were_sent_before_sigterm_are_all_answered() {
    let mut server = Server::start(StoreKind::File);
    let mut client = server.connect();
    assert_eq!(client.ask(SEED), r#"200 {"A":["1","2","3","4"]}"#);
    server.signal("STOP");
    // A listing may be long, so the server does not begin the requests behind it.
    client.send("GET /pool/A\nPOST /pool/A/lock\nGET /pool/A/lock\nGET /pool\n");
    client.send("GET /ping\n".repeat(200));
    server.signal("TERM");
    server.signal("CONT");
    let answers = String::from_utf8(client.read_to_end()).expect("UTF-8");
    let lines: Vec<&str> = answers.lines().collect();
    let first = [
        "200 1\t2\t3\t4",
        "200 4",
        "200 1 - 4",
        "200 4 1 0 A",
        "200 pong",
    ];
    assert_eq!(lines[..lines.len().min(5)], first);
    assert_eq!(lines.len(), 204);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_client_that_takes_no_answer_holds_the_end_up_for_seconds_only() {
    let mut server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    let ids: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    client.send(format!("POST /pool/A {}\n", serde_json::json!(ids)));
    pass_time(&server);
    client.send("GET /pool/A\n".repeat(100));
    pass_time(&server);
    server.signal("TERM");
    eventually("no client is admitted any more", || {
        TcpStream::connect(server.address).err()
    });
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_server_on_the_same_file_is_refused() {
    let mut first = Server::start(StoreKind::File);
    assert_eq!(first.connect().ask(SEED), r#"200 {"A":["1","2","3","4"]}"#);
    let arguments = ["--listen", "127.0.0.1:0", "--store", "file:latchd.redb"];
    let ended = refused(latchd_in(&first.folder, &arguments));
    assert_refused(&ended, &["latchd.redb", "in use"]);
    assert_eq!(
        first.connect().ask("POST /pool/A/lock"),
        "200 4",
        "the first serves on"
    );

    first.kill();
    let (_second, addresses) = start(latchd_in(&first.folder, &arguments));
    assert_eq!(
        Client::connect(addresses[0]).ask("POST /pool/A/lock"),
        "200 3"
    );
}

#[test]
fn a_port_in_use_is_named() {
    let folder = TempDir::new().expect("a folder");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("its address").to_string();
    let listen = ["--listen", "127.0.0.1:0", "--listen", &address];
    let ended = refused(latchd_in(&folder, &listen));
    assert_refused(&ended, &[&address, "in use"]);
}

#[test]
fn a_missing_folder_is_named() {
    let folder = TempDir::new().expect("a folder");
    let store = [
        "--listen",
        "127.0.0.1:0",
        "--store",
        "file:missing/folder/pools.redb",
    ];
    let ended = refused(latchd_in(&folder, &store));
    assert_refused(
        &ended,
        &["missing/folder/pools.redb", "No such file or directory"],
    );
    assert!(
        !folder.path().join("missing").exists(),
        "it makes no folders by itself"
    );
}

/// No user can make files in /sys, not even root, which permissions do not stop elsewhere.
#[test]
fn an_unwritable_folder_is_named() {
    let folder = TempDir::new().expect("a folder");
    let store = ["--listen", "127.0.0.1:0", "--store", "file:/sys/pools.redb"];
    assert_refused(
        &refused(latchd_in(&folder, &store)),
        &["/sys/pools.redb", "cannot be opened"],
    );
}

#[test]
fn a_store_that_is_a_directory_is_named() {
    let folder = TempDir::new().expect("a folder");
    fs::create_dir(folder.path().join("pools")).expect("a folder in it");
    let store = ["--listen", "127.0.0.1:0", "--store", "file:pools"];
    assert_refused(
        &refused(latchd_in(&folder, &store)),
        &["pools", "directory"],
    );
}

#[test]
fn a_seed_is_loaded_at_the_start() {
    let folder = folder_with("pools.json", r#"{"A":["1","2"],"my pool":[7,"é"]}"#);
    let server = Server::start_in(folder, StoreKind::Memory, &["--seed", "pools.json"]);
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool/A"), "200 1\t2");
    assert_eq!(client.ask("GET /pool/my%20pool"), "200 7\té");
    assert_eq!(
        client.ask("POST /pool/A/lock"),
        "200 2",
        "the seed's order is the order of lending"
    );
}

#[test]
fn a_seed_over_pools_adds_to_them_and_keeps_what_is_held() {
    let folder = folder_with("pools.json", r#"{"A":["1","2"]}"#);
    let mut server = Server::start_in(folder, StoreKind::File, &["--seed", "pools.json"]);
    let mut client = server.connect();
    assert_eq!(client.ask("POST /pool/A/lock"), "200 2");
    assert_eq!(
        client.ask(r#"POST /pool {"A":["3"],"B":["x"]}"#),
        r#"200 {"A":["1","2","3"],"B":["x"]}"#
    );
    assert_eq!(server.terminate().code(), Some(0));
    server.restart();
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool"), "200 3 1 0 A\t1 0 0 B");
    assert_eq!(client.ask("GET /pool/A/lock"), "200 1 - 2");
    assert_eq!(
        client.ask("POST /pool/A/lock?n=2&lease"),
        "200 2 - 3\t2 - 1"
    );
}

#[test]
fn purge_on_start_releases_every_lock_and_nothing_else() {
    let mut server = Server::start_with(StoreKind::File, &["--purge-on-start"]);
    let mut client = server.connect();
    assert_eq!(client.ask(SEED), r#"200 {"A":["1","2","3","4"]}"#);
    assert_eq!(
        client.ask("POST /pool/A/lock?n=2&lease"),
        "200 1 - 4\t1 - 3"
    );
    assert_eq!(
        client.ask(r#"POST /pool {"B":["x"]}"#),
        r#"200 {"B":["x"]}"#
    );
    assert_eq!(client.ask("POST /pool/B/lock"), "200 x");
    server.kill();
    server.restart();
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool"), "200 4 0 0 A\t1 0 0 B");
    assert_eq!(
        client.ask("POST /pool/A/lock?lease"),
        "200 1001 - 2",
        "fences go on rising, after a kill a thousand higher"
    );
}

/// Exit code 1, and a message with these words that a user can read.
#[track_caller]
fn assert_refused(ended: &Ended, words: &[&str]) {
    let message = &ended.stderr;
    assert_eq!(ended.code, Some(1), "{message}");
    assert_eq!(
        message.lines().count(),
        1,
        "one line for a failure:\n{message}"
    );
    assert!(
        words.iter().all(|word| message.contains(word)),
        "{words:?} in {message:?}"
    );
    assert!(!message.contains("panicked"), "{message}");
}

fn folder_with(name: &str, text: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join(name), text).expect("a file in it");
    folder
}

/// Lets the server read all earlier input, as it is one loop.
fn pass_time(server: &Server) {
    let mut client = server.connect();
    for _ in 0..2 {
        assert_eq!(client.ask("GET /ping"), "200 pong");
    }
}
