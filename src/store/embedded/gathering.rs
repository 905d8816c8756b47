//! When a batch is large enough to be written.
//!
//! Clients that are answered by one commit ask again nearly together. Requests that came while it was written
//! already wait for the next one. Written at once, the next batch has only these: the clients fall into two
//! halves, and each waits for the commits of both. That is right where a commit takes less time than the requests
//! between two commits. Where it takes longer, the next batch waits for those that were answered: a request that
//! misses a batch waits for one commit more, and that is weighed against the wait of those that are in it.

use crate::store::Gather;
use crate::time::Time;

/// The share of a commit's time in which it is seen how fast clients ask again.
const FIRST_SHARE: u64 = 8;
/// Below this, in microseconds, a wait needs a finer timer than that of the event loop.
const COARSE_US: u64 = 8000;
/// The longest wait within one tick, in microseconds.
const MAX_FINE_US: u64 = 2000;
/// How long after a commit clients are expected to ask again, beside the time that it took.
const MEMORY_MS: u64 = 2;

/// The wait for the batch after a commit. After `finish`, `must_wait` says at each `commit` of the store whether
/// the batch is still to wait, and `gather` whether to look for more within a tick.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// How many requests the next batch may have: those that the last commit answered and those that waited then.
    expected: usize,
    /// How many waited then.
    early: usize,
    /// How long the last commit took, in microseconds.
    commit_us: u64,
    finished_at: Time,
    /// The answers of the last commit have not left yet.
    has_answers: bool,
    /// When to ask again whether the batch is still to wait.
    ask_at: Option<Time>,
}

impl Gathering {
    /// Notes a commit that answered some requests while others wait for the next one.
    pub(super) fn finish(&mut self, answered: usize, waiting: usize, commit_us: u64, now: Time) {
        *self = Gathering {
            expected: answered + waiting,
            early: waiting,
            commit_us,
            finished_at: now,
            has_answers: answered > 0 && waiting > 0,
            ask_at: None,
        };
    }

    /// Whether the next batch is to wait, of which so many requests have come.
    pub(super) fn must_wait(&mut self, waiting: usize, now: Time) -> bool {
        let answers_leave = std::mem::take(&mut self.has_answers);
        let elapsed_us = now.ms_since(self.finished_at) * 1000;
        let must_wait = answers_leave
            || self.commit_us >= COARSE_US && self.is_worth_waiting(waiting, elapsed_us);
        let pause_ms = u64::from(!answers_leave);
        self.ask_at = must_wait.then(|| now.after_ms(pause_ms));
        must_wait
    }

    /// When to ask `must_wait` again.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.ask_at
    }

    /// Whether to look for more requests before the next batch is written.
    pub(super) fn gather(&self, waiting: usize, elapsed_us: u64, now: Time) -> Gather {
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

    /// Whether those who come while the others wait save more than these lose.
    fn is_worth_waiting(&self, waiting: usize, elapsed_us: u64) -> bool {
        let came = waiting.saturating_sub(self.early) as u64;
        let saved = came * self.commit_us;
        let lost = waiting as u64 * elapsed_us;
        waiting < self.expected
            && elapsed_us < self.commit_us
            && (elapsed_us <= self.commit_us / FIRST_SHARE || lost < saved)
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
        assert_eq!(gathering.gather(1, 0, NOW), Gather::Nothing);
        assert!(!gathering.must_wait(1, NOW));
        assert_eq!(gathering.next_timeout(), None);
    }

    #[test]
    fn a_batch_waits_for_clients_that_were_answered() {
        let mut gathering = after(32, 32, 50_000);
        assert!(gathering.must_wait(32, NOW), "their answers leave first");
        assert_eq!(gathering.next_timeout(), Some(NOW));
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
        assert!(!gathering.must_wait(32, NOW.after_ms(7)), "nobody came");
        let mut gathering = after(32, 32, 50_000);
        assert!(gathering.must_wait(32, NOW));
        assert!(gathering.must_wait(40, NOW.after_ms(9)));
        assert!(!gathering.must_wait(40, NOW.after_ms(11)), "few came");
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
    fn after_a_pause_nobody_is_expected() {
        let gathering = after(64, 0, 2000);
        assert_eq!(gathering.gather(1, 0, NOW.after_ms(4)), Gather::Expected);
        assert_eq!(gathering.gather(1, 0, NOW.after_ms(5)), Gather::Arrived);
    }
}
