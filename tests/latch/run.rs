//! `latch run`: the command, its environment and its end.

use std::collections::HashSet;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use super::support::{Running, ask, failed, is_alive, printed, run, wait_for_state};
use crate::support::programs::{SEED, seeded};
use crate::support::{Server, StoreKind, signal};

#[test]
fn the_command_runs_while_the_lock_is_held() {
    for store in StoreKind::ALL {
        let server = seeded(store);
        let mut running = Running::start(
            &server,
            &[
                "run",
                "A",
                "--",
                "sh",
                "-c",
                "echo $LATCH_ID; read x; exit 7",
            ],
        );
        assert_eq!(running.line(), "4");
        assert_eq!(ask(&server, "GET /pool"), "200 4 1 0 A");
        running.close_stdin();
        assert_eq!(running.code(), 7);
        assert_eq!(running.rest_heard(), "");
        assert_eq!(ask(&server, "GET /pool"), "200 4 0 0 A");
    }
}

#[test]
fn the_command_knows_what_it_holds() {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"two words":["a b","c/d","e"]}"#);
    let script =
        r#"printf '%s|' "$LATCH_ID" "$LATCH_IDS" "$LATCH_FENCE" "$LATCH_POOL" "$LATCH_URL""#;
    let shown = printed(
        &server,
        &["run", "two words", "-n", "2", "--", "sh", "-c", script],
    );
    assert_eq!(shown, format!("e|e\nc/d|1|two words|{}|", server.url()));
    let shown = printed(
        &server,
        &["run", "two words", "--id", "a b", "--", "sh", "-c", script],
    );
    assert_eq!(shown, format!("a b|a b|2|two words|{}|", server.url()));
    // The grant of several is released as a whole.
    assert_eq!(ask(&server, "GET /pool"), "200 3 0 0 two words");
}

#[test]
fn each_has_a_name_of_its_own_if_none_is_given() {
    let server = seeded(StoreKind::Memory);
    let owner = |arguments: &[&str]| {
        let mut all = vec!["run", "A"];
        all.extend(arguments);
        all.extend(["--", "sh", "-c", "echo \"$LATCH_OWNER\""]);
        printed(&server, &all)
    };
    let owners: HashSet<String> = (0..5).map(|_| owner(&[])).collect();
    assert_eq!(owners.len(), 5);
    assert_eq!(owner(&["--owner", "me & you"]), "me & you\n");
}

#[test]
fn the_command_reads_what_latch_is_given() {
    let server = seeded(StoreKind::Memory);
    let mut running = Running::start(&server, &["run", "A", "--", "cat"]);
    let mut stdin = running.stdin.take().expect("it is piped");
    stdin.write_all(b"hello\n").expect("cat reads");
    assert_eq!(running.line(), "hello");
    drop(stdin);
    assert_eq!(running.code(), 0);
}

#[test]
fn the_end_of_the_command_is_that_of_latch() {
    let server = seeded(StoreKind::Memory);
    for (command, code) in [
        (&["true"][..], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 255"], 255),
    ] {
        let mut arguments = vec!["run", "A", "--"];
        arguments.extend(command);
        let ended = run(&server, &arguments);
        assert_eq!(
            (ended.code, &*ended.stderr),
            (Some(code), ""),
            "{command:?}"
        );
    }
    // A signal that has ended the command ends latch: a script of bash stops at Ctrl-C only then.
    for number in [1, 2, 3, 6, 9, 10, 11, 13, 14, 15] {
        let script = format!("ulimit -c 0; kill -{number} $$");
        let mut running = Running::start(&server, &["run", "A", "--", "sh", "-c", &script]);
        assert_eq!(running.signal_of_end(), number);
        assert_eq!(running.rest_heard(), "");
    }
    let (code, line) = failed(&server, &["run", "A", "--", "there-is-no-such-command"]);
    assert_eq!(code, 127);
    assert!(
        line.starts_with("latch: cannot run there-is-no-such-command: No such file"),
        "{line}"
    );
    let (code, line) = failed(&server, &["run", "A", "--", "/"]);
    assert_eq!(code, 126);
    assert!(
        line.starts_with("latch: cannot run /: Permission denied"),
        "{line}"
    );
    assert_eq!(ask(&server, "GET /pool"), "200 4 0 0 A");
}

#[test]
fn two_run_one_after_the_other() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        ask(&server, r#"POST /pool {"A":["1"]}"#);
        let order = ["run", "A", "--", "sh", "-c", "echo begin; read x; echo end"];
        let mut first = Running::start(&server, &order);
        assert_eq!(first.line(), "begin");
        let mut second = Running::start(&server, &order);
        wait_for_state(&server, "1 1 1");
        let said = second.hear("waiting");
        let start = "latch: A: waiting at place 1 of 1; held: 1 by ";
        assert!(said.starts_with(start), "{said}");
        first.close_stdin();
        assert_eq!(first.code(), 0);
        assert_eq!(first.rest(), "end");
        assert_eq!(second.line(), "begin");
        second.close_stdin();
        assert_eq!(second.code(), 0);
        wait_for_state(&server, "1 0 0");
    }
}

