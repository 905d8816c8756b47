//! The effect of a start on the file of a store, and its messages.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::launch::{addresses_in, latchd_in, refused};
use crate::support::{Client, Process, run};

const ON_FILE: [&str; 4] = ["--listen", "127.0.0.1:0", "--store", "file:pools.redb"];

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

#[test]
fn a_store_that_is_new_is_said_to_be() {
    let folder = folder();
    let mut first = Process::spawn(latchd_in(&folder, &ON_FILE));
    first.wait_for_line("file:pools.redb is new and has no pools yet");
    first.wait_for_line("listening on ");
    first.kill();
    let mut second = Process::spawn(latchd_in(&folder, &ON_FILE));
    let mut lines = Vec::new();
    assert!(second.next_lines(&mut lines, |line| line.contains("listening on ")));
    assert!(!lines.concat().contains("is new"), "{lines:?}");
}

/// Starts a server on `pools.redb` in this folder, which has to be new, and ends it.
fn start_on_new(folder: &TempDir) {
    let mut process = Process::spawn(latchd_in(folder, &ON_FILE));
    process.wait_for_line("file:pools.redb is new and has no pools yet");
    process.wait_for_line("listening on ");
    process.kill();
}

fn names_in(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("the folder");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a name in UTF-8");
    let mut names: Vec<String> = entries
        .map(|entry| name(entry.expect("an entry")))
        .collect();
    names.sort();
    names
}

#[test]
fn a_creation_that_was_cut_short_is_begun_again() {
    let folder = folder();
    let provisional = folder.path().join("pools.redb.new");
    fs::write(&provisional, "half a store").expect("a left-over");
    fs::set_permissions(&provisional, fs::Permissions::from_mode(0o644)).expect("its mode");
    start_on_new(&folder);
    assert_eq!(names_in(&folder), ["pools.redb"]);
    let metadata = fs::metadata(folder.path().join("pools.redb")).expect("the store");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_empty_file_counts_as_no_store_yet() {
    let folder = folder();
    fs::write(folder.path().join("pools.redb"), "").expect("an empty file");
    start_on_new(&folder);
    assert_eq!(names_in(&folder), ["pools.redb"]);
}

#[test]
fn a_new_store_is_created_where_a_link_leads() {
    let folder = folder();
    fs::create_dir(folder.path().join("data")).expect("a folder");
    symlink("data/real.redb", folder.path().join("pools.redb")).expect("a link");
    start_on_new(&folder);
    let link = fs::read_link(folder.path().join("pools.redb")).expect("it is a link still");
    assert_eq!(link.to_str(), Some("data/real.redb"));
    let data = fs::read_dir(folder.path().join("data")).expect("the folder");
    assert_eq!(data.count(), 1, "files beside the store");
}

/// Another user may have put it there, to have another file overwritten or to read the store.
#[test]
fn a_new_store_is_created_in_no_file_of_others() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("other"), "precious").expect("another file");
    let put: [fn(&Path, &Path) -> io::Result<()>; 3] = [
        |other, place| symlink(other, place),
        |other, place| fs::hard_link(other, place),
        |_, place| fs::create_dir(place),
    ];
    for put in put {
        put(&path("other"), &path("pools.redb.new")).expect("it is in the way");
        let ended = refused(latchd_in(&folder, &ON_FILE));
        assert_eq!(ended.code, Some(1));
        let said =
            "pools.redb cannot be opened: pools.redb.new is in the way of a new store; remove it";
        assert!(ended.stderr.ends_with(said), "{}", ended.stderr);
        assert_eq!(fs::read(path("other")).expect("it is there"), b"precious");
        let _ = fs::remove_file(path("pools.redb.new"));
        let _ = fs::remove_dir(path("pools.redb.new"));
    }
    assert_eq!(names_in(&folder), ["other"]);
}

/// A pipe has no length, but is no empty file.
#[test]
fn a_store_replaces_no_pipe() {
    let folder = folder();
    let path = folder.path().join("pools.redb");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let ended = refused(latchd_in(&folder, &ON_FILE));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let metadata = fs::metadata(&path).expect("it is there");
    assert!(metadata.file_type().is_fifo());
    assert_eq!(names_in(&folder), ["pools.redb"]);
}

#[test]
fn must_exist_starts_on_no_new_store() {
    let folder = folder();
    let path = folder.path().join("pools.redb");
    let arguments = [&ON_FILE[..], &["--must-exist"]].concat();
    let said = "there is no store in pools.redb, and --must-exist wants one; name the right file, or start once \
                without --must-exist to create it";
    let ended = refused(latchd_in(&folder, &arguments));
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.ends_with(said), "{}", ended.stderr);
    assert!(!path.exists(), "none is created");
    fs::write(&path, "").expect("an empty file");
    let ended = refused(latchd_in(&folder, &arguments));
    assert!(ended.stderr.ends_with(said), "{}", ended.stderr);
    fs::remove_file(&path).expect("it is removed");

    let mut first = Process::spawn(latchd_in(&folder, &ON_FILE));
    let address = addresses_in(&first.wait_for_line("listening on "))[0];
    assert_eq!(
        Client::connect(address).ask("POST /pool/A 1"),
        r#"200 ["1"]"#
    );
    first.kill();
    let mut second = Process::spawn(latchd_in(&folder, &arguments));
    let address = addresses_in(&second.wait_for_line("listening on "))[0];
    assert_eq!(Client::connect(address).ask("GET /pool/A"), "200 1");
}

#[test]
fn must_exist_is_not_for_memory() {
    let arguments = ["--check", "--store", "memory:", "--must-exist"];
    let ended = run(&folder(), &arguments);
    let said =
        "error: --must-exist: memory: is new at each start; name a store in a file or in Redis\n";
    assert_eq!((ended.code, &*ended.stderr), (Some(2), said));
}

#[test]
fn a_port_that_is_taken_leaves_no_new_file_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let folder = folder();
    let arguments = ["--listen", &address, "--store", "file:pools.redb"];
    let ended = refused(latchd_in(&folder, &arguments));
    assert_eq!(ended.code, Some(1));
    let said = format!("cannot listen on {address}: ");
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    let left = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 0, "files in the folder");
}

/// The seed of a start is one commit, whatever its size.
#[test]
fn a_commit_that_takes_long_is_warned_of() {
    let folder = folder();
    let ids: Vec<usize> = (0..60_000).collect();
    let seed = serde_json::json!({ "A": ids }).to_string();
    fs::write(folder.path().join("pools.json"), seed).expect("a seed");
    let arguments = [&ON_FILE[..], &["--seed", "pools.json"]].concat();
    let mut process = Process::spawn(latchd_in(&folder, &arguments));
    let said = process.wait_for_line("a commit to the store took ");
    assert!(said.contains(" ms; the disk is slow or busy"), "{said}");
}
