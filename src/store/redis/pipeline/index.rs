//! The list of all pools, which Redis keeps under one key.
//!
//! A pool is listed before it is created and again afterwards, and taken off the list only if
//! nobody has listed it since: so a pool that exists is always listed, and one that is listed and
//! does not exist does no harm.

use redis::Value;

use super::batches::describe;
use super::jobs::{JobKey, MultiPoolTask};
use super::{PendingReply, Pipeline, PoolKey, key};
use crate::command::Fence;
use crate::store::redis::reply::{self, Garbled};
use crate::store::redis::script::Script;
use crate::time::Time;

/// How long the fence of a removed pool is kept beside the list.
const FENCE_KEPT_MS: u64 = 3_600_000;

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
        self.index_command().arg("list");
        if let MultiPoolTask::Survey { most, .. } = self.jobs[job].task {
            self.command.arg(most);
        }
        self.send(PendingReply::List(job), now);
    }

    /// Asks for the highest fence of the pools that were removed.
    pub(super) fn ask_for_retired_fence(&mut self, pending: PendingReply, now: Time) {
        self.index_command().arg("retired");
        self.send(pending, now);
    }

    /// Lists the pools of a seed, if there are no more of them then than there may be; without such a
    /// number they are there already.
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

    /// A pool is to be removed: since when is it listed?
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

    /// A pool has been removed: it is taken off the list, if nobody has listed it since.
    pub(super) fn forget_listing(&mut self, pool: PoolKey, fence: Fence, now: Time) {
        let stamp = std::mem::take(&mut self.pools[pool].stamp);
        self.unlist(pool, &stamp, fence, now);
    }

    /// The fence of a removed pool is kept with the list now, and need not be kept for long beside
    /// it: only as long as a seed may be under way that has read the list before.
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

/// How many pools there are; then names and stamps in turn.
pub(super) fn read_list(value: Value) -> Result<(usize, Vec<(String, String)>), Garbled> {
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

/// Reads the highest fence of the pools that were removed. It is 0 only where there is no list.
pub(super) fn read_retired_fence(value: Value) -> Result<u64, Garbled> {
    let mut values = reply::array(value)?.into_iter();
    reply::number(&reply::text(values.next().ok_or(Garbled)?)?)
}

/// What comes of listing the pools of a seed.
#[derive(Debug)]
pub(super) enum Listed {
    Done {
        /// The fence that new pools start above.
        retired: u64,
        /// The stamp of the last of the pools. Those before it have those before it.
        last_stamp: u64,
        /// A `1` for each pool that was listed already, else a `0`.
        listed: String,
        /// Redis had lost the list, and with it all pools.
        is_lost: bool,
    },
    /// There would be too many.
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
