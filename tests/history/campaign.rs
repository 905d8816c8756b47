//! A campaign: clients work over several servers on one Redis, or over one on a file. All of them are hurt in
//! every way, and the answers must be those of a lock server that keeps its promises.
//!
//! `LATCHD_FULL=1` makes it longer, `LATCHD_SEED=n` is as near to the same again as threads allow.

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::call::{Asked, Call, CallAnswer, History, Selection};
use super::chaos::{Cluster, Ground, REDIS_TIMEOUT_S};
use super::check::{Verdict, check};
use super::rounds::{self, Hall};
use super::wire::{Caller, Clock, ServerAddresses};
use super::workers::{LONGEST_TTL_S, POOLS, clean, force, work};
use crate::support::PATIENCE;

const WORKERS: usize = 8;
const HOSTS: usize = 2;
const DURATION: Duration = Duration::from_millis(3_500);
/// Faults of a file take longer.
const DURATION_ON_FILE: Duration = Duration::from_secs(10);
const ROUNDS_IN_FULL: usize = 8;
const DURATION_IN_FULL: Duration = Duration::from_secs(15);

#[test]
fn two_servers_keep_the_promises_through_faults() {
    keep_the_promises(Ground::Redis, 2);
}

#[test]
fn three_servers_keep_the_promises_through_faults() {
    keep_the_promises(Ground::Redis, 3);
}

#[test]
fn a_server_on_a_file_keeps_the_promises_through_faults() {
    keep_the_promises(Ground::File, 1);
}

fn keep_the_promises(ground: Ground, servers: usize) {
    let is_full = env::var("LATCHD_FULL").is_ok_and(|value| value == "1");
    let (rounds, duration) = match is_full {
        true => (ROUNDS_IN_FULL, DURATION_IN_FULL),
        false if ground == Ground::File => (1, DURATION_ON_FILE),
        false => (1, DURATION),
    };
    let seed = env::var("LATCHD_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    let mut seed = seed.unwrap_or_else(|| fastrand::u64(..));
    for _ in 0..rounds {
        let campaign = Campaign {
            ground,
            servers,
            seed,
            duration,
        };
        campaign.run_and_check();
        seed = seed.wrapping_add(1);
    }
}

/// The condition that ends a campaign.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Until the cut calls are over.
    Faults,
    /// Nothing was cut off.
    Calm,
    /// Nothing: the pools are in no good order.
    Meddled,
}

/// The record of a campaign.
pub struct Recorded {
    pub history: History,
    /// The faults of processes, with their times.
    log: Vec<(u64, String)>,
    /// Why it did not come to rest, if it did not.
    rest: Result<(), String>,
}

impl Recorded {
    /// Fails unless everything was as it must be.
    #[track_caller]
    pub fn assert_clean(&self, label: &str) -> Verdict {
        let verdict = check(&self.history);
        if !verdict.violations.is_empty() {
            let log = self.log.iter();
            log.for_each(|(at, what)| eprintln!("{at:>10} {what}"));
        }
        verdict.assert_clean(&self.history, label);
        if let Err(reason) = &self.rest {
            panic!("{label}: {reason}");
        }
        verdict
    }
}

pub struct Campaign {
    pub ground: Ground,
    pub servers: usize,
    pub seed: u64,
    pub duration: Duration,
}

impl Campaign {
    fn run_and_check(&self) {
        let (ground, servers, seed) = (self.ground, self.servers, self.seed);
        let recorded = self.run(Ending::Faults, |cluster, _, random| {
            cluster.suffer(self.duration, random);
            Vec::new()
        });
        let label = format!("{ground:?}, servers: {servers}, LATCHD_SEED={seed}");
        let verdict = recorded.assert_clean(&label);
        eprintln!("{label}: {}", in_words(&recorded, &verdict));
        // On a file a queue may never last as long as it takes to watch it.
        let is_watched = ground == Ground::File || verdict.queued_pairs > 0;
        let is_busy = verdict.grants > 30 && is_watched;
        assert!(is_busy, "there is something to check: {verdict:?}");
    }

