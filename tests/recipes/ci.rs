//! The recipes for CI systems: `play_ci.py` takes their scripts out of them, and runs them as the system
//! would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use super::support::{beside, installed, recipe};
use crate::latch::support::{Running, ask};
use crate::support::launch::eventually;
use crate::support::programs::succeed;
use crate::support::{Server, StoreKind};

/// Each system, its recipe, and the owner that it makes of the system's name for the job.
const SYSTEMS: [(&str, &str, &str); 3] = [
    ("github", "github-actions.yml", "github-4711-2-test-0"),
    ("gitlab", "gitlab-ci.yml", "gitlab-4712"),
    ("jenkins", "Jenkinsfile", "jenkins-phones_main__7"),
];

/// The work of the job: it prints its arguments, and the current lock.
const MAKE: &str = "#!/bin/sh\necho \"made $*\"\ncurl -sS -H 'Accept: application/json' \
    \"$LATCHD/pool/phones/lock\"\necho\nexit \"$MAKE_EXIT\"\n";

struct Job {
    server: Server,
    folder: TempDir,
}

impl Job {
    fn new() -> Job {
        let server = Server::start(StoreKind::Memory);
        ask(
            &server,
            r#"POST /pool {"phones":["pixel","old fairphone"]}"#,
        );
        let folder = TempDir::new().expect("a folder");
        let make = folder.path().join("make");
        fs::write(&make, MAKE).expect("a file");
        fs::set_permissions(&make, fs::Permissions::from_mode(0o755)).expect("its own");
        Job { server, folder }
    }

    fn command(&self, system: &str, file: &str, make_exit: &str) -> Option<Command> {
        let path = std::env::var("PATH").expect("there is a path");
        let mut command = installed("python")?;
        command
            .arg(beside("play_ci.py"))
            .args([system])
            .arg(recipe(file))
            .arg(self.server.url())
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .env("LATCHD", self.server.url())
            .env("MAKE_EXIT", make_exit);
        Some(command)
    }

    /// Returns the next lines of its output, up to and with what `make` prints.
    #[track_caller]
    fn made(running: &mut Running) -> [String; 2] {
        loop {
            let line = running.line();
            if line.starts_with("made ") {
                return [line, running.line()];
            }
        }
    }
}

#[test]
fn a_job_has_a_phone_of_its_own_and_gives_it_back_whatever_comes_of_it() {
    for (system, file, owner) in SYSTEMS {
        for (make_exit, code) in [("0", 0), ("3", 1)] {
            let job = Job::new();
            let Some(command) = job.command(system, file, make_exit) else {
                return;
            };
            let mut running = Running::spawn(command);
            let [made, held] = Job::made(&mut running);
            assert_eq!(made, "made test DEVICE=old fairphone", "{system}");
            let lease = r#"[{"id":"old fairphone","fence":1,"ttl":"#;
            assert!(held.starts_with(lease), "{system}: {held}");
            let owner = format!(r#","owner":"{owner}","#);
            assert!(held.contains(&owner), "{system}: {held}");
            assert_eq!(running.code(), code, "{system}: {}", running.rest_heard());
            assert_eq!(ask(&job.server, "GET /pool"), "200 2 0 0 phones");
        }
    }
}

#[test]
fn a_job_is_queued_for_its_phone() {
    for (system, file, _) in SYSTEMS {
        let job = Job::new();
        let Some(command) = job.command(system, file, "0") else {
            return;
        };
        ask(&job.server, "POST /pool/phones/lock?n=2");
        let mut running = Running::spawn(command);
        eventually("a queued job", || {
            (ask(&job.server, "GET /pool") == "200 2 2 1 phones").then_some(())
        });
        ask(&job.server, "DELETE /pool/phones/lock/pixel");
        let [made, _] = Job::made(&mut running);
        assert_eq!(made, "made test DEVICE=pixel", "{system}");
        assert_eq!(running.code(), 0, "{system}: {}", running.rest_heard());
        assert_eq!(ask(&job.server, "GET /pool"), "200 2 1 0 phones");
    }
}

#[test]
fn what_is_refused_fails_the_job() {
    for (system, file, _) in SYSTEMS {
        let job = Job::new();
        let Some(command) = job.command(system, file, "0") else {
            return;
        };
        ask(&job.server, "DELETE /pool/phones");
        let mut running = Running::spawn(command);
        assert_eq!(running.code(), 1, "{system}: {}", running.rest_heard());
        let printed = running.rest();
        assert!(!printed.contains("made "), "{system}: {printed}");
    }
}

#[test]
fn the_files_are_what_their_systems_take() {
    let github = &["vendor.github-workflows"][..];
    for (file, options) in [
        (recipe("github-actions.yml"), github),
        // The workflow of this project itself.
        (recipe("../../.github/workflows/ci.yml"), github),
        (
            recipe("gitlab-ci.yml"),
            &["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
        ),
    ] {
        let Some(mut check) = installed("check-jsonschema") else {
            return;
        };
        check.arg("--builtin-schema").args(options);
        succeed(check.arg(file), "");
    }
}
