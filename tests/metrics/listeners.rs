//! Listeners of the metrics: the service's own, or an address for administration.

use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::keys::{bearer, serve};
use crate::support::Process;
use crate::support::launch::{addresses_in, eventually, latchd_in, refused};

/// A latchd with an address for the metrics: the process, its main address and that one.
pub fn start(folder: &TempDir, arguments: &[&str]) -> (Process, SocketAddr, SocketAddr) {
    let mut command = latchd_in(folder, arguments);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.args(["--store", "memory:"]);
    let mut process = Process::spawn(command);
    let line = process.wait_for_line("metrics on ");
    let admin = line
        .rsplit(' ')
        .next()
        .and_then(|address| address.parse().ok());
    let main = addresses_in(&process.wait_for_line("listening on "))[0];
    (process, main, admin.expect("the line ends in an address"))
}

#[test]
fn an_address_of_their_own_is_the_only_one_that_has_them() {
    let folder = TempDir::new().expect("a folder");
    let (_process, main, admin) = start(&folder, &[]);
    let well = [
        ("GET /", concat!("200 latchd ", env!("CARGO_PKG_VERSION"))),
        ("GET /ping", "200 pong"),
        ("GET /health", "200 ok"),
        ("GET /ready", "200 ready"),
    ];
    let mut client = Client::connect(main);
    converse(&mut client, &well);
    converse(
        &mut client,
        &[
            ("GET /metrics", "404 no route"),
            ("OPTIONS /metrics", "404 no route"),
            ("POST /pool/A 1", r#"200 ["1"]"#),
        ],
    );
    let mut client = Client::connect(admin);
    converse(&mut client, &well);
    for request in [
        "GET /pool",
        r#"POST /pool {"A":[1]}"#,
        "GET /pool/A",
        "DELETE /pool/A",
        "POST /pool/A/lock",
        "POST /pool/A/lock/1",
        "OPTIONS /pool/A/lock",
    ] {
        assert_eq!(client.ask(request), "404 no route", "{request}");
    }
    let page = scrape(admin);
    assert_eq!(page.value("latchd_pool_free", &[("pool", "A")]), 1.0);
    let labels = [("route", "none"), ("method", "GET"), ("status", "404")];
    assert_eq!(page.value("latchd_requests_total", &labels), 3.0);
}

/// A server that is full can still be looked at; not by any number of clients.
#[test]
fn there_is_room_for_a_look_when_there_is_none_for_clients() {
    let folder = TempDir::new().expect("a folder");
    let (_process, main, admin) = start(&folder, &["--max-connections", "1"]);
    let mut first = Client::connect(main);
    let held = [
        ("POST /pool/A 1", r#"200 ["1"]"#),
        ("POST /pool/A/lock", "200 1"),
    ];
    converse(&mut first, &held);
    // A queued client is not evicted.
    first.send("POST /pool/A/lock?wait=60\n");
    eventually("it is queued", || {
        (scrape(admin).value("latchd_waiters", &[]) == 1.0).then_some(())
    });
    let mut second = Client::connect(main);
    second.send("GET /ping\n");
    let page = scrape(admin);
    expect_lines(&page, "latchd_connections_max", &[" 1"]);
    // This one, and no second client.
    expect_lines(&page, "latchd_connections ", &["2"]);
    let mut lookers: Vec<Client> = (0..16).map(|_| Client::connect(admin)).collect();
    for looker in &mut lookers {
        assert_eq!(looker.ask("GET /health"), "200 ok");
    }
    let mut one_more = Client::connect(admin);
    one_more.send("GET /health\n");
    // The lookers are idle, and none of them is evicted.
    for looker in &mut lookers {
        assert_eq!(looker.ask("GET /health"), "200 ok");
    }
    drop(lookers.pop());
    assert_eq!(one_more.read_line(), "200 ok");
    drop(first);
    assert_eq!(second.read_line(), "200 pong");
}

/// The longest-idle one is evicted, and after two seconds only.
#[test]
fn silent_connections_do_not_block_the_metrics() {
    let folder = TempDir::new().expect("a folder");
    let (_process, _, admin) = start(&folder, &[]);
    let started_at = Instant::now();
    let mut first = Client::connect(admin);
    let mut begun = Client::connect(admin);
    begun.send("GET /metrics HTTP/1.1\r\n");
    let silent: Vec<Client> = (0..14).map(|_| Client::connect(admin)).collect();
    let mut served = Client::connect(admin);
    assert_eq!(served.ask("GET /health"), "200 ok");
    let waited = started_at.elapsed();
    assert!(
        waited > Duration::from_millis(1_900) && waited < Duration::from_secs(30),
        "it waited for {waited:?}"
    );
    first.expect_end();
    // All of them are idle by now, and are evicted one after the other; the one that has just asked is not.
    let mut looking: Vec<Client> = (0..3).map(|_| Client::connect(admin)).collect();
    for client in &mut looking {
        assert_eq!(client.ask("GET /health"), "200 ok");
    }
    assert_eq!(served.ask("GET /health"), "200 ok");
    drop(silent);
}

#[test]
fn evicted_and_rejected_connections_are_counted() {
    let folder = TempDir::new().expect("a folder");
    let most = ["--max-connections", "8", "--max-per-address", "1"];
    let (_process, main, admin) = start(&folder, &most);
    let mut idle = Client::connect(main);
    assert_eq!(idle.ask("GET /ping"), "200 pong");
    let mut holder = Client::connect(main);
    let held = [
        ("POST /pool/A 1", r#"200 ["1"]"#),
        ("POST /pool/A/lock", "200 1"),
    ];
    converse(&mut holder, &held);
    idle.expect_end();
    holder.send("POST /pool/A/lock?wait=60\n");
    eventually("it is queued", || {
        (scrape(admin).value("latchd_waiters", &[]) == 1.0).then_some(())
    });
    Client::connect(main).expect_end();
    let page = scrape(admin);
    let closed = page.value("latchd_connections_closed_total", &[("reason", "yielded")]);
    assert_eq!(closed, 1.0);
    let refused = [
        r#"{reason="address crowded"} 1"#,
        r#"{reason="no descriptor"} 0"#,
    ];
    expect_lines(&page, "latchd_connections_refused_total", &refused);
}

/// They name all pools, so that a key for some of them is not enough.
#[test]
fn with_keys_they_are_for_keys_that_may_read_all_pools() {
    const KEYS: &str = "\
        part secret-for-a-part-of-it read  A*\n\
        boss secret-for-administering admin A*\n\
        all  secret-for-all-of-them   read  *\n\
        root secret-for-everything-at admin *\n";
    let server = serve(KEYS, &[]);
    let mut client = server.connect();
    for (secret, answer) in [
        ("", "401 no key"),
        ("key=secret-of-nobody ", "401 wrong key"),
        ("key=secret-for-a-part-of-it ", "403 not allowed"),
        ("key=secret-for-administering ", "403 not allowed"),
    ] {
        assert_eq!(
            client.ask(&format!("{secret}GET /metrics")),
            answer,
            "{secret}"
        );
    }
    for secret in ["secret-for-all-of-them", "secret-for-everything-at"] {
        let fields = format!("{}\r\n", bearer(secret));
        let (head, page) = get(&mut client, "/metrics", &fields);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let page = Page::read(&page);
        let refused = |status| {
            let labels = [("route", "/metrics"), ("method", "GET"), ("status", status)];
            page.value("latchd_requests_total", &labels)
        };
        assert_eq!([refused("401"), refused("403")], [2.0, 2.0]);
    }
    converse(
        &mut client,
        &[("GET /health", "200 ok"), ("GET /ready", "200 ready")],
    );
}

#[test]
fn beside_all_else_they_are_in_each_form() {
    let server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    let line = client.ask("GET /metrics");
    let page = line
        .strip_prefix("200 ")
        .expect("a line")
        .replace('\t', "\n");
    Page::read(&page);
    // Without Accept the answer names no type, as everywhere; this page has no form in JSON.
    let (head, body) = get(&mut client, "/metrics", "");
    assert_eq!(
        head,
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())
    );
    Page::read(&body);
    let (head, body) = get(&mut client, "/metrics", "Accept: application/json\r\n");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    Page::read(&body);
    client.send("HEAD /metrics HTTP/1.1\r\n\r\nGET /ping HTTP/1.1\r\n\r\n");
    assert_eq!(client.read_line(), "HTTP/1.1 200 OK\r");
    assert!(client.read_line().starts_with("Content-Length: "));
    client.expect("\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong");
    converse(
        &mut client,
        &[
            ("POST /metrics", "405 bad method"),
            ("GET /metrics?x=1", "400 bad parameter x"),
        ],
    );
}

/// Two that shared a port would be asked by turns.
#[test]
fn an_address_that_is_taken_is_refused_also_with_reuse_port() {
    let folder = TempDir::new().expect("a folder");
    let (_process, _, admin) = start(&folder, &["--reuse-port"]);
    let mut command: Command = latchd_in(&folder, &["--listen", "127.0.0.1:0", "--reuse-port"]);
    command.args(["--store", "memory:", "--admin-listen", &admin.to_string()]);
    let ended = refused(command);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains(&format!("cannot listen on {admin}")),
        "{}",
        ended.stderr
    );
}
