//! A store without space for more: it acknowledges nothing that is not stored, and requests that need no space
//! succeed.
//!
//! The disk is full as far as the server can tell: its files may not grow beyond a limit that the shell sets.

use std::process::Command;
use std::time::{Duration, Instant};

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
    let said = process.wait_for_line("the store failed: ");
    assert!(said.contains("latchd.redb: it cannot be "), "{said}");
    assert!(said.contains("what needs no space goes on"), "{said}");
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

/// Repeats requests that need space.
#[test]
fn locks_and_releases_go_on_while_the_disk_is_full() {
    let folder = TempDir::new().expect("a temporary folder");
    let (_process, mut client) = start_on_a_small_disk(&folder);
    client.ask("POST /pool {\"held\":[\"x\",\"y\"]}");
    assert_eq!(client.ask("POST /pool/held/lock?owner=o"), "200 y");
    fill_until_refused(&mut client);
    let end = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < end {
        assert_eq!(client.ask(&seed("too-much", 8000)), "503 store down");
        for (request, answer) in [
            ("POST /pool/held/lock", "200 x"),
            ("DELETE /pool/held/lock/x", "200"),
            ("PUT /pool/held/lock/y?owner=o", "200"),
            ("GET /ready", "200 ready"),
        ] {
            assert_eq!(client.ask(request), answer, "{request}");
        }
    }
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
        let answer = client.ask(&seed(&name, 1000));
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

/// A request that adds a pool of this many resources.
fn seed(pool: &str, count: usize) -> String {
    let ids: Vec<String> = (0..count)
        .map(|id| format!("\"resource number {id}\""))
        .collect();
    format!("PUT /pool/{pool} [{}]", ids.join(","))
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
