//! A build without TLS, as it is by default: it says that it has none, and how to get one that has. It
//! is tested by `cargo test --test plain`; the other tests run on a build with TLS.

#![cfg(not(feature = "tls"))]

use std::process::{Command, Stdio};

/// Runs latchd, which must refuse, and answers what it says.
fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut latchd = Command::new(env!("CARGO_BIN_EXE_latchd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LATCHD_") || name == "NODE_CONFIG" {
            latchd.env_remove(name);
        }
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    latchd.args(arguments).current_dir(folder.path());
    latchd.envs(environment.iter().copied());
    let output = latchd.stdin(Stdio::null()).output().expect("latchd runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
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
