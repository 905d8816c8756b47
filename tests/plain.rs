//! A build without TLS, the default: it says that it has none, and how to get a build with TLS. `cargo
//! test --test plain` tests it; the other tests run on a build with TLS.

#![cfg(not(feature = "tls"))]

use std::process::{Command, Stdio};

/// Runs latchd, which must refuse, and returns its message.
fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    refused_by(env!("CARGO_BIN_EXE_latchd"), arguments, environment)
}

/// The same of any program.
fn refused_by(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let (code, said) = run(program, arguments, environment);
    assert_eq!(code, Some(2), "{said}");
    said
}

/// Returns the exit code and the message.
fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LATCH") || name == "NODE_CONFIG" {
            command.env_remove(name);
        }
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    command.args(arguments).current_dir(folder.path());
    command.envs(environment.iter().copied());
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code(), said)
}

const HOW: &str =
    "this build has no TLS; cargo build --release --features tls makes one that has\n";

#[test]
fn flags_say_that_there_is_no_tls_and_how_to_get_it() {
    for (flag, value) in [
        ("--tls-listen", "127.0.0.1:0"),
        ("--tls-cert", "none.pem"),
        ("--tls-key", "none.pem"),
        ("--tls-record-size", "4096"),
    ] {
        for check in [&[flag, value, "--check"][..], &[flag, value]] {
            assert_eq!(refused(check, &[]), format!("error: {flag}: {HOW}"));
        }
        let variable = flag[2..].to_uppercase().replace('-', "_");
        let variable = format!("LATCHD_{variable}");
        assert_eq!(
            refused(&[], &[(&variable, value)]),
            format!("error: {flag}: {HOW}")
        );
    }
    let file = "{tls: {cert: 'none.pem'}}";
    assert_eq!(
        refused(&[], &[("NODE_CONFIG", file)]),
        format!("error: --tls-cert: {HOW}")
    );
}

#[test]
fn a_redis_with_tls_is_refused_without_a_password_in_the_error() {
    let said = refused(&["--store", "rediss://:secret@h/1"], &[]);
    assert_eq!(said, format!("error: --store rediss://:***@h/1: {HOW}"));
}

#[test]
fn a_health_check_with_tls_is_refused() {
    let url = "https://127.0.0.1:8443";
    let expected = format!("error: --ping {url}: {HOW}");
    assert_eq!(refused(&["--ping", url], &[]), expected);
    let with_ca = ["--ping", url, "--ping-ca", "none.pem"];
    assert_eq!(refused(&with_ca, &[]), expected);
    let without = ["--ping", "127.0.0.1:1", "--ping-ca", "none.pem"];
    assert_eq!(
        refused(&without, &[]),
        format!("error: --ping-ca none.pem: {HOW}")
    );
}

#[test]
fn latch_says_the_same() {
    let latch = env!("CARGO_BIN_EXE_latch");
    let url = "https://127.0.0.1:8443";
    for (arguments, environment, name) in [
        (&["ls", "--url", url][..], &[][..], "--url"),
        (&["ls"], &[("LATCH_URL", url)], "LATCH_URL"),
        (&["run", "A", "--url", url, "--", "true"], &[], "--url"),
        (&["ls", "--ca", "none.pem"], &[], "--ca"),
        (&["ls", "--ca", "none.pem", "--url", url], &[], "--url"),
    ] {
        let said = refused_by(latch, arguments, environment);
        assert_eq!(said, format!("latch: {name}: {HOW}"), "{arguments:?}");
    }
    // The variable may be for another server. Port 1 of this machine's loopback has no listener.
    let environment = [
        ("LATCH_CA", "none.pem"),
        ("LATCH_URL", "http://127.0.0.1:1"),
    ];
    let (code, said) = run(latch, &["ls"], &environment);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
}
