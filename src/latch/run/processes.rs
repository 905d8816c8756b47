//! The command as a process, and all that it has started.
//!
//! The command stays in latch's process group: so the terminal's signals, input and job control are the
//! shell's business, as without latch. What it starts is found by descent: latch is the reaper of
//! orphans (a child subreaper, on Linux), so that nothing below it gets lost. Elsewhere only the command
//! itself is known.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};

/// The first argument of a latch that is to become a command.
const MARK: &str = "--become-command-of";

/// A command that was started.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// What a shell would say of its end.
    exit_code: Option<u8>,
    /// What whoever became latch had started before: it is none of the command's.
    strangers: Vec<Pid>,
}

impl Process {
    /// Starts a command with this in its environment. If latch is killed, it gets SIGTERM: it is this
    /// very program that is started, which arranges for that and then becomes the command.
    pub(super) fn start(
        command: &[OsString],
        environment: &[(&str, OsString)],
    ) -> io::Result<Process> {
        let strangers = strangers();
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(getpid()));
        let parent = getpid().as_raw_nonzero().to_string();
        let mut starter = Command::new("/proc/self/exe");
        starter.arg0("latch").arg(MARK).arg(parent).args(command);
        let started = starter.envs(as_pairs(environment)).spawn();
        let started = started.or_else(|_| {
            // There is no procfs.
            let mut direct = Command::new(&command[0]);
            direct.args(&command[1..]).envs(as_pairs(environment));
            direct.spawn()
        });
        let pid = Pid::from_child(&started?);
        Ok(Process {
            pid,
            exit_code: None,
            strangers,
        })
    }

    /// Takes note of all that have ended, and tells what a shell would say of the command's end.
    pub(super) fn reap(&mut self) -> Option<u8> {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.pid && self.exit_code.is_none() {
                self.exit_code = exit_code(status);
            }
        }
        self.exit_code
    }

    /// Sends a signal to the command.
    pub(super) fn signal(&self, signal: i32) {
        // Once it has been reaped, its number may be another's.
        if let (None, Some(signal)) = (self.exit_code, Signal::from_named_raw(signal)) {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Sends a signal to the command and to all that it has started.
    pub(super) fn signal_all(&self, signal: Signal) {
        for pid in self.all() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether nothing is left of the command and of what it has started.
    pub(super) fn is_gone(&mut self) -> bool {
        self.reap().is_some() && self.all().is_empty()
    }

    #[cfg(target_os = "linux")]
    fn all(&self) -> Vec<Pid> {
        super::descent::descendants(getpid(), &self.strangers)
    }

    #[cfg(not(target_os = "linux"))]
    fn all(&self) -> Vec<Pid> {
        match self.exit_code {
            None => vec![self.pid],
            Some(_) => Vec::new(),
        }
    }
}

/// The children that this process has already.
fn strangers() -> Vec<Pid> {
    match wait(WaitOptions::NOHANG) {
        #[cfg(target_os = "linux")]
        Ok(_) => super::descent::descendants(getpid(), &[]),
        _ => Vec::new(),
    }
}

fn as_pairs<'a>(environment: &'a [(&str, OsString)]) -> impl Iterator<Item = (&'a str, &'a OsStr)> {
    environment.iter().map(|(name, value)| (*name, &**value))
}

/// Its own, or 128 and the number of the signal.
fn exit_code(status: WaitStatus) -> Option<u8> {
    let by_signal = status.terminating_signal().map(|signal| 128 + signal);
    let code = status.exit_status().or(by_signal)?;
    Some(u8::try_from(code).unwrap_or(u8::MAX))
}

/// What this process is to become, if it was started for that.
pub(crate) fn command_to_become(arguments: &[OsString]) -> Option<&[OsString]> {
    match arguments {
        [_, mark, command @ ..] if mark == MARK => Some(command),
        _ => None,
    }
}

/// Becomes the command: `PARENT COMMAND…`. Returns only if that fails.
pub(crate) fn become_command(order: &[OsString]) -> ExitCode {
    let [parent, program, arguments @ ..] = order else {
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
    let name = crate::latch::text::clean(&program.to_string_lossy());
    let _ = io::Write::write_fmt(
        &mut io::stderr(),
        format_args!("latch: cannot run {name}: {error}\n"),
    );
    ExitCode::from(exit_code_of(&error))
}

/// What a shell says of a command that cannot be run.
pub(super) fn exit_code_of(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}
