//! The Redis store beside the engine: both get the same operations, and both must give the same
//! answers.
//!
//! With one server, Redis must equal the engine in everything, fences, leases and the order of
//! lending included.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use latchd::command::{Command, PoolQuery, Reply, Ticket};
use latchd::pool::Lending;
use latchd::pool::Rules;
use latchd::store::Store;
use latchd::time::Time;

use super::clocked_store::{self, ClockedStore, START_MS};
use super::difference;
use super::duel::{Between, Duel};
use super::model::Model;
use super::operations::{self, Operation, Operations};
use super::shrink::{self, Failure, caught};
use crate::support::PATIENCE;
use crate::support::redis::RedisServer;

/// Goes through these steps of one seed. `redis` is for this one alone as long as it lasts.
/// Adds the drawn arguments of operations to `drawn`.
pub fn run(
    redis: &RedisServer,
    seed: u64,
    steps: &[usize],
    drawn: &Mutex<BTreeSet<String>>,
) -> Result<(), Failure> {
    let rules = Rules {
        // Redis does not know the number of waiters in other pools: each server counts its own.
        max_waiters: 100_000,
        // Nor how many resources there are in all.
        max_resources: usize::MAX,
        // It ends more in one go than is ever due here.
        max_ends: 500,
        ..operations::rules(&mut fastrand::Rng::with_seed(seed))
    };
    let store = BesideRedis::connect(redis, rules, seed);
    let mut duel = Duel::new(rules, store);
    let mut log = Vec::new();
    for &step in steps {
        let (model, now) = (&duel.model, duel.now);
        let operation = Operations {
            source: &mut shrink::numbers(seed, step),
            model,
            now,
        }
        .draw();
        for operation in in_small_steps(operation, &duel.model, duel.now) {
            log.push(duel.describe(&operation));
            if let Err(difference) = caught(|| duel.step(&operation)) {
                return Err(Failure { difference, log });
            }
        }
    }
    let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
    drawn.extend(clocked_store::drawn(redis));
    Ok(())
}

/// Splits an operation so that all deadlines are handled when they are due: the engine may be late,
/// and starts a lease then, but Redis is not late in the same way.
fn in_small_steps(operation: Operation, model: &Model, now: u64) -> Vec<Operation> {
    match operation {
        Operation::Restart => Vec::new(),
        // Redis computes no sums of invisible pools.
        Operation::Execute(Command::Survey(_)) => {
            vec![Operation::Execute(Command::ListPools(PoolQuery::ALL))]
        }
        Operation::Seed(sliced) => {
            let all = sliced.seed.pool_count();
            vec![Operation::Execute(sliced.command(all))]
        }
        Operation::Pass(ms) => match model.next_timeout().map(|due| due.saturating_sub(now)) {
            Some(until_due) if until_due <= ms => {
                vec![Operation::Pass(until_due), Operation::HandleTimeout]
            }
            _ => vec![Operation::Pass(ms)],
        },
        other => vec![other],
    }
}

/// A Redis store that gets the engine's operations.
struct BesideRedis {
    redis: ClockedStore,
    now: u64,
    serial: u64,
    operation: Operation,
    /// The engine's answers since the last comparison.
    expected: Vec<(Ticket, Reply)>,
    /// The engine's counts.
    counts: Lending,
    /// The commands since then whose results no client gets.
    unheard: Vec<Ticket>,
    /// The number of further operations that leave for Redis together.
    together: u32,
    source: fastrand::Rng,
}

impl BesideRedis {
    fn connect(redis: &RedisServer, rules: Rules, seed: u64) -> BesideRedis {
        redis.order(&["FLUSHALL"]);
        redis.count_from_one("pool:");
        BesideRedis {
            redis: ClockedStore::connect(redis, rules, "pool:"),
            now: START_MS,
            serial: 0,
            operation: Operation::HandleTimeout,
            expected: Vec::new(),
            counts: Lending::default(),
            unheard: Vec::new(),
            together: 0,
            source: fastrand::Rng::with_seed(seed),
        }
    }

    /// Submits the engine's operation to the store.
    fn tell(&mut self) {
        let now = Time::from_ms(self.now);
        self.serial += 1;
        let ticket = Ticket::new(self.serial, 0);
        match &self.operation {
            Operation::Execute(command) => {
                if matches!(command, Command::Undo(..)) {
                    self.unheard.push(ticket);
                }
                self.redis.store.submit(ticket, command.clone(), now);
            }
            Operation::Withdraw(ticket) => self.redis.store.withdraw(*ticket, now),
            Operation::HandleTimeout => self.redis.store.handle_timeout(now),
            Operation::Pass(_) | Operation::Restart | Operation::Seed(_) => self.live_until_now(),
        }
    }

    /// Whether it leaves for Redis together with others, like requests of different clients in one
    /// tick.
    fn goes_with_others(&self) -> bool {
        let Operation::Execute(command) = &self.operation else {
            return false;
        };
        let takes_one_pool = !matches!(command, Command::Purge);
        takes_one_pool && (!command.blocks() || matches!(command, Command::Acquire(..)))
    }

    /// Takes all that the store answers, and compares it.
    fn compare(&mut self) {
        let mut answers = Vec::new();
        self.redis.settle(&mut answers);
        let mut expected = std::mem::take(&mut self.expected);
        let is_heard = |(ticket, _): &(Ticket, Reply)| !self.unheard.contains(ticket);
        expected.retain(is_heard);
        answers.retain(is_heard);
        // Grants to other clients come on a connection of their own, and may come later.
        let end = Instant::now() + PATIENCE;
        while answers.len() < expected.len() && Instant::now() < end {
            self.redis.take_events(Duration::from_millis(20));
            self.redis.settle(&mut answers);
            answers.retain(|(ticket, _)| !self.unheard.contains(ticket));
        }
        for answers in [&mut answers, &mut expected] {
            answers.sort_by_key(|(ticket, _)| ticket.serial());
        }
        self.unheard.clear();
        if let Some(difference) = difference::first(&answers, "engine", &expected) {
            panic!("Redis answers {difference}");
        }
    }

    /// Handles the store's deadlines between two operations, such as signs of life.
    fn live_until_now(&mut self) {
        let until = Time::from_ms(self.now);
        while let Some(due) = self.redis.store.next_timeout().filter(|due| *due < until) {
            self.redis.show(due.as_ms());
            self.redis.store.handle_timeout(due);
            self.redis.settle(&mut Vec::new());
        }
        self.redis.show(self.now);
    }
}

impl Between for BesideRedis {
    fn operation(&mut self, operation: &Operation, _: &Model) -> Operation {
        self.operation = operation.clone();
        if !self.goes_with_others() {
            // Earlier commands do not leave later.
            self.compare();
            let Lending {
                granted, released, ..
            } = self.redis.store.figures().lending;
            let counts = (self.counts.granted, self.counts.released);
            assert_eq!(
                (granted, released),
                counts,
                "what Redis and the engine count"
            );
            self.together = 0;
        }
        operation.clone()
    }

    fn now(&mut self, now: u64, _: &Model) -> u64 {
        self.now = now;
        now
    }

    fn counts(&mut self, counts: &Lending) {
        self.counts = *counts;
    }

    fn answers(&mut self, engine: &mut Vec<(Ticket, Reply)>, _: &Model) {
        self.tell();
        self.expected.extend(engine.iter().cloned());
        if self.together > 0 && self.goes_with_others() {
            self.together -= 1;
        } else {
            self.compare();
            self.together = self.source.u32(0..8);
        }
    }
}
