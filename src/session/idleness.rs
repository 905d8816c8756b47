//! Selects the client to evict when there is no room for another: the one whose connection was
//! unused for longest.

use super::{Awaits, Phase, Session, Settings};
use crate::time::Time;

/// Extra time in ms, compared with an idle client, for a client that is sending a request or has an
/// unread answer. Slow devices take seconds for a header.
const GRACE_MS: u64 = 10_000;

impl Session {
    /// Returns since when the client has not used its connection. The server evicts the connection
    /// with the earliest time. `None` if it must not be evicted: a request is in flight or queued,
    /// or its answer awaits acknowledgement.
    ///
    /// A client that has not sent a complete request counts as `GRACE_MS` younger. So among those
    /// the youngest stays, and a crowd that only begins requests keeps no active client out.
    pub fn idle_since(&self, settings: &Settings, now: Time) -> Option<Time> {
        let is_being_told = self.phase == Phase::Unacknowledged;
        if !self.exchanges.is_empty() || is_being_told || self.phase == Phase::Over {
            return None;
        }
        let since = self.last_active_at(settings);
        match self.awaits {
            Awaits::Request => {
                // A new client has not been able to send anything yet.
                (since < now).then(|| since.after_ms(GRACE_MS))
            }
            Awaits::More if self.output.is_empty() => Some(since),
            // The client does not read its answers.
            Awaits::More => Some(since.after_ms(GRACE_MS)).filter(|&since| since <= now),
            Awaits::End => Some(since),
        }
    }

    /// Returns when the client last began or completed a request, or read a part of an answer.
    pub fn last_active_at(&self, settings: &Settings) -> Time {
        let begun = match (self.awaits, &self.partial) {
            (Awaits::Request, Some(request)) => Some(request.minimum_rate.begun_at()),
            _ => None,
        };
        begun.unwrap_or(self.deadline.before_ms(self.awaits.timeout_ms(settings)))
    }
}
