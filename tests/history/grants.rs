//! The certain facts about each grant: when it was made at the latest, and between which moments it
//! ended.
//!
//! A fence says in which order the grants of a pool were made, so the resources of a grant were free
//! before the next grant of the same resource. That gives more than comparing the times in which
//! clients are sure to hold: those may be short beside the time that an answer takes.
//!
//! Everything here errs to one side only. A call without an answer may have been carried out at any
//! time after it was sent, or never, so it can make an end possible, but never certain.

use std::collections::{BTreeMap, HashMap};

use super::call::{Asked, Call, CallAnswer, History, Time};
use super::leases::{LeaseSet, Length, lease_from, over_by};

/// No such moment is known.
pub const NEVER: Time = Time::MAX;

/// One fence of one pool.
#[derive(Clone, Debug)]
pub struct Grant {
    pub fence: u64,
    /// Acquires that were answered with it: more than one if an owner has asked again. None if it was
    /// only ever seen in a list.
    pub told: Vec<usize>,
    pub owner: Option<String>,
    /// It was not made before this.
    pub asked_from: Time,
    /// It was made by then.
    pub seen_by: Time,
    /// Its lease is over by then, unless a client ends it earlier.
    pub over_by: Time,
    pub holds: BTreeMap<String, Hold>,
}

/// One resource of a grant.
#[derive(Clone, Debug)]
pub struct Hold {
    /// It was granted by then, as the call says.
    pub granted_by: (Time, usize),
    /// It was held at this moment or later.
    pub held_at: (Time, usize),
    /// It was not free before this: no client can have ended it, and its lease was not over.
    pub free_from: Time,
    /// It was free by then at the latest, as the call says.
    pub free_by: (Time, Option<usize>),
}

/// The calls of one pool, sorted for lookups.
pub struct PoolCalls<'a> {
    history: &'a History,
    pub all: Vec<(usize, &'a Call)>,
    lists: Vec<(usize, &'a Call)>,
    /// Renewals and releases.
    by_id: HashMap<&'a str, Vec<(usize, &'a Call)>>,
    /// All that name an owner.
    by_owner: HashMap<&'a str, Vec<(usize, &'a Call)>>,
    /// Releases of everything.
    purges: Vec<(usize, &'a Call)>,
}

