//! The clients that people have, with a key: each in the way in which it can show one.

use super::{serve, write_keys};
use crate::support::Server;
use crate::support::programs::{SEED, client, run, succeed, text};

const SECRET: &str = "0123456789abcdef-root";

fn seeded() -> Server {
    let server = serve(&format!("root {SECRET} admin *\n"), &[]);
    let answer = server
        .connect()
        .ask(&format!("key={SECRET} POST /pool {SEED}"));
    assert_eq!(answer, format!("200 {SEED}"));
    server
}

#[test]
fn curl_shows_a_key_in_each_way() {
    let server = seeded();
    let lock = server.url() + "/pool/A/lock";
    let bearer = format!("Authorization: Bearer {SECRET}");
    let (named, unnamed) = (format!("root:{SECRET}"), format!(":{SECRET}"));
    for (options, id) in [
        (&["-H", &bearer][..], "4"),
        (&["--oauth2-bearer", SECRET], "3"),
        (&["-u", &named], "2"),
        (&["-u", &unnamed], "1"),
    ] {
        let mut curl = client("curl");
        curl.args(["-q", "-sSf", "-X", "POST"]).args(options);
        assert_eq!(succeed(curl.arg(&lock), ""), id, "{options:?}");
    }
    let mut curl = client("curl");
    curl.args(["-q", "-sS", "-w", " %{http_code}", "-X", "POST"]);
    assert_eq!(succeed(curl.arg(&lock), ""), "no key 401");
    // The address is made a Basic field by curl itself.
    let mut curl = client("curl");
    let address = format!("http://root:{SECRET}@{}/pool", server.address);
    assert_eq!(
        succeed(curl.args(["-q", "-sSf"]).arg(address), ""),
        "4 4 0 A"
    );
}

/// It shows its key only when it has been asked to, by the challenge.
#[test]
fn wget_answers_the_challenge() {
    let server = seeded();
    let mut wget = client("wget");
    wget.args(["--no-config", "--tries=1", "-qO", "-", "--user=root"]);
    wget.arg(format!("--password={SECRET}"));
    assert_eq!(
        succeed(wget.arg(server.url() + "/pool/A"), ""),
        "1\n2\n3\n4"
    );
    let mut wget = client("wget");
    wget.args(["--no-config", "--tries=1", "-nv", "-O", "-"]);
    let output = run(wget.arg(server.url() + "/pool/A"), "");
    assert!(!output.status.success());
    let talk = text(&output.stderr);
    assert!(
        talk.contains("uthentication") || talk.contains("401"),
        "{talk}"
    );
}

#[test]
fn busybox_wget_shows_a_key_in_a_field() {
    let server = seeded();
    let mut wget = client("busybox");
    wget.args(["wget", "-qO-", "--header"]);
    wget.arg(format!("Authorization: Bearer {SECRET}"));
    assert_eq!(
        succeed(wget.arg(server.url() + "/pool/A"), ""),
        "1\n2\n3\n4"
    );
}

#[test]
fn nc_shows_a_key_in_a_line() {
    let server = seeded();
    let port = server.address.port().to_string();
    let mut nc = client("nc");
    let answer = succeed(
        nc.args(["-N", "127.0.0.1", &port]),
        &format!("key={SECRET} POST /pool/A/lock\nPOST /pool/A/lock\n"),
    );
    assert_eq!(answer, "200 4\n401 no key\n");
}

/// The lines of `docs/operations.md`, in a shell.
#[test]
fn a_key_is_made_in_a_shell() {
    let server = seeded();
    let folder = server.folder.path();
    let script = "set -e; umask 077
        secret=$(head -c 24 /dev/urandom | base64)
        hash=$(printf %s \"$secret\" | sha256sum | cut -d' ' -f1)
        printf '%s\\n' \"ci sha256:$hash use *\" > new-keys
        printf %s \"$secret\"";
    let mut shell = client("sh");
    let secret = succeed(shell.args(["-c", script]).current_dir(folder), "");
    assert_eq!(secret.len(), 32);
    let made = std::fs::read(folder.join("new-keys")).expect("the script has written it");
    write_keys(folder, made);
    let mut server = server;
    server.signal("HUP");
    server.wait_for_log("read 1 keys again");
    let answer = server
        .connect()
        .ask(&format!("key={secret} POST /pool/A/lock"));
    assert_eq!(answer, "200 4");
}
