//! The clock of the process.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::Time;

/// The clock of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: Time,
}

impl Clock {
    /// Reads the system's clock once; from here on it follows the monotonic clock.
    pub fn start() -> Clock {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            started: Instant::now(),
            started_at: Time::from_ms(since_epoch.as_millis() as u64),
        }
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.started_at
            .after_ms(self.started.elapsed().as_millis() as u64)
    }
}
