//! Supervises the running command: handles events until none of its processes is left.

use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::signal_name;

use super::processes::{CommandEnd, Process, exit_code_of};
use super::schedule::{RenewalOutcome, RenewalSchedule, ScheduleStep};
use super::{RenewalAttempt, terminal};
use crate::latch::clock;
use crate::latch::event::Event;
use crate::latch::failure::{Cause, Failure};

#[cfg(target_os = "linux")]
use super::link::GuardianLink;
#[cfg(target_os = "linux")]
use super::wire::{FromGuardian, ToGuardian};

/// After a suspension latch notices the time within this.
const MAX_SLEEP: Duration = Duration::from_secs(1);
/// A process that withstands SIGKILL for this time, such as one of another user, is left alone.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// A guardian has killed what it can within this time, or is stopped.
#[cfg(target_os = "linux")]
const GUARDIAN_KILL_LIMIT: Duration = Duration::from_secs(1);

/// The end of the supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The command ended by itself.
    Command(CommandEnd),
    /// The lock was lost, and the command was ended.
    Lost,
}

/// Latch's handle on the processes of the command.
#[derive(Debug)]
pub(super) enum CommandHandle {
    #[cfg(target_os = "linux")]
    Guarded(GuardianLink),
    Direct(Process),
}

#[derive(Debug)]
pub(super) struct Supervision {
    /// `None` only while one handle replaces the other.
    command_handle: Option<CommandHandle>,
    /// The end of the command, once it has ended.
    end: Option<CommandEnd>,
    /// True once no process of the command is left.
    is_gone: bool,
    schedule: RenewalSchedule,
    /// Time limits for the thread that renews, one for each attempt.
    renewals: Sender<Duration>,
    /// The failure of the last attempts to renew.
    trouble: Option<Failure>,
    /// The failure that shows that the lock is lost.
    loss: Option<Failure>,
    killed_since: Option<Instant>,
    /// A process that withstands SIGKILL, and the error.
    unkillable: Option<(i32, io::Error)>,
    is_leftover_reported: bool,
}

impl Supervision {
    pub(super) fn new(
        command_handle: CommandHandle,
        schedule: RenewalSchedule,
        renewals: Sender<Duration>,
    ) -> Supervision {
        Supervision {
            command_handle: Some(command_handle),
            end: None,
            is_gone: false,
            schedule,
            renewals,
            trouble: None,
            loss: None,
            killed_since: None,
            unkillable: None,
            is_leftover_reported: false,
        }
    }

    /// Runs until no process of the command is left to end.
    pub(super) fn run(
        &mut self,
        events: &Receiver<Event>,
        notify: impl Fn(&str),
        report_failure: impl Fn(Failure),
    ) -> End {
        loop {
            self.reap(&notify);
            if let Some(end) = self.over(&report_failure) {
                return end;
            }
            match self.schedule.next_step(clock::now()) {
                ScheduleStep::Renew { limit_ms } => {
                    let _ = self.renewals.send(Duration::from_millis(limit_ms));
                }
                ScheduleStep::Terminate { kill_at } => {
                    report_failure(self.lost());
                    match &mut self.command_handle {
                        #[cfg(target_os = "linux")]
                        Some(CommandHandle::Guarded(guard)) => {
                            guard.send(ToGuardian::End { kill_at })
                        }
                        _ => {
                            let _ = kill_at;
                            self.signal_all(Signal::TERM);
                            // A stopped process would not notice.
                            self.signal_all(Signal::CONT);
                        }
                    }
                }
                ScheduleStep::Kill => {
                    let since = *self.killed_since.get_or_insert(Instant::now());
                    // A guardian kills by itself, unless it was stopped.
                    #[cfg(target_os = "linux")]
                    if since.elapsed() > GUARDIAN_KILL_LIMIT && self.unkillable.is_none() {
                        self.replace_guardian();
                    }
                    let _ = since;
                    self.signal_all(Signal::KILL);
                }
                ScheduleStep::Wait { until } => {
                    let pause = Duration::from_millis(until.ms_since(clock::now()));
                    if let Ok(event) = events.recv_timeout(pause.min(MAX_SLEEP)) {
                        self.handle(event, &notify, &report_failure);
                    }
                }
            }
        }
    }

    /// Reaps ended processes, where no guardian reports them.
    fn reap(&mut self, notify: &impl Fn(&str)) {
        if let Some(CommandHandle::Direct(process)) = &mut self.command_handle {
            (self.end, self.is_gone) = process.reap();
            if self.end.is_some() && !self.is_gone && !self.is_leftover_reported {
                self.is_leftover_reported = true;
                notify("the command has left processes running; the lock is held until they end");
            }
        }
    }

    fn over(&self, report_failure: &impl Fn(Failure)) -> Option<End> {
        match (self.schedule.is_lost(), self.end) {
            (true, _) if self.is_gone => return Some(End::Lost),
            (true, _) => {}
            (false, Some(end)) if self.is_gone => return Some(End::Command(end)),
            (false, _) => return None,
        }
        if self.killed_since?.elapsed() < KILL_LIMIT {
            return None;
        }
        let message = match &self.unkillable {
            Some((pid, why)) => format!("PID {pid} cannot be killed, and runs on: {why}"),
            None => "a process does not end, though it was killed".to_owned(),
        };
        report_failure(Failure::new(Cause::Failed, "not stopped", message));
        Some(End::Lost)
    }

