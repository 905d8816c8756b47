//! Simulations under a virtual clock, many seeds each.
//!
//! `LATCHD_SEEDS=n` runs so many seeds of each; `LATCHD_SEED=n` runs that one alone.

mod beside_redis;
mod clients;
mod duel;
mod journal;
mod ledger;
mod model;
mod model_lock;
mod model_pool;
mod mutations;
mod operations;
mod server;
mod sink;
mod watch;
mod wire;

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};

use duel::{Between, Duel, Honest};
use operations::{Operations, Source};

/// What a normal run goes through.
const ENGINE_SEEDS: u64 = 2_000;
const SESSION_SEEDS: u64 = 1_000;
const REDIS_SEEDS: u64 = 100;
const STEPS: usize = 300;

impl Source for fastrand::Rng {
    fn below(&mut self, end: u32) -> u32 {
        self.u32(0..end)
    }
}

#[test]
fn the_engine_does_what_the_model_does() {
    for_each_seed(ENGINE_SEEDS, |seed| run_engine(seed, Honest));
}

#[test]
fn redis_does_what_the_engine_does() {
    let redis = crate::support::redis::RedisServer::start();
    for_each_seed_on(1, REDIS_SEEDS, |seed| {
        beside_redis::run(&redis, seed, STEPS)
    });
}

#[test]
fn sessions_keep_the_promises_over_a_bad_network() {
    for_each_seed(SESSION_SEEDS, |seed| clients::run(seed, None));
}

/// Runs one seed. If engine and model differ, says how and after which operations.
fn run_engine(seed: u64, between: impl Between) -> Result<(), String> {
    let mut source = fastrand::Rng::with_seed(seed);
    let mut duel = Duel::new(operations::rules(&mut source), between);
    let mut last = VecDeque::new();
    for step in 0..STEPS {
        let (model, now) = (&duel.model, duel.now);
        let operation = Operations {
            source: &mut source,
            model,
            now,
        }
        .draw();
        last.push_back(format!("{step} at {now}: {operation:?}"));
        if last.len() > 30 {
            last.pop_front();
        }
        caught(|| duel.step(&operation)).map_err(|difference| {
            let last = Vec::from(last.clone()).join("\n");
            format!("{last}\n{difference}\nmodel: {:?}", duel.model)
        })?;
    }
    Ok(())
}

/// A panic is a failure like any other, so that it is told with its seed and what led to it.
pub fn caught(act: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let result = panic::catch_unwind(AssertUnwindSafe(act));
    result.unwrap_or_else(|_| Err("it has panicked, see above".into()))
}

/// Runs the seeds on all cores, and fails with the first that fails.
pub fn for_each_seed(count: u64, run: impl Fn(u64) -> Result<(), String> + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for_each_seed_on(threads, count, run);
}

fn for_each_seed_on(threads: usize, count: u64, run: impl Fn(u64) -> Result<(), String> + Sync) {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    if let Some(seed) = number("LATCHD_SEED") {
        return run(seed).unwrap_or_else(|failure| panic!("{failure}\nseed {seed}"));
    }
    let count = number("LATCHD_SEEDS").unwrap_or(count);
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
                        panic!("{failure}\nLATCHD_SEED={seed} runs this again");
                    }
                }
            });
        }
    });
}
