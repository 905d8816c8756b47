//! Batches of operations on one pool: how they are sent, and how their replies are handled.

use redis::{ServerError, Value};

use super::pool_state::InFlightBatch;
use super::{
    LAPSE_MS, LossReason, MAX_BATCH, MAX_IDLE_POOLS, PendingReply, Pipeline, PoolKey, RedisPhase,
    key,
};
use crate::command::{Granted, Leases, Refusal, Reply, Ticket};
use crate::store::redis::arguments::{self, ArgumentValue};
use crate::store::redis::operation::{self, Operation, PoolAction, ReplyTo, WithdrawReason};
use crate::store::redis::operations::{ArgumentId, BATCH_HEAD};
use crate::store::redis::reply::{self, BatchReply, BatchResult, OperationAnswer};
use crate::store::redis::script::Script;
use crate::time::Time;

/// Error codes of a Redis that cannot be written on this connection, or not for long. Another connection
/// may find a better one.
pub(super) const UNUSABLE_CODES: [&str; 6] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "NOAUTH",
    "CLUSTERDOWN",
    "UNBLOCKED",
];

impl Pipeline {
    /// Writes all that may be sent now. It does nothing before Redis is ready, or while a jump of the
    /// clock is added.
    pub(in super::super) fn flush(&mut self, now: Time) {
        if self.phase != RedisPhase::Ready || self.clock.is_correcting() {
            return;
        }
        let mut pools = std::mem::take(&mut self.to_send);
        for pool in pools.drain(..) {
            self.pools[pool].listed = false;
            self.send_batch(pool, now);
        }
        // Pools that were listed meanwhile, such as those of a lifted barrier, send next time.
        pools.append(&mut self.to_send);
        self.to_send = pools;
    }

    fn send_batch(&mut self, pool: PoolKey, now: Time) {
        let state = &mut self.pools[pool];
        if state.in_flight.is_some() || state.barrier {
            return;
        }
        if let Some(lost_batch) = &state.lost_batch {
            if lost_batch.until > now {
                return self.polls.set(pool, lost_batch.until);
            }
            let action = PoolAction::Reconcile(lost_batch.batch);
            return self.send_operations(
                pool,
                vec![Operation {
                    reply_to: ReplyTo::Internal,
                    action,
                }],
                now,
            );
        }
        let is_seed = |operation: &Operation| matches!(operation.action, PoolAction::Seed);
        if let Some(Operation {
            reply_to: ReplyTo::Job(job),
            ..
        }) = state.pending.front().filter(|front| is_seed(front))
        {
            let job = *job;
            state.barrier = true;
            return self.reach_barrier(job, now);
        }
        let count = state
            .pending
            .iter()
            .take(MAX_BATCH)
            .take_while(|next| !is_seed(next))
            .count();
        let mut operations: Vec<Operation> = state.pending.drain(..count).collect();
        // A waiter that was answered meanwhile must not be queued.
        let waiters = &self.waiters;
        operations.retain(|operation| match operation.reply_to {
            ReplyTo::Waiter(ticket) | ReplyTo::Requeue(ticket) => {
                waiters.find(ticket.serial()).is_some()
            }
            _ => true,
        });
        if !operations.is_empty() {
            self.send_operations(pool, operations, now);
        } else if !self.pools[pool].pending.is_empty() {
            self.list_to_send(pool);
        }
    }

