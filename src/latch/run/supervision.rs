//! The command runs: what comes is answered, until no process of it is left.

use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::signal_name;

use super::keeper::{Keeper, Outcome, Step};
use super::processes::{CommandEnd, Process, exit_code_of};
use super::{Attempt, terminal};
use crate::latch::clock;
use crate::latch::event::Event;
use crate::latch::failure::{Cause, Failure};

#[cfg(target_os = "linux")]
use super::link::Guard;
#[cfg(target_os = "linux")]
use super::wire::{FromGuardian, ToGuardian};

/// A machine that was suspended is to notice soon after.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// What withstands SIGKILL for so long, as a process of another user does, is left alone.
const KILLING: Duration = Duration::from_secs(5);

/// A guardian has killed what it can within this time, or is stopped.
#[cfg(target_os = "linux")]
const GUARDIAN_PATIENCE: Duration = Duration::from_secs(1);

/// How it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Command(CommandEnd),
    /// The lock was lost, and the command was ended.
    Lost,
}

/// Through what latch reaches the processes of the command.
#[derive(Debug)]
pub(super) enum Charge {
    #[cfg(target_os = "linux")]
    Guarded(Guard),
    Direct(Process),
}

#[derive(Debug)]
pub(super) struct Supervision {
    /// `None` only while one takes the place of the other.
    charge: Option<Charge>,
    /// How the command has ended.
    end: Option<CommandEnd>,
    /// No process of the command is left.
    is_gone: bool,
    keeper: Keeper,
    /// Whoever renews takes from it how long that may take.
    renewals: Sender<Duration>,
    /// Why the last attempts to renew have failed.
    trouble: Option<Failure>,
    /// Why the lock is another's.
    loss: Option<Failure>,
    killed_since: Option<Instant>,
    /// A process that withstands, and why.
    unkillable: Option<(i32, io::Error)>,
    is_waiting_said: bool,
}

impl Supervision {
    pub(super) fn new(charge: Charge, keeper: Keeper, renewals: Sender<Duration>) -> Supervision {
        Supervision {
            charge: Some(charge),
            end: None,
            is_gone: false,
            keeper,
            renewals,
            trouble: None,
            loss: None,
            killed_since: None,
            unkillable: None,
            is_waiting_said: false,
        }
    }

    /// Acts until nothing is left to do.
    pub(super) fn run(
        &mut self,
        events: &Receiver<Event>,
        say: impl Fn(&str),
        report_failure: impl Fn(Failure),
    ) -> End {
        loop {
            self.look(&say);
            if let Some(end) = self.over(&report_failure) {
                return end;
            }
            match self.keeper.next_step(clock::now()) {
                Step::Renew { limit_ms } => {
                    let _ = self.renewals.send(Duration::from_millis(limit_ms));
                }
                Step::Terminate { kill_at } => {
                    report_failure(self.lost());
                    match &mut self.charge {
                        #[cfg(target_os = "linux")]
                        Some(Charge::Guarded(guard)) => guard.tell(ToGuardian::End { kill_at }),
                        _ => {
                            let _ = kill_at;
                            self.signal_all(Signal::TERM);
                            // What is stopped would not notice.
                            self.signal_all(Signal::CONT);
                        }
                    }
                }
                Step::Kill => {
                    let since = *self.killed_since.get_or_insert(Instant::now());
                    // A guardian does it by itself, unless it was stopped.
                    #[cfg(target_os = "linux")]
                    if since.elapsed() > GUARDIAN_PATIENCE && self.unkillable.is_none() {
                        self.replace_guardian();
                    }
                    let _ = since;
                    self.signal_all(Signal::KILL);
                }
                Step::Wait { until } => {
                    let pause = Duration::from_millis(until.ms_since(clock::now()));
                    if let Ok(event) = events.recv_timeout(pause.min(LONGEST_SLEEP)) {
                        self.handle(event, &say, &report_failure);
                    }
                }
            }
        }
    }

    /// Sees what is left, where no guardian tells it.
    fn look(&mut self, say: &impl Fn(&str)) {
        if let Some(Charge::Direct(process)) = &mut self.charge {
            (self.end, self.is_gone) = process.reap();
            if self.end.is_some() && !self.is_gone && !self.is_waiting_said {
                self.is_waiting_said = true;
                say("the command has left processes running; the lock is held until they end");
            }
        }
    }

