//! Replies of which a key sees only a part. The filter runs in slices, one a tick, so that a long list of
//! pools and a key with many patterns delay no other client.

use std::mem;

use super::Session;
use super::exchange::{Exchange, State};
use super::pending_key::PendingKey;
use crate::api::{Outcome, VisiblePools};
use crate::command::Reply;

impl Session {
    /// Starts to filter the reply to the filtered request.
    #[cold]
    pub(super) fn begin_filter(&mut self, key: Option<Box<PendingKey>>) {
        let key = key.map(|pending| pending.key);
        if let Some(exchange) = self.filtered_exchange()
            && let Some(view) = exchange.shape.filtered
            && let State::Ready(Outcome::Reply(Reply::Pools(pools))) = &mut exchange.state
        {
            let visible = VisiblePools::new(mem::take(pools), view, key);
            exchange.state = State::Filtered;
            self.visible = Some(Box::new(visible));
            self.advance_filter();
        }
    }

    /// Filters the next slice, if there is one.
    pub(super) fn advance_filter(&mut self) {
        if let Some(visible) = &mut self.visible
            && let Some(reply) = visible.advance()
        {
            self.visible = None;
            if let Some(exchange) = self.filtered_exchange() {
                exchange.state = State::Ready(Outcome::Reply(reply));
            }
        }
    }

    /// Returns the only filtered request. It blocks, so no request follows it, except the refusal of
    /// unreadable input.
    fn filtered_exchange(&mut self) -> Option<&mut Exchange> {
        let mut exchanges = self.exchanges.iter_mut();
        exchanges.rfind(|exchange| exchange.shape.filtered.is_some())
    }
}
