//! The current job of the store, and the commands deferred for it.

use super::deferred::DeferredItem;
use super::failing::refuse;
use super::job::{JobStage, SlicedJob, is_large, is_seed};
use super::{EmbeddedStore, INTERNAL, RETRY_MS, State};
use crate::command::{Command, Reply, Ticket};
use crate::pool::Engine;
use crate::store::Store;
use crate::store::journal::{PendingSeed, SeedNote};
use crate::time::Time;

/// The most deferred commands that one tick carries out.
const DEFERRED_A_TICK: usize = 1000;

impl EmbeddedStore {
    /// Hands a command to the engine, or makes it a job.
    #[inline]
    pub(super) fn carry_out(&mut self, ticket: Ticket, command: Command<'_>, now: Time) {
        let reply = match &mut self.state {
            State::Up(engine) => {
                if is_large(&command, engine, self.slice) {
                    assert!(self.job.is_none(), "there is one job at a time");
                    let has_journal = self.commits.is_some();
                    self.job = Some(SlicedJob::of(ticket, command, has_journal, engine));
                    return;
                }
                match (&command, &mut self.commits) {
                    // The journal answers it.
                    (Command::Probe, Some(commits)) => return commits.add_probe(ticket),
                    _ => engine.execute(ticket, command, now),
                }
            }
            State::Down { .. } => Some(match command {
                Command::Survey(_) => Reply::Survey(None),
                _ => refuse(&mut self.counts),
            }),
        };
        self.take_answers();
        if let Some(reply) = reply {
            self.push_reply(ticket, reply);
        }
    }

    /// Returns true if a command must wait for the current job, or behind deferred commands.
    #[inline]
    pub(super) fn must_wait(&self, command: &Command<'_>) -> bool {
        // The usual case.
        let is_idle = self.job.is_none() && self.deferred.is_empty();
        !is_idle && self.is_held_up(command)
    }

    fn is_held_up(&self, command: &Command<'_>) -> bool {
        let State::Up(engine) = &self.state else {
            return false;
        };
        let is_behind = match command.pool() {
            Some(pool) => self.deferred.has_of(pool),
            None => is_seed(command) && !self.deferred.is_empty(),
        };
        let job = self.job.as_ref();
        let is_held_up =
            |job: &SlicedJob| job.defers(command) || is_large(command, engine, self.slice);
        is_behind || job.is_some_and(is_held_up)
    }

    /// Advances the job, and runs the deferred commands that may run now. Returns the note for the
    /// journal.
    #[inline]
    pub(super) fn advance(&mut self, now: Time) -> Option<SeedNote> {
        match self.job.is_none() && !self.deferred_may_run {
            true => None,
            false => self.advance_job(now),
        }
    }

    fn advance_job(&mut self, now: Time) -> Option<SeedNote> {
        if std::mem::take(&mut self.deferred_may_run) {
            self.run_deferred(now);
        }
        let State::Up(engine) = &mut self.state else {
            return None;
        };
        let job = self.job.as_mut().filter(|job| job.next_turn() <= now)?;
        job.not_before = None;
        let blocked_pool = job.blocks_pool();
        let note = job.advance(engine, self.slice, now);
        self.deferred_may_run |= !self.deferred.is_empty() && blocked_pool && !job.blocks_pool();
        self.take_answers();
        note
    }

    fn run_deferred(&mut self, now: Time) {
        let mut left = DEFERRED_A_TICK;
        for (ticket, item) in self.deferred.take() {
            match item {
                DeferredItem::Withdrawal if self.deferred.has(ticket) => {
                    self.deferred.push(ticket, item)
                }
                DeferredItem::Withdrawal => self.withdraw(ticket, now),
                DeferredItem::Command(command) if left == 0 || self.must_wait(&command) => {
                    self.deferred.push(ticket, DeferredItem::Command(command));
                }
                DeferredItem::Command(command) => {
                    left -= 1;
                    self.carry_out(ticket, command, now);
                }
            }
        }
        self.deferred_may_run = left == 0 && !self.deferred.is_empty();
    }

    /// Answers a finished job. The journal must have its last note.
    pub(super) fn finish_job(&mut self) {
        if let Some(job) = self
            .job
            .take_if(|job| matches!(job.stage, JobStage::Done(_)))
            && let JobStage::Done(reply) = job.stage
        {
            self.deferred_may_run = !self.deferred.is_empty();
            if job.ticket != INTERNAL {
                self.immediate.push_back((job.ticket, reply));
            }
        }
    }

    /// Refuses the job and the deferred commands after a failure of the journal. A seed that may be
    /// decided is answered once the journal has been read again.
    pub(super) fn fail_job(&mut self) {
        for (ticket, item) in self.deferred.take() {
            if let DeferredItem::Command(_) = item {
                self.replies.push_back((ticket, refuse(&mut self.counts)));
            }
        }
        if let Some(job) = self.job.take_if(|job| !job.may_be_decided()) {
            self.replies
                .push_back((job.ticket, refuse(&mut self.counts)));
        }
    }

    /// Continues with the seed that the reopened journal has to apply, if any.
    pub(super) fn resume_job(
        &mut self,
        pending: Option<PendingSeed>,
        engine: &mut Engine,
        now: Time,
    ) {
        let asked = self.job.take();
        let Some(pending) = pending else {
            // It was not decided, or it was applied already, or the journal lost what was written
            // since.
            if let Some(job) = asked.filter(|job| job.ticket != INTERNAL) {
                self.immediate
                    .push_back((job.ticket, refuse(&mut self.counts)));
            }
            return;
        };
        let progress = pending.progress;
        let mut job = SlicedJob::resume(pending);
        if let Some(mut asked) = asked {
            let mut members_now = asked.take_members_now();
            members_now.truncate(progress.pools);
            job.answer_to(asked.ticket, members_now);
            // The seed itself may be the cause of the failure; the pause lets other commands run in
            // between.
            job.not_before = Some(now.after_ms(RETRY_MS));
        }
        job.begin_pool(engine, now);
        self.job = Some(job);
    }

    /// The time at which the job or deferred commands continue; `None` without either.
    pub(super) fn next_turn(&self) -> Option<Time> {
        match &self.job {
            _ if self.deferred_may_run => Some(Time::default()),
            job => job.as_ref().map(SlicedJob::next_turn),
        }
    }
}
