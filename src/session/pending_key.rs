//! The key of a request whose reply is still to come: it says what of the reply may be shown, and the request leaves the
//! queue if the key is taken away.

use std::rc::Rc;

use super::exchange::State;
use super::{Context, Session};
use crate::api::{self, Outcome};
use crate::command::{Command, StoredName};
use crate::keys::{Caller, Key};

/// The key that a request came with whose reply is still to come.
#[derive(Debug)]
pub(super) struct PendingKey {
    pub(super) key: Rc<Key>,
    /// The pool for a lock of which it waits. If there is none, it lists what the key is for.
    pool: Option<StoredName>,
}

impl Session {
    /// The key of the request that is taken in flight now counts until its reply.
    #[cold]
    pub(super) fn note_key(&mut self, caller: Caller<'_>, command: &Command<'_>) {
        let pending = caller.key().map(|key| PendingKey {
            key,
            pool: command.pool().map(|pool| pool.as_str().into()),
        });
        self.pending_key = pending.map(Box::new);
    }

    /// The keys have changed: a request that waits with a key that is no longer for that leaves the queue. It is
    /// told so, whatever the store may still reply.
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
