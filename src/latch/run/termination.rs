//! The times at which the guardian ends the processes of a command. Pure: the time and the events go in,
//! and the next step comes out.

use super::schedule::StopTimes;
use crate::time::Time;

/// A process that only writes its last line ends by itself within this time.
const SETTLING_MS: u64 = 500;
/// The pause between two SIGKILLs, as processes may be started in between.
const KILL_AGAIN_MS: u64 = 50;
/// The pause once [`FREQUENT_KILLS`] SIGKILLs were in vain, as with a process of another user.
const KILL_RARELY_MS: u64 = 1000;
const FREQUENT_KILLS: u32 = 20;

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TerminationStep {
    /// Send SIGTERM to all processes.
    Terminate(Reason),
    /// Send SIGKILL to all processes.
    Kill,
    /// Wait until then, or until the next event.
    Wait { until: Time },
}

/// The reason why the processes are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// latch asked for it, or is gone.
    ByLatch,
    /// The command has ended, and has left them behind.
    LeftBehind,
    /// latch has neither renewed the lease nor sent a message in time.
    Overdue,
}

#[derive(Debug)]
pub(super) struct Termination {
    grace_ms: u64,
    /// The times at the end of the lease; `None` once it no longer matters.
    lease: Option<StopTimes>,
    planned: Option<(StopTimes, Reason)>,
    is_terminated: bool,
    kills: u32,
    next_kill: Time,
}

impl Termination {
    pub(super) fn new(grace_ms: u64, lease: StopTimes) -> Termination {
        Termination {
            grace_ms,
            lease: Some(lease),
            planned: None,
            is_terminated: false,
            kills: 0,
            next_kill: Time::default(),
        }
    }

    /// Records that the lease was renewed and lasts until then.
    pub(super) fn renewed(&mut self, lease: StopTimes) {
        self.lease = self.lease.map(|_| lease);
    }

    /// Records that the command has ended; what it has left behind may still end by itself.
    pub(super) fn command_ended(&mut self, now: Time) {
        self.plan(now.after_ms(SETTLING_MS), Reason::LeftBehind);
    }

    /// Records that latch is gone without a message.
    pub(super) fn latch_is_gone(&mut self, now: Time) {
        self.plan(now, Reason::ByLatch);
    }

    /// Records that latch has lost the lease: all processes must have ended at `kill_at`.
    pub(super) fn end_requested(&mut self, now: Time, kill_at: Time) {
        self.lease = None;
        let stop_times = StopTimes {
            terminate_at: now,
            kill_at,
        };
        self.planned = Some((stop_times, Reason::ByLatch));
    }

    /// Returns the next step. The caller does it and calls again at once.
    pub(super) fn next_step(&mut self, now: Time) -> TerminationStep {
        let lease = self.lease.map(|lease| (lease, Reason::Overdue));
        let first = |at: fn(&StopTimes) -> Time| {
            let both = lease.iter().chain(&self.planned);
            both.min_by_key(|(stop_times, _)| at(stop_times)).copied()
        };
        // At least one of both is set.
        let terminate = first(|stop_times| stop_times.terminate_at);
        let kill = first(|stop_times| stop_times.kill_at);
        let (Some((terminate, reason)), Some((kill, _))) = (terminate, kill) else {
            return TerminationStep::Kill;
        };
        if !self.is_terminated {
            if now < terminate.terminate_at {
                let until = terminate.terminate_at;
                return TerminationStep::Wait { until };
            }
            self.is_terminated = true;
            self.plan(now, reason);
            return TerminationStep::Terminate(reason);
        }
        let kill_at = kill.kill_at.max(self.next_kill);
        if now < kill_at {
            return TerminationStep::Wait { until: kill_at };
        }
        self.kills += 1;
        self.next_kill = now.after_ms(match self.kills < FREQUENT_KILLS {
            true => KILL_AGAIN_MS,
            false => KILL_RARELY_MS,
        });
        TerminationStep::Kill
    }

    /// Returns whether SIGKILL was sent so often that it can end no process that is left.
    pub(super) fn is_in_vain(&self) -> bool {
        self.kills > FREQUENT_KILLS + 5
    }

