//! Faults below the journal: failed writes, reads and syncs, full disks, killed processes, and power
//! cuts, by a plan that a seed decides.
//!
//! Every answered change is there afterwards, nothing is lent twice, no fence returns, and once the
//! disk is well the service resumes.

mod creation;
mod disk;
mod fences;
mod full;
mod ledger;
mod port;
mod story;

use std::collections::BTreeMap;
use std::sync::Mutex;

use disk::Fault;
use story::Story;

use crate::simulation::Simulation;

/// The seeds of a normal run.
const SEEDS: u64 = 400;
const STEPS: usize = 120;

#[test]
fn a_disk_that_fails_loses_nothing_that_was_answered() {
    let fired: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let simulation = Simulation {
        test: "faults::a_disk_that_fails",
        seed_count: SEEDS,
        step_count: STEPS,
    };
    simulation.run(|seed, steps| {
        for fault in Story::new(seed).run(steps)? {
            let mut fired = fired.lock().expect("no holder panics");
            *fired.entry(format!("{fault:?}")).or_default() += 1;
        }
        Ok(())
    });
    let fired = fired.into_inner().expect("no holder panics");
    eprintln!("the disk has failed: {fired:?}");
    let is_one = std::env::var_os("LATCHD_SEED").is_some();
    assert!(
        is_one || fired.len() == Fault::ALL.len(),
        "each fault has happened"
    );
}
