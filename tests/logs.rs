//! The log: nothing per request at the default level, nothing at all if it is off, and a log file
//! that is opened again on SIGHUP, as log rotation needs it.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::launch::{addresses_in, eventually, free_port, latchd_in, refused, start};
use crate::support::{Client, Process, Server, StoreKind, signal};

/// Requests of all kinds, good, refused and broken, and clients that vanish.
fn make_requests(address: SocketAddr) {
    let mut client = Client::connect(address);
    assert_eq!(
        client.ask(r#"POST /pool {"A":["1"]}"#),
        r#"200 {"A":["1"]}"#
    );
    for _ in 0..20 {
        assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
        assert_eq!(client.ask("POST /pool/A/lock"), "409 busy");
        assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
    }
    client.send("nonsense\n");
    assert!(String::from_utf8_lossy(&client.read_to_end()).contains("400 bad "));
    Client::connect(address).send("POST /pool/A/lock HTTP/1.1\r\n");
    drop(Client::connect(address));
    assert_eq!(Client::connect(address).ask("GET /ping"), "200 pong");
}

#[test]
fn nothing_is_logged_for_a_request_at_the_default_level() {
    for store in StoreKind::ALL {
        let mut server = Server::start(store);
        make_requests(server.address);
        server.signal("TERM");
        let mut rest = server.rest_of_log();
        if store == StoreKind::Redis {
            let expected = ["connected to redis://", "it keeps no append-only file"];
            rest.retain(|line| !expected.iter().any(|words| line.contains(words)));
        }
        // So it may be on a busy machine.
        rest.retain(|line| !line.contains("a commit to the store took "));
        assert!(rest.len() == 1 && rest[0].contains("stopping"), "{rest:#?}");
        assert!(rest[0].contains("INFO"), "{rest:?}");
    }
}

#[test]
fn a_level_above_all_that_happens_leaves_the_log_empty() {
    for level in ["off", "error", "warn"] {
        let folder = TempDir::new().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let listen = address.to_string();
        let arguments = [
            "--listen",
            &listen,
            "--store",
            "memory:",
            "--log-level",
            level,
        ];
        let mut process = Process::spawn(latchd_in(&folder, &arguments));
        eventually("it serves", || TcpStream::connect(address).ok());
        make_requests(address);
        signal(process.child.id(), "TERM");
        assert_eq!(process.rest_of_log(), [""; 0], "at {level}");
        assert_eq!(process.wait().code(), Some(0));
    }
}

#[test]
fn the_log_file_is_opened_again_on_sighup() {
    let folder = TempDir::new().expect("a folder");
    let (log, moved) = (
        folder.path().join("logs/latchd.log"),
        folder.path().join("moved.log"),
    );
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--store",
        "memory:",
        "--log-dir",
        "logs",
    ];
    let mut process = Process::spawn(latchd_in(&folder, &arguments));
    let line = eventually("the log file says where it listens", || {
        line_with("listening on ", &log)
    });
    let address = addresses_in(&line)[0];

    fs::rename(&log, &moved).expect("the log can be moved away");
    signal(process.child.id(), "HUP");
    eventually("the log file is there again", || log.exists().then_some(()));
    assert_eq!(Client::connect(address).ask("GET /ping"), "200 pong");
    signal(process.child.id(), "TERM");
    assert_eq!(process.wait().code(), Some(0));

    assert!(
        line_with("stopping", &log).is_some(),
        "the new file goes on"
    );
    assert!(
        line_with("stopping", &moved).is_none(),
        "the old file is left alone"
    );
    assert_eq!(process.rest_of_log(), [""; 0], "nothing on standard error");
}

#[test]
fn the_log_file_is_appended_to() {
    let folder = TempDir::new().expect("a folder");
    fs::create_dir(folder.path().join("logs")).expect("a folder in it");
    let log = folder.path().join("logs/latchd.log");
    fs::write(&log, "an older line\n").expect("a log");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--store",
        "memory:",
        "--log-dir",
        "logs",
    ];
    let mut process = Process::spawn(latchd_in(&folder, &arguments));
    eventually("it serves", || line_with("listening on ", &log));
    signal(process.child.id(), "TERM");
    assert_eq!(process.wait().code(), Some(0));
    let text = fs::read_to_string(&log).expect("the log");
    assert!(text.starts_with("an older line\n"), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn why_it_does_not_serve_is_in_the_log_file() {
    let folder = TempDir::new().expect("a folder");
    let store = [
        "--listen",
        "127.0.0.1:0",
        "--store",
        "file:missing/x.redb",
        "--log-dir",
        "logs",
    ];
    let ended = refused(latchd_in(&folder, &store));
    assert_eq!(ended.code, Some(1));
    let log = folder.path().join("logs/latchd.log");
    assert!(line_with("missing/x.redb", &log).is_some_and(|line| line.contains("ERROR")));
}

#[test]
fn a_log_folder_that_cannot_be_made_is_told_on_standard_error() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("logs"), "a file").expect("a file where the folder should be");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--store",
        "memory:",
        "--log-dir",
        "logs",
    ];
    let ended = refused(latchd_in(&folder, &arguments));
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("the log cannot be written in"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("logs"),
        "it names the folder: {}",
        ended.stderr
    );
}

#[test]
fn sighup_without_a_log_folder_changes_nothing() {
    let folder = TempDir::new().expect("a folder");
    let arguments = ["--listen", "127.0.0.1:0", "--store", "memory:"];
    let (mut process, addresses) = start(latchd_in(&folder, &arguments));
    let mut client = Client::connect(addresses[0]);
    signal(process.child.id(), "HUP");
    for _ in 0..2 {
        assert_eq!(client.ask("GET /ping"), "200 pong");
    }
    signal(process.child.id(), "TERM");
    assert_eq!(process.wait().code(), Some(0));
}

/// The first whole line of a file that contains `text`.
fn line_with(text: &str, file: &Path) -> Option<String> {
    let content = fs::read_to_string(file).ok()?;
    let whole = content.rfind('\n').map_or("", |end| &content[..end]);
    whole
        .lines()
        .find(|line| line.contains(text))
        .map(str::to_owned)
}

/// As when the disk of the log is full, or the reader of the log has gone.
#[test]
fn a_log_that_cannot_be_written_does_not_end_the_service() {
    let full = || {
        let file = fs::OpenOptions::new().write(true).open("/dev/full");
        Stdio::from(file.expect("/dev/full is there"))
    };
    let unread = || Stdio::from(io::pipe().expect("a pipe").1);
    for nowhere in [full(), unread()] {
        let folder = TempDir::new().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let listen = address.to_string();
        let mut command = latchd_in(&folder, &["--store", "memory:", "--listen", &listen]);
        let mut child = command.stderr(nowhere).spawn().expect("latchd starts");
        eventually("it serves", || TcpStream::connect(address).ok());
        assert_eq!(Client::connect(address).ask("GET /ping"), "200 pong");
        signal(child.id(), "TERM");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
}

/// It goes through a pipe, which must never be full.
#[test]
fn a_line_of_the_log_is_cut_at_4_kb() {
    let folder = TempDir::new().expect("a folder");
    let store = format!("file:{}", "é".repeat(50_000));
    let ended = refused(latchd_in(&folder, &["--store", &store]));
    assert_eq!(ended.code, Some(1));
    let line = ended.stderr;
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains(" ERROR [latchd] éé"), "{line}");
    assert!(line.ends_with('é'), "{line}");
    assert!((3000..4096).contains(&line.len()), "{}", line.len());
}
