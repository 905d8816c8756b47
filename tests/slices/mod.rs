//! Large work in slices, on a store without a server: requests meanwhile are answered as if it had
//! been done in one go. A crash at any moment leaves all of a seed or nothing.

mod crashes;
mod leases;
mod orders;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;

use latchd::command::{
    Acquire, Command, PoolName, PoolQuery, Refusal, ReleaseCondition, Reply, ResourceId, Seed,
    Selection, Ticket, Ttl,
};
use latchd::pool::{Rules, StepBudget};
use latchd::store::{EmbeddedStore, Journal, Store, Sync};
use latchd::time::Time;
use tempfile::TempDir;

const POOLS: [&str; 3] = ["A", "B", "C"];

fn pool(name: &str) -> PoolName<'static> {
    PoolName::parse(name.to_owned()).expect("a good name")
}

fn id(number: usize) -> ResourceId<'static> {
    ResourceId::parse(number.to_string()).expect("a good id")
}

fn seed(pools: &[(&str, Vec<usize>)]) -> Seed {
    let mut seed = Seed::default();
    for (name, ids) in pools {
        seed.add_pool(&pool(name));
        ids.iter().for_each(|&number| seed.add_id(&id(number)));
    }
    seed
}

fn acquire(selection: Selection<'static>, wait_ms: u64) -> Acquire<'static> {
    Acquire {
        selection,
        owner: None,
        ttl: None,
        wait_ms,
        may_queue: true,
    }
}

const ANY: Selection<'static> = Selection::Any(NonZeroU32::MIN);

/// A store with its client.
struct StoreClient {
    store: EmbeddedStore,
    now: Time,
    serial: u64,
    replies: BTreeMap<u64, Reply>,
}

impl StoreClient {
    fn of(store: EmbeddedStore) -> StoreClient {
        StoreClient {
            store,
            now: Time::from_ms(1_000_000),
            serial: 0,
            replies: BTreeMap::new(),
        }
    }

    fn in_memory(slice: StepBudget) -> StoreClient {
        StoreClient::of(EmbeddedStore::in_memory(Rules::default()).with_slice(slice))
    }

    /// A server that starts on this file.
    fn on_file(path: &Path, slice: StepBudget) -> StoreClient {
        let journal = Journal::open(path, Sync::Always).expect("the file is opened");
        let now = Time::from_ms(1_000_000);
        let store = EmbeddedStore::with_journal(journal, Rules::default(), now);
        let mut store = store.expect("the file is read").with_slice(slice);
        let prepared = store.prepare(false, None, now);
        assert_eq!(prepared, Ok(()), "a start without orders works");
        StoreClient::of(store)
    }

    fn submit(&mut self, command: Command<'static>) -> Ticket {
        self.serial += 1;
        let ticket = Ticket::new(self.serial, 0);
        self.store.submit(ticket, command, self.now);
        ticket
    }

    fn tick(&mut self) {
        self.store.handle_timeout(self.now);
        self.store.commit(self.now);
        while let Some((ticket, reply)) = self.store.poll_reply() {
            let before = self.replies.insert(ticket.serial(), reply);
            assert_eq!(before, None, "{ticket:?} is answered twice");
        }
    }

    /// Whether it has work for the next tick at once.
    fn is_busy(&self) -> bool {
        self.store.next_timeout() == Some(Time::default())
    }

    /// Ticks until there is nothing left to do. Answers how many it took.
    fn settle(&mut self) -> usize {
        let mut ticks = 1;
        self.tick();
        while self.is_busy() {
            self.tick();
            ticks += 1;
            assert!(ticks < 100_000, "it comes to an end");
        }
        ticks
    }

    fn reply(&mut self, ticket: Ticket) -> Option<Reply> {
        self.replies.remove(&ticket.serial())
    }

    fn ask(&mut self, command: Command<'static>) -> Reply {
        let ticket = self.submit(command);
        self.settle();
        self.reply(ticket).expect("a settled store has answered")
    }

    /// Submits a command, and returns its reply after one tick.
    fn ask_once(&mut self, command: Command<'static>) -> Reply {
        let ticket = self.submit(command);
        self.tick();
        self.reply(ticket).expect("it is answered at once")
    }

    /// All that others can see, and the order in which all that is free is lent.
    fn state(&mut self) -> String {
        let mut seen = format!("{:?}", self.ask(Command::ListPools(PoolQuery::ALL)));
        for name in POOLS {
            let members = self.ask(Command::ListMembers(pool(name)));
            let locks = self.ask(Command::ListLocks(pool(name)));
            seen += &format!("\n{members:?}\n{locks:?}");
            if let (Reply::Members(members), Reply::Leases(locks)) = (members, locks) {
                let is_free =
                    |id: &ResourceId<'_>| locks.iter().all(|lock| *lock.id != *id.as_str());
                let free = members.iter().filter(is_free).count();
                if let Some(count) = NonZeroU32::new(free as u32) {
                    let all = acquire(Selection::Any(count), 0);
                    let lent = self.ask(Command::Acquire(pool(name), all));
                    assert!(
                        matches!(lent, Reply::Granted(_)),
                        "{count} are free: {lent:?}"
                    );
                    seen += &format!("\n{lent:?}");
                }
            }
        }
        seen
    }
}

/// A lease ends and a wait is over while the pool is being seeded: the freed resource goes to the
/// waiter, and the new ones are lent in their order.
#[test]
fn what_ends_while_a_pool_is_seeded_is_dealt_with_once_it_is_complete() {
    let mut client = StoreClient::in_memory(StepBudget(40));
    client.ask(Command::AddMembers(seed(&[("A", vec![1, 2])])));
    let mut lease = acquire(ANY, 0);
    lease.ttl = Ttl::from_s(1);
    assert!(matches!(
        client.ask(Command::Acquire(pool("A"), lease)),
        Reply::Granted(_)
    ));
    client.ask(Command::Acquire(pool("A"), acquire(ANY, 0)));
    let three = Selection::Any(NonZeroU32::MIN.saturating_add(2));
    let refused = client.ask(Command::Acquire(pool("A"), acquire(three.clone(), 500)));
    assert_eq!(refused, Reply::Refused(Refusal::OnlyResources(2)));
    let first = client.submit(Command::Acquire(
        pool("A"),
        acquire(Selection::Named(id(2)), 500),
    ));
    let second = client.submit(Command::Acquire(pool("A"), acquire(ANY, 400)));
    let third = client.submit(Command::Acquire(pool("A"), acquire(ANY, 300)));
    client.tick();

    let seeding = client.submit(Command::AddMembers(seed(&[("A", (3..103).collect())])));
    for _ in 0..4 {
        client.tick();
    }
    let held = client.submit(Command::Acquire(pool("A"), acquire(three, 0)));
    assert!(client.store.is_deferred(held), "the pool is not complete");
    let listing = client.ask_once(Command::ListPools(PoolQuery::ALL));
    assert!(
        format!("{listing:?}").contains("resources: 2"),
        "{listing:?}"
    );
    // The lease of 2 ends, and the time of all waiters is over.
    client.now = client.now.after_ms(1_500);
    client.tick();
    for ticket in [first, second, third] {
        assert_eq!(client.reply(ticket), None, "the pool is not complete");
    }
    client.settle();
    let mut lent = |ticket| match client.reply(ticket) {
        Some(Reply::Granted(granted)) => {
            let ids = granted.leases.iter().map(|lease| lease.id.to_string());
            ids.collect::<Vec<_>>()
        }
        other => panic!("{ticket:?} is answered {other:?}"),
    };
    assert_eq!(lent(first), ["2"]);
    assert_eq!(lent(second), ["102"]);
    assert_eq!(lent(third), ["101"]);
    assert_eq!(lent(held), ["100", "99", "98"]);
    assert!(matches!(client.reply(seeding), Some(Reply::Seeded(_))));
}

/// The limits on counts are checked in slices, too, and exactly: a seed that names an id twice adds
/// it once, and one that sets members frees the places of others.
#[test]
fn a_large_seed_that_there_is_no_room_for_changes_nothing() {
    let rules = Rules {
        max_resources: 100,
        max_pool_resources: 80,
        ..Rules::default()
    };
    for slice in [StepBudget(30), StepBudget::UNLIMITED] {
        let mut client = StoreClient::of(EmbeddedStore::in_memory(rules).with_slice(slice));
        let mut add = |pools: &[(&str, Vec<usize>)]| client.ask(Command::AddMembers(seed(pools)));
        let full = Reply::Refused(Refusal::TooManyResources);
        let is_seeded = |reply: Reply| matches!(reply, Reply::Seeded(_));
        assert!(is_seeded(add(&[("A", (0..50).collect())])));
        assert_eq!(add(&[("B", (0..51).collect())]), full, "in all");
        assert_eq!(add(&[("A", (40..81).collect())]), full, "of one pool");
        let twice = (0..100).map(|number| number % 50).collect();
        assert!(is_seeded(add(&[
            ("B", twice),
            ("A", (0..50).rev().collect())
        ])));
        assert_eq!(add(&[("C", vec![1]), ("A", (0..50).collect())]), full);
        let lock = Command::Acquire(pool("A"), acquire(Selection::Named(id(3)), 0));
        assert!(matches!(client.ask(lock), Reply::Granted(_)));
        // 3 is held, so it stays beside the 50 that replace it.
        let mut set = |ids| client.ask(Command::SetMembers(seed(&[("A", ids)])));
        assert_eq!(set((50..100).collect()), full);
        assert!(is_seeded(set((50..99).collect())));
        let listing = format!("{:?}", client.ask(Command::ListPools(PoolQuery::ALL)));
        assert!(!listing.contains("\"C\""), "{listing}");
    }
}

/// A store does a bounded part of a large seed in each tick, and all else at once.
#[test]
fn each_tick_does_a_part_of_a_large_seed_and_all_else() {
    let folder = TempDir::new_in("/dev/shm").expect("a folder in memory");
    let rules = Rules::default();
    let journal = Journal::open(&folder.path().join("file"), Sync::Always).expect("a file");
    let on_file = EmbeddedStore::with_journal(journal, rules, Time::from_ms(1_000_000));
    let stores = [
        EmbeddedStore::in_memory(rules),
        on_file.expect("it is empty"),
    ];
    for store in stores {
        let mut client = StoreClient::of(store);
        client.ask(Command::AddMembers(seed(&[("B", vec![1])])));
        let ticket = client.submit(Command::AddMembers(seed(&[("A", (0..20_000).collect())])));
        let mut ticks = 0;
        while client.reply(ticket).is_none() {
            let lent = client.ask_once(Command::Acquire(pool("B"), acquire(ANY, 0)));
            assert!(matches!(lent, Reply::Granted(_)), "{lent:?}");
            let given_back = client.ask_once(Command::Release(
                pool("B"),
                id(1),
                ReleaseCondition::default(),
            ));
            assert_eq!(given_back, Reply::Done);
            ticks += 2;
        }
        // At most 4,000 ids a tick.
        assert!(ticks >= 5, "{ticks}");
    }
}
