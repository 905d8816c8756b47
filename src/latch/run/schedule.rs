//! The times at which a lease is renewed, counts as lost, and the command must have ended. Pure: the
//! time and the outcomes of attempts go in, and the next step comes out.
//!
//! The server starts a lease after the request, so it lasts at least its length from the time of the
//! request. Whatever the server's clock shows, the command has ended by then.

use crate::time::Time;

/// The longest attempt to renew, so that there is time for another.
const MAX_ATTEMPT_MS: u64 = 5000;
const MAX_PAUSE_MS: u64 = 2000;
/// The pause between two SIGKILLs, as processes may be started in between.
const KILL_AGAIN_MS: u64 = 50;

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScheduleStep {
    /// Try to renew, for at most `limit_ms`.
    Renew { limit_ms: u64 },
    /// The lease is lost: ask the command to end, which has time until `kill_at`.
    Terminate { kill_at: Time },
    /// The grace period is over: kill the command.
    Kill,
    /// Wait until then, or until the next event.
    Wait { until: Time },
}

/// The outcome of an attempt to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RenewalOutcome {
    /// The lease was restarted.
    Renewed,
    /// The attempt failed, and a later one may succeed.
    Failed,
    /// Another owner holds the lock, or none does.
    Lost,
}

/// The times at which the processes of a command are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StopTimes {
    /// SIGTERM
    pub(super) terminate_at: Time,
    /// SIGKILL
    pub(super) kill_at: Time,
}

/// The guardian acts a little later than latch, so that latch acts if it can.
#[cfg(target_os = "linux")]
const GUARDIAN_DELAY_MS: u64 = 50;
/// The guardian needs to be scheduled, and to read procfs, on a machine that may be busy.
#[cfg(target_os = "linux")]
const GUARDIAN_MARGIN_MS: u64 = 200;

#[derive(Debug)]
pub(super) struct RenewalSchedule {
    ttl_ms: u64,
    grace_ms: u64,
    /// The lease lasts at least until this time.
    safe_until: Time,
    next_attempt: Time,
    /// An attempt is in flight.
    is_trying: bool,
    failures: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Holding,
    /// The lock is lost, and the command was not asked to end yet.
    Lost {
        kill_at: Time,
    },
    Termination {
        kill_at: Time,
    },
}

impl RenewalSchedule {
    /// Starts the schedule of a lease of `ttl_ms` that was requested at `asked_at`.
    pub(super) fn new(ttl_ms: u64, grace_ms: u64, asked_at: Time) -> RenewalSchedule {
        RenewalSchedule {
            ttl_ms,
            grace_ms,
            safe_until: asked_at.after_ms(ttl_ms),
            next_attempt: asked_at.after_ms(ttl_ms / 3),
            is_trying: false,
            failures: 0,
            stage: Stage::Holding,
        }
    }

    /// Returns whether the lock is lost, and so the command is being ended.
    pub(super) fn is_lost(&self) -> bool {
        !matches!(self.stage, Stage::Holding)
    }

    /// Returns the milliseconds until the lease may be over.
    pub(super) fn left_ms(&self, now: Time) -> u64 {
        self.safe_until.ms_since(now)
    }

    /// Returns the times at which the guardian ends the command unless latch renews the lease before.
    #[cfg(target_os = "linux")]
    pub(super) fn guardian_stop_times(&self) -> StopTimes {
        let margin_ms = (self.ttl_ms / 8).min(GUARDIAN_MARGIN_MS);
        let kill_at = self
            .kill_deadline()
            .min(self.safe_until.before_ms(margin_ms));
        let terminate_at = self.terminate_deadline();
        StopTimes {
            terminate_at: terminate_at.after_ms(GUARDIAN_DELAY_MS).min(kill_at),
            kill_at,
        }
    }

    /// Marks the lease as lost, whatever the server says.
    pub(super) fn mark_lost(&mut self, now: Time) {
        if !self.is_lost() {
            let kill_at = now.after_ms(self.grace_ms);
            self.stage = Stage::Lost { kill_at };
        }
    }

