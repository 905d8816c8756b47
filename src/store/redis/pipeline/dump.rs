//! Parts of a dump: some pools, each as it was at one moment.
//!
//! A pool whose members fit into one slice is read by one script. A larger one is read in slices, with other commands
//! between them: its members, then held resources that are no members, then the changes since the first slice, until
//! a slice has no more of them. If the members have changed meanwhile, the pool is read again from its beginning. A
//! released resource that is no member leaves no trace: then the counts differ, and the pool is read again, too.

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

/// The limit on members in one slice, on held resources, on new grants, and on released resources. A thousand held
/// members take Redis some 10 ms.
const SLICE: usize = 1_000;
/// A greater rise of the fence is a jump, whose fences are not worth reading one by one.
const MAX_NEW_FENCES: u64 = 1_000_000;
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
    phase: ReadPhase,
    /// The number of held resources whose grant is missing.
    orphan_count: usize,
    tries: u32,
    /// The state of each member as it was read: its rank, or its fence and index in the grant.
    seen: Vec<(i64, Option<Fence>)>,
    /// The index of each member, if there are several slices.
    places: HashMap<StoredName, u32>,
}

/// The next step of a pool.
#[derive(Clone, Debug, Default, PartialEq)]
enum ReadPhase {
    #[default]
    Members,
    /// Scan the held resources that are no members, from this cursor on.
    Outsiders(String),
    /// Read the changes after this fence and this rank.
    Changes(u64, i64),
    Whole,
    /// The pool does not exist.
    Missing,
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

    fn ask_for_slice(&mut self, job: JobKey, place: usize, now: Time) {
        self.jobs[job].open += 1;
        let Some(DumpJob { reads, .. }) = self.dump_job(job) else {
            return;
        };
        let read = &reads[place];
        let (what, from, high) = match &read.phase {
            ReadPhase::Outsiders(cursor) => ("held", cursor.clone(), 0),
            ReadPhase::Changes(fence, high) => ("changes", fence.to_string(), *high),
            _ => ("members", read.seen.len().to_string(), 0),
        };
        let name = read.dump.name.clone();
        let base = key::base(&self.options.prefix, &name);
        let command = &mut self.command;
        command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::Dump))
            .arg(1)
            .arg(base)
            .arg(what)
            .arg(from)
            .arg(SLICE)
            .arg(self.clock.jumps_ms())
            .arg(high);
        self.send(PendingReply::Slice(job, place), now);
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
        let is_left =
            |read: &PoolRead| !matches!(read.phase, ReadPhase::Whole | ReadPhase::Missing);
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
        let exists = |read: &PoolRead| read.phase != ReadPhase::Missing;
        let reads = self.reads.into_iter().filter(exists);
        DumpPart {
            pools: reads.map(|read| read.dump).collect(),
            next: self.retired_fence.is_none().then_some(self.place),
            retired_fence: self.retired_fence.unwrap_or_default(),
        }
    }
}

impl PoolRead {
    fn take(&mut self, reply: SliceReply) {
        let SliceReply::Slice(slice) = reply else {
            // It was removed, or was listed before it was created.
            return self.phase = ReadPhase::Missing;
        };
        let now = slice.counters;
        let first = *self.first.get_or_insert(now);
        let has_same_members = first.seat == now.seat
            && first.total == now.total
            && first.fence <= now.fence
            && first.high <= now.high;
        let (is_members, is_empty) = (self.phase == ReadPhase::Members, slice.member_count == 0);
        if !has_same_members || is_members && is_empty && self.seen.len() < first.total {
            return self.begin_again();
        }
        self.dump.fence = now.fence;
        let (next, freed_up_to) = (slice.next.clone(), slice.freed_up_to);
        self.orphan_count += slice.orphan_count;
        if !self.add(slice) {
            return self.begin_again();
        }
        let is_one_slice = first.total <= SLICE && first.held_count <= SLICE;
        let is_counted = self.dump.locks.len() + self.orphan_count == now.held_count;
        self.phase = match &self.phase {
            ReadPhase::Members if self.seen.len() < first.total => ReadPhase::Members,
            ReadPhase::Members if is_one_slice => ReadPhase::Whole,
            ReadPhase::Members if !is_counted => ReadPhase::Outsiders("0".into()),
            ReadPhase::Outsiders(_) if next != "0" => ReadPhase::Outsiders(next),
            ReadPhase::Changes(..) => {
                let reached = next.parse().unwrap_or(u64::MAX);
                match now.fence.number().checked_sub(reached) {
                    Some(0) if freed_up_to == now.high && is_counted => ReadPhase::Whole,
                    Some(0) if freed_up_to == now.high => return self.begin_again(),
                    Some(0..=MAX_NEW_FENCES) => ReadPhase::Changes(reached, freed_up_to),
                    _ => return self.begin_again(),
                }
            }
            _ => ReadPhase::Changes(first.fence.number(), first.high),
        };
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

    /// Adds the resources of a slice. Returns false if a grant has lost some of its resources meanwhile, so that the
    /// others have moved in it.
    fn add(&mut self, slice: Slice) -> bool {
        let Counters {
            total, held_count, ..
        } = slice.counters;
        let is_large = slice.member_count < total || held_count > SLICE;
        let mut is_right = true;
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
                    let id = lock.id.clone();
                    let old = self.dump.locks.insert((fence, order), lock);
                    is_right &= old.is_none_or(|old| old.id == id);
                }
                // A resource that is no member is never free.
                (Holding::Free(_), None) => {}
            }
        }
        is_right
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
