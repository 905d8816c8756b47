//! Long lists of the members or locks of one pool, read in slices.
//!
//! Between two slices other commands go on, except those that the same connection sent after its list. They wait, so
//! that each connection sees its requests carried out in order. The list shows the pool at the last slice. After
//! `MAX_TRIES` attempts one script makes the whole list.
//!
//! The grants of a large release are found in the same way: see `releasing.rs`.

use redis::Value;

use super::jobs::MultiPoolTask;
use super::{JobKey, LossReason, PendingReply, Pipeline, PoolKey};
use crate::command::{Fence, Refusal, Reply, Ticket};
use crate::store::redis::list_reading::{ListPhase, ListReading};
use crate::store::redis::operation::{ListKind, Operation, PoolAction, ReplyTo};
use crate::store::redis::script::Script;
use crate::time::Time;

/// The limit on grants that a slice scans, on new grants in it, and on released resources.
const MAX_GRANTS: usize = 1_000;
/// The limit on members in one slice.
const MAX_MEMBERS: usize = 2_000;
/// The limit on attempts to read a list that changes too much meanwhile.
const MAX_TRIES: u32 = 10;
/// The limit on lists that wait for the one being read.
const MAX_WAITING: usize = 64;

/// The slot that stands for all connections: they wait for a purge at the start.
const ALL_SLOTS: usize = usize::MAX;

/// A list that is being read.
#[derive(Debug)]
pub(super) struct LongList {
    pub(super) pool: PoolKey,
    /// The slot of the connection that asked for it, or `ALL_SLOTS`.
    pub(super) slot: usize,
    kind: ListKind,
    tries: u32,
    reading: ListReading,
    /// The release that needs the list; `None` if it is for a client to read.
    pub(super) release: Option<Release>,
    /// The purge or the seed that it is a part of, and the index of the pool in a seed.
    pub(super) parent: Option<(JobKey, usize)>,
}

/// A release of many locks.
#[derive(Debug)]
pub(super) struct Release {
    /// The least age of the grants, in s; `None` for all.
    pub(super) older_s: Option<u64>,
    /// Whether the grants are known.
    pub(super) is_found: bool,
    /// The grants that are left to release, the next one last, with their numbers of resources.
    pub(super) left: Vec<(Fence, usize)>,
    /// The number of resources released.
    pub(super) released_count: usize,
}

impl Pipeline {
    /// Starts to read a list that is too long for one script, or to release too many locks for one.
    pub(super) fn start_long_list(
        &mut self,
        reply_to: ReplyTo,
        pool: PoolKey,
        action: &PoolAction,
        now: Time,
    ) {
        let (ticket, purge, slot) = match reply_to {
            ReplyTo::Client(ticket) => (Some(ticket), None, ticket.slot()),
            ReplyTo::Job(purge) => {
                let ticket = self.jobs.get(purge).and_then(|purge| purge.ticket);
                (None, Some(purge), ticket.map_or(ALL_SLOTS, Ticket::slot))
            }
            _ => return,
        };
        let (kind, release) = match (action, ticket) {
            (PoolAction::ReleaseAll { older_s, .. }, _) => {
                (ListKind::Locks, Some(Release::new(*older_s)))
            }
            (PoolAction::List(kind, _), Some(ticket)) => {
                if self.withdrawn.contains(&ticket.serial()) {
                    return self.refuse(ticket, Refusal::Busy);
                }
                if self.long_lists.len() > MAX_WAITING {
                    return self.refuse(ticket, Refusal::StoreDown);
                }
                (*kind, None)
            }
            // No script gives this answer to another operation.
            (_, Some(ticket)) => return self.refuse(ticket, Refusal::StoreDown),
            _ => return purge.into_iter().for_each(|job| self.fail_part(job)),
        };
        let mut list = LongList::new(pool, slot, kind, purge.map(|purge| (purge, 0)));
        list.release = release;
        self.insert_long_list(ticket, list, now);
    }

    /// Appends a list to those that are read one after the other.
    pub(super) fn insert_long_list(&mut self, ticket: Option<Ticket>, list: LongList, now: Time) {
        self.pools[list.pool].listing_slots.push(list.slot);
        let job = self.insert_job(ticket, MultiPoolTask::LongList(Box::new(list)));
        self.long_lists.push_back(job);
        if self.long_lists.len() == 1 {
            self.ask_for_list_slice(job, now);
        }
    }

