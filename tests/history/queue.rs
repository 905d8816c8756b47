//! The queue, as far as clients can tell: which clients were in it for certain, which came later, and whether a
//! waiter was left waiting beside a free resource.

use super::call::{Asked, Call, CallAnswer, SECOND, Selection, Time};
use super::check::{PoolView, Verdict, ViolationKind};
use super::grants::{Grant, NEVER};
use super::leases::SLEW;

/// The longest time that a waiter may still be counted after its answer.
const LINGER: Time = SECOND;

/// The longest time until a free resource is handed over, on a busy machine.
const HAND_OVER: Time = 2 * SECOND;

/// A call that was in the queue at a moment before `by`.
struct WaitingCall<'a> {
    at: usize,
    call: &'a Call,
    by: Time,
    count_call: usize,
}

pub fn check(view: &PoolView<'_>, verdict: &mut Verdict) {
    let places = places(view, verdict);
    check_order(view, &places, verdict);
    let one_each = view.calls.all.iter().all(|(_, call)| match &call.asked {
        Asked::Acquire {
            selection, wait_s, ..
        } => *wait_s == 0 || *selection == Selection::Any(1),
        _ => true,
    });
    // If all waiters want just one of any, the first can take any free resource.
    if let Some(&size) = view.history.sizes.get(view.pool)
        && one_each
    {
        check_patience(view, size, verdict);
        check_hand_over(view, &places, size, verdict);
    }
}

/// Checks that no client is served before one that was in the queue when it came.
fn check_order(view: &PoolView<'_>, places: &[WaitingCall<'_>], verdict: &mut Verdict) {
    let mut newest_first: Vec<&Grant> = view.grants.iter().collect();
    newest_first.sort_by_key(|grant| std::cmp::Reverse(grant.asked_from));
    for place in places {
        let Some(left) = place.call.answered_at() else {
            continue;
        };
        let later = newest_first
            .iter()
            .take_while(|grant| grant.asked_from >= place.by);
        for grant in later.filter(|grant| grant.asked_from < left) {
            if grant.told.contains(&place.at) || !place.comes_before(grant) {
                continue;
            }
            let (call, until) = (place.call, grant.seen_by);
            if view.history.may_lose_places(call.server, call.sent, until) {
                continue;
            }
            verdict.queued_pairs += 1;
            if place.is_overtaken_by(grant) {
                let what = format!(
                    "fence {} is granted by {until} to a client that came at {}, when another was \
                     queued since {}",
                    grant.fence, grant.asked_from, place.by
                );
                let proof = [place.at, place.count_call, grant.first_proof()];
                verdict.add(ViolationKind::Overtaken, view, what, &proof);
            }
        }
    }
}

/// The calls that were in the queue for certain. If the pool counts as many as can be in the queue at all, then
/// all of them are. More cannot be.
fn places<'a>(view: &PoolView<'a>, verdict: &mut Verdict) -> Vec<WaitingCall<'a>> {
    let mut places: Vec<WaitingCall<'_>> = Vec::new();
    let waiters = view.calls.all.iter().filter(|(_, call)| call.asked.waits());
    let waiters: Vec<(usize, &Call)> = waiters.copied().collect();
    for &(count_call, count) in &view.calls.all {
        let Some((by, CallAnswer::Counts { waiting, .. })) = count.answered else {
            continue;
        };
        let mut possible = waiters.clone();
        possible.retain(|(_, call)| {
            let is_gone = call
                .answered_at()
                .is_some_and(|at| at + LINGER < count.sent);
            call.sent <= by && !is_gone
        });
        if waiting > possible.len() {
            let what = format!("{waiting} are queued, where only {} can be", possible.len());
            verdict.add(ViolationKind::Miscounted, view, what, &[count_call]);
        }
        if waiting == possible.len() {
            for (at, call) in possible {
                // A waiter that was answered before may still be counted, but is not to be served any more.
                let is_there = call.answered_at().is_none_or(|at| at >= count.sent);
                if is_there && places.iter().all(|place| place.at != at) {
                    places.push(WaitingCall {
                        at,
                        call,
                        by,
                        count_call,
                    });
                }
            }
        }
    }
    places
}

impl WaitingCall<'_> {
    /// Whether a later client must wait for this one, to get the resources of its grant.
    fn comes_before(&self, grant: &Grant) -> bool {
        match &self.call.asked {
            Asked::Acquire {
                selection: Selection::Named(id),
                ..
            } => grant.holds.contains_key(id),
            _ => true,
        }
    }

    fn is_overtaken_by(&self, grant: &Grant) -> bool {
        match self.call.answer() {
            Some(CallAnswer::Leases(leases)) => {
                leases.first().is_some_and(|own| own.fence > grant.fence)
            }
            // It has waited in vain; until then it was in the queue. A newer request of its owner may have
            // had its place.
            Some(CallAnswer::Refused(words)) => {
                let wait = wait_of(self.call);
                let waited = self.call.sent + wait - wait / SLEW;
                words == "busy" && self.call.asked.owner().is_none() && grant.seen_by < waited
            }
            _ => false,
        }
    }
}

