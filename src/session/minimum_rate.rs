//! The minimum rate of a body. It may come slowly and pause for a while, but not for ever.

use super::Settings;
use crate::time::Time;

/// The progress of a body against the minimum rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinimumRate {
    begun_at: Time,
    due: Time,
}

impl MinimumRate {
    /// Starts the clock of a body whose head is complete.
    pub(super) fn begin(settings: &Settings, now: Time) -> MinimumRate {
        MinimumRate {
            begun_at: now,
            due: now.after_ms(settings.body_grace_ms),
        }
    }

    /// Extends the due time by what `bytes` earn. Fast bytes never earn a longer pause than the
    /// grace time.
    pub(super) fn receive(&mut self, bytes: usize, settings: &Settings, now: Time) {
        let earned_ms = bytes as u64 * 1000 / u64::from(settings.min_body_rate.get());
        let latest = now.after_ms(settings.body_grace_ms);
        self.due = self.due.after_ms(earned_ms).min(latest);
    }

    /// Returns the time at which the body began.
    pub(super) fn begun_at(&self) -> Time {
        self.begun_at
    }

    /// Returns the time by which more of the body must arrive.
    pub(super) fn due(&self) -> Time {
        self.due
    }
}
