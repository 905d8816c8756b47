//! `latch watch` in a pipe, and its output like `ls`; `terminal` has it on a terminal.

use super::support::{Running, ask, failed, latch, own_address, printed, run, wait_for_state};
use crate::support::launch::eventually;
use crate::support::programs::seeded;
use crate::support::{Server, StoreKind};

#[test]
fn tables_follow_each_other_in_a_pipe() {
    let server = seeded(StoreKind::Memory);
    let table = "POOL  RESOURCES  HELD  WAITING\nA             4     0        0\n";
    let both = format!("{table}\n{table}");
    assert_eq!(printed(&server, &["watch", "--count", "2"]), both);
    ask(&server, "POST /pool/A/lock?owner=me");
    let locks = printed(&server, &["watch", "A", "--count", "1"]);
    assert!(
        locks.starts_with("ID  FENCE  AGE  TTL  OWNER\n4       1"),
        "{locks}"
    );
    let json = printed(&server, &["watch", "--count", "2", "--json"]);
    assert_eq!(
        json,
        "{\"A\":{\"resources\":4,\"held\":1,\"waiting\":0,\"free\":3}}\n".repeat(2)
    );
    assert_eq!(failed(&server, &["watch", "B"]).0, 4);
}

/// The words of each line of a table.
fn words(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines();
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn ls_and_watch_show_waiters() {
    let server = seeded(StoreKind::Memory);
    let heading = "ID  N  AGE  LEFT  STATE  OWNER\n";
    assert_eq!(printed(&server, &["ls", "A", "--waiting"]), heading);
    assert_eq!(
        printed(&server, &["ls", "A", "--waiting", "--json"]),
        "[]\n"
    );
    ask(&server, "POST /pool/A/lock?n=4");
    let mut waiting = Vec::new();
    for (place, request) in [
        "POST /pool/A/lock?n=2&owner=ci%202&wait=300",
        "POST /pool/A/lock/3?wait=60",
        "POST /pool/A/lock?owner=%F0%9F%94%92%E2%80%AEx&wait=60",
    ]
    .iter()
    .enumerate()
    {
        let mut client = server.connect();
        client.send(format!("{request}\n"));
        waiting.push(client);
        wait_for_state(&server, &format!("4 4 {}", place + 1));
    }
    waiting.remove(0);
    let lost = || {
        let table = printed(&server, &["ls", "A", "--waiting"]);
        table.contains("lost").then_some(table)
    };
    let table = eventually("it is away", lost);
    let lines = words(&table);
    assert_eq!(lines.len(), 4, "{table}");
    let of = |line: usize, at: &[usize]| at.iter().map(|&at| lines[line][at]).collect::<Vec<_>>();
    assert_eq!(of(1, &[0, 1, 4, 5, 6]), ["-", "2", "lost", "ci", "2"]);
    assert_eq!(of(2, &[0, 1, 4, 5]), ["3", "1", "waits", "-"]);
    // Characters that turn text around are spelt out.
    assert_eq!(
        of(3, &[0, 1, 4, 5]),
        ["-", "1", "waits", "\u{1f512}\\u{202e}x"]
    );
    let left = lines[2][3];
    assert!(left == "1m00s" || left.starts_with('5'), "{table}");
    let json = printed(&server, &["ls", "A", "--waiting", "--json"]);
    assert!(
        json.starts_with(r#"[{"owner":"ci 2","n":2,"id":null,"age":"#),
        "{json}"
    );
    let watched = printed(&server, &["watch", "A", "--waiting", "--count", "1"]);
    assert_eq!(words(&watched).len(), 4, "{watched}");
    // Columns that were not asked for are as before.
    assert!(printed(&server, &["ls", "A"]).starts_with("ID  FENCE  AGE  TTL  OWNER\n"));
    assert_eq!(failed(&server, &["ls", "B", "--waiting"]).0, 4);
    for arguments in [
        &["ls", "--waiting"][..],
        &["watch", "--waiting"],
        &["ls", "A", "--members", "--waiting"],
    ] {
        assert_eq!(run(&server, arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn it_goes_on_when_the_server_comes_back() {
    let address = own_address().to_string();
    let mut server = Server::start_with(StoreKind::File, &["--listen", &address]);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    let mut command = latch(&format!("http://{address}"));
    command.args(["watch", "--json"]);
    let mut running = Running::spawn(command);
    let before = running.line();
    server.kill();
    running.hear("Connection refused");
    server.restart();
    while running.line() != before {}
}
