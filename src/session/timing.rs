//! The deadlines of a session, and its idleness: when the client is given up, and which is evicted first.

use super::{Context, Phase, Session, Settings, Shutdown};
use crate::time::Time;

/// Extra time in ms, compared with an idle client, for a client that is sending a request or has an
/// unread answer. Slow devices take seconds for a header.
const GRACE_MS: u64 = 10_000;

/// The time-out that runs.
#[derive(Debug)]
pub(super) struct Timer {
    pub(super) deadline: Time,
    pub(super) awaits: Awaits,
}

/// The client's action that the deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// To complete a request: its first one, or one that has begun.
    Request,
    /// To send anything, or to read its answers.
    More,
    /// To close its side.
    End,
}

impl Awaits {
    pub(super) fn timeout_ms(self, settings: &Settings) -> u64 {
        match self {
            Awaits::Request => settings.header_timeout_ms,
            Awaits::More => settings.idle_timeout_ms,
            Awaits::End => settings.linger_ms,
        }
    }
}

impl Session {
    /// Returns when to call [`Session::handle_timeout`]. `None` while the session only waits for
    /// the store. Any other call can move it, earlier or later.
    pub fn deadline(&self) -> Option<Time> {
        let waits_for_store = self.output.is_empty() && !self.exchanges.is_empty();
        (!waits_for_store).then_some(self.timer.deadline)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.input.is_empty()
            && self.partial.is_none()
            && self.exchanges.is_empty()
            && self.output.is_empty()
    }

    pub(super) fn restart_timeout(&mut self, context: &Context<'_>) {
        let receives = !self.input.is_empty() || self.partial.is_some();
        self.timer.awaits = match self.phase {
            Phase::Unacknowledged | Phase::Lingering => return,
            Phase::Open if self.shutdown == Shutdown::LastRequest => return,
            // Unparsed requests behind unread answers are not a head in transit.
            _ if receives && self.output.is_empty() => Awaits::Request,
            _ => Awaits::More,
        };
        let timeout_ms = self.timer.awaits.timeout_ms(context.settings);
        self.timer.deadline = context.now.after_ms(timeout_ms);
        if let (Awaits::Request, Some(partial)) = (self.timer.awaits, &self.partial) {
            self.timer.deadline = self.timer.deadline.min(partial.minimum_rate.due());
        }
    }

    /// Returns since when the client has not used its connection. The server evicts the connection
    /// with the earliest time. `None` if it must not be evicted: a request is in flight or queued,
    /// or its answer awaits acknowledgement.
    ///
    /// A client that has not sent a complete request counts as `GRACE_MS` younger. So among those
    /// the youngest stays, and a crowd that only begins requests keeps no active client out.
    pub fn idle_since(&self, settings: &Settings, now: Time) -> Option<Time> {
        let is_being_told = self.phase == Phase::Unacknowledged;
        if !self.exchanges.is_empty() || is_being_told || matches!(self.phase, Phase::Over(_)) {
            return None;
        }
        let since = self.last_active_at(settings);
        match self.timer.awaits {
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
        let begun = match (self.timer.awaits, &self.partial) {
            (Awaits::Request, Some(request)) => Some(request.minimum_rate.begun_at()),
            _ => None,
        };
        begun.unwrap_or(
            self.timer
                .deadline
                .before_ms(self.timer.awaits.timeout_ms(settings)),
        )
    }
}
