//! When a lease is renewed, when it counts as lost, and when the command has to be gone. Pure: the
//! time and what has come of an attempt go in, and what to do comes out.
//!
//! The server starts a lease after it was asked to, so it lasts at least its length from the moment of
//! asking. Whatever the server's clock shows, by then the command is gone.

use crate::time::Time;

/// An attempt takes no longer than this, so that there is time for another.
const LONGEST_ATTEMPT_MS: u64 = 5000;
const LONGEST_PAUSE_MS: u64 = 2000;
/// Between two SIGKILLs, as processes may be started in between.
const KILL_AGAIN_MS: u64 = 50;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Try to renew, for at most so long.
    Renew { limit_ms: u64 },
    /// The lease is lost: ask the command to end, which has time until then.
    Terminate { kill_at: Time },
    /// Its time is over: end it.
    Kill,
    /// Nothing, until then or until something has happened.
    Wait { until: Time },
}

/// What has come of an attempt to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The lease has begun anew.
    Renewed,
    /// It was not to be had, and may be later.
    Failed,
    /// It is another's, or nobody's.
    Lost,
}

/// When the processes of a command are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moments {
    /// SIGTERM
    pub(super) terminate_at: Time,
    /// SIGKILL
    pub(super) kill_at: Time,
}

/// The guardian is a little slower than latch, so that it is latch that acts if it can.
#[cfg(target_os = "linux")]
const GUARDIAN_DELAY_MS: u64 = 50;
/// It needs its turn, and procfs, on a machine that may be busy.
#[cfg(target_os = "linux")]
const GUARDIAN_MARGIN_MS: u64 = 200;

#[derive(Debug)]
pub(super) struct Keeper {
    ttl_ms: u64,
    grace_ms: u64,
    /// The lease lasts at least until then.
    safe_until: Time,
    next_attempt: Time,
    /// An attempt is under way.
    is_trying: bool,
    failures: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Holding,
    /// It is lost, and the command has not been told yet.
    Lost {
        kill_at: Time,
    },
    Ending {
        kill_at: Time,
    },
}

impl Keeper {
    /// Keeps a lease of `ttl_ms` that was asked for at `asked_at`.
    pub(super) fn new(ttl_ms: u64, grace_ms: u64, asked_at: Time) -> Keeper {
        Keeper {
            ttl_ms,
            grace_ms,
            safe_until: asked_at.after_ms(ttl_ms),
            next_attempt: asked_at.after_ms(ttl_ms / 3),
            is_trying: false,
            failures: 0,
            stage: Stage::Holding,
        }
    }

    /// Whether the command is being ended.
    pub(super) fn is_lost(&self) -> bool {
        !matches!(self.stage, Stage::Holding)
    }

    /// Milliseconds until the lease may be over.
    pub(super) fn left_ms(&self, now: Time) -> u64 {
        self.safe_until.ms_since(now)
    }

    /// When the guardian ends the command if latch does not renew the lease before.
    #[cfg(target_os = "linux")]
    pub(super) fn guardian_moments(&self) -> Moments {
        let margin_ms = (self.ttl_ms / 8).min(GUARDIAN_MARGIN_MS);
        let kill_at = self.last_moment().min(self.safe_until.before_ms(margin_ms));
        let chance = self.last_chance();
        Moments {
            terminate_at: chance.after_ms(GUARDIAN_DELAY_MS).min(kill_at),
            kill_at,
        }
    }

    /// The lease is lost, whatever the server says.
    pub(super) fn lose(&mut self, now: Time) {
        if !self.is_lost() {
            let kill_at = now.after_ms(self.grace_ms);
            self.stage = Stage::Lost { kill_at };
        }
    }

    /// What is to be done now. Whoever does it asks again at once.
    pub(super) fn next_step(&mut self, now: Time) -> Step {
        if matches!(self.stage, Stage::Holding) && now >= self.last_chance() {
            let kill_at = now.after_ms(self.grace_ms).min(self.last_moment());
            self.stage = Stage::Lost { kill_at };
        }
        match self.stage {
            Stage::Lost { kill_at } => {
                self.stage = Stage::Ending { kill_at };
                Step::Terminate { kill_at }
            }
            Stage::Ending { kill_at } if now >= kill_at => {
                let kill_at = now.after_ms(KILL_AGAIN_MS);
                self.stage = Stage::Ending { kill_at };
                Step::Kill
            }
            Stage::Ending { kill_at } => Step::Wait { until: kill_at },
            Stage::Holding if self.is_trying => Step::Wait {
                until: self.last_chance(),
            },
            Stage::Holding if now >= self.next_attempt => {
                self.is_trying = true;
                Step::Renew {
                    limit_ms: self.attempt_ms(now),
                }
            }
            Stage::Holding => Step::Wait {
                until: self.next_attempt.min(self.last_chance()),
            },
        }
    }

    /// An attempt that was begun at `asked_at` is over.
    pub(super) fn attempted(&mut self, asked_at: Time, outcome: Outcome, now: Time) {
        self.is_trying = false;
        if self.is_lost() {
            return;
        }
        match outcome {
            Outcome::Renewed => {
                self.failures = 0;
                self.safe_until = asked_at.after_ms(self.ttl_ms);
                self.next_attempt = asked_at.after_ms(self.ttl_ms / 3);
            }
            Outcome::Failed => {
                let pause_ms = 100 << self.failures.min(5);
                self.failures += 1;
                self.next_attempt = now.after_ms(pause_ms.min(self.longest_pause_ms()));
            }
            Outcome::Lost => self.lose(now),
        }
    }