    fn over(&self, report_failure: &impl Fn(Failure)) -> Option<End> {
        match (self.keeper.is_lost(), self.end) {
            (true, _) if self.is_gone => return Some(End::Lost),
            (true, _) => {}
            (false, Some(end)) if self.is_gone => return Some(End::Command(end)),
            (false, _) => return None,
        }
        if self.killed_since?.elapsed() < KILLING {
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
        if let Some(Charge::Direct(process)) = &self.charge
            && let Some(problem) = process.signal_all(signal)
        {
            self.unkillable = Some(problem);
        }
    }

    fn handle(&mut self, event: Event, say: &impl Fn(&str), report_failure: &impl Fn(Failure)) {
        match event {
            // Looked for before each step.
            Event::Signal(SIGCHLD) => {}
            Event::Signal(signal) if terminal::has_sent(signal) => {}
            Event::Signal(signal) => match &mut self.charge {
                #[cfg(target_os = "linux")]
                Some(Charge::Guarded(guard)) => guard.tell(ToGuardian::Signal(signal)),
                Some(Charge::Direct(process)) => {
                    if let Err(error) = process.signal(signal) {
                        report_failure(unsent(signal, &error));
                    }
                }
                None => {}
            },
            #[cfg(target_os = "linux")]
            Event::Guardian(Some(report)) => self.hear(report, say, report_failure),
            #[cfg(target_os = "linux")]
            Event::Guardian(None) => self.replace_guardian(),
            Event::Attempt(attempt) => self.note(attempt, say),
            Event::Acquired(_) | Event::Trouble(_) | Event::QueueNotice(_) => {}
        }
    }

    #[cfg(target_os = "linux")]
    fn hear(&mut self, report: FromGuardian, say: &impl Fn(&str), report_failure: &impl Fn(Failure)) {
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
                say(&format!(
                    "the command has left {processes} running, which latch ends"
                ));
            }
            FromGuardian::Overdue => {
                self.lose("latch was stopped for too long to renew it");
            }
            FromGuardian::Unkillable { pid, errno } => {
                let error = io::Error::from_raw_os_error(errno);
                if !self.keeper.is_lost() {
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

    /// The guardian has ended. That is as it should be if nothing was left to guard; else its command
    /// has no parent any more that could tell of its end.
    #[cfg(target_os = "linux")]
    fn replace_guardian(&mut self) {
        if self.is_gone || !matches!(self.charge, Some(Charge::Guarded(_))) {
            return;
        }
        if let Some(Charge::Guarded(guard)) = self.charge.take() {
            self.charge = Some(Charge::Direct(guard.into_heir()));
        }
        self.lose("the process of latch that looks after the command was killed");
    }

    #[cfg(target_os = "linux")]
    fn lose(&mut self, why: &str) {
        let loss = Failure::new(Cause::NotYours, "lost", why);
        self.loss.get_or_insert(loss);
        self.keeper.lose(clock::now());
    }

    fn note(&mut self, attempt: Attempt, say: &impl Fn(&str)) {
        let Attempt { asked_at, result } = attempt;
        let now = clock::now();
        let outcome = match result {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    say("the lock was renewed again");
                }
                Outcome::Renewed
            }
            Err(failure) if matches!(failure.cause, Cause::NotFound | Cause::NotYours) => {
                self.loss = Some(failure);
                Outcome::Lost
            }
            Err(failure) => {
                if self.trouble.is_none() {
                    let left_s = self.keeper.left_ms(now) / 1000;
                    let why = &failure.message;
                    say(&format!(
                        "not renewed, trying again ({left_s} s left): {why}"
                    ));
                }
                self.trouble = Some(failure);
                Outcome::Failed
            }
        };
        self.keeper.attempted(asked_at, outcome, now);
        #[cfg(target_os = "linux")]
        if let (Outcome::Renewed, Some(Charge::Guarded(guard))) = (outcome, &mut self.charge) {
            guard.tell(ToGuardian::Renewed(self.keeper.guardian_moments()));
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
