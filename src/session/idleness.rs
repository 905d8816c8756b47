//! Which client has to go when there is no room for another one: the one that has made no use of its
//! connection for longest.

use super::{Awaits, Phase, Session, Settings};
use crate::time::Time;

/// How much longer who is in the middle of something may keep others out than who does nothing: to
/// send a request, its first one too, or to take an answer. Slow devices take seconds for a header.
const GRACE_MS: u64 = 10_000;

impl Session {
    /// Since when the client has made no use of its connection: whoever has the earliest time is
    /// closed when there is no room for another one. `None` if it must not be: a request of it is in
    /// hand, or is queued, or its answer is on the way.
    ///
    /// Who has not sent a whole request counts as `GRACE_MS` younger. So among those who do nothing
    /// else the youngest stays, and a crowd that only begins requests keeps nobody out who means it.
    pub fn idle_since(&self, settings: &Settings, now: Time) -> Option<Time> {
        let is_being_told = self.phase == Phase::Unacknowledged;
        if !self.exchanges.is_empty() || is_being_told || self.phase == Phase::Over {
            return None;
        }
        let since = self.last_active_at(settings);
        match self.awaits {
            Awaits::Request => {
                // Who has just come has not been able to say anything yet.
                (since < now).then(|| since.after_ms(GRACE_MS))
            }
            Awaits::More if self.output.is_empty() => Some(since),
            // It does not take its answers.
            Awaits::More => Some(since.after_ms(GRACE_MS)).filter(|&since| since <= now),
            Awaits::End => Some(since),
        }
    }

    /// The last time at which the client began a request, ended one, or took a part of an answer.
    pub fn last_active_at(&self, settings: &Settings) -> Time {
        let begun = match (self.awaits, &self.partial) {
            (Awaits::Request, Some(request)) => Some(request.minimum_rate.begun_at()),
            _ => None,
        };
        begun.unwrap_or(self.deadline.before_ms(self.awaits.timeout_ms(settings)))
    }
}
