//! The pace of a body: it may come slowly, and rest for a while, but not for ever.

use super::Settings;
use crate::time::Time;

/// How a body has come so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinimumRate {
    begun_at: Time,
    due: Time,
}

impl MinimumRate {
    /// The body of a request whose head is whole.
    pub(super) fn begin(settings: &Settings, now: Time) -> MinimumRate {
        MinimumRate {
            begun_at: now,
            due: now.after_ms(settings.body_grace_ms),
        }
    }

    /// So many bytes have come. What comes fast may not be followed by a longer rest for that.
    pub(super) fn receive(&mut self, bytes: usize, settings: &Settings, now: Time) {
        let earned_ms = bytes as u64 * 1000 / u64::from(settings.min_body_rate.get());
        let latest = now.after_ms(settings.body_grace_ms);
        self.due = self.due.after_ms(earned_ms).min(latest);
    }

    /// When it has begun.
    pub(super) fn begun_at(&self) -> Time {
        self.begun_at
    }

    /// When more of it must have come.
    pub(super) fn due(&self) -> Time {
        self.due
    }
}
