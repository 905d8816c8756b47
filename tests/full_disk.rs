//! A store that cannot be written: nothing is acknowledged that is not stored, and service goes on.
//!
//! The disk is full as far as the server can tell: its files may not grow beyond a limit that the
//! shell sets.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::launch::addresses_in;
use crate::support::{Client, Process, Server, StoreKind, latchd};

/// The largest file, in blocks of 512 bytes.
const MAX_BLOCKS: u32 = 2000;

#[test]
fn what_is_acknowledged_survives_a_full_disk_and_the_rest_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let (mut process, mut client) = start_on_a_small_disk(&folder);
    client.ask("POST /pool {\"held\":[\"x\"]}");
    assert_eq!(client.ask("POST /pool/held/lock?lease"), "200 1 - x");

    let acknowledged = fill_until_refused(&mut client);
    assert!(
        acknowledged.len() > 3,
        "the disk is not full at once: {acknowledged:?}"
    );
    assert_eq!(client.ask("DELETE /pool/held/lock/x"), "503 store down");

    process.wait_for_line("the store can be written again");
    assert_eq!(
        pools(&mut client),
        acknowledged,
        "what was refused is not there"
    );
    assert_eq!(client.ask("GET /pool/held/lock/x"), "200 1 - x");

    process.kill();
    let server = Server::start_in(folder, StoreKind::File, &[]);
    assert_eq!(
        pools(&mut server.connect()),
        acknowledged,
        "what was acknowledged is in the file"
    );
    assert_eq!(server.connect().ask("DELETE /pool/held/lock/x"), "200");
}

#[test]
fn a_store_whose_file_is_gone_does_not_start_anew_empty() {
    let folder = TempDir::new().expect("a temporary folder");
    let (mut process, mut client) = start_on_a_small_disk(&folder);
    client.ask("POST /pool {\"held\":[\"x\"]}");
    assert_eq!(client.ask("POST /pool/held/lock"), "200 x");
    fill_until_refused(&mut client);

    let (file, aside) = (
        folder.path().join("latchd.redb"),
        folder.path().join("aside"),
    );
    fs::rename(&file, &aside).expect("the file is moved away");
    process.wait_for_line("the store is still down");
    assert_eq!(client.ask("GET /pool"), "503 store down");
    assert!(!file.exists(), "no new file was made");
    fs::rename(&aside, &file).expect("the file is moved back");
    process.wait_for_line("the store can be written again");
    assert_eq!(client.ask("POST /pool/held/lock/x"), "409 busy");
}

pub fn start_on_a_small_disk(folder: &TempDir) -> (Process, Client) {
    let binary = latchd();
    let script = format!("ulimit -f {MAX_BLOCKS}; trap '' XFSZ; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command
        .current_dir(folder.path())
        .args(["-c", &script])
        .arg(binary.get_program());
    command.args(["--listen", "127.0.0.1:0", "--store", "file:latchd.redb"]);
    let mut process = Process::spawn(command);
    let address = addresses_in(&process.wait_for_line("listening on "))[0];
    (process, Client::connect(address))
}

/// Makes pools of a thousand resources until one is refused. Answers the names of those that were not,
/// in the order of their names.
pub fn fill_until_refused(client: &mut Client) -> Vec<String> {
    let mut acknowledged = vec!["held".to_owned()];
    for number in 0..100 {
        let name = format!("pool-{number:03}");
        let ids: Vec<String> = (0..1000)
            .map(|id| format!("\"resource number {id}\""))
            .collect();
        let answer = client.ask(&format!("PUT /pool/{name} [{}]", ids.join(",")));
        if answer == "503 store down" {
            return acknowledged;
        }
        assert!(
            answer.starts_with("200 [\"resource number 0\","),
            "{answer}"
        );
        acknowledged.push(name);
    }
    panic!("the disk is never full");
}

/// The names of all pools.
fn pools(client: &mut Client) -> Vec<String> {
    let answer = client.ask("GET /pool");
    let lines = answer
        .strip_prefix("200 ")
        .expect("the pools are listed")
        .split('\t');
    lines
        .map(|line| {
            line.split(' ')
                .nth(3)
                .expect("a line ends in a name")
                .to_owned()
        })
        .collect()
}
