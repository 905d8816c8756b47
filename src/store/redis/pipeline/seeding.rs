//! Seeds of one or more pools, all or nothing.
//!
//! A seed holds up the pending operations of each pool until those of all pools are held up. So
//! earlier requests are carried out before it. Then one script changes the members of all pools.

use std::collections::HashMap;
use std::iter;

use redis::Value;

use super::index::{Listed, read_listed};
use super::jobs::MultiPoolTask;
use super::long_list::LongList;
use super::{JobKey, LAPSE_MS, LossReason, PendingReply, Pipeline, PoolKey, key};
use crate::command::{IdList, Refusal, Seed, StoredName, Ticket};
use crate::store::redis::arguments::{self, ArgumentValue};
use crate::store::redis::operation::{ListKind, Operation, PoolAction, ReplyTo};
use crate::store::redis::operations::{ArgumentId, SEED_HEAD};
use crate::store::redis::reply::{self, OperationAnswer};
use crate::store::redis::script::Script;
use crate::time::Time;

/// A seed of some pools.
#[derive(Debug)]
pub(super) struct SeedJob {
    members: Members,
    pub(super) pools: Seed,
    /// The indexes of these pools, once they hold up their operations for it.
    keys: Vec<PoolKey>,
    /// The fence that new pools start above.
    retired: u64,
    /// The stamp of the last pool in the list.
    last_stamp: u64,
    /// A `1` for each pool that was listed before, else a `0`.
    listed: String,
    /// The members of each pool after the seed; `None` if they are not known.
    members_now: Vec<Option<IdList>>,
}

/// The treatment of a pool's present members.
#[derive(Clone, Copy, Debug)]
pub(super) enum Members {
    /// They stay members.
    Added,
    /// Those that are not named are removed.
    Set,
}

impl SeedJob {
    /// Returns the members of each pool after the seed. Those that are not known are the given ones, once each.
    pub(super) fn into_members(self) -> Seed {
        let mut seed = Seed::default();
        let members = self.members_now.iter().map(Option::as_ref);
        for ((pool, given), members) in self.pools.pools().zip(members.chain(iter::repeat(None))) {
            match members {
                Some(members) => seed.add(&pool, members.iter()),
                None => {
                    seed.add_pool(&pool);
                    let mut named: HashMap<StoredName, u32> = HashMap::new();
                    for id in given {
                        if named.insert(id.as_str().into(), 0).is_none() {
                            seed.add_id(&id);
                        }
                    }
                }
            }
        }
        seed
    }
}

impl Pipeline {
    /// Starts a seed. Without a ticket it is an order for the start.
    pub(super) fn start_seed(
        &mut self,
        ticket: Option<Ticket>,
        pools: Seed,
        members: Members,
        now: Time,
    ) {
        let seeding = SeedJob {
            members,
            pools,
            keys: Vec::new(),
            retired: 0,
            last_stamp: 0,
            listed: String::new(),
            members_now: Vec::new(),
        };
        let job = self.insert_job(ticket, MultiPoolTask::Seed(seeding));
        match &self.jobs[job].task {
            MultiPoolTask::Seed(seeding) if seeding.pools.pool_count() == 0 => self.finish(job),
            _ => self.begin(job, now),
        }
    }

    /// Handles the listing of a seed's pools: the seed takes its place among the operations of each
    /// pool.
    pub(super) fn handle_listing(
        &mut self,
        job: JobKey,
        value: Value,
        now: Time,
    ) -> Result<(), LossReason> {
        if let Value::ServerError(error) = value {
            return self.fail_job(job, &error, now, Pipeline::begin);
        }
        let answer = read_listed(value).map_err(|_| "a list of an unknown form")?;
        if let Listed::Done {
            retired,
            is_lost: true,
            ..
        } = answer
        {
            self.note_lost_data(retired);
            // The sum of the jumps may be lost, too. It must be restored before a new pool exists.
            self.note_late(now);
        }
        let Some(seeding) = self.seed_job(job) else {
            return Ok(());
        };
        match answer {
            Listed::Done {
                retired,
                last_stamp,
                listed,
                is_lost: _,
            } => {
                (seeding.retired, seeding.last_stamp) = (retired, last_stamp);
                seeding.listed = listed;
            }
            Listed::Refused => {
                let is_first = self.jobs[job].ticket.is_none();
                self.jobs[job].refused = Some(Refusal::TooManyPools);
                self.finish(job);
                if is_first {
                    self.note_prepared(now);
                }
                return Ok(());
            }
        }
        let names: Vec<StoredName> = (seeding.pools.pools())
            .map(|(name, _)| StoredName::from(name.as_str()))
            .collect();
        let keys: Vec<PoolKey> = names.iter().map(|name| self.pool_key(name)).collect();
        let is_first = self.jobs[job].ticket.is_none();
        self.jobs[job].open = keys.len();
        for &pool in &keys {
            let operation = Operation {
                reply_to: ReplyTo::Job(job),
                action: PoolAction::Seed,
            };
            match is_first {
                true => self.pools[pool].pending.push_front(operation),
                false => self.push(pool, operation),
            }
            self.list_to_send(pool);
        }
        if let Some(seeding) = self.seed_job(job) {
            seeding.keys = keys;
        }
        if is_first {
            self.note_prepared(now);
        }
        Ok(())
    }

