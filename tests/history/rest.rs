//! The state when all is quiet: every client has released what it knows of, and every lease has had
//! the time to end. So a lock that is left must belong to a request with an unknown outcome.

use super::call::{Asked, Call, CallAnswer, SECOND, Selection, Time};
use super::check::{PoolView, Verdict, ViolationKind};
use super::leases::SLEW;

/// The longest time until an ended lease is seen to be over.
const LINGER: Time = SECOND;

pub fn check(view: &PoolView<'_>, verdict: &mut Verdict) {
    let Some(quiet_from) = view.history.quiet_from else {
        return;
    };
    let later = view.calls.all.iter();
    for &(at, call) in later.filter(|(_, call)| call.sent > quiet_from) {
        if call.is_unknown() {
            verdict.add(
                ViolationKind::NotAtRest,
                view,
                "all is well, but no server answers".into(),
                &[at],
            );
        }
        match (&call.asked, call.answer()) {
            (Asked::List, _) => check_locks(view, at, call, verdict),
            (Asked::Count, Some(CallAnswer::Counts { resources, .. })) => {
                let size = view.history.sizes.get(view.pool);
                if size.is_some_and(|size| size != resources) {
                    let what = format!("{resources} resources are left of {size:?}");
                    verdict.add(ViolationKind::NotAtRest, view, what, &[at]);
                }
            }
            _ => {}
        }
    }
}

/// Whether each lock in a list is one that can still be held.
fn check_locks(view: &PoolView<'_>, at: usize, list: &Call, verdict: &mut Verdict) {
    let mut untold: Vec<usize> = Vec::new();
    for grant in view.grants {
        let held = list.leases().iter();
        let held = held.filter(|lease| lease.fence == grant.fence).count();
        verdict.at_rest += held;
        if held == 0 {
            continue;
        }
        if grant.told.is_empty() {
            untold.push(held);
        } else if list.sent > grant.over_by.saturating_add(LINGER) {
            let what = format!(
                "the lease of fence {} was over by {}, and is there still",
                grant.fence, grant.over_by
            );
            verdict.add(
                ViolationKind::NotAtRest,
                view,
                what,
                &[grant.first_proof(), at],
            );
        }
    }
    let mut possible = may_still_hold(view, list.sent);
    untold.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    possible.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    let is_explained = untold
        .iter()
        .zip(&possible)
        .all(|(held, asked)| held <= asked);
    if untold.len() > possible.len() || !is_explained {
        let what = format!(
            "locks on {untold:?} resources that nobody was told of, where only requests for \
             {possible:?} had no answer"
        );
        verdict.add(ViolationKind::NotAtRest, view, what, &[at]);
    }
}

/// The number of resources of each request without an answer whose lease may still run.
fn may_still_hold(view: &PoolView<'_>, now: Time) -> Vec<usize> {
    let quiet_from = view.history.quiet_from.unwrap_or(now);
    let selection = view.calls.all.iter().filter_map(|(_, call)| {
        let Asked::Acquire {
            selection,
            ttl_s,
            owner,
            ..
        } = &call.asked
        else {
            return None;
        };
        let length = ttl_s.map_or(Time::MAX, |seconds| seconds * SECOND);
        let over_by = quiet_from.saturating_add(length.saturating_add(length / SLEW + LINGER));
        // An owner's lease may have been renewed by any other of its calls.
        let may_be_held = call.is_unknown() && (over_by >= now || owner.is_some());
        may_be_held.then(|| Selection::count(selection))
    });
    selection.collect()
}
