//! What takes more than one pool: the list of pools and the purge; `seeding` is a job, too.

use std::rc::Rc;

use redis::Value;

use super::dump::Dumping;
use super::index::read_list;
use super::seeding::Seeding;
use super::{Loss, Phase, Pipeline, PoolKey, Question};
use crate::command::{
    NamePart, PoolQuery, PoolStatus, PoolSums, Refusal, Reply, Restoration, StoredName, Survey,
    Ticket, has_dot_segment,
};
use crate::store::redis::operation::{Action, Asker, Operation};
use crate::store::redis::reply::Answer;
use crate::store::warn_of_old_names;
use crate::time::Time;

use super::batches::in_words;

/// How many pools are asked at a time.
const MAX_PARTS: usize = 500;

/// Something that takes more than one pool. Valid until it is done.
pub(in super::super) type JobKey = usize;

#[derive(Debug)]
pub(super) struct Job {
    /// Whom to answer; `None` for what was ordered for the start.
    pub(super) ticket: Option<Ticket>,
    pub(super) task: Task,
    /// How many parts are not done yet.
    pub(super) open: usize,
    pub(super) failed: bool,
    /// Why nothing was done, if that is so.
    pub(super) refused: Option<Refusal>,
    /// Pools that are to be asked for their part, with their stamps.
    rest: Vec<(String, String)>,
}

