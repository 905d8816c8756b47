//! What a session holds for its client, and what all of them hold together: requests that are not
//! whole, and answers that are not taken. So memory has a bound however many clients there are.
//!
//! Each may hold a little for nothing, so that small requests and answers go on whatever others do. What
//! counts is the capacity of buffers. Where there are keys, clients that have shown none of them have a
//! small part of the whole, and never keep a holder of a key from the rest.

use super::exchange::Exchange;
use super::{Context, Outcome, Phase, Session};
use crate::api::Problem;
use crate::command::Reply;
use crate::http::{Style, Wire};

/// What each may hold for nothing: more than any header, and than any body or answer of a device.
const FREE_BYTES: usize = 16 << 10;

impl Session {
    /// Notes what is held now.
    #[inline(always)]
    pub(super) fn update_charge(&mut self, context: &mut Context<'_>) {
        // As it is nearly always: two buffers of which each is at most half of what is for nothing.
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

    /// Nothing is held any more.
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

    /// The client has shown a key that the server knows. What it holds no longer counts as a stranger's.
    pub(super) fn note_authenticated(&mut self, context: &mut Context<'_>) {
        if self.is_unauthenticated {
            let charged = self.charged;
            self.set_charge(0, context);
            self.is_unauthenticated = false;
            self.set_charge(charged, context);
        }
    }

    /// Whether it is a stranger's and holds more than each may hold for nothing.
    pub fn is_charged_unauthenticated(&self) -> bool {
        self.is_unauthenticated && self.charged > 0
    }

    /// How many bytes have come of requests that are not in flight yet.
    fn unread_bytes(&self) -> usize {
        let partial = self.partial.as_ref();
        self.input.len() + partial.map_or(0, |request| request.kept_bytes())
    }

    /// Drops what has come of a large request if others hold all that may be held, and says so.
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
            // Nothing but a line grows so long before it is understood.
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

/// Appends an answer to `output`, but not a long list if all is held that may be.
pub(super) fn write_response(
    exchange: &Exchange,
    outcome: &Outcome,
    output: &mut Vec<u8>,
    is_unauthenticated: bool,
    context: &mut Context<'_>,
) {
    let start = output.len();
    let mut status = exchange.write(outcome, output, context);
    let is_long = output.len() - start > FREE_BYTES;
    if is_long && exceeds_memory(outcome, is_unauthenticated, context) {
        output.truncate(start);
        let problem = Outcome::Problem(Problem::NoMemory);
        status = exchange.write(&problem, output, context);
    }
    context
        .metrics
        .requests
        .note_answer(exchange.record, status);
}

/// Whether an answer that is long is not written down, since all is held that may be.
pub(super) fn exceeds_memory(
    outcome: &Outcome,
    is_unauthenticated: bool,
    context: &Context<'_>,
) -> bool {
    let max = context.settings.max_buffers;
    is_list(outcome) && context.buffers.is_full(0, is_unauthenticated, max)
}

/// Whether it only tells what there is: nothing has come of it that must be heard of.
fn is_list(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Reply(Reply::Pools(_) | Reply::Members(_) | Reply::Leases(_) | Reply::Waiters(_))
            | Outcome::Reply(Reply::Dumped(_))
            | Outcome::Page
            | Outcome::Description
    )
}