    /// Ends all processes from `terminate_at` on, or earlier if that was planned.
    fn plan(&mut self, terminate_at: Time, reason: Reason) {
        let new = StopTimes {
            terminate_at,
            kill_at: terminate_at.after_ms(self.grace_ms),
        };
        self.planned = Some(match self.planned {
            Some((old, old_reason)) => (
                StopTimes {
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

    fn stop_times(terminate_ms: u64, kill_ms: u64) -> StopTimes {
        StopTimes {
            terminate_at: at(terminate_ms),
            kill_at: at(kill_ms),
        }
    }

    fn wait(ms: u64) -> TerminationStep {
        TerminationStep::Wait { until: at(ms) }
    }

    #[test]
    fn a_lease_that_is_not_renewed_ends_all() {
        let mut termination = Termination::new(10_000, stop_times(49_000, 59_000));
        assert_eq!(termination.next_step(at(0)), wait(49_000));
        termination.renewed(stop_times(69_000, 79_000));
        assert_eq!(termination.next_step(at(68_999)), wait(69_000));
        let step = termination.next_step(at(69_000));
        assert_eq!(step, TerminationStep::Terminate(Reason::Overdue));
        assert_eq!(termination.next_step(at(69_000)), wait(79_000));
        // A renewal that comes too late saves nothing.
        termination.renewed(stop_times(169_000, 179_000));
        assert_eq!(termination.next_step(at(79_000)), TerminationStep::Kill);
        assert_eq!(termination.next_step(at(79_000)), wait(79_050));
        assert_eq!(termination.next_step(at(79_050)), TerminationStep::Kill);
    }

    #[test]
    fn after_a_sleep_all_is_over_at_once() {
        let mut termination = Termination::new(10_000, stop_times(49_000, 59_000));
        let step = termination.next_step(at(100_000));
        assert_eq!(step, TerminationStep::Terminate(Reason::Overdue));
        assert_eq!(termination.next_step(at(100_000)), TerminationStep::Kill);
    }

    #[test]
    fn what_is_left_behind_has_half_a_second_and_its_grace() {
        let mut termination = Termination::new(2000, stop_times(49_000, 59_000));
        termination.command_ended(at(1000));
        assert_eq!(termination.next_step(at(1000)), wait(1500));
        let step = termination.next_step(at(1500));
        assert_eq!(step, TerminationStep::Terminate(Reason::LeftBehind));
        assert_eq!(termination.next_step(at(1500)), wait(3500));
        assert_eq!(termination.next_step(at(3500)), TerminationStep::Kill);
    }

    #[test]
    fn what_is_left_behind_is_gone_before_the_lease_whatever_its_grace() {
        let mut termination = Termination::new(4_000_000_000, stop_times(49_000, 59_000));
        termination.command_ended(at(1000));
        let step = termination.next_step(at(1500));
        assert_eq!(step, TerminationStep::Terminate(Reason::LeftBehind));
        assert_eq!(termination.next_step(at(1500)), wait(59_000));
        // While latch renews, there is time.
        termination.renewed(stop_times(69_000, 79_000));
        assert_eq!(termination.next_step(at(59_000)), wait(79_000));
        assert_eq!(termination.next_step(at(79_000)), TerminationStep::Kill);
    }

    #[test]
    fn without_latch_all_is_ended_at_once() {
        let mut termination = Termination::new(10_000, stop_times(49_000, 59_000));
        termination.latch_is_gone(at(100));
        let step = termination.next_step(at(100));
        assert_eq!(step, TerminationStep::Terminate(Reason::ByLatch));
        assert_eq!(termination.next_step(at(100)), wait(10_100));
        let mut termination = Termination::new(10_000, stop_times(649, 980));
        termination.latch_is_gone(at(100));
        let step = termination.next_step(at(100));
        assert_eq!(step, TerminationStep::Terminate(Reason::ByLatch));
        assert_eq!(termination.next_step(at(100)), wait(980));
    }

    #[test]
    fn a_lost_lease_is_latchs_business() {
        let mut termination = Termination::new(1000, stop_times(649, 980));
        termination.end_requested(at(400), at(1400));
        let step = termination.next_step(at(400));
        assert_eq!(step, TerminationStep::Terminate(Reason::ByLatch));
        assert_eq!(termination.next_step(at(400)), wait(1400));
        termination.renewed(stop_times(500, 500));
        assert_eq!(termination.next_step(at(1399)), wait(1400));
        assert_eq!(termination.next_step(at(1400)), TerminationStep::Kill);
    }

    #[test]
    fn what_cannot_be_killed_is_tried_rarely() {
        let mut termination = Termination::new(0, stop_times(49_000, 59_000));
        termination.latch_is_gone(at(0));
        let (mut now, mut kills) = (at(0), 0);
        while now < at(60_000) {
            match termination.next_step(now) {
                TerminationStep::Kill => kills += 1,
                TerminationStep::Wait { until } => now = until,
                TerminationStep::Terminate(_) => {}
            }
        }
        assert!((70..90).contains(&kills), "{kills}");
        assert!(termination.is_in_vain());
    }
}
