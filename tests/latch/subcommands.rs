//! The subcommands that make one request: their effects, output, and exit codes.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Running, ask, failed, latch, printed, run};
use crate::support::programs::{SEED, seeded};
use crate::support::{Server, StoreKind, run_command};

fn parse(json: &str) -> Value {
    assert!(
        json.ends_with('\n') && !json.trim_end().contains('\n'),
        "one line: {json:?}"
    );
    serde_json::from_str(json).expect("JSON")
}

#[test]
fn lock_prints_ids_or_leases() {
    for store in StoreKind::ALL {
        let server = seeded(store);
        assert_eq!(printed(&server, &["lock", "A"]), "4\n");
        assert_eq!(
            printed(&server, &["lock", "A", "--ttl", "60", "--lease"]),
            "2 60 3\n"
        );
        let lease = parse(&printed(&server, &["lock", "A", "--json", "--owner", "me"]));
        assert_eq!(
            lease,
            json!({"id": "2", "fence": 3, "ttl": null, "owner": "me", "age": 0})
        );
        // Asking again is safe.
        assert_eq!(
            printed(&server, &["lock", "A", "--owner", "me", "--lease"]),
            "3 - 2\n"
        );
        assert_eq!(
            failed(&server, &["lock", "A", "-n", "2"]),
            (
                3,
                "latch: A: busy: every matching resource is held\n".into()
            )
        );
        ask(&server, "DELETE /pool/A/lock");
        assert_eq!(
            printed(&server, &["lock", "A", "-n", "3"]).lines().count(),
            3
        );
        assert_eq!(printed(&server, &["lock", "A", "--id", "2"]), "2\n");
    }
}

/// A client that did not learn an id could not release it.
#[test]
fn what_cannot_be_told_is_given_back() {
    let server = seeded(StoreKind::Memory);
    for options in [&[][..], &["--json"], &["-n", "2"], &["--owner", "me"]] {
        for is_pipe in [true, false] {
            let mut command = latch(&server.url());
            command.args(["lock", "A", "--ttl", "60"]).args(options);
            command.stdin(Stdio::null()).stderr(Stdio::piped());
            match is_pipe {
                true => {
                    let (reader, writer) = std::io::pipe().expect("a pipe");
                    drop(reader);
                    command.stdout(writer);
                }
                false => {
                    let full = std::fs::File::create("/dev/full").expect("it is there");
                    command.stdout(full);
                }
            }
            let child = command.spawn().expect("it starts");
            let ended = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{options:?}: {said}");
            assert!(said.contains("the lock was given back"), "{said}");
            assert_eq!(ask(&server, "GET /pool"), "200 4 0 0 A", "{options:?}");
        }
    }
}

#[test]
fn lock_waits_in_the_queue() {
    let server = Server::start_with(StoreKind::Memory, &["--max-wait", "1"]);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    ask(&server, "POST /pool/A/lock?ttl=3");
    // Longer than the server lets a request wait.
    let mut running = Running::start(&server, &["lock", "A", "--wait", "20", "--lease"]);
    assert_eq!(running.line(), "2 - 1");
    assert_eq!(running.code(), 0);
    let (code, line) = failed(&server, &["lock", "A", "--wait", "1"]);
    assert_eq!(
        (code, &*line),
        (3, "latch: A: busy: nothing became free within 1 s\n")
    );
}