impl<'a> PoolCalls<'a> {
    pub fn of(history: &'a History, pool: &str) -> PoolCalls<'a> {
        let mut calls = PoolCalls {
            history,
            all: Vec::new(),
            lists: Vec::new(),
            by_id: HashMap::new(),
            by_owner: HashMap::new(),
            purges: Vec::new(),
        };
        let mut all: Vec<_> = history.calls.iter().enumerate().collect();
        all.retain(|(_, call)| call.pool == pool);
        all.sort_by_key(|(_, call)| call.sent);
        for &(at, call) in &all {
            if let Some(owner) = call.asked.owner() {
                calls.by_owner.entry(owner).or_default().push((at, call));
            }
            match &call.asked {
                Asked::Renew { id: Some(id), .. } | Asked::Release { id: Some(id), .. } => {
                    calls.by_id.entry(id).or_default().push((at, call));
                }
                Asked::Release { owner: None, .. } => calls.purges.push((at, call)),
                Asked::List => calls.lists.push((at, call)),
                _ => {}
            }
        }
        calls.all = all;
        calls
    }

    fn of_id(&self, id: &str) -> &[(usize, &'a Call)] {
        self.by_id.get(id).map_or(&[], |calls| calls)
    }

    fn of_owner(&self, owner: Option<&str>) -> &[(usize, &'a Call)] {
        let calls = owner.and_then(|owner| self.by_owner.get(owner));
        calls.map_or(&[], |calls| calls)
    }

    /// All grants in any answer, by their fences.
    pub fn grants(&self, quiet_from: Time) -> Vec<Grant> {
        let mut grants = self.sightings();
        for grant in grants.values_mut() {
            self.add_asked_from(grant);
            let sets = self.lease_sets(grant);
            let lease_from = lease_from(&sets);
            grant.over_by = match grant.told.is_empty() {
                true => NEVER,
                false => over_by(&sets, quiet_from),
            };
            let (owner, told) = (grant.owner.clone(), !grant.told.is_empty());
            for (id, hold) in &mut grant.holds {
                hold.free_from = hold.held_at.0;
                if told {
                    let released = self.released_from(id, grant.fence, owner.as_deref(), hold);
                    hold.free_from = hold.free_from.max(lease_from.min(released));
                }
                hold.free_by = self.free_by(id, grant.fence, owner.as_deref(), hold);
            }
        }
        grants.into_values().collect()
    }

    /// The grants that answers show, by their fences.
    fn sightings(&self) -> BTreeMap<u64, Grant> {
        let mut grants = BTreeMap::new();
        for &(at, call) in &self.all {
            let Some((answered, _)) = call.answered else {
                continue;
            };
            for lease in call.leases() {
                let grant = grants
                    .entry(lease.fence)
                    .or_insert_with(|| Grant::new(lease.fence));
                grant.see(&lease.id, at, call.sent, answered);
            }
            if let (Asked::Acquire { owner, .. }, [lease, ..]) = (&call.asked, call.leases()) {
                let grant = grants.get_mut(&lease.fence).expect("it was just seen");
                grant.told.push(at);
                grant.owner.clone_from(owner);
            }
        }
        grants
    }

    /// An owner's grant may have been made by any of its earlier calls without an answer.
    fn add_asked_from(&self, grant: &mut Grant) {
        let mut asked_from = NEVER;
        for (at, call) in self.acquires_of(grant) {
            let may_have_made_it = call.is_unknown() || grant.told.contains(&at);
            if may_have_made_it && call.sent <= grant.seen_by {
                asked_from = asked_from.min(call.sent);
            }
        }
        grant.asked_from = if asked_from == NEVER { 0 } else { asked_from };
    }

    /// The acquires that were answered with this grant, or that may have been.
    fn acquires_of(&self, grant: &Grant) -> Vec<(usize, &'a Call)> {
        let mut acquires: Vec<_> = match &grant.owner {
            Some(owner) => self.of_owner(Some(owner)).to_vec(),
            None => {
                let told = grant.told.iter();
                told.map(|&at| (at, &self.history.calls[at])).collect()
            }
        };
        acquires.retain(|(_, call)| matches!(call.asked, Asked::Acquire { .. }));
        acquires
    }

    /// All calls that have set the length of this lease, or may have.
    fn lease_sets(&self, grant: &Grant) -> Vec<LeaseSet> {
        let mut sets = Vec::new();
        let mut add = |call: &Call, ttl: Length| {
            sets.push(LeaseSet {
                sent: call.sent,
                answered: call.answered_at(),
                ttl,
            });
        };
        for (at, call) in self.acquires_of(grant) {
            let Asked::Acquire { ttl_s, .. } = call.asked else {
                continue;
            };
            if call.is_unknown() || grant.told.contains(&at) {
                add(call, Length::of_acquire(ttl_s, grant.owner.is_some()));
            }
        }
        let of_ids = grant.holds.keys().flat_map(|id| self.of_id(id));
        let renewals = of_ids.chain(self.of_owner(grant.owner.as_deref()));
        for &(_, call) in renewals {
            let Asked::Renew { fence, ttl_s, .. } = call.asked else {
                continue;
            };
            let renewed = call.leases().iter().any(|lease| lease.fence == grant.fence);
            let may_have = call.is_unknown() && fence.is_none_or(|fence| fence == grant.fence);
            if renewed || may_have {
                add(call, ttl_s.map_or(Length::AsBefore, Length::Seconds));
            }
        }
        sets
    }

    /// When the first release was sent that can have freed it.
    fn released_from(&self, id: &str, fence: u64, owner: Option<&str>, hold: &Hold) -> Time {
        let of_owner = self.of_owner(owner).iter();
        let of_owner = of_owner.filter(|(_, call)| frees_all(&call.asked));
        let named = self.of_id(id).iter();
        let releases = named.chain(of_owner).chain(&self.purges);
        let possible = releases.filter(|(_, call)| {
            // A call that was carried out before the lock was seen has not freed it.
            let is_late_enough = call.answered_at().is_none_or(|at| at >= hold.held_at.0);
            is_late_enough && call.refusal().is_none() && admits(&call.asked, fence, owner)
        });
        possible.map(|(_, call)| call.sent).min().unwrap_or(NEVER)
    }

    /// The first answer that says that another client holds it, or none.
    fn free_by(
        &self,
        id: &str,
        fence: u64,
        owner: Option<&str>,
        hold: &Hold,
    ) -> (Time, Option<usize>) {
        let mut earliest = (NEVER, None);
        let of_owner = self.of_owner(owner).iter();
        let calls = self.of_id(id).iter().chain(of_owner).chain(&self.purges);
        for &(at, call) in calls.filter(|(_, call)| call.sent >= hold.granted_by.0) {
            if let Some((answered, answer)) = &call.answered
                && *answered < earliest.0
                && denies(&call.asked, answer, id, fence)
            {
                earliest = (*answered, Some(at));
            }
        }
        let later = self
            .lists
            .partition_point(|(_, call)| call.sent < hold.granted_by.0);
        let is_listed = |call: &Call| {
            let mut leases = call.leases().iter();
            leases.any(|lease| lease.fence == fence && lease.id == id)
        };
        let without = self.lists[later..]
            .iter()
            .find(|(_, call)| call.answered.is_some() && !is_listed(call));
        if let Some(&(at, call)) = without
            && let Some(answered) = call.answered_at()
            && answered < earliest.0
        {
            earliest = (answered, Some(at));
        }
        earliest
    }
}

impl Grant {
    fn new(fence: u64) -> Grant {
        Grant {
            fence,
            told: Vec::new(),
            owner: None,
            asked_from: 0,
            seen_by: NEVER,
            over_by: NEVER,
            holds: BTreeMap::new(),
        }
    }

    /// Notes an answer that shows this resource as held.
    fn see(&mut self, id: &str, at: usize, sent: Time, answered: Time) {
        self.seen_by = self.seen_by.min(answered);
        let hold = self.holds.entry(id.to_owned()).or_insert(Hold {
            granted_by: (answered, at),
            held_at: (sent, at),
            free_from: 0,
            free_by: (NEVER, None),
        });
        hold.granted_by = hold.granted_by.min((answered, at));
        hold.held_at = hold.held_at.max((sent, at));
    }
}

/// Whether it is a release of all that an owner holds.
fn frees_all(asked: &Asked) -> bool {
    matches!(asked, Asked::Release { id: None, .. })
}

/// Whether a release fits a grant.
fn admits(asked: &Asked, grant_fence: u64, grant_owner: Option<&str>) -> bool {
    let Asked::Release {
        owner,
        fence,
        force,
        ..
    } = asked
    else {
        return false;
    };
    let is_owner = grant_owner.is_none() || owner.as_deref() == grant_owner;
    (is_owner || *force || (frees_all(asked) && owner.is_none()))
        && fence.is_none_or(|fence| fence == grant_fence)
}

/// Whether an answer means that this grant did not hold this resource when it was given. The call
/// names the resource, or the grant's owner.
fn denies(asked: &Asked, answer: &CallAnswer, id: &str, grant_fence: u64) -> bool {
    let names = |named: &Option<String>| named.as_deref().is_none_or(|named| named == id);
    match (asked, answer) {
        // A fence other than the grant's: neither that lock nor the grant's is held.
        (Asked::Release { id: named, .. }, CallAnswer::Done) => names(named),
        (
            Asked::Release {
                id: named, fence, ..
            }
            | Asked::Renew {
                id: named, fence, ..
            },
            CallAnswer::Refused(words),
        ) => {
            let is_stale = words == "stale" && *fence == Some(grant_fence);
            names(named) && (words == "not held" || is_stale)
        }
        // The same owner asks, and gets other locks than it has.
        (Asked::Acquire { .. }, CallAnswer::Leases(leases)) => {
            leases.iter().all(|lease| lease.fence != grant_fence)
        }
        (Asked::Acquire { .. }, CallAnswer::Refused(words)) => words == "busy",
        _ => false,
    }
}
