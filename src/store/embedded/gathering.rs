//! Decides whether a batch waits for more requests before it is written.
//!
//! The clients that one commit answers send their next requests nearly together. Requests that arrived during the
//! commit already wait for the next one. If that starts at once, it contains only these: the clients split into
//! two halves, and each half waits for the commits of both. That is right where a commit takes less time than
//! processing the requests between two commits.
//!
//! If a commit takes longer, the next batch waits for the clients that were answered. A request that misses
//! the batch waits for one more commit; the code weighs that against the wait of the requests already in the
//! batch.
//!
//! After a commit of 8 ms or more the wait spans ticks, by `must_wait`. After a shorter one it is spent within
//! one tick, up to 2 ms, by `gather`: the timer of the event loop is too coarse for it.

use crate::store::Gather;
use crate::time::Time;

/// The divisor of a commit's time that gives the first part of the wait. In it the batch waits even if no request
/// has arrived, to see how fast clients ask again.
const FIRST_SHARE: u64 = 8;
/// The shortest commit, in microseconds, after which the event loop's timer of 1 ms is fine enough for the wait.
const COARSE_US: u64 = 8000;
/// The longest wait within one tick, in microseconds.
const MAX_FINE_US: u64 = 2000;
/// The time after a commit, beside its own duration, in which clients are expected to ask again, in milliseconds.
const MEMORY_MS: u64 = 2;

/// The wait of the next batch for the clients that the last commit answered. `finish` starts it. Then `must_wait`
/// decides at each `commit` of the store whether the batch waits, and `gather` decides whether to look for more
/// requests within a tick. A single client never waits.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// The requests that the next batch may have: those the last commit answered, and those that waited at its
    /// end.
    expected: usize,
    /// The requests that waited at its end.
    early: usize,
    /// The duration of the last commit, in microseconds.
    commit_us: u64,
    finished_at: Time,
    /// True until the answers of the last commit have left.
    has_answers: bool,
    /// The requests that waited when the last of them arrived, and when that was, in microseconds of the wait.
    arrived: usize,
    arrived_us: u64,
    /// The time to ask `must_wait` again; `None` if the batch does not wait.
    ask_at: Option<Time>,
}

impl Gathering {
    /// Notes the end of a commit that answered `answered` requests, while `waiting` others wait for the next one.
    pub(super) fn finish(&mut self, answered: usize, waiting: usize, commit_us: u64, now: Time) {
        *self = Gathering {
            expected: answered + waiting,
            early: waiting,
            commit_us,
            finished_at: now,
            has_answers: answered > 0,
            arrived: waiting,
            arrived_us: 0,
            ask_at: None,
        };
    }

    /// Ends the wait: a batch is written, or there is nothing to write.
    pub(super) fn stop_waiting(&mut self) {
        self.has_answers = false;
        self.ask_at = None;
    }

    /// Returns true if the next batch, with `waiting` requests so far, waits. The first call after a commit lets
    /// its answers leave. Then the batch waits while that pays, and `next_timeout` asks for a
    /// call each millisecond.
    pub(super) fn must_wait(&mut self, waiting: usize, now: Time) -> bool {
        let answers_leave = std::mem::take(&mut self.has_answers);
        let elapsed_us = now.ms_since(self.finished_at) * 1000;
        let must_wait = answers_leave
            || self.commit_us >= COARSE_US && self.is_worth_waiting(waiting, elapsed_us);
        let pause_ms = u64::from(!answers_leave);
        self.ask_at = must_wait.then(|| now.after_ms(pause_ms));
        must_wait
    }

