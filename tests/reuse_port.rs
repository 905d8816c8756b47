//! Several servers on one port, each with `--reuse-port`.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::support::launch::{eventually, free_port, latchd_in, refused, start};
use crate::support::{Client, Process, signal};

#[test]
fn two_servers_share_a_port_and_both_accept() {
    let folder = seeds();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (mut first, addresses) = start(latchd_in(&folder, &shared("A.json", &address.to_string())));
    assert_eq!(addresses, [address]);
    let (_second, addresses) = start(latchd_in(&folder, &shared("B.json", &address.to_string())));
    assert_eq!(addresses, [address]);

    let mut seen = [false; 2];
    eventually("each of the two accepts", || {
        match &*Client::connect(address).ask("GET /pool") {
            "200 1 0 0 A" => seen[0] = true,
            "200 1 0 0 B" => seen[1] = true,
            other => panic!("{other}"),
        }
        (seen == [true; 2]).then_some(())
    });

    signal(first.child.id(), "TERM");
    assert_eq!(first.wait().code(), Some(0));
    for _ in 0..20 {
        let pools = Client::connect(address).ask("GET /pool");
        assert_eq!(pools, "200 1 0 0 B", "the other serves on, alone");
    }
}

/// Only servers that all have the option share a port.
#[test]
fn a_port_is_not_shared_unless_both_say_so() {
    let folder = seeds();
    for (first_shares, second_shares) in [(false, false), (true, false), (false, true)] {
        let arguments = |shares: bool, address: &str| -> Vec<String> {
            let all = shared("A.json", address);
            let own = all
                .into_iter()
                .filter(|word| shares || *word != "--reuse-port");
            own.map(str::to_owned).collect()
        };
        let first = arguments(first_shares, "127.0.0.1:0");
        let first: Vec<&str> = first.iter().map(String::as_str).collect();
        let (_first, addresses) = start(latchd_in(&folder, &first));
        let address = addresses[0].to_string();
        let second = arguments(second_shares, &address);
        let second: Vec<&str> = second.iter().map(String::as_str).collect();
        let ended = refused(latchd_in(&folder, &second));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        for words in [&*address, "in use"] {
            assert!(ended.stderr.contains(words), "{}", ended.stderr);
        }
    }
}

#[test]
fn sharing_a_port_without_sharing_a_redis_is_warned_of() {
    let folder = seeds();
    let arguments = shared("A.json", "127.0.0.1:0");
    let mut process = Process::spawn(latchd_in(&folder, &arguments));
    let line = process.wait_for_line("--reuse-port");
    assert!(line.contains("WARN"), "{line}");
    assert!(line.contains("do not share their pools"), "{line}");
    process.wait_for_line("listening on ");
}

fn shared<'a>(seed: &'a str, address: &'a str) -> [&'a str; 7] {
    [
        "--reuse-port",
        "--store",
        "memory:",
        "--seed",
        seed,
        "--listen",
        address,
    ]
}

/// A folder with a seed for each server, which tells them apart.
fn seeds() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for pool in ["A", "B"] {
        let text = format!(r#"{{"{pool}":["1"]}}"#);
        fs::write(folder.path().join(format!("{pool}.json")), text).expect("a seed");
    }
    folder
}
