//! A crash at any moment leaves all of a seed or nothing.

use std::fs;
use std::path::Path;

use latchd::command::{Command, ReleaseCondition, Reply, Seed};
use latchd::pool::StepBudget;
use tempfile::TempDir;

use super::{ANY, StoreClient, acquire, id, pool, seed};

/// Before the seed: A and B have members, some held.
fn prepared(path: &Path, slice: StepBudget) -> StoreClient {
    let mut client = StoreClient::on_file(path, StepBudget::UNLIMITED);
    let members = seed(&[("A", (100..140).collect()), ("B", (0..20).collect())]);
    client.ask(Command::AddMembers(members));
    for name in ["A", "A", "A", "B", "B"] {
        let lock = Command::Acquire(pool(name), acquire(ANY, 0));
        assert!(matches!(client.ask(lock), Reply::Granted(_)));
    }
    let release = Command::Release(pool("A"), id(138), ReleaseCondition::default());
    assert_eq!(client.ask(release), Reply::Done);
    client.replies.clear();
    client.store = client.store.with_slice(slice);
    client
}

/// A large seed of existing pools and a new one; some of its ids exist, some are held, some named
/// twice.
fn large_seed() -> Seed {
    let mut ids: Vec<usize> = (90..150).map(|number| number * 7 % 150).collect();
    ids.extend([5, 137, 139, 5]);
    seed(&[
        ("B", (10..50).rev().collect()),
        ("A", ids),
        ("C", (0..30).collect()),
    ])
}

#[test]
fn a_crash_at_any_moment_leaves_all_of_a_seed_or_nothing() {
    let folder = TempDir::new_in("/dev/shm").expect("a folder in memory");
    let at = |name: &str| folder.path().join(name);
    for (name, command) in [
        ("adds", Command::AddMembers(large_seed())),
        ("sets", Command::SetMembers(large_seed())),
    ] {
        // A crash makes fences skip ahead.
        let crashed = |file: &str| {
            fs::copy(at(file), at("crashed")).expect("the file is copied");
            StoreClient::on_file(&at("crashed"), StepBudget::UNLIMITED).state()
        };
        let file = format!("{name}, whole");
        let mut whole = prepared(&at(&file), StepBudget::UNLIMITED);
        let before = crashed(&file);
        let expected = whole.ask(command.clone());
        let after = crashed(&file);

        let path = at(name);
        let mut sliced = prepared(&path, StepBudget(60));
        let ticket = sliced.submit(command);
        let (mut seen, mut ticks) = ([0, 0], 0);
        loop {
            // The file at this moment is what a crash would leave.
            fs::copy(&path, at("crashed")).expect("the file is copied");
            let again = [StepBudget(60), StepBudget(700), StepBudget::UNLIMITED][ticks % 3];
            let state = StoreClient::on_file(&at("crashed"), again).state();
            let is_after = state == after;
            assert!(is_after || state == before, "{name}, tick {ticks}: {state}");
            seen[usize::from(is_after)] += 1;
            assert!(
                is_after || seen[1] == 0,
                "{name}, tick {ticks}: it was decided"
            );
            if let Some(reply) = sliced.reply(ticket) {
                assert_eq!(reply, expected);
                assert!(is_after, "what is answered is in the file");
                break;
            }
            sliced.tick();
            ticks += 1;
        }
        assert!(seen[0] > 0 && seen[1] > 30, "{name}: {seen:?}");
    }
}
