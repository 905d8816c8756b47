//! Work that is too much for one tick: large seeds, and the listing and dumping of large pools.
//!
//! A little of it is done each tick, and everybody else is served in between. There is one job at a
//! time: further ones wait, as do all seeds, and commands that could tell that it is done in part.
//!
//! A seed is taken whole or not at all, also across a crash. It is written into the journal first,
//! part by part, and the last part decides: from then on it will be applied, whatever happens. What
//! is applied already needs no remembering but for the pools that are done with, since to apply a
//! pool again does no harm.

use super::held::Named;
use crate::command::{Command, IdList, PoolName, Reply, Seed, Ticket};
use crate::pool::{Dumping, Engine, Listing, Measuring, SeedKind, Seeding, StepBudget};
use crate::store::journal::{PendingSeed, SeedNote, SeedProgress, SeedWriter};
use crate::time::Time;

/// How many names of pools are taken down in a tick.
const NAMES_A_TICK: usize = 10_000;

/// Work that takes several ticks.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) ticket: Ticket,
    pub(super) task: Task,
    has_journal: bool,
    /// The pools that its seed names, if there are several: none of them is to be seen changed while
    /// another one is not.
    named: Named,
    /// How far its seed has come, as far as the journal knows.
    noted: SeedProgress,
    /// When it goes on, if it has to wait.
    pub(super) not_before: Option<Time>,
}

#[derive(Debug)]
pub(super) enum Task {
    /// A seed that there may be no room for.
    Measure(Seeding, Measuring),
    /// A seed whose pools are taken down.
    Name(Seeding),
    /// A seed that the journal does not have yet, as a whole.
    Write(SeedWriter, Seeding),
    Apply(Seeding),
    List(PoolName<'static>, Listing, IdList),
    Dump(Box<Dumping>),
    /// It is done, and is answered so once the journal has heard of it.
    Done(Reply),
}

/// Whether a command adds or sets members.
pub(super) fn is_seed(command: &Command<'_>) -> bool {
    matches!(
        command,
        Command::AddMembers(_) | Command::SetMembers(_) | Command::Restore(_)
    )
}

/// Whether a command costs more than a slice.
#[inline]
pub(super) fn is_large(command: &Command<'_>, engine: &Engine, slice: StepBudget) -> bool {
    match command {
        Command::AddMembers(seed) | Command::SetMembers(seed) => engine.seed_exceeds(slice, seed),
        Command::ListMembers(pool) => engine.listing_exceeds(slice, pool),
        Command::Dump(place) => engine.dump_exceeds(slice, place),
        _ => false,
    }
}

impl Job {
    /// The job that a large command makes.
    pub(super) fn of(
        ticket: Ticket,
        command: Command<'_>,
        has_journal: bool,
        engine: &Engine,
    ) -> Job {
        let of_seed = |kind, seed| {
            let seeding = Seeding::new(kind, seed).with_members_now(Seed::default());
            Task::Measure(seeding, Measuring::new(kind))
        };
        let task = match command {
            Command::AddMembers(seed) => of_seed(SeedKind::Adds, seed),
            Command::SetMembers(seed) => of_seed(SeedKind::Sets, seed),
            Command::ListMembers(pool) => {
                Task::List(pool.into_owned(), Listing::default(), IdList::default())
            }
            Command::Dump(place) => {
                let dumping = engine.begin_dumping(&place);
                Task::Dump(Box::new(dumping.expect("a large pool is there")))
            }
            other => panic!("this is never large: {other:?}"),
        };
        Job {
            ticket,
            task,
            has_journal,
            named: Named::default(),
            noted: SeedProgress::default(),
            not_before: None,
        }
    }

    /// A seed that was decided, and applied in part.
    pub(super) fn resume(pending: PendingSeed) -> Job {
        let PendingSeed {
            kind,
            seed,
            progress,
        } = pending;
        let mut named = Named::default();
        named.add(&seed, usize::MAX);
        Job {
            ticket: super::NOBODY,
            task: Task::Apply(Seeding::resume(kind, seed, progress.pools, progress.order)),
            has_journal: true,
            named,
            noted: progress,
            not_before: None,
        }
    }

    /// Whether a command has to wait until the job is done, or further than it is.
    pub(super) fn holds_up(&self, command: &Command<'_>) -> bool {
        match command {
            seed if is_seed(seed) => return true,
            Command::ListPools(_) | Command::SumPools(_) => {
                return self.is_applied() && self.named.is_several();
            }
            // It may come to any pool.
            Command::Dump(_) => return self.is_applied(),
            _ => {}
        }
        let Some(pool) = command.pool() else {
            return false;
        };
        if self.is_applied() && self.named.has(pool) {
            return true;
        }
        match self.current_pool() {
            Some((current, is_seeding)) if *pool == current => {
                is_seeding || matches!(command, Command::RemovePool(_))
            }
            _ => false,
        }
    }

