//! Batches on their way to the journal. While one is written the engine decides the next one, so that a batch grows
//! by itself with the slowness of the disk.
//!
//! No answer leaves before the batch is durable that it speaks of, nor before those ahead of it. Two kinds leave at
//! once: `busy`, which promises nothing, and figures, which are wanted most while the disk is slow.

use std::time::Duration;

use super::failing::refuse;
use super::gathering::Gathering;
use super::{CHECK_MS, EmbeddedStore, SYNC_INTERVAL_MS, State};
use crate::command::{Refusal, Reply, Ticket};
use crate::metrics::Lending;
use crate::pool::Change;
use crate::store::journal::{
    Batch, JournalOutcome, JournalPort, JournalRequest, JournalResult, JournalTask, SeedNote, Sync,
    WriteError, Written,
};
use crate::time::Time;

/// How long a commit may take before the store no longer says that it is ready.
const SLOW_MS: u64 = 2000;
/// Longer than any disk takes that works.
const EVER: Duration = Duration::from_secs(3600);

/// The store's side of its journal.
pub(super) struct Commits {
    pub(super) port: Box<dyn JournalPort>,
    pub(super) disk_name: String,
    pub(super) sync: Sync,
    /// A request and its outcome may be this far apart before it counts as failed: `--commit-timeout`.
    pub(super) timeout_ms: u64,
    pub(super) in_flight: Option<InFlightRequest>,
    pub(super) gathering: Gathering,
    /// When `--sync interval` makes durable what was written.
    sync_at: Option<Time>,
    /// When the file is looked for at its place at the latest, if there is something to answer.
    check_at: Time,
    /// Memory for the changes of a batch.
    spare: Vec<Change>,
    /// Questions whether the store is ready: those that the request under way answers, and those that came later.
    probes: Vec<Ticket>,
    later_probes: Vec<Ticket>,
    /// When the last tick was.
    pub(super) now: Time,
    /// The request under way took too long by then.
    is_slow: bool,
}

/// The request that the journal carries out.
pub(super) struct InFlightRequest {
    kind: InFlightKind,
    since: Time,
}