    /// Ends a list that is a part of a purge or of a seed.
    pub(super) fn finish_child(&mut self, task: MultiPoolTask, is_done: bool) {
        let MultiPoolTask::LongList(list) = task else {
            return;
        };
        match list.parent {
            Some((purge, _)) if list.release.is_some() => {
                self.finish_purged_pool(purge, list.released_count(), is_done);
            }
            Some((seed, place)) => {
                if let Some(seed) = self.jobs.get_mut(seed) {
                    seed.failed |= !is_done;
                }
                let members = list.reading.members;
                self.note_members(seed, place, (!members.is_empty()).then_some(members));
            }
            None => {}
        }
    }

    /// Returns true if an operation must wait for an earlier list of its connection.
    pub(super) fn is_deferred(&self, pool: PoolKey, operation: &Operation) -> bool {
        let slots = &self.pools[pool].listing_slots;
        // A seed that waits in one pool would hold up the others, and one that has its places in all pools must keep
        // them: two seeds could wait for each other.
        let goes_on = matches!(
            operation.action,
            PoolAction::ReleaseGrants(_) | PoolAction::Seed
        );
        if slots.is_empty() || goes_on {
            return false;
        }
        let ticket = match operation.reply_to {
            ReplyTo::Client(ticket)
            | ReplyTo::Waiter(ticket)
            | ReplyTo::Requeue(ticket)
            | ReplyTo::Withdrawal(ticket) => Some(ticket),
            ReplyTo::Job(job) => self.jobs.get(job).and_then(|job| job.ticket),
            ReplyTo::Internal => return false,
        };
        slots.contains(&ALL_SLOTS) || ticket.is_some_and(|ticket| slots.contains(&ticket.slot()))
    }

    /// Defers pending operations that must wait for a list that has just begun.
    pub(super) fn defer_queued(&mut self, pool: PoolKey) {
        if !self.pools[pool].listing_slots.is_empty() {
            let pending = std::mem::take(&mut self.pools[pool].pending);
            for operation in pending {
                self.push(pool, operation);
            }
        }
    }

    /// Ends the list of a connection, and continues with the operations after it.
    pub(super) fn end_listing(&mut self, pool: PoolKey, slot: usize) {
        let state = &mut self.pools[pool];
        state.listing_slots.retain(|&one| one != slot);
        for operation in std::mem::take(&mut state.deferred) {
            self.push(pool, operation);
        }
    }

    /// Drops the long list of a client that is gone. The one being read ends at its next slice. A client that has
    /// only closed its sending side is not gone: it still reads.
    pub(super) fn withdraw_list(&mut self, ticket: Ticket) {
        self.withdrawn.insert(ticket.serial());
        let is_withdrawn = |&job: &JobKey| self.is_list_of(job, ticket);
        let place = self.long_lists.iter().position(is_withdrawn);
        if let Some(place) = place.filter(|&place| place > 0)
            && let Some(job) = self.long_lists.remove(place)
        {
            self.refuse_list(job, Refusal::Busy);
        }
    }

    fn is_list_of(&self, job: JobKey, ticket: Ticket) -> bool {
        let job = &self.jobs[job];
        let is_list = matches!(&job.task, MultiPoolTask::LongList(list) if list.release.is_none());
        is_list && job.ticket == Some(ticket)
    }

    fn refuse_list(&mut self, job: JobKey, refusal: Refusal) {
        self.jobs[job].refused = Some(refusal);
        self.finish(job);
    }