/// Checks that no client waits in vain while a resource is free all the time.
fn check_patience(view: &PoolView<'_>, size: usize, verdict: &mut Verdict) {
    let mut held = possibly_held(view);
    held.sort_unstable();
    for &(at, call) in &view.calls.all {
        let Asked::Acquire { wait_s: 1.., .. } = call.asked else {
            continue;
        };
        // A newer request of an owner takes over its place.
        if call.refusal() != Some("busy") || call.asked.owner().is_some() {
            continue;
        }
        let until = call.sent + wait_of(call);
        if view.history.is_anything_disturbed(call.sent, until) {
            continue;
        }
        if let Some(free) = free_for_long(&held, size, call.sent, until) {
            let what = format!("a waiter waits in vain, though a resource is free since {free}");
            verdict.add(ViolationKind::Starved, view, what, &[at]);
        }
    }
}

/// Checks that the first in the queue is served soon after a resource becomes free.
fn check_hand_over(
    view: &PoolView<'_>,
    places: &[WaitingCall<'_>],
    size: usize,
    verdict: &mut Verdict,
) {
    for place in places {
        let (Some(lease), Some(served)) = (place.call.leases().first(), place.call.answered_at())
        else {
            continue;
        };
        if view.history.is_anything_disturbed(place.call.sent, served) {
            continue;
        }
        // All that clients with an unknown outcome may hold, or that is reserved for them: an absent owner
        // delays no other waiter, and no more is reserved for it than it wants.
        let unknown = unknown_acquires(view).filter(|call| call.sent < served);
        let taken: usize = unknown.map(count_of).sum();
        let Some(last_needed) = size.checked_sub(taken + 1) else {
            continue;
        };
        // A grant with a lower fence was made before.
        let earlier = view
            .grants
            .iter()
            .take_while(|grant| grant.fence < lease.fence);
        let first_by = earlier
            .clone()
            .map(|grant| grant.seen_by)
            .max()
            .unwrap_or(0);
        let mut ends: Vec<Time> = earlier.flat_map(ends_of).collect();
        ends.sort_unstable_by_key(|end| std::cmp::Reverse(*end));
        let free_by = ends.get(last_needed).copied().unwrap_or(0);
        let due = place.by.max(first_by).max(free_by);
        verdict.hand_overs += 1;
        if served > due.saturating_add(HAND_OVER) {
            let what = format!(
                "the first of the queue could be served at {due}, and is served at {served}"
            );
            verdict.add(
                ViolationKind::Starved,
                view,
                what,
                &[place.at, place.count_call],
            );
        }
    }
}

fn wait_of(call: &Call) -> Time {
    match call.asked {
        Asked::Acquire { wait_s, .. } => wait_s * SECOND,
        _ => 0,
    }
}

/// The acquires that were not answered.
fn unknown_acquires<'a>(view: &PoolView<'a>) -> impl Iterator<Item = &'a Call> {
    let calls = view.calls.all.iter().map(|&(_, call)| call);
    calls.filter(|call| matches!(call.asked, Asked::Acquire { .. }) && call.is_unknown())
}

/// The number of resources that an acquire asks for.
fn count_of(call: &Call) -> usize {
    match call.asked {
        Asked::Acquire {
            selection: Selection::Any(count),
            ..
        } => count,
        _ => 1,
    }
}

/// From when to when each resource may be held, or kept for an absent owner: also for clients of which
/// nothing is known.
fn possibly_held(view: &PoolView<'_>) -> Vec<(Time, Time)> {
    let unknown = unknown_acquires(view);
    let unknown = unknown.flat_map(|call| std::iter::repeat_n((call.sent, NEVER), count_of(call)));
    let known = view.grants.iter();
    let known = known.flat_map(|grant| ends_of(grant).map(|end| (grant.asked_from, end)));
    unknown.chain(known).collect()
}

/// By when each resource of a grant is free.
fn ends_of(grant: &Grant) -> impl Iterator<Item = Time> {
    let holds = grant.holds.values();
    holds.map(|hold| hold.free_by.0.min(grant.over_by.saturating_add(LINGER)))
}

/// A moment from which on a resource is free for so long that it must be handed over.
fn free_for_long(held: &[(Time, Time)], size: usize, from: Time, until: Time) -> Option<Time> {
    let ends = held.iter().map(|(_, end)| *end).chain([from]);
    let mut starts: Vec<Time> = ends.filter(|end| (from..until).contains(end)).collect();
    starts.sort_unstable();
    starts.into_iter().find(|&start| {
        let end = start + HAND_OVER;
        let meets = held.iter().filter(|(a, b)| *a < end && *b > start);
        end <= until && meets.count() < size
    })
}
