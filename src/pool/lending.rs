//! One pool: who may take what, renew it and give it back.
//!
//! What follows for those who stand in line is in `serving`, what follows from new members in
//! `membership`.

use std::collections::HashMap;

use smallvec::smallvec;

use super::grants::{Grant, GrantKey};
use super::line::{Line, StoredWanted, Waiter};
use super::resources::{Chain, Holder, ResourceKey, Resources};
use super::{Books, Change, GrantRow, PoolKey, PoolNumber, ResourceRow};
use crate::command::{
    Acquire, Fence, Filter, Granted, Leases, OwnerName, Proof, Refusal, Renewal, Reply, StoredName,
    Ticket, Ttl,
};
use crate::time::Time;

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) key: PoolKey,
    pub(super) number: PoolNumber,
    pub(super) name: StoredName,
    /// The fence of the latest grant.
    pub(super) fence: Fence,
    pub(super) resources: Resources,
    pub(super) held_count: usize,
    /// What each owner holds: never more than one grant.
    pub(super) owners: HashMap<StoredName, GrantKey>,
    pub(super) line: Line,
}

impl Pool {
    /// A pool without resources.
    pub(super) fn new(key: PoolKey, number: PoolNumber, name: StoredName, fence: Fence) -> Pool {
        Pool {
            key,
            number,
            name,
            fence,
            resources: Resources::default(),
            held_count: 0,
            owners: HashMap::new(),
            line: Line::default(),
        }
    }

    /// Answers at once, or puts the asker in line.
    pub(super) fn acquire(
        &mut self,
        ticket: Ticket,
        acquire: &Acquire<'_>,
        now: Time,
        books: &mut Books,
    ) -> Option<Reply> {
        let refused = |refusal| Some(Reply::Refused(refusal));
        let wanted = StoredWanted::of(&acquire.wanted);
        if let Some(owner) = &acquire.owner
            && let Some(&grant) = self.owners.get(owner.as_str())
        {
            let recovered = self.recover(grant, &wanted, acquire.ttl, now, books);
            return recovered.map_or_else(refused, |granted| Some(Reply::Granted(granted)));
        }
        if let Err(refusal) = self.could_ever_serve(&wanted) {
            return refused(refusal);
        }
        let owner = acquire.owner.as_ref().map(OwnerName::as_str);
        if let Some(waiter) = owner.and_then(|owner| self.line.waiter_of(owner)) {
            // Only a request that waits takes the place of one that waits.
            if acquire.wait_ms == 0 && books.waiters.get(waiter).ticket.is_some() {
                return refused(Refusal::Busy);
            }
            return self.take_over(waiter, ticket, wanted, acquire, now, books);
        }
        let owner = owner.map(StoredName::from);
        if self.line.held_up_from().is_none() && self.can_serve(&wanted) {
            return Some(Reply::Granted(self.grant(
                &wanted,
                owner,
                acquire.ttl,
                now,
                books,
            )));
        }
        if acquire.wait_ms == 0 {
            return refused(Refusal::Busy);
        }
        if books.waiters.len() >= books.rules.max_waiters {
            return refused(Refusal::QueueFull);
        }
        let until = now.after_ms(acquire.wait_ms.min(books.rules.max_wait_ms));
        let (pool, place) = (self.key, books.waiters.last_place());
        let waiter = Waiter {
            pool,
            place,
            ticket: Some(ticket),
            wanted,
            owner,
            ttl: acquire.ttl,
        };
        let key = books.waiters.insert(waiter, until);
        self.line.insert(key, books.waiters.get(key));
        None
    }

    /// An owner asks for what it has: the same lock, its lease started anew.
    fn recover(
        &mut self,
        key: GrantKey,
        wanted: &StoredWanted,
        ttl: Option<Ttl>,
        now: Time,
        books: &mut Books,
    ) -> Result<Granted, Refusal> {
        let grant = books.grants.get(key);
        let is_the_same = match wanted {
            StoredWanted::Any(count) => *count == grant.count,
            StoredWanted::Named(id) => {
                let held = self
                    .resources
                    .find(id)
                    .map(|key| self.resources.get(key).holder);
                grant.count == 1 && held == Some(Holder::Grant(key))
            }
        };
        if !is_the_same {
            return Err(Refusal::OwnerHolds(grant.count));
        }
        self.start_lease(key, ttl, now, books);
        Ok(Granted {
            pool: self.name.clone(),
            leases: self.leases_of(key, now, books),
        })
    }

