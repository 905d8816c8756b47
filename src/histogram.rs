//! Durations counted in buckets whose bounds double.

/// The bound of the first bucket, in microseconds.
const FIRST_US: u64 = 50;

/// The number of buckets with a bound. The last bound is 50 us times 2^23, 419 s.
const BOUNDED: usize = 24;

/// Counts durations in buckets.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// The last bucket has no bound.
    buckets: [u64; BOUNDED + 1],
    sum_us: u64,
}

impl Histogram {
    /// Counts `us` microseconds `count` times.
    pub fn note(&mut self, us: u64, count: u64) {
        self.buckets[bucket(us)] += count;
        self.sum_us = self.sum_us.wrapping_add(us.wrapping_mul(count));
    }

    /// Returns each bound in microseconds, with the number of durations up to it.
    pub fn bounded(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut total = 0;
        self.buckets[..BOUNDED]
            .iter()
            .enumerate()
            .map(move |(place, count)| {
                total += count;
                (FIRST_US << place, total)
            })
    }

    /// Returns the number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Returns the sum of all durations, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

/// Returns the first bucket whose bound is at least `us`, without a branch: the number of bits of
/// the number of whole first buckets below `us`.
fn bucket(us: u64) -> usize {
    let below = us.saturating_sub(1) / FIRST_US;
    ((u64::BITS - below.leading_zeros()) as usize).min(BOUNDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_first_bucket_that_holds_it() {
        let bounds: Vec<u64> = (0..BOUNDED).map(|place| FIRST_US << place).collect();
        let edges = bounds
            .iter()
            .flat_map(|&bound| [bound - 1, bound, bound + 1]);
        for us in [0, 1, u64::MAX].into_iter().chain(edges) {
            let first = bounds.iter().position(|&bound| us <= bound);
            assert_eq!(bucket(us), first.unwrap_or(BOUNDED), "{us} us");
        }
        assert!(
            bounds[BOUNDED - 1] > 300_000_000,
            "the longest wait has a bound"
        );
    }

    #[test]
    fn buckets_add_up() {
        let mut histogram = Histogram::default();
        for (us, count) in [(0, 1), (50, 2), (51, 3), (1_000_000_000, 4)] {
            histogram.note(us, count);
        }
        let bounded: Vec<(u64, u64)> = histogram.bounded().take(3).collect();
        assert_eq!(bounded, [(50, 3), (100, 6), (200, 6)]);
        assert_eq!((histogram.count(), histogram.sum_us()), (10, 4_000_000_253));
    }
}