#[derive(Debug)]
pub(super) enum Task {
    List(PoolQuery<'static>, Vec<PoolStatus>),
    Sum(Option<NamePart<'static>>, PoolSums),
    /// So many pools at most, of so many that there are.
    Survey {
        most: usize,
        pool_count: usize,
        shown: Vec<PoolStatus>,
    },
    Purge(usize),
    Seed(Seeding),
    Dump(Box<Dumping>),
    Restore(Rc<Restoration>),
}

impl Pipeline {
    pub(super) fn start_list(&mut self, ticket: Ticket, query: PoolQuery<'static>, now: Time) {
        let job = self.insert_job(Some(ticket), Task::List(query, Vec::new()));
        self.begin(job, now);
    }

    /// Each pool is asked: Redis keeps no sums.
    pub(super) fn start_sum(
        &mut self,
        ticket: Ticket,
        contains: Option<NamePart<'static>>,
        now: Time,
    ) {
        let job = self.insert_job(Some(ticket), Task::Sum(contains, PoolSums::default()));
        self.begin(job, now);
    }

    /// Pools that are not shown are only counted: to ask for each would take a script call of its own.
    pub(super) fn start_survey(&mut self, ticket: Ticket, most: usize, now: Time) {
        if self.phase != Phase::Ready {
            return self.replies.push_back((ticket, Reply::Survey(None)));
        }
        let task = Task::Survey {
            most,
            pool_count: 0,
            shown: Vec::new(),
        };
        let job = self.insert_job(Some(ticket), task);
        self.begin(job, now);
    }

    pub(super) fn start_purge(&mut self, ticket: Option<Ticket>, now: Time) {
        let job = self.insert_job(ticket, Task::Purge(0));
        self.begin(job, now);
    }

    pub(super) fn insert_job(&mut self, ticket: Option<Ticket>, task: Task) -> JobKey {
        self.jobs.insert(Job {
            ticket,
            task,
            open: 0,
            failed: false,
            refused: None,
            rest: Vec::new(),
        })
    }

    /// The list of all pools has come: each is asked for its part.
    pub(super) fn handle_list(&mut self, job: JobKey, value: Value, now: Time) -> Result<(), Loss> {
        if let Value::ServerError(error) = value {
            return self.fail_job(job, &error, now, Pipeline::begin);
        }
        let unknown = "a list of pools of an unknown form";
        let (count, mut pools) = read_list(value).map_err(|_| unknown)?;
        let listed = match &mut self.jobs[job].task {
            Task::Survey {
                pool_count, most, ..
            } => {
                *pool_count = count;
                count.min(*most)
            }
            _ => count,
        };
        if pools.len() != listed {
            return Err(unknown.into());
        }
        match &self.jobs[job].task {
            Task::List(query, _) => pools.retain(|(name, _)| query.includes(name)),
            Task::Sum(Some(part), _) => {
                pools.retain(|(name, _)| NamePart::occurs(Some(part), name));
            }
            Task::Dump(_) => {
                self.dump_listed(job, pools, now);
                return Ok(());
            }
            Task::Sum(None, _) | Task::Survey { .. } | Task::Purge(_) => {}
            Task::Seed(_) | Task::Restore(_) => {}
        }
        self.jobs[job].rest = pools;
        self.ask_next(job);
        if self.jobs[job].ticket.is_none() {
            // It is sent now, and never again.
            self.start.purge = false;
            self.note_prepared(now);
        }
        if self.jobs[job].open == 0 {
            self.finish(job);
        }
        Ok(())
    }

    /// Asks some of the pools for their part. All at once would keep Redis from everybody else.
    fn ask_next(&mut self, job: JobKey) {
        let is_purge = matches!(self.jobs[job].task, Task::Purge(_));
        let left = match &self.jobs[job].task {
            Task::List(query, rows) => query.max_pools().saturating_sub(rows.len()),
            _ => usize::MAX,
        };
        let rest = &mut self.jobs[job].rest;
        // What was ordered for the start is done before anybody is served, so it must go at once.
        let most = if is_purge { usize::MAX } else { MAX_PARTS };
        let count = rest.len().min(left).min(most);
        if left < rest.len() && count > 0 {
            // The first by name are asked. If one of them no longer exists, the next follows.
            rest.select_nth_unstable(count);
        }
        let pools: Vec<(String, String)> = rest.drain(..count).collect();
        self.jobs[job].open = pools.len();
        for (name, stamp) in pools {
            let pool = self.pool_key(&name);
            let asker = Asker::Job(job);
            if is_purge {
                // At the start nothing that is asked by then may come before it.
                let action = Action::ReleaseAll {
                    owner: None,
                    older_s: None,
                };
                let operation = Operation { asker, action };
                self.pools[pool].queue.push_front(operation);
                self.list_to_send(pool);
            } else {
                let stamp = StoredName::from(stamp);
                let action = Action::Status { stamp };
                self.push(pool, Operation { asker, action });
            }
        }
    }

    /// Starts a job, or keeps it until Redis is there to be asked.
    pub(super) fn begin(&mut self, job: JobKey, now: Time) {
        if self.phase != Phase::Ready && self.jobs[job].ticket.is_some() {
            return self.early_jobs.push(job);
        }
        match self.jobs[job].task {
            Task::Seed(_) => {
                self.write_listing(job, Some(self.rules.max_pools));
                self.send(Question::Listing(job), now);
            }
            Task::List(..) | Task::Sum(..) | Task::Survey { .. } | Task::Purge(_) => {
                self.ask_for_list(job, now);
            }
            Task::Dump(_) => self.begin_dump(job, now),
            Task::Restore(_) => self.send_restore(job, now),
        }
    }

    pub(super) fn note_prepared(&mut self, now: Time) {
        self.start.open = self.start.open.saturating_sub(1);
        self.serve_if_prepared(now);
    }

    /// One pool's part of a job.
    pub(super) fn handle_part(
        &mut self,
        job: JobKey,
        pool: PoolKey,
        action: &Action,
        answer: Answer,
        now: Time,
    ) {
        match (&mut self.jobs[job].task, answer, action) {
            (
                Task::List(_, rows) | Task::Survey { shown: rows, .. },
                Answer::Status(numbers),
                _,
            ) => {
                rows.push(status(&self.pools[pool].name, numbers));
            }
            (Task::Sum(_, sums), Answer::Status(numbers), _) => {
                sums.add(&status(&self.pools[pool].name, numbers));
            }
            (
                Task::List(..) | Task::Sum(..) | Task::Survey { .. },
                Answer::Removed(fence),
                Action::Status { stamp },
            ) => {
                let stamp = stamp.to_string();
                self.unlist(pool, &stamp, fence, now);
            }
            (Task::Purge(released), Answer::Released(count), _) => *released += count,
            (Task::Purge(_), Answer::Refused(Refusal::NoPool), _) => {}
            _ => self.jobs[job].failed = true,
        }
        self.finish_part(job);
    }

    /// One pool's part could not be done.
    pub(super) fn fail_part(&mut self, job: JobKey) {
        if let Some(found) = self.jobs.get_mut(job) {
            found.failed = true;
            found.rest.clear();
            // A seed is one part, however many pools it holds up.
            if !matches!(found.task, Task::Seed(_)) {
                self.finish_part(job);
            }
        }
    }

    fn finish_part(&mut self, job: JobKey) {
        self.jobs[job].open -= 1;
        if self.jobs[job].open == 0 {
            self.ask_next(job);
            if self.jobs[job].open == 0 {
                self.finish(job);
            }
        }
    }

    pub(super) fn finish(&mut self, job: JobKey) {
        let Job {
            ticket,
            task,
            failed,
            refused,
            ..
        } = self.jobs.remove(job);
        let is_purge = matches!(task, Task::Purge(_));
        let is_restore = matches!(task, Task::Restore(_));
        let refused = match failed {
            true => Some(Refusal::StoreDown),
            false => refused,
        };
        let reply = match (refused, task) {
            (Some(_), Task::Survey { .. }) => Reply::Survey(None),
            (Some(refusal), _) => Reply::Refused(refusal),
            (
                None,
                Task::Survey {
                    pool_count, shown, ..
                },
            ) => Reply::Survey(Some(Survey {
                pool_count,
                shown,
                others: None,
            })),
            (None, Task::Sum(_, sums)) => Reply::PoolSums(sums),
            (None, Task::List(_, mut rows)) => {
                rows.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                self.warn_of_old_pools(&rows);
                Reply::Pools(rows)
            }
            (None, Task::Purge(released)) => Reply::Released(released),
            (None, Task::Seed(seeding)) => Reply::Seeded(seeding.pools),
            (None, Task::Restore(_)) => Reply::Done,
            (None, Task::Dump(dumping)) => Reply::Dumped(Box::new(dumping.into_part())),
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

    /// Redis tells the names of pools only when it is asked for them, so this is said with the first list that has
    /// such names.
    fn warn_of_old_pools(&mut self, rows: &[PoolStatus]) {
        let names = rows.iter().map(|row| &*row.name);
        let names = names.filter(|name| has_dot_segment(name));
        let count = names.clone().count();
        if count > 0 && !std::mem::replace(&mut self.has_warned_of_old_pools, true) {
            warn_of_old_names(names.take(10), count);
        }
    }

    /// The connection is lost: no job comes to its end.
    pub(super) fn fail_jobs(&mut self) {
        self.start.open = 0;
        self.early_jobs.clear();
        let jobs: Vec<JobKey> = self.jobs.iter().map(|(job, _)| job).collect();
        for job in jobs {
            // It may have been finished by its last part.
            if let Some(found) = self.jobs.get_mut(job) {
                found.failed = true;
                self.finish(job);
            }
        }
    }

    /// Redis has refused a job, or did not know its script.
    pub(super) fn fail_job(
        &mut self,
        job: JobKey,
        error: &redis::ServerError,
        now: Time,
        again: impl FnOnce(&mut Pipeline, JobKey, Time),
    ) -> Result<(), Loss> {
        if error.code() == "NOSCRIPT" {
            self.load_scripts(|_| Question::Load, now);
            again(self, job, now);
            return Ok(());
        }
        let problem = in_words(error);
        self.complain(&problem, now);
        self.look_for_rights(error, now);
        if self.jobs[job].ticket.is_none() {
            // What was ordered for the start is tried again on the next connection.
            return Err(problem);
        }
        self.jobs[job].failed = true;
        self.lift_barriers(job);
        self.finish(job);
        Ok(())
    }
}

/// The state of a pool, as it is shown.
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
