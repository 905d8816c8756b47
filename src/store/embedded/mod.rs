//! The store inside the process: the engine, and the journal under it if there is one.
//!
//! The journal is the truth. Replies are held back until the journal has the changes they speak of. If it cannot be
//! written, all decisions since the last commit are dropped: their clients are told `store down`, the engine is
//! restored from the journal, and until then no command is decided.

mod committing;
mod deferred;
mod failing;
mod gathering;
mod job;
mod jobs;

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use committing::Commits;
use deferred::{DeferredCommands, DeferredItem};
use failing::{LogThrottles, NoSpace};
use gathering::Gathering;
use job::SlicedJob;
use mio::event::Event;
use mio::{Registry, Token};

use super::journal::{Inline, Journal, JournalPort, OpenError, Worker, restore};
use super::{Backing, Gather, Store, StoreFigures};
use crate::command::{Command, Granted, Refusal, Reply, Restoration, Seed, Ticket};
use crate::histogram::Histogram;
use crate::pool::{Engine, Lending, Rules, StepBudget};
use crate::time::Time;

/// The pause before a failed journal is opened again, in milliseconds.
const RETRY_MS: u64 = 1000;

/// The interval at which `--sync interval` makes changes durable, in milliseconds.
const SYNC_INTERVAL_MS: u64 = 1000;

/// The longest time without a check that the file is still in its place, in milliseconds.
const CHECK_MS: u64 = 1000;

/// The default of `--commit-timeout`: a commit that takes longer counts as failed, in milliseconds.
pub const COMMIT_TIMEOUT_MS: u64 = 10_000;

/// The part of large work that one tick does: some thousand ids.
const SLICE: StepBudget = StepBudget(20_000);

/// The ticket of commands without a client.
const INTERNAL: Ticket = Ticket::new(u64::MAX, u32::MAX);

/// The store inside the process.
pub struct EmbeddedStore {
    state: State,
    /// `None` for a store in memory.
    commits: Option<Commits>,
    /// Grants that were not answered because the commit failed. The disk may have them all the same, so they are
    /// undone once the journal works again.
    unconfirmed: Vec<Granted>,
    replies: VecDeque<(Ticket, Reply)>,
    /// The number of `replies`, from the front, whose changes the journal has.
    released: usize,
    /// Replies that speak of no change, and wait for no commit.
    immediate: VecDeque<(Ticket, Reply)>,
    /// Limits for log messages about a failing journal.
    throttles: LogThrottles,
    /// The counts of lending that the journal has. Unused without a journal: then the engine's counts hold.
    counts: Lending,
    /// The durations of commits.
    commit_times: Histogram,
    /// The number of failures of the journal.
    failures: u64,
    /// Work that takes several ticks.
    job: Option<SlicedJob>,
    /// The part of the job that one tick does.
    slice: StepBudget,
    /// Commands that wait for the job.
    deferred: DeferredCommands,
    /// True if some of them may run now.
    deferred_may_run: bool,
    /// Set while the disk is, or was lately, full.
    no_space: Option<NoSpace>,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum State {
    Up(Engine),
    /// The journal failed and was closed; it is opened again at this time.
    Down {
        retry_at: Time,
    },
}

impl EmbeddedStore {
    /// Makes a store in memory, whose pools end with the process.
    pub fn in_memory(rules: Rules) -> EmbeddedStore {
        EmbeddedStore::with_state(State::Up(Engine::new(rules)))
    }

    /// Makes the store that `journal` has recorded. All leases restart at `now`. Each commit blocks until the disk
    /// has it.
    pub fn with_journal(
        journal: Journal,
        rules: Rules,
        now: Time,
    ) -> Result<EmbeddedStore, OpenError> {
        let start = |worker| Ok(Box::new(Inline::new(worker)) as Box<dyn JournalPort>);
        EmbeddedStore::with_port(journal, rules, now, start)
    }

    /// Makes the same store with another way to its journal: `start` makes the port of the worker that carries
    /// requests out.
    pub fn with_port(
        journal: Journal,
        rules: Rules,
        now: Time,
        start: impl FnOnce(Worker) -> io::Result<Box<dyn JournalPort>>,
    ) -> Result<EmbeddedStore, OpenError> {
        let mut engine = restore(&journal, rules, now)?;
        let mut store = EmbeddedStore::in_memory(rules);
        store.resume_job(journal.pending_seed()?, &mut engine, now);
        store.state = State::Up(engine);
        let worker = Worker::new(journal, rules);
        let (disk_name, sync) = (worker.disk().to_string(), worker.sync());
        let port = start(worker).map_err(|error| OpenError::no_thread(&disk_name, error))?;
        store.commits = Some(Commits::new(port, disk_name, sync));
        Ok(store)
    }