    /// Whether the pool could serve this if nobody held anything.
    pub(super) fn could_ever_serve(&self, wanted: &StoredWanted) -> Result<(), Refusal> {
        match wanted {
            StoredWanted::Any(count) if *count > self.resources.member_count() => {
                Err(Refusal::OnlyResources(self.resources.member_count()))
            }
            StoredWanted::Any(_) => Ok(()),
            StoredWanted::Named(id) => match self.resources.find(id) {
                Some(key) if self.resources.get(key).seat.is_some() => Ok(()),
                _ => Err(Refusal::NoResource),
            },
        }
    }

    /// Whether enough is free for this, whoever else may be waiting for it.
    pub(super) fn can_serve(&self, wanted: &StoredWanted) -> bool {
        match wanted {
            StoredWanted::Any(count) => *count <= self.resources.free_count(),
            StoredWanted::Named(id) => self
                .resources
                .find(id)
                .is_some_and(|key| self.resources.get(key).holder == Holder::Free),
        }
    }

    /// Makes a grant of what is free.
    pub(super) fn grant(
        &mut self,
        wanted: &StoredWanted,
        owner: Option<StoredName>,
        ttl: Option<Ttl>,
        now: Time,
        books: &mut Books,
    ) -> Granted {
        let fence = self.fence.next();
        assert!(fence > self.fence, "a fence never falls");
        self.fence = fence;
        books.note(|| Change::Fence(self.number, fence));
        let key = books.grants.next_key();
        let mut chain = Chain::default();
        let count = match wanted {
            StoredWanted::Any(count) => *count,
            StoredWanted::Named(_) => 1,
        };
        for _ in 0..count {
            let resource = match wanted {
                StoredWanted::Any(_) => self.resources.first_free(),
                StoredWanted::Named(id) => self.resources.find(id),
            };
            let resource = resource.expect("as many are free as are granted");
            self.resources.lend(resource, key, &mut chain);
        }
        self.held_count += count;
        if let Some(owner) = &owner {
            self.owners.insert(owner.clone(), key);
        }
        let ttl = ttl.or(books.rules.default_ttl);
        let (pool, granted_at) = (self.key, now);
        let grant = Grant {
            pool,
            fence,
            granted_at,
            ttl,
            owner,
            resources: chain,
            count,
        };
        books.grants.insert(grant, now);
        self.note_grant(key, books);
        Granted {
            pool: self.name.clone(),
            leases: self.leases_of(key, now, books),
        }
    }

    /// Renews the lock that a resource is in.
    pub(super) fn renew(
        &mut self,
        id: &str,
        renewal: &Renewal<'_>,
        now: Time,
        books: &mut Books,
    ) -> Result<Leases, Refusal> {
        let key = self.resources.find(id).ok_or(Refusal::NotHeld)?;
        let grant = self.grant_of(key).ok_or(Refusal::NotHeld)?;
        books
            .grants
            .get(grant)
            .admits(renewal.owner.as_ref(), renewal.fence, false)?;
        self.start_lease(grant, renewal.ttl, now, books);
        Ok(smallvec![self.lease(grant, key, now, books)])
    }

    /// Renews what an owner holds.
    pub(super) fn renew_owned(
        &mut self,
        renewal: &Renewal<'_>,
        now: Time,
        books: &mut Books,
    ) -> Result<Leases, Refusal> {
        let owner = renewal.owner.as_ref().ok_or(Refusal::NotHeld)?;
        let &grant = self.owners.get(owner.as_str()).ok_or(Refusal::NotHeld)?;
        books
            .grants
            .get(grant)
            .admits(Some(owner), renewal.fence, false)?;
        self.start_lease(grant, renewal.ttl, now, books);
        Ok(self.leases_of(grant, now, books))
    }

    /// Starts a lease anew, for its last length if none is given.
    fn start_lease(&mut self, key: GrantKey, ttl: Option<Ttl>, now: Time, books: &mut Books) {
        let grant = books.grants.get_mut(key);
        let changes = ttl.is_some() && ttl != grant.ttl;
        if changes {
            grant.ttl = ttl;
        }
        books.grants.start_lease(key, now);
        if changes {
            self.note_grant(key, books);
        }
    }

