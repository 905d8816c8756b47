//! A disk that is slow or stuck: only changes that have to be safe first wait for it.
//!
//! The server runs with a library in front of the system's that lets each sync take the time in a file.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::metrics::scrape;
use crate::support::launch::{addresses_in, eventually, latchd_in};
use crate::support::{Client, Process};

/// A server on a disk of adjustable slowness.
struct Server {
    process: Process,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        Server::start_in(TempDir::new().expect("a temporary folder"), arguments)
    }

    fn start_in(folder: TempDir, arguments: &[&str]) -> Server {
        fs::write(folder.path().join("sync"), "0").expect("a file in a new folder");
        let store = ["--listen", "127.0.0.1:0", "--store", "file:latchd.redb"];
        let mut command = latchd_in(&folder, &[&store, arguments].concat());
        command
            .env("LD_PRELOAD", library())
            .env("LATCHD_TEST_SYNC", folder.path().join("sync"));
        let mut process = Process::spawn(command);
        let address = addresses_in(&process.wait_for_line("listening on "))[0];
        Server {
            process,
            address,
            folder,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// From now on each sync takes `said` milliseconds, or never ends: `stuck`.
    fn set_sync(&self, said: &str) {
        let (next, path) = (self.path("next"), self.path("sync"));
        fs::write(&next, said).expect("the folder is there");
        fs::rename(next, path).expect("the folder is there");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client whose request needs the disk before its answer, and has been read. Pool A has the resources 1,
    /// 2 and 3, of which 3 is held then, and 2 is asked for.
    fn with_a_lock_that_waits(&self) -> Client {
        let mut first = self.connect();
        let seed = "{\"A\":[\"1\",\"2\",\"3\"]}";
        assert_eq!(
            first.ask(&format!("POST /pool {seed}")),
            format!("200 {seed}")
        );
        assert_eq!(first.ask("POST /pool/A/lock"), "200 3");
        self.set_sync("stuck");
        let mut waits = self.connect();
        waits.send("POST /pool/A/lock/2\n");
        // It is held as far as the server has decided.
        let mut other = self.connect();
        eventually("the request is read", || {
            let held = scrape(self.address).value("latchd_pool_held", &[("pool", "A")]);
            (held == 2.0).then_some(())
        });
        assert_eq!(other.ask("POST /pool/A/lock/2"), "409 busy");
        waits
    }
}

/// The library that is loaded before the system's.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("slow_sync.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slow_disk/slow_sync.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&path)
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(built.expect("there is a C compiler").success());
        (folder, path)
    });
    path
}

#[test]
fn what_needs_no_commit_is_answered_while_the_disk_is_stuck() {
    let server = Server::start(&[]);
    let mut waits = server.with_a_lock_that_waits();
    let mut other = server.connect();
    assert_eq!(other.ask("GET /ping"), "200 pong");
    assert_eq!(other.ask("GET /health"), "200 ok");
    assert_eq!(other.ask("POST /pool/A/lock/3"), "409 busy");
    server.set_sync("0");
    assert_eq!(waits.read_line(), "200 2");
}

#[test]
fn what_is_listed_is_durable_before_it_is_told() {
    let mut server = Server::start(&[]);
    let mut waits = server.with_a_lock_that_waits();
    let mut reader = server.connect();
    reader.send("GET /pool/A/lock/2\n");
    // Those behind it are served, so that it has been read.
    assert_eq!(server.connect().ask("GET /ping"), "200 pong");
    server.process.kill();
    assert_eq!(
        waits.read_to_end(),
        b"",
        "no client was told of a lock that is lost"
    );
    assert_eq!(reader.read_to_end(), b"");
    let server = Server::start_in(server.folder, &[]);
    let mut client = server.connect();
    let listed = client.ask("GET /pool/A/lock");
    assert!(listed.starts_with("200 1 - 3"), "{listed}");
}

#[test]
fn a_disk_that_is_stuck_makes_the_server_unready() {
    let mut server = Server::start(&[]);
    let mut waits = server.with_a_lock_that_waits();
    let stuck = Instant::now();
    assert_eq!(server.connect().ask("GET /ready"), "503 store down");
    assert!(
        stuck.elapsed() > Duration::from_millis(1000),
        "it had two seconds"
    );
    assert_eq!(scrape(server.address).value("latchd_store_up", &[]), 0.0);
    server.set_sync("0");
    assert_eq!(waits.read_line(), "200 2");
    assert_eq!(server.connect().ask("GET /ready"), "200 ready");
    assert_eq!(scrape(server.address).value("latchd_store_up", &[]), 1.0);
    server.process.wait_for_line("a commit to the store took ");
}

