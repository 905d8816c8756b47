//! Redis' clock beside the monotonic clock of this process.
//!
//! Times in Redis are those of its clock minus its jumps, as far as servers have seen them. So leases, places and
//! heartbeats keep their lengths when that clock is set. The sum of the jumps is stored beside the history of the
//! data, and each script gets it. The first server that sees a jump adds it; the others find it added.
//!
//! A script does nothing if the clock is outside the bounds that its server sent.

use redis::Value;

use super::history::read_history;
use super::{LossReason, PendingReply, Pipeline};
use crate::time::Time;

use super::batches::describe;

/// The difference between the clocks that is not a jump, besides drift, in ms.
const MAX_SLIP_MS: i64 = 1_000;
/// One ms of drift in this many ms is not a jump either.
const DRIFT: u64 = 1_000;
/// The limit on drift, in ms: a jump forward could hide behind more.
const MAX_DRIFT_MS: u64 = 1_000;
/// The time between checks of the clock and the sum of its jumps, in ms. An idle server needs them.
const CHECK_MS: u64 = 10_000;

/// Redis' clock without its jumps, beside this process's.
#[derive(Debug, Default)]
pub(super) struct RedisClock {
    /// The least and the most by which Redis' clock is ahead. `None` before the first reply.
    ahead_ms: Option<(i64, i64)>,
    measured_at: Time,
    /// The sum of the jumps taken out of it; negative if the clock was set back.
    jumps_ms: i64,
    /// Whether a jump is being added: no command that depends on the clock is sent meanwhile.
    is_correcting: bool,
    /// Whether the current check is due to `CHECK_MS` alone.
    is_routine: bool,
    /// The time of the last check.
    checked_at: Time,
    /// The time at which the last jump was added. Replies to commands sent before it have the earlier clock.
    corrected_at: Time,
    /// Jumps seen.
    jumps: u64,
}

impl RedisClock {
    /// Returns the bounds of the clock for a script that is sent now and arrives within `timeout_ms`, and the sum
    /// of the jumps to take out.
    pub(super) fn bounds(&self, timeout_ms: u64, now: Time) -> (u64, u64, i64) {
        let (least, most) = match self.ahead_ms {
            Some((least, _)) => {
                let redis_ms = now.as_ms().saturating_add_signed(least);
                let slip_ms = (MAX_SLIP_MS as u64) + self.drift_ms(now).min(MAX_DRIFT_MS);
                (
                    redis_ms.saturating_sub(slip_ms),
                    redis_ms.saturating_add(timeout_ms),
                )
            }
            None => (0, u64::MAX >> 1),
        };
        (least, most, self.jumps_ms)
    }

    fn drift_ms(&self, now: Time) -> u64 {
        now.ms_since(self.measured_at) / DRIFT
    }

    /// Updates the clock from a reply. Returns the jump since the last reply, if there was one. It is estimated too
    /// far forward rather than too little, so that no lease ends early.
    fn measure(&mut self, redis_ms: u64, sent_at: Time, now: Time) -> Option<i64> {
        let beside = |moment: Time| redis_ms.wrapping_sub(moment.as_ms()) as i64;
        let (mut least, mut most) = (beside(now), beside(sent_at));
        if let Some((least_before, most_before)) = self.ahead_ms {
            // A jump back ends leases, so whatever may be drift does not count.
            let drift_ms = 1 + self.drift_ms(now) as i64;
            let forward_ms = drift_ms.min(1 + MAX_DRIFT_MS as i64);
            if least > most_before.saturating_add(MAX_SLIP_MS + forward_ms)
                || most < least_before.saturating_sub(MAX_SLIP_MS + drift_ms)
            {
                return Some(most.saturating_sub(least_before));
            }
            let nearer = (
                least.max(least_before.saturating_sub(drift_ms)),
                most.min(most_before.saturating_add(drift_ms)),
            );
            if nearer.0 <= nearer.1 {
                (least, most) = nearer;
            }
        }
        self.ahead_ms = Some((least, most));
        self.measured_at = now;
        None
    }

    /// Returns the sum of the jumps taken out of times in Redis, in ms.
    pub(super) fn jumps_ms(&self) -> i64 {
        self.jumps_ms
    }

    /// Returns true while no command that depends on the clock may be sent.
    pub(super) fn is_correcting(&self) -> bool {
        self.is_correcting
    }

