//! The static binary in a root folder with nothing but itself, as an image from `scratch` is: it needs
//! no library, no shell, no file of the system.
//!
//! `LATCHD_STATIC` names it; `tests/run` builds it and sets that. Only root may change the root folder.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::launch::{free_port, start};
use crate::support::redis::RedisServer;
use crate::support::{Client, Ended, Process, run_command, signal};

/// As in the image.
const UNPRIVILEGED: u32 = 65534;

/// A root folder with the binary, and a folder for its data, the only one that its user can write to.
struct Image(TempDir);

impl Image {
    /// None, and a line that says why, where it cannot be used.
    fn new() -> Option<Image> {
        let Some(binary) = std::env::var_os("LATCHD_STATIC").map(PathBuf::from) else {
            eprintln!("NOT RUN: LATCHD_STATIC names no static binary; tests/run builds one");
            return None;
        };
        let root = fs::metadata("/proc/self").expect("procfs").uid() == 0;
        if !root {
            eprintln!("NOT RUN: only root may change the root folder");
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let (latchd, data) = (folder.path().join("latchd"), folder.path().join("data"));
        fs::copy(&binary, &latchd).expect("LATCHD_STATIC is there");
        fs::create_dir(&data).expect("a folder");
        chown(&data, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("root may");
        for path in [folder.path(), &latchd] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o555)).expect("root may");
        }
        Some(Image(folder))
    }

    /// Of the entrypoint and the health check.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LATCHD_STORE", "file:/data/pools.redb")
            .arg(format!("--userspec={UNPRIVILEGED}:{UNPRIVILEGED}"))
            .arg(self.0.path())
            .arg("/latchd")
            .args(arguments);
        command
    }

    fn start(&self, arguments: &[&str]) -> (Process, Client, String) {
        let listen = ["--listen", "127.0.0.1:0"];
        let (process, addresses) = start(self.command(&[&listen[..], arguments].concat()));
        let client = Client::connect(addresses[0]);
        (process, client, addresses[0].to_string())
    }

    /// Returns the exit code and the output of the health check.
    fn ping(&self, url: &str) -> (Option<i32>, String) {
        let Ended { code, stderr, .. } = run_command(self.command(&["--ping", url]));
        (code, stderr)
    }

    /// `/etc/hosts`, which an engine puts into each container.
    fn name_host(&self, line: &str) {
        fs::create_dir(self.0.path().join("etc")).expect("a folder");
        fs::write(self.0.path().join("etc/hosts"), line).expect("a file");
    }
}

#[test]
fn it_serves_alone_and_finds_its_locks_again() {
    let Some(image) = Image::new() else { return };
    let (mut process, mut client, address) = image.start(&[]);
    assert_eq!(
        client.ask(r#"POST /pool {"A":["1","2"]}"#),
        r#"200 {"A":["1","2"]}"#
    );
    assert_eq!(
        client.ask("POST /pool/A/lock?owner=job&ttl=60&lease"),
        "200 1 60 2"
    );
    assert_eq!(image.ping(&address), (Some(0), String::new()));
    process.kill();

    let (code, line) = image.ping(&address);
    assert_eq!((code, line.contains("refused")), (Some(1), true), "{line}");

    let (mut process, mut client, address) = image.start(&[]);
    assert_eq!(image.ping(&address).0, Some(0));
    assert_eq!(client.ask("POST /pool/A/lock/2"), "409 busy");
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
    signal(process.child.id(), "TERM");
    let log = process.rest_of_log();
    assert!(log.len() == 1 && log[0].contains("stopping"), "{log:?}");
    assert_eq!(process.wait().code(), Some(0));

    let (_process, mut client, _) = image.start(&[]);
    assert_eq!(client.ask("GET /pool"), "200 2 2 0 A");
    let entries = fs::read_dir(image.0.path()).expect("a folder");
    assert_eq!(entries.count(), 2, "the binary, and its data");
}

#[test]
fn it_says_what_is_wrong_without_a_system_around_it() {
    let Some(image) = Image::new() else { return };
    let help = run_command(image.command(&["--help"]));
    assert!(help.stdout.contains("Examples:"), "{}", help.stdout);
    let wrong = run_command(image.command(&["--store", "elsewhere:"]));
    assert_eq!(wrong.code, Some(2));
    let unwritable = run_command(image.command(&["--store", "file:/pools.redb"]));
    assert_eq!(unwritable.code, Some(1));
    let words = "Permission denied";
    assert!(unwritable.stderr.contains(words), "{}", unwritable.stderr);
}

/// Names are looked up by the binary itself: in `/etc/hosts`, where there is one.
#[test]
fn it_finds_a_redis_by_its_name() {
    let Some(image) = Image::new() else { return };
    let unknown = image.ping(&format!("localhost:{}", free_port()));
    assert_eq!(unknown.0, Some(1), "{}", unknown.1);

    image.name_host("127.0.0.1 redis.example\n");
    let redis = RedisServer::start();
    let store = format!("redis://redis.example:{}", redis.port);
    let (mut process, mut client, address) = image.start(&["--store", &store]);
    process.wait_for_line("connected to redis://redis.example");
    assert_eq!(
        client.ask(r#"POST /pool {"A":["1"]}"#),
        r#"200 {"A":["1"]}"#
    );
    let url = address.replace("127.0.0.1", "redis.example");
    assert_eq!(image.ping(&url), (Some(0), String::new()));
}
