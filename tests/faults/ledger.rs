//! The answers of a store, and so what must hold: its pools, their members, and the locks.
//!
//! A command that was refused with `store down`, or never answered, may have been carried out or not;
//! its subjects are in doubt until the next survey.

use std::collections::{BTreeMap, BTreeSet};

use latchd::command::Lease;

/// The certainty of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Yes,
    /// It may be so or not.
    Doubtful,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    pub fence: u64,
    pub owner: Option<String>,
    pub known: Known,
}

#[derive(Debug, Default)]
pub struct Pool {
    /// `None` if it is not there.
    pub exists: Option<Known>,
    pub members: BTreeMap<String, Known>,
    pub locks: BTreeMap<String, Lock>,
    /// The locks that were released for certain, by resource and fence.
    released: BTreeSet<(String, u64)>,
    /// The highest fence in any answer.
    fence: u64,
    /// The owners that may hold a grant without an answer; the empty name stands for all clients
    /// without an owner.
    unheard: BTreeSet<String>,
}

/// A pool as a survey finds it.
#[derive(Debug)]
pub struct Found {
    pub members: BTreeSet<String>,
    pub leases: Vec<Lease>,
}

impl Pool {
    /// A grant was answered.
    pub fn granted(&mut self, lease: &Lease) -> Result<(), String> {
        let (id, fence) = (lease.id.to_string(), lease.fence.number());
        let before = self.locks.get(&id);
        if before.is_some_and(|lock| lock.fence == fence) {
            return Ok(());
        }
        if let Some(lock) = before.filter(|lock| lock.known == Known::Yes) {
            return Err(format!("{id} is lent twice: {fence}, and {lock:?}"));
        }
        // An owner may have got it without an answer.
        let is_new = !self
            .unheard
            .contains(lease.owner.as_deref().unwrap_or_default());
        if self.released.contains(&(id.clone(), fence)) || is_new && fence < self.fence {
            return Err(format!("fence {fence} of {id} comes after {}", self.fence));
        }
        self.fence = self.fence.max(fence);
        self.insert(id, lease);
        Ok(())
    }

    /// All that is locked, with its fences.
    pub fn fences(&self) -> Vec<(String, u64)> {
        let locks = self.locks.iter();
        locks.map(|(id, lock)| (id.clone(), lock.fence)).collect()
    }

    fn insert(&mut self, id: String, lease: &Lease) {
        let lock = Lock {
            fence: lease.fence.number(),
            owner: lease.owner.as_deref().map(str::to_owned),
            known: Known::Yes,
        };
        self.locks.insert(id, lock);
    }

    /// Notes that the lock with this fence was released for certain.
    pub fn released(&mut self, id: &str, fence: u64) {
        if self.locks.get(id).is_some_and(|lock| lock.fence == fence) {
            self.locks.remove(id);
        }
        self.released.insert((id.to_owned(), fence));
    }

    pub fn doubt_lock(&mut self, id: &str) {
        if let Some(lock) = self.locks.get_mut(id) {
            lock.known = Known::Doubtful;
        }
    }

    pub fn doubt_locks(&mut self) {
        let locks = self.locks.values_mut();
        locks.for_each(|lock| lock.known = Known::Doubtful);
    }

    /// Notes that a client may hold a grant without an answer.
    pub fn doubt_grant(&mut self, owner: Option<&str>) {
        self.unheard.insert(owner.unwrap_or_default().to_owned());
    }

    /// These may be members now, or were.
    pub fn doubt_members(&mut self, ids: &[String]) {
        self.exists.get_or_insert(Known::Doubtful);
        for id in ids {
            self.members.entry(id.clone()).or_insert(Known::Doubtful);
        }
    }

    pub fn doubt_all_members(&mut self) {
        let members = self.members.values_mut();
        members.for_each(|known| *known = Known::Doubtful);
    }

    /// The pool was removed, for certain.
    pub fn removed(&mut self) {
        self.exists = None;
        self.members.clear();
        for (id, lock) in std::mem::take(&mut self.locks) {
            self.released.insert((id, lock.fence));
        }
    }

    /// Compares with the result of a survey; from then on nothing is in doubt. `undone`: grants
    /// without an answer must have been undone, unless they have an owner.
    pub fn compare(&mut self, found: Option<Found>, undone: bool) -> Result<(), String> {
        let Some(found) = found else {
            if self.exists == Some(Known::Yes) {
                return Err("the pool is lost".into());
            }
            self.removed();
            self.unheard.clear();
            return Ok(());
        };
        if self.exists.is_none() {
            return Err("a pool that was removed is there".into());
        }
        self.exists = Some(Known::Yes);
        self.compare_members(found.members)?;
        self.compare_locks(&found.leases, undone)?;
        self.unheard.clear();
        Ok(())
    }

    fn compare_members(&mut self, found: BTreeSet<String>) -> Result<(), String> {
        let mut known = self.members.iter();
        let lost = known.find(|(id, known)| **known == Known::Yes && !found.contains(*id));
        if let Some((id, _)) = lost {
            return Err(format!("member {id} is lost"));
        }
        if let Some(id) = found.iter().find(|id| !self.members.contains_key(*id)) {
            return Err(format!("{id} is a member that no seed has named"));
        }
        self.members = found.into_iter().map(|id| (id, Known::Yes)).collect();
        Ok(())
    }

    fn compare_locks(&mut self, found: &[Lease], undone: bool) -> Result<(), String> {
        for lease in found {
            let (id, fence) = (lease.id.to_string(), lease.fence.number());
            let owner = lease.owner.as_deref();
            if self.released.contains(&(id.clone(), fence)) {
                return Err(format!("{id} was given back with fence {fence}: {lease:?}"));
            }
            match self.locks.get(&id) {
                Some(lock) if lock.fence == fence && lock.owner.as_deref() == owner => {}
                Some(lock) if lock.known == Known::Yes => {
                    return Err(format!("another lock than {lock:?}: {lease:?}"));
                }
                _ if !self.unheard.contains(owner.unwrap_or_default()) => {
                    return Err(format!("a lock that no client has asked for: {lease:?}"));
                }
                _ if owner.is_none() && undone => {
                    return Err(format!("a lock that no client was told of: {lease:?}"));
                }
                _ => {}
            }
            self.fence = self.fence.max(fence);
            self.insert(id, lease);
        }
        let is_found = |id: &str| found.iter().any(|lease| &*lease.id == id);
        for (id, lock) in std::mem::take(&mut self.locks) {
            if is_found(&id) {
                self.locks.insert(id, lock);
            } else if lock.known == Known::Yes {
                return Err(format!("the lock on {id} is lost: {lock:?}"));
            } else {
                self.released.insert((id, lock.fence));
            }
        }
        Ok(())
    }
}
