//! No process of the command outlives the lock: the guardian ends the remaining ones, whatever becomes of
//! latch, and the lock is released after that.

use std::fs;
use std::process::Command;

use super::support::{Running, ask, is_alive, latch, wait_for_state};
use crate::support::launch::eventually;
use crate::support::programs::seeded;
use crate::support::{Server, StoreKind, signal};

/// Ignores SIGTERM, as do one child in a session of its own and one orphan.
const STUBBORN: &str = r#"
    trap "" TERM
    setsid sh -c 'echo $$; exec sleep 1000' &
    sleep 0.1; (sleep 1001 & echo $!); echo $$; sleep 1000"#;

fn one_resource() -> Server {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    server
}

fn start(server: &Server, options: &[&str], script: &str) -> Running {
    let mut arguments = vec!["run", "A"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", script]);
    Running::start(server, &arguments)
}

fn pid(running: &mut Running) -> u32 {
    running.line().parse().expect("a number")
}

/// The children of a process, by procfs.
fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("procfs").flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        if fields.split(' ').nth(1) == Some(&parent.to_string()) {
            let name = entry.file_name();
            found.push(name.to_string_lossy().parse().expect("a number"));
        }
    }
    found
}

/// Waits in the queue until the lock is free.
#[track_caller]
fn take(server: &Server) {
    let taken = ask(server, "POST /pool/A/lock?wait=60&lease");
    assert!(taken.starts_with("200 "), "{taken}");
}

/// The group of the script has no tie to a session above it, as in a CI job, and a stopped process in it.
#[test]
fn the_end_of_a_run_hangs_up_no_group() {
    let server = one_resource();
    let script = r#"sleep 1002 & kill -STOP $!; "$LATCH" run A -- true; echo "alive after $?"; kill -KILL $!"#;
    let mut command = Command::new("env");
    command.args(["--default-signal", "setsid", "--wait", "sh", "-c", script]);
    command.env("LATCH", latch("").get_program());
    command.env("LATCH_URL", server.url());
    let mut running = Running::spawn(command);
    assert_eq!(running.line(), "alive after 0");
    assert_eq!(running.code(), 0);
}

/// The shell ends at once, and the program that it waits for does not.
#[test]
fn a_signal_that_ends_a_shell_ends_what_the_shell_has_started() {
    let server = one_resource();
    let mut running = start(&server, &[], "echo $$; sleep 391; :");
    let shell = pid(&mut running);
    let sleeper = eventually("it sleeps", || children(shell).first().copied());
    running.signal("TERM");
    take(&server);
    assert!(!is_alive(shell) && !is_alive(sleeper));
    assert_eq!(running.signal_of_end(), 15);
    let said = running.rest_heard();
    assert!(said.contains("left a process running"), "{said}");
}

#[test]
fn the_lock_is_held_while_a_process_is_left() {
    let server = one_resource();
    let script = r#"trap "" TERM; sleep 1000 >/dev/null 2>&1 & echo $!; exit 3"#;
    let mut running = start(&server, &["--grace", "1"], script);
    let sleeper = pid(&mut running);
    running.hear("left a process running");
    assert!(is_alive(sleeper));
    assert_eq!(ask(&server, "GET /pool"), "200 1 1 0 A");
    take(&server);
    assert!(!is_alive(sleeper));
    assert_eq!(running.code(), 3);
}

/// A filter behind the command has its last line to write.
#[test]
fn what_ends_soon_after_the_command_is_left_alone() {
    let server = one_resource();
    let mut running = start(&server, &[], "(sleep 0.1; echo last) & echo first");
    assert_eq!(running.line(), "first");
    assert_eq!(running.line(), "last");
    assert_eq!(running.code(), 0);
    assert_eq!(running.rest_heard(), "");
}

#[test]
fn if_latch_is_killed_all_is_over_before_the_lease() {
    for (ttl, grace) in [("3", "60"), ("6", "1")] {
        let server = one_resource();
        let mut running = start(&server, &["--ttl", ttl, "--grace", grace], STUBBORN);
        let all = [pid(&mut running), pid(&mut running), pid(&mut running)];
        assert!(all.iter().all(|pid| is_alive(*pid)));
        running.signal("KILL");
        take(&server);
        assert!(!all.iter().any(|pid| is_alive(*pid)), "{all:?}");
    }
}

