//! The list of all pools, under one key of Redis.
//!
//! A pool is listed before it is created, and again afterwards. It leaves the list only if no server
//! has listed it since. So a pool that exists is always listed. One that is listed and does not exist
//! does no harm.

use std::collections::HashMap;

use redis::Value;

use super::batches::describe;
use super::jobs::{MultiPoolJob, MultiPoolTask};
use super::{JobKey, LossReason, PendingReply, Pipeline, PoolKey, key};
use crate::command::{Fence, NamePart, StoredName};
use crate::store::redis::reply::{self, Garbled};
use crate::store::redis::script::Script;
use crate::time::Time;

/// The limit on pools that one script lists: a few ms of Redis' time.
const MAX_NAMES: usize = 2_000;
/// The time for which a removed pool's fence is kept outside the list, in ms.
const FENCE_KEPT_MS: u64 = 3_600_000;

impl MultiPoolJob {
    /// Returns the number of names to ask for next.
    pub(super) fn max_names(&self) -> usize {
        match self.task {
            MultiPoolTask::Survey { most, .. } => {
                most.saturating_sub(self.rest.len()).min(MAX_NAMES)
            }
            _ => MAX_NAMES,
        }
    }
}

impl Pipeline {
    pub(super) fn index_command(&mut self) -> &mut redis::Cmd {
        let index = key::index(&self.options.prefix);
        self.command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::Index))
            .arg(1)
            .arg(index)
    }

    pub(super) fn ask_for_list(&mut self, job: JobKey, now: Time) {
        let (count, from) = (self.jobs[job].max_names(), self.jobs[job].next_stamp);
        self.index_command().arg("list").arg(count).arg(from);
        self.send(PendingReply::List(job), now);
    }

    /// Handles a part of the list of all pools. After the last one each pool is asked for its part.
    pub(super) fn handle_list(
        &mut self,
        job: JobKey,
        value: Value,
        now: Time,
    ) -> Result<(), LossReason> {
        if let Value::ServerError(error) = value {
            return self.fail_job(job, &error, now, Pipeline::begin);
        }
        let unknown = "a list of pools of an unknown form";
        let (count, page) = read_list(value).map_err(|_| unknown)?;
        let asking = &mut self.jobs[job];
        let max_names = asking.max_names();
        let is_first = asking.rest.is_empty();
        if page.len() > max_names || is_first && page.len() != count.min(max_names) {
            return Err(unknown.into());
        }
        if let MultiPoolTask::Survey { pool_count, .. } = &mut asking.task {
            *pool_count = count;
        }
        if let Some((_, stamp)) = page.last() {
            let next = reply::number::<u64>(stamp).map_err(|_| unknown)?;
            let next = next.saturating_add(1);
            if next <= asking.next_stamp {
                return Err(unknown.into());
            }
            asking.next_stamp = next;
        }
        let is_last = page.len() < max_names;
        asking.rest.extend(page);
        if !is_last && asking.max_names() > 0 {
            self.ask_for_list(job, now);
            return Ok(());
        }
        let mut pools = std::mem::take(&mut self.jobs[job].rest);
        if pools.len() > MAX_NAMES {
            // A pool that was seeded again meanwhile is listed twice.
            let mut known: HashMap<StoredName, u32> = HashMap::new();
            pools.retain(|(name, _)| known.insert(StoredName::from(&**name), 0).is_none());
        }
        match &self.jobs[job].task {
            MultiPoolTask::List(query, _) => pools.retain(|(name, _)| query.includes(name)),
            MultiPoolTask::Sum(Some(part), _) => {
                pools.retain(|(name, _)| NamePart::occurs(Some(part), name));
            }
            MultiPoolTask::Dump(_) => {
                self.dump_listed(job, pools, now);
                return Ok(());
            }
            MultiPoolTask::Sum(None, _)
            | MultiPoolTask::Survey { .. }
            | MultiPoolTask::Purge(_) => {}
            MultiPoolTask::Seed(_) | MultiPoolTask::Restore(_) | MultiPoolTask::LongList(_) => {}
        }
        self.jobs[job].rest = pools;
        self.ask_next(job);
        if self.jobs[job].ticket.is_none() {
            // The purge is sent now, and never again.
            self.start.purge = false;
            self.note_prepared(now);
        }
        if self.jobs[job].open == 0 {
            self.finish(job);
        }
        Ok(())
    }

    /// Asks for the highest fence of removed pools.
    pub(super) fn ask_for_retired_fence(&mut self, pending: PendingReply, now: Time) {
        self.index_command().arg("retired");
        self.send(pending, now);
    }

    /// Lists the pools of a seed, unless the list would have more than `most` pools. `None` means
    /// that they are listed already.
    pub(super) fn write_listing(&mut self, job: JobKey, most: Option<usize>) {
        let most = most.unwrap_or(usize::MAX);
        let seen = self.history.seen();
        self.index_command().arg("create").arg(most).arg(seen);
        if let MultiPoolTask::Seed(seeding) = &self.jobs[job].task {
            for (pool, _) in seeding.pools.pools() {
                self.command.arg(pool.as_str());
            }
        }
    }

    /// Asks for the stamp of a pool that is to be removed.
    pub(super) fn ask_for_stamp(&mut self, pool: PoolKey, now: Time) {
        let name = self.pools[pool].name.clone();
        self.index_command().arg("stamp").arg(&*name);
        self.send(PendingReply::Stamp(pool), now);
    }

    pub(super) fn handle_stamp(&mut self, pool: PoolKey, value: Value) {
        let first = reply::array(value)
            .ok()
            .and_then(|values| values.into_iter().next());
        let stamp = first.and_then(|value| reply::text(value).ok());
        self.pools[pool].stamp = stamp.unwrap_or_default();
    }

    /// Removes a pool from the list, unless a server has listed it since.
    pub(super) fn forget_listing(&mut self, pool: PoolKey, fence: Fence, now: Time) {
        let stamp = std::mem::take(&mut self.pools[pool].stamp);
        self.unlist(pool, &stamp, fence, now);
    }

    /// Shortens the life of a removed pool's fence, which the list has now. Only a seed in flight
    /// that has read the list before still needs it.
    pub(super) fn handle_forgotten(&mut self, pool: PoolKey, value: Value, now: Time) {
        self.pools[pool].forgetting -= 1;
        if let Value::ServerError(error) = value {
            return self.warn_throttled(&describe(&error), now);
        }
        let fence = format!("{}:fence", self.pools[pool].base);
        self.command.arg("PEXPIRE").arg(fence).arg(FENCE_KEPT_MS);
        self.send(PendingReply::Ignored, now);
        self.forget_if_idle(pool);
    }

    pub(super) fn unlist(&mut self, pool: PoolKey, stamp: &str, fence: Fence, now: Time) {
        let name = self.pools[pool].name.clone();
        self.index_command()
            .arg("forget")
            .arg(&*name)
            .arg(stamp)
            .arg(fence.number());
        self.pools[pool].forgetting += 1;
        self.send(PendingReply::Forgotten(pool), now);
    }
}

