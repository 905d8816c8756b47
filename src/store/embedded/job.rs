//! Work that is too large for one tick: large seeds, and listing and dumping large pools.
//!
//! Each tick does a slice of it, and all other clients are served in between. There is one job at a time:
//! further ones wait, as do all seeds, and commands that could observe a part of it.
//!
//! A seed is applied whole or not at all, even across a crash. It is first written to the journal part by part,
//! and the last part decides: from then on the seed will be applied, whatever happens. Of its progress only the
//! finished pools are recorded, since applying a pool again does no harm.

use super::deferred::PoolNames;
use crate::command::{Command, IdList, PoolName, Reply, Seed, Ticket};
use crate::pool::{Dumping, Engine, Listing, Measuring, SeedKind, Seeding, StepBudget};
use crate::store::journal::{PendingSeed, SeedNote, SeedProgress, SeedWriter};
use crate::time::Time;

/// The most pool names that one tick records.
const NAMES_A_TICK: usize = 10_000;

/// Work that takes several ticks.
#[derive(Debug)]
pub(super) struct SlicedJob {
    pub(super) ticket: Ticket,
    pub(super) stage: JobStage,
    has_journal: bool,
    /// The pools that its seed names, if there are several: no command may observe one changed and another not.
    names: PoolNames,
    /// The progress of its seed that the journal has.
    noted: SeedProgress,
    /// The time at which it continues; `None` means at once.
    pub(super) not_before: Option<Time>,
}

#[derive(Debug)]
pub(super) enum JobStage {
    /// Checks a seed against the limits.
    Measure(Seeding, Measuring),
    /// Records the pools of a seed.
    Name(Seeding),
    /// Writes a seed to the journal, part by part.
    Write(SeedWriter, Seeding),
    Apply(Seeding),
    List(PoolName<'static>, Listing, IdList),
    Dump(Box<Dumping>),
    /// Done; this answer leaves once the journal has the last note.
    Done(Reply),
}

/// Returns true if a command adds or sets members.
pub(super) fn is_seed(command: &Command<'_>) -> bool {
    matches!(
        command,
        Command::AddMembers(_) | Command::SetMembers(_) | Command::Restore(_)
    )
}

/// Returns true if a command costs more than a slice.
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
    /// Makes the job of a large command. Panics if the command is of a kind that is never large.
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

    /// Continues a seed that was decided and applied in part.
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

    /// Returns true if a command must wait until the job is done, or has come further.
    pub(super) fn defers(&self, command: &Command<'_>) -> bool {
        match command {
            seed if is_seed(seed) => return true,
            Command::ListPools(_) | Command::SumPools(_) => {
                return self.is_applied() && self.names.is_several();
            }
            // A dump may reach any pool.
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

    /// Returns true if its seed has begun to change pools.
    fn is_applied(&self) -> bool {
        matches!(self.stage, JobStage::Apply(_))
    }

    /// The current pool, and whether it is being seeded, which defers all commands about it. Otherwise its
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

    /// Does a slice of the job. Returns the note for the journal.
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

    /// Sets the ticket to answer, and the members of the pools that are done.
    pub(super) fn answer_to(&mut self, ticket: Ticket, members_now: Seed) {
        self.ticket = ticket;
        if let JobStage::Apply(seeding) = &mut self.stage {
            *seeding = std::mem::take(seeding).with_members_now(members_now);
        }
    }

    /// Begins the pool that may be changed in part, so that no waiter in it is served.
    pub(super) fn begin_pool(&mut self, engine: &mut Engine, now: Time) {
        if let JobStage::Apply(seeding) = &mut self.stage {
            engine.advance_seed(seeding, StepBudget::MIN, now);
        }
    }

    /// Returns true if commands wait only until the current pool is complete.
    pub(super) fn blocks_pool(&self) -> bool {
        !self.names.is_several() && matches!(self.current_pool(), Some((_, true)))
    }

    /// The time at which it continues; the epoch means at once.
    pub(super) fn next_turn(&self) -> Time {
        self.not_before.unwrap_or_default()
    }

    /// Returns true if the failed journal may have the decision to apply this seed.
    pub(super) fn may_be_decided(&self) -> bool {
        match &self.stage {
            JobStage::Measure(..) | JobStage::Name(_) | JobStage::Write(..) => false,
            JobStage::List(..) | JobStage::Dump(_) => false,
            JobStage::Apply(_) => true,
            JobStage::Done(reply) => matches!(reply, Reply::Seeded(_)),
        }
    }

    /// Takes the members of each pool once it was complete, as far as known.
    pub(super) fn take_members_now(&mut self) -> Seed {
        match &mut self.stage {
            JobStage::Apply(seeding) => seeding.take_members_now(),
            JobStage::Done(Reply::Seeded(members_now)) => std::mem::take(members_now),
            _ => Seed::default(),
        }
    }
}
