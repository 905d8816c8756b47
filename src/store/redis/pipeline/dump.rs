//! Parts of a dump: some pools, each as it was at one moment.
//!
//! A pool whose members fit into one slice is read by one script. A larger one is read in slices, with other commands
//! between them; the last slice has their changes. If the members have changed meanwhile, the pool is read again from
//! its beginning.

use std::collections::HashMap;

use redis::Value;

use super::batches::describe;
use super::index::read_retired_fence;
use super::jobs::MultiPoolTask;
use super::{JobKey, LossReason, PendingReply, Pipeline, key};
use crate::command::{DumpPart, DumpPlace, Fence, PoolDump, StoredName, Ticket};
use crate::store::redis::script::Script;
use crate::store::redis::slice::{self, Counters, Holding, Slice, SliceReply};
use crate::time::Time;

/// The limit on members in one slice: a few ms of Redis' time.
const SLICE: usize = 2_000;
/// The limit on pools begun at a time.
const MAX_POOLS: usize = 20;
/// The limit on attempts to read a pool whose members change meanwhile.
const MAX_TRIES: u32 = 10;

/// A part of a dump in progress.
#[derive(Debug, Default)]
pub(super) struct DumpJob {
    place: DumpPlace,
    /// The pools of this part.
    reads: Vec<PoolRead>,
    /// The highest fence of removed pools, once it is known.
    retired_fence: Option<Fence>,
}

/// A pool that is being read.
#[derive(Debug, Default)]
struct PoolRead {
    dump: PoolDump,
    /// The state at the first slice.
    first: Option<Counters>,
    is_whole: bool,
    /// Whether the pool does not exist.
    is_missing: bool,
    tries: u32,
    /// The state of each member as it was read: its rank, or its fence and index in the grant.
    seen: Vec<(i64, Option<Fence>)>,
    /// The index of each member, if there are several slices.
    places: HashMap<StoredName, u32>,
}

impl Pipeline {
    pub(super) fn start_dump(&mut self, ticket: Ticket, place: DumpPlace, now: Time) {
        let dumping = DumpJob {
            place,
            ..DumpJob::default()
        };
        let job = self.insert_job(Some(ticket), MultiPoolTask::Dump(Box::new(dumping)));
        self.begin(job, now);
    }

    /// Begins a part of a dump, now that Redis is ready.
    pub(super) fn begin_dump(&mut self, job: JobKey, now: Time) {
        match self.dump_job(job).map(|dumping| &dumping.place) {
            Some(DumpPlace::Names(_)) => self.begin_reads(job, now),
            _ => self.ask_for_list(job, now),
        }
    }

    /// Handles the list of all pools, in seeding order.
    pub(super) fn dump_listed(&mut self, job: JobKey, names: Vec<(String, String)>, now: Time) {
        let names = names.into_iter().rev();
        let names = names.map(|(name, _)| StoredName::from(name)).collect();
        if let Some(dumping) = self.dump_job(job) {
            dumping.place = DumpPlace::Names(names);
        }
        self.begin_reads(job, now);
    }

    fn dump_job(&mut self, job: JobKey) -> Option<&mut DumpJob> {
        match &mut self.jobs.get_mut(job)?.task {
            MultiPoolTask::Dump(dumping) => Some(dumping),
            _ => None,
        }
    }

    /// Asks for the first slices of the next pools.
    fn begin_reads(&mut self, job: JobKey, now: Time) {
        let Some(dumping) = self.dump_job(job) else {
            return;
        };
        if let DumpPlace::Names(names) = &mut dumping.place {
            let kept = names.len().saturating_sub(MAX_POOLS);
            let read = |name| PoolRead {
                dump: PoolDump {
                    name,
                    ..PoolDump::default()
                },
                ..PoolRead::default()
            };
            dumping.reads = names.drain(kept..).rev().map(read).collect();
        }
        let count = dumping.reads.len();
        for read in 0..count {
            self.ask_for_slice(job, read, now);
        }
        if count == 0 {
            self.end_reads(job, now);
        }
    }

