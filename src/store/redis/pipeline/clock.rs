//! Redis' clock beside the monotonic one of this process.
//!
//! All times in Redis are by its own clock, less the jumps of it that servers have seen: so a lease, a place in the
//! queue and a sign of life keep their length when that clock is set. The sum of the jumps is kept beside the
//! history of the data, and each script is told it. The first server that sees a jump adds it there; the others
//! find it done.
//!
//! A script that finds the clock behind the bounds that its server has told does nothing.

use redis::Value;

use super::history::read_history;
use super::{LossReason, PendingReply, Pipeline};
use crate::time::Time;

use super::batches::describe;

/// By how much the clocks may come apart without that being a jump, beside their drift.
const MAX_SLIP_MS: i64 = 1_000;
/// A millisecond of drift in so many is no jump either.
const DRIFT: u64 = 1_000;
/// The most drift, in milliseconds: behind more than this a jump forward could hide.
const MAX_DRIFT_MS: u64 = 1_000;
/// How often the clock and the sum of its jumps are looked at, in milliseconds, for the sake of an idle server.
const CHECK_MS: u64 = 10_000;

/// Redis' clock without its jumps, beside ours.
#[derive(Debug, Default)]
pub(super) struct RedisClock {
    /// How far it is ahead of ours: at least and at most. `None` before the first answer.
    ahead_ms: Option<(i64, i64)>,
    measured_at: Time,
    /// The sum of the jumps that it is without; below 0 if the clock was set back.
    jumps_ms: i64,
    /// A jump is being added to those: till then nothing is sent that the clock matters for.
    is_correcting: bool,
    /// The clock is only looked at because `CHECK_MS` have passed.
    is_routine: bool,
    /// When it was last looked at.
    checked_at: Time,
    /// When the last jump was added: what was sent till then is answered by the clock of before.
    corrected_at: Time,
    /// How many jumps were seen.
    jumps: u64,
}

impl RedisClock {
    /// The bounds between which a script finds the clock that is sent now and arrives within `timeout_ms`; and the
    /// jumps that it has to be without.
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

    /// Takes its time from an answer. Returns by how much it has jumped since the last one, if it has: rather too
    /// far forward than too little, so that no lease ends early.
    fn measure(&mut self, redis_ms: u64, sent_at: Time, now: Time) -> Option<i64> {
        let beside = |moment: Time| redis_ms.wrapping_sub(moment.as_ms()) as i64;
        let (mut least, mut most) = (beside(now), beside(sent_at));
        if let Some((least_before, most_before)) = self.ahead_ms {
            // A jump back ends leases, so that all that may be drift is none.
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

    /// The sum of the jumps that times in Redis are without, in milliseconds.
    pub(super) fn jumps_ms(&self) -> i64 {
        self.jumps_ms
    }

    /// Whether nothing is to be sent that the clock matters for.
    pub(super) fn is_correcting(&self) -> bool {
        self.is_correcting
    }

    /// Takes another sum of the jumps, and the time without them. Returns by how much the clock has jumped beyond
    /// that sum, if it has. `is_own`: the jump that this server has seen was added, and no other.
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
        // Another server has seen a jump forward, and this one none. That may be the other one's mistake. The two
        // must not undo each other's sum for ever, and leases rather end late than early.
        let is_unseen = rest_ms.saturating_add(by_ms).abs() <= 2 * MAX_SLIP_MS;
        if rest_ms < 0 && is_unseen && !is_own {
            self.restart(redis_ms, sent_at, now);
            return None;
        }
        Some(rest_ms)
    }

    /// Forgets how the clocks stood before this answer.
    fn restart(&mut self, redis_ms: u64, sent_at: Time, now: Time) {
        self.ahead_ms = None;
        self.measure(redis_ms, sent_at, now);
    }

    /// When the clock is to be looked at; `None` while that is being done.
    pub(super) fn check_at(&self) -> Option<Time> {
        (!self.is_correcting).then(|| self.checked_at.after_ms(CHECK_MS))
    }
}

impl Pipeline {
    /// Takes Redis' time from the answer to a script.
    pub(super) fn note_redis_ms(&mut self, redis_ms: u64, sent_at: Time, now: Time) {
        if self.clock.is_correcting || sent_at <= self.clock.corrected_at {
            return;
        }
        self.compare_clocks(redis_ms, sent_at, now);
    }

    /// Looks again where the clock seems to have jumped, since one answer may be garbled.
    fn compare_clocks(&mut self, redis_ms: u64, sent_at: Time, now: Time) {
        if self.clock.measure(redis_ms, sent_at, now).is_some() {
            self.ask_for_clock(0, now);
        }
    }

    /// Looks at the clock, and reads the sum of its jumps, since a script has found it outside its bounds: another
    /// server may have added a jump that does not show here.
    pub(super) fn note_late(&mut self, now: Time) {
        if !self.clock.is_correcting {
            self.ask_for_clock(0, now);
        }
    }

    /// Looks at the clock if that was not done for long.
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

    /// Takes the sum of the jumps at a greeting.
    pub(super) fn greet_clock(&mut self, redis_ms: u64, jumps_ms: i64, sent_at: Time, now: Time) {
        self.clock.is_correcting = false;
        self.clock.checked_at = now;
        let by_ms = jumps_ms.saturating_sub(self.clock.jumps_ms);
        if by_ms != 0 && self.clock.ahead_ms.is_some() {
            // Another server has seen a jump while this one was away.
            self.note_jump(by_ms);
        }
        let answer = (redis_ms, sent_at);
        if self.clock.adopt(jumps_ms, false, answer, now).is_some() {
            self.ask_for_clock(0, now);
        }
    }

    /// Takes the clock, which was looked at for the sake of a jump, or to which one was added.
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
            // It has jumped once more since, or the sum was lost.
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

    /// How many jumps of Redis' clock were seen.
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
        // It came at once and was read 9 s later; then the next one took 9 s to be carried out.
        assert_eq!(clock.measure(51_000, at(2_000), at(11_000)), None);
        assert_eq!(clock.measure(69_000, at(11_000), at(20_005)), None);
        assert_eq!(clock.ahead_ms, Some((48_995, 49_010)));
        // An idle quarter of an hour, and a clock that is 60 s fast a day.
        assert_eq!(clock.measure(969_625, at(920_000), at(920_001)), None);
    }

    /// After 150 minutes without an answer.
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
        // The sum is an hour, and the clock without it is 5 s too far, or just right.
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
        // At most so far.
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
