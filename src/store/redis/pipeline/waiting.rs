//! The waiters of this server: queued, withdrawn and served, and queued again after a loss of the
//! connection.

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
    /// Acquires a lock, waiting for it until `until`.
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

    /// Withdraws the waiter or the long list with this ticket, whose client has disconnected. Other requests are
    /// answered all the same.
    pub(in super::super) fn withdraw(&mut self, ticket: Ticket) {
        match self.waiters.find(ticket.serial()) {
            Some(_) => self.start_withdrawal(ticket.serial(), WithdrawReason::Disconnected),
            None => self.withdraw_list(ticket),
        }
    }

    /// Withdraws the waiters whose wait has ended.
    pub(super) fn end_waiting(&mut self, now: Time) {
        // A waiter served by the withdrawal of another one need not be withdrawn.
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
            // The client is answered now. The withdrawal follows when Redis is ready again.
            RedisPhase::Down => self.drop_unheard(pool, operation),
            _ => self.push(pool, operation),
        }
    }

    /// Handles the answer to an acquire of a waiter.
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

    /// Handles the answer to a withdrawal.
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

    /// Delivers a grant to its waiter, or undoes it if the waiter is gone.
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

    /// Refuses a waiter.
    pub(super) fn dismiss(&mut self, serial: u64, refusal: Refusal) {
        if let Some(waiter) = self.remove_waiter(serial) {
            self.refuse(waiter.ticket, refusal);
        }
    }

    /// Refuses all waiters of a pool on this server.
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

    /// Undoes a grant that cannot be delivered. An owner keeps it and will ask again.
    fn take_back(&mut self, pool: PoolKey, granted: &Granted) {
        let undo = granted.undo().and_then(|command| {
            let (_, action) = PoolAction::of(&command, QueueLimits::default())?;
            Some(action)
        });
        self.undo(pool, undo);
    }

    /// Carries out an undo, now or once Redis is ready.
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

    /// Handles the loss of a batch's reply. Redis may carry the batch out until `until`.
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

    /// Reconciles each pool, now that Redis is ready again.
    pub(super) fn reconcile_all(&mut self) {
        let pools: Vec<PoolKey> = self.pools.iter().map(|(pool, _)| pool).collect();
        for pool in pools {
            match self.pools[pool].lost_batch {
                Some(_) => self.list_to_send(pool),
                None => self.reconcile(pool),
            }
        }
    }

    /// Delivers or undoes the grants of a lost batch, then reconciles the rest of the pool.
    pub(super) fn reconcile_lost_batch(
        &mut self,
        pool: PoolKey,
        grants: Vec<(Option<u64>, Leases)>,
    ) {
        self.pools[pool].lost_batch = None;
        for (serial, leases) in grants {
            // `u64::MAX` is the serial of no waiter.
            self.deliver(pool, serial.unwrap_or(u64::MAX), leases);
        }
        self.reconcile(pool);
    }

    /// Sends first what a pool could not send without Redis: withdrawals, undos and waiters.
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

    /// Queues all waiters again: the subscription has just begun, and earlier notices may be lost.
    pub(in super::super) fn handle_listening(&mut self) {
        if self.phase != RedisPhase::Ready {
            return;
        }
        let pools = self.pools.iter();
        let waited_for = pools.filter(|(_, pool)| !pool.waiters.is_empty());
        let pools: Vec<PoolKey> = waited_for.map(|(pool, _)| pool).collect();
        for pool in pools {
            // A pool with a lost batch does so once that is reconciled.
            if self.pools[pool].lost_batch.is_none() {
                self.requeue_waiters(pool);
            }
        }
    }

    /// Queues all waiters of a pool again. Those that still have a place keep it.
    pub(super) fn requeue_waiters(&mut self, pool: PoolKey) {
        // No waiter is queued twice, since the second time could follow the grant of the first.
        let state = &mut self.pools[pool];
        state
            .pending
            .retain(|operation| !queues_a_waiter(operation));
        state
            .deferred
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

    /// Polls a pool for grants of this server's waiters.
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

    /// Schedules the next poll of a pool, if this server has waiters in it.
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
