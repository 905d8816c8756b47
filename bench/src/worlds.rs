//! Engines in a given state, and steps that can be repeated without changing its size. Time is a
//! counter.

use std::{collections::VecDeque, hint::black_box, num::NonZeroU32};

use latchd::{
    command::{
        Acquire, Command, Filter, Granted, OwnerName, PoolName, PoolQuery, ReleaseCondition, Reply,
        ResourceId, Seed, Selection, StoredName, Ticket, Ttl,
    },
    pool::{Change, Engine, Rules, Snapshot},
    time::{Deadlines, Time},
};

/// A repeatable operation.
pub type WorldStep = Box<dyn FnMut()>;

/// Longer than any measurement, so that no wait or lease ends unintentionally.
const FOREVER_MS: u64 = 1 << 50;

pub struct World {
    engine: Engine,
    /// A reused buffer for the changes of a command.
    spare: Vec<Change>,
    now_ms: u64,
    next_serial: u64,
    pub random: Random,
}

impl World {
    /// Creates an empty world. With `noted` changes are noted, and drained after each command, as
    /// for a journal.
    pub fn new(noted: bool) -> Self {
        let rules = Rules {
            max_waiters: usize::MAX,
            max_pool_waiters: usize::MAX,
            max_pools: usize::MAX,
            max_resources: usize::MAX,
            max_pool_resources: usize::MAX,
            max_wait_ms: FOREVER_MS,
            ..Rules::default()
        };
        let engine = match noted {
            true => Engine::restore(Snapshot::default(), rules, Time::default()),
            false => Engine::new(rules),
        };
        Self {
            engine,
            spare: Vec::new(),
            now_ms: 0,
            next_serial: 0,
            random: Random(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// Creates one pool whose lending order does not follow its memory.
    pub fn with_resources(noted: bool, resources: u32) -> Self {
        let mut world = Self::new(noted);
        world.set_members("A", resources);
        let mut ids: Vec<StoredName> = (0..resources).map(|_| world.take(None, None)).collect();
        world.random.shuffle(&mut ids);
        ids.iter().for_each(|id| world.release(id));
        world
    }

    fn set_members(&mut self, pool: &str, resources: u32) {
        let ids = (0..resources).map(|number| {
            let mut buffer = [0; 8];
            ResourceId::parse(name(b'r', number, &mut buffer).to_owned()).expect("a good id")
        });
        let ids = ids.collect();
        self.ask(Command::SetMembers(Seed::of(&pool_name(pool), ids)));
    }

    fn ticket(&mut self) -> Ticket {
        self.next_serial += 1;
        Ticket::new(self.next_serial, 0)
    }

    fn ask(&mut self, command: Command<'_>) -> Option<Reply> {
        let ticket = self.ticket();
        let now = Time::from_ms(self.now_ms);
        let reply = self.engine.execute(ticket, command, now);
        let mut changes = self.engine.take_changes(std::mem::take(&mut self.spare));
        changes.drain(..).for_each(|change| {
            black_box(change);
        });
        self.spare = changes;
        reply
    }

    /// Acquires the next resource of pool A, which must be free.
    fn take(&mut self, owner: Option<u32>, ttl: Option<Ttl>) -> StoredName {
        id_of(self.acquire("A", Selection::Any(NonZeroU32::MIN), owner, ttl, 0))
    }

    fn acquire(
        &mut self,
        pool: &str,
        selection: Selection<'_>,
        owner: Option<u32>,
        ttl: Option<Ttl>,
        wait_ms: u64,
    ) -> Option<Reply> {
        let mut buffer = [0; 8];
        let owner = owner.map(|number| owner_name(number, &mut buffer));
        let acquire = Acquire {
            selection,
            owner,
            ttl,
            wait_ms,
            may_queue: true,
        };
        self.ask(Command::Acquire(pool_name(pool), acquire))
    }

    fn wait_for_any(&mut self, owner: Option<u32>) -> Option<Reply> {
        self.acquire(
            "A",
            Selection::Any(NonZeroU32::MIN),
            owner,
            None,
            FOREVER_MS,
        )
    }

    fn wait_for(&mut self, resource: u32) -> Option<Reply> {
        let mut buffer = [0; 8];
        let id = ResourceId::parse(name(b'r', resource, &mut buffer)).expect("a good id");
        self.acquire("A", Selection::Named(id), None, None, FOREVER_MS)
    }

    fn release(&mut self, id: &str) {
        self.release_in("A", id);
    }

    fn release_in(&mut self, pool: &str, id: &str) {
        let id = ResourceId::parse(id).expect("a good id");
        let reply = self.ask(Command::Release(
            pool_name(pool),
            id,
            ReleaseCondition::default(),
        ));
        assert_eq!(reply, Some(Reply::Done));
    }

    fn held(&mut self) -> usize {
        match self.ask(Command::ListPools(PoolQuery::ALL)) {
            Some(Reply::Pools(pools)) => pools.iter().map(|pool| pool.held).sum(),
            _ => unreachable!("a list was asked for"),
        }
    }
}

/// Keeps half of the pool held by owners with leases; acquires and releases one of the rest.
pub fn take_and_release(noted: bool, resources: u32) -> WorldStep {
    let mut world = half_held(noted, resources);
    Box::new(move || {
        let id = world.take(None, None);
        world.release(&id);
    })
}

/// Acquires and releases always the same resource, which is named.
pub fn take_and_release_the_same(resources: u32) -> WorldStep {
    let mut world = half_held(false, resources);
    let id = world.take(None, None);
    world.release(&id);
    Box::new(move || {
        let selection = Selection::Named(ResourceId::parse(&*id).expect("a good id"));
        id_of(world.acquire("A", selection, None, None, 0));
        world.release(&id);
    })
}

/// Repeats the request of an owner that holds a resource, any owner or always the same.
pub fn renew(noted: bool, resources: u32, always_the_same: bool) -> WorldStep {
    let mut world = half_held(noted, resources);
    let ttl = Ttl::from_s(Ttl::MAX_S);
    Box::new(move || {
        let owner = match always_the_same {
            true => resources / 4,
            false => world.random.below(resources / 2),
        };
        black_box(world.take(Some(owner), ttl));
        world.now_ms += 1;
    })
}

/// Acquires a resource, and releases all that its owner holds.
pub fn release_by_owner(noted: bool, resources: u32) -> WorldStep {
    let mut world = half_held(noted, resources);
    Box::new(move || {
        let owner = world.random.below(resources);
        world.take(Some(resources + owner), None);
        let mut buffer = [0; 8];
        let filter = Filter {
            owner: Some(owner_name(resources + owner, &mut buffer)),
            older_s: None,
        };
        let reply = world.ask(Command::ReleaseAll(pool_name("A"), filter));
        assert_eq!(reply, Some(Reply::Released(1)));
    })
}

fn half_held(noted: bool, resources: u32) -> World {
    let mut world = World::with_resources(noted, resources);
    for owner in 0..resources / 2 {
        world.take(Some(owner), Ttl::from_s(Ttl::MAX_S));
    }
    world
}

/// Ends a lease in each step, and begins another: half of the pool is held.
pub fn expire_and_take(noted: bool, resources: u32) -> WorldStep {
    let mut world = World::with_resources(noted, resources);
    let held = u64::from(resources / 2);
    // A ttl has whole seconds, so few leases must begin further apart.
    let step_ms = 1000_u64.div_ceil(held);
    let ttl_ms = held * step_ms;
    assert!(ttl_ms.is_multiple_of(1000), "{resources} make no whole ttl");
    let ttl = Ttl::from_s((ttl_ms / 1000) as u32);
    let step = move |world: &mut World| {
        world.now_ms += step_ms;
        black_box(world.take(None, ttl));
    };
    (0..2 * held).for_each(|_| step(&mut world));
    // A lease lasts to the end of the millisecond in which its length is over: one step longer.
    assert_eq!(
        world.held() as u64,
        held + 1,
        "one ends for one that begins"
    );
    Box::new(move || step(&mut world))
}

/// Removes the first of `count` deadlines, and sets it again as the last.
pub fn end_and_set(count: u32) -> WorldStep {
    let mut deadlines = Deadlines::default();
    let mut now_ms = 0;
    let mut set = move |deadlines: &mut Deadlines, key: usize| {
        now_ms += 1;
        deadlines.set(key, Time::from_ms(now_ms));
    };
    (0..count as usize).for_each(|key| set(&mut deadlines, key));
    Box::new(move || {
        let key = deadlines.pop_due(Time::from_ms(u64::MAX));
        set(&mut deadlines, key.expect("there is one"));
    })
}

/// Holds all, with `waiters` queued for any resource. Each step releases one, which the first
/// waiter is granted, and queues another waiter. Without waiters the new request is granted at
/// once.
pub fn hand_over(noted: bool, resources: u32, waiters: u32) -> WorldStep {
    let mut world = World::with_resources(noted, resources);
    let mut held: VecDeque<StoredName> = (0..resources).map(|_| world.take(None, None)).collect();
    for _ in 0..waiters {
        world.now_ms += 1;
        assert_eq!(world.wait_for_any(None), None);
    }
    Box::new(move || {
        world.now_ms += 1;
        let id = held.pop_front().expect("all is held");
        world.release(&id);
        let at_once = world.wait_for_any(None);
        let later = world.engine.poll_answer().map(|(_, reply)| reply);
        assert!(at_once.is_some() != later.is_some());
        held.push_back(id_of(at_once.or(later)));
    })
}

/// Hands over as above, but each waiter names a resource.
pub fn hand_over_named(noted: bool, resources: u32, waiters: u32) -> WorldStep {
    let mut world = World::with_resources(noted, resources);
    (0..resources).for_each(|_| {
        world.take(None, None);
    });
    let mut line: VecDeque<u32> = VecDeque::new();
    for _ in 0..waiters {
        let resource = world.random.below(resources);
        world.now_ms += 1;
        assert_eq!(world.wait_for(resource), None);
        line.push_back(resource);
    }
    Box::new(move || {
        world.now_ms += 1;
        let resource = line.pop_front().expect("a waiter is queued");
        let mut buffer = [0; 8];
        world.release(name(b'r', resource, &mut buffer));
        id_of(world.engine.poll_answer().map(|(_, reply)| reply));
        assert_eq!(world.wait_for(resource), None);
        line.push_back(resource);
    })
}

/// Repeats the request of the last waiter, an owner, on another connection. Those before it wait
/// for any resource, or each for one that it names.
pub fn ask_again_while_queued(resources: u32, waiters: u32, named: bool) -> WorldStep {
    let mut world = World::with_resources(false, resources);
    (0..resources).for_each(|_| {
        world.take(None, None);
    });
    for _ in 1..waiters {
        let resource = world.random.below(resources);
        let reply = match named {
            true => world.wait_for(resource),
            false => world.wait_for_any(None),
        };
        assert_eq!(reply, None);
    }
    assert_eq!(world.wait_for_any(Some(0)), None);
    Box::new(move || {
        assert_eq!(world.wait_for_any(Some(0)), None);
        assert!(world.engine.poll_answer().is_some(), "the older is told");
    })
}

/// Acquires and releases one resource, in one of `pools`, any or always the same.
pub fn in_pools(noted: bool, pools: u32, always_the_same: bool) -> WorldStep {
    let mut world = World::new(noted);
    let mut buffer = [0; 8];
    for pool in 0..pools {
        world.set_members(name(b'p', pool, &mut buffer), 4);
    }
    Box::new(move || {
        let pool = match always_the_same {
            true => pools / 2,
            false => world.random.below(pools),
        };
        let mut buffer = [0; 8];
        let pool = name(b'p', pool, &mut buffer);
        let id = id_of(world.acquire(pool, Selection::Any(NonZeroU32::MIN), None, None, 0));
        world.release_in(pool, &id);
    })
}

fn id_of(reply: Option<Reply>) -> StoredName {
    match reply {
        Some(Reply::Granted(Granted { leases, .. })) => leases[0].id.clone(),
        other => panic!("a grant was to be had, not {other:?}"),
    }
}

fn pool_name(name: &str) -> PoolName<'_> {
    PoolName::parse(name).expect("a good name")
}

fn owner_name(number: u32, buffer: &mut [u8; 8]) -> OwnerName<'_> {
    OwnerName::parse(name(b'o', number, buffer)).expect("a good name")
}

/// Formats a letter and seven digits: of the same length, and made in the same time, for each
/// number.
pub fn name(letter: u8, number: u32, buffer: &mut [u8; 8]) -> &str {
    let mut rest = number;
    for digit in buffer[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    buffer[0] = letter;
    std::str::from_utf8(buffer).expect("it is ASCII")
}

/// A random generator, good enough to spread accesses over memory, and always the same.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(bound)) >> 32) as u32
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}