#[test]
fn a_commit_that_takes_too_long_is_refused_and_undone() {
    let mut server = Server::start(&["--commit-timeout", "1"]);
    let mut waits = server.with_a_lock_that_waits();
    assert_eq!(waits.read_line(), "503 store down");
    server
        .process
        .wait_for_line("the disk has not answered for 1000 ms");
    assert_eq!(
        server.connect().ask("POST /pool/A/lock/1"),
        "503 store down"
    );
    assert_eq!(server.connect().ask("GET /ping"), "200 pong");
    server.set_sync("0");
    server
        .process
        .wait_for_line("the store can be written again");
    let mut client = server.connect();
    let again = client.ask("POST /pool/A/lock/2?lease");
    assert!(
        again.starts_with("200 "),
        "what was refused is free: {again}"
    );
    assert_eq!(client.ask("POST /pool/A/lock/3"), "409 busy");
}

#[test]
fn leases_that_were_renewed_in_time_outlive_a_disk_that_stands_still() {
    let server = Server::start(&[]);
    let mut first = server.connect();
    assert_eq!(first.ask("POST /pool/A [\"1\"]"), "200 [\"1\"]");
    assert_eq!(first.ask("POST /pool/A/lock?ttl=2"), "200 1");
    let taken = Instant::now();
    server.set_sync("stuck");
    first.send("PUT /pool/A/lock/1?ttl=60\n");
    eventually("the lease would be over", || {
        (taken.elapsed() > Duration::from_millis(2500)).then_some(())
    });
    assert_eq!(server.connect().ask("POST /pool/A/lock"), "409 busy");
    server.set_sync("0");
    assert_eq!(
        first.read_line(),
        "200",
        "it is connected, and its renewal counts"
    );
}

#[test]
fn a_server_that_stops_waits_for_its_disk() {
    let mut server = Server::start(&[]);
    let mut waits = server.with_a_lock_that_waits();
    let mut behind = server.connect();
    behind.send("POST /pool/A/lock/1\n");
    assert_eq!(server.connect().ask("GET /ping"), "200 pong");
    crate::support::signal(server.process.child.id(), "TERM");
    server.process.wait_for_line("stopping: ");
    server.set_sync("0");
    assert_eq!(waits.read_line(), "200 2");
    assert_eq!(behind.read_line(), "200 1");
    assert!(server.process.wait().success());
    let server = Server::start_in(server.folder, &[]);
    assert_eq!(server.connect().ask("POST /pool/A/lock"), "409 busy");
}

#[test]
fn a_server_that_stops_does_not_wait_for_a_stuck_disk_for_ever() {
    let mut server = Server::start(&["--commit-timeout", "1", "--drain", "1"]);
    let _waits = server.with_a_lock_that_waits();
    crate::support::signal(server.process.child.id(), "TERM");
    server.process.wait_for_line("the disk does not answer");
    assert!(
        !server.process.wait().success(),
        "it says that something may be lost"
    );
}

/// Each client asks again once it is answered. If every other commit had half of them, there would be twice as many
/// commits.
#[test]
fn clients_that_are_answered_share_the_next_commit() {
    const CLIENTS: u64 = 16;
    const ROUNDS: u64 = 8;
    let server = Server::start(&[]);
    let ids: Vec<String> = (0..CLIENTS * ROUNDS).map(|id| id.to_string()).collect();
    let mut first = server.connect();
    let seeded = first.ask(&format!("POST /pool/A {}", serde_json::json!(ids)));
    assert!(seeded.starts_with("200 "));
    let commits =
        || scrape(server.address).value("latchd_journal_commit_duration_seconds_count", &[]);
    let before = commits();
    server.set_sync("200");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let answer = client.ask("POST /pool/A/lock");
                    assert!(answer.starts_with("200 "), "{answer}");
                }
            });
        }
    });
    let commits = commits() - before;
    // One more for those that come while the first one is written, and some for late ones.
    assert!(commits < ROUNDS as f64 * 1.5, "{commits} commits");
}

/// There is nothing to write, so that there is nothing to wait for.
#[test]
fn what_needs_no_commit_does_not_wait_for_clients_that_were_answered() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert!(client.ask("POST /pool/A [\"1\",\"2\"]").starts_with("200 "));
    server.set_sync("4000");
    // One commit answers both. A change would wait for 500 ms now.
    client.send("POST /pool/A/lock\nPOST /pool/A/lock\n");
    client.expect("200 2\n200 1\n");
    let asked = Instant::now();
    assert!(client.ask("GET /pool/A/lock/1").starts_with("200 "));
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(400), "it took {took:?}");
}
