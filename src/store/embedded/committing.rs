//! Batches on their way to the journal. While one is written the engine decides the next, so that batches grow by
//! themselves on a slow disk. After a commit the next batch may wait for the clients that it answered: see
//! `gathering`.
//!
//! An answer leaves when its batch is durable, and after the answers ahead of it. Two kinds leave at once: `busy`,
//! which promises nothing, and surveys, which operators need most while the disk is slow.

use std::time::Duration;

use super::failing::refuse;
use super::gathering::Gathering;
use super::{CHECK_MS, EmbeddedStore, SYNC_INTERVAL_MS, State};
use crate::command::{Refusal, Reply, Ticket};
use crate::pool::{Change, Lending};
use crate::store::journal::{
    Batch, JournalOutcome, JournalPort, JournalRequest, JournalResult, JournalTask, SeedNote, Sync,
    WriteError, Written,
};
use crate::time::Time;

/// The duration of a commit from which the store no longer reports that it is ready, in milliseconds.
const SLOW_MS: u64 = 2000;
/// Longer than any working disk takes.
const EVER: Duration = Duration::from_secs(3600);

/// The store's side of its journal.
pub(super) struct Commits {
    pub(super) port: Box<dyn JournalPort>,
    pub(super) disk_name: String,
    pub(super) sync: Sync,
    /// The time limit from a request to its outcome, in milliseconds; then it counts as failed: `--commit-timeout`.
    pub(super) timeout_ms: u64,
    pub(super) in_flight: Option<InFlightRequest>,
    pub(super) gathering: Gathering,
    /// The time at which `--sync interval` makes the written changes durable; `None` if all are.
    sync_at: Option<Time>,
    /// The time from which the next answered batch checks that the file is in its place.
    check_at: Time,
    /// Spare memory for the changes of a batch.
    spare: Vec<Change>,
    /// Readiness probes: those that the request in flight answers, and those that came later.
    probes: Vec<Ticket>,
    later_probes: Vec<Ticket>,
    /// The time of the last tick.
    pub(super) now: Time,
    /// True if the request in flight had taken longer than `SLOW_MS` at the last check.
    is_slow: bool,
}

/// The request that the journal carries out.
pub(super) struct InFlightRequest {
    kind: InFlightKind,
    since: Time,
}

enum InFlightKind {
    /// A batch with this number of answers, at the front of the queue. The counts hold once it is written.
    Batch {
        answers: usize,
        counts: Lending,
        has_changes: bool,
    },
    /// Makes earlier batches durable.
    MakeDurable,
    /// Opens a failed journal again.
    Reopen,
    /// A request that took too long, and counts as failed whatever its outcome.
    GivenUp,
}

impl Commits {
    pub(super) fn new(port: Box<dyn JournalPort>, disk_name: String, sync: Sync) -> Commits {
        Commits {
            port,
            disk_name,
            sync,
            timeout_ms: super::COMMIT_TIMEOUT_MS,
            in_flight: None,
            gathering: Gathering::default(),
            sync_at: None,
            check_at: Time::default(),
            spare: Vec::new(),
            probes: Vec::new(),
            later_probes: Vec::new(),
            now: Time::default(),
            is_slow: false,
        }
    }

    fn request(&mut self, task: JournalTask, kind: InFlightKind, now: Time) {
        self.gathering.stop_waiting();
        assert!(
            self.in_flight.is_none(),
            "one request is under way at a time"
        );
        self.in_flight = Some(InFlightRequest { kind, since: now });
        self.port.submit(JournalRequest(task));
    }

    /// Returns true if the request in flight takes longer than on a working disk.
    pub(super) fn seems_slow(&self) -> bool {
        self.is_slow
    }

    fn slow_at(&self) -> Option<Time> {
        let in_flight = self.in_flight.as_ref();
        in_flight.map(|in_flight| in_flight.since.after_ms(SLOW_MS))
    }

    /// The time at which the request in flight counts as failed.
    fn give_up_at(&self) -> Option<Time> {
        match &self.in_flight {
            Some(InFlightRequest {
                kind: InFlightKind::Batch { .. } | InFlightKind::MakeDurable,
                since,
            }) => Some(since.after_ms(self.timeout_ms)),
            _ => None,
        }
    }