    fn signal_all(&mut self, signal: Signal) {
        if let Some(CommandHandle::Direct(process)) = &self.command_handle
            && let Some(problem) = process.signal_all(signal)
        {
            self.unkillable = Some(problem);
        }
    }

    fn handle(&mut self, event: Event, notify: &impl Fn(&str), report_failure: &impl Fn(Failure)) {
        match event {
            // Ended children are reaped before each step.
            Event::Signal(SIGCHLD) => {}
            Event::Signal(signal) if terminal::has_sent(signal) => {}
            Event::Signal(signal) => match &mut self.command_handle {
                #[cfg(target_os = "linux")]
                Some(CommandHandle::Guarded(guard)) => guard.send(ToGuardian::Signal(signal)),
                Some(CommandHandle::Direct(process)) => {
                    if let Err(error) = process.signal(signal) {
                        report_failure(unsent(signal, &error));
                    }
                }
                None => {}
            },
            #[cfg(target_os = "linux")]
            Event::Guardian(Some(report)) => self.handle_report(report, notify, report_failure),
            #[cfg(target_os = "linux")]
            Event::Guardian(None) => self.replace_guardian(),
            Event::RenewalAttempt(attempt) => self.note(attempt, notify),
            Event::Acquired(_) | Event::Trouble(_) | Event::QueueNotice(_) => {}
        }
    }

    #[cfg(target_os = "linux")]
    fn handle_report(
        &mut self,
        report: FromGuardian,
        notify: &impl Fn(&str),
        report_failure: &impl Fn(Failure),
    ) {
        match report {
            FromGuardian::NotStarted(errno) => {
                let error = io::Error::from_raw_os_error(errno);
                let message = format!("the command cannot be run: {error}");
                report_failure(Failure::new(Cause::Failed, "not run", message));
                self.end = Some(CommandEnd::Code(exit_code_of(&error)));
                self.is_gone = true;
            }
            FromGuardian::Ended(end) => self.end = Some(end),
            FromGuardian::Unsent { signal, errno } => {
                report_failure(unsent(signal, &io::Error::from_raw_os_error(errno)));
            }
            FromGuardian::LeftBehind { count } => {
                let processes = if count == 1 { "a process" } else { "processes" };
                notify(&format!(
                    "the command has left {processes} running, which latch ends"
                ));
            }
            FromGuardian::Overdue => {
                self.mark_lost("latch was stopped for too long to renew it");
            }
            FromGuardian::Unkillable { pid, errno } => {
                let error = io::Error::from_raw_os_error(errno);
                if !self.schedule.is_lost() {
                    let message = format!(
                        "PID {pid} cannot be killed: {error}; the lock is held until it ends"
                    );
                    report_failure(Failure::new(Cause::Failed, "not stopped", message));
                }
                self.unkillable = Some((pid, error));
            }
            FromGuardian::Gone => self.is_gone = true,
        }
    }

    /// Replaces a guardian that has ended. If nothing was left to guard, there is nothing to do; else
    /// its command has lost the parent that would report its end.
    #[cfg(target_os = "linux")]
    fn replace_guardian(&mut self) {
        if self.is_gone || !matches!(self.command_handle, Some(CommandHandle::Guarded(_))) {
            return;
        }
        if let Some(CommandHandle::Guarded(guard)) = self.command_handle.take() {
            self.command_handle = Some(CommandHandle::Direct(guard.into_process()));
        }
        self.mark_lost("the process of latch that looks after the command was killed");
    }

    #[cfg(target_os = "linux")]
    fn mark_lost(&mut self, why: &str) {
        let loss = Failure::new(Cause::NotYours, "lost", why);
        self.loss.get_or_insert(loss);
        self.schedule.mark_lost(clock::now());
    }

    fn note(&mut self, attempt: RenewalAttempt, notify: &impl Fn(&str)) {
        let RenewalAttempt { asked_at, result } = attempt;
        let now = clock::now();
        let outcome = match result {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    notify("the lock was renewed again");
                }
                RenewalOutcome::Renewed
            }
            Err(failure) if matches!(failure.cause, Cause::NotFound | Cause::NotYours) => {
                self.loss = Some(failure);
                RenewalOutcome::Lost
            }
            Err(failure) => {
                if self.trouble.is_none() {
                    let left_s = self.schedule.left_ms(now) / 1000;
                    let why = &failure.message;
                    notify(&format!(
                        "not renewed, trying again ({left_s} s left): {why}"
                    ));
                }
                self.trouble = Some(failure);
                RenewalOutcome::Failed
            }
        };
        self.schedule.attempted(asked_at, outcome, now);
        #[cfg(target_os = "linux")]
        if let (RenewalOutcome::Renewed, Some(CommandHandle::Guarded(guard))) =
            (outcome, &mut self.command_handle)
        {
            guard.send(ToGuardian::Renewed(self.schedule.guardian_stop_times()));
        }
    }

    fn lost(&self) -> Failure {
        let why = match (&self.loss, &self.trouble) {
            (Some(failure), _) => failure.message.clone(),
            (None, Some(failure)) => format!("it could not be renewed: {}", failure.message),
            (None, None) => "it could not be renewed in time".to_owned(),
        };
        let message = format!("the lock is lost, stopping the command: {why}");
        Failure::new(Cause::NotYours, "lost", message)
    }
}

fn unsent(signal: i32, error: &io::Error) -> Failure {
    let name = signal_name(signal).unwrap_or("a signal");
    let message = format!("{name} could not be sent to the command: {error}");
    Failure::new(Cause::Failed, "not sent", message)
}
