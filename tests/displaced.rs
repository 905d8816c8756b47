//! A store whose file is moved, removed or replaced under a running server: it lends nothing more, since no
//! server would find the grants again, and logs the reason.

use std::fs;
use std::path::PathBuf;

use crate::support::launch::{eventually, latchd_in, start};
use crate::support::{Client, Process, Server, StoreKind};

const DOWN: &str = "503 store down";

/// A server whose pool A has four resources, one of them held.
fn serving() -> (Server, Client, PathBuf) {
    let server = Server::start(StoreKind::File);
    let mut client = server.connect();
    assert!(client.ask("POST /pool/A [1,2,3,4]").starts_with("200 "));
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 4");
    let file = server.folder.path().join("latchd.redb");
    (server, client, file)
}

/// Waits until a store that has come back serves.
fn await_ready(client: &mut Client) {
    eventually("the store is back", || {
        (client.ask("GET /ready") == "200 ready").then_some(())
    });
}

#[test]
fn a_file_that_is_moved_away_and_back() {
    let (mut server, mut client, file) = serving();
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).expect("it is moved");
    assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
    let said = server.wait_for_log("the store failed: ");
    assert!(
        said.contains(
            "latchd.redb: the file was moved away while it was in use; move it back, or "
        ),
        "{said}"
    );
    for request in [
        "POST /pool/A/lock",
        "DELETE /pool/A/lock/4",
        "GET /pool",
        "GET /ready",
    ] {
        assert_eq!(client.ask(request), DOWN, "{request}");
    }
    assert!(!file.exists(), "no new file was made");
    fs::rename(&aside, &file).expect("it is moved back");
    server.wait_for_log("the store can be written again");
    assert_eq!(
        client.ask("GET /pool"),
        "200 4 1 0 A",
        "what was refused was not lent"
    );
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1001 - 3");
    assert_eq!(client.ask("DELETE /pool/A/lock/4?fence=1"), "200");
}

/// Without any commit, and within the same second.
#[test]
fn readiness_looks_for_the_file() {
    let (_server, mut client, file) = serving();
    assert_eq!(client.ask("GET /ready"), "200 ready");
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).expect("it is moved");
    assert_eq!(client.ask("GET /ready"), DOWN);
    fs::rename(&aside, &file).expect("it is moved back");
    await_ready(&mut client);
}

/// Requests without a commit are answered for a second at most.
#[test]
fn renewals_and_listings_end_within_a_second() {
    let (_server, mut client, file) = serving();
    fs::rename(&file, file.with_extension("aside")).expect("it is moved");
    eventually("the loss is noticed", || {
        (client.ask("PUT /pool/A/lock/4") == DOWN).then_some(())
    });
    assert_eq!(client.ask("GET /pool/A"), DOWN);
}

#[test]
fn a_file_that_is_removed_can_be_copied_and_served_again() {
    let (mut server, mut client, file) = serving();
    fs::remove_file(&file).expect("it is removed");
    assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
    let said = server.wait_for_log("the store failed: ");
    let (_, rest) = said
        .split_once("the file was removed while it was in use; copy ")
        .expect("it says what has happened");
    let (contents, _) = rest.split_once(' ').expect("and where it is");
    fs::copy(contents, &file).expect("it can be copied");
    // The copy is another file, and has to be taken up by a start.
    server.wait_for_log("the store is still down: ");
    assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
    server.kill();
    server.restart();
    assert_eq!(server.connect().ask("GET /pool/A/lock"), "200 1 - 4");
}

#[test]
fn another_file_at_its_place_is_not_taken_for_it() {
    let (mut server, mut client, file) = serving();
    let (_other, mut others_client, other) = serving();
    assert_eq!(others_client.ask("DELETE /pool/A/lock/4"), "200");
    fs::copy(&other, file.with_extension("new")).expect("a copy");
    fs::rename(file.with_extension("new"), &file).expect("it takes the place");
    assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
    let said = server.wait_for_log("the store failed: ");
    assert!(
        said.contains("another file has taken the place of the one in use"),
        "{said}"
    );
    server.wait_for_log("the store is still down: ");
    assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
}

#[test]
fn a_second_server_at_the_same_path_is_the_only_one_that_lends() {
    let (server, mut client, file) = serving();
    fs::rename(&file, file.with_extension("aside")).expect("it is moved");
    let arguments = ["--listen", "127.0.0.1:0", "--store", "file:latchd.redb"];
    let (_second, addresses): (Process, _) = start(latchd_in(&server.folder, &arguments));
    let mut second = Client::connect(addresses[0]);
    assert!(second.ask("POST /pool/A [1,2,3,4]").starts_with("200 "));
    for id in ["4", "3", "2", "1"] {
        assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
        assert_eq!(second.ask("POST /pool/A/lock"), format!("200 {id}"));
    }
    assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
}
