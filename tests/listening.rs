//! Where a server listens, as the system sees it: the length of the queue of new connections.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Server, StoreKind, run_command};

/// ss(8): of a socket that listens Send-Q is the length of its queue.
#[test]
fn as_many_may_wait_to_be_accepted_as_the_system_allows() {
    let allowed = fs::read_to_string("/proc/sys/net/core/somaxconn").expect("procfs");
    let server = Server::start(StoreKind::Memory);
    let port = server.address.port();
    let mut ss = Command::new("ss");
    ss.args(["-Hltn", &format!("sport = :{port}")]);
    let ended = run_command(ss);
    let queue = ended.stdout.split_whitespace().nth(2);
    assert_eq!(queue, Some(allowed.trim()), "{}", ended.stdout);
}

/// A shell in a network of its own, where the system allows more than elsewhere, and `lo` has a link-local
/// address. `None` where this process may not make one.
fn in_own_network(script: &str) -> Option<Command> {
    let may = Command::new("unshare").args(["-n", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        eprintln!("NOT RUN: no network of its own can be made here");
        return None;
    }
    let setup = "set -e; ip link set lo up; ip addr add fe80::7/64 dev lo nodad; \
        echo 20000 >/proc/sys/net/core/somaxconn; ";
    let mut shell = Command::new("unshare");
    shell.args(["-n", "sh", "-c", &(setup.to_owned() + script)]);
    shell.env("LATCHD", env!("CARGO_BIN_EXE_latchd"));
    Some(shell)
}

/// The server runs until the script has ended, and its log is the file `log`.
const SERVE: &str = r#"
    "$LATCHD" --store memory: --listen "$LISTEN" 2>log & server=$!
    trap 'kill $server; cat log >&2' EXIT
    until grep -q 'listening on' log; do kill -0 $server; sleep 0.01; done
"#;

#[test]
fn what_the_system_allows_may_be_more_than_4096() {
    let script = SERVE.to_owned() + r#"ss -Hltn 'sport = :8081'"#;
    let Some(mut shell) = in_own_network(&script) else {
        return;
    };
    let folder = TempDir::new().expect("a folder");
    shell
        .current_dir(folder.path())
        .env("LISTEN", "127.0.0.1:8081");
    let ended = run_command(shell);
    let queue = ended.stdout.split_whitespace().nth(2);
    assert_eq!(queue, Some("20000"), "{} {}", ended.stdout, ended.stderr);
}
