//! The clock of the process.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::Time;

pub(super) struct Clock {
    started: Instant,
    started_at: Time,
}

impl Clock {
    pub(super) fn start() -> Clock {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            started: Instant::now(),
            started_at: Time::from_ms(since_epoch.as_millis() as u64),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.started_at
            .after_ms(self.started.elapsed().as_millis() as u64)
    }
}
