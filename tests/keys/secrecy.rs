//! No secret, and no hash of one, is ever written down: not in the log at its most talkative, not by
//! `--check`, not in an answer and not in the file of a store.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{basic, bearer, write_keys};
use crate::support::launch::eventually;
use crate::support::{Client, Server, StoreKind, run};

const PLAIN: &str = "Zq7xPlainSecretx7qZ";
const HASHED: &str = "Zq7xHashedSecretx7qZ";
const UNKNOWN: &str = "Zq7xUnknownSecretx7qZ";
/// printf %s Zq7xHashedSecretx7qZ | sha256sum
const HASH: &str = "7ad25d1a02dcec21b8128eb1c0a1dd653a1b0183f660d2178641042c8ecfb1d9";

/// The secrets that must not be seen, in any form in which they could be.
fn traces() -> Vec<String> {
    let mut traces: Vec<String> = [PLAIN, HASHED, UNKNOWN, HASH].map(str::to_owned).to_vec();
    for (user, secret) in [("plain", PLAIN), ("", HASHED), ("nobody", UNKNOWN)] {
        let field = basic(user, secret);
        traces.extend(field.rsplit(' ').next().map(str::to_owned));
    }
    traces.push("Zq7x".into());
    traces.push("Secret".into());
    traces
}

#[track_caller]
fn assert_no_trace(what: &str, text: &[u8]) {
    for trace in traces() {
        let found = text
            .windows(trace.len())
            .any(|part| part == trace.as_bytes());
        assert!(!found, "{trace} in {what}:\n{}", text.escape_ascii());
    }
}

#[test]
fn no_secret_is_logged_answered_or_stored() {
    let folder = TempDir::new().expect("a folder");
    write_keys(
        folder.path(),
        format!("plain {PLAIN} admin *\nhashed sha256:{HASH} use A\n"),
    );
    let arguments = [
        "--keys",
        "keys",
        "--log-dir",
        "logs",
        "--log-level",
        "trace",
    ];
    let address = format!("127.0.0.1:{}", crate::support::launch::free_port());
    let store = format!("file:{}", folder.path().join("pools.redb").display());
    let mut all = vec!["--listen", &address, "--store", &store];
    all.extend(arguments);
    let mut command = crate::support::latchd();
    command.current_dir(folder.path()).args(&all);
    let mut process = crate::support::Process::spawn(command);
    let address = address.parse().expect("it was made so");
    eventually("it serves", || std::net::TcpStream::connect(address).ok());

    let answers = converse(address);
    assert_no_trace("answers", &answers);
    // A bad file, a good one, and one that others can read.
    let log = folder.path().join("logs/latchd.log");
    for (text, told) in [
        (format!("x {UNKNOWN} {PLAIN} *\n"), "line 1: the role"),
        (format!("{UNKNOWN}: {PLAIN} use *\n"), "line 1: the name"),
        (format!("x sha256:{UNKNOWN} use *\n"), "line 1: the hash"),
        (format!("x {UNKNOWN} use *\n"), "read 1 keys again"),
    ] {
        write_keys(folder.path(), text);
        crate::support::signal(process.child.id(), "HUP");
        eventually(told, || {
            fs::read_to_string(&log).ok()?.contains(told).then_some(())
        });
    }
    crate::support::signal(process.child.id(), "TERM");
    assert_eq!(process.wait().code(), Some(0));
    let text = fs::read(&log).expect("the log");
    assert!(
        text.windows(8).any(|part| part == b"stopping"),
        "it is the log"
    );
    assert_no_trace("the log", &text);
    assert_no_trace("the store", &read(&folder.path().join("pools.redb")));
    let rest = process.rest_of_log();
    assert_no_trace("standard error", rest.join("\n").as_bytes());
}

/// Shows all secrets in all ways, right and wrong, and returns all answers.
fn converse(address: std::net::SocketAddr) -> Vec<u8> {
    let mut heard = Vec::new();
    for secret in [PLAIN, HASHED, UNKNOWN] {
        for field in [bearer(secret), basic("", secret), basic("plain", secret)] {
            for accept in ["text/plain", "application/json"] {
                for line in ["PUT /pool/A", "POST /pool/A/lock", "GET /pool"] {
                    let mut client = Client::connect(address);
                    client.send(format!(
                        "{line} HTTP/1.1\r\nAccept: {accept}\r\nConnection: close\r\n{field}\r\n\
                         Content-Length: 2\r\n\r\n[]"
                    ));
                    heard.extend(client.read_to_end());
                }
            }
        }
        for line in [
            format!("key={secret} PUT /pool/A []\n"),
            format!("key={secret} DELETE /pool/A/lock\n"),
            format!("key={secret}\n"),
            format!("key={secret} what\n"),
            format!("key={secret} GET /pool HTTP/1.1\r\n\r\n"),
            format!("GET /pool HTTP/1.1\r\nAuthorization {secret}\r\n\r\n"),
            format!("GET /pool HTTP/1.1\r\nAuthorization: Bearer {secret}\r\nA b\r\n\r\n"),
        ] {
            let mut client = Client::connect(address);
            client.send(line);
            client.half_close();
            heard.extend(client.read_to_end());
        }
    }
    assert!(
        heard.windows(3).any(|part| part == b"200"),
        "some were right"
    );
    heard
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).expect("a file that the server has made")
}

#[test]
fn check_and_help_show_no_secret() {
    let folder = TempDir::new().expect("a folder");
    write_keys(
        folder.path(),
        format!("plain {PLAIN} admin *\nhashed sha256:{HASH} use A\n"),
    );
    let ended = run(&folder, &["--check", "--keys", "keys"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("2 in keys"), "{}", ended.stdout);
    assert_no_trace(
        "--check",
        format!("{}{}", ended.stdout, ended.stderr).as_bytes(),
    );
}

#[test]
fn the_hash_is_that_of_the_secret() {
    let folder = TempDir::new().expect("a folder");
    write_keys(folder.path(), format!("hashed sha256:{HASH} use A\n"));
    let server = Server::start_in(folder, StoreKind::Memory, &["--keys", "keys"]);
    let answer = server.connect().ask(&format!("key={HASHED} GET /pool"));
    assert_eq!(answer, "200");
}