    /// Takes over another sum of the jumps, and the time without them. Returns the jump beyond that sum, if there
    /// was one. `is_own` says that only the jump seen by this server was added.
    fn adopt(
        &mut self,
        jumps_ms: i64,
        is_own: bool,
        (redis_ms, sent_at): (u64, Time),
        now: Time,
    ) -> Option<i64> {
        let by_ms = jumps_ms.saturating_sub(self.jumps_ms);
        self.jumps_ms = jumps_ms;
        let rest_ms = self.measure(redis_ms, sent_at, now)?;
        // Another server has seen a jump forward, and this one has not. The other one may be wrong. The two must
        // not undo each other's sum forever, and leases should end late rather than early.
        let is_unseen = rest_ms.saturating_add(by_ms).abs() <= 2 * MAX_SLIP_MS;
        if rest_ms < 0 && is_unseen && !is_own {
            self.restart(redis_ms, sent_at, now);
            return None;
        }
        Some(rest_ms)
    }

    /// Restarts the measurement with this reply.
    fn restart(&mut self, redis_ms: u64, sent_at: Time, now: Time) {
        self.ahead_ms = None;
        self.measure(redis_ms, sent_at, now);
    }

    /// Returns the time of the next check; `None` while one is in progress.
    pub(super) fn check_at(&self) -> Option<Time> {
        (!self.is_correcting).then(|| self.checked_at.after_ms(CHECK_MS))
    }
}

impl Pipeline {
    /// Takes Redis' time from the reply to a script.
    pub(super) fn note_redis_ms(&mut self, redis_ms: u64, sent_at: Time, now: Time) {
        if self.clock.is_correcting || sent_at <= self.clock.corrected_at {
            return;
        }
        self.compare_clocks(redis_ms, sent_at, now);
    }

    /// Checks the clock again if it seems to have jumped, since one reply may be garbled.
    fn compare_clocks(&mut self, redis_ms: u64, sent_at: Time, now: Time) {
        if self.clock.measure(redis_ms, sent_at, now).is_some() {
            self.ask_for_clock(0, now);
        }
    }

    /// Checks the clock and the sum of its jumps after a script found the clock outside its bounds. Another server
    /// may have added a jump.
    pub(super) fn note_late(&mut self, now: Time) {
        if !self.clock.is_correcting {
            self.ask_for_clock(0, now);
        }
    }

    /// Checks the clock if the last check is long ago.
    pub(super) fn check_clock(&mut self, now: Time) {
        if self.clock.check_at().is_some_and(|at| at <= now) {
            self.ask_for_clock(0, now);
            self.clock.is_routine = true;
        }
    }

    fn ask_for_clock(&mut self, jump_ms: i64, now: Time) {
        self.clock.is_correcting = true;
        self.clock.is_routine = false;
        self.clock.checked_at = now;
        self.write_history(jump_ms);
        self.send(PendingReply::Clock(jump_ms), now);
    }

    /// Takes over the sum of the jumps from a greeting.
    pub(super) fn greet_clock(&mut self, redis_ms: u64, jumps_ms: i64, sent_at: Time, now: Time) {
        self.clock.is_correcting = false;
        self.clock.checked_at = now;
        let by_ms = jumps_ms.saturating_sub(self.clock.jumps_ms);
        if by_ms != 0 && self.clock.ahead_ms.is_some() {
            // Another server has added a jump while this one was disconnected.
            self.note_jump(by_ms);
        }
        let answer = (redis_ms, sent_at);
        if self.clock.adopt(jumps_ms, false, answer, now).is_some() {
            self.ask_for_clock(0, now);
        }
    }

    /// Handles the reply to a check of the clock, or to an added jump.
    pub(super) fn handle_clock(
        &mut self,
        jump_ms: i64,
        value: Value,
        sent_at: Time,
        now: Time,
    ) -> Result<(), LossReason> {
        if let Value::ServerError(error) = &value {
            if error.code() == "NOSCRIPT" {
                self.load_scripts(|_| PendingReply::Load, now);
                self.ask_for_clock(jump_ms, now);
                return Ok(());
            }
            if self.clock.is_routine {
                self.clock.is_correcting = false;
                self.warn_throttled(&describe(error), now);
                return Ok(());
            }
            return Err(describe(error));
        }
        let answer = read_history(value).map_err(|_| "a clock of an unknown form")?;
        self.clock.is_correcting = false;
        let corrected_ms = answer.jumps_ms.saturating_sub(self.clock.jumps_ms);
        if corrected_ms == 0 && jump_ms == 0 {
            if let Some(jump_ms) = self.clock.measure(answer.redis_ms, sent_at, now) {
                self.ask_for_clock(jump_ms, now);
            }
            return Ok(());
        }
        self.clock.corrected_at = now;
        if corrected_ms == 0 {
            self.clock.restart(answer.redis_ms, sent_at, now);
            log::warn!(
                "a jump of the clock of {} could not be noted there",
                self.options
            );
            return Ok(());
        }
        self.note_jump(corrected_ms);
        let is_own = corrected_ms == jump_ms;
        let rest_ms = (self.clock).adopt(answer.jumps_ms, is_own, (answer.redis_ms, sent_at), now);
        if let Some(rest_ms) = rest_ms {
            // The clock has jumped again, or the sum was lost.
            self.ask_for_clock(rest_ms, now);
        }
        Ok(())
    }

