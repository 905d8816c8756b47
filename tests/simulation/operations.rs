//! The operations of the simulation on an engine, drawn from any source of numbers: a seeded
//! generator, or the input of a fuzzer.

use std::num::NonZeroU32;

use latchd::command::{
    Acquire, Command, Fence, Filter, NamePart, OwnerName, PoolName, PoolQuery, ReleaseCondition,
    Renewal, ResourceId, Seed, Selection, Ticket, Ttl,
};
use latchd::pool::{Rules, SeedKind, StepBudget};

use super::model::Model;

const POOLS: [&str; 3] = ["A", "B", "C"];
const IDS: [&str; 6] = ["1", "2", "3", "4", "5", "6"];
const OWNERS: [&str; 5] = ["anna", "bert", "carl", "dora", "emil"];

/// One step of a simulation.
#[derive(Clone, Debug)]
pub enum Operation {
    Execute(Command<'static>),
    Seed(SlicedSeed),
    Withdraw(Ticket),
    /// Time passes, and the engine does not know it yet.
    Pass(u64),
    /// The engine gets the time.
    HandleTimeout,
    /// The engine is rebuilt from its journal.
    Restart,
}

/// A seed that is applied in slices of this size.
#[derive(Clone, Debug)]
pub struct SlicedSeed {
    pub kind: SeedKind,
    pub seed: Seed,
    pub slice: StepBudget,
    /// After this many slices the engine is rebuilt from its journal, and continues.
    pub crash_after: Option<u32>,
}

impl SlicedSeed {
    /// The same in one go, of the first pools alone.
    pub fn command(&self, pool_count: usize) -> Command<'static> {
        let mut seed = self.seed.clone();
        seed.truncate(pool_count);
        match self.kind {
            SeedKind::Adds => Command::AddMembers(seed),
            SeedKind::Sets => Command::SetMembers(seed),
        }
    }
}

/// A source of numbers.
pub trait Source {
    /// A number from 0 to `end` - 1.
    fn below(&mut self, end: u32) -> u32;

    fn one_in(&mut self, chances: u32) -> bool {
        self.below(chances) == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T
    where
        Self: Sized,
    {
        all[self.below(all.len() as u32) as usize]
    }
}

/// Draws operations that fit the state of the model: most of them have an effect.
pub struct Operations<'a, S> {
    pub source: &'a mut S,
    pub model: &'a Model,
    pub now: u64,
}

/// The rules that an operator may have set.
pub fn rules(source: &mut impl Source) -> Rules {
    Rules {
        default_ttl: source.one_of(&[None, Ttl::from_s(3)]),
        max_wait_ms: source.one_of(&[300_000, 4_000]),
        max_waiters: source.one_of(&[100_000, 100_000, 4]),
        max_pool_waiters: source.one_of(&[10_000, 10_000, 2]),
        max_pools: source.one_of(&[100_000, 100_000, 2]),
        max_resources: source.one_of(&[1_000_000, 1_000_000, 8]),
        max_pool_resources: source.one_of(&[1_000_000, 1_000_000, 4]),
        queue_grace_ms: source.one_of(&[10_000, 1_500]),
        max_ends: source.one_of(&[500, 1, 3]),
    }
}

