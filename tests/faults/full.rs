//! A disk that is full and stays so. A file grows before it has space, so a write in its middle fails;
//! parts that have space already can still be written.

use std::num::NonZeroU32;

use latchd::command::{
    Acquire, Command, PoolName, PoolQuery, Refusal, ReleaseCondition, Reply, ResourceId, Seed,
    Selection, Ticket,
};
use latchd::pool::Rules;
use latchd::store::{EmbeddedStore, Journal, Store, Sync};
use latchd::time::Time;

use super::disk::FaultyDisk;

/// A store tries again within this time.
const RETRY_MS: u64 = 1_100;

#[test]
fn a_full_disk_takes_no_more_and_gives_all_that_it_has() {
    for kibibytes in [600, 1000, 1500, 3000] {
        let disk = FaultyDisk::new(kibibytes);
        let mut now = Time::from_ms(1_000_000);
        let mut store = open(&disk, now);
        disk.limit_space(kibibytes as usize * 1024);
        assert_eq!(ask(&mut store, add("held", 1), now), Some(1));
        assert!(matches!(
            reply(&mut store, acquire(), now),
            Reply::Granted(_)
        ));
        let mut count = 1;
        while ask(&mut store, add(&format!("pool-{count}"), 500), now).is_some() {
            count += 1;
            assert!(count < 1000, "it is never full");
        }
        assert!(count > 3, "it is full at once");

        // No space has come free, and it serves again all the same.
        now = now.after_ms(RETRY_MS);
        store.handle_timeout(now);
        assert_eq!(pool_count(&mut store, now), Some(count), "{kibibytes} KiB");
        assert_eq!(
            reply(&mut store, acquire(), now),
            Reply::Refused(Refusal::Busy)
        );
        for _ in 0..20 {
            assert_eq!(
                reply(&mut store, release(), now),
                Reply::Done,
                "{kibibytes} KiB"
            );
            assert!(matches!(
                reply(&mut store, acquire(), now),
                Reply::Granted(_)
            ));
        }

        drop(store);
        disk.cut_power();
        let mut store = open(&disk, now);
        assert_eq!(
            pool_count(&mut store, now),
            Some(count),
            "after a power cut"
        );
        assert_eq!(
            reply(&mut store, acquire(), now),
            Reply::Refused(Refusal::Busy)
        );
    }
}

fn open(disk: &FaultyDisk, now: Time) -> EmbeddedStore {
    let journal = Journal::open_on(disk.into(), Sync::Always).expect("it can be opened");
    EmbeddedStore::with_journal(journal, Rules::default(), now).expect("it can be read")
}

fn reply(store: &mut EmbeddedStore, command: Command<'_>, now: Time) -> Reply {
    store.submit(Ticket::new(0, 0), command, now);
    store.commit(now);
    store.poll_reply().expect("an answer").1
}

/// Returns the number of pools that were added to; `None` if the store is down.
fn ask(store: &mut EmbeddedStore, command: Command<'_>, now: Time) -> Option<usize> {
    match reply(store, command, now) {
        Reply::Seeded(seed) => Some(seed.pool_count()),
        Reply::Refused(Refusal::StoreDown) => None,
        other => panic!("{other:?}"),
    }
}

fn pool_count(store: &mut EmbeddedStore, now: Time) -> Option<usize> {
    match reply(store, Command::ListPools(PoolQuery::ALL), now) {
        Reply::Pools(pools) => Some(pools.len()),
        Reply::Refused(Refusal::StoreDown) => None,
        other => panic!("{other:?}"),
    }
}

fn name(name: &str) -> PoolName<'static> {
    PoolName::parse(name.to_owned()).expect("a name is well formed")
}

fn id(id: &str) -> ResourceId<'static> {
    ResourceId::parse(id.to_owned()).expect("an id is well formed")
}

fn add(pool: &str, count: usize) -> Command<'static> {
    let ids = (0..count).map(|number| id(&format!("{number:090}")));
    Command::AddMembers(Seed::of(&name(pool), ids.collect()))
}

fn acquire() -> Command<'static> {
    let wish = Acquire {
        selection: Selection::Any(NonZeroU32::MIN),
        owner: None,
        ttl: None,
        wait_ms: 0,
        may_queue: true,
    };
    Command::Acquire(name("held"), wish)
}

fn release() -> Command<'static> {
    Command::Release(
        name("held"),
        id(&format!("{:090}", 0)),
        ReleaseCondition::default(),
    )
}
