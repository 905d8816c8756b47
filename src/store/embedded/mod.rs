//! The store inside the process: the engine, and the journal under it if there is one.
//!
//! The journal is the truth. Replies are held back until the changes that they speak of are in it.
//! If it cannot be written, all that was decided since the last commit is forgotten: its askers are
//! told `store down`, the engine is built anew from the journal, and until that has worked nothing
//! is decided.

mod failing;
mod held;
mod job;
mod jobs;

use std::collections::VecDeque;
use std::rc::Rc;

use failing::{Logged, NoSpace};
use held::{Held, Item};
use job::Job;

use super::Store;
use super::journal::{Disk, Journal, OpenError, SeedNote, Sync, WriteError};
use crate::command::{Command, Granted, Refusal, Reply, Restoration, Seed, Ticket};
use crate::metrics::{Backing, Histogram, Lending, StoreFigures};
use crate::pool::{Engine, Restoring, Rules, Work};
use crate::time::Time;

/// How long to wait before a journal that failed is tried again.
const RETRY_MS: u64 = 1000;

/// How often `--sync interval` makes durable what was written.
const SYNC_INTERVAL_MS: u64 = 1000;

/// How long the file may be used without a look whether it is still at its place.
const CHECK_MS: u64 = 1000;

/// How much of large work is done in one tick: some thousand ids.
const SLICE: Work = Work(20_000);

/// Asks on behalf of no client.
const NOBODY: Ticket = Ticket::new(u64::MAX, u32::MAX);

/// The store inside the process.
pub struct EmbeddedStore {
    state: State,
    rules: Rules,
    /// Grants that were not answered because the commit failed. It may have reached the disk all
    /// the same, so they are undone once the journal works again.
    unsure: Vec<Granted>,
    replies: VecDeque<(Ticket, Reply)>,
    /// How many of `replies` speak only of what is in the journal.
    released: usize,
    /// What is logged of a journal that fails again and again.
    logged: Logged,
    /// What came of lending, as far as the journal knows of it. Without a journal it is what the engine
    /// has counted.
    counts: Lending,
    /// How long commits took.
    commits: Histogram,
    /// How often the journal failed.
    failures: u64,
    /// Work that takes several ticks.
    job: Option<Job>,
    /// How much of it is done in one.
    slice: Work,
    /// Commands that wait for it.
    held: Held,
    /// Some of them may go on.
    held_may_go_on: bool,
    /// When the file is looked for at its place at the latest, if there is something to answer.
    check_at: Time,
    /// The disk was full lately.
    no_space: Option<NoSpace>,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum State {
    Up {
        engine: Engine,
        /// `None` for a store in memory.
        journal: Option<Journal>,
        /// When `--sync interval` makes durable what was written.
        sync_at: Option<Time>,
    },
    /// The journal failed and has been closed; it is tried again at the time given.
    Down {
        disk: Rc<dyn Disk>,
        sync: Sync,
        retry_at: Time,
    },
}

impl EmbeddedStore {
    /// A store that forgets everything when the process ends.
    pub fn in_memory(rules: Rules) -> EmbeddedStore {
        EmbeddedStore::with_state(State::up(Engine::new(rules), None), rules)
    }

    /// The store that `journal` has the records of. All leases start anew at `now`.
    pub fn with_journal(
        journal: Journal,
        rules: Rules,
        now: Time,
    ) -> Result<EmbeddedStore, OpenError> {
        let mut engine = restore(&journal, rules, now)?;
        let mut store = EmbeddedStore::in_memory(rules);
        store.resume_job(journal.pending_seed()?, &mut engine, now);
        store.state = State::up(engine, Some(journal));
        Ok(store)
    }

    /// Does no more than this of large work in one tick, instead of some thousand ids.
    pub fn with_slice(mut self, slice: Work) -> EmbeddedStore {
        self.slice = slice;
        self
    }

    fn with_state(state: State, rules: Rules) -> EmbeddedStore {
        EmbeddedStore {
            state,
            rules,
            unsure: Vec::new(),
            replies: VecDeque::new(),
            released: 0,
            logged: Logged::default(),
            counts: Lending::default(),
            commits: Histogram::default(),
            failures: 0,
            job: None,
            slice: SLICE,
            held: Held::default(),
            held_may_go_on: false,
            check_at: Time::default(),
            no_space: None,
        }
    }

