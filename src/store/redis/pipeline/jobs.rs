//! Jobs on several pools: lists, sums and the purge. Seeds, dumps and restores are jobs, too.

use std::rc::Rc;

use super::dump::DumpJob;
use super::long_list::LongList;
use super::seeding::SeedJob;
use super::{LossReason, PendingReply, Pipeline, PoolKey, RedisPhase};
use crate::command::{
    NamePart, PoolQuery, PoolStatus, PoolSums, Refusal, Reply, Restoration, StoredName, Survey,
    Ticket, has_dot_segment,
};
use crate::store::redis::operation::{JobKey, Operation, PoolAction, ReplyTo};
use crate::store::redis::reply::OperationAnswer;
use crate::store::warn_of_old_names;
use crate::time::Time;

use super::batches::describe;

/// The limit on pools asked at a time.
const MAX_PARTS: usize = 500;

#[derive(Debug)]
pub(super) struct MultiPoolJob {
    /// The ticket to answer; `None` for an order for the start.
    pub(super) ticket: Option<Ticket>,
    pub(super) task: MultiPoolTask,
    /// Parts in flight.
    pub(super) open: usize,
    pub(super) failed: bool,
    /// The reason if nothing was done.
    pub(super) refused: Option<Refusal>,
    /// Pools that are still to be asked, with their stamps.
    pub(super) rest: Vec<(String, String)>,
    /// The stamp at which the next part of the list of pools starts.
    pub(super) next_stamp: u64,
}

