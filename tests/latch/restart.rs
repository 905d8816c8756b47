//! The server goes away while a lock is waited for or held, and comes back, or does not.

use std::time::{Duration, Instant};

use super::support::{Lasting, Running, ask, latch, own_address, wait_for_state};
use crate::support::{Server, StoreKind};

fn start(store: StoreKind) -> Lasting {
    let address = own_address().to_string();
    let url = format!("http://{address}");
    Lasting::start(store, &["--listen", &address], url, None)
}

#[test]
fn a_restart_within_the_lease_is_survived() {
    for store in [StoreKind::File, StoreKind::Redis] {
        start(store).restart_within_a_lease();
    }
}

/// The queue of the file store does not outlive a restart: all ask again, and all are served.
#[test]
fn a_waiter_asks_again_after_a_restart() {
    let mut lasting = start(StoreKind::File);
    ask(&lasting.server, "POST /pool/A/lock");
    let mut waiting: Vec<Running> = (1..=3)
        .map(|count| {
            let running = lasting.run(&[], "echo $LATCH_FENCE");
            wait_for_state(&lasting.server, &format!("1 1 {count}"));
            running
        })
        .collect();
    lasting.server.kill();
    for running in &mut waiting {
        running.hear("trying again");
    }
    lasting.server.restart();
    wait_for_state(&lasting.server, "1 1 3");
    ask(&lasting.server, "DELETE /pool/A/lock/1");
    let mut fences: Vec<String> = waiting.iter_mut().map(Running::line).collect();
    fences.sort_unstable();
    assert_eq!(fences, ["1001", "1002", "1003"]);
    for running in &mut waiting {
        assert_eq!(running.code(), 0);
    }
}

#[test]
fn a_server_that_stays_away_costs_the_lock_before_it_ends() {
    let mut lasting = start(StoreKind::File);
    let started = Instant::now();
    let script = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = lasting.run(&["--ttl", "6"], script);
    assert_eq!(running.line(), "ready");
    lasting.server.kill();
    assert_eq!(running.line(), "told");
    let told = started.elapsed();
    assert_eq!(running.code(), 115);
    // Granted after the start, it lasts until six seconds after that, whatever the clocks show.
    let ended = started.elapsed();
    assert!(ended < Duration::from_secs(6), "{ended:?}");
    assert!(told > Duration::from_millis(3900), "it has tried: {told:?}");
    let said = running.rest_heard();
    assert!(said.contains("the lock is lost"), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
}

/// The system still accepts for it.
#[test]
fn a_server_that_hangs_costs_the_lock_before_it_ends() {
    let lasting = start(StoreKind::Memory);
    let script = "trap 'echo told; read x; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = lasting.run(&["--ttl", "6"], script);
    assert_eq!(running.line(), "ready");
    lasting.server.signal("STOP");
    assert_eq!(running.line(), "told");
    lasting.server.signal("CONT");
    let held = ask(&lasting.server, "GET /pool");
    assert_eq!(held, "200 1 1 0 A", "the lease outlives the command");
    running.close_stdin();
    assert_eq!(running.code(), 115);
}

#[test]
fn a_server_that_is_just_starting_is_waited_for() {
    let address = own_address().to_string();
    let mut command = latch(&format!("http://{address}"));
    command.args(["run", "A", "--", "echo", "it runs"]);
    let mut running = Running::spawn(command);
    let said = running.hear("trying again");
    assert!(said.contains("Connection refused"), "{said}");
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("pools.json"), r#"{"A":["1"]}"#).expect("a file");
    let options = ["--listen", &address, "--seed", "pools.json"];
    let _server = Server::start_in(folder, StoreKind::Memory, &options);
    assert_eq!(running.line(), "it runs");
    assert_eq!(running.code(), 0);
}

#[test]
fn a_server_that_never_was_is_given_up() {
    let url = format!("http://{}", own_address());
    for (wait, longest) in [("0", 5), ("1", 8)] {
        let started = Instant::now();
        let mut command = latch(&url);
        command.args(["run", "A", "--wait", wait, "-q", "--", "echo", "it runs"]);
        let mut running = Running::spawn(command);
        assert_eq!(running.code(), 116);
        let said = running.rest_heard();
        let expected = format!(
            "latch: A: {url}: Connection refused (os error 111) \
             (LATCH_URL or --url says where the server is)"
        );
        assert_eq!(said, expected);
        assert_eq!(running.rest(), "");
        assert!(started.elapsed() < Duration::from_secs(longest));
    }
}
