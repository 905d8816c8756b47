//! Operations of the lock engine, in a pool of 1,000 resources.

use latchd::command::{
    Acquire, Command, OwnerName, PoolName, ReleaseCondition, Reply, ResourceId, Seed, Selection,
    StoredName, Ticket, Ttl,
};
use latchd::pool::{Engine, Rules};
use latchd::time::Time;
use std::num::NonZeroU32;

use crate::{Measured, Step};

pub const MEASURED: &[Measured] = &[
    ("engine: acquire and release", || {
        acquire_and_release(None, None)
    }),
    ("engine: acquire and release, owner and ttl", || {
        acquire_and_release(Some("greenhouse-7"), Ttl::from_s(90))
    }),
    ("engine: an owner asks again", asked_again),
    ("engine: hand-over to a waiter", hand_over),
];

const RESOURCES: usize = 1000;

fn acquire_and_release(owner: Option<&'static str>, ttl: Option<Ttl>) -> Step {
    let mut world = World::new(RESOURCES);
    Box::new(move |_| {
        let id = world.acquire(owner, ttl, 0).expect("one is free");
        world.release(&id, owner);
    })
}

fn asked_again() -> Step {
    let mut world = World::new(RESOURCES);
    Box::new(move |_| {
        let held = world.acquire(Some("greenhouse-7"), Ttl::from_s(90), 0);
        assert!(held.is_some());
    })
}

/// Builds a step in which all is held: a waiter queues, and is granted the released resource.
fn hand_over() -> Step {
    let mut world = World::new(RESOURCES);
    let mut held: Vec<StoredName> = (0..RESOURCES)
        .map(|_| world.acquire(None, None, 0).expect("one is free"))
        .collect();
    Box::new(move |step| {
        let place = step % RESOURCES;
        assert!(world.acquire(None, None, 60_000).is_none());
        world.release(&held[place], None);
        let answer = world.engine.poll_answer();
        let Some((_, Reply::Granted(granted))) = answer else {
            unreachable!("a waiter is served: {answer:?}")
        };
        held[place] = granted.leases[0].id.clone();
    })
}

struct World {
    engine: Engine,
    now_ms: u64,
    next_serial: u64,
}

impl World {
    fn new(resources: usize) -> World {
        let mut world = World {
            engine: Engine::new(Rules::default()),
            now_ms: 0,
            next_serial: 0,
        };
        let id = |number: usize| {
            ResourceId::parse_stored(number.to_string()).expect("a number is an id")
        };
        let members = (0..resources).map(id).collect();
        world.execute(Command::AddMembers(Seed::of(&pool(), members)));
        world
    }

    /// Acquires a resource. Returns `None` if the request is queued.
    fn acquire(
        &mut self,
        owner: Option<&str>,
        ttl: Option<Ttl>,
        wait_ms: u64,
    ) -> Option<StoredName> {
        let acquire = Acquire {
            selection: Selection::Any(NonZeroU32::MIN),
            owner: owner.map(name),
            ttl,
            wait_ms,
            may_queue: true,
        };
        match self.execute(Command::Acquire(pool(), acquire))? {
            Reply::Granted(granted) => Some(granted.leases[0].id.clone()),
            other => unreachable!("a lock is granted: {other:?}"),
        }
    }

    fn release(&mut self, id: &str, owner: Option<&str>) {
        let id = ResourceId::parse_stored(id).expect("it was granted");
        let condition = ReleaseCondition {
            owner: owner.map(name),
            ..ReleaseCondition::default()
        };
        let reply = self.execute(Command::Release(pool(), id, condition));
        assert_eq!(reply, Some(Reply::Done));
    }

    fn execute(&mut self, command: Command<'_>) -> Option<Reply> {
        // Leases restart at a later time, as in practice.
        self.now_ms += 1;
        self.next_serial += 1;
        let ticket = Ticket::new(self.next_serial, 0);
        self.engine
            .execute(ticket, command, Time::from_ms(self.now_ms))
    }
}

fn pool() -> PoolName<'static> {
    PoolName::parse_stored("A").expect("this is a name")
}

fn name(owner: &str) -> OwnerName<'_> {
    OwnerName::parse(owner).expect("this is a name")
}
