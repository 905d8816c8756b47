//! The scripts that complete latch's arguments: shells take them, and bash completes with them.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::support::latch;
use crate::support::run_command;

#[test]
fn shells_take_their_scripts() {
    let folder = TempDir::new().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        let mut command = latch("not looked at");
        command.args(["completions", shell]);
        let ended = run_command(command);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{shell}");
        assert!(
            ended.stdout.contains("wait-free"),
            "{shell}: {}",
            ended.stdout
        );
        let script = folder.path().join(shell);
        fs::write(&script, ended.stdout).expect("a file");
        let checked = Command::new(shell).arg("-n").arg(&script).output();
        let checked =
            checked.unwrap_or_else(|_| panic!("{shell} is missing, tests/run installs it"));
        let errors = String::from_utf8_lossy(&checked.stderr);
        assert!(
            checked.status.success() && errors.is_empty(),
            "{shell}: {errors}"
        );
    }
}

#[test]
fn bash_completes() {
    for (words, at, found) in [
        ("latch re", 1, "renew remove restore"),
        ("latch run --gr", 2, "--grace"),
        ("latch lock --c", 2, "--count --ca"),
        ("latch completions z", 2, "zsh"),
    ] {
        let script = format!(
            r#"source <("$1" completions bash); COMP_WORDS=({words}); COMP_CWORD={at}
               _latch latch "${{COMP_WORDS[$COMP_CWORD]}}" "${{COMP_WORDS[$COMP_CWORD-1]}}"
               echo "${{COMPREPLY[@]}}""#
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &script, "bash", env!("CARGO_BIN_EXE_latch")]);
        let ended = run_command(bash);
        assert_eq!(
            (&*ended.stdout, &*ended.stderr),
            (&*format!("{found}\n"), ""),
            "{words}"
        );
    }
}
