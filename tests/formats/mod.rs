//! Files of earlier formats, each as the version that wrote it has left it. They are opened with all that is
//! in them.
//!
//! A change of the format needs a new file here, made by the last version with the old one. `format-4-closed`
//! and `-killed` were made by 0.1.0: the requests were those of which `WRITTEN` shows the outcome, sent as
//! lines to `latchd --store file:FILE`, which then ended with SIGTERM, or with SIGKILL. `-seeding` is a copy of
//! the file in the middle of `slices::crashes`, with a seed that sets members decided and applied in part.

use std::fs;
use std::process::Command;

use redb::{Database, ReadableDatabase, TableDefinition};
use tempfile::TempDir;

use crate::support::{Client, Server, StoreKind};

/// The requests that the older version got, on pools and locks.
const WRITTEN: [(&str, &str); 5] = [
    (
        "GET /pool",
        "200 5 3 0 A\t0 1 0 B\t1 0 0 C\t2 1 0 my pool/é",
    ),
    ("GET /pool/A", "200 1\t2\t3\t4\t5"),
    ("GET /pool/A/lock", "200 2 86400 3\t2 86400 5\t3 - 4"),
    ("GET /pool/B/lock", "200 1 - b"),
    ("GET /pool/my%20pool%2F%C3%A9/lock", "200 1 31536000 x/y"),
];

/// A server on the file of an earlier format with this name.
fn open(name: &str) -> Server {
    let packed = format!(
        "{}/tests/formats/{name}.redb.gz",
        env!("CARGO_MANIFEST_DIR")
    );
    let unpacked = Command::new("gzip").args(["-dc", &packed]).output();
    let unpacked = unpacked.expect("gzip is installed");
    assert!(unpacked.status.success(), "{packed} can be unpacked");
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("latchd.redb"), unpacked.stdout).expect("a file");
    Server::start_in(folder, StoreKind::File, &[])
}

#[track_caller]
fn talk(client: &mut Client, lines: &[(&str, &str)]) {
    for (request, answer) in lines {
        assert_eq!(client.ask(request), *answer, "{request}");
    }
}

/// All state of the older version is there. Leases have restarted.
#[track_caller]
fn expect_written(client: &mut Client) {
    for (request, answer) in WRITTEN {
        let shown = client.ask(request);
        let shown = shown
            .replace(" 86399 ", " 86400 ")
            .replace(" 31535999 ", " 31536000 ");
        assert_eq!(shown, answer, "{request}");
    }
}

/// The format that the file of a server that has ended says it has.
fn format_of(server: &Server) -> u64 {
    const NUMBERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("numbers");
    let file = Database::open(server.folder.path().join("latchd.redb")).expect("it is closed");
    let transaction = file.begin_read().expect("it can be read");
    let numbers = transaction.open_table(NUMBERS).expect("a table");
    let format = numbers.get(&b"format"[..]).expect("it can be read");
    let format = format.expect("it is there").value().to_owned();
    u64::from_be_bytes(format.try_into().expect("eight bytes"))
}

/// No fence of the old file returns, however it has ended: the file does not record that.
#[test]
fn format_4_opens_with_locks_owners_fences_and_the_order_of_lending() {
    for end in ["closed", "killed"] {
        let mut server = open(&format!("format-4-{end}"));
        expect_written(&mut server.connect());
        assert_eq!(server.terminate().code(), Some(0));
        assert_eq!(format_of(&server), 5);
        server.restart();
        let mut client = server.connect();
        expect_written(&mut client);
        talk(
            &mut client,
            &[
                ("DELETE /pool/A/lock/3?owner=somebody", "409 not yours"),
                (
                    "POST /pool/A/lock?owner=ci-42&n=2&lease",
                    "200 2 86400 3\t2 86400 5",
                ),
                ("DELETE /pool/B/lock/b?owner=anna", "200"),
                ("GET /pool/B", "200"),
                ("POST /pool/A/lock?n=2&lease", "200 1004 - 1\t1004 - 2"),
                ("POST /pool/A/lock", "409 busy"),
                (r#"POST /pool/gone ["1"]"#, r#"200 ["1"]"#),
                ("POST /pool/gone/lock?lease", "200 1004 - 1"),
            ],
        );
    }
}

#[test]
fn format_4_with_a_seed_that_is_applied_in_part_opens_with_all_of_it() {
    let mut server = open("format-4-seeding");
    let members: Vec<String> = (10..50).rev().map(|id| id.to_string()).collect();
    talk(
        &mut server.connect(),
        &[
            ("GET /pool", "200 62 2 0 A\t40 2 0 B\t30 0 0 C"),
            ("GET /pool/A/lock", "200 1 - 139\t3 - 137"),
            ("GET /pool/B", &format!("200 {}", members.join("\t"))),
            ("GET /pool/B/lock", "200 1 - 19\t2 - 18"),
            ("POST /pool/C/lock?lease", "200 1004 - 29"),
        ],
    );
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(format_of(&server), 5);
}
