//! Signals are passed on to the command; and its fate when latch is killed.

use std::process::Command;

use super::support::{Running, ask, latch, wait_for_state};
use crate::support::programs::seeded;
use crate::support::{Server, StoreKind};

/// Prints the signals that it gets, and ends with 9 at SIGTERM. The program that it waits for is
/// killed with it.
const LISTENER: &str = r#"
    for s in HUP INT QUIT USR1 USR2 ALRM WINCH CONT; do trap "echo got $s" $s; done
    sleep 1000 & p=$!
    trap 'echo got TERM; kill $p; exit 9' TERM
    echo ready; while :; do wait $p; done"#;

fn listener(server: &Server, options: &[&str]) -> Running {
    let mut arguments = vec!["run", "A"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", LISTENER]);
    let mut running = Running::start(server, &arguments);
    assert_eq!(running.line(), "ready");
    running
}

#[test]
fn signals_go_on_to_the_command_once_each() {
    let server = seeded(StoreKind::Memory);
    let mut running = listener(&server, &[]);
    for name in [
        "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "WINCH", "CONT", "INT",
    ] {
        running.signal(name);
        assert_eq!(running.line(), format!("got {name}"));
    }
    running.signal("TERM");
    assert_eq!(running.code(), 9);
    assert_eq!(running.rest(), "got TERM");
    assert_eq!(running.rest_heard(), "");
    assert_eq!(ask(&server, "GET /pool"), "200 4 0 0 A");
}

#[test]
fn a_signal_that_ends_the_command_ends_latch() {
    let server = seeded(StoreKind::Memory);
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("USR1", 10)] {
        let script = "echo ready; exec sleep 1000";
        let mut running = Running::start(&server, &["run", "A", "--", "sh", "-c", script]);
        assert_eq!(running.line(), "ready");
        running.signal(name);
        assert_eq!(running.signal_of_end(), number, "{name}");
        assert_eq!(ask(&server, "GET /pool"), "200 4 0 0 A");
    }
}

/// As `nohup` does it.
#[test]
fn a_signal_that_was_ignored_stays_so() {
    let server = seeded(StoreKind::Memory);
    let script = r#"trap "" HUP; exec "$@""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]);
    let command = latch(&server.url());
    shell
        .arg(command.get_program())
        .args(["run", "A", "--", "sh", "-c", "echo ready; exec sleep 1000"])
        .env("LATCH_URL", server.url());
    let mut running = Running::spawn(shell);
    assert_eq!(running.line(), "ready");
    running.signal("HUP");
    running.signal("TERM");
    assert_eq!(running.signal_of_end(), 15, "not of SIGHUP");
}

#[test]
fn a_waiter_can_be_interrupted_and_leaves_the_queue() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        ask(&server, r#"POST /pool {"A":["1"]}"#);
        ask(&server, "POST /pool/A/lock");
        for (name, number) in [("INT", 2), ("TERM", 15)] {
            let mut running = Running::start(&server, &["run", "A", "--", "echo", "it runs"]);
            wait_for_state(&server, "1 1 1");
            running.signal(name);
            assert_eq!(running.signal_of_end(), number);
            // An owner's place would be kept for ten seconds.
            assert_eq!(ask(&server, "GET /pool"), "200 1 1 0 A");
            assert_eq!(running.rest(), "");
        }
    }
}

#[test]
fn a_lock_that_is_waited_for_by_name_is_not_kept_after_an_interrupt() {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    ask(&server, "POST /pool/A/lock");
    for options in [&["--owner", "me"][..], &[]] {
        let mut arguments = vec!["lock", "A", "--wait", "100"];
        arguments.extend(options);
        let mut running = Running::start(&server, &arguments);
        wait_for_state(&server, "1 1 1");
        running.signal("INT");
        assert_eq!(running.signal_of_end(), 2);
        wait_for_state(&server, "1 1 0");
        assert_eq!(running.rest(), "");
    }
}

/// In the second that leaving takes, its turn may come.
#[test]
fn what_is_granted_while_leaving_is_given_back() {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    ask(&server, "POST /pool/A/lock");
    let mut running = Running::start(&server, &["run", "A", "--", "echo", "it runs"]);
    wait_for_state(&server, "1 1 1");
    running.signal("INT");
    ask(&server, "DELETE /pool/A/lock/1");
    assert_eq!(running.signal_of_end(), 2);
    assert_eq!(ask(&server, "GET /pool"), "200 1 0 0 A");
    assert_eq!(running.rest(), "");
}

#[test]
fn if_latch_is_killed_the_lock_ends_with_its_lease() {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    let mut running = listener(&server, &["--ttl", "2"]);
    running.signal("KILL");
    // The command gets the signal.
    assert_eq!(running.line(), "got TERM");
    assert_eq!(ask(&server, "GET /pool"), "200 1 1 0 A");
    assert_eq!(ask(&server, "POST /pool/A/lock?wait=20&lease"), "200 2 - 1");
}