impl<S: Source> Operations<'_, S> {
    pub fn draw(&mut self) -> Operation {
        let command = match self.source.below(100) {
            0..34 => Command::Acquire(self.pool(), self.acquire()),
            34..40 => self.renew(),
            40..43 => Command::RenewOwned(self.pool(), self.renewal(None)),
            43..57 => self.release(),
            57..60 => Command::ReleaseAll(self.pool(), self.filter()),
            60..62 => self.undo(),
            62 if self.now.is_multiple_of(2) => Command::Survey((self.now / 2 % 4) as usize),
            62 => self.look_at_pools(),
            63 => Command::ListMembers(self.pool()),
            64 if self.now.is_multiple_of(2) => Command::ListWaiters(self.pool()),
            64 => Command::ListLocks(self.pool()),
            65 => Command::ShowLock(self.pool(), self.id()),
            66..68 => Command::AddMembers(self.seed()),
            68..70 => Command::SetMembers(self.seed()),
            70..74 => return Operation::Seed(self.sliced_seed()),
            74 if self.source.one_in(2) => Command::RemovePool(self.pool()),
            74 if self.source.one_in(3) => Command::Purge,
            74..81 => return Operation::Withdraw(self.waiting_ticket()),
            81..97 => return Operation::Pass(self.pause_ms()),
            97 => return Operation::HandleTimeout,
            _ if self.source.one_in(4) => return Operation::Restart,
            _ => Command::AddMembers(self.seed()),
        };
        Operation::Execute(command)
    }

    /// A list or a sum of some or all pools.
    fn look_at_pools(&self) -> Command<'static> {
        let choice = self.now / 2 % 12;
        let contains = match choice % 4 {
            0 => NamePart::parse("b"),
            _ => None,
        };
        match choice {
            0..4 => Command::SumPools(contains),
            _ => Command::ListPools(PoolQuery {
                contains,
                limit: NonZeroU32::new((choice % 3) as u32),
            }),
        }
    }

    fn pool(&mut self) -> PoolName<'static> {
        // Most operations are on one pool.
        let name = self.source.one_of(&["A", "A", "A", "B", "B", "C"]);
        PoolName::parse(name).expect("a pool's name is well formed")
    }

    fn id(&mut self) -> ResourceId<'static> {
        ResourceId::parse(self.source.one_of(&IDS)).expect("an id is well formed")
    }

    fn owner(&mut self) -> Option<OwnerName<'static>> {
        let name = self.source.one_of(&OWNERS);
        (!self.source.one_in(3)).then(|| OwnerName::parse(name).expect("it is well formed"))
    }

    fn acquire(&mut self) -> Acquire<'static> {
        let selection = match self.source.below(10) {
            0..4 => Selection::Any(NonZeroU32::MIN),
            4..6 => Selection::Any(NonZeroU32::MIN.saturating_add(1)),
            6 if self.source.one_in(3) => Selection::All,
            6 => Selection::Any(NonZeroU32::MIN.saturating_add(2)),
            _ => Selection::Named(self.id()),
        };
        Acquire {
            selection,
            owner: self.owner(),
            ttl: self.ttl(),
            wait_ms: self
                .source
                .one_of(&[0, 0, 1_000, 2_000, 5_000, 5_000, 400_000]),
            may_queue: !self.source.one_in(12),
        }
    }

    fn ttl(&mut self) -> Option<Ttl> {
        let seconds = self.source.one_of(&[0, 1, 2, 2, 5, 60]);
        Ttl::from_s(seconds)
    }

    /// A resource that is held in this pool, if there is one.
    fn held(&mut self, pool: &PoolName<'_>) -> Option<(ResourceId<'static>, u64, Option<String>)> {
        let model = self.model;
        let pool = model
            .pools
            .iter()
            .find(|other| &*other.name == pool.as_str())?;
        let locks = pool.locks.iter();
        let held: Vec<_> = locks
            .flat_map(|lock| lock.ids.iter().map(move |id| (lock, id)))
            .collect();
        if held.is_empty() {
            return None;
        }
        let (lock, id) = held[self.source.below(held.len() as u32) as usize];
        let id = ResourceId::parse(id.to_string()).ok()?;
        Some((id, lock.fence, lock.owner.as_deref().map(str::to_owned)))
    }

    /// A target to renew or release: a held resource with its owner, most of the time.
    fn target(&mut self, pool: &PoolName<'_>) -> (ResourceId<'static>, Renewal<'static>) {
        let held = self.held(pool);
        let (id, mut renewal) = match held {
            Some((id, fence, owner)) if !self.source.one_in(6) => {
                let owner = owner.and_then(|owner| OwnerName::parse(owner).ok());
                (
                    id,
                    Renewal {
                        owner,
                        ..self.renewal(Some(fence))
                    },
                )
            }
            _ => (self.id(), self.renewal(None)),
        };
        if self.source.one_in(6) {
            renewal.owner = self.owner();
        }
        (id, renewal)
    }

    fn renewal(&mut self, fence: Option<u64>) -> Renewal<'static> {
        let right = fence.unwrap_or_else(|| u64::from(self.source.below(30)));
        let off = u64::from(self.source.one_in(3));
        Renewal {
            owner: self.owner(),
            fence: self
                .source
                .one_in(4)
                .then(|| Fence::from_number(right + off)),
            ttl: self.ttl(),
        }
    }

    fn renew(&mut self) -> Command<'static> {
        let pool = self.pool();
        let (id, renewal) = self.target(&pool);
        Command::Renew(pool, id, renewal)
    }

    fn release(&mut self) -> Command<'static> {
        let pool = self.pool();
        let (id, Renewal { owner, fence, .. }) = self.target(&pool);
        let force = self.source.one_in(8);
        Command::Release(
            pool,
            id,
            ReleaseCondition {
                owner,
                fence,
                force,
            },
        )
    }

    fn undo(&mut self) -> Command<'static> {
        let pool = self.pool();
        match self.held(&pool) {
            Some((id, fence, _)) => Command::Undo(pool, id, Fence::from_number(fence)),
            None => Command::Undo(pool, self.id(), Fence::from_number(1)),
        }
    }

    fn filter(&mut self) -> Filter<'static> {
        Filter {
            owner: self.owner(),
            older_s: self.source.one_of(&[None, Some(0), Some(1), Some(3)]),
        }
    }

    fn seed(&mut self) -> Seed {
        let names = match self.source.below(5) {
            0 => &POOLS[..2],
            1 => &POOLS[1..2],
            2 => &POOLS[2..],
            _ => &POOLS[..1],
        };
        let mut seed = Seed::default();
        for &name in names {
            seed.add_pool(&PoolName::parse(name).expect("a pool's name is well formed"));
            let count = self.source.below(6);
            (0..count).for_each(|_| seed.add_id(&self.id()));
        }
        seed
    }

    fn sliced_seed(&mut self) -> SlicedSeed {
        SlicedSeed {
            kind: self.source.one_of(&[SeedKind::Adds, SeedKind::Sets]),
            seed: self.seed(),
            slice: StepBudget(1 + self.source.below(40) as usize),
            crash_after: self.source.one_in(4).then(|| 1 + self.source.below(20)),
        }
    }

    fn waiting_ticket(&mut self) -> Ticket {
        let tickets: Vec<Ticket> = self.model.waiters().filter_map(|w| w.ticket).collect();
        match tickets.len() {
            0 => Ticket::new(u64::from(self.source.below(100)), 0),
            _ => self.source.one_of(&tickets),
        }
    }

    fn pause_ms(&mut self) -> u64 {
        let until_due = self
            .model
            .next_timeout()
            .map_or(0, |due| due.saturating_sub(self.now));
        match self.source.below(10) {
            0..3 => until_due,
            3..5 => until_due.saturating_sub(1),
            5 => until_due + 1,
            6..9 => u64::from(self.source.below(1_500)),
            _ => u64::from(self.source.below(15_000)),
        }
    }
}