#[test]
fn free_releases() {
    let server = seeded(StoreKind::Memory);
    ask(&server, "POST /pool/A/lock?n=2");
    assert_eq!(printed(&server, &["free", "A", "4", "3"]), "");
    assert_eq!(ask(&server, "GET /pool"), "200 4 0 0 A");
    ask(&server, "POST /pool/A/lock?owner=me&n=2");
    assert_eq!(failed(&server, &["free", "A", "2"]).0, 5);
    assert_eq!(failed(&server, &["free", "A", "2", "--owner", "you"]).0, 5);
    assert_eq!(
        failed(
            &server,
            &["free", "A", "2", "--owner", "me", "--fence", "1"]
        )
        .0,
        5
    );
    assert_eq!(
        printed(
            &server,
            &["free", "A", "2", "--owner", "me", "--fence", "2"]
        ),
        ""
    );
    assert_eq!(
        printed(&server, &["free", "A", "1", "--force", "--json"]),
        "{\"released\":1}\n"
    );
    ask(&server, "POST /pool/A/lock?owner=me&n=2");
    assert_eq!(printed(&server, &["free", "A", "--owner", "me"]), "2\n");
    assert_eq!(
        printed(&server, &["free", "A", "--owner", "me", "--json"]),
        "{\"released\":0}\n"
    );
    let (code, line) = failed(&server, &["free", "A", "1"]);
    assert_eq!(
        (code, &*line),
        (4, "latch: A: 1: not held: this resource is not held\n")
    );
    assert_eq!(
        run(&server, &["free", "A"]).code,
        Some(2),
        "nothing is named"
    );
}

/// The exit code is that of the worst failure, and the successes are printed.
#[test]
fn one_that_is_not_held_does_not_stop_the_others() {
    let server = seeded(StoreKind::Memory);
    ask(&server, "POST /pool/A/lock?n=2&ttl=10");
    let ended = run(&server, &["renew", "A", "4", "1", "3", "--lease"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(4), "1 10 4\n1 10 3\n"));
    ask(&server, "POST /pool/A/lock/2?owner=me");
    let ended = run(&server, &["free", "A", "1", "4", "2", "3", "--json"]);
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(5), "{\"released\":2}\n")
    );
    let said: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(said.len(), 2, "{}", ended.stderr);
    assert!(said[0].contains("A: 1: not held"), "{}", ended.stderr);
    assert!(said[1].contains("A: 2: not yours"), "{}", ended.stderr);
    assert_eq!(ask(&server, "GET /pool"), "200 4 1 0 A");
}

#[test]
fn durations_may_have_units() {
    let server = seeded(StoreKind::Memory);
    for (ttl, seconds) in [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86_400),
    ] {
        let lease = printed(
            &server,
            &["lock", "A", "--owner", "me", "--ttl", ttl, "--lease"],
        );
        assert_eq!(lease, format!("1 {seconds} 4\n"), "{ttl}");
    }
    assert_eq!(printed(&server, &["purge", "A", "--older", "1h"]), "0\n");
    assert_eq!(printed(&server, &["wait-free", "A", "--wait", "1m"]), "3\n");
    for arguments in [
        &["lock", "A", "--ttl", "0m"][..],
        &["lock", "A", "--ttl", "366d"],
        &["lock", "A", "--wait", "5 m"],
        &["watch", "--interval", "2d"],
    ] {
        let ended = run(&server, arguments);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{arguments:?}");
        assert!(ended.stderr.contains("wanted "), "{}", ended.stderr);
    }
}

#[test]
fn renew_restarts_leases() {
    let server = seeded(StoreKind::Memory);
    ask(&server, "POST /pool/A/lock?owner=me&n=2&ttl=10");
    assert_eq!(printed(&server, &["renew", "A", "4", "--owner", "me"]), "");
    assert_eq!(
        printed(
            &server,
            &["renew", "A", "--owner", "me", "--ttl", "99", "--lease"]
        ),
        "1 99 4\n1 99 3\n"
    );
    let leases = parse(&printed(
        &server,
        &["renew", "A", "3", "--owner", "me", "--json"],
    ));
    assert_eq!(
        leases,
        json!([{"id": "3", "fence": 1, "ttl": 99, "owner": "me", "age": 0}])
    );
    assert_eq!(failed(&server, &["renew", "A", "3"]).0, 5);
    assert_eq!(
        failed(
            &server,
            &["renew", "A", "3", "--owner", "me", "--fence", "7"]
        )
        .0,
        5
    );
    assert_eq!(failed(&server, &["renew", "A", "1"]).0, 4);
    assert_eq!(
        run(&server, &["renew", "A"]).code,
        Some(2),
        "nothing is named"
    );
}

