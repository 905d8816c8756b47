//! The lock is lost while the command runs.

use std::time::{Duration, Instant};

use super::support::{Running, ask, is_alive};
use crate::support::programs::seeded;
use crate::support::{Server, StoreKind};

/// Prints `told` at SIGTERM, and ends successfully.
const OBEDIENT: &str = r#"
    sleep 1000 & p=$!
    trap 'echo told; kill $p; exit 0' TERM
    echo ready; while :; do wait $p; done"#;
/// Ignores SIGTERM, and so does the process that it has started in a session of its own.
const STUBBORN: &str = r#"
    trap "" TERM
    setsid sh -c 'echo $$; exec sleep 1000' &
    sleep 0.1; (sleep 1001 & echo $!); echo ready; sleep 1000"#;

fn start(server: &Server, options: &[&str], script: &str) -> Running {
    let mut arguments = vec!["run", "A", "--ttl", "1"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", script]);
    Running::start(server, &arguments)
}

#[test]
fn the_command_is_stopped_when_another_client_releases_the_lock() {
    for store in StoreKind::ALL {
        for release in [
            "DELETE /pool/A/lock",
            "DELETE /pool/A/lock/4?force",
            "DELETE /pool/A",
        ] {
            let server = seeded(store);
            let mut running = start(&server, &[], OBEDIENT);
            assert_eq!(running.line(), "ready");
            assert!(ask(&server, release).starts_with("200"), "{release}");
            assert_eq!(running.line(), "told");
            assert_eq!(running.code(), 115, "whatever the command says");
            let said = running.rest_heard();
            assert!(
                said.starts_with("latch: A: the lock is lost, stopping the command: no"),
                "{said}"
            );
            let own = said.lines().filter(|line| line.starts_with("latch:"));
            assert_eq!(own.count(), 1, "{said}");
        }
    }
}

#[test]
fn a_lock_that_was_lent_to_another_client_is_left_to_it() {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    let mut running = start(&server, &[], OBEDIENT);
    assert_eq!(running.line(), "ready");
    let mut client = server.connect();
    client.send("DELETE /pool/A/lock\nPOST /pool/A/lock?owner=other\n");
    client.expect("200 1\n200 1\n");
    assert_eq!(running.code(), 115);
    assert_eq!(ask(&server, "GET /pool/A/lock"), "200 2 - 1");
}

#[test]
fn the_whole_is_lost_with_a_part() {
    let server = seeded(StoreKind::Memory);
    let mut running = start(&server, &["-n", "2"], OBEDIENT);
    assert_eq!(running.line(), "ready");
    ask(&server, "DELETE /pool/A/lock/3?force");
    assert_eq!(running.line(), "told");
    assert_eq!(running.code(), 115);
    let said = running.rest_heard();
    assert!(said.contains("a part of it was released"), "{said}");
    assert_eq!(
        ask(&server, "GET /pool"),
        "200 4 0 0 A",
        "the rest is released"
    );
}

#[test]
fn what_does_not_end_is_killed_with_all_that_it_has_started() {
    let server = seeded(StoreKind::Memory);
    let mut running = start(&server, &["--grace", "1"], STUBBORN);
    let apart: u32 = running.line().parse().expect("a number");
    let orphan: u32 = running.line().parse().expect("a number");
    assert_eq!(running.line(), "ready");
    assert!(is_alive(apart) && is_alive(orphan));
    ask(&server, "DELETE /pool/A/lock");
    running.hear("the lock is lost");
    let told = Instant::now();
    assert_eq!(running.code(), 115);
    assert!(
        told.elapsed() > Duration::from_millis(900),
        "{:?}",
        told.elapsed()
    );
    assert!(!is_alive(apart), "what is in another session");
    assert!(!is_alive(orphan), "what has lost its parent");
}

#[test]
fn a_command_that_ends_in_its_grace_is_not_waited_for() {
    let server = seeded(StoreKind::Memory);
    let mut running = start(&server, &["--grace", "1000"], "echo ready; exec sleep 1000");
    assert_eq!(running.line(), "ready");
    ask(&server, "DELETE /pool/A/lock");
    assert_eq!(running.code(), 115);
}

#[test]
fn a_command_that_was_stopped_is_woken_to_end() {
    let server = seeded(StoreKind::Memory);
    let mut running = start(&server, &["--grace", "1000"], "echo ready; kill -STOP $$");
    assert_eq!(running.line(), "ready");
    ask(&server, "DELETE /pool/A/lock");
    assert_eq!(running.code(), 115);
}

#[test]
fn while_it_is_renewed_it_lasts() {
    let server = seeded(StoreKind::Memory);
    let mut running = start(&server, &[], "echo ready; read x");
    assert_eq!(running.line(), "ready");
    // Its lease would have ended twice. No event shows that nothing has happened.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(ask(&server, "GET /pool/A/lock"), "200 1 0 4");
    running.close_stdin();
    assert_eq!(running.code(), 1, "of read");
    assert_eq!(running.rest_heard(), "");
}
