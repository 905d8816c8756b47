//! The counts of a load: plain additions, and latencies in a histogram of fixed size.

/// The counts of one window.
pub struct Tally {
    pub requests: u64,
    pub locks: u64,
    pub request_bytes: u64,
    pub answer_bytes: u64,
    /// Times that the load had to wait for a free local port.
    pub port_waits: u64,
    pub latency: Histogram,
}

impl Tally {
    pub fn new() -> Self {
        Self {
            requests: 0,
            locks: 0,
            request_bytes: 0,
            answer_bytes: 0,
            port_waits: 0,
            latency: Histogram::new(),
        }
    }

    pub fn answered(&mut self, latency_ns: u64, answer_bytes: usize, is_lock: bool) {
        self.requests += 1;
        self.locks += u64::from(is_lock);
        self.answer_bytes += answer_bytes as u64;
        self.latency.record(latency_ns);
    }
}

/// Counts by size, 64 steps to each doubling: a value is known to within 1.6 percent.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

const STEP_BITS: u32 = 6;
const STEPS: u64 = 1 << STEP_BITS;

impl Histogram {
    pub fn new() -> Self {
        let doublings = u64::from(u64::BITS - STEP_BITS);
        Self {
            counts: vec![0; ((doublings + 1) * STEPS) as usize],
            total: 0,
        }
    }

    pub fn record(&mut self, value: u64) {
        self.counts[step_of(value)] += 1;
        self.total += 1;
    }

    /// Returns the value that `share` of all values do not exceed; 0 without values.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map_or(0, highest_of)
    }
}

fn step_of(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let doubling = value.ilog2() - STEP_BITS;
    let step = u64::from(doubling) * STEPS + (value >> doubling);
    step as usize
}

/// Returns the highest value of a step.
fn highest_of(step: usize) -> u64 {
    let step = step as u64;
    if step < 2 * STEPS {
        return step;
    }
    let doubling = step / STEPS - 1;
    let first = (step - doubling * STEPS) << doubling;
    first + ((1 << doubling) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_to_within_a_sixty_fourth() {
        for value in (0..2000).chain([65_535, 65_536, 1_000_000_007, u64::MAX]) {
            let shown = highest_of(step_of(value));
            assert!(shown >= value && shown - value <= value / STEPS, "{value}");
        }
    }

    #[test]
    fn quantiles_of_one_to_hundred() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), 0);
        for value in 1..=100 {
            histogram.record(value);
        }
        assert_eq!(histogram.quantile(0.5), 50);
        assert_eq!(histogram.quantile(0.99), 99);
        assert_eq!(histogram.quantile(1.0), 100);
    }
}
