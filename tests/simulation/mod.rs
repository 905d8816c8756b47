//! Simulations under a virtual clock, many seeds each.
//!
//! `LATCHD_SEEDS=n` runs this many seeds of each; `LATCHD_SEED=n` runs that one alone.

mod beside_redis;
mod clients;
mod clocked_store;
mod difference;
mod duel;
mod journal;
mod ledger;
mod model;
mod model_lock;
mod model_pool;
mod mutations;
mod operations;
mod paths;
mod server;
pub mod shrink;
mod watch;
mod wire;
mod witness;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use duel::{Between, Duel, Honest};
use operations::{Operations, Source};
use shrink::{Failure, caught};

/// The numbers of seeds and steps of a normal run.
const ENGINE_SEEDS: u64 = 2_000;
const SESSION_SEEDS: u64 = 1_000;
const REDIS_SEEDS: u64 = 100;
const STEPS: usize = 300;

impl Source for fastrand::Rng {
    fn below(&mut self, end: u32) -> u32 {
        self.u32(0..end)
    }
}

/// Many seeds of one simulation.
pub struct Simulation {
    /// The filter that runs it alone.
    pub test: &'static str,
    pub seed_count: u64,
    pub step_count: usize,
}

#[test]
fn the_engine_does_what_the_model_does() {
    let simulation = Simulation {
        test: "simulation::the_engine_does",
        seed_count: ENGINE_SEEDS,
        step_count: STEPS,
    };
    simulation.run(|seed, steps| run_engine(seed, steps, Honest));
}

#[test]
fn redis_does_what_the_engine_does() {
    let redis = crate::support::redis::RedisServer::start();
    let simulation = Simulation {
        test: "simulation::redis_does",
        seed_count: REDIS_SEEDS,
        step_count: STEPS,
    };
    let drawn = Mutex::default();
    simulation.run_on(1, |seed, steps| {
        beside_redis::run(&redis, seed, steps, &drawn)
    });
    if ["LATCHD_SEED", "LATCHD_SEEDS"]
        .iter()
        .all(|name| std::env::var_os(name).is_none())
    {
        check_drawn(&drawn.into_inner().unwrap_or_default());
    }
}

/// Checks that the stories draw each argument of each operation, with a value and without. A mistake in an argument
/// that they never draw would not be found.
fn check_drawn(drawn: &BTreeSet<String>) {
    // Only after a reply that was lost, a server that counted as dead, or with very many locks: `tests/redis` has all.
    let elsewhere = [
        "K",
        "K lost_batch with",
        "A had_place = 1",
        "x",
        "x fences with",
    ];
    let mut missing = clocked_store::drawable();
    missing.retain(|one| !drawn.contains(one) && !elsewhere.contains(&one.as_str()));
    assert!(missing.is_empty(), "the stories never draw {missing:?}");
}

#[test]
fn sessions_keep_the_promises_over_a_bad_network() {
    let simulation = Simulation {
        test: "simulation::sessions_keep",
        seed_count: SESSION_SEEDS,
        step_count: clients::STEPS,
    };
    simulation.run(|seed, steps| clients::run(seed, steps, None));
}

/// Runs these steps of one seed, until engine and model differ.
fn run_engine(seed: u64, steps: &[usize], between: impl Between) -> Result<(), Failure> {
    let rules = operations::rules(&mut fastrand::Rng::with_seed(seed));
    let mut duel = Duel::new(rules, between);
    let mut log = Vec::new();
    for &step in steps {
        let (model, now) = (&duel.model, duel.now);
        let operation = Operations {
            source: &mut shrink::numbers(seed, step),
            model,
            now,
        }
        .draw();
        log.push(duel.describe(&operation));
        if let Err(difference) = caught(|| duel.step(&operation)) {
            return Err(Failure { difference, log });
        }
    }
    Ok(())
}

impl Simulation {
    /// Runs the seeds on all cores, and fails with the first that fails.
    pub fn run(&self, run: impl Fn(u64, &[usize]) -> Result<(), Failure> + Sync) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        self.run_on(threads, run);
    }

    fn run_on(&self, threads: usize, run: impl Fn(u64, &[usize]) -> Result<(), Failure> + Sync) {
        let features = if cfg!(feature = "tls") {
            "--features tls "
        } else {
            ""
        };
        let run = |seed| {
            let result = shrink::tell(self.step_count, |steps| run(seed, steps));
            result.map_err(|failure| {
                let test = self.test;
                format!(
                    "{failure}\nrun it again: LATCHD_SEED={seed} cargo test {features}--test latchd {test}"
                )
            })
        };
        let number = |name| {
            std::env::var(name)
                .ok()
                .and_then(|text| text.parse::<u64>().ok())
        };
        if let Some(seed) = number("LATCHD_SEED") {
            return run(seed).unwrap_or_else(|failure| panic!("{failure}"));
        }
        let count = number("LATCHD_SEEDS").unwrap_or(self.seed_count);
        let next = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= count {
                            return;
                        }
                        if let Err(failure) = run(seed) {
                            next.store(count, Ordering::Relaxed);
                            panic!("{failure}");
                        }
                    }
                });
            }
        });
    }
}
