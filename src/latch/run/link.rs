//! latch's end of its guardian: starts it, sends it messages, and receives its reports.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc::Sender;
use std::thread;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{getpgrp, getpid, set_child_subreaper};

use super::guardian::GUARDIAN_MARK;
use super::processes::{Process, as_pairs, existing_children};
use super::schedule::StopTimes;
use super::wire::{FromGuardian, ToGuardian};
use crate::latch::event::Event;

/// The link to a running guardian.
#[derive(Debug)]
pub(super) struct GuardianLink {
    control: UnixStream,
    /// The command's process, which latch inherits if the guardian is killed.
    process: Process,
}

impl GuardianLink {
    /// Starts a guardian, and through it the command with `environment` added to its own. Reports
    /// of the guardian arrive as events.
    pub(super) fn start(
        command: &[OsString],
        environment: &[(&str, OsString)],
        form: &str,
        grace_ms: u64,
        lease: StopTimes,
        events: Sender<Event>,
    ) -> io::Result<GuardianLink> {
        let excluded = existing_children();
        let _ = set_child_subreaper(Some(getpid()));
        let (control, theirs) = UnixStream::pair()?;
        let reports = control.try_clone()?;
        // Before the command, which would have to be ended if no thread can be started.
        thread::Builder::new().spawn(move || receive_reports(reports, &events))?;
        let mut guardian = Command::new("/proc/self/exe");
        guardian
            .arg0("latch")
            .arg(GUARDIAN_MARK)
            .arg(form)
            .args(command);
        guardian.envs(as_pairs(environment));
        guardian.stdin(OwnedFd::from(theirs));
        let started = guardian.spawn()?;
        let process = Process::adopted(&started, excluded);
        drop(guardian);
        let start = ToGuardian::Start {
            group: getpgrp().as_raw_nonzero().get(),
            grace_ms,
            lease,
        };
        send_start(&control, start)?;
        Ok(GuardianLink { control, process })
    }

    /// Sends a message. An error is ignored: the end of the guardian is an event of its own.
    pub(super) fn send(&mut self, message: ToGuardian) {
        let _ = self.control.write_all(message.to_string().as_bytes());
    }

    /// Returns the processes that the guardian looked after, once it is gone.
    pub(super) fn into_process(self) -> Process {
        self.process
    }
}

fn send_start(control: &UnixStream, start: ToGuardian) -> io::Result<()> {
    let line = start.to_string();
    let stdin = [rustix::stdio::stdin()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&stdin));
    // A line is far shorter than what a socket accepts at once.
    sendmsg(
        control.as_fd(),
        &[IoSlice::new(line.as_bytes())],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

fn receive_reports(reports: UnixStream, events: &Sender<Event>) {
    for line in BufReader::new(reports).lines().map_while(Result::ok) {
        if let Some(report) = FromGuardian::parse(&line) {
            let _ = events.send(Event::Guardian(Some(report)));
        }
    }
    let _ = events.send(Event::Guardian(None));
}
