//! A new store whose creation is cut short, at each of its steps.

use latchd::store::{Journal, Sync};

use super::disk::FaultyDisk;

/// Which writes reach the disk before a power cut is a matter of chance.
const SEEDS: u64 = 12;

#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    PowerCut,
}

#[test]
fn a_creation_that_is_cut_short_leaves_nothing_that_the_next_start_refuses() {
    for sync in [Sync::Always, Sync::Interval, Sync::Never] {
        for end in [End::Kill, End::PowerCut] {
            for seed in 0..SEEDS {
                let steps = (0..).find(|steps| is_created_within(*steps, sync, end, seed));
                assert!(steps.is_some_and(|steps| steps > 5), "{steps:?} steps");
            }
        }
    }
}

/// Ends a creation after this many steps and opens the result. Returns whether the creation was complete by
/// then.
fn is_created_within(steps: u32, sync: Sync, end: End, seed: u64) -> bool {
    let disk = FaultyDisk::new(seed);
    disk.kill_process_after(steps);
    let journal = Journal::open_on((&disk).into(), sync);
    let is_created = !disk.has_process_ended();
    match end {
        End::Kill => disk.kill_process(),
        End::PowerCut => disk.cut_power(),
    }
    drop(journal);
    let opened = Journal::open_on((&disk).into(), sync);
    let context = format!("{sync:?}, {end:?} after {steps} steps, seed {seed}");
    let journal = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(!is_created || !journal.is_new(), "{context}: it is lost");
    is_created
}