#[test]
fn ls_lists_pools_locks_and_members() {
    let server = seeded(StoreKind::Memory);
    ask(&server, r#"POST /pool {"a longer name":["with space"]}"#);
    ask(&server, "POST /pool/A/lock?owner=me&ttl=3600");
    ask(&server, "POST /pool/a%20longer%20name/lock");
    assert_eq!(
        printed(&server, &["ls"]),
        "POOL           RESOURCES  HELD  WAITING\n\
         A                      4     1        0\n\
         a longer name          1     1        0\n"
    );
    let pools = parse(&printed(&server, &["ls", "--json"]));
    let a = json!({"resources": 4, "held": 1, "waiting": 0, "free": 3});
    assert_eq!(pools["A"], a);
    let locks = printed(&server, &["ls", "A"]);
    let lines: Vec<Vec<&str>> = locks
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["ID", "FENCE", "AGE", "TTL", "OWNER"]);
    assert_eq!((&lines[1][..2], lines[1][4]), (&["4", "1"][..], "me"));
    assert!(["59m59s", "1h00m"].contains(&lines[1][3]), "{locks}");
    assert!(printed(&server, &["ls", "a longer name"]).ends_with("  0s    -  -\n"));
    let leases = parse(&printed(&server, &["ls", "A", "--json"]));
    assert_eq!(leases[0]["owner"], "me");
    assert_eq!(printed(&server, &["ls", "A", "--members"]), "1\n2\n3\n4\n");
    assert_eq!(
        parse(&printed(&server, &["ls", "A", "--members", "--json"])),
        json!(["1", "2", "3", "4"])
    );
    assert_eq!(failed(&server, &["ls", "B"]).0, 4);
}

#[test]
fn seed_takes_arguments() {
    let server = Server::start(StoreKind::Memory);
    let table = "POOL  RESOURCES\nA             2\n";
    assert_eq!(printed(&server, &["seed", "A", "1", "[2]"]), table);
    assert_eq!(
        parse(&printed(&server, &["seed", "A", "3", "--json"])),
        json!(["1", "[2]", "3"])
    );
    assert_eq!(printed(&server, &["seed", "A", "x", "y", "--set"]), table);
    assert_eq!(ask(&server, "GET /pool/A"), "200 x\ty");
}

#[test]
fn seed_takes_files() {
    let server = Server::start(StoreKind::Memory);
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("ids"), "1\n2\n").expect("a file");
    std::fs::write(path("pools"), r#"{"B":["1"],"C":["1","2"]}"#).expect("a file");
    assert_eq!(
        printed(&server, &["seed", "A", "--file", &path("ids")]),
        "POOL  RESOURCES\nA             2\n"
    );
    assert_eq!(
        printed(&server, &["seed", "--file", &path("pools")]),
        "POOL  RESOURCES\nB             1\nC             2\n"
    );
    assert_eq!(
        parse(&printed(
            &server,
            &["seed", "--file", &path("pools"), "--set", "--json"]
        ))["C"],
        json!(["1", "2"])
    );
    let (code, line) = failed(&server, &["seed", "A", "--file", &path("missing")]);
    assert_eq!(code, 1);
    assert!(
        line.contains("missing cannot be read: No such file"),
        "{line}"
    );
}

#[test]
fn seed_takes_its_standard_input() {
    let server = Server::start(StoreKind::Memory);
    for arguments in [&["seed", "A"][..], &["seed", "A", "--file", "-"]] {
        let mut running = Running::start(&server, arguments);
        let mut stdin = running.stdin.take().expect("it is piped");
        stdin.write_all(b"1\n2\n3\n").expect("it is read");
        drop(stdin);
        assert_eq!(running.rest(), "POOL  RESOURCES\nA             3");
    }
    // Nothing at all is a mistake, and not a pool that is emptied.
    let (code, line) = failed(&server, &["seed", "A", "--set"]);
    assert_eq!(code, 1, "{line}");
    assert_eq!(ask(&server, "GET /pool"), "200 3 0 0 A");
}

