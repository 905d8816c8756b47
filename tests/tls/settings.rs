//! Settings of TLS, and the messages about wrong ones.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::configuration::value_of;
use crate::handover::with_sockets;
use crate::support::launch::{free_port, latchd_in, listening_on, start};
use crate::support::tls::{Authority, NAMES};
use crate::support::{Client, Ended, Process, run, run_command};

/// A folder with the files of a server, and some files that it cannot use.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let authority = Authority::new();
    let identity = authority.sign("server", NAMES);
    let other = authority.sign("other", NAMES);
    let path = |name: &str| folder.path().join(name);
    for (from, to) in [
        (&identity.cert, "cert.pem"),
        (&identity.key, "key.pem"),
        (&other.key, "other.pem"),
    ] {
        fs::copy(from, path(to)).expect("a copy");
    }
    fs::write(path("empty.pem"), "").expect("a file");
    fs::write(
        path("text.pem"),
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    )
    .expect("a file");
    fs::write(
        path("broken.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .expect("a file");
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["ec", "-aes128", "-passout", "pass:x", "-in"]);
    openssl
        .arg(path("key.pem"))
        .arg("-out")
        .arg(path("locked.pem"));
    assert!(openssl.output().expect("openssl").status.success());
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["pkcs8", "-topk8", "-passout", "pass:x", "-in"]);
    openssl
        .arg(path("key.pem"))
        .arg("-out")
        .arg(path("locked8.pem"));
    assert!(openssl.output().expect("openssl").status.success());
    fs::copy(path("cert.pem"), path("no-key.pem")).expect("a copy");
    for name in [
        "key.pem",
        "other.pem",
        "locked.pem",
        "locked8.pem",
        "no-key.pem",
    ] {
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(path(name), private).expect("it is ours");
    }
    folder
}

#[track_caller]
fn assert_wrong(ended: &Ended, words: &str) {
    assert_eq!(ended.code, Some(2), "{words}: {}", ended.stderr);
    assert!(
        ended.stderr.contains(words),
        "no {words:?} in {}",
        ended.stderr
    );
    assert_eq!(
        ended.stderr.trim_end().lines().count(),
        1,
        "one line: {}",
        ended.stderr
    );
}

#[test]
fn what_is_missing_or_wrong_is_said_before_anything_is_opened() {
    let folder = folder();
    let listen = ["--tls-listen", "127.0.0.1:0"];
    let pair = |cert: &'static str, key: &'static str| {
        [&listen[..], &["--tls-cert", cert, "--tls-key", key]].concat()
    };
    let both = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    for (arguments, words) in [
        (
            listen.to_vec(),
            "--tls-cert is missing: --tls-listen needs it",
        ),
        (
            [&listen[..], &both[..2]].concat(),
            "--tls-key is missing: --tls-listen needs it",
        ),
        (
            [&listen[..], &both[2..]].concat(),
            "--tls-cert is missing: --tls-listen needs it",
        ),
        // A named certificate shows that the operator does not want to serve without TLS.
        (
            both.to_vec(),
            "--tls-listen is missing: --tls-cert needs it",
        ),
        (
            vec!["--tls-record-size", "4096"],
            "--tls-listen is missing: --tls-record-size needs it",
        ),
        (
            pair("none.pem", "key.pem"),
            "--tls-cert none.pem: No such file",
        ),
        (
            pair("cert.pem", "none.pem"),
            "--tls-key none.pem: No such file",
        ),
        (
            pair("empty.pem", "key.pem"),
            "--tls-cert empty.pem: there is no certificate in it; wanted -----BEGIN CERTIFICATE",
        ),
        (
            pair("key.pem", "key.pem"),
            "--tls-cert key.pem: there is no certificate in it",
        ),
        (
            pair("text.pem", "key.pem"),
            "--tls-cert text.pem: it is not PEM",
        ),
        (
            pair("broken.pem", "key.pem"),
            "--tls-cert broken.pem: the certificate is broken",
        ),
        (
            pair("cert.pem", "no-key.pem"),
            "--tls-key no-key.pem: there is no private key in it; wanted -----BEGIN PRIVATE KEY",
        ),
        (
            pair("cert.pem", "other.pem"),
            "--tls-key other.pem: it is not the key of --tls-cert cert.pem",
        ),
        (
            pair("cert.pem", "locked.pem"),
            "--tls-key locked.pem: the key in it is encrypted",
        ),
        (
            pair("cert.pem", "locked8.pem"),
            "--tls-key locked8.pem: the key in it is encrypted",
        ),
    ] {
        // At the start, and when it is only to be checked.
        for check in [&["--check"][..], &[]] {
            let store = ["--store", "file:never.redb"];
            let arguments = [&arguments[..], &store, check].concat();
            assert_wrong(&run(&folder, &arguments), words);
        }
        assert!(!folder.path().join("never.redb").exists());
    }
    for size in ["511", "16385", "x"] {
        let arguments = [
            &pair("cert.pem", "key.pem")[..],
            &["--tls-record-size", size],
        ]
        .concat();
        let ended = run(&folder, &arguments);
        assert_eq!(ended.code, Some(2));
        assert!(
            ended.stderr.contains("--tls-record-size"),
            "{}",
            ended.stderr
        );
    }
    let file = r#"{tls: {recordSize: 100}}"#;
    fs::write(folder.path().join("c.json5"), file).expect("a file");
    assert_wrong(
        &run(&folder, &["--config", "c.json5"]),
        "tls.recordSize 100: wanted a whole number, 512 to 16384",
    );
}

