//! The deadlines of a session.

use super::{Context, Phase, Session, Settings, Shutdown};
use crate::time::Time;

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
        (!waits_for_store).then_some(self.deadline)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.input.is_empty()
            && self.partial.is_none()
            && self.exchanges.is_empty()
            && self.output.is_empty()
    }

    pub(super) fn restart_timeout(&mut self, context: &Context<'_>) {
        let receives = !self.input.is_empty() || self.partial.is_some();
        self.awaits = match self.phase {
            Phase::Unacknowledged | Phase::Lingering => return,
            Phase::Open if self.shutdown == Shutdown::LastRequest => return,
            // Unparsed requests behind unread answers are not a head in transit.
            _ if receives && self.output.is_empty() => Awaits::Request,
            _ => Awaits::More,
        };
        let timeout_ms = self.awaits.timeout_ms(context.settings);
        self.deadline = context.now.after_ms(timeout_ms);
        if let (Awaits::Request, Some(partial)) = (self.awaits, &self.partial) {
            self.deadline = self.deadline.min(partial.minimum_rate.due());
        }
    }
}
