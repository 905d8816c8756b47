//! The key of a request that awaits its reply. It decides what the answer shows, and the request leaves the queue if
//! the key is revoked.
//!
//! A reply of which the key sees only a part is filtered in slices, one a tick, so that a long list of pools and a key
//! with many patterns delay no other client.

use std::mem;
use std::rc::Rc;

use super::exchange::{Exchange, State};
use super::{Context, Session};
use crate::api::{self, Outcome, VisiblePools};
use crate::command::{Command, Reply, StoredName};
use crate::keys::{Caller, Key};

/// The key of a request that awaits its reply.
#[derive(Debug)]
pub(super) struct PendingKey {
    key: Rc<Key>,
    /// The pool that the request waits for; `None` for a list that is filtered by the key.
    pool: Option<StoredName>,
}

impl Session {
    /// Keeps the key of the request that is now taken in flight until its reply.
    #[cold]
    pub(super) fn note_key(&mut self, caller: Caller<'_>, command: &Command<'_>) {
        let pending = caller.key().map(|key| PendingKey {
            key,
            pool: command.pool().map(|pool| pool.as_str().into()),
        });
        self.pending_key = pending.map(Box::new);
    }

    /// Withdraws a queued request if the changed keys no longer permit it, and answers so, whatever the store still
    /// replies. Call it on each session after `Settings::keys` has changed.
    pub fn recheck_key(&mut self, context: &mut Context<'_>) {
        if let Some(PendingKey {
            key,
            pool: Some(pool),
        }) = self.pending_key.as_deref()
            && let Some(keys) = &context.settings.keys
            && let Some(exchange) = self.exchanges.back_mut()
            && exchange.can_withdraw
            && let State::Submitted(ticket) = exchange.state
            && let Some(problem) = api::recheck_waiter(keys, key, pool, context.now)
        {
            context.sink.withdraw(ticket);
            exchange.can_withdraw = false;
            exchange.state = State::Ready(Outcome::Problem(problem));
            self.pending_key = None;
            self.write_ready_answers(context);
            self.restart_timeout(context);
        }
    }

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