    fn send_operations(&mut self, pool: PoolKey, operations: Vec<Operation>, now: Time) {
        for operation in &operations {
            match operation.action {
                PoolAction::Remove => self.ask_for_stamp(pool, now),
                PoolAction::Poll => self.pools[pool].has_poll = false,
                _ => {}
            }
        }
        let (earliest_ms, latest_ms, jumps_ms) = self.clock.bounds(self.options.timeout_ms, now);
        let batch = self.next_batch;
        self.next_batch += 1;
        let state = &mut self.pools[pool];
        let floor = state.floor.number().max(self.history.above());
        let default_ttl = self.rules.default_ttl;
        let default_ttl = default_ttl.map_or(ArgumentValue::Text("-"), |ttl| {
            ArgumentValue::Number(ttl.as_s().into())
        });
        let channel = key::channels(&self.options.prefix);
        self.command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::Pool))
            .arg(1)
            .arg(&state.base);
        arguments::write(
            &mut self.command,
            BATCH_HEAD,
            &[
                (ArgumentId::Earliest, ArgumentValue::Number(earliest_ms)),
                (ArgumentId::Latest, ArgumentValue::Number(latest_ms)),
                (ArgumentId::Jumps, ArgumentValue::Signed(jumps_ms)),
                (ArgumentId::Server, ArgumentValue::Text(&self.server)),
                (ArgumentId::Batch, ArgumentValue::Number(batch)),
                (ArgumentId::Floor, ArgumentValue::Number(floor)),
                (ArgumentId::DefaultTtl, default_ttl),
                (
                    ArgumentId::Grace,
                    ArgumentValue::Number(self.rules.queue_grace_ms),
                ),
                (ArgumentId::Lapse, ArgumentValue::Number(LAPSE_MS)),
                (ArgumentId::Channel, ArgumentValue::Text(&channel)),
            ],
        );
        operation::write(&operations, now, &mut self.command);
        state.in_flight = Some(InFlightBatch { batch, operations });
        self.send(PendingReply::Batch(pool), now);
    }

    /// Handles the reply to a batch.
    pub(super) fn handle_batch(
        &mut self,
        pool: PoolKey,
        value: Value,
        sent_at: Time,
        now: Time,
    ) -> Result<(), LossReason> {
        let in_flight = self.pools[pool]
            .in_flight
            .take()
            .ok_or("an unexpected answer")?;
        if !self.pools[pool].pending.is_empty() {
            self.list_to_send(pool);
        }
        if let Value::ServerError(error) = value {
            return self.handle_batch_error(pool, in_flight, &error, now);
        }
        match reply::read_batch(value) {
            Ok(BatchReply::Late) => {
                // Nothing was done: Redis' clock was set, or the network is slow.
                self.note_late(now);
                self.ask_again(pool, in_flight.operations);
                Ok(())
            }
            Ok(BatchReply::Done(done)) if done.is_answer_to(&in_flight.operations) => {
                self.note_redis_ms(done.redis_ms, sent_at, now);
                self.handle_done(pool, in_flight, done, now)
            }
            _ => {
                // The result is unknown, and if this was no reply at all, the batch may still be carried
                // out. The next connection asks for its grants.
                self.pools[pool].in_flight = Some(in_flight);
                Err("a reply of an unknown form".into())
            }
        }
    }

    fn handle_done(
        &mut self,
        pool: PoolKey,
        mut in_flight: InFlightBatch,
        done: BatchResult,
        now: Time,
    ) -> Result<(), LossReason> {
        let left = in_flight.operations.split_off(done.answers.len());
        let operations = std::mem::replace(&mut in_flight.operations, left);
        self.has_succeeded = true;
        // A served waiter must not get the answer that it was not queued.
        for (serial, leases) in done.served {
            self.counts.granted += leases.len() as u64;
            self.deliver(pool, serial, leases);
        }
        for (operation, answer) in operations.into_iter().zip(done.answers) {
            self.handle_answer(pool, operation, answer, now);
        }
        if let Some(error) = done.refused {
            return self.handle_batch_error(pool, in_flight, &error, now);
        }
        if !in_flight.operations.is_empty() {
            self.ask_again(pool, in_flight.operations);
        }
        self.defer_queued(pool);
        self.schedule_poll(pool, done.wake_ms, now);
        self.forget_if_idle(pool);
        Ok(())
    }

    fn handle_batch_error(
        &mut self,
        pool: PoolKey,
        in_flight: InFlightBatch,
        error: &ServerError,
        now: Time,
    ) -> Result<(), LossReason> {
        if error.code() == "NOSCRIPT" {
            self.load_scripts(|_| PendingReply::Load, now);
            self.ask_again(pool, in_flight.operations);
            return Ok(());
        }
        let problem = describe(error);
        self.warn_throttled(&problem, now);
        self.check_rights(error, now);
        let mut refused = in_flight.operations;
        if self.pools[pool].lost_batch.is_some() {
            // The pool can do nothing until the lost batch is reconciled.
            refused.extend(self.pools[pool].pending.drain(..));
        }
        for operation in refused {
            match operation {
                Operation {
                    reply_to: ReplyTo::Job(job),
                    action: PoolAction::Seed,
                } => self.abandon_seed(job),
                operation => self.drop_refused(pool, operation),
            }
        }
        self.schedule_poll(pool, None, now);
        if UNUSABLE_CODES.contains(&error.code()) {
            Err(problem)
        } else {
            Ok(())
        }
    }

    /// Puts operations that were not carried out before the pending ones again.
    fn ask_again(&mut self, pool: PoolKey, operations: Vec<Operation>) {
        for operation in operations.into_iter().rev() {
            if !matches!(operation.action, PoolAction::Reconcile(_)) {
                self.pools[pool].pending.push_front(operation);
            }
        }
        self.list_to_send(pool);
    }

    fn handle_answer(
        &mut self,
        pool: PoolKey,
        Operation { reply_to, action }: Operation,
        answer: OperationAnswer,
        now: Time,
    ) {
        self.count(&action, &answer);
        let answer = match answer {
            OperationAnswer::Recovered(leases) => OperationAnswer::Granted(leases),
            OperationAnswer::AlreadyReleased => OperationAnswer::Done,
            answer => answer,
        };
        if let OperationAnswer::Granted(leases) = &answer {
            self.note_fence(pool, leases);
        }
        match (reply_to, answer) {
            (ReplyTo::Job(_) | ReplyTo::Client(_), OperationAnswer::Long) => {
                self.start_long_list(reply_to, pool, &action, now);
            }
            (ReplyTo::Job(job), answer) => self.handle_part(job, pool, &action, answer, now),
            (ReplyTo::Waiter(ticket) | ReplyTo::Requeue(ticket), answer) => {
                self.handle_waiter_answer(pool, ticket, answer);
            }
            (ReplyTo::Withdrawal(ticket), answer) => {
                self.handle_withdrawal_answer(pool, ticket, answer)
            }
            (ReplyTo::Client(ticket), OperationAnswer::Removed(fence)) => {
                self.forget_listing(pool, fence, now);
                self.replies.push_back((ticket, Reply::Done));
            }
            (ReplyTo::Client(ticket), answer) => {
                let reply = self.reply(pool, answer);
                self.replies.push_back((ticket, reply));
            }
            (ReplyTo::Internal, OperationAnswer::Reconciled(grants)) => {
                self.reconcile_lost_batch(pool, grants)
            }
            (ReplyTo::Internal, OperationAnswer::Lapsed) => self.requeue_waiters(pool),
            (ReplyTo::Internal, OperationAnswer::Refused(Refusal::NoPool)) => match action {
                // No pool, so the batch has granted nothing.
                PoolAction::Reconcile(_) => self.reconcile_lost_batch(pool, Vec::new()),
                PoolAction::Poll => self.dismiss_all(pool, Refusal::NoPool),
                _ => {}
            },
            (ReplyTo::Internal, _) => {}
        }
    }

    /// Returns the reply to a client.
    fn reply(&self, pool: PoolKey, answer: OperationAnswer) -> Reply {
        match answer {
            OperationAnswer::Done => Reply::Done,
            OperationAnswer::Granted(leases) => Reply::Granted(self.granted(pool, leases)),
            OperationAnswer::Leases(leases) => Reply::Leases(leases),
            OperationAnswer::Waiters(waiters) => Reply::Waiters(waiters),
            OperationAnswer::Released(count) => Reply::Released(count),
            OperationAnswer::Members(members) => Reply::Members(members),
            OperationAnswer::Refused(refusal) => Reply::Refused(refusal),
            // No script gives these answers to a client.
            OperationAnswer::Status(_)
            | OperationAnswer::Waits(_)
            | OperationAnswer::Recovered(_)
            | OperationAnswer::AlreadyReleased
            | OperationAnswer::Removed(_)
            | OperationAnswer::Reconciled(_)
            | OperationAnswer::Nothing
            | OperationAnswer::Lapsed
            | OperationAnswer::Long
            | OperationAnswer::Late => Reply::Refused(Refusal::StoreDown),
        }
    }

    pub(super) fn granted(&self, pool: PoolKey, leases: Leases) -> Granted {
        Granted {
            pool: self.pools[pool].name.clone(),
            leases,
        }
    }

    pub(super) fn note_fence(&mut self, pool: PoolKey, leases: &Leases) {
        let highest = leases.iter().map(|lease| lease.fence).max();
        let highest = highest.unwrap_or_default();
        let floor = &mut self.pools[pool].floor;
        *floor = (*floor).max(highest);
        self.history.note_fence(highest);
    }

    /// Handles an operation that Redis refused: nothing was done.
    fn drop_refused(&mut self, pool: PoolKey, operation: Operation) {
        match operation.reply_to {
            ReplyTo::Waiter(ticket) => self.dismiss(ticket.serial(), Refusal::StoreDown),
            // The waiter stays, and is queued again at the next poll.
            ReplyTo::Requeue(_) => self.pools[pool].must_requeue = true,
            _ => self.drop_unheard(pool, operation),
        }
    }

    /// Handles an operation that cannot be sent, or whose answer is lost.
    pub(super) fn drop_unheard(
        &mut self,
        pool: PoolKey,
        Operation { reply_to, action }: Operation,
    ) {
        match (reply_to, action) {
            (ReplyTo::Client(ticket), _) => self.refuse(ticket, Refusal::StoreDown),
            (ReplyTo::Withdrawal(ticket), PoolAction::Withdraw(why)) => {
                self.withdraw_later(pool, ticket, why)
            }
            (ReplyTo::Job(job), _) => self.fail_part(job),
            (ReplyTo::Internal, PoolAction::Undo(id, fence)) => {
                self.pools[pool].to_undo.push((id, fence));
            }
            (ReplyTo::Internal, PoolAction::Poll) => self.pools[pool].has_poll = false,
            // They stay queued.
            (ReplyTo::Waiter(_) | ReplyTo::Requeue(_), _) => {}
            (ReplyTo::Withdrawal(_) | ReplyTo::Internal, _) => {}
        }
    }

    fn withdraw_later(&mut self, pool: PoolKey, ticket: Ticket, why: WithdrawReason) {
        // A waiter without a place may have been granted its request, as an owner that repeats an
        // acquire is.
        let waiter = self.waiters.find(ticket.serial());
        let refusal = match waiter.is_some_and(|waiter| waiter.place == u64::MAX) {
            true => Refusal::StoreDown,
            false => Refusal::Busy,
        };
        self.dismiss(ticket.serial(), refusal);
        self.pools[pool].withdrawals.push((ticket, why));
    }

    /// Forgets an idle pool if there are many: its name is all that is known of it.
    pub(super) fn forget_if_idle(&mut self, pool: PoolKey) {
        if self.pools.len() > MAX_IDLE_POOLS && self.pools[pool].is_idle() {
            self.polls.remove(pool);
            let state = self.pools.remove(pool);
            self.names.remove(&state.name);
        }
    }
}

/// Formats an error of Redis for the log.
pub(super) fn describe(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default())
}
