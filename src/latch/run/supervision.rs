//! The command runs: what comes is answered, until it has ended, by itself or because the lock is lost.

use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::consts::SIGCHLD;

use super::keeper::{Keeper, Outcome, Step};
use super::processes::Process;
use super::{Attempt, terminal};
use crate::latch::clock;
use crate::latch::event::Event;
use crate::latch::failure::{Cause, Failure};

/// A machine that was suspended is to notice soon after.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// What withstands SIGKILL for so long, as a process of another user does, is left alone.
const KILLING: Duration = Duration::from_secs(5);

/// How it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this exit code.
    Code(u8),
    /// The lock was lost, and the command was ended.
    Lost,
}

#[derive(Debug)]
pub(super) struct Supervision {
    process: Process,
    keeper: Keeper,
    /// Whoever renews takes from it how long that may take.
    renewals: Sender<Duration>,
    /// Why the last attempts to renew have failed.
    trouble: Option<Failure>,
    /// Why the lock is another's.
    loss: Option<Failure>,
    killed_since: Option<Instant>,
}

impl Supervision {
    pub(super) fn new(process: Process, keeper: Keeper, renewals: Sender<Duration>) -> Supervision {
        Supervision {
            process,
            keeper,
            renewals,
            trouble: None,
            loss: None,
            killed_since: None,
        }
    }

    /// Acts until nothing is left to do.
    pub(super) fn run(
        &mut self,
        events: &Receiver<Event>,
        say: impl Fn(&str),
        complain: impl Fn(Failure),
    ) -> End {
        loop {
            if let Some(end) = self.end() {
                return end;
            }
            match self.keeper.next_step(clock::now()) {
                Step::Renew { limit_ms } => {
                    let _ = self.renewals.send(Duration::from_millis(limit_ms));
                }
                Step::Terminate => {
                    complain(self.lost());
                    self.process.signal_all(Signal::TERM);
                    // What is stopped would not notice.
                    self.process.signal_all(Signal::CONT);
                }
                Step::Kill => {
                    self.killed_since.get_or_insert(Instant::now());
                    self.process.signal_all(Signal::KILL);
                }
                Step::Wait { until } => {
                    let pause = Duration::from_millis(until.ms_since(clock::now()));
                    if let Ok(event) = events.recv_timeout(pause.min(LONGEST_SLEEP)) {
                        self.handle(event, &say);
                    }
                }
            }
        }
    }

    /// The command's, if it has ended while the lock was held. Where the lock is lost, all that it has
    /// started must have ended, too.
    fn end(&mut self) -> Option<End> {
        if !self.keeper.is_lost() {
            return self.process.reap().map(End::Code);
        }
        let is_over = self.process.is_gone()
            || self
                .killed_since
                .is_some_and(|since| since.elapsed() > KILLING);
        is_over.then_some(End::Lost)
    }

    fn handle(&mut self, event: Event, say: &impl Fn(&str)) {
        match event {
            // Looked for before each step.
            Event::Signal(SIGCHLD) => {}
            Event::Signal(signal) if terminal::has_sent(signal) => {}
            Event::Signal(signal) => self.process.signal(signal),
            Event::Attempt(attempt) => self.note(attempt, say),
            Event::Line(_) | Event::Trouble(_) => {}
        }
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
    }

    fn lost(&self) -> Failure {
        let why = match (&self.loss, &self.trouble) {
            (Some(failure), _) => failure.message.clone(),
            (None, Some(failure)) => format!("it could not be renewed: {}", failure.message),
            (None, None) => "it could not be renewed in time".to_owned(),
        };
        let message = format!("the lock is lost, and the command is stopped: {why}");
        Failure::new(Cause::NotYours, "lost", message)
    }
}