    /// The time at which work is due even without an outcome.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let has_probes = !(self.probes.is_empty() && self.later_probes.is_empty());
        let slow_at = self.slow_at().filter(|_| has_probes);
        let sync_at = self.sync_at.filter(|_| self.in_flight.is_none());
        let gather_at = self.gathering.next_timeout();
        let gather_at = gather_at.filter(|_| self.in_flight.is_none());
        let times = [self.give_up_at(), slow_at, sync_at, gather_at];
        times.into_iter().flatten().min()
    }

    /// Queues a readiness probe. It is answered after the journal's next request.
    pub(super) fn add_probe(&mut self, ticket: Ticket) {
        self.later_probes.push(ticket);
    }

    /// Takes all unanswered probes.
    pub(super) fn take_probes(&mut self) -> impl Iterator<Item = Ticket> {
        let probes = std::mem::take(&mut self.probes);
        probes
            .into_iter()
            .chain(std::mem::take(&mut self.later_probes))
    }

    /// Opens a failed journal again, unless it is still busy.
    pub(super) fn reopen(&mut self, now: Time) {
        if self.in_flight.is_none() {
            self.request(JournalTask::Reopen(now), InFlightKind::Reopen, now);
        }
    }

    /// Closes the journal. Returns `None` if it does not answer in time.
    fn close(&mut self) -> Option<Result<(), redb::Error>> {
        self.port.submit(JournalRequest(JournalTask::Close));
        match self.port.wait(Duration::from_millis(self.timeout_ms))?.0 {
            JournalResult::Closed(result) => Some(result),
            JournalResult::Written(_) | JournalResult::Reopened(_) => {
                panic!("it was told to close")
            }
        }
    }
}

impl EmbeddedStore {
    /// Hands the next batch to the journal, unless it is busy with another one or the batch waits for more
    /// requests.
    pub(super) fn begin_commit(&mut self, now: Time) {
        let Some(commits) = &mut self.commits else {
            // A store in memory needs no commit: all replies may leave.
            if self.job.is_some() || self.deferred_may_run {
                self.advance(now);
                self.finish_job();
            }
            self.released = self.replies.len();
            return;
        };
        commits.now = now;
        self.take_outcomes(now);
        if matches!(self.state, State::Down { .. }) {
            self.released = self.replies.len();
            return;
        }
        if self.is_writing() || self.must_gather(now) {
            return;
        }
        let has_others_changes = self.has_changes();
        if self.no_space.is_some() && has_others_changes && self.job.is_some() {
            // There may be no space for the next part of a seed: its failure must not affect other changes.
            self.commit_alone(now);
        }
        let note = self.advance(now);
        // Slices of a seed, or of many leases that end, of which no client is told, need not be durable one by one.
        let is_slice = self.is_behind() || self.job.is_some() && !has_others_changes;
        let waits =
            !is_slice || !self.replies.is_empty() || note.as_ref().is_some_and(SeedNote::is_final);
        self.write_batch(note, waits, now);
        self.take_outcomes(now);
    }

    /// Returns true if the next batch waits for the clients that were just answered. Without a change to write, and
    /// with other work at hand, nothing waits.
    fn must_gather(&mut self, now: Time) -> bool {
        let waiting = self.unreleased();
        let has_other_work = self.job.is_some() || self.deferred_may_run;
        let may_wait = self.has_changes() && !has_other_work;
        let Some(commits) = &mut self.commits else {
            return false;
        };
        if !may_wait || !commits.later_probes.is_empty() {
            commits.gathering.stop_waiting();
            return false;
        }
        commits.gathering.must_wait(waiting, now)
    }

    /// Returns true if a request is in flight.
    pub(super) fn is_writing(&self) -> bool {
        let commits = self.commits.as_ref();
        commits.is_some_and(|commits| commits.in_flight.is_some())
    }

    /// Hands the changes, and the note about a large seed, to the journal.
    fn write_batch(&mut self, note: Option<SeedNote>, waits: bool, now: Time) {
        let (Some(commits), State::Up(engine)) = (&mut self.commits, &mut self.state) else {
            return;
        };
        let counts = *engine.counts();
        let answers = self.replies.len() - self.released;
        let has_changes = engine.has_changes() || note.is_some();
        let is_due = commits.check_at <= now && answers > 0;
        let checks_place = is_due || !commits.later_probes.is_empty();
        if !has_changes && !checks_place {
            self.counts = counts;
            self.released = self.replies.len();
            self.finish_job();
            return;
        }
        if checks_place {
            commits.check_at = now.after_ms(CHECK_MS);
        }
        commits.probes = std::mem::take(&mut commits.later_probes);
        let changes = engine.take_changes(std::mem::take(&mut commits.spare));
        let batch = Batch {
            changes,
            note,
            waits,
            checks_place,
        };
        let kind = InFlightKind::Batch {
            answers,
            counts,
            has_changes,
        };
        commits.request(JournalTask::Write(batch), kind, now);
    }

    /// Takes the outcomes of requests.
    pub(super) fn take_outcomes(&mut self, now: Time) {
        while let Some(commits) = &mut self.commits
            && let Some(outcome) = commits.port.poll()
        {
            self.take_outcome(outcome, now);
        }
    }

    /// Blocks until no request is in flight.
    pub(super) fn wait_for_journal(&mut self, now: Time) {
        while self.is_writing()
            && let Some(commits) = &mut self.commits
            && let Some(outcome) = commits.port.wait(EVER)
        {
            self.take_outcome(outcome, now);
        }
    }

    /// Commits the changes so far, and blocks until that is done, for changes that must not share the fate of
    /// others. Returns false if the store has failed.
    pub(super) fn commit_alone(&mut self, now: Time) -> bool {
        self.wait_for_journal(now);
        self.write_batch(None, true, now);
        self.wait_for_journal(now);
        matches!(self.state, State::Up(_))
    }

