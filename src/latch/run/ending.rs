//! When the processes of a command are ended. Pure: the time and what has happened go in, and what to do
//! comes out.

use super::keeper::Moments;
use crate::time::Time;

/// A process that has only to write its last line ends by itself within this time.
const SETTLING_MS: u64 = 500;
/// Between two SIGKILLs, as processes may be started in between.
const KILL_AGAIN_MS: u64 = 50;
/// The same where so many were in vain, as with a process of another user.
const KILL_RARELY_MS: u64 = 1000;
const FREQUENT_KILLS: u32 = 20;

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndingStep {
    /// Send SIGTERM to all.
    Terminate(Reason),
    /// Send SIGKILL to all.
    Kill,
    /// Nothing, until then or until something has happened.
    Wait { until: Time },
}

/// Why the processes are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// latch says so, or is gone.
    Told,
    /// The command has ended, and has left them behind.
    LeftBehind,
    /// latch has neither renewed the lease nor said anything in time.
    Overdue,
}

#[derive(Debug)]
pub(super) struct Ending {
    grace_ms: u64,
    /// The end of the lease; `None` once it does not matter any more.
    lease: Option<Moments>,
    planned: Option<(Moments, Reason)>,
    is_terminated: bool,
    kills: u32,
    next_kill: Time,
}

impl Ending {
    pub(super) fn new(grace_ms: u64, lease: Moments) -> Ending {
        Ending {
            grace_ms,
            lease: Some(lease),
            planned: None,
            is_terminated: false,
            kills: 0,
            next_kill: Time::default(),
        }
    }

    /// The lease was renewed, and lasts until then.
    pub(super) fn renewed(&mut self, lease: Moments) {
        self.lease = self.lease.map(|_| lease);
    }

    /// The command has ended; what it has left behind may end by itself yet.
    pub(super) fn command_ended(&mut self, now: Time) {
        self.plan(now.after_ms(SETTLING_MS), Reason::LeftBehind);
    }

    /// latch is gone without a word.
    pub(super) fn latch_is_gone(&mut self, now: Time) {
        self.plan(now, Reason::Told);
    }

    /// latch has lost the lease: all must be over at `kill_at`.
    pub(super) fn told_to_end(&mut self, now: Time, kill_at: Time) {
        self.lease = None;
        let moments = Moments {
            terminate_at: now,
            kill_at,
        };
        self.planned = Some((moments, Reason::Told));
    }

    /// Returns the next thing to do. The caller does it and asks again at once.
    pub(super) fn next_step(&mut self, now: Time) -> EndingStep {
        let lease = self.lease.map(|lease| (lease, Reason::Overdue));
        let first = |at: fn(&Moments) -> Time| {
            let both = lease.iter().chain(&self.planned);
            both.min_by_key(|(moments, _)| at(moments)).copied()
        };
        // There is always one of both.
        let terminate = first(|moments| moments.terminate_at);
        let kill = first(|moments| moments.kill_at);
        let (Some((terminate, reason)), Some((kill, _))) = (terminate, kill) else {
            return EndingStep::Kill;
        };
        if !self.is_terminated {
            if now < terminate.terminate_at {
                let until = terminate.terminate_at;
                return EndingStep::Wait { until };
            }
            self.is_terminated = true;
            self.plan(now, reason);
            return EndingStep::Terminate(reason);
        }
        let kill_at = kill.kill_at.max(self.next_kill);
        if now < kill_at {
            return EndingStep::Wait { until: kill_at };
        }
        self.kills += 1;
        self.next_kill = now.after_ms(match self.kills < FREQUENT_KILLS {
            true => KILL_AGAIN_MS,
            false => KILL_RARELY_MS,
        });
        EndingStep::Kill
    }

    /// Whether SIGKILL was sent so often that no process is left that it can end.
    pub(super) fn is_in_vain(&self) -> bool {
        self.kills > FREQUENT_KILLS + 5
    }

