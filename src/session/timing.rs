//! Until when a client has time, and what for.

use super::{Context, Phase, Session, Settings, Shutdown};
use crate::time::Time;

/// What the client has until the deadline for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    /// To send the whole of a request: its first one, or one that has begun.
    Request,
    /// To say anything more, or to take its answers.
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
    /// When `handle_timeout` is to be called. A session that waits for a store has no deadline of
    /// its own.
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
            // Requests that wait unread behind answers that are not taken are no head on its way.
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
