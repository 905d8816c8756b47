//! The shell recipes, in each shell, with curl and with the wgets of GNU and busybox.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::support::recipe;
use crate::latch::support::{Running, ask, wait_for_state};
use crate::support::programs::{client, succeed};
use crate::support::{Server, StoreKind, run_command};

const SHELLS: [&[&str]; 3] = [&["bash"], &["dash"], &["busybox", "sh"]];

/// A recipe in a shell, with the wget of busybox as the only one where it is to be that.
struct Way<'a> {
    shell: &'a [&'a str],
    recipe: &'a str,
    path: String,
    folder: &'a Path,
    url: String,
}

impl Way<'_> {
    fn command(&self, pool: &str, script: &str) -> Command {
        let mut command = Command::new(self.shell[0]);
        command
            .args(&self.shell[1..])
            .arg(recipe(self.recipe))
            .args([pool, "sh", "-c", script])
            .env("PATH", &self.path)
            .env("TMPDIR", self.folder)
            .env("LATCH_URL", &self.url);
        command
    }
}

/// A server with a pool A of two, and each way to take one of them; there must be nothing left behind.
#[track_caller]
fn in_each_way(test: impl Fn(&Server, &Way<'_>)) {
    let tools = TempDir::new().expect("a folder");
    symlink("/bin/busybox", tools.path().join("wget")).expect("a link");
    let path = std::env::var("PATH").expect("there is a path");
    let with_busybox = format!("{}:{path}", tools.path().display());
    for (name, path) in [
        ("with-lock-curl.sh", &path),
        ("with-lock-wget.sh", &path),
        ("with-lock-wget.sh", &with_busybox),
    ] {
        for shell in SHELLS {
            let server = Server::start(StoreKind::Memory);
            ask(&server, r#"POST /pool {"A":["1","two words"]}"#);
            let folder = TempDir::new().expect("a folder");
            test(
                &server,
                &Way {
                    shell,
                    recipe: name,
                    path: path.clone(),
                    folder: folder.path(),
                    url: server.url(),
                },
            );
            let left: Vec<_> = folder.path().read_dir().expect("it is there").collect();
            assert!(left.is_empty(), "{shell:?} {name}: {left:?}");
        }
    }
}

#[test]
fn a_command_runs_while_it_holds_a_resource_and_gives_it_back() {
    in_each_way(|server, way| {
        let script = r#"echo "$LATCH_ID"; read -r line; echo "$line"; exit 7"#;
        let mut running = Running::spawn(way.command("A", script));
        assert_eq!(running.line(), "two words");
        let held = ask(server, "GET /pool/A/lock");
        assert!(held.starts_with("200 1 3"), "a lease of an hour: {held}");
        assert!(held.ends_with(" two words"), "{held}");
        let stdin = running.stdin.as_mut().expect("it is piped");
        std::io::Write::write_all(stdin, b"go on\n").expect("it reads");
        assert_eq!(running.line(), "go on");
        assert_eq!(running.code(), 7);
        assert_eq!(ask(server, "GET /pool"), "200 2 0 0 A");
    });
}

#[test]
fn what_is_busy_or_not_there_has_exit_codes_of_its_own() {
    in_each_way(|server, way| {
        ask(server, "POST /pool/A/lock?n=2");
        let mut command = way.command("A", "echo no");
        command.env("WAIT", "0");
        let ended = run_command(command);
        assert_eq!((ended.code, &*ended.stdout), (Some(75), ""));
        assert!(ended.stderr.contains("A: busy"), "{}", ended.stderr);
        let ended = run_command(way.command("B", "echo no"));
        assert_eq!((ended.code, &*ended.stdout), (Some(69), ""));
        assert!(ended.stderr.contains("404"), "{}", ended.stderr);
        assert_eq!(ask(server, "GET /pool"), "200 2 2 0 A");
    });
}

#[test]
fn it_is_queued() {
    in_each_way(|server, way| {
        ask(server, "POST /pool/A/lock?n=2");
        let mut running = Running::spawn(way.command("A", r#"echo "$LATCH_ID""#));
        wait_for_state(server, "2 2 1");
        ask(server, "DELETE /pool/A/lock/1");
        assert_eq!(running.line(), "1");
        assert_eq!(running.code(), 0);
        assert_eq!(ask(server, "GET /pool"), "200 2 1 0 A");
    });
}

#[test]
fn a_stopped_latch_stops_its_command_and_gives_back() {
    const SCRIPT: &str = r#"trap 'echo "stopped, with $LATCH_ID"; exit' TERM
        echo ready
        while :; do sleep 0.01; done"#;
    in_each_way(|server, way| {
        for (signal, code) in [("TERM", 143), ("HUP", 129)] {
            let mut running = Running::spawn(way.command("A", SCRIPT));
            assert_eq!(running.line(), "ready");
            assert!(ask(server, "GET /pool").starts_with("200 2 1 "));
            running.signal(signal);
            assert_eq!(running.code(), code);
            assert!(running.line().starts_with("stopped, with "));
            assert_eq!(ask(server, "GET /pool"), "200 2 0 0 A");
        }
    });
}

#[test]
fn a_latch_stopped_while_it_waits_takes_nothing() {
    in_each_way(|server, way| {
        ask(server, "POST /pool/A/lock?n=2&owner=somebody");
        let mut running = Running::spawn(way.command("A", "echo no"));
        wait_for_state(server, "2 2 1");
        running.signal("TERM");
        assert_eq!(running.code(), 143);
        assert_eq!(running.rest(), "");
        ask(server, "DELETE /pool/A/lock?owner=somebody");
        assert!(ask(server, "GET /pool").starts_with("200 2 0 "));
    });
}

#[test]
fn the_scripts_have_no_known_mistakes() {
    let folder = recipe("with-lock-curl.sh");
    let folder = folder.parent().expect("it is in a folder");
    let mut check = client("sh");
    check.current_dir(folder);
    succeed(check.args(["-c", "shellcheck --shell=sh *.sh"]), "");
}