    fn has_no_space_for_grants(&self) -> bool {
        self.no_space.is_some_and(|space| space.even_for_grants)
    }

    /// Whether there is something to be journaled.
    fn has_changes(&self) -> bool {
        matches!(&self.state, State::Up { engine, journal: Some(_), .. } if engine.has_changes())
    }

    /// Whether the rest of what is over ends in the next ticks.
    fn is_behind(&self) -> bool {
        matches!(&self.state, State::Up { engine, .. } if engine.is_behind())
    }

    /// Carries out a command that was ordered for the start, all in one piece: no client waits yet.
    fn carry_out_first(&mut self, command: Command<'_>, now: Time) -> Result<(), Refusal> {
        while self.job.is_some() && matches!(self.state, State::Up { .. }) {
            self.commit(now);
        }
        let slice = std::mem::replace(&mut self.slice, Work::ALL);
        self.submit(NOBODY, command, now);
        self.commit(now);
        self.slice = slice;
        while let Some((_, reply)) = self.poll_reply() {
            if let Reply::Refused(refusal) = reply {
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Writes what has changed, and how a large seed stands. What is synced counts only if the file is still at
    /// its place then; else that is seen within a second. False if the store has failed.
    fn write(&mut self, note: Option<SeedNote>, waits: bool, now: Time) -> bool {
        let State::Up {
            engine,
            journal,
            sync_at,
        } = &mut self.state
        else {
            return true;
        };
        let Some(journal) = journal else {
            return true;
        };
        let counts = *engine.counts();
        let is_written = engine.has_changes() || note.is_some();
        let mut result = Ok(());
        // A look is cheap beside a sync, but not beside a commit without one.
        let is_synced = is_written && waits && journal.sync() == Sync::Always;
        if is_synced {
            // Looked at before, too, so that hardly any file gets what is never answered.
            result = journal.check_place().map_err(WriteError::Displaced);
        }
        if is_written && result.is_ok() {
            let appended = journal.append(engine.drain_changes(), note, waits);
            result = appended.map_err(WriteError::Failed).map(|took_us| {
                self.commits.note(took_us, 1);
                self.logged.note_commit(took_us, now);
            });
        }
        let mut answers = self.replies.iter().skip(self.released);
        let must_check = match self.check_at <= now {
            true => answers.next().is_some(),
            false => answers.any(|(_, reply)| matches!(reply, Reply::Ready)),
        };
        if result.is_ok() && (is_synced || must_check) {
            self.check_at = now.after_ms(CHECK_MS);
            result = journal.check_place().map_err(WriteError::Displaced);
        }
        match result {
            Ok(()) => {
                self.counts = counts;
                self.released = self.replies.len();
                if is_written {
                    self.unsure.clear();
                    if journal.sync() == Sync::Interval {
                        sync_at.get_or_insert(now.after_ms(SYNC_INTERVAL_MS));
                    }
                }
                true
            }
            Err(error) => {
                self.fail(&error, now);
                false
            }
        }
    }

    /// Takes over what the engine has to say to those who stood in line.
    #[inline]
    fn take_answers(&mut self) {
        if let State::Up { engine, .. } = &mut self.state {
            while let Some(answer) = engine.poll_answer() {
                self.replies.push_back(answer);
            }
        }
    }
}

/// The engine whose changes the journal has.
fn restore(journal: &Journal, rules: Rules, now: Time) -> Result<Engine, OpenError> {
    let mut restoring = Restoring::new(rules, now);
    journal.read(&mut restoring)?;
    if let (names, count @ 1..) = restoring.old_names() {
        super::warn_of_old_names(names.iter().map(|name| &**name), count);
    }
    Ok(restoring.done())
}

impl State {
    fn up(engine: Engine, journal: Option<Journal>) -> State {
        State::Up {
            engine,
            journal,
            sync_at: None,
        }
    }
}

impl Store for EmbeddedStore {
    fn restore(&mut self, restoration: Rc<Restoration>, now: Time) -> Result<(), Refusal> {
        self.carry_out_first(Command::Restore(restoration), now)
    }

    fn prepare(&mut self, purge: bool, seed: Option<Seed>, now: Time) -> Result<(), Refusal> {
        while self.job.is_some() && matches!(self.state, State::Up { .. }) {
            self.commit(now);
        }
        let purge = purge.then_some(Command::Purge);
        let mut commands = purge.into_iter().chain(seed.map(Command::AddMembers));
        commands.try_for_each(|command| self.carry_out_first(command, now))
    }

    fn submit(&mut self, ticket: Ticket, command: Command<'_>, now: Time) {
        if self.must_wait(&command) {
            self.held.push(ticket, Item::Command(command.into_owned()));
        } else if self.no_space.is_some() {
            self.carry_out_in_little_space(ticket, command, now);
        } else {
            self.carry_out(ticket, command, now);
        }
    }

    fn holds(&self, ticket: Ticket) -> bool {
        self.held.has(ticket)
    }

    fn withdraw(&mut self, ticket: Ticket, now: Time) {
        if self.held.has(ticket) {
            return self.held.push(ticket, Item::Withdrawal);
        }
        if let State::Up { engine, .. } = &mut self.state {
            engine.withdraw(ticket, now);
        }
        self.take_answers();
    }

    fn commit(&mut self, now: Time) {
        let has_others_changes = self.has_changes();
        if self.no_space.is_some() && has_others_changes && self.job.is_some() {
            // There may be no space for the next part of a seed: it must not take others with it.
            self.write(None, true, now);
        }
        let note = self.go_on(now);
        // Slices of a seed or of many ends that no client is told of need not be durable one by one.
        let is_slice = self.is_behind() || self.job.is_some() && !has_others_changes;
        let waits =
            !is_slice || !self.replies.is_empty() || note.as_ref().is_some_and(SeedNote::is_final);
        if self.write(note, waits, now) {
            self.settle_job();
        }
        self.released = self.replies.len();
    }

    /// A sync takes as long as some fifty requests.
    fn commit_is_costly(&self) -> bool {
        self.has_changes()
    }

    fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        self.released = self.released.checked_sub(1)?;
        self.replies.pop_front()
    }

    fn next_timeout(&self) -> Option<Time> {
        match &self.state {
            State::Up {
                engine, sync_at, ..
            } => [engine.next_timeout(), *sync_at, self.next_turn()]
                .into_iter()
                .flatten()
                .min(),
            State::Down { retry_at, .. } => Some(*retry_at),
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        match &mut self.state {
            State::Up {
                engine,
                journal,
                sync_at,
            } => {
                engine.handle_timeout(now);
                if let Some(journal) = journal
                    && sync_at.take_if(|due| *due <= now).is_some()
                {
                    match journal.make_durable() {
                        Ok(took_us) => self.commits.note(took_us, 1),
                        Err(error) => self.fail(&error.into(), now),
                    }
                }
            }
            State::Down { retry_at, .. } if *retry_at <= now => {
                if self.recover(now) {
                    self.log_recovery(now);
                }
            }
            State::Down { .. } => {}
        }
        self.take_answers();
    }

    fn hold_timeouts(&mut self, after: Option<Time>) {
        if let State::Up { engine, .. } = &mut self.state {
            engine.hold_timeouts(after);
        }
    }

    fn figures(&self) -> StoreFigures {
        let (engine, has_journal) = match &self.state {
            State::Up {
                engine, journal, ..
            } => (Some(engine), journal.is_some()),
            State::Down { .. } => (None, true),
        };
        StoreFigures {
            is_up: engine.is_some() && !self.has_no_space_for_grants(),
            lending: match engine {
                Some(engine) if !has_journal => *engine.counts(),
                _ => self.counts,
            },
            waiting: engine.map_or(0, Engine::waiting_count) as u64,
            backing: match has_journal {
                false => Backing::Memory,
                true => Backing::Journal {
                    commits: self.commits.clone(),
                    failures: self.failures,
                },
            },
        }
    }

    fn close(&mut self) -> bool {
        let State::Up { journal, .. } = &mut self.state else {
            return false;
        };
        match journal.as_mut().map_or(Ok(()), Journal::close) {
            Ok(()) => true,
            Err(error) => {
                log::error!("the store could not be closed well: {error}");
                false
            }
        }
    }
}
