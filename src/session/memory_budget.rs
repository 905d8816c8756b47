//! The memory budget: what all sessions together hold of incomplete requests and of unsent answers. It bounds
//! memory for any number of clients.
//!
//! Each session has a free allowance, so that small requests and answers go on under any load. Buffers count
//! by their capacity. Where there are keys, unauthenticated clients have a small share of the budget, and
//! never keep an authenticated client from the rest.

use super::{Context, Outcome, Phase, Session};
use crate::api::Problem;
use crate::command::Reply;
use crate::http::{Style, Wire};

/// The free allowance of a session: more than any header, and than any body or answer of a device.
pub(super) const FREE_BYTES: usize = 16 << 10;

impl Session {
    /// Charges what the session holds now.
    #[inline(always)]
    pub(super) fn update_charge(&mut self, context: &mut Context<'_>) {
        // The usual case: two buffers, each at most half of the free allowance.
        let buffers = self.input.capacity() | self.output.capacity();
        let has_more = self.partial.is_some() || self.incremental.is_some() || self.charged > 0;
        if has_more || buffers > FREE_BYTES / 2 {
            self.recompute_charge(context);
        }
    }

    #[inline(never)]
    fn recompute_charge(&mut self, context: &mut Context<'_>) {
        let incremental = self
            .incremental
            .as_ref()
            .map_or(0, |incremental| incremental.capacity());
        let partial = self.partial.as_ref();
        let unread = self.input.capacity() + partial.map_or(0, |request| request.charged_bytes());
        let dump = self.dump.as_ref().map_or(0, |dump| dump.capacity_bytes());
        let held = unread + self.output.capacity() + incremental + dump;
        let charged = u32::try_from(held.saturating_sub(FREE_BYTES)).unwrap_or(u32::MAX);
        if charged != self.charged {
            self.set_charge(charged, context);
        }
    }

    pub(super) fn clear_charge(&mut self, context: &mut Context<'_>) {
        self.set_charge(0, context);
    }

    fn set_charge(&mut self, charged: u32, context: &mut Context<'_>) {
        (context.buffers).charge(
            self.charged as usize,
            charged as usize,
            self.is_unauthenticated,
        );
        self.charged = charged;
    }

    /// Moves the session's charge out of the unauthenticated share: the client has shown a valid key.
    pub(super) fn note_authenticated(&mut self, context: &mut Context<'_>) {
        if self.is_unauthenticated {
            let charged = self.charged;
            self.set_charge(0, context);
            self.is_unauthenticated = false;
            self.set_charge(charged, context);
        }
    }

    /// Returns whether the client is unauthenticated and holds more than the free allowance.
    pub fn is_charged_unauthenticated(&self) -> bool {
        self.is_unauthenticated && self.charged > 0
    }

    /// Returns the received bytes of requests that are not in flight yet.
    fn unread_bytes(&self) -> usize {
        let partial = self.partial.as_ref();
        self.input.len() + partial.map_or(0, |request| request.kept_bytes())
    }

    /// Drops a large incomplete request and refuses it if the other sessions use up the budget.
    pub(super) fn refuse_if_out_of_memory(&mut self, context: &mut Context<'_>) {
        let is_large = self.unread_bytes() > FREE_BYTES;
        if !is_large || self.phase != Phase::Open {
            return;
        }
        let (buffers, max) = (&context.buffers, context.settings.max_buffers);
        if !buffers.is_full(self.charged as usize, self.is_unauthenticated, max) {
            return;
        }
        let style = match (&self.partial, self.previous) {
            (Some(request), _) => request.style(),
            (None, Some(previous)) => Style::plain(previous),
            // Only a one-line request grows so long before it is parsed.
            (None, None) => Style::plain(Wire::Line),
        };
        let style = Style {
            closes: true,
            ..style
        };
        self.partial = None;
        self.input = Vec::new();
        self.refuse(style, Problem::NoMemory, context);
    }
}

/// Returns whether a list is refused because the budget is used up.
pub(super) fn exceeds_memory(
    outcome: &Outcome,
    is_unauthenticated: bool,
    context: &Context<'_>,
) -> bool {
    let max = context.settings.max_buffers;
    is_list(outcome) && context.buffers.is_full(0, is_unauthenticated, max)
}

/// Returns whether the outcome only lists what there is, so that the client loses nothing by a refusal.
fn is_list(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Reply(Reply::Pools(_) | Reply::Members(_) | Reply::Leases(_) | Reply::Waiters(_))
            | Outcome::Reply(Reply::Dumped(_))
            | Outcome::Page
            | Outcome::Description
    )
}
