//! The waiters of this server: how they are queued, withdrawn and served, and queued again
//! after the connection was lost.

use std::rc::Rc;

use super::pool_state::LostBatch;
use super::{HEARTBEAT_MS, Pipeline, PoolKey, RedisPhase};
use crate::command::{Granted, Leases, Refusal, Reply, Ticket};
use crate::store::redis::operation::{
    AcquireRequest, Operation, PoolAction, QueueLimits, ReplyTo, WithdrawReason,
};
use crate::store::redis::reply::OperationAnswer;
use crate::store::redis::waiters::LocalWaiter;
use crate::time::Time;

impl Pipeline {
    /// Acquires a lock, and waits for it until then.
    pub(super) fn wait(
        &mut self,
        ticket: Ticket,
        pool: PoolKey,
        request: Rc<AcquireRequest>,
        until: Time,
    ) {
        let waiter = LocalWaiter {
            ticket,
            pool,
            request: request.clone(),
            is_withdrawing: false,
            place: u64::MAX,
        };
        self.waiters.insert(waiter, until);
        self.pools[pool].waiters.insert(ticket.serial());
        self.push(
            pool,
            Operation {
                reply_to: ReplyTo::Waiter(ticket),
                action: PoolAction::Acquire(request),
            },
        );
    }

    /// Whoever asked with this ticket does not wait any more.
    pub(in super::super) fn withdraw(&mut self, ticket: Ticket) {
        self.start_withdrawal(ticket.serial(), WithdrawReason::Disconnected);
    }

    /// Withdraws the waiters that have waited long enough.
    pub(super) fn end_waiting(&mut self, now: Time) {
        // Who is served while others leave need not leave any more.
        for serial in self.waiters.take_due(now) {
            self.start_withdrawal(serial, WithdrawReason::TimedOut);
        }
    }

    fn start_withdrawal(&mut self, serial: u64, why: WithdrawReason) {
        let Some(ticket) = self.waiters.find(serial).map(|waiter| waiter.ticket) else {
            return;
        };
        let Some(pool) = self.waiters.start_withdrawal(serial) else {
            return;
        };
        let operation = Operation {
            reply_to: ReplyTo::Withdrawal(ticket),
            action: PoolAction::Withdraw(why),
        };
        match self.phase {
            // It is answered now, and is withdrawn when there is a Redis again.
            RedisPhase::Down => self.drop_unheard(pool, operation),
            _ => self.push(pool, operation),
        }
    }

    /// What came of an acquire that would wait.
    pub(super) fn handle_waiter_answer(
        &mut self,
        pool: PoolKey,
        ticket: Ticket,
        answer: OperationAnswer,
    ) {
        match answer {
            OperationAnswer::Granted(leases) => self.deliver(pool, ticket.serial(), leases),
            OperationAnswer::Refused(refusal) => self.dismiss(ticket.serial(), refusal),
            OperationAnswer::Waits(place) if self.waiters.find(ticket.serial()).is_some() => {
                self.waiters.set_place(ticket.serial(), place);
            }
            OperationAnswer::Waits(_) => {
                let (reply_to, action) = (
                    ReplyTo::Withdrawal(ticket),
                    PoolAction::Withdraw(WithdrawReason::TimedOut),
                );
                self.push(pool, Operation { reply_to, action });
            }
            _ => {}
        }
    }

    /// What came of leaving.
    pub(super) fn handle_withdrawal_answer(
        &mut self,
        pool: PoolKey,
        ticket: Ticket,
        answer: OperationAnswer,
    ) {
        match answer {
            OperationAnswer::Granted(leases) => self.deliver(pool, ticket.serial(), leases),
            OperationAnswer::Refused(refusal) => self.dismiss(ticket.serial(), refusal),
            _ => self.dismiss(ticket.serial(), Refusal::Busy),
        }
    }

    /// Gives a grant to who has waited for it; to nobody, if that one is gone.
    pub(super) fn deliver(&mut self, pool: PoolKey, serial: u64, leases: Leases) {
        self.note_fence(pool, &leases);
        let granted = self.granted(pool, leases);
        match self.remove_waiter(serial) {
            Some(waiter) => self
                .replies
                .push_back((waiter.ticket, Reply::Granted(granted))),
            None => self.take_back(pool, &granted),
        }
    }

    /// Tells somebody that it waits no longer.
    pub(super) fn dismiss(&mut self, serial: u64, refusal: Refusal) {
        if let Some(waiter) = self.remove_waiter(serial) {
            self.refuse(waiter.ticket, refusal);
        }
    }

    /// Tells everybody who waits for a pool here.
    pub(super) fn dismiss_all(&mut self, pool: PoolKey, refusal: Refusal) {
        for serial in self.pools[pool].waiters.clone() {
            self.dismiss(serial, refusal);
        }
    }

    fn remove_waiter(&mut self, serial: u64) -> Option<LocalWaiter> {
        let waiter = self.waiters.remove(serial)?;
        self.pools[waiter.pool].waiters.remove(&serial);
        Some(waiter)
    }

    /// Takes a grant back that nobody was told of. An owner will come for it.
    fn take_back(&mut self, pool: PoolKey, granted: &Granted) {
        let undo = granted.undo().and_then(|command| {
            let (_, action) = PoolAction::of(&command, QueueLimits::default())?;
            Some(action)
        });
        self.undo(pool, undo);
    }

