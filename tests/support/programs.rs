//! Clients that are programs of their own.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::{Server, StoreKind};

pub const SEED: &str = r#"{"A":["1","2","3","4"]}"#;

/// A server with the pool of `SEED`.
pub fn seeded(store: StoreKind) -> Server {
    let server = Server::start(store);
    let answer = server.connect().ask(&format!("POST /pool {SEED}"));
    assert_eq!(answer, format!("200 {SEED}"));
    server
}

/// A client with an environment that says nothing of proxies, and that does not hang for ever.
pub fn client(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["30", program])
        .env("LC_ALL", "C")
        .env("HOME", "/nonexistent");
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command
}

#[track_caller]
pub fn run(command: &mut Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .expect("timeout, of coreutils, is installed");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A client that ends early does not want it all; what it shows is checked anyway.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child
        .wait_with_output()
        .expect("the client can be waited for");
    let errors = text(&output.stderr);
    match output.status.code() {
        Some(126 | 127) => panic!("a client is missing, tests/run installs it: {errors}"),
        Some(124) => panic!("the client did not end in time: {command:?}\n{errors}"),
        _ => output,
    }
}

/// Returns the output of a client that must succeed.
#[track_caller]
pub fn succeed(command: &mut Command, input: &str) -> String {
    let output = run(command, input);
    let errors = text(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{errors}",
        output.status
    );
    text(&output.stdout)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("clients speak UTF-8")
}
