//! No fence comes again after an end that was not orderly, even if the last commit is lost with it.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use latchd::command::{
    Acquire, Command, Filter, PoolName, Refusal, Reply, ResourceId, Seed, Selection, Ticket,
};
use latchd::pool::Rules;
use latchd::store::{EmbeddedStore, Journal, Store, Sync};
use latchd::time::Time;

use super::disk::{Fault, FaultyDisk};

const NOW: Time = Time::from_ms(1_000_000);

fn opened(journal: Journal) -> EmbeddedStore {
    EmbeddedStore::with_journal(journal, Rules::default(), NOW).expect("it can be read")
}

fn on_file(path: &Path) -> EmbeddedStore {
    opened(Journal::open(path, Sync::Always).expect("it can be opened"))
}

fn pool() -> PoolName<'static> {
    PoolName::parse("A").expect("a name is well formed")
}

/// Carries out commands in one commit.
fn ask_together(store: &mut EmbeddedStore, commands: Vec<Command<'_>>) -> Vec<Reply> {
    for (serial, command) in (0..).zip(commands) {
        store.submit(Ticket::new(serial, 0), command, NOW);
    }
    store.commit(NOW);
    std::iter::from_fn(|| store.poll_reply().map(|(_, reply)| reply)).collect()
}

fn add(count: usize) -> Command<'static> {
    let id = |number: usize| ResourceId::parse(number.to_string()).expect("an id");
    Command::AddMembers(Seed::of(&pool(), (0..count).map(id).collect()))
}

fn acquire() -> Command<'static> {
    let wish = Acquire {
        selection: Selection::Any(NonZeroU32::MIN),
        owner: None,
        ttl: None,
        wait_ms: 0,
        may_queue: true,
    };
    Command::Acquire(pool(), wish)
}

/// The fences of all that was granted.
fn fences(replies: &[Reply]) -> Vec<u64> {
    let fence = |reply: &Reply| match reply {
        Reply::Granted(granted) => Some(granted.leases[0].fence.number()),
        _ => None,
    };
    replies.iter().filter_map(fence).collect()
}

/// A damaged last commit leaves the file as it was one commit before.
#[test]
fn no_fence_comes_again_when_the_last_commit_is_lost() {
    let folder = tempfile::TempDir::new_in("/dev/shm").expect("a folder in memory");
    let at = |name: &str| folder.path().join(name);
    let mut random = fastrand::Rng::with_seed(11);
    let mut store = on_file(&at("store"));
    ask_together(&mut store, vec![add(400)]);
    for round in 0..30 {
        fs::copy(at("store"), at("before")).expect("a copy");
        let count = random.usize(1..400);
        let replies = ask_together(&mut store, vec![acquire(); count]);
        let given: HashSet<u64> = fences(&replies).into_iter().collect();
        assert_eq!(given.len(), count);

        let mut before = on_file(&at("before"));
        let again = fences(&ask_together(&mut before, vec![acquire(); 400]));
        assert_eq!(again.len(), 400);
        let twice = again.iter().find(|fence| given.contains(fence));
        assert_eq!(twice, None, "round {round}");
        ask_together(
            &mut store,
            vec![Command::ReleaseAll(pool(), Filter::default())],
        );
    }
}

/// A pool that was created and lent from in the lost commit is created again.
#[test]
fn no_fence_comes_again_when_the_creation_of_a_pool_is_lost() {
    let folder = tempfile::TempDir::new_in("/dev/shm").expect("a folder in memory");
    let at = |name: &str| folder.path().join(name);
    let mut store = on_file(&at("store"));
    fs::copy(at("store"), at("before")).expect("a copy");
    let given = fences(&ask_together(
        &mut store,
        vec![add(3), acquire(), acquire()],
    ));
    assert_eq!(given, [1, 2]);
    let again = ask_together(&mut on_file(&at("before")), vec![add(3), acquire()]);
    assert_eq!(fences(&again), [1001]);
}

#[test]
fn fences_go_on_without_a_gap_after_an_orderly_end() {
    let folder = tempfile::TempDir::new_in("/dev/shm").expect("a folder in memory");
    let path = folder.path().join("store");
    let mut store = on_file(&path);
    ask_together(&mut store, vec![add(9)]);
    for fence in 1..9 {
        assert_eq!(fences(&ask_together(&mut store, vec![acquire()])), [fence]);
        assert!(store.close());
        drop(store);
        store = on_file(&path);
    }
    drop(store);
    assert_eq!(
        fences(&ask_together(&mut on_file(&path), vec![acquire()])),
        [1001]
    );
}

/// A commit with more grants than the ceiling was ahead of must not be the last one when it is answered.
#[test]
fn thousands_of_grants_at_once_are_followed_by_a_second_commit() {
    for (count, has_second) in [(400, false), (2000, true)] {
        let disk = FaultyDisk::new(1);
        let mut store = opened(Journal::open_on((&disk).into(), Sync::Always).expect("a disk"));
        ask_together(&mut store, vec![add(2000)]);
        // The file is as large as it will be.
        for _ in 0..3 {
            ask_together(&mut store, vec![acquire(); 400]);
            ask_together(
                &mut store,
                vec![Command::ReleaseAll(pool(), Filter::default())],
            );
        }
        disk.break_down(Fault::Sync, 1, 1);
        let replies = ask_together(&mut store, vec![acquire(); count]);
        let is_refused = |reply: &Reply| *reply == Reply::Refused(Refusal::StoreDown);
        assert_eq!(replies.iter().all(is_refused), has_second, "{count}");
        assert_eq!(fences(&replies).is_empty(), has_second, "{count}");
    }
}
