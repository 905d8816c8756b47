//! Work that is too much for one tick: large seeds, and the listing and dumping of large pools.
//!
//! A little of it is done each tick, and everybody else is served in between. There is one job at a
//! time: further ones wait, as do all seeds, and commands that could tell that it is done in part.
//!
//! A seed is taken whole or not at all, also across a crash. It is written into the journal first,
//! part by part, and the last part decides: from then on it will be applied, whatever happens. What
//! is applied already needs no remembering but for the pools that are done with, since to apply a
//! pool again does no harm.

use super::deferred::PoolNames;
use crate::command::{Command, IdList, PoolName, Reply, Seed, Ticket};
use crate::pool::{Dumping, Engine, Listing, Measuring, SeedKind, Seeding, StepBudget};
use crate::store::journal::{PendingSeed, SeedNote, SeedProgress, SeedWriter};
use crate::time::Time;

/// How many names of pools are taken down in a tick.
const NAMES_A_TICK: usize = 10_000;

/// Work that takes several ticks.
#[derive(Debug)]
pub(super) struct SlicedJob {
    pub(super) ticket: Ticket,
    pub(super) stage: JobStage,
    has_journal: bool,
    /// The pools that its seed names, if there are several: none of them is to be seen changed while
    /// another one is not.
    names: PoolNames,
    /// How far its seed has come, as far as the journal knows.
    noted: SeedProgress,
    /// When it goes on, if it has to wait.
    pub(super) not_before: Option<Time>,
}

#[derive(Debug)]
pub(super) enum JobStage {
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

impl SlicedJob {
    /// The job that a large command makes.
    pub(super) fn of(
        ticket: Ticket,
        command: Command<'_>,
        has_journal: bool,
        engine: &Engine,
    ) -> SlicedJob {
        let of_seed = |kind, seed| {
            let seeding = Seeding::new(kind, seed).with_members_now(Seed::default());
            JobStage::Measure(seeding, Measuring::new(kind))
        };
        let stage = match command {
            Command::AddMembers(seed) => of_seed(SeedKind::Adds, seed),
            Command::SetMembers(seed) => of_seed(SeedKind::Sets, seed),
            Command::ListMembers(pool) => {
                JobStage::List(pool.into_owned(), Listing::default(), IdList::default())
            }
            Command::Dump(place) => {
                let dumping = engine.begin_dumping(&place);
                JobStage::Dump(Box::new(dumping.expect("a large pool is there")))
            }
            other => panic!("this is never large: {other:?}"),
        };
        SlicedJob {
            ticket,
            stage,
            has_journal,
            names: PoolNames::default(),
            noted: SeedProgress::default(),
            not_before: None,
        }
    }

    /// A seed that was decided, and applied in part.
    pub(super) fn resume(pending: PendingSeed) -> SlicedJob {
        let PendingSeed {
            kind,
            seed,
            progress,
        } = pending;
        let mut names = PoolNames::default();
        names.add(&seed, usize::MAX);
        SlicedJob {
            ticket: super::INTERNAL,
            stage: JobStage::Apply(Seeding::resume(kind, seed, progress.pools, progress.order)),
            has_journal: true,
            names,
            noted: progress,
            not_before: None,
        }
    }