/// Reads the number of pools, then names and stamps in turn.
fn read_list(value: Value) -> Result<(usize, Vec<(String, String)>), Garbled> {
    let mut values = reply::array(value)?.into_iter();
    let count = reply::integer(values.next())?
        .try_into()
        .map_err(|_| Garbled)?;
    let mut list = Vec::new();
    while let Some(name) = values.next() {
        list.push((
            reply::text(name)?,
            reply::text(values.next().ok_or(Garbled)?)?,
        ));
    }
    Ok((count, list))
}

/// Reads the highest fence of removed pools. It is 0 only if there is no list.
pub(super) fn read_retired_fence(value: Value) -> Result<u64, Garbled> {
    let mut values = reply::array(value)?.into_iter();
    reply::number(&reply::text(values.next().ok_or(Garbled)?)?)
}

/// The result of listing the pools of a seed.
#[derive(Debug)]
pub(super) enum Listed {
    Done {
        /// The fence that new pools start above.
        retired: u64,
        /// The stamp of the last pool. The pools before it have the stamps before it.
        last_stamp: u64,
        /// A `1` for each pool that was listed already, else a `0`.
        listed: String,
        /// Whether Redis had lost the list, and with it all pools.
        is_lost: bool,
    },
    /// There would be too many pools.
    Refused,
}

pub(super) fn read_listed(value: Value) -> Result<Listed, Garbled> {
    let mut texts = reply::array(value)?.into_iter().map(reply::text);
    let first = texts.next().ok_or(Garbled)??;
    if first.starts_with('E') {
        return Ok(Listed::Refused);
    }
    let mut next = || texts.next().ok_or(Garbled)?;
    Ok(Listed::Done {
        retired: reply::number(&first)?,
        last_stamp: reply::number(&next()?)?,
        listed: next()?,
        is_lost: next()? == "1",
    })
}