    fn ask_for_slice(&mut self, job: JobKey, read: usize, now: Time) {
        self.jobs[job].open += 1;
        let Some(DumpJob { reads, .. }) = self.dump_job(job) else {
            return;
        };
        let PoolRead {
            dump, first, seen, ..
        } = &reads[read];
        let (from, first, name) = (seen.len(), *first, dump.name.clone());
        let base = key::base(&self.options.prefix, &name);
        let command = &mut self.command;
        command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::Dump))
            .arg(1)
            .arg(base)
            .arg(from)
            .arg(SLICE);
        match first {
            Some(first) => command.arg(first.fence.number()).arg(first.high),
            None => command.arg("").arg(""),
        };
        command.arg(self.clock.jumps_ms());
        self.send(PendingReply::Slice(job, read), now);
    }

    /// Handles the reply to a slice.
    pub(super) fn handle_slice(
        &mut self,
        job: JobKey,
        read: usize,
        value: Value,
        now: Time,
    ) -> Result<(), LossReason> {
        self.jobs[job].open -= 1;
        if let Value::ServerError(error) = value {
            if error.code() == "NOSCRIPT" {
                self.load_scripts(|_| PendingReply::Load, now);
                self.ask_for_slice(job, read, now);
                return Ok(());
            }
            self.warn_throttled(&describe(&error), now);
            self.jobs[job].failed = true;
        } else {
            let reply = slice::read(value).map_err(|_| "a slice of an unknown form")?;
            if let Some(DumpJob { reads, .. }) = self.dump_job(job) {
                reads[read].take(reply);
                if reads[read].tries > MAX_TRIES {
                    self.warn_throttled("the members of a pool change too often to be dumped", now);
                    self.jobs[job].failed = true;
                }
            }
        }
        if self.jobs[job].open == 0 {
            match self.jobs[job].failed {
                true => self.finish(job),
                false => self.advance_reads(job, now),
            }
        }
        Ok(())
    }

    /// Continues with one incomplete pool. The others are left for a later part.
    fn advance_reads(&mut self, job: JobKey, now: Time) {
        let Some(DumpJob { reads, place, .. }) = self.dump_job(job) else {
            return;
        };
        let is_left = |read: &PoolRead| !read.is_whole && !read.is_missing;
        let large = reads.iter().position(is_left);
        if let Some(large) = large
            && let DumpPlace::Names(names) = place
        {
            for at in (large + 1..reads.len()).rev() {
                if is_left(&reads[at]) {
                    names.push(reads.remove(at).dump.name);
                }
            }
        }
        match large {
            Some(large) => self.ask_for_slice(job, large, now),
            None => self.end_reads(job, now),
        }
    }

    /// Ends a part whose pools are all read. The last part also needs the highest fence of removed pools.
    fn end_reads(&mut self, job: JobKey, now: Time) {
        let is_last = |dumping: &mut DumpJob| match &dumping.place {
            DumpPlace::Names(names) => names.is_empty(),
            _ => true,
        };
        if self.dump_job(job).is_some_and(is_last) {
            self.ask_for_retired_fence(PendingReply::Retired(job), now);
        } else {
            self.finish(job);
        }
    }

    pub(super) fn handle_retired(
        &mut self,
        job: JobKey,
        value: Value,
        now: Time,
    ) -> Result<(), LossReason> {
        if let Value::ServerError(error) = value {
            return self.fail_job(job, &error, now, Pipeline::end_reads);
        }
        let retired = read_retired_fence(value).map_err(|_| "a list of an unknown form")?;
        if let Some(dumping) = self.dump_job(job) {
            dumping.retired_fence = Some(Fence::from_number(retired));
        }
        self.finish(job);
        Ok(())
    }
}

impl DumpJob {
    /// Returns the pools read as a part of the dump.
    pub(super) fn into_part(self) -> DumpPart {
        let reads = self.reads.into_iter().filter(|read| !read.is_missing);
        DumpPart {
            pools: reads.map(|read| read.dump).collect(),
            next: self.retired_fence.is_none().then_some(self.place),
            retired_fence: self.retired_fence.unwrap_or_default(),
        }
    }
}

impl PoolRead {
    fn take(&mut self, reply: SliceReply) {
        let slice = match reply {
            // It was removed, or was listed before it was created.
            SliceReply::Nothing => return self.is_missing = true,
            SliceReply::Again => return self.begin_again(),
            SliceReply::Slice(slice) => slice,
        };
        let first = *self.first.get_or_insert(slice.counters);
        let has_same_members = first.seat == slice.counters.seat
            && first.total == slice.counters.total
            && first.fence <= slice.counters.fence
            && first.high <= slice.counters.high;
        if !has_same_members || slice.member_count == 0 && self.seen.len() < first.total {
            return self.begin_again();
        }
        self.dump.fence = slice.counters.fence;
        self.add(slice, first.total);
        self.is_whole = self.seen.len() >= first.total;
    }

    fn begin_again(&mut self) {
        let name = std::mem::take(&mut self.dump.name);
        *self = PoolRead {
            dump: PoolDump {
                name,
                ..PoolDump::default()
            },
            tries: self.tries + 1,
            ..PoolRead::default()
        };
    }

    fn add(&mut self, slice: Slice, total: usize) {
        let is_large = slice.member_count < total;
        for (at, (id, holding)) in slice.resources.into_iter().enumerate() {
            let place = if at < slice.member_count {
                let place = self.seen.len() as u32;
                self.dump.members.push_stored(&id);
                self.seen.push((0, None));
                if is_large {
                    self.places.insert(id, place);
                }
                Some(place)
            } else {
                let place = self.places.get(&id).copied();
                place.inspect(|&place| self.forget(place))
            };
            match (holding, place) {
                (Holding::Free(rank), Some(place)) => {
                    self.seen[place as usize] = (rank, None);
                    self.dump.free.insert(rank, place);
                }
                (Holding::Held(fence, order, lock), place) => {
                    if let Some(place) = place {
                        self.seen[place as usize] = (order, Some(fence));
                    }
                    self.dump.locks.insert((fence, order), lock);
                }
                // A resource that is no member is never free.
                (Holding::Free(_), None) => {}
            }
        }
    }

    /// Drops an earlier state of a member.
    fn forget(&mut self, place: u32) {
        match self.seen[place as usize] {
            (rank, None) => {
                self.dump.free.remove(&rank);
            }
            (order, Some(fence)) => {
                self.dump.locks.remove(&(fence, order));
            }
        }
    }
}