#[derive(Debug)]
pub(super) enum MultiPoolTask {
    List(PoolQuery<'static>, Vec<PoolStatus>),
    Sum(Option<NamePart<'static>>, PoolSums),
    /// At most `most` pools of the `pool_count` that there are.
    Survey {
        most: usize,
        pool_count: usize,
        shown: Vec<PoolStatus>,
    },
    Purge(usize),
    Seed(SeedJob),
    Dump(Box<DumpJob>),
    LongList(Box<LongList>),
    Restore(Rc<Restoration>),
}

impl Pipeline {
    pub(super) fn start_list(&mut self, ticket: Ticket, query: PoolQuery<'static>, now: Time) {
        let job = self.insert_job(Some(ticket), MultiPoolTask::List(query, Vec::new()));
        self.begin(job, now);
    }

    /// Starts a sum. Each pool is asked, since Redis keeps no sums.
    pub(super) fn start_sum(
        &mut self,
        ticket: Ticket,
        contains: Option<NamePart<'static>>,
        now: Time,
    ) {
        let job = self.insert_job(
            Some(ticket),
            MultiPoolTask::Sum(contains, PoolSums::default()),
        );
        self.begin(job, now);
    }

    /// Starts a survey. Pools that are not shown are only counted: each would take a script call of its own.
    pub(super) fn start_survey(&mut self, ticket: Ticket, most: usize, now: Time) {
        if self.phase != RedisPhase::Ready {
            return self.replies.push_back((ticket, Reply::Survey(None)));
        }
        let task = MultiPoolTask::Survey {
            most,
            pool_count: 0,
            shown: Vec::new(),
        };
        let job = self.insert_job(Some(ticket), task);
        self.begin(job, now);
    }

    pub(super) fn start_purge(&mut self, ticket: Option<Ticket>, now: Time) {
        let job = self.insert_job(ticket, MultiPoolTask::Purge(0));
        self.begin(job, now);
    }

    pub(super) fn insert_job(&mut self, ticket: Option<Ticket>, task: MultiPoolTask) -> JobKey {
        self.jobs.insert(MultiPoolJob {
            ticket,
            task,
            open: 0,
            failed: false,
            refused: None,
            rest: Vec::new(),
            next_stamp: 0,
        })
    }

    /// Asks some of the pools for their part. All at once would keep Redis from other clients.
    pub(super) fn ask_next(&mut self, job: JobKey) {
        if let MultiPoolTask::LongList(_) = self.jobs[job].task {
            return self.release_next(job);
        }
        let is_purge = matches!(self.jobs[job].task, MultiPoolTask::Purge(_));
        let left = match &self.jobs[job].task {
            MultiPoolTask::List(query, rows) => query.max_pools().saturating_sub(rows.len()),
            _ => usize::MAX,
        };
        let rest = &mut self.jobs[job].rest;
        // An order for the start comes before all requests, so it must go at once.
        let most = if is_purge { usize::MAX } else { MAX_PARTS };
        let count = rest.len().min(left).min(most);
        if left < rest.len() && count > 0 {
            // The first pools by name are asked. If one of them no longer exists, the next one follows.
            rest.select_nth_unstable(count);
        }
        let pools: Vec<(String, String)> = rest.drain(..count).collect();
        self.jobs[job].open = pools.len();
        for (name, stamp) in pools {
            let pool = self.pool_key(&name);
            let reply_to = ReplyTo::Job(job);
            if is_purge {
                // At the start no request may come before it.
                let action = PoolAction::ReleaseAll {
                    owner: None,
                    older_s: None,
                };
                let operation = Operation { reply_to, action };
                self.pools[pool].pending.push_front(operation);
                self.list_to_send(pool);
            } else {
                let stamp = StoredName::from(stamp);
                let action = PoolAction::Status { stamp };
                self.push(pool, Operation { reply_to, action });
            }
        }
    }

    /// Starts a job, or keeps it until Redis is ready.
    pub(super) fn begin(&mut self, job: JobKey, now: Time) {
        if self.phase != RedisPhase::Ready && self.jobs[job].ticket.is_some() {
            return self.early_jobs.push(job);
        }
        match self.jobs[job].task {
            MultiPoolTask::Seed(_) => {
                self.write_listing(job, Some(self.rules.max_pools));
                self.send(PendingReply::Listing(job), now);
            }
            MultiPoolTask::List(..)
            | MultiPoolTask::Sum(..)
            | MultiPoolTask::Survey { .. }
            | MultiPoolTask::Purge(_) => {
                self.ask_for_list(job, now);
            }
            MultiPoolTask::Dump(_) => self.begin_dump(job, now),
            MultiPoolTask::LongList(_) => self.ask_for_list_slice(job, now),
            MultiPoolTask::Restore(_) => self.send_restore(job, now),
        }
    }

    pub(super) fn note_prepared(&mut self, now: Time) {
        self.start.open = self.start.open.saturating_sub(1);
        self.serve_if_prepared(now);
    }

    /// Handles the answer for one pool of a job.
    pub(super) fn handle_part(
        &mut self,
        job: JobKey,
        pool: PoolKey,
        action: &PoolAction,
        answer: OperationAnswer,
        now: Time,
    ) {
        match (&mut self.jobs[job].task, answer, action) {
            (
                MultiPoolTask::List(_, rows) | MultiPoolTask::Survey { shown: rows, .. },
                OperationAnswer::Status(numbers),
                _,
            ) => {
                rows.push(status(&self.pools[pool].name, numbers));
            }
            (MultiPoolTask::Sum(_, sums), OperationAnswer::Status(numbers), _) => {
                sums.add(&status(&self.pools[pool].name, numbers));
            }
            (
                MultiPoolTask::List(..) | MultiPoolTask::Sum(..) | MultiPoolTask::Survey { .. },
                OperationAnswer::Removed(fence),
                PoolAction::Status { stamp },
            ) => {
                let stamp = stamp.to_string();
                self.unlist(pool, &stamp, fence, now);
            }
            (MultiPoolTask::Purge(released), OperationAnswer::Released(count), _) => {
                *released += count
            }
            (MultiPoolTask::Purge(_), OperationAnswer::Refused(Refusal::NoPool), _) => {}
            (MultiPoolTask::LongList(list), answer, PoolAction::ReleaseGrants(_)) => {
                self.jobs[job].failed |= !list.note_released(&answer);
            }
            _ => self.jobs[job].failed = true,
        }
        self.finish_part(job);
    }

    /// Fails one pool's part of a job.
    pub(super) fn fail_part(&mut self, job: JobKey) {
        if let Some(found) = self.jobs.get_mut(job) {
            found.failed = true;
            found.rest.clear();
            // A seed is one part, whatever the number of its pools.
            if !matches!(found.task, MultiPoolTask::Seed(_)) {
                self.finish_part(job);
            }
        }
    }

    pub(super) fn finish_part(&mut self, job: JobKey) {
        self.jobs[job].open -= 1;
        if self.jobs[job].open == 0 {
            self.ask_next(job);
            if self.jobs[job].open == 0 {
                self.finish(job);
            }
        }
    }

    pub(super) fn finish(&mut self, job: JobKey) {
        let MultiPoolJob {
            ticket,
            task,
            failed,
            refused,
            ..
        } = self.jobs.remove(job);
        let is_purge = matches!(task, MultiPoolTask::Purge(_));
        let is_restore = matches!(task, MultiPoolTask::Restore(_));
        if let MultiPoolTask::LongList(list) = &task {
            self.end_listing(list.pool, list.slot);
            if list.parent.is_some() {
                let is_done = !failed && matches!(refused, None | Some(Refusal::NoPool));
                return self.finish_child(task, is_done);
            }
        }
        let refused = match failed {
            true => Some(Refusal::StoreDown),
            false => refused,
        };
        let reply = match (refused, task) {
            (Some(_), MultiPoolTask::Survey { .. }) => Reply::Survey(None),
            (Some(refusal), _) => Reply::Refused(refusal),
            (
                None,
                MultiPoolTask::Survey {
                    pool_count, shown, ..
                },
            ) => Reply::Survey(Some(Survey {
                pool_count,
                shown,
                others: None,
            })),
            (None, MultiPoolTask::Sum(_, sums)) => Reply::PoolSums(sums),
            (None, MultiPoolTask::List(_, mut rows)) => {
                rows.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                self.warn_of_old_pools(&rows);
                Reply::Pools(rows)
            }
            (None, MultiPoolTask::Purge(released)) => Reply::Released(released),
            (None, MultiPoolTask::Seed(seeding)) => Reply::Seeded(seeding.into_members()),
            (None, MultiPoolTask::Restore(_)) => Reply::Done,
            (None, MultiPoolTask::LongList(list)) => list.into_reply(),
            (None, MultiPoolTask::Dump(dumping)) => Reply::Dumped(Box::new(dumping.into_part())),
        };
        match (ticket, &reply) {
            (Some(ticket), _) => self.replies.push_back((ticket, reply)),
            (None, reply) if is_restore => self.handle_first_restore(reply),
            (None, Reply::Released(count)) => log::info!("purged: {count} resources released"),
            (None, Reply::Refused(_)) if is_purge => {
                log::error!("the purge at the start may not have been carried out everywhere");
            }
            (None, _) => self.handle_first_seed(&reply),
        }
    }

    /// Warns of old names. Redis gives the names of pools only in lists, so the first list with such names is
    /// warned of.
    fn warn_of_old_pools(&mut self, rows: &[PoolStatus]) {
        let names = rows.iter().map(|row| &*row.name);
        let names = names.filter(|name| has_dot_segment(name));
        let count = names.clone().count();
        if count > 0 && !std::mem::replace(&mut self.has_warned_of_old_pools, true) {
            warn_of_old_names(names.take(10), count);
        }
    }

    /// Fails all jobs after a loss.
    pub(super) fn fail_jobs(&mut self) {
        self.start.open = 0;
        self.early_jobs.clear();
        let jobs: Vec<JobKey> = self.jobs.iter().map(|(job, _)| job).collect();
        for job in jobs {
            // Its last part may have finished it.
            if let Some(found) = self.jobs.get_mut(job) {
                found.failed = true;
                self.finish(job);
            }
        }
    }

    /// Fails a job that Redis refused, or repeats it if its script was missing.
    pub(super) fn fail_job(
        &mut self,
        job: JobKey,
        error: &redis::ServerError,
        now: Time,
        again: impl FnOnce(&mut Pipeline, JobKey, Time),
    ) -> Result<(), LossReason> {
        if error.code() == "NOSCRIPT" {
            self.load_scripts(|_| PendingReply::Load, now);
            again(self, job, now);
            return Ok(());
        }
        let problem = describe(error);
        self.warn_throttled(&problem, now);
        self.check_rights(error, now);
        let is_list = matches!(self.jobs[job].task, MultiPoolTask::LongList(_));
        if self.jobs[job].ticket.is_none() && !is_list {
            // An order for the start is tried again on the next connection.
            return Err(problem);
        }
        self.jobs[job].failed = true;
        self.lift_barriers(job);
        self.finish(job);
        Ok(())
    }
}

/// Returns the status of a pool as it is shown.
fn status(name: &StoredName, [resources, held, waiting, free]: [usize; 4]) -> PoolStatus {
    PoolStatus {
        name: name.clone(),
        resources,
        held,
        free,
        waiting,
        role: None,
    }
}
