//! The checker: whether a lock server that keeps its promises can have given these answers. It knows no
//! server, no store and no socket, and reports only what is certain.
//!
//! It verifies for each pool:
//!
//! - No resource is granted while another client holds it for certain.
//! - Of two grants, one of which was seen before the other was asked for, the later has the higher fence;
//!   and no fence is given to two.
//! - A grant that was answered lasts until a client may have ended it, and not after that.
//! - No client overtakes one that was in the queue for certain when it came (`queue`).
//! - No waiter waits for long beside a resource that is free for certain, and no more are counted in the
//!   queue than can be there (`queue`).
//! - When all is quiet, each held resource has a holder, and no longer than its lease (`rest`).

use std::collections::BTreeMap;
use std::fmt;

use super::call::{History, Time};
use super::grants::{Grant, NEVER, PoolCalls};
use super::{queue, rest};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViolationKind {
    GrantedTwice,
    FenceFell,
    FenceTwice,
    Lost,
    Overtaken,
    Starved,
    Miscounted,
    NotAtRest,
}

/// A promise that was broken for certain, and the calls that prove it.
#[derive(Clone, Debug)]
pub struct Violation {
    pub kind: ViolationKind,
    pub pool: String,
    pub what: String,
    pub proof: Vec<usize>,
}

/// The violations found, and the number of facts that were checked.
#[derive(Debug, Default)]
pub struct Verdict {
    pub violations: Vec<Violation>,
    pub grants: usize,
    /// Pairs of grants of one resource, one after the other.
    pub successions: usize,
    /// Pairs of a client that was in the queue for certain and one that came later, and must wait.
    pub queued_pairs: usize,
    /// Waiters that were in the queue for certain, and had to be served at a certain moment.
    pub hand_overs: usize,
    /// Locks that were there when all was quiet.
    pub at_rest: usize,
}

/// All that a check of one pool needs.
pub struct PoolView<'a> {
    pub history: &'a History,
    pub pool: &'a str,
    pub calls: &'a PoolCalls<'a>,
    pub grants: &'a [Grant],
}

pub fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    for pool in history.pools() {
        let calls = PoolCalls::of(history, pool);
        let grants = calls.grants(history.quiet_from.unwrap_or(NEVER));
        let view = PoolView {
            history,
            pool,
            calls: &calls,
            grants: &grants,
        };
        verdict.grants += grants.len();
        check_holders(&view, &mut verdict);
        check_fences(&view, &mut verdict);
        check_losses(&view, &mut verdict);
        queue::check(&view, &mut verdict);
        rest::check(&view, &mut verdict);
    }
    verdict
}

/// Checks that the resources of a grant were free before their next grant.
fn check_holders(view: &PoolView<'_>, verdict: &mut Verdict) {
    let mut before: BTreeMap<&str, (Time, u64, usize)> = BTreeMap::new();
    for grant in view.grants {
        for (id, hold) in &grant.holds {
            let (granted_by, proof) = hold.granted_by;
            let last = before.get(&**id).copied();
            verdict.successions += usize::from(last.is_some());
            if let Some((free_from, fence, other)) = last
                && free_from > granted_by
            {
                let what = format!(
                    "{id} is granted with fence {} by {granted_by}, while fence {fence} holds it \
                     until {} at least",
                    grant.fence,
                    moment(free_from),
                );
                verdict.add(ViolationKind::GrantedTwice, view, what, &[other, proof]);
            }
            if last.is_none_or(|(free_from, ..)| free_from < hold.free_from) {
                before.insert(id, (hold.free_from, grant.fence, proof));
            }
        }
    }
}

/// A grant that was asked for after another was seen has the higher fence, and a fence has one grant.
fn check_fences(view: &PoolView<'_>, verdict: &mut Verdict) {
    let mut by_asked: Vec<&Grant> = view.grants.iter().collect();
    by_asked.sort_by_key(|grant| grant.asked_from);
    let mut by_seen: Vec<&Grant> = by_asked.clone();
    by_seen.sort_by_key(|grant| grant.seen_by);
    let mut seen = by_seen.into_iter().peekable();
    let mut highest: Option<&Grant> = None;
    for grant in by_asked {
        while let Some(earlier) = seen.next_if(|earlier| earlier.seen_by < grant.asked_from) {
            if highest.is_none_or(|highest| highest.fence < earlier.fence) {
                highest = Some(earlier);
            }
        }
        if let Some(highest) = highest.filter(|highest| highest.fence >= grant.fence) {
            let what = format!(
                "fence {} is asked for at {}, when fence {} had been seen, at {}",
                grant.fence, grant.asked_from, highest.fence, highest.seen_by
            );
            let proof = [highest.first_proof(), grant.first_proof()];
            verdict.add(ViolationKind::FenceFell, view, what, &proof);
        }
        check_one_grant(view, grant, verdict);
    }
}

