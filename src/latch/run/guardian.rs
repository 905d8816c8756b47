//! The guardian: a process of its own between latch and the command.
//!
//! It is the parent of the command and the reaper of all orphans below it (a child subreaper), so that no
//! descendant is lost. It ends them in time when latch is killed, is stopped or asks for it, and when the
//! command has ended and they have not.
//!
//! It has a session of its own. The terminal's keys for latch and the command, such as Ctrl-Z, do not
//! reach it, and its end sends no SIGHUP. With a mere process group of its own, its end would count as
//! the loss of the last tie of latch's group to its session: if any process of that group is stopped, the
//! system then sends SIGHUP to all of them (POSIX, `_exit`).
//!
//! It has one thread, and renews nothing: after latch's death the lock ends with its lease.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, setsid, wait,
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

use super::process_tree::descendants;
use super::processes::{COMMAND_MARK, CommandEnd};
use super::termination::{Reason, Termination, TerminationStep};
use super::wire::{FromGuardian, ToGuardian};
use crate::latch::{clock, signals};

/// The first argument of a latch that is a guardian; the command follows.
pub(super) const GUARDIAN_MARK: &str = "--guard-command";
/// After a suspension the guardian notices the time within this.
const MAX_SLEEP_MS: u64 = 1000;

/// Guards `json|words COMMAND…` until none of its processes is left. The control socket is the standard
/// input.
pub(super) fn guard(command: &[OsString]) -> ExitCode {
    match Guardian::start(command) {
        Ok(mut guardian) => {
            guardian.run();
            ExitCode::SUCCESS
        }
        // latch sees the end of the socket.
        Err(_) => ExitCode::FAILURE,
    }
}

struct Guardian {
    control: UnixStream,
    /// Bytes of an incomplete line.
    received: Vec<u8>,
    /// Readable after SIGCHLD.
    child_signals: UnixStream,
    command: Pid,
    has_ended: bool,
    is_latch_gone: bool,
    termination: Termination,
    unkillable: HashSet<Pid>,
}

