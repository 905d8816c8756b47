//! `latch` at a server with TLS: it does all that it does without, and speaks with no other server.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::latch::support::{Lasting, ask, latch, own_address, wait_for_state};
use crate::support::programs::SEED;
use crate::support::tls::{Authority, NAMES, Secured};
use crate::support::{Client, Ended, StoreKind, run_command};

/// The command, at a server whose authority it trusts.
fn trusting(server: &Secured) -> Command {
    let mut command = latch(&server.url());
    command.env("LATCH_CA", server.authority.ca());
    command
}

fn run(mut command: Command, arguments: &[&str]) -> Ended {
    command.args(arguments);
    run_command(command)
}

#[track_caller]
fn printed(server: &Secured, arguments: &[&str]) -> String {
    let ended = run(trusting(server), arguments);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{arguments:?}");
    ended.stdout
}

/// Returns the exit code and the one line of the message.
#[track_caller]
fn failed(command: Command, arguments: &[&str]) -> (i32, String) {
    let ended = run(command, arguments);
    assert_eq!(ended.stdout, "", "{arguments:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    (ended.code.expect("no signal"), ended.stderr)
}

#[test]
fn every_order_is_carried_out() {
    let server = Secured::start();
    for (arguments, shown) in [
        (
            &["seed", "A", "1", "2"][..],
            "POOL  RESOURCES\nA             2\n",
        ),
        (&["lock", "A", "--owner", "me", "--ttl", "60"], "2\n"),
        (&["renew", "A", "2", "--owner", "me", "--lease"], "1 60 2\n"),
        (
            &["ls"],
            "POOL  RESOURCES  HELD  WAITING\nA             2     1        0\n",
        ),
        (
            &["watch", "--count", "1"],
            "POOL  RESOURCES  HELD  WAITING\nA             2     1        0\n",
        ),
        (&["ls", "A", "--members"], "1\n2\n"),
        (&["wait-free", "A"], "1\n"),
        (&["run", "A", "--", "sh", "-c", "echo $LATCH_ID"], "1\n"),
        (&["free", "A", "2", "--owner", "me"], ""),
        (&["lock", "A", "-n", "2"], "1\n2\n"),
        (&["purge", "A"], "2\n"),
        (&["remove", "A"], ""),
    ] {
        assert_eq!(printed(&server, arguments), shown, "{arguments:?}");
    }
    let (code, said) = failed(trusting(&server), &["ls", "A"]);
    assert_eq!(
        (code, &*said),
        (
            4,
            "latch: A: no pool: there is no pool of this name; POST /pool makes one\n"
        )
    );
}

/// More than a record, a batch of them, and the buffers of sockets.
#[test]
fn what_is_large_goes_both_ways() {
    let server = Secured::start_with(StoreKind::Memory, &["--max-body", "8388608"]);
    let ids: Vec<String> = (0..60_000).map(|n| format!("resource {n:0>60}")).collect();
    let file = server.folder.path().join("ids.txt");
    fs::write(&file, ids.join("\n")).expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    let shown = printed(&server, &["seed", "A", "--file", file]);
    assert_eq!(shown, "POOL  RESOURCES\nA         60000\n");
    let members = printed(&server, &["ls", "A", "--members"]);
    assert!(members.lines().eq(ids), "{} bytes", members.len());
}

/// Also where the command changes its folder, and the path is relative.
#[test]
fn a_latch_within_a_latch_meets_the_same_server() {
    let server = Secured::start();
    Client::connect(server.plain).ask(&format!("POST /pool {SEED}"));
    let ca = server.authority.ca();
    let (folder, name) = (ca.parent().expect("a folder"), ca.file_name());
    let name = name.and_then(|name| name.to_str()).expect("UTF-8");
    let inner = format!(
        "cd / && echo $LATCH_URL $LATCH_CA && {} lock A",
        env!("CARGO_BIN_EXE_latch")
    );
    let url = server.url();
    for given in [
        &["--url", &url, "--ca", name][..],
        &[
            "--url",
            &format!("{url}/"),
            "--ca",
            ca.to_str().expect("UTF-8"),
        ],
    ] {
        let mut command = latch("http://127.0.0.1:1");
        command.current_dir(folder).arg("run").args(given);
        let ended = run(command, &["A", "--", "sh", "-c", &inner]);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
        let shown = format!("{} {}\n", given[1], ca.display());
        assert!(ended.stdout.starts_with(&shown), "{}", ended.stdout);
        assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    }
    // Where nothing is named, nothing is handed on.
    let mut command = latch(&url);
    command.env("SSL_CERT_FILE", &ca).env_remove("SSL_CERT_DIR");
    let ended = run(command, &["run", "A", "--", "sh", "-c", "echo [$LATCH_CA]"]);
    assert_eq!(&*ended.stdout, "[]\n", "{}", ended.stderr);
}

#[test]
fn a_server_below_a_path_is_asked_there() {
    let server = Secured::start();
    let mut command = latch(&(server.url() + "/locks"));
    command.env("LATCH_CA", server.authority.ca());
    let (code, said) = failed(command, &["ls"]);
    assert_eq!(code, 1);
    assert!(said.starts_with("latch: no route"), "{said}");
}

/// A server with another identity gets nothing, least of all the key; and latch does not retry.
#[test]
fn it_asks_nothing_of_an_untrusted_server() {
    let stranger = Authority::new();
    for (server, ca, words) in [
        (
            Secured::start(),
            Some(stranger.ca()),
            "its certificate is signed by no authority that is trusted here",
        ),
        (
            Secured::start_signed(|authority| authority.sign_itself("server", NAMES, "CA:FALSE")),
            None,
            "its certificate is signed by no authority that is trusted here",
        ),
        (
            Secured::start_signed(|authority| authority.sign("server", "DNS:other.example")),
            None,
            "its certificate has another name",
        ),
        (
            Secured::start_signed(|authority| authority.sign("server", "IP:127.0.0.1")),
            None,
            "its certificate has another name",
        ),
        (
            Secured::start_signed(|authority| authority.sign_expired("server", NAMES)),
            None,
            "its certificate has expired\n",
        ),
        (
            Secured::start_signed(|authority| authority.sign_itself("server", NAMES, "CA:TRUE")),
            None,
            "its certificate is one of an authority, and none of a server; wanted basicConstraints \
             CA:FALSE\n",
        ),
    ] {
        let mut aside = Client::connect(server.plain);
        aside.ask(&format!("POST /pool {SEED}"));
        let command = || {
            let mut command = trusting(&server);
            command.envs(ca.as_ref().map(|ca| ("LATCH_CA", ca)));
            command
        };
        let (code, said) = failed(command(), &["lock", "A"]);
        let expected = format!("latch: A: {}: {words}", server.url());
        assert!(said.starts_with(&expected), "no {words:?} in {said}");
        assert_eq!(code, 1);
        let started = Instant::now();
        let (code, said) = failed(command(), &["run", "A", "--", "echo", "it runs"]);
        assert!(said.starts_with(&expected), "no {words:?} in {said}");
        assert_eq!(code, 111);
        assert!(started.elapsed() < Duration::from_secs(5), "not again");
        let (code, said) = failed(command(), &["ls", "--json"]);
        assert!(
            said.starts_with(r#"{"code":"TLS failed","message":"https://"#),
            "{said}"
        );
        assert_eq!(code, 1);
        assert_eq!(aside.ask("GET /pool"), "200 4 0 0 A", "nothing was lent");
        assert_eq!(
            aside.ask("POST /pool/A/lock?lease"),
            "200 1 - 4",
            "nor before"
        );
    }
}

#[test]
fn a_certificate_that_is_signed_by_itself_can_be_trusted() {
    let server =
        Secured::start_signed(|authority| authority.sign_itself("server", NAMES, "CA:FALSE"));
    let port = server.tls.port();
    for host in ["localhost", "127.0.0.1"] {
        let mut command = latch(&format!("https://{host}:{port}"));
        command.arg("--ca").arg(&server.identity.cert);
        assert_eq!(run(command, &["ls", "--json"]).stdout, "{}\n", "{host}");
    }
}

#[test]
fn with_and_without_tls_are_told_apart() {
    let server = Secured::start();
    let (plain, tls) = (server.plain, server.tls);
    for (url, words) in [
        (
            format!("https://{plain}"),
            format!("latch: https://{plain}: it does not speak TLS; wanted http://\n"),
        ),
        (
            format!("http://{tls}"),
            format!("latch: http://{tls}: it speaks TLS; wanted https://\n"),
        ),
    ] {
        let mut command = latch(&url);
        command.env("LATCH_CA", server.authority.ca());
        assert_eq!(failed(command, &["ls"]), (1, words));
        let mut command = latch(&url);
        command.env("LATCH_CA", server.authority.ca());
        let (code, _) = failed(command, &["run", "A", "--", "echo", "it runs"]);
        assert_eq!(code, 111);
    }
}

#[test]
fn without_ca_the_system_s_authorities_are_trusted() {
    let server = Secured::start();
    let mut trusting = latch(&server.url());
    trusting
        .env("SSL_CERT_FILE", server.authority.ca())
        .env_remove("SSL_CERT_DIR");
    assert_eq!(run(trusting, &["ls", "--json"]).stdout, "{}\n");
    let mut wary = latch(&server.url());
    wary.env("SSL_CERT_FILE", "none.pem")
        .env("SSL_CERT_DIR", "none");
    let words = "latch: the system has no certificates of authorities to trust; wanted --ca FILE\n";
    assert_eq!(failed(wary, &["ls"]), (2, words.to_owned()));
}

#[test]
fn what_is_wrong_with_what_is_to_be_trusted_is_wrong_usage() {
    let server = Secured::start();
    let folder = TempDir::new().expect("a folder");
    fs::copy(&server.identity.key, folder.path().join("key.pem")).expect("a copy");
    let (url, plain) = (server.url(), format!("http://{}", server.plain));
    for (url, flag, variable, words) in [
        (&url, Some("none.pem"), "x", "--ca none.pem: No such file"),
        (&url, None, "none.pem", "LATCH_CA none.pem: No such file"),
        (
            &url,
            Some("key.pem"),
            "",
            "--ca key.pem: there is no certificate in it; wanted -----BEGIN CERTIFICATE",
        ),
        (
            &plain,
            Some("key.pem"),
            "",
            "--ca: there is no TLS; wanted --url https://HOST[:PORT][/PATH]",
        ),
    ] {
        let mut command = latch(url);
        command.current_dir(folder.path()).env("LATCH_CA", variable);
        let arguments = match flag {
            Some(file) => vec!["ls", "--ca", file],
            None => vec!["ls"],
        };
        let (code, said) = failed(command, &arguments);
        assert_eq!(code, 2, "{said}");
        assert!(said.starts_with(&format!("latch: {words}")), "{said}");
    }
    // The variable may be for another server, and an empty one counts as missing.
    let mut command = latch(&plain);
    command.env("LATCH_CA", "none.pem");
    assert_eq!(run(command, &["ls", "--json"]).stdout, "{}\n");
}

/// With TLS, and with the authority that has signed for it.
fn start_lasting() -> (Lasting, Authority) {
    let address = own_address();
    let authority = Authority::new();
    let identity = authority.sign("server", &format!("IP:{}", address.ip()));
    let text = |path: &Path| path.display().to_string();
    let options = [
        "--tls-listen",
        &address.to_string(),
        "--tls-cert",
        &text(&identity.cert),
        "--tls-key",
        &text(&identity.key),
        // Otherwise a lost client would leave the queue by itself before long.
        "--queue-grace",
        "1000",
    ];
    let url = format!("https://{address}");
    let ca = Some(authority.ca());
    (
        Lasting::start(StoreKind::File, &options, url, ca),
        authority,
    )
}

#[test]
fn a_restart_within_the_lease_is_survived() {
    let (lasting, _authority) = start_lasting();
    lasting.restart_within_a_lease();
}

/// The system still accepts for it, and it sends nothing in the handshake.
#[test]
fn a_server_that_hangs_costs_the_lock_before_it_ends() {
    let (lasting, _authority) = start_lasting();
    let started = Instant::now();
    let script = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = lasting.run(&["--ttl", "6"], script);
    assert_eq!(running.line(), "ready");
    lasting.server.signal("STOP");
    assert_eq!(running.line(), "told");
    lasting.server.signal("CONT");
    assert_eq!(running.code(), 115);
    let ended = started.elapsed();
    assert!(ended < Duration::from_secs(6), "{ended:?}");
    let said = running.rest_heard();
    assert!(said.contains("no TLS handshake in time"), "{said}");
}

#[test]
fn a_waiter_that_leaves_the_queue_leaves_it() {
    let (lasting, _authority) = start_lasting();
    let held = ask(&lasting.server, "POST /pool/A/lock");
    assert_eq!(held, "200 1");
    let mut running = lasting.run(&[], "echo it runs");
    wait_for_state(&lasting.server, "1 1 1");
    running.signal("INT");
    assert_eq!(running.signal_of_end(), 2);
    wait_for_state(&lasting.server, "1 1 0");
    assert_eq!(running.rest(), "");
}