/// Answers with one fence must be about one grant: of one owner, and of the same resources, some of
/// which it may have given back.
fn check_one_grant(view: &PoolView<'_>, grant: &Grant, verdict: &mut Verdict) {
    for pair in grant.told.windows(2) {
        let [one, other] = [pair[0], pair[1]].map(|at| &view.history.calls[at]);
        let is_his = grant.owner.is_some() && one.asked.owner() == other.asked.owner();
        let fewer = |a: &[_], b: &[_]| a.iter().all(|lease| b.contains(lease));
        let (first, second) = (one.leases(), other.leases());
        if !is_his || !(fewer(first, second) || fewer(second, first)) {
            let what = format!("fence {} is given to two grants", grant.fence);
            verdict.add(ViolationKind::FenceTwice, view, what, pair);
        }
    }
}

/// Checks that an answered grant lasts until a client may have ended it, and that an ended one is gone.
fn check_losses(view: &PoolView<'_>, verdict: &mut Verdict) {
    for grant in view.grants {
        for (id, hold) in &grant.holds {
            let (free_by, Some(denial)) = hold.free_by else {
                continue;
            };
            if hold.free_from > free_by {
                let what = format!(
                    "{id} with fence {} was not held by {free_by}, but must be until {} at least",
                    grant.fence,
                    moment(hold.free_from),
                );
                let proof = [hold.granted_by.1, hold.held_at.1, denial];
                verdict.add(ViolationKind::Lost, view, what, &proof);
            }
        }
    }
}

fn moment(time: Time) -> String {
    match time {
        NEVER => "it is released".into(),
        time => time.to_string(),
    }
}

impl Grant {
    /// A call that has seen it.
    pub fn first_proof(&self) -> usize {
        let mut holds = self.holds.values();
        holds
            .next()
            .map(|hold| hold.granted_by.1)
            .expect("a grant holds something")
    }
}

impl Verdict {
    pub fn add(&mut self, kind: ViolationKind, view: &PoolView<'_>, what: String, proof: &[usize]) {
        let mut proof = proof.to_vec();
        proof.sort_unstable();
        proof.dedup();
        self.violations.push(Violation {
            kind,
            pool: view.pool.to_owned(),
            what,
            proof,
        });
    }

    /// Fails with all violations, and the events around them.
    #[track_caller]
    pub fn assert_clean(&self, history: &History, label: &str) {
        if self.violations.is_empty() {
            return;
        }
        let found: Vec<String> = self
            .violations
            .iter()
            .take(5)
            .map(|violation| violation.in_words(history))
            .collect();
        let count = self.violations.len();
        panic!("{label}: {count} violations\n{}", found.join("\n"));
    }
}

impl Violation {
    /// The proof, and the other calls on the pool in that time.
    pub fn in_words(&self, history: &History) -> String {
        const AROUND: usize = 40;
        let mut text = format!("{self}\n");
        let proof = self.proof.iter().map(|&at| &history.calls[at]);
        proof.for_each(|call| text.push_str(&format!("  proof {call}\n")));
        let sent = self.proof.iter().map(|&at| history.calls[at].sent);
        let from = sent.clone().min().unwrap_or(0).saturating_sub(100_000);
        let until = sent.max().unwrap_or(0) + 100_000;
        let mut around: Vec<_> = history.calls.iter().collect();
        around.retain(|call| call.pool == self.pool && (from..until).contains(&call.sent));
        around.sort_by_key(|call| call.sent);
        for call in around.into_iter().rev().take(AROUND).rev() {
            text.push_str(&format!("        {call}\n"));
        }
        for disturbance in &history.disturbances {
            if disturbance.from < until && disturbance.until > from {
                text.push_str(&format!("        {disturbance:?}\n"));
            }
        }
        text
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in pool {}: {}", self.kind, self.pool, self.what)
    }
}