    pub(super) fn release(
        &mut self,
        id: &str,
        proof: &Proof<'_>,
        now: Time,
        books: &mut Books,
    ) -> Result<(), Refusal> {
        let held = self
            .resources
            .find(id)
            .and_then(|key| Some((key, self.grant_of(key)?)));
        match held {
            Some((key, grant)) => {
                let grant = books.grants.get(grant);
                grant.admits(proof.owner.as_ref(), proof.fence, proof.force)?;
                self.give_back(key, now, books);
                Ok(())
            }
            // What an owner wants who repeats himself holds already.
            None if proof.owner.is_some() => Ok(()),
            None => Err(Refusal::NotHeld),
        }
    }

    /// Releases what matches, the longest held first. Answers how many resources there were.
    pub(super) fn release_all(
        &mut self,
        filter: &Filter<'_>,
        now: Time,
        books: &mut Books,
    ) -> usize {
        let grants = match &filter.owner {
            // An owner has one grant: no need to look at all there are.
            Some(owner) => self
                .owners
                .get(owner.as_str())
                .copied()
                .into_iter()
                .collect(),
            None => self.grants(books),
        };
        let mut released = 0;
        for key in grants {
            let grant = books.grants.get(key);
            let age_ms = now.ms_since(grant.granted_at);
            if filter
                .older_s
                .is_none_or(|older_s| age_ms >= older_s.saturating_mul(1000))
            {
                released += grant.count;
                self.release_grant(key, now, books);
            }
        }
        released
    }

    /// Takes a grant back that nobody was told of, if it is still there.
    pub(super) fn undo(&mut self, id: &str, fence: Fence, now: Time, books: &mut Books) {
        let grant = self.resources.find(id).and_then(|key| self.grant_of(key));
        if let Some(grant) = grant
            && books.grants.get(grant).fence == fence
            && books.grants.get(grant).owner.is_none()
        {
            self.release_grant(grant, now, books);
        }
    }

    /// Gives everything back that is in a grant.
    pub(super) fn release_grant(&mut self, grant: GrantKey, now: Time, books: &mut Books) {
        let keys: Vec<_> = self
            .resources
            .walk(&books.grants.get(grant).resources)
            .collect();
        for key in keys {
            self.give_back(key, now, books);
        }
    }

    /// Gives one held resource back, and hands it on if somebody waits for it.
    fn give_back(&mut self, key: ResourceKey, now: Time, books: &mut Books) {
        let slot = self.grant_of(key).expect("what is given back is held");
        let grant = books.grants.get_mut(slot);
        self.resources.take_back(key, &mut grant.resources);
        grant.count -= 1;
        self.held_count -= 1;
        if grant.count == 0 {
            let grant = books.grants.remove(slot);
            if let Some(owner) = grant.owner {
                self.owners.remove(&owner);
            }
        }
        match self.resources.get(key).seat {
            Some(_) => {
                self.note(key, books);
                self.offer(key, now, books);
            }
            None => self.forget(key, books),
        }
    }

    pub(super) fn grant_of(&self, key: ResourceKey) -> Option<GrantKey> {
        match self.resources.get(key).holder {
            Holder::Grant(grant) => Some(grant),
            Holder::Free | Holder::Reserved => None,
        }
    }

    /// Forgets a free resource for good.
    pub(super) fn forget(&mut self, key: ResourceKey, books: &mut Books) {
        let id = self.resources.remove(key);
        books.note(|| Change::ResourceRemoved(self.number, id));
    }

    /// Notes the state of all that is in a grant.
    fn note_grant(&self, grant: GrantKey, books: &mut Books) {
        if books.changes.is_some() {
            let keys: Vec<_> = self
                .resources
                .walk(&books.grants.get(grant).resources)
                .collect();
            keys.into_iter().for_each(|key| self.note(key, books));
        }
    }

    /// Notes the state of a resource.
    pub(super) fn note(&self, key: ResourceKey, books: &mut Books) {
        let resource = self.resources.get(key);
        let Books {
            changes: Some(changes),
            grants,
            ..
        } = books
        else {
            return;
        };
        let grant = self.grant_of(key).map(|grant| {
            let Grant {
                fence,
                granted_at,
                ttl,
                owner,
                ..
            } = grants.get(grant);
            GrantRow {
                fence: *fence,
                granted_at: *granted_at,
                ttl: *ttl,
                owner: owner.clone(),
            }
        });
        let row = ResourceRow {
            seat: resource.seat,
            rank: resource.rank,
            grant,
        };
        changes.push(Change::ResourceSet(self.number, resource.id.clone(), row));
    }
}
