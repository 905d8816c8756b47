//! Batches of operations on one pool: put together, and taken apart when their reply comes.

use redis::{ServerError, Value};

use super::queue::Flight;
use super::{LAPSE_MS, Loss, MAX_BATCH, MAX_IDLE_POOLS, Phase, Pipeline, PoolKey, Question, key};
use crate::command::{Granted, Leases, Refusal, Reply, Ticket, Ttl};
use crate::store::redis::operation::{self, Action, Asker, Leaving, Operation};
use crate::store::redis::reply::{self, Answer, BatchReply, Done};
use crate::store::redis::script::Script;
use crate::time::Time;

/// Redis cannot be written on this connection, or not for long: another one may find it better.
pub(super) const HOPELESS: [&str; 6] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "NOAUTH",
    "CLUSTERDOWN",
    "UNBLOCKED",
];

impl Pipeline {
    /// Writes down all that can be sent.
    pub(in super::super) fn flush(&mut self, now: Time) {
        if self.phase != Phase::Ready || self.clock.is_correcting() {
            return;
        }
        let mut pools = std::mem::take(&mut self.to_send);
        for pool in pools.drain(..) {
            self.pools[pool].listed = false;
            self.send_batch(pool, now);
        }
        // What has come in meanwhile, such as a barrier that has fallen, is sent next time.
        pools.append(&mut self.to_send);
        self.to_send = pools;
    }

    fn send_batch(&mut self, pool: PoolKey, now: Time) {
        let queue = &mut self.pools[pool];
        if queue.flight.is_some() || queue.barrier {
            return;
        }
        if let Some(unsettled) = &queue.unsettled {
            if unsettled.until > now {
                return self.looks.set(pool, unsettled.until);
            }
            let action = Action::Settle(unsettled.batch);
            return self.send_operations(
                pool,
                vec![Operation {
                    asker: Asker::Myself,
                    action,
                }],
                now,
            );
        }
        let is_seed = |operation: &Operation| matches!(operation.action, Action::Seed);
        if let Some(Operation {
            asker: Asker::Job(job),
            ..
        }) = queue.queue.front().filter(|front| is_seed(front))
        {
            let job = *job;
            queue.barrier = true;
            return self.arrive(job, now);
        }
        let count = queue
            .queue
            .iter()
            .take(MAX_BATCH)
            .take_while(|next| !is_seed(next))
            .count();
        let mut operations: Vec<Operation> = queue.queue.drain(..count).collect();
        // Who has been answered meanwhile is not to get in line.
        let waiters = &self.waiters;
        operations.retain(|operation| match operation.asker {
            Asker::Waiter(ticket) | Asker::Returning(ticket) => {
                waiters.find(ticket.serial()).is_some()
            }
            _ => true,
        });
        if !operations.is_empty() {
            self.send_operations(pool, operations, now);
        } else if !self.pools[pool].queue.is_empty() {
            self.list_to_send(pool);
        }
    }

