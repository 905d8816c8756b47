//! Restoring a dump: from every store into every other one, all or nothing, and only where nothing is.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::launch::{eventually, latchd_in, refused, start};
use crate::support::{Client, PATIENCE, Process, Server, StoreKind, run_command};

/// The number of fences that a restore skips.
const SKIPPED: u64 = 1 << 24;

fn latch(
    server: &Server,
    arguments: &[&str],
    input: Option<&str>,
) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latch"));
    command.arg("--url").arg(server.url()).args(arguments);
    command.env_remove("LATCH_KEY").env_remove("LATCH_CA");
    if let Some(input) = input {
        let file = server.folder.path().join("input.dump");
        fs::write(&file, input).expect("a file");
        command.arg(file);
    }
    let ended = run_command(command);
    (ended.code, ended.stdout, ended.stderr)
}

#[track_caller]
fn dump(server: &Server) -> String {
    let (code, dump, problem) = latch(server, &["dump"], None);
    assert_eq!((code, &*problem), (Some(0), ""));
    dump
}

fn lines(dump: &str) -> Vec<Value> {
    let lines = dump.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// A store with all that a dump can contain.
fn filled(store: StoreKind) -> Server {
    let server = Server::start(store);
    let mut client = server.connect();
    for line in [
        r#"POST /pool {"old":["x"]}"#,
        "POST /pool/old/lock",
        "DELETE /pool/old",
        r#"POST /pool {"A":["1","2","3","4","5","6","7"],"b {%}\"":["x y"],"empty":[]}"#,
        // 7, then 6 and 5, then 4: of these 6 goes to the back.
        "POST /pool/A/lock?owner=ci+42&ttl=3600",
        "POST /pool/A/lock?n=2",
        "POST /pool/A/lock?ttl=600",
        "DELETE /pool/A/lock/6",
        // 4 is held and a member no longer.
        r#"PUT /pool/A ["1","2","3","5","6","7","8"]"#,
    ] {
        let answer = client.ask(line);
        assert!(answer.starts_with("200"), "{line}: {answer}");
    }
    server
}

/// The expected dump of restored pools: fences are higher, and leases have their full time.
fn restored(dump: &str) -> Vec<Value> {
    let mut lines = lines(dump);
    for line in &mut lines[1..] {
        for name in ["fence", "retired_fence"] {
            if let Some(fence) = line.get(name).and_then(Value::as_u64) {
                line[name] = json!(fence + SKIPPED);
            }
        }
    }
    without_times(lines)
}

/// Two dumps are never of the same second. The time left is as long as the lease, or a little less. Pools come in any
/// order.
fn without_times(mut lines: Vec<Value>) -> Vec<Value> {
    for line in &mut lines {
        let locks = line.get_mut("locks").and_then(Value::as_array_mut);
        for lock in locks.into_iter().flatten() {
            let (ttl, lease) = (lock["ttl"].as_u64(), lock["lease"].as_u64());
            let left = lease.unwrap_or(0) - ttl.unwrap_or(0);
            assert!(
                ttl.is_some() == lease.is_some() && left < PATIENCE.as_secs(),
                "{lock}"
            );
            assert!(
                lock["age"].as_u64().expect("a number") < PATIENCE.as_secs(),
                "{lock}"
            );
            lock["ttl"] = json!(null);
            lock["age"] = json!(null);
        }
    }
    let last = lines.len() - 1;
    lines[1..last].sort_by_key(|line| line["pool"].to_string());
    lines
}

/// Acquires until nothing is left, and returns the answers.
fn lends(client: &mut Client) -> Vec<String> {
    let ask = |_| Some(client.ask("POST /pool/A/lock")).filter(|answer| answer.starts_with("200"));
    (0..9).map_while(ask).collect()
}

/// The next lock is the one that the old store would have lent, and owners find their locks.
#[track_caller]
fn goes_on_as(new: &Server, old: &Server, dumped: &str) {
    let lines = lines(dumped);
    let pool = lines
        .iter()
        .find(|line| line["pool"] == "A")
        .expect("it is dumped");
    let fence = pool["fence"].as_u64().expect("a number");
    let (mut new, mut old) = (new.connect(), old.connect());
    for line in ["POST /pool/A/lock?owner=ci+42&lease", "GET /pool/A/lock/4"] {
        let fence_of = |answer: String| answer.split(' ').nth(1).map(str::to_owned);
        assert_eq!(fence_of(new.ask(line)), fence_of(old.ask(line)), "{line}");
    }
    let lease = new.ask("POST /pool/A/lock?lease");
    assert_eq!(lease, format!("200 {} - 8", fence + SKIPPED + 1));
    assert_eq!(old.ask("POST /pool/A/lock"), "200 8");
    assert_eq!(lends(&mut new), lends(&mut old));
    for line in [
        "DELETE /pool/A/lock/4",
        "DELETE /pool/A/lock/2",
        "DELETE /pool/A/lock",
        "GET /pool/A",
    ] {
        assert_eq!(new.ask(line), old.ask(line), "{line}");
    }
    assert_eq!(lends(&mut new), lends(&mut old));
    // A new pool starts above those that were removed.
    assert_eq!(new.ask("POST /pool/old x"), r#"200 ["x"]"#);
    let lease = new.ask("POST /pool/old/lock?lease");
    let number: u64 = lease
        .split(' ')
        .nth(1)
        .and_then(|fence| fence.parse().ok())
        .expect("a fence");
    assert!(number > SKIPPED, "{lease}");
}

#[test]
fn a_dump_goes_from_every_store_into_every_other() {
    for from in StoreKind::ALL {
        for to in StoreKind::ALL {
            let (old, mut new) = (filled(from), Server::start(to));
            let dumped = dump(&old);
            let told = latch(&new, &["restore"], Some(&dumped));
            assert_eq!(
                told,
                (Some(0), String::new(), String::new()),
                "{from:?} to {to:?}"
            );
            if to == StoreKind::File {
                // In good order, since fences jump otherwise.
                new.terminate();
                new.restart();
            }
            assert_eq!(
                without_times(lines(&dump(&new))),
                restored(&dumped),
                "{from:?} to {to:?}"
            );
            goes_on_as(&new, &old, &dumped);
        }
    }
}

#[test]
fn a_server_restores_a_dump_at_its_start() {
    let old = filled(StoreKind::File);
    let dumped = dump(&old);
    for to in StoreKind::ALL {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("pools.dump"), &dumped).expect("a file");
        let new = Server::start_in(folder, to, &["--restore", "pools.dump"]);
        // On Redis the restore precedes all requests.
        let lines = without_times(lines(&dump(&new)));
        assert_eq!(lines, restored(&dumped), "{to:?}");
    }
}

#[test]
fn only_an_empty_store_takes_a_dump() {
    for store in StoreKind::ALL {
        let old = filled(StoreKind::Memory);
        let new = Server::start(store);
        let mut client = new.connect();
        assert_eq!(client.ask("POST /pool/A 9"), r#"200 ["9"]"#);
        let before = dump(&new);
        let told = latch(&new, &["restore"], Some(&dump(&old)));
        let problem =
            "latch: not empty: there are pools already; a dump goes into an empty store\n";
        assert_eq!(told, (Some(1), String::new(), problem.into()), "{store:?}");
        assert_eq!(dump(&new), before);
        // A pool that was removed counts no more.
        assert_eq!(client.ask("DELETE /pool/A"), "200");
        let told = latch(&new, &["restore"], Some(&dump(&old)));
        assert_eq!(told.0, Some(0), "{store:?}: {}", told.2);
        assert_eq!(client.ask("GET /pool/A"), "200 1\t2\t3\t5\t6\t7\t8");
    }
}

#[test]
fn a_dump_that_is_not_whole_is_refused_and_changes_nothing() {
    let dumped = dump(&filled(StoreKind::Memory));
    let cut = &dumped[..dumped.len() - 2];
    // Its first pool is A.
    let damaged = dumped.replacen("\"free\":[\"8\",", "\"free\":[", 1);
    let other = dumped.replacen("\"dump\":1", "\"dump\":9", 1);
    let short: String = dumped
        .lines()
        .filter(|line| !line.contains("empty"))
        .collect::<Vec<_>>()
        .join("\n");
    let cases = [
        (
            cut,
            "the dump is cut off: its last line, with the counts, is missing",
        ),
        (
            &damaged,
            "line 2 is damaged: member \"8\" is neither free nor locked",
        ),
        (&other, "the dump has the format 9; this latchd reads 1"),
        (
            &short,
            "lines are missing or came twice: the counts in the last line differ from what stands before it",
        ),
        (
            "{}",
            "this is no dump; expected a first line {\"latchd\":\"…\",\"dump\":1}",
        ),
    ];
    for store in StoreKind::ALL {
        let new = Server::start(store);
        for (text, problem) in cases {
            let told = latch(&new, &["restore"], Some(text));
            let wanted = format!("latch: bad dump: {problem}\n");
            assert_eq!(told, (Some(1), String::new(), wanted), "{store:?}");
        }
        assert_eq!(new.connect().ask("GET /pool"), "200");
    }
    // So it is at the start.
    let folder = TempDir::new().expect("a folder");
    for (text, problem) in cases {
        fs::write(folder.path().join("pools.dump"), text).expect("a file");
        let ended = refused(latchd_in(
            &folder,
            &["--listen", "127.0.0.1:0", "--restore", "pools.dump"],
        ));
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(problem), "{}", ended.stderr);
    }
}

#[test]
fn a_restore_at_the_start_into_a_file_with_pools_is_refused() {
    let old = filled(StoreKind::File);
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("pools.dump"), dump(&old)).expect("a file");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--store",
        "file:x.redb",
        "--restore",
        "pools.dump",
    ];
    let (process, _) = start(latchd_in(&folder, &arguments));
    drop(process);
    let ended = refused(latchd_in(&folder, &arguments));
    assert_eq!(ended.code, Some(1));
    let problem = "--restore: there are pools already; nothing was restored";
    assert!(ended.stderr.contains(problem), "{}", ended.stderr);
}