    /// Ends all from `terminate_at` on, or earlier if that was planned.
    fn plan(&mut self, terminate_at: Time, reason: Reason) {
        let new = Moments {
            terminate_at,
            kill_at: terminate_at.after_ms(self.grace_ms),
        };
        self.planned = Some(match self.planned {
            Some((old, old_reason)) => (
                Moments {
                    terminate_at: old.terminate_at.min(new.terminate_at),
                    kill_at: old.kill_at.min(new.kill_at),
                },
                old_reason,
            ),
            None => (new, reason),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_ms(1_000_000 + ms)
    }

    fn moments(terminate_ms: u64, kill_ms: u64) -> Moments {
        Moments {
            terminate_at: at(terminate_ms),
            kill_at: at(kill_ms),
        }
    }

    fn wait(ms: u64) -> EndingStep {
        EndingStep::Wait { until: at(ms) }
    }

    #[test]
    fn a_lease_that_is_not_renewed_ends_all() {
        let mut ending = Ending::new(10_000, moments(49_000, 59_000));
        assert_eq!(ending.next_step(at(0)), wait(49_000));
        ending.renewed(moments(69_000, 79_000));
        assert_eq!(ending.next_step(at(68_999)), wait(69_000));
        let step = ending.next_step(at(69_000));
        assert_eq!(step, EndingStep::Terminate(Reason::Overdue));
        assert_eq!(ending.next_step(at(69_000)), wait(79_000));
        // A renewal that comes too late saves nothing.
        ending.renewed(moments(169_000, 179_000));
        assert_eq!(ending.next_step(at(79_000)), EndingStep::Kill);
        assert_eq!(ending.next_step(at(79_000)), wait(79_050));
        assert_eq!(ending.next_step(at(79_050)), EndingStep::Kill);
    }

    #[test]
    fn after_a_sleep_all_is_over_at_once() {
        let mut ending = Ending::new(10_000, moments(49_000, 59_000));
        let step = ending.next_step(at(100_000));
        assert_eq!(step, EndingStep::Terminate(Reason::Overdue));
        assert_eq!(ending.next_step(at(100_000)), EndingStep::Kill);
    }

    #[test]
    fn what_is_left_behind_has_half_a_second_and_its_grace() {
        let mut ending = Ending::new(2000, moments(49_000, 59_000));
        ending.command_ended(at(1000));
        assert_eq!(ending.next_step(at(1000)), wait(1500));
        let step = ending.next_step(at(1500));
        assert_eq!(step, EndingStep::Terminate(Reason::LeftBehind));
        assert_eq!(ending.next_step(at(1500)), wait(3500));
        assert_eq!(ending.next_step(at(3500)), EndingStep::Kill);
    }

    #[test]
    fn what_is_left_behind_is_gone_before_the_lease_whatever_its_grace() {
        let mut ending = Ending::new(4_000_000_000, moments(49_000, 59_000));
        ending.command_ended(at(1000));
        let step = ending.next_step(at(1500));
        assert_eq!(step, EndingStep::Terminate(Reason::LeftBehind));
        assert_eq!(ending.next_step(at(1500)), wait(59_000));
        // While latch renews, there is time.
        ending.renewed(moments(69_000, 79_000));
        assert_eq!(ending.next_step(at(59_000)), wait(79_000));
        assert_eq!(ending.next_step(at(79_000)), EndingStep::Kill);
    }

    #[test]
    fn without_latch_all_is_ended_at_once() {
        let mut ending = Ending::new(10_000, moments(49_000, 59_000));
        ending.latch_is_gone(at(100));
        let step = ending.next_step(at(100));
        assert_eq!(step, EndingStep::Terminate(Reason::Told));
        assert_eq!(ending.next_step(at(100)), wait(10_100));
        let mut ending = Ending::new(10_000, moments(649, 980));
        ending.latch_is_gone(at(100));
        let step = ending.next_step(at(100));
        assert_eq!(step, EndingStep::Terminate(Reason::Told));
        assert_eq!(ending.next_step(at(100)), wait(980));
    }

    #[test]
    fn a_lost_lease_is_latchs_business() {
        let mut ending = Ending::new(1000, moments(649, 980));
        ending.told_to_end(at(400), at(1400));
        let step = ending.next_step(at(400));
        assert_eq!(step, EndingStep::Terminate(Reason::Told));
        assert_eq!(ending.next_step(at(400)), wait(1400));
        ending.renewed(moments(500, 500));
        assert_eq!(ending.next_step(at(1399)), wait(1400));
        assert_eq!(ending.next_step(at(1400)), EndingStep::Kill);
    }

    #[test]
    fn what_cannot_be_killed_is_tried_rarely() {
        let mut ending = Ending::new(0, moments(49_000, 59_000));
        ending.latch_is_gone(at(0));
        let (mut now, mut kills) = (at(0), 0);
        while now < at(60_000) {
            match ending.next_step(now) {
                EndingStep::Kill => kills += 1,
                EndingStep::Wait { until } => now = until,
                EndingStep::Terminate(_) => {}
            }
        }
        assert!((70..90).contains(&kills), "{kills}");
        assert!(ending.is_in_vain());
    }
}