impl Guardian {
    fn start(command: &[OsString]) -> io::Result<Guardian> {
        let control = UnixStream::from(rustix::stdio::stdin().try_clone_to_owned()?);
        let (line, stdin) = receive_start(&control)?;
        let Some(ToGuardian::Start {
            group,
            grace_ms,
            lease,
        }) = ToGuardian::parse(&line)
        else {
            return Err(ErrorKind::InvalidData.into());
        };
        set_child_subreaper(Some(getpid()))?;
        let (child_signals, writer) = UnixStream::pair()?;
        child_signals.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGCHLD, writer)?;
        // A signal sent to all processes of latch is meant for the command. The command does not inherit
        // handlers, unlike ignored signals.
        for signal in signals::not_ignored(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP]) {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
        control.set_nonblocking(true)?;
        // The command stays in the session and the group of latch, which the guardian leaves then.
        let started = start_command(command, group, stdin);
        setsid()?;
        let mut guardian = Guardian {
            control,
            received: Vec::new(),
            child_signals,
            command: getpid(),
            has_ended: false,
            is_latch_gone: false,
            termination: Termination::new(grace_ms, lease),
            unkillable: HashSet::new(),
        };
        match started {
            Ok(pid) => guardian.command = pid,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or_default();
                guardian.report(FromGuardian::NotStarted(errno));
                return Err(error);
            }
        }
        // A reader of the command's output waits for the command's end, not for that of the guardian.
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        Ok(guardian)
    }

    fn run(&mut self) {
        while self.reap() {
            match self.termination.next_step(clock::now()) {
                TerminationStep::Terminate(reason) => self.terminate(reason),
                TerminationStep::Kill => self.kill(),
                TerminationStep::Wait { until } => {
                    let pause_ms = until.ms_since(clock::now()).min(MAX_SLEEP_MS);
                    self.wait_ms(pause_ms);
                }
            }
            if self.is_latch_gone && self.termination.is_in_vain() {
                return;
            }
        }
        self.report(FromGuardian::Gone);
    }

    /// Reaps all ended children. Returns false if none is left: an orphaned descendant becomes a child of
    /// the guardian, so there is a child as long as there is a descendant.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    self.unkillable.remove(&pid);
                    if let Some(end) = CommandEnd::of(status).filter(|_| pid == self.command)
                        && !self.has_ended
                    {
                        self.has_ended = true;
                        self.termination.command_ended(clock::now());
                        self.report(FromGuardian::Ended(end));
                    }
                }
                Ok(None) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    fn terminate(&mut self, reason: Reason) {
        let all = descendants(getpid(), &[]);
        match reason {
            Reason::ByLatch => {}
            Reason::LeftBehind => self.report(FromGuardian::LeftBehind { count: all.len() }),
            Reason::Overdue => self.report(FromGuardian::Overdue),
        }
        for signal in [Signal::TERM, Signal::CONT] {
            // A stopped process would not notice.
            for pid in &all {
                let _ = kill_process(*pid, signal);
            }
        }
    }

    fn kill(&mut self) {
        // A process started during this search is found by the next one.
        let mut killed = HashSet::new();
        loop {
            let mut is_new = false;
            for pid in descendants(getpid(), &[]) {
                if !killed.insert(pid) {
                    continue;
                }
                match kill_process(pid, Signal::KILL) {
                    Ok(()) => is_new = true,
                    Err(Errno::SRCH) => {}
                    Err(error) => {
                        if self.unkillable.insert(pid) {
                            self.report(FromGuardian::Unkillable {
                                pid: pid.as_raw_nonzero().get(),
                                errno: error.raw_os_error(),
                            });
                        }
                    }
                }
            }
            if !is_new {
                return;
            }
        }
    }

    /// Waits until latch sends a message, a child ends, or `pause_ms` are over.
    fn wait_ms(&mut self, pause_ms: u64) {
        let pause = Timespec {
            tv_sec: (pause_ms / 1000) as i64,
            // Rounded up, so as not to return too early.
            tv_nsec: (pause_ms % 1000 * 1_000_000 + 999_999).min(999_999_999) as i64,
        };
        let mut sources = [
            PollFd::new(&self.child_signals, PollFlags::IN),
            PollFd::new(&self.control, PollFlags::IN),
        ];
        let sources = &mut sources[..if self.is_latch_gone { 1 } else { 2 }];
        if poll(sources, Some(&pause)).is_err() {
            return;
        }
        let _ = (&self.child_signals).read(&mut [0; 64]);
        if !self.is_latch_gone {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let mut piece = [0; 1024];
        loop {
            match self.control.read(&mut piece) {
                Ok(count) if count > 0 => self.received.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => {
                    self.is_latch_gone = true;
                    self.termination.latch_is_gone(clock::now());
                    break;
                }
            }
        }
        while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            if let Some(message) = ToGuardian::parse(String::from_utf8_lossy(&line[..end]).as_ref())
            {
                self.handle_message(message);
            }
        }
    }

    fn handle_message(&mut self, message: ToGuardian) {
        match message {
            ToGuardian::Start { .. } => {}
            ToGuardian::Signal(number) => {
                // After the child is reaped, another process may have its number.
                if let Some(signal) = Signal::from_named_raw(number).filter(|_| !self.has_ended)
                    && let Err(error) = kill_process(self.command, signal)
                {
                    self.report(FromGuardian::Unsent {
                        signal: number,
                        errno: error.raw_os_error(),
                    });
                }
            }
            ToGuardian::Renewed(lease) => self.termination.renewed(lease),
            ToGuardian::End { kill_at } => self.termination.end_requested(clock::now(), kill_at),
        }
    }

    /// Sends a report. An error is ignored: latch is gone then.
    fn report(&mut self, report: FromGuardian) {
        let _ = self.control.write_all(report.to_string().as_bytes());
    }
}

/// Receives the first line, and the standard input of the command.
fn receive_start(control: &UnixStream) -> io::Result<(String, OwnedFd)> {
    let mut bytes = [0; 256];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(
        control.as_fd(),
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        flags,
    )?;
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut received = None;
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            received = descriptors.last().or(received);
        }
    }
    let line = String::from_utf8_lossy(&bytes[..message.bytes]);
    let stdin = received.ok_or(ErrorKind::InvalidData)?;
    Ok((line.trim_end().to_owned(), stdin))
}

/// Starts this program, which becomes the command.
fn start_command(command: &[OsString], group: i32, stdin: OwnedFd) -> io::Result<Pid> {
    let parent = getpid().as_raw_nonzero().to_string();
    let mut starter = Command::new("/proc/self/exe");
    starter.arg0("latch").arg(COMMAND_MARK).arg(parent);
    // The first argument gives the form of its error messages.
    starter.args(command).stdin(stdin).process_group(group);
    Ok(Pid::from_child(&starter.spawn()?))
}