#[test]
fn if_latch_is_killed_the_command_is_told() {
    let server = seeded(StoreKind::Memory);
    let script = "trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = start(&server, &[], script);
    assert_eq!(running.line(), "ready");
    running.signal("KILL");
    assert_eq!(running.line(), "told");
    assert_eq!(running.rest(), "", "once");
    assert_eq!(ask(&server, "GET /pool"), "200 4 1 0 A");
}

#[test]
fn if_latch_is_stopped_all_is_over_before_the_lease() {
    let server = one_resource();
    let mut running = start(&server, &["--ttl", "3"], STUBBORN);
    let all = [pid(&mut running), pid(&mut running), pid(&mut running)];
    running.signal("STOP");
    take(&server);
    assert!(!all.iter().any(|pid| is_alive(*pid)), "{all:?}");
    running.signal("CONT");
    running.hear("the lock is lost");
    assert_eq!(running.code(), 115);
    assert_eq!(ask(&server, "GET /pool"), "200 1 1 0 A", "it is another's");
}

#[test]
fn if_the_guardian_is_killed_latch_ends_the_command() {
    let server = one_resource();
    let mut running = start(&server, &["--grace", "1"], STUBBORN);
    let all = [pid(&mut running), pid(&mut running), pid(&mut running)];
    let [guardian] = children(running.pid())[..] else {
        panic!("one child of latch");
    };
    signal(guardian, "KILL");
    let said = running.hear("the lock is lost");
    assert!(
        said.contains("looks after the command was killed"),
        "{said}"
    );
    assert_eq!(running.code(), 115);
    assert!(!all.iter().any(|pid| is_alive(*pid)), "{all:?}");
    assert_eq!(ask(&server, "GET /pool"), "200 1 0 0 A");
}

#[test]
fn if_the_guardian_is_stopped_latch_ends_the_command() {
    let server = one_resource();
    let mut running = start(&server, &["--ttl", "1", "--grace", "0"], STUBBORN);
    let all = [pid(&mut running), pid(&mut running), pid(&mut running)];
    let [guardian] = children(running.pid())[..] else {
        panic!("one child of latch");
    };
    signal(guardian, "STOP");
    ask(&server, "DELETE /pool/A/lock");
    assert_eq!(running.code(), 115);
    assert!(!all.iter().any(|pid| is_alive(*pid)), "{all:?}");
    assert!(!is_alive(guardian));
}

/// Runs latch without the right to send signals to others, and the command as another user: so it is
/// with sudo. Root is needed to make it so.
fn as_others(server: &Server, options: &[&str], script: &str) -> Running {
    let command = latch(&server.url());
    let mut weak = Command::new("setpriv");
    weak.args(["--inh-caps=-kill", "--bounding-set=-kill"]);
    weak.arg(command.get_program())
        .args(["run", "A"])
        .args(options);
    weak.args(["--", "setpriv", "--reuid=65534", "--clear-groups"]);
    weak.args(["sh", "-c", script]);
    weak.env("LATCH_URL", server.url());
    Running::spawn(weak)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout == b"0\n"
}

#[test]
fn a_process_that_cannot_be_killed_is_told_and_keeps_the_lock() {
    if !is_root() {
        return;
    }
    let server = one_resource();
    let options = ["--ttl", "2", "--grace", "0"];
    let mut running = as_others(&server, &options, "echo $$; sleep 1000 & echo $!; read x");
    let (command, sleeper) = (pid(&mut running), pid(&mut running));
    running.signal("TERM");
    let said = running.hear("could not be sent");
    assert_eq!(
        said,
        "latch: A: SIGTERM could not be sent to the command: Operation not permitted (os error 1)"
    );
    assert!(is_alive(command));
    running.close_stdin();
    let said = running.hear("cannot be killed");
    assert!(said.contains(&format!("PID {sleeper} ")), "{said}");
    // Twice as long as the lease. No event shows that nothing has happened.
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(ask(&server, "GET /pool"), "200 1 1 0 A");
    assert!(is_alive(sleeper) && !is_alive(command));
    signal(sleeper, "KILL");
    take(&server);
    assert_eq!(running.code(), 1, "of read");
}