/// A kill at any moment leaves all of the dump or nothing.
#[test]
fn a_killed_restore_leaves_all_or_nothing() {
    const MANY: usize = 20_000;
    let ids: Vec<String> = (0..MANY).map(|id| format!("{id:05}")).collect();
    let pool = json!({"pool": "A", "fence": 0, "members": ids, "free": ids, "locks": []});
    let last = json!({"pools": 1, "members": MANY, "locks": 0, "retired_fence": 0});
    let dumped = format!("{}\n{pool}\n{last}\n", json!({"latchd": "0", "dump": 1}));
    for round in 0..8_u32 {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("pools.dump"), &dumped).expect("a file");
        let arguments = ["--listen", "127.0.0.1:0", "--store", "file:x.redb"];
        drop(start(latchd_in(&folder, &arguments)));
        let length = || fs::metadata(folder.path().join("x.redb")).map_or(0, |file| file.len());
        let empty_length = length();
        let restore = [&arguments[..], &["--restore", "pools.dump"]].concat();
        let mut process = Process::spawn(latchd_in(&folder, &restore));
        // Each round kills it a little later, once the file grows; if it does not, at some moment.
        let (mut looks, mut looks_since) = (0, 0);
        eventually("it restores", || {
            looks += 1;
            looks_since += u32::from(length() > empty_length);
            (looks_since > round || looks > 1000).then_some(())
        });
        process.kill();
        let (_process, addresses) = start(latchd_in(&folder, &arguments));
        let pools = Client::connect(addresses[0]).ask("GET /pool");
        let all = format!("200 {MANY} 0 0 A");
        assert!(pools == "200" || pools == all, "round {round}: {pools}");
    }
}