enum InFlightKind {
    /// A batch with so many answers, those at the front of the queue. The counts are those once it is written.
    Batch {
        answers: usize,
        counts: Lending,
        has_changes: bool,
    },
    /// Earlier batches are made durable.
    MakeDurable,
    /// A journal that has failed is opened again.
    Reopen,
    /// It took too long, and counts as failed whatever comes of it.
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
        assert!(
            self.in_flight.is_none(),
            "one request is under way at a time"
        );
        self.in_flight = Some(InFlightRequest { kind, since: now });
        self.port.submit(JournalRequest(task));
    }

    /// Whether the request under way takes longer than on a disk that works.
    pub(super) fn seems_slow(&self) -> bool {
        self.is_slow
    }

    fn slow_at(&self) -> Option<Time> {
        let in_flight = self.in_flight.as_ref();
        in_flight.map(|in_flight| in_flight.since.after_ms(SLOW_MS))
    }

    /// When the request under way counts as failed.
    fn give_up_at(&self) -> Option<Time> {
        match &self.in_flight {
            Some(InFlightRequest {
                kind: InFlightKind::Batch { .. } | InFlightKind::MakeDurable,
                since,
            }) => Some(since.after_ms(self.timeout_ms)),
            _ => None,
        }
    }

    /// When there is something to do although no outcome has come.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let has_probes = !(self.probes.is_empty() && self.later_probes.is_empty());
        let slow_at = self.slow_at().filter(|_| has_probes);
        let sync_at = self.sync_at.filter(|_| self.in_flight.is_none());
        let gather_at = self.gathering.next_timeout();
        let gather_at = gather_at.filter(|_| self.in_flight.is_none());
        let times = [self.give_up_at(), slow_at, sync_at, gather_at];
        times.into_iter().flatten().min()
    }

    /// Takes a question whether the store is ready. It is answered once the journal has done something.
    pub(super) fn add_probe(&mut self, ticket: Ticket) {
        self.later_probes.push(ticket);
    }

    /// All questions that have no answer yet.
    pub(super) fn take_probes(&mut self) -> impl Iterator<Item = Ticket> {
        let probes = std::mem::take(&mut self.probes);
        probes
            .into_iter()
            .chain(std::mem::take(&mut self.later_probes))
    }

    /// Opens again what has failed, unless it is still busy.
    pub(super) fn reopen(&mut self, now: Time) {
        if self.in_flight.is_none() {
            self.request(JournalTask::Reopen(now), InFlightKind::Reopen, now);
        }
    }

    /// Closes the journal. `None` if it does not answer in time.
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
    /// Hands the next batch to the journal, if it is not busy with another one.
    pub(super) fn begin_commit(&mut self, now: Time) {
        let Some(commits) = &mut self.commits else {
            // Nothing is kept, so that everything may be told.
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
        if self.is_writing() || self.job.is_none() && self.must_gather(now) {
            return;
        }
        let has_others_changes = self.has_changes();
        if self.no_space.is_some() && has_others_changes && self.job.is_some() {
            // There may be no space for the next part of a seed: it must not take others with it.
            self.commit_alone(now);
        }
        let note = self.advance(now);
        // Slices of a seed or of many ends that no client is told of need not be durable one by one.
        let is_slice = self.is_behind() || self.job.is_some() && !has_others_changes;
        let waits =
            !is_slice || !self.replies.is_empty() || note.as_ref().is_some_and(SeedNote::is_final);
        self.write_batch(note, waits, now);
        self.take_outcomes(now);
    }

    /// Whether the next batch waits for clients that were answered just now.
    fn must_gather(&mut self, now: Time) -> bool {
        let waiting = self.unreleased();
        let commits = self.commits.as_mut();
        commits.is_some_and(|commits| commits.gathering.must_wait(waiting, now))
    }

    /// Whether a request is under way.
    pub(super) fn is_writing(&self) -> bool {
        let commits = self.commits.as_ref();
        commits.is_some_and(|commits| commits.in_flight.is_some())
    }

    /// Hands over what has changed, and how a large seed stands.
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

    /// Takes what has come of requests.
    pub(super) fn take_outcomes(&mut self, now: Time) {
        while let Some(commits) = &mut self.commits
            && let Some(outcome) = commits.port.poll()
        {
            self.take_outcome(outcome, now);
        }
    }

    /// Waits until no request is under way.
    pub(super) fn wait_for_journal(&mut self, now: Time) {
        while self.is_writing()
            && let Some(commits) = &mut self.commits
            && let Some(outcome) = commits.port.wait(EVER)
        {
            self.take_outcome(outcome, now);
        }
    }

    /// Commits what has changed, and waits for it, where that is to share its fate with nothing else. False if the
    /// store has failed.
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

    /// Makes durable what is due, and gives up what takes too long.
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

    /// Commits all that was decided, and closes the journal. Waits for the disk, but not for ever. False if
    /// something may not be durable.
    pub(super) fn close_journal(&mut self) -> bool {
        let Some(commits) = &self.commits else {
            return true;
        };
        let (now, timeout) = (commits.now, Duration::from_millis(commits.timeout_ms));
        // The batch under way, and the one behind it.
        for _ in 0..2 {
            if !self.wait_in_time(timeout, now) {
                return false;
            }
            self.write_batch(None, true, now);
        }
        self.wait_in_time(timeout, now) && self.close_in_time()
    }

    /// Waits until no request is under way. False if the disk does not answer in time.
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

    /// Refuses all questions whether the store is ready.
    pub(super) fn refuse_probes(&mut self) {
        if let Some(commits) = &mut self.commits {
            for ticket in commits.take_probes() {
                self.immediate.push_back((ticket, refuse(&mut self.counts)));
            }
            commits.sync_at = None;
        }
    }
}
