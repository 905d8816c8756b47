//! What a start does to the file of a store, and says of it.

use std::fs;
use std::net::TcpListener;

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
fn must_exist_is_for_files() {
    for store in ["memory:", "redis://h"] {
        let ended = run(&folder(), &["--check", "--store", store, "--must-exist"]);
        let said = "error: --must-exist: only the store of file:PATH can be checked for it\n";
        assert_eq!((ended.code, &*ended.stderr), (Some(2), said));
    }
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