    /// Its seed has begun to change pools.
    fn is_applied(&self) -> bool {
        matches!(self.task, Task::Apply(_))
    }

    /// The pool that is being worked on, and whether it is being seeded, which defers all commands. If not, its
    /// members are being listed, and must not change.
    pub(super) fn current_pool(&self) -> Option<(PoolName<'_>, bool)> {
        match &self.task {
            Task::Measure(..) | Task::Name(_) | Task::Write(..) | Task::Done(_) => None,
            Task::Apply(seeding) => seeding.current_pool(),
            Task::List(pool, ..) => Some((pool.clone(), false)),
            Task::Dump(dumping) => Some((dumping.pool(), false)),
        }
    }

    /// Does a slice of it. Answers what the journal is to be told.
    pub(super) fn go_on(
        &mut self,
        engine: &mut Engine,
        slice: StepBudget,
        now: Time,
    ) -> Option<SeedNote> {
        match &mut self.task {
            Task::Measure(seeding, measuring) => {
                self.task = match engine.advance_measuring(seeding.seed(), measuring, slice)? {
                    Ok(()) => Task::Name(std::mem::take(seeding)),
                    Err(refusal) => Task::Done(engine.refuse(refusal)),
                };
                None
            }
            Task::Name(seeding) => {
                if self.named.add(seeding.seed(), NAMES_A_TICK) {
                    let seeding = std::mem::take(seeding);
                    self.task = match self.has_journal {
                        true => Task::Write(SeedWriter::default(), seeding),
                        false => Task::Apply(seeding),
                    };
                }
                None
            }
            Task::Write(parts, seeding) => {
                let part = parts.next(seeding.seed());
                if !part.is_last {
                    return Some(SeedNote::Part(part));
                }
                let kind = seeding.kind();
                self.task = Task::Apply(std::mem::take(seeding));
                Some(SeedNote::LastPart(part, kind))
            }
            Task::Apply(seeding) => {
                engine.advance_seed(seeding, slice, now);
                if !seeding.is_done() {
                    let progress = SeedProgress {
                        pools: seeding.place(),
                        order: seeding.order(),
                    };
                    let is_new = std::mem::replace(&mut self.noted, progress) != progress;
                    return is_new.then_some(SeedNote::Progress(progress));
                }
                let members_now = seeding.take_members_now();
                self.task = Task::Done(Reply::Seeded(members_now));
                Some(SeedNote::Done)
            }
            Task::List(pool, listing, ids) => {
                let result = engine.advance_listing(pool, listing, ids, slice)?;
                let members = |()| Reply::Members(std::mem::take(ids));
                self.task = Task::Done(result.map_or_else(Reply::Refused, members));
                None
            }
            Task::Dump(dumping) => {
                let part = engine.advance_dump(dumping, slice, now)?;
                self.task = Task::Done(Reply::Dumped(Box::new(part)));
                None
            }
            Task::Done(_) => None,
        }
    }

    /// Its ticket, and what the members of the pools were that are done with.
    pub(super) fn answer_to(&mut self, ticket: Ticket, members_now: Seed) {
        self.ticket = ticket;
        if let Task::Apply(seeding) = &mut self.task {
            *seeding = std::mem::take(seeding).with_members_now(members_now);
        }
    }

    /// Begins with the pool that may be changed in part, so that nobody is served in it.
    pub(super) fn begin_pool(&mut self, engine: &mut Engine, now: Time) {
        if let Task::Apply(seeding) = &mut self.task {
            engine.advance_seed(seeding, StepBudget::MIN, now);
        }
    }

    /// Whether commands wait for the pool that is being worked on until it is complete.
    pub(super) fn blocks_pool(&self) -> bool {
        !self.named.is_several() && matches!(self.current_pool(), Some((_, true)))
    }

    /// When it goes on.
    pub(super) fn next_turn(&self) -> Time {
        self.not_before.unwrap_or_default()
    }

    /// The journal has failed, and may have the decision that this seed is to be applied.
    pub(super) fn may_be_decided(&self) -> bool {
        match &self.task {
            Task::Measure(..) | Task::Name(_) | Task::Write(..) => false,
            Task::List(..) | Task::Dump(_) => false,
            Task::Apply(_) => true,
            Task::Done(reply) => matches!(reply, Reply::Seeded(_)),
        }
    }

    /// What the members of each pool were once it was complete, as far as is known.
    pub(super) fn take_members_now(&mut self) -> Seed {
        match &mut self.task {
            Task::Apply(seeding) => seeding.take_members_now(),
            Task::Done(Reply::Seeded(members_now)) => std::mem::take(members_now),
            _ => Seed::default(),
        }
    }
}
