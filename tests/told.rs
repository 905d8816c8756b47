//! The clients that count as told of their grants: a client that closed its side before the answer was
//! written has either gone, or still reads, and only its system knows which.

use std::net::SocketAddr;

use crate::support::launch::eventually;
use crate::support::{Client, Server, StoreKind, signal, wait_until_told};

const SEED: &str = r#"POST /pool {"A":["1","2","3","4"]}"#;
const LOCK: &str = "POST /pool/A/lock HTTP/1.1\r\nHost: h\r\n\r\n";

fn seeded(store: StoreKind) -> Server {
    let server = Server::start(store);
    let answer = server.connect().ask(SEED);
    assert_eq!(answer, r#"200 {"A":["1","2","3","4"]}"#);
    server
}

/// Sends to a server that is stopped until the client has gone.
fn send_and_go(server: &Server, mut client: Client, requests: &str) {
    let address = client.stream.local_addr().expect("an address");
    signal(server.pid(), "STOP");
    client.send(requests);
    drop(client);
    wait_until_told(server.address, address);
    signal(server.pid(), "CONT");
}

#[track_caller]
fn becomes(server: &Server, state: &str) {
    eventually(state, || {
        let seen = server.connect().ask("GET /pool");
        (seen == format!("200 {state} A")).then_some(())
    });
}

/// Waits until the server has handled all earlier events of its system.
fn settle(server: &Server) {
    let mut aside = server.connect();
    for _ in 0..3 {
        assert_eq!(aside.ask("GET /ping"), "200 pong");
    }
}

#[test]
fn a_grant_to_a_client_that_closes_at_once_is_undone() {
    for store in StoreKind::ALL {
        let server = seeded(store);
        send_and_go(&server, server.connect(), LOCK);
        becomes(&server, "4 0 0");
        // The lock was given: this is the next fence.
        let next = server.connect().ask("POST /pool/A/lock?lease");
        assert_eq!(next, "200 2 - 3", "{store:?}");
    }
}

#[test]
fn all_grants_to_it_are_undone() {
    let server = seeded(StoreKind::Memory);
    let requests = "POST /pool/A/lock?n=2\nPOST /pool/A/lock\nPOST /pool/A/lock?wait=9\n";
    send_and_go(&server, server.connect(), requests);
    becomes(&server, "4 0 0");
    // So is one on a connection that was in use before.
    let mut client = server.connect();
    assert_eq!(client.ask("GET /ping"), "200 pong");
    send_and_go(&server, client, LOCK);
    becomes(&server, "4 0 0");
    let next = server.connect().ask("POST /pool/A/lock?lease");
    assert!(
        next.starts_with("200 5 - "),
        "four grants came before: {next}"
    );
}

#[test]
fn a_grant_to_an_owner_that_closes_at_once_is_kept() {
    let server = seeded(StoreKind::Memory);
    send_and_go(&server, server.connect(), "POST /pool/A/lock?owner=x\n");
    becomes(&server, "4 1 0");
    settle(&server);
    let again = server.connect().ask("POST /pool/A/lock?owner=x&lease");
    assert_eq!(again, "200 1 - 4");
}

/// FIN after a request is no abort: the answer is still sent, and counts.
#[test]
fn a_client_that_closed_its_side_and_reads_keeps_its_grants() {
    for store in StoreKind::ALL {
        let server = seeded(store);
        for (request, answer, held) in [
            (LOCK, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4", 1),
            ("POST /pool/A/lock?n=2\n", "200 3\t2\n", 3),
        ] {
            let mut client = server.connect();
            let address = client.stream.local_addr().expect("an address");
            signal(server.pid(), "STOP");
            client.send(request);
            client.half_close();
            wait_until_told(server.address, address);
            signal(server.pid(), "CONT");
            client.expect(answer);
            client.expect_end();
            settle(&server);
            let state = format!("200 4 {held} 0 A");
            assert_eq!(server.connect().ask("GET /pool"), state, "{store:?}");
        }
        eventually("it has closed them", || {
            (open_connections(server.address) == 0).then_some(())
        });
    }
}

/// The number of connections that the client has closed and the server's system still holds:
/// proc_pid_net(5), tcp.
fn open_connections(server: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("procfs");
    let local = format!(":{:04X}", server.port());
    let rows = table.lines().filter(|row| {
        let mut fields = row.split_whitespace().skip(1);
        let is_local = fields.next().is_some_and(|field| field.ends_with(&local));
        // CLOSE_WAIT, LAST_ACK.
        is_local
            && fields
                .nth(1)
                .is_some_and(|state| ["08", "09"].contains(&state))
    });
    rows.count()
}

/// Seconds until the system probes the client's end of a connection: proc_pid_net(5), tcp.
#[cfg(target_os = "linux")]
fn next_probe_s(server: SocketAddr, client: SocketAddr) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("procfs");
    let port = |field: Option<&str>| u16::from_str_radix(field?.split_once(':')?.1, 16).ok();
    table.lines().skip(1).find_map(|row| {
        let mut fields = row.split_whitespace().skip(1);
        let ports = (port(fields.next()), port(fields.next()));
        let timer = fields.nth(2)?.strip_prefix("02:")?;
        let hundredths = u64::from_str_radix(timer, 16).ok()?;
        (ports == (Some(server.port()), Some(client.port()))).then_some(hundredths / 100)
    })
}

/// One that waits is probed sooner: others want its place, and NATs forget silent connections.
#[cfg(target_os = "linux")]
#[test]
fn a_waiter_is_probed_after_25_seconds_and_others_after_60() {
    let server = seeded(StoreKind::Memory);
    let mut holder = server.connect();
    assert_eq!(holder.ask("POST /pool/A/lock?n=4"), "200 4\t3\t2\t1");
    let mut client = server.connect();
    let address = client.stream.local_addr().expect("an address");
    let expect = |least: u64, most: u64| {
        eventually(&format!("a probe in {least} to {most} s"), || {
            let seen = next_probe_s(server.address, address);
            seen.is_some_and(|seen| (least..=most).contains(&seen))
                .then_some(())
        });
    };
    assert_eq!(client.ask("GET /ping"), "200 pong");
    expect(26, 60);
    client.send("POST /pool/A/lock?wait=100\n");
    expect(1, 25);
    assert_eq!(holder.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(client.read_line(), "200 1");
    expect(26, 60);
}