    fn send_operations(&mut self, pool: PoolKey, operations: Vec<Operation>, now: Time) {
        for operation in &operations {
            match operation.action {
                Action::Remove => self.ask_for_stamp(pool, now),
                Action::Look => self.pools[pool].looks = false,
                _ => {}
            }
        }
        let (earliest_ms, latest_ms, jumps_ms) = self.clock.bounds(self.options.timeout_ms, now);
        let batch = self.next_batch;
        self.next_batch += 1;
        let queue = &mut self.pools[pool];
        self.command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::Pool))
            .arg(1)
            .arg(&queue.base)
            .arg(earliest_ms)
            .arg(latest_ms)
            .arg(jumps_ms)
            .arg(&self.server)
            .arg(batch)
            .arg(queue.floor.number().max(self.history.above()));
        match self.rules.default_ttl {
            Some(ttl) => self.command.arg(Ttl::as_s(ttl)),
            None => self.command.arg(""),
        };
        self.command
            .arg(self.rules.queue_grace_ms)
            .arg(LAPSE_MS)
            .arg(key::channels(&self.options.prefix));
        operation::write(&operations, now, &mut self.command);
        queue.flight = Some(Flight { batch, operations });
        self.send(Question::Batch(pool), now);
    }

    /// Takes the reply to a batch.
    pub(super) fn handle_batch(
        &mut self,
        pool: PoolKey,
        value: Value,
        sent_at: Time,
        now: Time,
    ) -> Result<(), Loss> {
        let flight = self.pools[pool]
            .flight
            .take()
            .ok_or("an answer that was not asked for")?;
        if !self.pools[pool].queue.is_empty() {
            self.list_to_send(pool);
        }
        if let Value::ServerError(error) = value {
            return self.handle_batch_error(pool, flight, &error, now);
        }
        match reply::read_batch(value) {
            Ok(BatchReply::Late) => {
                // Nothing was done: Redis' clock has been set, or the network is slow.
                self.note_late(now);
                self.ask_again(pool, flight.operations);
                Ok(())
            }
            Ok(BatchReply::Done(done)) if done.is_answer_to(flight.operations.len()) => {
                self.note_redis_ms(done.redis_ms, sent_at, now);
                self.handle_done(pool, flight, done, now)
            }
            _ => {
                // What was done cannot be known, or is still to be done if this was no answer at all: it
                // is asked for on the next connection.
                self.pools[pool].flight = Some(flight);
                Err("a reply of an unknown form".into())
            }
        }
    }

    fn handle_done(
        &mut self,
        pool: PoolKey,
        mut flight: Flight,
        done: Done,
        now: Time,
    ) -> Result<(), Loss> {
        let left = flight.operations.split_off(done.answers.len());
        let operations = std::mem::replace(&mut flight.operations, left);
        self.has_succeeded = true;
        // Who has been served does not hear that there was nobody to take out of the line.
        for (serial, leases) in done.served {
            self.counts.granted += leases.len() as u64;
            self.deliver(pool, serial, leases);
        }
        for (operation, answer) in operations.into_iter().zip(done.answers) {
            self.handle_answer(pool, operation, answer, now);
        }
        if let Some(error) = done.refused {
            return self.handle_batch_error(pool, flight, &error, now);
        }
        self.plan_look(pool, done.wake_ms, now);
        self.forget_if_idle(pool);
        Ok(())
    }

    fn handle_batch_error(
        &mut self,
        pool: PoolKey,
        flight: Flight,
        error: &ServerError,
        now: Time,
    ) -> Result<(), Loss> {
        if error.code() == "NOSCRIPT" {
            self.load_scripts(|_| Question::Load, now);
            self.ask_again(pool, flight.operations);
            return Ok(());
        }
        let problem = in_words(error);
        self.complain(&problem, now);
        self.look_for_rights(error, now);
        let mut refused = flight.operations;
        if self.pools[pool].unsettled.is_some() {
            // Nothing can be done with this pool until that has been answered.
            refused.extend(self.pools[pool].queue.drain(..));
        }
        for operation in refused {
            match operation {
                Operation {
                    asker: Asker::Job(job),
                    action: Action::Seed,
                } => self.abandon_seed(job),
                operation => self.drop_refused(pool, operation),
            }
        }
        self.plan_look(pool, None, now);
        if HOPELESS.contains(&error.code()) {
            Err(problem)
        } else {
            Ok(())
        }
    }

    /// Queues operations again that were not carried out.
    fn ask_again(&mut self, pool: PoolKey, operations: Vec<Operation>) {
        for operation in operations.into_iter().rev() {
            if !matches!(operation.action, Action::Settle(_)) {
                self.pools[pool].queue.push_front(operation);
            }
        }
        self.list_to_send(pool);
    }

    fn handle_answer(
        &mut self,
        pool: PoolKey,
        Operation { asker, action }: Operation,
        answer: Answer,
        now: Time,
    ) {
        self.count(&action, &answer);
        let answer = match answer {
            Answer::Recovered(leases) => Answer::Granted(leases),
            Answer::Needless => Answer::Done,
            answer => answer,
        };
        if let Answer::Granted(leases) = &answer {
            self.note_fence(pool, leases);
        }
        match (asker, answer) {
            (Asker::Job(job), answer) => self.handle_part(job, pool, &action, answer, now),
            (Asker::Waiter(ticket) | Asker::Returning(ticket), answer) => {
                self.handle_waiter_answer(pool, ticket, answer);
            }
            (Asker::Leaver(ticket), answer) => self.handle_leaver_answer(pool, ticket, answer),
            (Asker::Client(ticket), Answer::Removed(fence)) => {
                self.forget_listing(pool, fence, now);
                self.replies.push_back((ticket, Reply::Done));
            }
            (Asker::Client(ticket), answer) => {
                let reply = self.reply(pool, answer);
                self.replies.push_back((ticket, reply));
            }
            (Asker::Myself, Answer::Settled(grants)) => self.settle(pool, grants),
            (Asker::Myself, Answer::Lapsed) => self.come_back(pool),
            (Asker::Myself, Answer::Refused(Refusal::NoPool)) => match action {
                // There is nothing that a batch could have granted.
                Action::Settle(_) => self.settle(pool, Vec::new()),
                Action::Look => self.dismiss_all(pool, Refusal::NoPool),
                _ => {}
            },
            (Asker::Myself, _) => {}
        }
    }

    /// What a client is told.
    fn reply(&self, pool: PoolKey, answer: Answer) -> Reply {
        match answer {
            Answer::Done => Reply::Done,
            Answer::Granted(leases) => Reply::Granted(self.granted(pool, leases)),
            Answer::Leases(leases) => Reply::Leases(leases),
            Answer::Waiters(waiters) => Reply::Waiters(waiters),
            Answer::Released(count) => Reply::Released(count),
            Answer::Members(members) => Reply::Members(members),
            Answer::Refused(refusal) => Reply::Refused(refusal),
            // No script says this to a client.
            Answer::Status(_)
            | Answer::Waits(_)
            | Answer::Recovered(_)
            | Answer::Needless
            | Answer::Removed(_)
            | Answer::Settled(_)
            | Answer::Nothing
            | Answer::Lapsed
            | Answer::Late => Reply::Refused(Refusal::StoreDown),
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

    /// Redis has refused to carry an operation out: nothing was done.
    fn drop_refused(&mut self, pool: PoolKey, operation: Operation) {
        match operation.asker {
            Asker::Waiter(ticket) => self.dismiss(ticket.serial(), Refusal::StoreDown),
            // It stays, and asks again when the pool is looked at.
            Asker::Returning(_) => self.pools[pool].is_astray = true,
            _ => self.drop_unheard(pool, operation),
        }
    }

    /// There is no Redis to carry an operation out, or to tell what came of it.
    pub(super) fn drop_unheard(&mut self, pool: PoolKey, Operation { asker, action }: Operation) {
        match (asker, action) {
            (Asker::Client(ticket), _) => self.refuse(ticket, Refusal::StoreDown),
            (Asker::Leaver(ticket), Action::Leave(why)) => self.leave_later(pool, ticket, why),
            (Asker::Job(job), _) => self.fail_part(job),
            (Asker::Myself, Action::Undo(id, fence)) => {
                self.pools[pool].to_undo.push((id, fence));
            }
            (Asker::Myself, Action::Look) => self.pools[pool].looks = false,
            // They stay in line.
            (Asker::Waiter(_) | Asker::Returning(_), _) => {}
            (Asker::Leaver(_) | Asker::Myself, _) => {}
        }
    }

    fn leave_later(&mut self, pool: PoolKey, ticket: Ticket, why: Leaving) {
        // Who was never told that it stands in line may have been lent what it asked for, as an owner is
        // who asks again for what it has.
        let waiter = self.waiters.find(ticket.serial());
        let refusal = match waiter.is_some_and(|waiter| waiter.place == u64::MAX) {
            true => Refusal::StoreDown,
            false => Refusal::Busy,
        };
        self.dismiss(ticket.serial(), refusal);
        self.pools[pool].leavers.push((ticket, why));
    }

    /// Pools come and go; those that nothing is known of but the name need not be kept.
    pub(super) fn forget_if_idle(&mut self, pool: PoolKey) {
        if self.pools.len() > MAX_IDLE_POOLS && self.pools[pool].is_idle() {
            self.looks.remove(pool);
            let queue = self.pools.remove(pool);
            self.names.remove(&queue.name);
        }
    }
}

/// What Redis says, for the log.
pub(super) fn in_words(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default())
}
