//! Times in which the server stood still.

/// Counts the times in which the server stood still for more than a second.
#[derive(Debug, Default)]
pub struct Stalls {
    /// Number of stalls.
    pub count: u64,
    /// Their duration in microseconds, together.
    pub total_us: u64,
}

impl Stalls {
    /// Counts a stall of `ms` milliseconds.
    pub fn note(&mut self, ms: u64) {
        self.count += 1;
        self.total_us += ms * 1000;
    }
}