    /// Whether a command has to wait until the job is done, or further than it is.
    pub(super) fn defers(&self, command: &Command<'_>) -> bool {
        match command {
            seed if is_seed(seed) => return true,
            Command::ListPools(_) | Command::SumPools(_) => {
                return self.is_applied() && self.names.is_several();
            }
            // It may come to any pool.
            Command::Dump(_) => return self.is_applied(),
            _ => {}
        }
        let Some(pool) = command.pool() else {
            return false;
        };
        if self.is_applied() && self.names.has(pool) {
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
        matches!(self.stage, JobStage::Apply(_))
    }

    /// The pool that is being worked on, and whether it is being seeded, which defers all commands. If not, its
    /// members are being listed, and must not change.
    pub(super) fn current_pool(&self) -> Option<(PoolName<'_>, bool)> {
        match &self.stage {
            JobStage::Measure(..) | JobStage::Name(_) | JobStage::Write(..) | JobStage::Done(_) => {
                None
            }
            JobStage::Apply(seeding) => seeding.current_pool(),
            JobStage::List(pool, ..) => Some((pool.clone(), false)),
            JobStage::Dump(dumping) => Some((dumping.pool(), false)),
        }
    }

    /// Does a slice of it. Answers what the journal is to be told.
    pub(super) fn advance(
        &mut self,
        engine: &mut Engine,
        slice: StepBudget,
        now: Time,
    ) -> Option<SeedNote> {
        match &mut self.stage {
            JobStage::Measure(seeding, measuring) => {
                self.stage = match engine.advance_measuring(seeding.seed(), measuring, slice)? {
                    Ok(()) => JobStage::Name(std::mem::take(seeding)),
                    Err(refusal) => JobStage::Done(engine.refuse(refusal)),
                };
                None
            }
            JobStage::Name(seeding) => {
                if self.names.add(seeding.seed(), NAMES_A_TICK) {
                    let seeding = std::mem::take(seeding);
                    self.stage = match self.has_journal {
                        true => JobStage::Write(SeedWriter::default(), seeding),
                        false => JobStage::Apply(seeding),
                    };
                }
                None
            }
            JobStage::Write(parts, seeding) => {
                let part = parts.next(seeding.seed());
                if !part.is_last {
                    return Some(SeedNote::Part(part));
                }
                let kind = seeding.kind();
                self.stage = JobStage::Apply(std::mem::take(seeding));
                Some(SeedNote::LastPart(part, kind))
            }
            JobStage::Apply(seeding) => {
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
                self.stage = JobStage::Done(Reply::Seeded(members_now));
                Some(SeedNote::Done)
            }
            JobStage::List(pool, listing, ids) => {
                let result = engine.advance_listing(pool, listing, ids, slice)?;
                let members = |()| Reply::Members(std::mem::take(ids));
                self.stage = JobStage::Done(result.map_or_else(Reply::Refused, members));
                None
            }
            JobStage::Dump(dumping) => {
                let part = engine.advance_dump(dumping, slice, now)?;
                self.stage = JobStage::Done(Reply::Dumped(Box::new(part)));
                None
            }
            JobStage::Done(_) => None,
        }
    }

    /// Its ticket, and what the members of the pools were that are done with.
    pub(super) fn answer_to(&mut self, ticket: Ticket, members_now: Seed) {
        self.ticket = ticket;
        if let JobStage::Apply(seeding) = &mut self.stage {
            *seeding = std::mem::take(seeding).with_members_now(members_now);
        }
    }

    /// Begins with the pool that may be changed in part, so that nobody is served in it.
    pub(super) fn begin_pool(&mut self, engine: &mut Engine, now: Time) {
        if let JobStage::Apply(seeding) = &mut self.stage {
            engine.advance_seed(seeding, StepBudget::MIN, now);
        }
    }

    /// Whether commands wait for the pool that is being worked on until it is complete.
    pub(super) fn blocks_pool(&self) -> bool {
        !self.names.is_several() && matches!(self.current_pool(), Some((_, true)))
    }

    /// When it goes on.
    pub(super) fn next_turn(&self) -> Time {
        self.not_before.unwrap_or_default()
    }

    /// The journal has failed, and may have the decision that this seed is to be applied.
    pub(super) fn may_be_decided(&self) -> bool {
        match &self.stage {
            JobStage::Measure(..) | JobStage::Name(_) | JobStage::Write(..) => false,
            JobStage::List(..) | JobStage::Dump(_) => false,
            JobStage::Apply(_) => true,
            JobStage::Done(reply) => matches!(reply, Reply::Seeded(_)),
        }
    }

    /// What the members of each pool were once it was complete, as far as is known.
    pub(super) fn take_members_now(&mut self) -> Seed {
        match &mut self.stage {
            JobStage::Apply(seeding) => seeding.take_members_now(),
            JobStage::Done(Reply::Seeded(members_now)) => std::mem::take(members_now),
            _ => Seed::default(),
        }
    }
}