    /// Sets the time after which a commit counts as failed, in milliseconds; default [`COMMIT_TIMEOUT_MS`]. Without
    /// effect in memory.
    pub fn with_commit_timeout(mut self, timeout_ms: u64) -> EmbeddedStore {
        if let Some(commits) = &mut self.commits {
            commits.timeout_ms = timeout_ms;
        }
        self
    }

    /// Sets the part of large work that one tick does; the default is some thousand ids.
    pub fn with_slice(mut self, slice: StepBudget) -> EmbeddedStore {
        self.slice = slice;
        self
    }

    fn with_state(state: State) -> EmbeddedStore {
        EmbeddedStore {
            state,
            commits: None,
            unconfirmed: Vec::new(),
            replies: VecDeque::new(),
            released: 0,
            immediate: VecDeque::new(),
            throttles: LogThrottles::default(),
            counts: Lending::default(),
            commit_times: Histogram::default(),
            failures: 0,
            job: None,
            slice: SLICE,
            deferred: DeferredCommands::default(),
            deferred_may_run: false,
            no_space: None,
        }
    }

    fn has_no_space_for_grants(&self) -> bool {
        self.no_space.is_some_and(|space| space.even_for_grants)
    }

    /// Returns true if there are changes to write to the journal.
    fn has_changes(&self) -> bool {
        self.commits.is_some() && matches!(&self.state, State::Up(engine) if engine.has_changes())
    }

    /// Returns true if more leases or waits are over than have ended: the next ticks end them.
    fn is_behind(&self) -> bool {
        matches!(&self.state, State::Up(engine) if engine.is_behind())
    }

