//! The checker beside a store that breaks a promise, because the test has meddled with it: a real run,
//! without other faults, in which the checker must find just that.

use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::call::{Asked, Call, CallAnswer, History, Lease, Selection};
use super::campaign::{Campaign, Ending};
use super::chaos::{Cluster, Ground};
use super::check::{ViolationKind, check};
use super::rounds::Hall;
use super::telling::kinds;
use super::wire::{Caller, Clock, ServerAddresses};
use super::workers::{QUICK, force};

const PLANTED: usize = 5;

#[test]
fn double_grants_that_were_planted_in_redis_are_found() {
    let campaign = campaign();
    let verdict = check(&campaign.run(Ending::Meddled, meddle).history);
    let found = verdict.violations.iter();
    let found = found.filter(|violation| violation.kind == ViolationKind::GrantedTwice);
    let count = found.count();
    assert!(2 * count > PLANTED, "only {count} are found: {verdict:#?}");
}

#[test]
fn without_faults_and_meddling_nothing_is_found() {
    let campaign = campaign();
    let recorded = campaign.run(Ending::Calm, |_, _, _| {
        thread::sleep(campaign.duration);
        Vec::new()
    });
    let verdict = recorded.assert_clean(&format!("LATCHD_SEED={}", campaign.seed));
    let unknown = recorded
        .history
        .calls
        .iter()
        .filter(|call| call.is_unknown());
    assert_eq!(unknown.count(), 0, "all are answered where nothing is hurt");
    assert!(verdict.queued_pairs > 0, "the line is watched: {verdict:?}");
}

/// The file is replaced by an older copy: changes since then are lost, and resources granted again.
#[test]
fn a_file_that_is_set_back_is_found() {
    let clock = Clock(Instant::now());
    let (addresses, started) = (ServerAddresses::default(), AtomicUsize::new(0));
    let mut cluster = Cluster::start(Ground::File, 1, clock, &addresses, &started);
    let mut caller = Caller::new(0, clock, &addresses, Rng::new());
    caller.order(&format!("POST /pool/{QUICK} [\"1\"]"));
    caller.move_on();
    cluster.set_file_back(|| {
        acquire(&mut caller);
    });
    caller.move_on();
    caller.call(QUICK, Asked::List);
    acquire(&mut caller);
    let history = History {
        calls: caller.calls,
        ..History::default()
    };
    let kinds = kinds(&history);
    assert!(kinds.contains(&ViolationKind::Lost), "{kinds:?}");
    let is_twice = |kind| {
        matches!(
            kind,
            &ViolationKind::GrantedTwice | &ViolationKind::FenceTwice
        )
    };
    assert!(kinds.iter().any(is_twice), "{kinds:?}");
}

fn campaign() -> Campaign {
    Campaign {
        ground: Ground::Redis,
        servers: 2,
        seed: fastrand::u64(..),
        duration: Duration::from_millis(1_500),
    }
}

/// Frees a held resource in Redis, unseen by all servers, and lets another client acquire it: `other`,
/// or a quicker one.
fn meddle(cluster: &mut Cluster<'_>, hall: &Hall<'_>, random: &mut Rng) -> Vec<Call> {
    let (mut holder, mut other) = (hall.caller(random), hall.caller(random));
    let [held, free] = ["held", "free"].map(|part| format!("pool:{{{QUICK}}}:{part}"));
    for _ in 0..PLANTED {
        let lease = acquire(&mut holder);
        cluster.redis().order(&["HDEL", &held, &lease.id]);
        // The resource with the lowest rank is lent next.
        let rank = ["ZADD", &free, "-1000000", &lease.id];
        cluster.redis().order(&rank);
        let second = acquire(&mut other);
        force(&mut holder, QUICK, lease.id, lease.fence);
        force(&mut other, QUICK, second.id, second.fence);
        other.move_on();
    }
    [holder.calls, other.calls].concat()
}

fn acquire(caller: &mut Caller<'_>) -> Lease {
    let asked = Asked::Acquire {
        selection: Selection::Any(1),
        owner: None,
        ttl_s: None,
        wait_s: 0,
    };
    match caller.call(QUICK, asked) {
        Some(CallAnswer::Leases(mut leases)) => leases.swap_remove(0),
        answer => panic!("there are many in {QUICK}: {answer:?}"),
    }
}
