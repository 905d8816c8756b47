//! The listening sockets of a server, as the system sees them: the length of the queue of new connections, and the
//! zones of IPv6 addresses.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::latch::support::latch;
use crate::support::launch::{latchd_in, start};
use crate::support::{Client, Server, StoreKind, run, run_command};

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
    shell.env("LATCH", env!("CARGO_BIN_EXE_latch"));
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

#[test]
fn a_link_local_address_is_listened_on_and_asked_by_its_zone() {
    let script = SERVE.to_owned()
        + r#"
        for zone in %lo %25lo %1 %251; do
            "$LATCHD" --ping "http://[fe80::7$zone]:8081"
            LATCH_URL="http://[fe80::7$zone]:8081" "$LATCH" ls
        done
        "$LATCH" --url "[fe80::7%lo]:8081" seed A 1
        LATCH_URL="[fe80::7%lo]:8081" "$LATCH" lock A"#;
    for listen in [
        "[fe80::7%lo]:8081",
        "[fe80::7%25lo]:8081",
        "[fe80::7%1]:8081",
    ] {
        let Some(mut shell) = in_own_network(&script) else {
            return;
        };
        let folder = TempDir::new().expect("a folder");
        shell.current_dir(folder.path()).env("LISTEN", listen);
        let ended = run_command(shell);
        let log = format!("{listen}: {} {}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(0), "{log}");
        assert!(ended.stdout.ends_with("1\n"), "{log}");
        assert!(log.contains("listening on [fe80::7%1]:8081"), "{log}");
    }
}

#[test]
fn a_zone_that_there_is_not_is_named() {
    let folder = TempDir::new().expect("a folder");
    let missing = "there is no network interface nowhere0, the zone of fe80::1";
    for flag in ["--listen", "--admin-listen"] {
        for check in [&[][..], &["--check"]] {
            for (address, why) in [
                ("[fe80::1%nowhere0]:0", missing),
                ("[fe80::1%25nowhere0]:0", missing),
                ("[fe80::1]:0", "fe80::1 is link-local and needs the zone"),
            ] {
                let ended = run(&folder, &[&[flag, address], check].concat());
                assert_eq!(ended.code, Some(2), "{address}: {}", ended.stderr);
                assert!(ended.stderr.contains(why), "{address}: {}", ended.stderr);
            }
        }
    }
    let ping = run(&folder, &["--ping", "http://[fe80::1%nowhere0]:1"]);
    assert_eq!(ping.code, Some(1), "{}", ping.stderr);
    assert!(ping.stderr.contains(missing), "{}", ping.stderr);
    let ping = run(&folder, &["--ping", "http://[fe80::1]:1"]);
    assert_eq!(ping.code, Some(2), "{}", ping.stderr);
    assert!(ping.stderr.contains("needs the zone"), "{}", ping.stderr);
    let mut ls = latch("http://[fe80::1%nowhere0]:1");
    ls.arg("ls");
    let ended = run_command(ls);
    assert!(ended.stderr.contains(missing), "{}", ended.stderr);
}

/// A zone may also stand where it changes nothing, and is not sent to the server.
#[test]
fn the_loopback_address_may_have_its_zone() {
    let folder = TempDir::new().expect("a folder");
    let latchd = latchd_in(&folder, &["--store", "memory:", "--listen", "[::1%lo]:0"]);
    let (_process, addresses) = start(latchd);
    assert_eq!(Client::connect(addresses[0]).ask("GET /ping"), "200 pong");
    let url = format!("http://[::1%25lo]:{}", addresses[0].port());
    assert_eq!(run(&folder, &["--ping", &url]).code, Some(0));
}
