//! The command as a process, and all its descendants.
//!
//! The command stays in latch's process group, so that the terminal's signals, input and job control work as
//! without latch. On Linux a guardian starts it and looks after its descendants. Without procfs or Linux, latch
//! starts it itself, and knows only the command.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};

use crate::latch::failure::{Cause, Failure};
use crate::latch::output::Output;
use crate::latch::text::clean;

/// The first argument of a latch that is to become a command.
pub(super) const COMMAND_MARK: &str = "--become-command-of";

/// The end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::latch) enum CommandEnd {
    Code(u8),
    /// Ended by this signal.
    Signal(i32),
}

impl CommandEnd {
    /// Returns `None` if the process has not ended.
    pub(super) fn of(status: WaitStatus) -> Option<CommandEnd> {
        let by_signal = status.terminating_signal().map(CommandEnd::Signal);
        let by_itself = status.exit_status();
        let by_itself = by_itself.map(|code| CommandEnd::Code(u8::try_from(code).unwrap_or(255)));
        by_itself.or(by_signal)
    }
}

/// A child of latch and its descendants.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    end: Option<CommandEnd>,
    /// Children from before this program became latch: they do not belong to the command.
    excluded: Vec<Pid>,
}

impl Process {
    /// Starts a command with `environment` added to its own, without a guardian.
    pub(super) fn start(
        command: &[OsString],
        environment: &[(&str, OsString)],
    ) -> io::Result<Process> {
        let excluded = existing_children();
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(getpid()));
        let mut direct = Command::new(&command[0]);
        direct.args(&command[1..]).envs(as_pairs(environment));
        Ok(Process::adopted(&direct.spawn()?, excluded))
    }

    /// Tracks a child that was started just now.
    pub(super) fn adopted(child: &Child, excluded: Vec<Pid>) -> Process {
        Process {
            pid: Pid::from_child(child),
            end: None,
            excluded,
        }
    }

    /// Reaps all ended children. Returns the end of the child, and whether it and all its descendants are gone.
    pub(super) fn reap(&mut self) -> (Option<CommandEnd>, bool) {
        let has_children = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.pid && self.end.is_none() => {
                    self.end = CommandEnd::of(status);
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        // Orphans become children of latch, on Linux.
        let is_left = match self.excluded[..] {
            [] => has_children,
            _ => !self.all().is_empty(),
        };
        (self.end, self.end.is_some() && !is_left)
    }

    /// Sends a signal to the child.
    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        // After the child is reaped, another process may have its number.
        match (self.end, Signal::from_named_raw(signal)) {
            (None, Some(signal)) => Ok(kill_process(self.pid, signal)?),
            _ => Ok(()),
        }
    }

    /// Sends a signal to all known processes. Returns the first that could not be reached, and the error.
    pub(super) fn signal_all(&self, signal: Signal) -> Option<(i32, io::Error)> {
        let mut problem = None;
        for pid in self.all() {
            if let Err(error) = kill_process(pid, signal)
                && error != rustix::io::Errno::SRCH
            {
                problem.get_or_insert((pid.as_raw_nonzero().get(), error.into()));
            }
        }
        problem
    }

    /// Returns the known live processes: all descendants where procfs lists them, else the child alone.
    fn all(&self) -> Vec<Pid> {
        #[cfg(target_os = "linux")]
        if super::process_tree::is_available() {
            return super::process_tree::descendants(getpid(), &self.excluded);
        }
        match self.end {
            None => vec![self.pid],
            Some(_) => Vec::new(),
        }
    }
}

/// Returns the present children of this process.
pub(super) fn existing_children() -> Vec<Pid> {
    match wait(WaitOptions::NOHANG) {
        #[cfg(target_os = "linux")]
        Ok(_) => super::process_tree::descendants(getpid(), &[]),
        _ => Vec::new(),
    }
}

pub(super) fn as_pairs<'a>(
    environment: &'a [(&str, OsString)],
) -> impl Iterator<Item = (&'a str, &'a OsStr)> {
    environment.iter().map(|(name, value)| (*name, &**value))
}

/// The role of this process, if it is not the latch that a user calls.
#[derive(Debug)]
pub(in crate::latch) enum ProcessRole<'a> {
    /// Becomes a command: `PARENT json|words COMMAND…`.
    Command(&'a [OsString]),
    /// Guards a command: `json|words COMMAND…`.
    Guardian(&'a [OsString]),
}

impl ProcessRole<'_> {
    pub(in crate::latch) fn of(arguments: &[OsString]) -> Option<ProcessRole<'_>> {
        match arguments {
            [_, mark, rest @ ..] if mark == COMMAND_MARK => Some(ProcessRole::Command(rest)),
            #[cfg(target_os = "linux")]
            [_, mark, rest @ ..] if mark == super::guardian::GUARDIAN_MARK => {
                Some(ProcessRole::Guardian(rest))
            }
            _ => None,
        }
    }

    /// Runs the role. Returns if a command cannot be run, and when nothing is left to guard.
    pub(in crate::latch) fn run(&self) -> ExitCode {
        match self {
            ProcessRole::Command(arguments) => become_command(arguments),
            #[cfg(target_os = "linux")]
            ProcessRole::Guardian(arguments) => super::guardian::guard(arguments),
            #[cfg(not(target_os = "linux"))]
            ProcessRole::Guardian(_) => ExitCode::FAILURE,
        }
    }
}

/// Becomes the command, which gets SIGTERM if the parent is killed.
fn become_command(arguments: &[OsString]) -> ExitCode {
    let [parent, form, program, arguments @ ..] = arguments else {
        return ExitCode::FAILURE;
    };
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
        let actual = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
        if actual.is_some_and(|actual| *parent != *actual) {
            // The parent was killed in the meantime.
            return ExitCode::FAILURE;
        }
    }
    let error = Command::new(program).args(arguments).exec();
    let json = form == FORM_JSON;
    Output { json }.report(&not_run(program, &error));
    ExitCode::from(exit_code_of(&error))
}

/// The form of error messages, as an argument of a role.
pub(super) const FORM_JSON: &str = "json";
pub(super) const FORM_WORDS: &str = "words";

/// The failure of a command that could not be started.
pub(super) fn not_run(program: &OsStr, error: &io::Error) -> Failure {
    let name = clean(&program.to_string_lossy());
    let message = format!("cannot run {name}: {error}");
    Failure::new(Cause::Failed, "not run", message)
}

/// Returns a shell's exit code for a command that cannot be run.
pub(super) fn exit_code_of(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}
