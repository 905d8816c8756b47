//! Times in which the server stood still.

/// How often the server stood still for more than a second, and for how long.
#[derive(Debug, Default)]
pub struct Stalls {
    /// How often.
    pub count: u64,
    /// In microseconds, all together.
    pub total_us: u64,
}

impl Stalls {
    /// Counts one.
    pub fn note(&mut self, ms: u64) {
        self.count += 1;
        self.total_us += ms * 1000;
    }
}