#[test]
fn what_runs_on_without_the_lock_is_told() {
    if !is_root() {
        return;
    }
    let server = one_resource();
    let options = ["--ttl", "1", "--grace", "0"];
    let mut running = as_others(&server, &options, "echo $$; exec sleep 1000");
    let command = pid(&mut running);
    ask(&server, "DELETE /pool/A/lock");
    running.hear("the lock is lost, stopping the command");
    let said = running.hear("runs on");
    assert!(
        said.contains(&format!("PID {command} cannot be killed")),
        "{said}"
    );
    assert_eq!(running.code(), 115);
    signal(command, "KILL");
}

/// Without procfs there is no guardian: latch knows the command alone, and waits for the processes that
/// it has left.
#[test]
fn without_procfs_the_command_is_ended() {
    if !is_root() {
        return;
    }
    let server = one_resource();
    let blind = |options: &[&str], script: &str| {
        let command = latch(&server.url());
        let mut blind = Command::new("unshare");
        let mount = r#"mount -t tmpfs none /proc && exec "$@""#;
        blind.args(["--mount", "sh", "-c", mount, "sh"]);
        blind
            .arg(command.get_program())
            .args(["run", "A"])
            .args(options);
        blind.args(["--", "sh", "-c", script]);
        blind.env("LATCH_URL", server.url());
        Running::spawn(blind)
    };
    let mut running = blind(&["--ttl", "1"], "echo $$; exec sleep 1000");
    let command = pid(&mut running);
    ask(&server, "DELETE /pool/A/lock");
    assert_eq!(running.code(), 115);
    assert!(!is_alive(command));

    let mut running = blind(&[], "sleep 1000 >/dev/null 2>&1 & echo $!");
    let sleeper = pid(&mut running);
    running.hear("the lock is held until they end");
    assert_eq!(ask(&server, "GET /pool"), "200 1 1 0 A");
    signal(sleeper, "KILL");
    wait_for_state(&server, "1 0 0");
    assert_eq!(running.code(), 0);
}

/// When the system refuses more threads or processes, latch says so, and no lock stays.
#[test]
fn without_threads_no_lock_stays() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let program = folder.path().join("latch");
    fs::copy(latch("").get_program(), &program).expect("a copy");
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), all).expect("its folder can be seen");
    let server = one_resource();
    // A user that has no other processes; root has no limit.
    let user = 2_000_000 + std::process::id();
    let mut has_run = false;
    for limit in 1..12 {
        for arguments in [
            &["lock", "A", "--wait", "5"][..],
            &["run", "A", "--", "true"],
        ] {
            let mut command = Command::new("prlimit");
            if is_root() {
                command = Command::new("setpriv");
                command.arg(format!("--reuid={user}"));
                command.args(["--clear-groups", "--", "prlimit"]);
            }
            command.args([&format!("--nproc={limit}"), "--"]);
            command.arg(&program).args(arguments);
            command.env("LATCH_URL", server.url());
            let ended = crate::support::run_command(command);
            let shown = format!("{limit} {arguments:?}: {:?} {}", ended.code, ended.stderr);
            assert!(!ended.stderr.contains("panicked"), "{shown}");
            match ended.code {
                Some(0) => has_run = true,
                Some(1 | 111 | 126) => {
                    assert!(ended.stderr.contains("temporarily unavailable"), "{shown}");
                }
                _ => panic!("{shown}"),
            }
            if arguments[0] == "lock" && ended.code == Some(0) {
                assert_eq!(ask(&server, "DELETE /pool/A/lock"), "200 1");
            }
            assert_eq!(ask(&server, "GET /pool"), "200 1 0 0 A", "{shown}");
        }
    }
    assert!(has_run || !is_root(), "with enough of them it runs");
}