    /// Counts a pool that is held up for a seed. After the last one the seed is sent.
    pub(super) fn reach_barrier(&mut self, job: JobKey, now: Time) {
        self.jobs[job].open -= 1;
        if self.jobs[job].open == 0 {
            self.send_seed(job, now);
        }
    }

    fn send_seed(&mut self, job: JobKey, now: Time) {
        let (earliest_ms, latest_ms, jumps_ms) = self.clock.bounds(self.options.timeout_ms, now);
        let MultiPoolTask::Seed(seeding) = &self.jobs[job].task else {
            return;
        };
        let command = &mut self.command;
        command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::Seed))
            .arg(seeding.keys.len());
        for &pool in &seeding.keys {
            command.arg(&self.pools[pool].base);
        }
        let members = match seeding.members {
            Members::Added => "add",
            Members::Set => "set",
        };
        let channel = key::channels(&self.options.prefix);
        let max_members = self.rules.max_pool_resources as u64;
        arguments::write(
            command,
            SEED_HEAD,
            &[
                (ArgumentId::Earliest, ArgumentValue::Number(earliest_ms)),
                (ArgumentId::Latest, ArgumentValue::Number(latest_ms)),
                (ArgumentId::Jumps, ArgumentValue::Signed(jumps_ms)),
                (ArgumentId::Mode, ArgumentValue::Text(members)),
                (ArgumentId::Retired, ArgumentValue::Number(seeding.retired)),
                (
                    ArgumentId::Grace,
                    ArgumentValue::Number(self.rules.queue_grace_ms),
                ),
                (ArgumentId::Lapse, ArgumentValue::Number(LAPSE_MS)),
                (ArgumentId::Channel, ArgumentValue::Text(&channel)),
                (ArgumentId::MaxMembers, ArgumentValue::Number(max_members)),
            ],
        );
        let listed = seeding
            .listed
            .as_bytes()
            .chunks(1)
            .chain(iter::repeat(&b"0"[..]));
        for ((&pool, (_, ids)), listed) in
            seeding.keys.iter().zip(seeding.pools.pools()).zip(listed)
        {
            let floor = self.pools[pool].floor.number().max(self.history.above());
            command.arg(floor).arg(listed).arg(ids.len());
            for id in ids {
                command.arg(id.as_str());
            }
        }
        self.send(PendingReply::Seed(job), now);
    }

    /// Handles the reply to a seed.
    pub(super) fn handle_seed(
        &mut self,
        job: JobKey,
        value: Value,
        sent_at: Time,
        now: Time,
    ) -> Result<(), LossReason> {
        if let Value::ServerError(error) = value {
            return self.fail_job(job, &error, now, Pipeline::send_seed);
        }
        let unknown = |_| "new members of an unknown form";
        let mut values = reply::array(value).map_err(unknown)?.into_iter();
        let redis_ms = reply::integer(values.next()).map_err(unknown)?;
        self.note_redis_ms(redis_ms.unsigned_abs(), sent_at, now);
        let mut members: Vec<Option<IdList>> = Vec::new();
        let mut long: Vec<usize> = Vec::new();
        while let Some(value) = values.next() {
            match reply::read_answer(value) {
                Ok(OperationAnswer::Members(ids)) => members.push(Some(ids)),
                // The pool was set to these members.
                Ok(OperationAnswer::Done) => members.push(None),
                Ok(OperationAnswer::Long) => {
                    long.push(members.len());
                    members.push(None);
                }
                // Nothing was done.
                Ok(OperationAnswer::Late) => {
                    self.note_late(now);
                    self.send_seed(job, now);
                    return Ok(());
                }
                Ok(OperationAnswer::Refused(refusal)) => {
                    let known: Result<Vec<String>, _> = values.map(reply::text).collect();
                    self.refuse_seed(job, refusal, &known.map_err(unknown)?, now);
                    return Ok(());
                }
                _ => return Err("new members of an unknown form".into()),
            }
        }
        if let Some(seeding) = self.seed_job(job) {
            if members.len() != seeding.pools.pool_count() {
                return Err("new members of too few pools, or too many".into());
            }
            seeding.members_now = members;
        }
        self.write_listing(job, None);
        self.send(PendingReply::Ignored, now);
        self.lift_barriers(job);
        // An order for the start has no use for the members.
        if let Some(ticket) = self.jobs[job].ticket {
            self.jobs[job].open = long.len();
            for place in long {
                self.list_seeded_pool(job, place, ticket, now);
            }
        }
        if self.jobs[job].open == 0 {
            self.finish(job);
        }
        Ok(())
    }

    /// Starts to read the members of a large pool.
    fn list_seeded_pool(&mut self, job: JobKey, place: usize, ticket: Ticket, now: Time) {
        if let Some(&pool) = self
            .seed_job(job)
            .and_then(|seeding| seeding.keys.get(place))
        {
            let list = LongList::new(pool, ticket.slot(), ListKind::Members, Some((job, place)));
            self.insert_long_list(None, list, now);
        }
    }

    /// Ends the list of a seeded pool. If the pool was removed meanwhile, there are no members.
    pub(super) fn note_members(&mut self, job: JobKey, place: usize, members: Option<IdList>) {
        if let Some(seeding) = self.seed_job(job) {
            seeding.members_now[place] = members;
            self.jobs[job].open -= 1;
            if self.jobs[job].open == 0 {
                self.finish(job);
            }
        }
    }

    /// Refuses a seed that Redis refused. `known` says which of the pools exist; the others leave the
    /// list again.
    fn refuse_seed(&mut self, job: JobKey, refusal: Refusal, known: &[String], now: Time) {
        let Some(seeding) = self.seed_job(job) else {
            return;
        };
        let first_stamp = seeding
            .last_stamp
            .saturating_add(1)
            .saturating_sub(known.len() as u64);
        let names = seeding.pools.pools().zip(known).zip(first_stamp..);
        let unknown: Vec<(String, u64)> = names
            .filter(|((_, known), _)| *known == "0")
            .map(|(((name, _), _), stamp)| (name.as_str().to_owned(), stamp))
            .collect();
        for (name, stamp) in unknown {
            self.index_command()
                .arg("forget")
                .arg(name)
                .arg(stamp)
                .arg(0);
            self.send(PendingReply::Ignored, now);
        }
        self.jobs[job].refused = Some(refusal);
        self.lift_barriers(job);
        self.finish(job);
    }

    /// Ends a seed if one of its pools cannot be reached, and releases the others.
    pub(super) fn abandon_seed(&mut self, job: JobKey) {
        if self.jobs.contains(job) {
            self.jobs[job].failed = true;
            self.lift_barriers(job);
            self.finish(job);
        }
    }

    /// Lets the pools of a seed send operations again.
    pub(super) fn lift_barriers(&mut self, job: JobKey) {
        let keys = self.seed_job(job).map(|seeding| seeding.keys.clone());
        for pool in keys.into_iter().flatten() {
            let state = &mut self.pools[pool];
            state.barrier = false;
            let is_other = |operation: &Operation| {
                !(matches!(operation.action, PoolAction::Seed)
                    && operation.reply_to == ReplyTo::Job(job))
            };
            state.pending.retain(is_other);
            state.deferred.retain(is_other);
            self.list_to_send(pool);
        }
    }

    pub(super) fn seed_job(&mut self, job: JobKey) -> Option<&mut SeedJob> {
        match &mut self.jobs.get_mut(job)?.task {
            MultiPoolTask::Seed(seeding) => Some(seeding),
            MultiPoolTask::List(..) | MultiPoolTask::Sum(..) | MultiPoolTask::Survey { .. } => None,
            MultiPoolTask::Purge(_)
            | MultiPoolTask::Dump(_)
            | MultiPoolTask::LongList(_)
            | MultiPoolTask::Restore(_) => None,
        }
    }
}