/// The lease began somewhere in the time of waiting; its rest may be nothing.
#[test]
fn a_lease_is_whole_when_the_command_starts() {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    ask(&server, "POST /pool/A/lock?ttl=2");
    let order = [
        "run",
        "A",
        "--ttl",
        "1",
        "--",
        "sh",
        "-c",
        "echo $LATCH_FENCE; read x",
    ];
    let mut running = Running::start(&server, &order);
    assert_eq!(running.line(), "2");
    running.close_stdin();
    assert_eq!(running.code(), 1, "of read");
}

#[test]
fn what_cannot_be_had_has_codes_of_its_own() {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    ask(&server, "POST /pool/A/lock");
    for (arguments, code, words) in [
        (
            &["A", "--wait", "0"][..],
            113,
            "latch: A: busy: every matching resource is held\n",
        ),
        (
            &["A", "--wait", "1", "--quiet"],
            113,
            "latch: A: busy: nothing became free within 1 s\n",
        ),
        (&["B"], 114, "latch: B: no pool: "),
        (&["A", "--id", "2"], 114, "latch: A: no resource: "),
        (&["A", "-n", "2"], 111, "latch: A: too few: "),
    ] {
        let mut all = vec!["run"];
        all.extend(arguments);
        all.extend(["--", "echo", "it runs"]);
        let started = Instant::now();
        let (actual, line) = failed(&server, &all);
        assert_eq!(actual, code, "{line}");
        assert!(line.starts_with(words), "{line}");
        if arguments.contains(&"1") {
            assert!(
                started.elapsed() > Duration::from_millis(990),
                "it has waited"
            );
        }
    }
    ask(&server, "DELETE /pool/A/lock");
    ask(&server, "POST /pool/A/lock?owner=x&ttl=60");
    assert_eq!(
        failed(
            &server,
            &["run", "A", "--owner", "x", "--id", "2", "--", "true"]
        )
        .0,
        115,
        "the owner holds another"
    );
}

#[test]
fn errors_can_be_json() {
    let server = Server::start(StoreKind::Memory);
    let (code, line) = failed(&server, &["run", "A", "--json", "--", "true"]);
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((code, &said["code"]), (114, &"no pool".into()), "{line}");
    ask(&server, &format!("POST /pool {SEED}"));
    let (code, line) = failed(&server, &["run", "A", "--json", "--", "there-is-no-such"]);
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((code, &said["code"]), (127, &"not run".into()), "{line}");
}

/// Children that a process started before it became latch are left alone, and latch does not wait
/// for them.
#[test]
fn a_process_that_becomes_latch_keeps_its_children() {
    let server = Server::start(StoreKind::Memory);
    ask(&server, &format!("POST /pool {SEED}"));
    let script = format!(
        "sleep 1000 >/dev/null 2>&1 & echo $!; exec {} run A --ttl 1 -- sh -c 'echo ready; sleep 1000'",
        env!("CARGO_BIN_EXE_latch")
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("LATCH_URL", server.url());
    let mut running = Running::spawn(shell);
    let sleeper: u32 = running.line().parse().expect("a number");
    assert_eq!(running.line(), "ready");
    ask(&server, "DELETE /pool/A/lock");
    assert_eq!(running.code(), 115);
    assert!(is_alive(sleeper));
    signal(sleeper, "KILL");
}