    /// The time to ask `must_wait` again; `None` if the batch does not wait.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.ask_at
    }

    /// Decides whether to look for more requests within the tick. `elapsed_us` is the time spent so, in
    /// microseconds.
    pub(super) fn gather(&mut self, waiting: usize, elapsed_us: u64, now: Time) -> Gather {
        if self.has_answers {
            // Clients ask again after these.
            return Gather::Nothing;
        }
        let expected_ms = self.commit_us / 1000 + MEMORY_MS;
        if now.ms_since(self.finished_at) > expected_ms {
            return Gather::Arrived;
        }
        let is_fine = self.commit_us < COARSE_US && elapsed_us < MAX_FINE_US;
        match waiting < self.expected {
            true if is_fine && self.is_worth_waiting(waiting, elapsed_us) => Gather::Expected,
            true => Gather::Arrived,
            false => Gather::Nothing,
        }
    }

    /// Returns true if the requests that arrived in the wait save more time than those already there lose by it,
    /// and further ones still arrive.
    fn is_worth_waiting(&mut self, waiting: usize, elapsed_us: u64) -> bool {
        if waiting > self.arrived {
            (self.arrived, self.arrived_us) = (waiting, elapsed_us);
        }
        let first_us = self.commit_us / FIRST_SHARE;
        let came = waiting.saturating_sub(self.early) as u64;
        let saved = came * self.commit_us;
        let lost = waiting as u64 * elapsed_us;
        waiting < self.expected
            && elapsed_us < self.commit_us
            && elapsed_us.saturating_sub(self.arrived_us) <= first_us
            && (elapsed_us <= first_us || lost < saved)
    }
}

#[cfg(test)]
mod tests {
    use super::Gathering;
    use crate::store::Gather;
    use crate::time::Time;

    const NOW: Time = Time::from_ms(1000);

    fn after(answered: usize, waiting: usize, commit_us: u64) -> Gathering {
        let mut gathering = Gathering::default();
        gathering.finish(answered, waiting, commit_us, NOW);
        gathering
    }

    #[test]
    fn one_client_never_waits() {
        let mut gathering = after(1, 0, 8000);
        gathering.stop_waiting();
        assert_eq!(gathering.gather(1, 0, NOW), Gather::Nothing);
        assert!(!gathering.must_wait(1, NOW));
        assert_eq!(gathering.next_timeout(), None);
    }

    #[test]
    fn a_batch_waits_for_clients_that_were_answered() {
        let mut gathering = after(32, 32, 50_000);
        assert_eq!(gathering.gather(32, 0, NOW), Gather::Nothing);
        assert!(gathering.must_wait(32, NOW), "their answers leave first");
        assert_eq!(gathering.next_timeout(), Some(NOW));
        assert!(gathering.must_wait(60, NOW.after_ms(6)));
        assert!(gathering.must_wait(63, NOW.after_ms(10)));
        assert_eq!(gathering.next_timeout(), Some(NOW.after_ms(11)));
        assert!(!gathering.must_wait(64, NOW.after_ms(11)), "all are there");
        assert_eq!(gathering.next_timeout(), None);
    }

    #[test]
    fn it_does_not_wait_in_vain() {
        let mut gathering = after(32, 32, 50_000);
        assert!(gathering.must_wait(32, NOW));
        assert!(gathering.must_wait(32, NOW.after_ms(6)));
        assert!(!gathering.must_wait(32, NOW.after_ms(7)), "no client came");
        let mut gathering = after(32, 32, 50_000);
        assert!(gathering.must_wait(32, NOW));
        assert!(gathering.must_wait(36, NOW.after_ms(5)));
        assert!(!gathering.must_wait(36, NOW.after_ms(7)), "few came");
    }

    /// One that thinks for long must not hold up all others.
    #[test]
    fn it_does_not_wait_for_the_last_one() {
        let mut gathering = after(64, 0, 50_000);
        assert!(gathering.must_wait(1, NOW), "their answers leave first");
        assert!(gathering.must_wait(63, NOW.after_ms(6)));
        assert!(gathering.must_wait(63, NOW.after_ms(12)));
        assert!(!gathering.must_wait(63, NOW.after_ms(13)));
    }

    #[test]
    fn a_short_wait_is_spent_in_one_tick() {
        let mut gathering = after(32, 32, 1000);
        assert!(gathering.must_wait(32, NOW), "their answers leave first");
        assert_eq!(gathering.gather(32, 0, NOW), Gather::Expected);
        assert_eq!(gathering.gather(40, 150, NOW), Gather::Expected);
        assert_eq!(gathering.gather(40, 250, NOW), Gather::Arrived);
        assert!(!gathering.must_wait(40, NOW));
        assert_eq!(gathering.gather(64, 200, NOW), Gather::Nothing);
    }

    #[test]
    fn after_a_pause_no_client_is_expected() {
        let mut gathering = after(64, 0, 2000);
        gathering.stop_waiting();
        assert_eq!(gathering.gather(1, 0, NOW.after_ms(4)), Gather::Expected);
        assert_eq!(gathering.gather(1, 0, NOW.after_ms(5)), Gather::Arrived);
    }
}