/// The rules are those of a file of keys, whose tests are in tests/keys/private.rs.
#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = folder();
    let key = folder.path().join("key.pem");
    let arguments = ["--tls-listen", "127.0.0.1:0", "--check"];
    let arguments = [
        &arguments[..],
        &["--tls-cert", "cert.pem", "--tls-key", "key.pem"],
    ]
    .concat();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o666)).expect("it is ours");
    assert_wrong(
        &run(&folder, &arguments),
        "--tls-key key.pem: others can read or write it (its mode is 0666); chmod 600 key.pem",
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).expect("it is ours");
    assert_eq!(run(&folder, &arguments).code, Some(0));
}

#[test]
fn each_source_can_say_it_and_check_shows_it() {
    let folder = folder();
    let shown = [
        ("listen", "none"),
        ("tls-listen", "127.0.0.1:1, [::1]:2"),
        ("tls-cert", "cert.pem"),
        ("tls-key", "key.pem"),
        ("tls-record-size", "4096 bytes"),
    ];
    let flags = [
        "--check",
        "--tls-listen",
        "127.0.0.1:1",
        "--tls-listen",
        "[::1]:2",
        "--tls-cert",
        "cert.pem",
        "--tls-key",
        "key.pem",
        "--tls-record-size",
        "4096",
    ];
    let mut environment = latchd_in(&folder, &["--check"]);
    environment
        .env("LATCHD_TLS_LISTEN", "127.0.0.1:1,[::1]:2")
        .env("LATCHD_TLS_CERT", "cert.pem")
        .env("LATCHD_TLS_KEY", "key.pem")
        .env("LATCHD_TLS_RECORD_SIZE", "4096");
    let text = r#"{tls: {listen: ["127.0.0.1:1", "[::1]:2"], cert: "cert.pem", key: "key.pem", recordSize: 4096}}"#;
    fs::write(folder.path().join("c.json5"), text).expect("a file");
    for ended in [
        run(&folder, &flags),
        run_command(environment),
        run(&folder, &["--check", "--config", "c.json5"]),
    ] {
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        for (flag, value) in shown {
            assert_eq!(value_of(&ended.stdout, flag), value);
        }
    }
    let ended = run(&folder, &["--check"]);
    assert_eq!(value_of(&ended.stdout, "tls-listen"), "none");
    assert_eq!(value_of(&ended.stdout, "listen"), "127.0.0.1:8081");
    let both = [&flags[..], &["--listen", "127.0.0.1:3"]].concat();
    let ended = run(&folder, &both);
    assert_eq!(value_of(&ended.stdout, "listen"), "127.0.0.1:3");
}

