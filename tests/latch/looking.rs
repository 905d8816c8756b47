//! `latch watch`, in a pipe; `terminal` has it on a terminal.

use super::support::{Running, ask, failed, latch, own_address, printed};
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
        "{\"A\":{\"resources\":4,\"held\":1,\"waiting\":0}}\n".repeat(2)
    );
    assert_eq!(failed(&server, &["watch", "B"]).0, 4);
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