    /// Carries out an undo, now or as soon as there is a Redis.
    pub(super) fn undo(&mut self, pool: PoolKey, undo: Option<PoolAction>) {
        let Some(action) = undo else { return };
        let operation = Operation {
            reply_to: ReplyTo::Internal,
            action,
        };
        match self.phase {
            RedisPhase::Down => self.drop_unheard(pool, operation),
            _ => self.push(pool, operation),
        }
    }

    /// The reply to a batch is lost. It may still be carried out until the time given.
    pub(super) fn lose_batch(&mut self, pool: PoolKey, until: Time) {
        let Some(in_flight) = self.pools[pool].in_flight.take() else {
            return;
        };
        let asks_itself =
            |operation: &Operation| matches!(operation.action, PoolAction::Reconcile(_));
        if !in_flight.operations.iter().any(asks_itself) {
            self.pools[pool].lost_batch = Some(LostBatch {
                batch: in_flight.batch,
                until,
            });
        }
        for operation in in_flight.operations {
            self.drop_unheard(pool, operation);
        }
    }

    /// Redis is there again: each pool that something is left to do for is reconciled.
    pub(super) fn reconcile_all(&mut self) {
        let pools: Vec<PoolKey> = self.pools.iter().map(|(pool, _)| pool).collect();
        for pool in pools {
            match self.pools[pool].lost_batch {
                Some(_) => self.list_to_send(pool),
                None => self.reconcile(pool),
            }
        }
    }

    /// What a lost batch has granted is handed to who still waits for it, or taken back.
    pub(super) fn reconcile_lost_batch(
        &mut self,
        pool: PoolKey,
        grants: Vec<(Option<u64>, Leases)>,
    ) {
        self.pools[pool].lost_batch = None;
        for (serial, leases) in grants {
            // No waiter has the number of one who did not wait.
            self.deliver(pool, serial.unwrap_or(u64::MAX), leases);
        }
        self.reconcile(pool);
    }

    /// Does for a pool what could not be done without Redis, before anything else.
    fn reconcile(&mut self, pool: PoolKey) {
        let state = &mut self.pools[pool];
        state.must_requeue = false;
        let mut later = std::mem::take(&mut state.pending);
        later.retain(|operation| !queues_a_waiter(operation));
        for (ticket, why) in state.withdrawals.drain(..) {
            state.pending.push_back(Operation {
                reply_to: ReplyTo::Withdrawal(ticket),
                action: PoolAction::Withdraw(why),
            });
        }
        for (id, fence) in state.to_undo.drain(..) {
            state.pending.push_back(Operation {
                reply_to: ReplyTo::Internal,
                action: PoolAction::Undo(id, fence),
            });
        }
        self.requeue_waiters(pool);
        self.pools[pool].pending.extend(later);
        self.list_to_send(pool);
    }

    /// Redis tells of waiters from now on. What it had to tell before may be lost, so all of them ask again.
    pub(in super::super) fn handle_listening(&mut self) {
        if self.phase != RedisPhase::Ready {
            return;
        }
        let pools = self.pools.iter();
        let waited_for = pools.filter(|(_, pool)| !pool.waiters.is_empty());
        let pools: Vec<PoolKey> = waited_for.map(|(pool, _)| pool).collect();
        for pool in pools {
            // A pool with a lost batch asks again when that is known.
            if self.pools[pool].lost_batch.is_none() {
                self.requeue_waiters(pool);
            }
        }
    }

    /// Asks again for each who waits here. Whoever still has a place keeps it.
    pub(super) fn requeue_waiters(&mut self, pool: PoolKey) {
        // Once is enough: a waiter that is served at the first time must not be queued at the second.
        self.pools[pool]
            .pending
            .retain(|operation| !queues_a_waiter(operation));
        for &serial in &self.pools[pool].waiters.clone() {
            if let Some(waiter) = self.waiters.find(serial)
                && !waiter.is_withdrawing
            {
                let (ticket, request) = (waiter.ticket, waiter.request.clone());
                let action = PoolAction::Acquire(request);
                self.push(
                    pool,
                    Operation {
                        reply_to: ReplyTo::Requeue(ticket),
                        action,
                    },
                );
            }
        }
    }

    /// Polls for grants of the waiters for a pool here.
    pub(super) fn poll_grants(&mut self, pool: PoolKey) {
        let state = &self.pools[pool];
        if state.lost_batch.is_some() {
            return self.list_to_send(pool);
        }
        if state.must_requeue || state.has_unfinished() {
            return self.reconcile(pool);
        }
        let is_waited_for = !self.pools[pool].waiters.is_empty();
        if is_waited_for && !std::mem::replace(&mut self.pools[pool].has_poll, true) {
            self.push(
                pool,
                Operation {
                    reply_to: ReplyTo::Internal,
                    action: PoolAction::Poll,
                },
            );
        }
    }

    /// Schedules the next poll of a pool, if anybody waits for it here.
    pub(super) fn schedule_poll(&mut self, pool: PoolKey, wake_ms: Option<u64>, now: Time) {
        let state = &self.pools[pool];
        if state.waiters.is_empty() && !state.has_unfinished() {
            return self.polls.remove(pool);
        }
        let in_ms = wake_ms.map_or(HEARTBEAT_MS, |wake_ms| wake_ms.clamp(1, HEARTBEAT_MS));
        self.polls.set(pool, now.after_ms(in_ms));
    }
}

fn queues_a_waiter(operation: &Operation) -> bool {
    matches!(operation.reply_to, ReplyTo::Waiter(_) | ReplyTo::Requeue(_))
}