    /// Returns the next step. The caller does it and calls again at once.
    pub(super) fn next_step(&mut self, now: Time) -> ScheduleStep {
        if matches!(self.stage, Stage::Holding) && now >= self.terminate_deadline() {
            let kill_at = now.after_ms(self.grace_ms).min(self.kill_deadline());
            self.stage = Stage::Lost { kill_at };
        }
        match self.stage {
            Stage::Lost { kill_at } => {
                self.stage = Stage::Termination { kill_at };
                ScheduleStep::Terminate { kill_at }
            }
            Stage::Termination { kill_at } if now >= kill_at => {
                let kill_at = now.after_ms(KILL_AGAIN_MS);
                self.stage = Stage::Termination { kill_at };
                ScheduleStep::Kill
            }
            Stage::Termination { kill_at } => ScheduleStep::Wait { until: kill_at },
            Stage::Holding if self.is_trying => ScheduleStep::Wait {
                until: self.terminate_deadline(),
            },
            Stage::Holding if now >= self.next_attempt => {
                self.is_trying = true;
                ScheduleStep::Renew {
                    limit_ms: self.attempt_ms(now),
                }
            }
            Stage::Holding => ScheduleStep::Wait {
                until: self.next_attempt.min(self.terminate_deadline()),
            },
        }
    }

    /// Records the outcome of the attempt that began at `asked_at`.
    pub(super) fn attempted(&mut self, asked_at: Time, outcome: RenewalOutcome, now: Time) {
        self.is_trying = false;
        if self.is_lost() {
            return;
        }
        match outcome {
            RenewalOutcome::Renewed => {
                self.failures = 0;
                self.safe_until = asked_at.after_ms(self.ttl_ms);
                self.next_attempt = asked_at.after_ms(self.ttl_ms / 3);
            }
            RenewalOutcome::Failed => {
                let pause_ms = 100 << self.failures.min(5);
                self.failures += 1;
                self.next_attempt = now.after_ms(pause_ms.min(self.longest_pause_ms()));
            }
            RenewalOutcome::Lost => self.mark_lost(now),
        }
    }

    /// Returns the time by which the command must have ended, a little before the lease may be over.
    fn kill_deadline(&self) -> Time {
        let margin_ms = (self.ttl_ms / 100).max(20);
        Time::from_ms(self.safe_until.as_ms().saturating_sub(margin_ms))
    }

    /// Returns the time to ask the command to end: its grace before the kill deadline, or a third of
    /// the lease if that is shorter.
    fn terminate_deadline(&self) -> Time {
        let grace_ms = self.grace_ms.min(self.ttl_ms / 3);
        Time::from_ms(self.kill_deadline().as_ms().saturating_sub(grace_ms))
    }

    fn attempt_ms(&self, now: Time) -> u64 {
        let limit_ms = (self.ttl_ms / 6).clamp(500, MAX_ATTEMPT_MS);
        limit_ms.min(self.terminate_deadline().ms_since(now)).max(1)
    }

    fn longest_pause_ms(&self) -> u64 {
        MAX_PAUSE_MS.min(self.ttl_ms / 12)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_ms(1_000_000 + ms)
    }

    fn schedule(ttl_s: u64, grace_s: u64) -> RenewalSchedule {
        RenewalSchedule::new(ttl_s * 1000, grace_s * 1000, at(0))
    }

    #[test]
    fn the_guardian_is_later_than_latch_and_earlier_than_the_end_of_the_lease() {
        for (ttl_s, grace_s, terminate_ms, kill_ms) in [
            (60, 10, 49_450, 59_400),
            (1, 10, 697, 875),
            (2, 10, 1364, 1800),
            (60, 0, 59_400, 59_400),
        ] {
            let stop_times = StopTimes {
                terminate_at: at(terminate_ms),
                kill_at: at(kill_ms),
            };
            assert_eq!(schedule(ttl_s, grace_s).guardian_stop_times(), stop_times);
        }
    }