    fn note_jump(&mut self, by_ms: i64) {
        self.clock.jumps += 1;
        let (seconds, direction) = (
            by_ms.unsigned_abs() as f64 / 1000.0,
            if by_ms < 0 { "back" } else { "forward" },
        );
        log::warn!(
            "the clock of {} has jumped {seconds:.1} s {direction}; leases and places move with it",
            self.options
        );
    }

    /// Returns the number of jumps seen.
    pub(in super::super) fn clock_jumps(&self) -> u64 {
        self.clock.jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_ms(ms)
    }

    #[test]
    fn a_slow_answer_and_drift_are_no_jumps() {
        let mut clock = RedisClock::default();
        assert_eq!(clock.measure(50_000, at(1_000), at(1_010)), None);
        // The first reply was read 9 s late; the next command was carried out 9 s late.
        assert_eq!(clock.measure(51_000, at(2_000), at(11_000)), None);
        assert_eq!(clock.measure(69_000, at(11_000), at(20_005)), None);
        assert_eq!(clock.ahead_ms, Some((48_995, 49_010)));
        // 15 idle minutes, and a clock that gains 60 s a day.
        assert_eq!(clock.measure(969_625, at(920_000), at(920_001)), None);
    }

    /// 150 minutes without a reply.
    #[test]
    fn a_jump_forward_does_not_hide_behind_drift() {
        let mut clock = RedisClock::default();
        clock.measure(50_000, at(0), at(0));
        let later = at(9_000_000);
        assert_eq!(clock.bounds(2_000, later).0, 9_048_000);
        assert_eq!(clock.measure(9_060_000, later, later), Some(10_000));
        assert_eq!(clock.measure(9_052_002, later, later), Some(2_002));
        assert_eq!(clock.measure(9_042_000, later, later), None, "slow by 8 s");
    }

    #[test]
    fn a_second_jump_is_seen_behind_the_first() {
        let mut clock = RedisClock::default();
        clock.measure(50_000, at(0), at(0));
        // The sum is one hour. The clock without it is 5 s too far, or just right.
        let far = (56_000, at(1_000));
        assert_eq!(clock.adopt(3_600_000, true, far, at(1_000)), Some(5_000));
        let right = (52_000, at(2_000));
        assert_eq!(clock.adopt(3_605_000, true, right, at(2_000)), None);
        // The sum is lost.
        let lost = (3_658_000, at(3_000));
        assert_eq!(clock.adopt(0, false, lost, at(3_000)), Some(3_605_000));
    }

    /// Of two servers that disagree, the one whose leases end later prevails.
    #[test]
    fn servers_do_not_undo_the_jumps_of_each_other() {
        let mut clock = RedisClock::default();
        clock.measure(50_000, at(0), at(0));
        let early = (61_000, at(1_000));
        assert_eq!(clock.adopt(-10_000, false, early, at(1_000)), Some(10_000));
        let mut clock = RedisClock::default();
        clock.measure(50_000, at(0), at(0));
        let late = (41_000, at(1_000));
        assert_eq!(clock.adopt(10_000, false, late, at(1_000)), None);
        assert_eq!(clock.ahead_ms, Some((40_000, 40_000)));
    }

    #[test]
    fn a_jump_is_told_from_a_slow_answer() {
        let mut clock = RedisClock::default();
        clock.measure(50_000, at(1_000), at(1_010));
        // The largest jump that fits the replies.
        assert_eq!(clock.measure(59_000, at(2_000), at(2_010)), Some(8_010));
        assert_eq!(clock.measure(43_000, at(2_000), at(2_010)), Some(-7_990));
        assert_eq!(clock.measure(52_100, at(2_000), at(2_010)), Some(1_110));
        assert_eq!(
            clock.measure(51_900, at(2_000), at(2_010)),
            None,
            "within a second"
        );
    }

    #[test]
    fn a_script_is_told_bounds() {
        let mut clock = RedisClock::default();
        assert_eq!(clock.bounds(2_000, at(0)), (0, u64::MAX >> 1, 0));
        clock.measure(50_000, at(1_000), at(1_010));
        assert_eq!(clock.bounds(2_000, at(2_010)), (49_999, 53_000, 0));
    }
}