    /// Lets all clients work during `happen`, which may make calls of its own. Then lets all come to rest,
    /// and returns the calls and the faults.
    pub fn run(
        &self,
        ending: Ending,
        happen: impl FnOnce(&mut Cluster<'_>, &Hall<'_>, &mut Rng) -> Vec<Call>,
    ) -> Recorded {
        let (ground, servers, seed) = (self.ground, self.servers, self.seed);
        eprintln!("{ground:?}, servers: {servers}, LATCHD_SEED={seed}");
        let mut random = Rng::with_seed(seed);
        let clock = Clock(Instant::now());
        let (addresses, started) = (ServerAddresses::default(), AtomicUsize::new(0));
        let mut cluster = Cluster::start(ground, servers, clock, &addresses, &started);
        let hall = Hall {
            clock,
            addresses: &addresses,
            pools: AtomicUsize::new(0),
            clients: AtomicUsize::new(0),
        };
        seed_pools(&mut hall.caller(&mut random));
        let mut history = History {
            sizes: POOLS.map(|(pool, size)| (pool.to_owned(), size)).into(),
            ..History::default()
        };

        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for _ in 0..WORKERS {
                let caller = hall.caller(&mut random);
                threads.push(scope.spawn(|| (work(caller, &stop), Vec::new())));
            }
            let caller = hall.caller(&mut random);
            threads.push(scope.spawn(|| (clean(caller, &stop), Vec::new())));
            for _ in 0..HOSTS {
                let random = random.fork();
                threads.push(scope.spawn(|| rounds::hold(&hall, random, &stop)));
            }
            let end = AtTheEnd(&stop);
            history.calls = happen(&mut cluster, &hall, &mut random);
            drop(end);
            for thread in threads {
                let (calls, rooms) = thread.join().expect("a client's checks hold");
                history.calls.extend(calls);
                history.sizes.extend(rooms);
            }
        });
        if ending == Ending::Faults {
            wait_for_quiet();
        }
        let mut rest = Ok(());
        if ending != Ending::Meddled {
            history.quiet_from = Some(clock.now());
            if ending == Ending::Faults {
                // Until every lease is over, for certain.
                thread::sleep(Duration::from_millis(1_000 * (LONGEST_TTL_S + 1) + 200));
            }
            let mut caller = hall.caller(&mut random);
            rest = come_to_rest(&mut caller, &mut cluster);
            history.calls.append(&mut caller.calls);
        }
        rest = rest.and_then(|()| cluster.end());
        history.disturbances.append(&mut cluster.disturbances);
        Recorded {
            history,
            log: cluster.log,
            rest,
        }
    }
}

/// Stops all clients, also after a failure.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn seed_pools(caller: &mut Caller<'_>) {
    for (pool, size) in POOLS {
        let ids: Vec<String> = (1..=size).map(|id| format!("\"{id}\"")).collect();
        caller.order(&format!("POST /pool/{pool} [{}]", ids.join(",")));
    }
}

/// Waits until nothing is under way any more.
fn wait_for_quiet() {
    // A script that comes later than a server waits for its answer does nothing.
    thread::sleep(Duration::from_millis(1_000 * REDIS_TIMEOUT_S + 300));
}

/// Lists the remaining locks, frees them, and acquires everything at once: nothing is lost. The error says
/// what prevents that.
fn come_to_rest(caller: &mut Caller<'_>, cluster: &mut Cluster<'_>) -> Result<(), String> {
    for (pool, size) in POOLS {
        wait_for_empty_queue(caller, cluster, pool)?;
        let Some(CallAnswer::Leases(left)) = caller.call(pool, Asked::List) else {
            return Err(format!("{pool} cannot be listed when all is quiet"));
        };
        for lease in left {
            force(caller, pool, lease.id, lease.fence);
        }
        let all = Asked::Acquire {
            selection: Selection::Any(size),
            owner: None,
            ttl_s: None,
            wait_s: 0,
        };
        let Some(CallAnswer::Leases(leases)) = caller.call(pool, all) else {
            return Err(format!("not all of {pool} can be had when all is quiet"));
        };
        for lease in leases {
            force(caller, pool, lease.id, lease.fence);
        }
    }
    Ok(())
}

/// Waiters of a server that was killed are given up after some seconds.
fn wait_for_empty_queue(
    caller: &mut Caller<'_>,
    cluster: &mut Cluster<'_>,
    pool: &str,
) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(CallAnswer::Counts { waiting: 0, .. }) = caller.call(pool, Asked::Count) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let last = caller.calls.last().map(Call::to_string);
    let state = cluster.in_words(pool);
    Err(format!(
        "a waiter waits for ever in {pool}, or no server answers: {last:?}\n{state}"
    ))
}

fn in_words(recorded: &Recorded, verdict: &Verdict) -> String {
    let Recorded { history, log, .. } = recorded;
    let calls = history.calls.len();
    let unknown = history.calls.iter().filter(|call| call.is_unknown());
    let mut faults: BTreeMap<String, usize> = BTreeMap::new();
    for (_, what) in log.iter().filter(|(_, what)| !what.contains("goes on")) {
        let words = what.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let words: String = words.chars().filter(|c| !c.is_ascii_digit()).collect();
        *faults.entry(words).or_default() += 1;
    }
    format!(
        "{calls} calls, {} of them without answer; {} grants, {} of them after another of the same \
         resource; {} pairs queued, {} times handed over; {} locks at rest; \
         {faults:?}",
        unknown.count(),
        verdict.grants,
        verdict.successions,
        verdict.queued_pairs,
        verdict.hand_overs,
        verdict.at_rest,
    )
}
