//! The clock of the process.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Micros, Time};

/// The clock of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: Time,
}

impl Clock {
    /// Reads the system's clock once. From then on this clock follows the monotonic clock.
    pub fn start() -> Clock {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            started: Instant::now(),
            started_at: Time::from_ms(since_epoch.as_millis() as u64),
        }
    }

    /// Returns the present time.
    pub fn now(&self) -> Time {
        self.read().0
    }

    /// Returns the present time, and the same moment for measuring.
    pub fn read(&self) -> (Time, Micros) {
        let us = self.started.elapsed().as_micros() as u64;
        (self.started_at.after_ms(us / 1000), Micros::from_us(us))
    }
}
