//! The key of a request that awaits its reply. It decides what the answer shows, and the request leaves the queue if
//! the key is revoked.

use std::rc::Rc;

use super::exchange::State;
use super::{Context, Session};
use crate::api::{self, Outcome};
use crate::command::{Command, StoredName};
use crate::keys::{Caller, Key};

/// The key of a request that awaits its reply.
#[derive(Debug)]
pub(super) struct PendingKey {
    pub(super) key: Rc<Key>,
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
}