    /// Carries out a command of the operator in one step, and waits until it is durable: no client waits yet.
    fn carry_out_at_start(&mut self, command: Command<'_>, now: Time) -> Result<(), Refusal> {
        self.finish_all(now);
        let slice = std::mem::replace(&mut self.slice, StepBudget::UNLIMITED);
        self.submit(INTERNAL, command, now);
        self.finish_all(now);
        self.slice = slice;
        while let Some((_, reply)) = self.poll_reply() {
            if let Reply::Refused(refusal) = reply {
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Finishes the job and all commits, or fails.
    fn finish_all(&mut self, now: Time) {
        self.commit_and_wait(now);
        while matches!(self.state, State::Up(_)) && (self.job.is_some() || self.has_changes()) {
            self.commit_and_wait(now);
        }
        self.commit_and_wait(now);
    }

    /// Commits and waits for it. No client is there to gather with.
    fn commit_and_wait(&mut self, now: Time) {
        self.forget_gathering();
        self.commit(now);
        self.wait_for_journal(now);
    }

    /// The next batch waits for no client.
    fn forget_gathering(&mut self) {
        if let Some(commits) = &mut self.commits {
            commits.gathering = Gathering::default();
        }
    }

    /// The number of replies that wait for a commit.
    pub(super) fn unreleased(&self) -> usize {
        self.replies.len() - self.released
    }

    /// Queues a reply. A refusal as busy promises nothing and a survey is no change, so both need no commit.
    #[inline]
    fn push_reply(&mut self, ticket: Ticket, reply: Reply) {
        if self.commits.is_some()
            && matches!(reply, Reply::Refused(Refusal::Busy) | Reply::Survey(_))
        {
            self.immediate.push_back((ticket, reply));
        } else {
            self.replies.push_back((ticket, reply));
        }
    }

    /// Queues the engine's replies to waiters.
    #[inline(always)]
    fn take_answers(&mut self) {
        if matches!(&self.state, State::Up(engine) if engine.has_answers()) {
            self.take_some_answers();
        }
    }

    #[inline(never)]
    fn take_some_answers(&mut self) {
        while let State::Up(engine) = &mut self.state
            && let Some((ticket, reply)) = engine.poll_answer()
        {
            self.push_reply(ticket, reply);
        }
    }
}

impl Store for EmbeddedStore {
    fn attach(&mut self, registry: &Registry, tokens: [Token; 2], _now: Time) -> io::Result<()> {
        let port = self.commits.as_mut().map(|commits| &mut commits.port);
        port.map_or(Ok(()), |port| port.attach(registry, tokens[0]))
    }

    fn restore(&mut self, restoration: Rc<Restoration>, now: Time) -> Result<(), Refusal> {
        self.carry_out_at_start(Command::Restore(restoration), now)
    }

    fn prepare(&mut self, purge: bool, seed: Option<Seed>, now: Time) -> Result<(), Refusal> {
        self.finish_all(now);
        let purge = purge.then_some(Command::Purge);
        let mut commands = purge.into_iter().chain(seed.map(Command::AddMembers));
        commands.try_for_each(|command| self.carry_out_at_start(command, now))
    }

    fn submit(&mut self, ticket: Ticket, command: Command<'_>, now: Time) {
        if self.must_wait(&command) {
            self.deferred
                .push(ticket, DeferredItem::Command(command.into_owned()));
        } else if self.no_space.is_some() {
            self.carry_out_low_on_space(ticket, command, now);
        } else {
            self.carry_out(ticket, command, now);
        }
    }

    fn is_deferred(&self, ticket: Ticket) -> bool {
        self.deferred.has(ticket)
    }

    fn withdraw(&mut self, ticket: Ticket, now: Time) {
        if self.deferred.has(ticket) {
            return self.deferred.push(ticket, DeferredItem::Withdrawal);
        }
        if let State::Up(engine) = &mut self.state {
            engine.withdraw(ticket, now);
        }
        self.take_answers();
    }

    fn handle_event(&mut self, _event: &Event, now: Time) {
        self.take_outcomes(now);
    }

    fn commit(&mut self, now: Time) {
        self.begin_commit(now);
    }

    /// A sync takes as long as about fifty requests.
    fn gather(&mut self, elapsed_us: u64, now: Time) -> Gather {
        let (may_wait, waiting) = (self.has_changes() && !self.is_writing(), self.unreleased());
        match &mut self.commits {
            Some(commits) if may_wait => commits.gathering.gather(waiting, elapsed_us, now),
            _ => Gather::Nothing,
        }
    }

    fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        if !self.immediate.is_empty() {
            return self.immediate.pop_front();
        }
        self.released = self.released.checked_sub(1)?;
        self.replies.pop_front()
    }

    fn next_timeout(&self) -> Option<Time> {
        let of_commits = self.commits.as_ref().and_then(Commits::next_timeout);
        let of_state = match &self.state {
            State::Up(engine) => {
                let next_turn = self.next_turn().filter(|_| !self.is_writing());
                [engine.next_timeout(), next_turn]
                    .into_iter()
                    .flatten()
                    .min()
            }
            State::Down { retry_at } => Some(*retry_at).filter(|_| !self.is_writing()),
        };
        [of_commits, of_state].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Time) {
        self.handle_commit_timeout(now);
        match &mut self.state {
            State::Up(engine) => engine.handle_timeout(now),
            State::Down { retry_at } if *retry_at <= now => self.reopen(now),
            State::Down { .. } => {}
        }
        self.take_answers();
    }

    fn hold_timeouts(&mut self, after: Option<Time>) {
        if let State::Up(engine) = &mut self.state {
            engine.hold_timeouts(after);
        }
    }

    fn figures(&self) -> StoreFigures {
        let engine = match &self.state {
            State::Up(engine) => Some(engine),
            State::Down { .. } => None,
        };
        let has_journal = self.commits.is_some();
        let is_slow = self.commits.as_ref().is_some_and(Commits::seems_slow);
        StoreFigures {
            is_up: engine.is_some() && !is_slow && !self.has_no_space_for_grants(),
            lending: match engine {
                Some(engine) if !has_journal => *engine.counts(),
                _ => self.counts,
            },
            waiting: engine.map_or(0, Engine::waiting_count) as u64,
            backing: match has_journal {
                false => Backing::Memory,
                true => Backing::Journal {
                    commits: self.commit_times.clone(),
                    failures: self.failures,
                },
            },
        }
    }

    fn is_quiescent(&self) -> bool {
        !self.is_writing() && !self.has_changes()
    }

    fn close(&mut self) -> bool {
        self.close_journal()
    }
}