/// A server with TLS as its only listener serves nothing else.
#[test]
fn without_listen_there_is_tls_alone() {
    let folder = folder();
    let arguments = [
        "--tls-listen",
        "127.0.0.1:0",
        "--tls-cert",
        "cert.pem",
        "--tls-key",
        "key.pem",
        "--store",
        "memory:",
    ];
    let mut latchd = Process::spawn(latchd_in(&folder, &arguments));
    let line = latchd.wait_for_line("listening on ");
    let addresses = listening_on(&line);
    assert_eq!(addresses.len(), 1, "{line}");
    let (address, has_tls) = addresses[0];
    assert!(has_tls, "{line}");
    let mut plain = Client::connect(address);
    plain.send("GET /ping\n");
    assert_eq!(plain.read_to_end()[0], 21, "an alert");
    // And without TLS all is as it was.
    let (_latchd, addresses) = start(latchd_in(
        &folder,
        &["--listen", "127.0.0.1:0", "--store", "memory:"],
    ));
    assert_eq!(Client::connect(addresses[0]).ask("GET /ping"), "200 pong");
}

/// As systemd hands sockets over. The port shows which one has TLS.
#[test]
fn an_inherited_socket_has_tls_if_its_port_is_said_to() {
    let folder = folder();
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [plain, secured] = sockets
        .each_ref()
        .map(|socket| socket.local_addr().expect("its address"));
    let own = free_port();
    let listen = format!("0.0.0.0:{},127.0.0.1:{own}", secured.port());
    let latchd = latchd_in(
        &folder,
        &[
            "--listen",
            "192.0.2.1:1",
            "--tls-listen",
            &listen,
            "--tls-cert",
            "cert.pem",
            "--tls-key",
            "key.pem",
            "--store",
            "memory:",
        ],
    );
    let mut latchd = Process::spawn(with_sockets(latchd, &sockets.each_ref()));
    let line = latchd.wait_for_line("listening on ");
    let own = SocketAddr::from(([127, 0, 0, 1], own));
    assert_eq!(
        listening_on(&line),
        [(plain, false), (secured, true), (own, true)]
    );
    assert_eq!(Client::connect(plain).ask("GET /ping"), "200 pong");
    for address in [secured, own] {
        let mut client = Client::connect(address);
        client.send("GET /ping\n");
        assert_eq!(client.read_to_end()[0], 21, "an alert");
    }
}

/// With TLS keys are secret at any address; without it, only on loopback.
#[test]
fn keys_are_warned_of_only_where_they_are_shown_without_tls() {
    let folder = folder();
    fs::write(
        folder.path().join("keys"),
        "root 0123456789abcdef-root admin *\n",
    )
    .expect("a file");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.path().join("keys"), private).expect("it is ours");
    for (listen, is_warned) in [
        (&[][..], false),
        (&["--listen", "127.0.0.1:0"], false),
        (&["--listen", "0.0.0.0:0"], true),
    ] {
        let given = [
            "--tls-listen",
            "0.0.0.0:0",
            "--tls-cert",
            "cert.pem",
            "--tls-key",
            "key.pem",
            "--keys",
            "keys",
            "--store",
            "memory:",
        ];
        let arguments = [&given[..], listen].concat();
        let mut process = Process::spawn(latchd_in(&folder, &arguments));
        let mut lines = Vec::new();
        while !lines
            .iter()
            .any(|line: &String| line.contains("listening on"))
        {
            lines.push(process.wait_for_line(""));
        }
        let warned = lines
            .iter()
            .any(|line| line.contains("WARN") && line.contains("without TLS"));
        assert_eq!(warned, is_warned, "{lines:#?}");
        let ended = run(&folder, &[&arguments[..], &["--check"]].concat());
        assert_eq!(
            ended.stdout.contains("without TLS"),
            is_warned,
            "{}",
            ended.stdout
        );
    }
}