#[test]
fn purge_releases_and_remove_removes() {
    let server = seeded(StoreKind::Memory);
    ask(&server, "POST /pool/A/lock?n=3");
    assert_eq!(printed(&server, &["purge", "A", "--older", "1000"]), "0\n");
    assert_eq!(printed(&server, &["purge", "A", "--owner", "me"]), "0\n");
    assert_eq!(printed(&server, &["purge", "A"]), "3\n");
    assert_eq!(
        printed(&server, &["purge", "A", "--json"]),
        "{\"released\":0}\n"
    );
    assert_eq!(
        printed(&server, &["remove", "A", "--json"]),
        "{\"removed\":\"A\"}\n"
    );
    assert_eq!(failed(&server, &["remove", "A"]).0, 4);
    assert_eq!(failed(&server, &["purge", "A"]).0, 4);
    ask(&server, &format!("POST /pool {SEED}"));
    assert_eq!(printed(&server, &["remove", "A"]), "");
    assert_eq!(ask(&server, "GET /pool"), "200");
}

#[test]
fn wrong_usage_is_named_and_asks_nothing() {
    for (arguments, words) in [
        (&[][..], "Usage"),
        (&["nonsense"], "nonsense"),
        (&["run", "A"], "COMMAND"),
        (&["run", "A", "--ttl", "0", "--", "true"], "--ttl"),
        (&["run", "A", "--id", "1", "-n", "2", "--", "true"], "--id"),
        (&["lock", ""], "a name is empty"),
        (&["lock", "a\nb"], "control character"),
        (&["lock", "A", "--owner", &"x".repeat(129)], "too long"),
        (&["ls", "--url", "http://user:secret@h:1"], "no passwords"),
        (&["ls", "--url", "http://h:1/?x=secret"], "there is a query"),
        (&["ls", "--url", "localhost"], "the port is missing"),
    ] {
        let mut command = latch("http://127.0.0.1:1");
        command.args(arguments);
        let ended = run_command(command);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{arguments:?}");
        assert!(
            ended.stderr.contains(words),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    }
    for (arguments, words) in [
        (&["--json"][..], "Usage: latch"),
        (&["lock", "--json"], "<POOL>"),
        (&["run", "A", "--json", "--ttl", "x", "--", "true"], "5m"),
        (
            &["ls", "--url", "localhost", "--json"],
            "the port is missing",
        ),
    ] {
        let mut command = latch("http://127.0.0.1:1");
        command.args(arguments);
        let ended = run_command(command);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{arguments:?}");
        let said = parse(&ended.stderr);
        assert_eq!(said["code"], "usage", "{said}");
        let message = said["message"].as_str().expect("words");
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
    let mut command = latch("gopher://h:1");
    let ended = run_command({
        command.arg("ls");
        command
    });
    assert_eq!(
        (ended.code, &*ended.stderr),
        (
            Some(2),
            "latch: LATCH_URL: wanted http://HOST:PORT or HOST:PORT\n"
        )
    );
    let mut command = latch("");
    command.args(["ls"]).env("LATCH_KEY", "two words");
    let ended = run_command(command);
    assert_eq!(
        (ended.code, &*ended.stderr),
        (
            Some(2),
            "latch: LATCH_KEY: wanted printable ASCII without spaces\n"
        )
    );
}

#[test]
fn help_has_examples_and_exit_codes() {
    for order in [
        "run",
        "lock",
        "free",
        "renew",
        "ls",
        "seed",
        "purge",
        "wait-free",
        "watch",
        "completions",
    ] {
        let mut command = latch("");
        command.args([order, "--help"]);
        let ended = run_command(command);
        let mut command = latch("");
        command.args(["help", order]);
        assert_eq!(run_command(command).stdout, ended.stdout, "{order}");
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{order}");
        assert!(
            ended.stdout.contains("Examples:\n"),
            "{order}: {}",
            ended.stdout
        );
        let longest = ended.stdout.lines().map(str::len).max();
        assert!(longest <= Some(100), "{order}: {longest:?}");
    }
    let mut command = latch("");
    command.arg("--help");
    let help = run_command(command).stdout;
    for words in ["Exit codes:", "LATCH_URL", "LATCH_KEY", "Examples:"] {
        assert!(help.contains(words), "{help}");
    }
}