    #[test]
    fn it_renews_at_a_third() {
        let mut schedule = schedule(60, 10);
        assert_eq!(
            schedule.next_step(at(5)),
            ScheduleStep::Wait { until: at(20_000) }
        );
        assert_eq!(
            schedule.next_step(at(20_000)),
            ScheduleStep::Renew { limit_ms: 5000 }
        );
        // One attempt at a time.
        assert_eq!(
            schedule.next_step(at(20_001)),
            ScheduleStep::Wait { until: at(49_400) }
        );
        schedule.attempted(at(20_000), RenewalOutcome::Renewed, at(20_010));
        assert_eq!(
            schedule.next_step(at(20_010)),
            ScheduleStep::Wait { until: at(40_000) }
        );
        assert!(!schedule.is_lost());
    }

    #[test]
    fn it_tries_again_until_the_command_must_be_told() {
        let mut schedule = schedule(60, 10);
        let (mut now, mut tries) = (at(20_000), 0);
        loop {
            match schedule.next_step(now) {
                ScheduleStep::Renew { limit_ms } => {
                    tries += 1;
                    assert!(
                        now.after_ms(limit_ms) <= at(49_400),
                        "an attempt ends in time"
                    );
                    schedule.attempted(now, RenewalOutcome::Failed, now.after_ms(1));
                }
                ScheduleStep::Wait { until } => now = until,
                step => {
                    let kill_at = at(59_400);
                    assert_eq!(step, ScheduleStep::Terminate { kill_at });
                    break;
                }
            }
        }
        assert_eq!(now, at(49_400), "the last try fails with its grace to go");
        assert!(tries > 10, "{tries}");
        assert_eq!(
            schedule.next_step(now),
            ScheduleStep::Wait { until: at(59_400) }
        );
        assert_eq!(schedule.next_step(at(59_400)), ScheduleStep::Kill);
        assert_eq!(
            schedule.next_step(at(59_400)),
            ScheduleStep::Wait { until: at(59_450) }
        );
        assert_eq!(schedule.next_step(at(59_450)), ScheduleStep::Kill);
    }

    #[test]
    fn whatever_the_grace_the_command_is_gone_before_the_lease() {
        for ttl_s in [1, 2, 3, 10, 29, 30, 31, 60, 31_536_000] {
            for grace_s in [0, 1, 10, 100, 4_000_000_000] {
                let mut schedule = schedule(ttl_s, grace_s);
                let (mut now, mut renewals) = (at(0), 0);
                let killed_at = loop {
                    match schedule.next_step(now) {
                        ScheduleStep::Renew { .. } => renewals += 1,
                        ScheduleStep::Wait { until } => now = until,
                        ScheduleStep::Terminate { .. } => {}
                        ScheduleStep::Kill => break now,
                    }
                };
                assert_eq!(renewals, 1, "an attempt that hangs is one");
                let end = at(ttl_s * 1000);
                assert!(killed_at < end, "{ttl_s} {grace_s}: {killed_at:?}");
                assert!(
                    killed_at > at(ttl_s * 300),
                    "{ttl_s} {grace_s}: {killed_at:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_anothers_is_lost_at_once() {
        let mut schedule = schedule(60, 10);
        assert_eq!(
            schedule.next_step(at(20_000)),
            ScheduleStep::Renew { limit_ms: 5000 }
        );
        schedule.attempted(at(20_000), RenewalOutcome::Lost, at(20_100));
        assert!(schedule.is_lost());
        let kill_at = at(30_100);
        assert_eq!(
            schedule.next_step(at(20_100)),
            ScheduleStep::Terminate { kill_at }
        );
        assert_eq!(
            schedule.next_step(at(20_100)),
            ScheduleStep::Wait { until: at(30_100) }
        );
        // A lost lock does not come back.
        schedule.attempted(at(20_000), RenewalOutcome::Renewed, at(20_200));
        assert_eq!(schedule.next_step(at(30_100)), ScheduleStep::Kill);
    }

    #[test]
    fn a_command_that_slept_too_long_has_lost_it() {
        let mut schedule = schedule(60, 10);
        let kill_at = at(59_400);
        assert_eq!(
            schedule.next_step(at(100_000)),
            ScheduleStep::Terminate { kill_at }
        );
        assert_eq!(schedule.next_step(at(100_000)), ScheduleStep::Kill);
    }
}
