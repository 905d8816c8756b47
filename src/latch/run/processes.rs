//! The command as a process, and all that it has started.
//!
//! The command stays in latch's process group: so the terminal's signals, input and job control are the
//! shell's business, as without latch. On Linux a guardian starts it and looks after what it starts.
//! Without procfs or Linux, latch starts it itself, and knows only the command.

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

/// How a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::latch) enum CommandEnd {
    Code(u8),
    /// By this signal.
    Signal(i32),
}

impl CommandEnd {
    /// `None` if it has not ended.
    pub(super) fn of(status: WaitStatus) -> Option<CommandEnd> {
        let by_signal = status.terminating_signal().map(CommandEnd::Signal);
        let by_itself = status.exit_status();
        let by_itself = by_itself.map(|code| CommandEnd::Code(u8::try_from(code).unwrap_or(255)));
        by_itself.or(by_signal)
    }
}

/// A child of latch and what it has started.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    end: Option<CommandEnd>,
    /// Children from before this program became latch: they are not the command's.
    excluded: Vec<Pid>,
}

impl Process {
    /// Starts a command with this in its environment, without a guardian.
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

    /// Looks after a child that was started just now.
    pub(super) fn adopted(child: &Child, excluded: Vec<Pid>) -> Process {
        Process {
            pid: Pid::from_child(child),
            end: None,
            excluded,
        }
    }

    /// Takes note of all that have ended. Returns how the child has ended, and whether nothing is left
    /// of it and of what it has started.
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
        // Once it has been reaped, its number may be another's.
        match (self.end, Signal::from_named_raw(signal)) {
            (None, Some(signal)) => Ok(kill_process(self.pid, signal)?),
            _ => Ok(()),
        }
    }

    /// Sends a signal to all that are known. Returns the first that could not be reached, and why.
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

    /// Returns the processes that are known to live: all descendants where procfs tells them, else the child alone.
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

/// The children that this process has already.
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

/// The part that this process plays instead of the latch that a user calls.
#[derive(Debug)]
pub(in crate::latch) enum ProcessRole<'a> {
    /// It becomes a command: `PARENT json|words COMMAND…`.
    Command(&'a [OsString]),
    /// It guards a command: `json|words COMMAND…`.
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

    /// Returns where a command cannot be run, and when nothing is left to guard.
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

/// If the parent is killed, the command gets SIGTERM.
fn become_command(arguments: &[OsString]) -> ExitCode {
    let [parent, form, program, arguments @ ..] = arguments else {
        return ExitCode::FAILURE;
    };
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
        let actual = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
        if actual.is_some_and(|actual| *parent != *actual) {
            // It was killed in the meantime.
            return ExitCode::FAILURE;
        }
    }
    let error = Command::new(program).args(arguments).exec();
    let json = form == FORM_JSON;
    Output { json }.report(&not_run(program, &error));
    ExitCode::from(exit_code_of(&error))
}

/// The second argument: how to say what is wrong.
pub(super) const FORM_JSON: &str = "json";
pub(super) const FORM_WORDS: &str = "words";

/// The failure of a command that could not be started.
pub(super) fn not_run(program: &OsStr, error: &io::Error) -> Failure {
    let name = clean(&program.to_string_lossy());
    let message = format!("cannot run {name}: {error}");
    Failure::new(Cause::Failed, "not run", message)
}

/// What a shell says of a command that cannot be run.
pub(super) fn exit_code_of(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}