    fn take_outcome(&mut self, outcome: JournalOutcome, now: Time) {
        let Some(commits) = &mut self.commits else {
            return;
        };
        commits.is_slow = false;
        let in_flight = commits.in_flight.take();
        let kind = in_flight.map(|in_flight| in_flight.kind);
        match (kind, outcome.0) {
            (Some(InFlightKind::GivenUp), _) => self.reopen(now),
            (
                Some(InFlightKind::Batch { .. } | InFlightKind::MakeDurable),
                JournalResult::Written(written),
            ) if written.result.is_err() => {
                let error = written.result.err();
                error.inspect(|error| self.fail(error, now));
            }
            (Some(kind), JournalResult::Written(written)) => self.finish_commit(kind, written, now),
            (Some(InFlightKind::Reopen), JournalResult::Reopened(result)) => {
                self.take_reopened(result, now)
            }
            _ => panic!("no such outcome was asked for"),
        }
    }

    fn finish_commit(&mut self, kind: InFlightKind, written: Written, now: Time) {
        let Some(commits) = &mut self.commits else {
            return;
        };
        let took_us = written.result.ok().flatten();
        if let Some(took_us) = took_us {
            self.commit_times.note(took_us, 1);
            self.throttles.note_commit(took_us, now);
        }
        let InFlightKind::Batch {
            answers,
            counts,
            has_changes,
        } = kind
        else {
            return;
        };
        commits.spare = written.spare;
        self.counts = counts;
        self.released += answers;
        let waiting = self.replies.len() - self.released;
        if commits.port.gathers() {
            let commit_us = took_us.unwrap_or_default();
            commits.gathering.finish(answers, waiting, commit_us, now);
        }
        let ready = commits.probes.drain(..);
        self.immediate
            .extend(ready.map(|ticket| (ticket, Reply::Ready)));
        if has_changes {
            self.unconfirmed.clear();
            if commits.sync == Sync::Interval {
                commits
                    .sync_at
                    .get_or_insert(now.after_ms(SYNC_INTERVAL_MS));
            }
        }
        self.finish_job();
    }

    /// Makes durable what is due, and gives up a request that takes too long.
    pub(super) fn handle_commit_timeout(&mut self, now: Time) {
        self.take_outcomes(now);
        let Some(commits) = &mut self.commits else {
            return;
        };
        commits.is_slow = commits.slow_at().is_some_and(|at| at <= now);
        if commits.give_up_at().is_some_and(|at| at <= now) {
            let timeout_ms = commits.timeout_ms;
            commits.in_flight = Some(InFlightRequest {
                kind: InFlightKind::GivenUp,
                since: now,
            });
            self.fail(&WriteError::TimedOut(timeout_ms), now);
        } else if commits.is_slow {
            let probes = commits.take_probes();
            let refused = |ticket| (ticket, Reply::Refused(Refusal::StoreDown));
            self.immediate.extend(probes.map(refused));
        } else if commits.in_flight.is_none() && commits.sync_at.is_some_and(|at| at <= now) {
            commits.sync_at = None;
            commits.request(JournalTask::MakeDurable, InFlightKind::MakeDurable, now);
            self.take_outcomes(now);
        }
    }

    /// Commits all decisions, and closes the journal. Blocks for the disk, up to the commit timeout for each
    /// request. Returns false if something may not be durable.
    pub(super) fn close_journal(&mut self) -> bool {
        let Some(commits) = &self.commits else {
            return true;
        };
        let (now, timeout) = (commits.now, Duration::from_millis(commits.timeout_ms));
        // The batch in flight, and the one after it.
        for _ in 0..2 {
            if !self.wait_in_time(timeout, now) {
                return false;
            }
            self.write_batch(None, true, now);
        }
        self.wait_in_time(timeout, now) && self.close_in_time()
    }

    /// Blocks until no request is in flight. Returns false if the disk does not answer in time.
    fn wait_in_time(&mut self, timeout: Duration, now: Time) -> bool {
        while self.is_writing()
            && let Some(commits) = &mut self.commits
        {
            let Some(outcome) = commits.port.wait(timeout) else {
                log::error!("the store could not be closed well: the disk does not answer");
                return false;
            };
            self.take_outcome(outcome, now);
        }
        true
    }

    fn close_in_time(&mut self) -> bool {
        let (State::Up(_), Some(commits)) = (&self.state, &mut self.commits) else {
            return false;
        };
        match commits.close() {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                log::error!("the store could not be closed well: {error}");
                false
            }
            None => {
                log::error!("the store could not be closed well: the disk does not answer");
                false
            }
        }
    }

    /// Refuses all readiness probes.
    pub(super) fn refuse_probes(&mut self) {
        if let Some(commits) = &mut self.commits {
            for ticket in commits.take_probes() {
                self.immediate.push_back((ticket, refuse(&mut self.counts)));
            }
            commits.sync_at = None;
        }
    }
}