    /// When the command must be gone: a little before the lease may be over.
    fn last_moment(&self) -> Time {
        let margin_ms = (self.ttl_ms / 100).max(20);
        Time::from_ms(self.safe_until.as_ms().saturating_sub(margin_ms))
    }

    /// When the command must be told, to have its grace, or a third of the lease if that is shorter.
    fn last_chance(&self) -> Time {
        let grace_ms = self.grace_ms.min(self.ttl_ms / 3);
        Time::from_ms(self.last_moment().as_ms().saturating_sub(grace_ms))
    }

    fn attempt_ms(&self, now: Time) -> u64 {
        let limit_ms = (self.ttl_ms / 6).clamp(500, LONGEST_ATTEMPT_MS);
        limit_ms.min(self.last_chance().ms_since(now)).max(1)
    }

    fn longest_pause_ms(&self) -> u64 {
        LONGEST_PAUSE_MS.min(self.ttl_ms / 12)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_ms(1_000_000 + ms)
    }

    fn keeper(ttl_s: u64, grace_s: u64) -> Keeper {
        Keeper::new(ttl_s * 1000, grace_s * 1000, at(0))
    }

    #[test]
    fn the_guardian_is_later_than_latch_and_earlier_than_the_end_of_the_lease() {
        for (ttl_s, grace_s, terminate_ms, kill_ms) in [
            (60, 10, 49_450, 59_400),
            (1, 10, 697, 875),
            (2, 10, 1364, 1800),
            (60, 0, 59_400, 59_400),
        ] {
            let moments = Moments {
                terminate_at: at(terminate_ms),
                kill_at: at(kill_ms),
            };
            assert_eq!(keeper(ttl_s, grace_s).guardian_moments(), moments);
        }
    }

    #[test]
    fn it_renews_at_a_third() {
        let mut keeper = keeper(60, 10);
        assert_eq!(keeper.next_step(at(5)), Step::Wait { until: at(20_000) });
        assert_eq!(keeper.next_step(at(20_000)), Step::Renew { limit_ms: 5000 });
        // One attempt at a time.
        assert_eq!(
            keeper.next_step(at(20_001)),
            Step::Wait { until: at(49_400) }
        );
        keeper.attempted(at(20_000), Outcome::Renewed, at(20_010));
        assert_eq!(
            keeper.next_step(at(20_010)),
            Step::Wait { until: at(40_000) }
        );
        assert!(!keeper.is_lost());
    }

    #[test]
    fn it_tries_again_until_the_command_must_be_told() {
        let mut keeper = keeper(60, 10);
        let (mut now, mut tries) = (at(20_000), 0);
        loop {
            match keeper.next_step(now) {
                Step::Renew { limit_ms } => {
                    tries += 1;
                    assert!(
                        now.after_ms(limit_ms) <= at(49_400),
                        "an attempt ends in time"
                    );
                    keeper.attempted(now, Outcome::Failed, now.after_ms(1));
                }
                Step::Wait { until } => now = until,
                step => {
                    let kill_at = at(59_400);
                    assert_eq!(step, Step::Terminate { kill_at });
                    break;
                }
            }
        }
        assert_eq!(now, at(49_400), "the last try fails with its grace to go");
        assert!(tries > 10, "{tries}");
        assert_eq!(keeper.next_step(now), Step::Wait { until: at(59_400) });
        assert_eq!(keeper.next_step(at(59_400)), Step::Kill);
        assert_eq!(
            keeper.next_step(at(59_400)),
            Step::Wait { until: at(59_450) }
        );
        assert_eq!(keeper.next_step(at(59_450)), Step::Kill);
    }

    #[test]
    fn whatever_the_grace_the_command_is_gone_before_the_lease() {
        for ttl_s in [1, 2, 3, 10, 29, 30, 31, 60, 31_536_000] {
            for grace_s in [0, 1, 10, 100, 4_000_000_000] {
                let mut keeper = keeper(ttl_s, grace_s);
                let (mut now, mut renewals) = (at(0), 0);
                let killed_at = loop {
                    match keeper.next_step(now) {
                        Step::Renew { .. } => renewals += 1,
                        Step::Wait { until } => now = until,
                        Step::Terminate { .. } => {}
                        Step::Kill => break now,
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
        let mut keeper = keeper(60, 10);
        assert_eq!(keeper.next_step(at(20_000)), Step::Renew { limit_ms: 5000 });
        keeper.attempted(at(20_000), Outcome::Lost, at(20_100));
        assert!(keeper.is_lost());
        let kill_at = at(30_100);
        assert_eq!(keeper.next_step(at(20_100)), Step::Terminate { kill_at });
        assert_eq!(
            keeper.next_step(at(20_100)),
            Step::Wait { until: at(30_100) }
        );
        // What is lost does not come back.
        keeper.attempted(at(20_000), Outcome::Renewed, at(20_200));
        assert_eq!(keeper.next_step(at(30_100)), Step::Kill);
    }

    #[test]
    fn who_slept_too_long_has_lost_it() {
        let mut keeper = keeper(60, 10);
        let kill_at = at(59_400);
        assert_eq!(keeper.next_step(at(100_000)), Step::Terminate { kill_at });
        assert_eq!(keeper.next_step(at(100_000)), Step::Kill);
    }
}