    pub(super) fn long_list(&mut self, job: JobKey) -> Option<&mut LongList> {
        match &mut self.jobs.get_mut(job)?.task {
            MultiPoolTask::LongList(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn ask_for_list_slice(&mut self, job: JobKey, now: Time) {
        let Some(MultiPoolTask::LongList(list)) = self.jobs.get_mut(job).map(|job| &mut job.task)
        else {
            return;
        };
        let (what, count) = match (list.kind, &list.reading.phase) {
            (ListKind::Members, _) => ("members", MAX_MEMBERS),
            (ListKind::Locks, ListPhase::Scan(..)) => ("locks", MAX_GRANTS),
            (ListKind::Locks, _) => ("changes", MAX_GRANTS),
        };
        let command = &mut self.command;
        command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::ListSlice))
            .arg(1)
            .arg(&self.pools[list.pool].base)
            .arg(what);
        let reading = &mut list.reading;
        match &reading.phase {
            ListPhase::Scan(from, _) => command.arg(from),
            ListPhase::Changes(fence, _) => command.arg(*fence),
            ListPhase::Complete | ListPhase::Missing => return,
        };
        command.arg(count).arg(self.clock.jumps_ms());
        if let ListPhase::Changes(_, high) = reading.phase {
            command.arg(high);
            for fence in reading.request_due(count) {
                command.arg(fence.number());
            }
        }
        self.send(PendingReply::ListSlice(job), now);
    }

    /// Handles the reply to a slice. After a list the next one begins.
    pub(super) fn handle_list_slice(
        &mut self,
        job: JobKey,
        value: Value,
        now: Time,
    ) -> Result<(), LossReason> {
        if let Value::ServerError(error) = value {
            self.fail_job(job, &error, now, Pipeline::restart_long_list)?;
        } else if let Some(list) = self.long_list(job) {
            { list.reading.take(list.kind, value) }.map_err(|_| "a slice of an unknown form")?;
            self.advance_long_list(job, now);
        }
        if !self.long_list(job).is_some_and(|list| list.is_being_read()) {
            self.long_lists.pop_front();
            if let Some(&next) = self.long_lists.front() {
                self.ask_for_list_slice(next, now);
            }
        }
        Ok(())
    }

    fn restart_long_list(&mut self, job: JobKey, now: Time) {
        if let Some(list) = self.long_list(job) {
            list.reading = ListReading::default();
        }
        self.ask_for_list_slice(job, now);
    }

    fn advance_long_list(&mut self, job: JobKey, now: Time) {
        let is_withdrawn = |ticket: Ticket| {
            self.is_list_of(job, ticket) && self.withdrawn.contains(&ticket.serial())
        };
        if self.jobs[job].ticket.is_some_and(is_withdrawn) {
            return self.refuse_list(job, Refusal::Busy);
        }
        let Some(list) = self.long_list(job) else {
            return;
        };
        if let (ListPhase::Changes(fence, _), Some(release)) =
            (&list.reading.phase, &mut list.release)
        {
            let fence = *fence;
            release.start(std::mem::take(&mut list.reading), fence);
            return self.start_release(job);
        }
        match list.reading.phase {
            ListPhase::Complete => return self.finish(job),
            ListPhase::Missing => return self.refuse_list(job, Refusal::NoPool),
            // The list starts again.
            ListPhase::Scan(_, None) => list.tries += 1,
            ListPhase::Scan(_, Some(_)) | ListPhase::Changes(..) => {}
        }
        if list.tries <= MAX_TRIES {
            return self.ask_for_list_slice(job, now);
        }
        if list.release.is_some() || list.parent.is_some() {
            return self.refuse_list(job, Refusal::StoreDown);
        }
        let (pool, slot, kind) = (list.pool, list.slot, list.kind);
        if let Some(ticket) = self.jobs.remove(job).ticket {
            let (reply_to, action) = (ReplyTo::Client(ticket), PoolAction::List(kind, usize::MAX));
            let operation = Operation { reply_to, action };
            self.pools[pool].pending.push_front(operation);
            self.list_to_send(pool);
        }
        self.end_listing(pool, slot);
    }
}

impl LongList {
    pub(super) fn new(
        pool: PoolKey,
        slot: usize,
        kind: ListKind,
        parent: Option<(JobKey, usize)>,
    ) -> LongList {
        LongList {
            pool,
            slot,
            kind,
            tries: 0,
            reading: ListReading::default(),
            release: None,
            parent,
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        match self.kind {
            _ if self.release.is_some() => Reply::Released(self.released_count()),
            ListKind::Members => Reply::Members(self.reading.members),
            ListKind::Locks => Reply::Leases(self.reading.into_leases()),
        }
    }
}
