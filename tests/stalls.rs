//! A server that was stopped, or whose machine was busy: a request that was sent in time counts, though it is
//! read late.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::metrics::scrape;
use crate::support::{Client, Server, StoreKind};

/// The leases that are renewed while the server stands still.
const RENEWED: usize = 300;
/// The renewals among them on connections that are made meanwhile.
const ON_NEW_CONNECTIONS: usize = 280;
/// The length of the leases.
const LEASE: Duration = Duration::from_secs(2);

/// Takes leases in pool A that end in two seconds, one of which no client renews. Returns the time of their
/// requests.
fn leases(client: &mut Client) -> Instant {
    let ids: Vec<usize> = (0..=RENEWED).collect();
    let seeded = client.ask(&format!("POST /pool/A {ids:?}"));
    assert!(seeded.starts_with("200 "), "{seeded}");
    let mut requests = String::new();
    for id in &ids {
        writeln!(requests, "POST /pool/A/lock/{id}?ttl=2").expect("a string grows");
    }
    let taken = Instant::now();
    client.send(requests);
    for id in ids {
        assert_eq!(client.read_line(), format!("200 {id}"));
    }
    taken
}

#[test]
fn leases_that_were_renewed_while_the_server_stood_still_go_on() {
    for store in [StoreKind::Memory, StoreKind::File] {
        let mut server = Server::start(store);
        let mut first = server.connect();
        let mut clients: Vec<Client> = (ON_NEW_CONNECTIONS..RENEWED)
            .map(|_| server.connect())
            .collect();
        let taken = leases(&mut first);
        server.signal("STOP");
        clients.extend((0..ON_NEW_CONNECTIONS).map(|_| server.connect()));
        for (id, client) in clients.iter_mut().enumerate() {
            client.send(format!("PUT /pool/A/lock/{id}?ttl=600\n"));
        }
        assert!(
            taken.elapsed() < LEASE,
            "this machine is too slow to renew in time"
        );
        // All leases are over, and the server stood still for more than a second.
        std::thread::sleep((LEASE + Duration::from_millis(1500)).saturating_sub(taken.elapsed()));
        server.signal("CONT");
        for (id, client) in clients.iter_mut().enumerate() {
            assert_eq!(
                client.read_line(),
                "200",
                "{store:?}: lease {id} was renewed in time"
            );
        }
        assert_eq!(
            first.ask("GET /pool"),
            format!("200 {} {RENEWED} 0 A", RENEWED + 1),
            "the one that was not renewed has ended"
        );
        server.wait_for_log("the server stood still for at least ");
        let page = scrape(server.address);
        assert!(page.value("latchd_stalls_total", &[]) >= 1.0);
        let seconds = page.value("latchd_stall_seconds_total", &[]);
        assert!((1.0..60.0).contains(&seconds), "{seconds}");
    }
}

/// Also if nothing was due meanwhile.
#[test]
fn a_stall_of_an_idle_server_is_noticed() {
    let mut server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    assert_eq!(client.ask("GET /ping"), "200 pong");
    server.signal("STOP");
    std::thread::sleep(Duration::from_millis(2500));
    server.signal("CONT");
    let said = server.wait_for_log("the server stood still for at least ");
    assert!(
        said.contains(" ms: it was stopped, or its machine or disk was busy"),
        "{said}"
    );
}
