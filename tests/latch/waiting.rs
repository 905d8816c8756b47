//! `latch wait-free`.

use std::time::{Duration, Instant};

use super::support::{Running, ask, failed, printed};
use crate::support::StoreKind;
use crate::support::programs::seeded;

#[test]
fn what_is_free_is_not_waited_for() {
    let server = seeded(StoreKind::Memory);
    ask(&server, "POST /pool/A/lock");
    assert_eq!(printed(&server, &["wait-free", "A"]), "3\n");
    assert_eq!(printed(&server, &["wait-free", "A", "-n", "3"]), "3\n");
    let json = printed(&server, &["wait-free", "A", "--json"]);
    assert_eq!(json, "{\"free\":3,\"held\":1}\n");
    ask(&server, "DELETE /pool/A/lock");
    assert_eq!(printed(&server, &["wait-free", "A", "--idle"]), "4\n");
    // It has taken nothing.
    assert_eq!(ask(&server, "POST /pool/A/lock?lease"), "200 2 - 3");
}

#[test]
fn it_waits_until_it_is_so() {
    let server = seeded(StoreKind::Memory);
    ask(&server, "POST /pool/A/lock?n=4&ttl=1");
    let mut running = Running::start(&server, &["wait-free", "A"]);
    assert_eq!(running.line(), "4");
    assert_eq!(running.code(), 0);
    ask(&server, "POST /pool/A/lock?n=4&ttl=1");
    let mut running = Running::start(&server, &["wait-free", "A", "--idle"]);
    assert_eq!(running.line(), "4");
    assert_eq!(running.code(), 0);
}

#[test]
fn it_gives_up_in_time() {
    let server = seeded(StoreKind::Memory);
    ask(&server, "POST /pool/A/lock");
    for (arguments, wait) in [(&["-n", "4"][..], "1"), (&["--idle"], "0")] {
        let mut all = vec!["wait-free", "A", "--wait", wait];
        all.extend(arguments);
        let started = Instant::now();
        let expected = format!("latch: A: busy: not so within {wait} s\n");
        assert_eq!(failed(&server, &all), (3, expected));
        let wait: u64 = wait.parse().expect("a number");
        assert!(started.elapsed() >= Duration::from_secs(wait));
    }
    assert_eq!(failed(&server, &["wait-free", "B"]).0, 4);
}

/// A member that was removed while it is held delays no waiter.
#[test]
fn what_is_no_member_any_more_is_not_counted() {
    let server = seeded(StoreKind::Memory);
    ask(&server, "POST /pool/A/lock/4");
    ask(&server, r#"PUT /pool/A ["1"]"#);
    assert_eq!(printed(&server, &["wait-free", "A", "--wait", "20"]), "1\n");
    assert_eq!(
        failed(&server, &["wait-free", "A", "--idle", "--wait", "0"]).0,
        3
    );
}
