//! Files with secrets, and files that the server makes: which users can read them, and put others in
//! their place. The same rules hold for `--tls-key`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{set_mode, write_keys};
use crate::support::launch::{eventually, latchd_in, refused};
use crate::support::{Client, Process, run, run_command, signal};

const GOOD: &str = "root 0123456789abcdef-root admin *\n";
const ANOTHER_USER: u32 = 12_345;

fn mode(path: &Path) -> u32 {
    let found = fs::metadata(path).expect("it is there");
    found.permissions().mode() & 0o7777
}

#[track_caller]
fn assert_refused(folder: &TempDir, file: &str, why: &str) {
    let ended = run(folder, &["--check", "--keys", file]);
    assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{why}");
    assert_eq!(ended.stderr, format!("error: --keys {file}: {why}\n"));
}

#[track_caller]
fn assert_taken(folder: &TempDir, file: &str) {
    let ended = run(folder, &["--check", "--keys", file]);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{file}");
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).expect("a folder in it");
    write_keys(&inner, GOOD);
    symlink("inner/keys", folder.path().join("link")).expect("a link");
    for open in [0o777, 0o775, 0o757, 0o722] {
        set_mode(&inner, open);
        let why = |shown: &str| {
            format!(
                "others can replace it, since they can write to its folder {shown} (its mode is {open:04o}); \
                 chmod go-w {shown}"
            )
        };
        assert_refused(&folder, "inner/keys", &why("inner"));
        let real = fs::canonicalize(&inner).expect("a folder");
        assert_refused(&folder, "link", &why(&real.display().to_string()));
    }
    // There only the owner of a file may move it away.
    for closed in [0o1777, 0o1775, 0o755, 0o700] {
        set_mode(&inner, closed);
        assert_taken(&folder, "inner/keys");
        assert_taken(&folder, "link");
    }
}

#[test]
fn a_file_of_another_user_is_refused() {
    let folder = TempDir::new().expect("a folder");
    write_keys(folder.path(), GOOD);
    let file = folder.path().join("keys");
    if chown(&file, Some(ANOTHER_USER), None).is_err() {
        return eprintln!("NOT RUN: only root can give a file away");
    }
    assert_refused(
        &folder,
        "keys",
        "it belongs to user 12345; it must belong to root or to the user of the server: chown 0 keys",
    );
    chown(&file, Some(0), None).expect("root may do so");
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).expect("a folder in it");
    write_keys(&inner, GOOD);
    chown(&inner, Some(ANOTHER_USER), None).expect("root may do so");
    assert_refused(
        &folder,
        "inner/keys",
        "user 12345 can replace it, to whom its folder inner belongs; it must belong to root or to the \
         user of the server: chown 0 inner",
    );
}

#[test]
fn without_keys_it_does_not_start_if_they_are_required() {
    let folder = TempDir::new().expect("a folder");
    write_keys(folder.path(), GOOD);
    for check in [&["--check"][..], &[]] {
        let ended = run(&folder, &[&["--require-keys"], check].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""));
        let told = "error: --require-keys: there are no keys; wanted --keys FILE\n";
        assert_eq!(ended.stderr, told);
    }
    let with_keys = ["--check", "--require-keys", "--keys", "keys"];
    let ended = run(&folder, &with_keys);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let shown = "\nrequire-keys         yes  (--require-keys)\n";
    assert!(ended.stdout.contains(shown), "{}", ended.stdout);
    let mut latchd = latchd_in(&folder, &["--check"]);
    latchd.env("LATCHD_REQUIRE_KEYS", "true");
    assert_eq!(run_command(latchd).code, Some(2));
}

fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(path)
        .status();
    assert!(made.expect("mkfifo, of coreutils, is installed").success());
}

/// With the umask of a careless start.
#[test]
fn store_and_log_are_kept_from_other_users() {
    let folder = TempDir::new().expect("a folder");
    let shell = format!(
        "umask 0; exec {} --listen 127.0.0.1:0 --store file:pools.redb --log-dir logs",
        env!("CARGO_BIN_EXE_latchd")
    );
    let mut latchd = Command::new("sh");
    latchd.args(["-c", &shell]).current_dir(folder.path());
    let mut process = Process::spawn(latchd);
    let log = folder.path().join("logs/latchd.log");
    eventually("it serves", || {
        let text = fs::read_to_string(&log).ok()?;
        text.contains("listening on ").then_some(())
    });
    assert_eq!(mode(&folder.path().join("pools.redb")), 0o600);
    assert_eq!(mode(&log), 0o640);
    signal(process.child.id(), "TERM");
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_log_that_is_no_regular_file_is_refused_at_the_start() {
    let folder = TempDir::new().expect("a folder");
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).expect("a folder in it");
    let log = logs.join("latchd.log");
    let target = folder.path().join("target");
    fs::write(&target, "untouched").expect("a file");
    let start = || {
        let arguments = ["--listen", "127.0.0.1:0", "--store", "memory:"];
        refused(latchd_in(
            &folder,
            &[&arguments[..], &["--log-dir", "logs"]].concat(),
        ))
    };
    let assert_refused = || {
        let ended = start();
        assert_eq!(ended.code, Some(1));
        let told = "the log cannot be written in logs: latchd.log is no regular file";
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
        fs::remove_file(&log).expect("it is ours");
    };
    symlink(&target, &log).expect("a link");
    assert_refused();
    assert_eq!(fs::read(&target).expect("a file"), b"untouched");
    symlink(folder.path().join("nowhere"), &log).expect("a link");
    assert_refused();
    make_pipe(&log);
    assert_refused();
}

/// The server stays up, and continues its log.
#[test]
fn a_pipe_in_the_place_of_a_file_does_not_stop_the_server_at_sighup() {
    let folder = TempDir::new().expect("a folder");
    write_keys(folder.path(), GOOD);
    let arguments = ["--listen", "127.0.0.1:0", "--store", "memory:"];
    let more = ["--log-dir", "logs", "--keys", "keys"];
    let mut process = Process::spawn(latchd_in(&folder, &[&arguments[..], &more].concat()));
    let log = folder.path().join("logs/latchd.log");
    let moved = folder.path().join("moved.log");
    let in_log = |path: &Path, words: &str| {
        eventually(words, || {
            let text = fs::read_to_string(path).ok()?;
            text.lines()
                .find(|line| line.contains(words))
                .map(str::to_owned)
        })
    };
    let line = in_log(&log, "listening on ");
    let address = crate::support::launch::addresses_in(&line)[0];
    fs::rename(&log, &moved).expect("the log can be moved away");
    make_pipe(&log);
    fs::remove_file(folder.path().join("keys")).expect("it is ours");
    make_pipe(&folder.path().join("keys"));
    signal(process.child.id(), "HUP");
    in_log(&moved, "latchd.log is no regular file");
    in_log(&moved, "it is not a file; the keys stay as they were");
    assert_eq!(Client::connect(address).ask("GET /ping"), "200 pong");
    signal(process.child.id(), "TERM");
    assert_eq!(process.wait().code(), Some(0));
}
