//! On a terminal: the command is in its foreground, keys reach it once, and tables fit.
//!
//! The terminal is that of script(1), which passes on its input, and prints its output.

use std::io::Write;
use std::process::Command;

use super::support::{Running, ask, latch, wait_for_state};
use crate::support::StoreKind;
use crate::support::programs::seeded;
use crate::support::{Server, run_command};

/// A command that runs `line` in a shell on a terminal of 80 columns and 24 rows.
fn on_terminal(server: &Server, line: &str) -> Command {
    let mut command = Command::new("script");
    let setup = "stty cols 80 rows 24 -echo; latch() { \"$LATCH\" \"$@\"; };";
    command
        .args(["-qefc", &format!("{setup} {line}"), "/dev/null"])
        .env("LATCH_URL", server.url())
        .env("LATCH", latch("").get_program())
        .env("SHELL", "/bin/bash")
        .env("TERM", "xterm");
    command
}

/// A second signal would arrive while the command is busy with the first.
#[test]
fn keys_reach_the_command_once() {
    let server = seeded(StoreKind::Memory);
    let script = r#"trap "echo got INT; sleep 0.1" INT; trap "echo got QUIT; sleep 0.1" QUIT; echo ready; while :; do read -r x && echo "read $x"; [ "$x" = end ] && exit 5; done"#;
    let line = format!("latch run A -- sh -c '{script}'");
    let mut running = Running::spawn(on_terminal(&server, &line));
    let mut keys = running.stdin.take().expect("it is piped");
    assert_eq!(running.line(), "ready");
    for (pressed, seen) in [
        ("a\n", "read a"),
        ("\x03", "got INT"),
        ("b\n", "read b"),
        ("\x1c", "got QUIT"),
        ("c\n", "read c"),
        ("\x03", "got INT"),
        ("d\n", "read d"),
        ("\x03", "got INT"),
        ("e\n", "read e"),
    ] {
        keys.write_all(pressed.as_bytes()).expect("script reads");
        assert_eq!(running.line(), seen);
    }
    keys.write_all(b"end\n").expect("script reads");
    assert_eq!(running.line(), "read end");
    assert_eq!(running.code(), 5);
    assert_eq!(ask(&server, "GET /pool"), "200 4 0 0 A");
}

#[test]
fn control_c_ends_waiting() {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"A":["1"]}"#);
    ask(&server, "POST /pool/A/lock");
    let mut running = Running::spawn(on_terminal(&server, "latch run A -- echo it runs"));
    wait_for_state(&server, "1 1 1");
    let mut keys = running.stdin.take().expect("it is piped");
    keys.write_all(b"\x03").expect("script reads");
    assert_eq!(running.code(), 130);
    assert_eq!(ask(&server, "GET /pool"), "200 1 1 0 A");
}

/// A shell continues its script if a program shows a Ctrl-C only in its exit code.
#[test]
fn control_c_ends_a_script_of_bash() {
    let server = seeded(StoreKind::Memory);
    let folder = tempfile::TempDir::new().expect("a folder");
    let script = folder.path().join("script");
    let lines = "\"$LATCH\" run A -- sh -c 'echo ready; exec sleep 1000'\necho it goes on\n";
    std::fs::write(&script, lines).expect("a file");
    let line = format!("bash {}", script.display());
    let mut running = Running::spawn(on_terminal(&server, &line));
    let mut keys = running.stdin.take().expect("it is piped");
    assert_eq!(running.line(), "ready");
    keys.write_all(b"\x03").expect("script reads");
    assert_eq!(running.code(), 130);
    let rest = running.rest();
    assert!(!rest.contains("it goes on"), "{rest}");
    assert_eq!(ask(&server, "GET /pool"), "200 4 0 0 A");
}

/// Control-Z stops both, and `fg` continues both, as with any command.
#[test]
fn job_control_is_the_shells() {
    let server = seeded(StoreKind::Memory);
    let mut command = on_terminal(&server, "exec bash --norc --noediting -i");
    command.env("PS1", "");
    let mut running = Running::spawn(command);
    let mut keys = running.stdin.take().expect("it is piped");
    let mut press = |keys_pressed: &str| {
        keys.write_all(keys_pressed.as_bytes())
            .expect("script reads")
    };
    press(
        "$LATCH run A -- sh -c 'echo ready; while read -r x; do echo \"read $x\"; done; exit 6'\n",
    );
    wait_for(&mut running, "ready");
    press("a\n");
    wait_for(&mut running, "read a");
    press("\x1a");
    wait_for(&mut running, "Stopped");
    press("fg\n");
    press("b\n");
    wait_for(&mut running, "read b");
    press("\x04");
    press("echo code=$?\n");
    wait_for(&mut running, "code=6");
    press("exit\n");
    assert_eq!(running.code(), 0);
}

fn wait_for(running: &mut Running, words: &str) {
    while !running.line().contains(words) {}
}

#[test]
fn a_table_is_drawn_in_place_and_fits() {
    let server = seeded(StoreKind::Memory);
    let long = "n".repeat(128);
    ask(&server, &format!(r#"POST /pool {{"{long}":["1"]}}"#));
    for number in 10..60 {
        ask(&server, &format!(r#"POST /pool {{"pool {number}":["1"]}}"#));
    }
    let ended = run_command(on_terminal(&server, "latch watch --count 2"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let screens: Vec<&str> = ended.stdout.split("\x1b[H").skip(1).collect();
    assert_eq!(screens.len(), 2, "{:?}", ended.stdout);
    for screen in screens {
        let (lines, rest) = screen.split_once("\x1b[J").expect("the rest is cleared");
        assert_eq!(rest, "");
        let lines: Vec<&str> = lines.split_terminator("\x1b[K\r\n").collect();
        assert_eq!(lines[0], server.url());
        assert!(lines[2].starts_with("POOL "), "{lines:?}");
        assert!(lines[3].starts_with("A "), "{lines:?}");
        assert!(
            lines[4].starts_with("nnnn") && lines[4].ends_with("0"),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 23, "the cursor stands on the last row");
        assert!(
            lines[22].starts_with("and ") && lines[22].ends_with(" more"),
            "{lines:?}"
        );
        for line in lines {
            assert!(line.chars().count() < 80, "{line:?}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}
