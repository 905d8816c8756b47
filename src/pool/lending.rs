//! One pool: who may take what, renew it and give it back.
//!
//! What follows for those who stand in line is in `serving`, what follows from new members in
//! `membership`.

use smallvec::smallvec;

use super::grants::{Grant, GrantKey};
use super::index::Named;
use super::line::{Line, StoredWanted, Waiter};
use super::resources::{Holder, ResourceKey, Stock};
use super::slots::Chain;
use super::{Books, Change, PoolKey, PoolNumber};
use crate::command::{
    Acquire, Fence, Filter, Granted, Leases, OwnerName, Refusal, ReleaseCondition, Renewal, Reply,
    StoredName, Ticket, Ttl,
};
use crate::time::Time;

/// How many grants an acquire looks at for a lease that is over, if more are over than end at once.
const MAX_LOOKED_AT: usize = 1000;

/// There may be a hundred thousand pools, so what is rare stands elsewhere.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) key: PoolKey,
    pub(super) held_count: u32,
    pub(super) number: PoolNumber,
    pub(super) name: StoredName,
    /// The fence of the latest grant.
    pub(super) fence: Fence,
    pub(super) stock: Stock,
    /// In the order of their fences.
    pub(super) grants: Chain<Grant>,
    pub(super) line: Line,
}

const _: () = assert!(size_of::<Pool>() == 80 && size_of::<Option<Pool>>() == 80);

impl Named for Pool {
    fn scope(&self) -> u32 {
        0
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Pool {
    /// A pool without resources.
    pub(super) fn new(key: PoolKey, number: PoolNumber, name: StoredName, fence: Fence) -> Pool {
        Pool {
            key,
            held_count: 0,
            number,
            name,
            fence,
            stock: Stock::default(),
            grants: Chain::default(),
            line: Line::default(),
        }
    }

    /// Answers at once, or puts the asker in line: then there is no reply yet.
    pub(super) fn acquire(
        &mut self,
        ticket: Ticket,
        acquire: &Acquire<'_>,
        now: Time,
        books: &mut Books,
    ) -> Result<Option<Reply>, Refusal> {
        let wanted = StoredWanted::of(&acquire.selection);
        if books.is_behind {
            self.end_what_is_over(&wanted, acquire.owner.as_ref(), now, books);
        }
        if let Some(owner) = &acquire.owner
            && let Some(grant) = books.grants.of_owner(self.key, owner.as_str())
        {
            let recovered = self.recover(grant, &wanted, acquire.ttl, now, books)?;
            return Ok(Some(Reply::Granted(recovered)));
        }
        self.could_ever_serve(&wanted, books)?;
        let owner = acquire.owner.as_ref().map(OwnerName::as_str);
        if let Some(waiter) = owner.and_then(|owner| self.line.waiter_of(owner)) {
            // Only a request that waits takes the place of one that waits.
            if acquire.wait_ms == 0 && books.waiters.get(waiter).ticket.is_some() {
                return Err(Refusal::Busy);
            }
            return self.take_over(waiter, ticket, wanted, acquire, now, books);
        }
        let owner = owner.map(StoredName::from);
        if self.is_servable(&wanted, books) {
            let granted = self.grant(&wanted, owner, acquire.ttl, now, books);
            return Ok(Some(Reply::Granted(granted)));
        }
        if acquire.wait_ms == 0 {
            return Err(Refusal::Busy);
        }
        let is_full = books.waiters.len() >= books.rules.max_waiters
            || self.line.len() >= books.rules.max_pool_waiters;
        if is_full || !acquire.may_queue {
            return Err(Refusal::QueueFull);
        }
        let until = now.after_ms(acquire.wait_ms.min(books.rules.max_wait_ms));
        let (pool, place) = (self.key, books.waiters.last_place());
        let waiter = Waiter {
            pool,
            place,
            since: now,
            ticket: Some(ticket),
            wanted,
            owner,
            ttl: acquire.ttl,
        };
        let key = books.waiters.insert(waiter, until);
        self.line.insert(key, &mut books.waiters);
        Ok(None)
    }

    /// Ends leases of this pool whose time is over, the oldest grants first, until this can be served. It
    /// looks at some grants only: in a large pool what is over may stand behind them, and is left to the
    /// next slices.
    fn end_what_is_over(
        &mut self,
        wanted: &StoredWanted,
        owner: Option<&OwnerName<'_>>,
        now: Time,
        books: &mut Books,
    ) {
        let own = owner.and_then(|owner| books.grants.of_owner(self.key, owner.as_str()));
        match own {
            Some(grant) if books.is_over(grant, now) => self.end_grant(grant, now, books),
            // It is renewed.
            Some(_) => return,
            None => {}
        }
        if let StoredWanted::Named(id) = wanted
            && let Some((_, grant)) = self.held(id, books)
        {
            if !books.is_over(grant, now) {
                return;
            }
            self.end_grant(grant, now, books);
        }
        let mut next = self.grants.first();
        for _ in 0..MAX_LOOKED_AT {
            let Some(grant) = next.filter(|_| !self.is_servable(wanted, books)) else {
                return;
            };
            next = books.grants.next_of_pool(grant);
            if books.is_over(grant, now) {
                self.end_grant(grant, now, books);
            }
        }
    }

    /// Ends a lease whose time is over.
    fn end_grant(&mut self, grant: GrantKey, now: Time, books: &mut Books) {
        books.counts.expired += u64::from(books.grants.get(grant).count);
        self.release_grant(grant, now, books);
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
        let count = grant.count as usize;
        let is_the_same = match wanted {
            StoredWanted::Any(wanted) => *wanted == count,
            StoredWanted::Named(id) => {
                let held = grant.resources.first();
                count == 1 && held == books.resources.find(self.key, id)
            }
        };
        if !is_the_same {
            return Err(Refusal::OwnerHolds(count));
        }
        self.start_lease(key, ttl, now, books);
        Ok(Granted {
            pool: self.name.clone(),
            leases: books.leases_of(key, now),
        })
    }

    /// Whether the pool could serve this if nobody held anything.
    pub(super) fn could_ever_serve(
        &self,
        wanted: &StoredWanted,
        books: &Books,
    ) -> Result<(), Refusal> {
        let member_count = self.stock.member_count();
        match wanted {
            StoredWanted::Any(count) if *count > member_count => {
                Err(Refusal::OnlyResources(member_count))
            }
            StoredWanted::Any(_) => Ok(()),
            StoredWanted::Named(id) => match books.resources.find(self.key, id) {
                Some(key) if books.resources.get(key).is_member() => Ok(()),
                _ => Err(Refusal::NoResource),
            },
        }
    }

    /// How many resources are free and not kept for an absent owner.
    pub(super) fn lendable_count(&self) -> usize {
        // Fewer are free than are kept only while the pool is being seeded.
        let free = self.stock.free_count();
        free.saturating_sub(self.line.kept_count())
    }

    /// Whether enough can be lent for this, whoever else may be waiting for it.
    pub(super) fn can_serve(&self, wanted: &StoredWanted, books: &Books) -> bool {
        let lendable = self.lendable_count();
        match wanted {
            StoredWanted::Any(count) => *count <= lendable,
            StoredWanted::Named(id) => {
                let resource = books.resources.find(self.key, id);
                lendable > 0
                    && resource.is_some_and(|key| books.resources.get(key).holder() == Holder::Free)
            }
        }
    }

    /// Whether a newcomer gets this at once.
    fn is_servable(&self, wanted: &StoredWanted, books: &Books) -> bool {
        self.can_serve(wanted, books) && !self.line.is_held_up(&books.waiters)
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
        let ttl = ttl.or(books.rules.default_ttl);
        let mut grant = Grant::new(self.key, fence, now, ttl, owner);
        grant.count = match wanted {
            StoredWanted::Any(count) => *count as u32,
            StoredWanted::Named(_) => 1,
        };
        for _ in 0..grant.count {
            let resource = match wanted {
                StoredWanted::Any(_) => books.resources.first_free(&self.stock),
                StoredWanted::Named(id) => books.resources.find(self.key, id),
            };
            let resource = resource.expect("as many are free as are granted");
            let chain = &mut grant.resources;
            books.resources.lend(&mut self.stock, resource, key, chain);
        }
        self.held_count += grant.count;
        books.counts.granted += u64::from(grant.count);
        books
            .grants
            .insert(&mut self.grants, grant, self.number, now);
        self.note_grant(key, books);
        Granted {
            pool: self.name.clone(),
            leases: books.leases_of(key, now),
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
        let held = self.held_now(id, now, books);
        let (key, grant) = held.ok_or(Refusal::NotHeld)?;
        books
            .grants
            .get(grant)
            .admits(renewal.owner.as_ref(), renewal.fence, false)?;
        self.start_lease(grant, renewal.ttl, now, books);
        Ok(smallvec![books.lease(grant, key, now)])
    }

    /// Renews what an owner holds.
    pub(super) fn renew_owned(
        &mut self,
        renewal: &Renewal<'_>,
        now: Time,
        books: &mut Books,
    ) -> Result<Leases, Refusal> {
        let owner = renewal.owner.as_ref().ok_or(Refusal::NotHeld)?;
        let grant = books.grants.of_owner(self.key, owner.as_str());
        let grant = grant.filter(|&grant| !books.is_over(grant, now));
        let grant = grant.ok_or(Refusal::NotHeld)?;
        books
            .grants
            .get(grant)
            .admits(Some(owner), renewal.fence, false)?;
        self.start_lease(grant, renewal.ttl, now, books);
        Ok(books.leases_of(grant, now))
    }

    /// Starts a lease anew, for its last length if none is given.
    fn start_lease(&mut self, key: GrantKey, ttl: Option<Ttl>, now: Time, books: &mut Books) {
        let grant = books.grants.get_mut(key);
        let changes = ttl.is_some() && ttl != grant.ttl;
        if changes {
            grant.ttl = ttl;
        }
        books.grants.start_lease(key, self.number, now);
        if changes {
            self.note_grant(key, books);
        }
    }

    pub(super) fn release(
        &mut self,
        id: &str,
        condition: &ReleaseCondition<'_>,
        now: Time,
        books: &mut Books,
    ) -> Result<(), Refusal> {
        match self.held_now(id, now, books) {
            Some((key, grant)) => {
                let grant = books.grants.get(grant);
                grant.admits(condition.owner.as_ref(), condition.fence, condition.force)?;
                books.counts.released += 1;
                self.give_back(key, now, books);
                Ok(())
            }
            // What an owner wants who repeats himself holds already.
            None if condition.owner.is_some() => Ok(()),
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
            Some(owner) => {
                let grant = books.grants.of_owner(self.key, owner.as_str());
                grant.into_iter().collect()
            }
            None => self.grants(books),
        };
        let mut released = 0;
        for key in grants {
            let grant = books.grants.get(key);
            let age_ms = now.ms_since(grant.granted_at);
            if books.is_over(key, now) {
                continue;
            }
            if filter
                .older_s
                .is_none_or(|older_s| age_ms >= older_s.saturating_mul(1000))
            {
                released += grant.count as usize;
                self.release_grant(key, now, books);
            }
        }
        books.counts.released += released as u64;
        released
    }

    /// Takes a grant back that nobody was told of, if it is still there.
    pub(super) fn undo(&mut self, id: &str, fence: Fence, now: Time, books: &mut Books) {
        if let Some((_, grant)) = self.held_now(id, now, books)
            && books.grants.get(grant).fence == fence
            && books.grants.get(grant).owner().is_none()
        {
            books.counts.released += u64::from(books.grants.get(grant).count);
            self.release_grant(grant, now, books);
        }
    }

    /// Gives everything back that is in a grant.
    pub(super) fn release_grant(&mut self, grant: GrantKey, now: Time, books: &mut Books) {
        for _ in 0..books.grants.get(grant).count {
            self.take_back_one(grant, now, books);
        }
    }

    /// Gives the first resource back that is in a grant.
    pub(super) fn take_back_one(&mut self, grant: GrantKey, now: Time, books: &mut Books) {
        let key = books.grants.get(grant).resources.first();
        let key = key.expect("a grant has as many resources as it counts");
        self.give_back(key, now, books);
    }

    /// Gives one held resource back, and hands it on if somebody waits for it.
    fn give_back(&mut self, key: ResourceKey, now: Time, books: &mut Books) {
        let slot = books.grant_of(key).expect("what is given back is held");
        let grant = books.grants.get_mut(slot);
        let chain = &mut grant.resources;
        books.resources.take_back(&mut self.stock, key, chain);
        grant.count -= 1;
        self.held_count -= 1;
        if grant.count == 0 {
            books.grants.remove(&mut self.grants, slot);
        }
        if books.resources.get(key).is_member() {
            self.note(key, books);
            self.offer(key, now, books);
        } else {
            self.forget(key, books);
        }
    }

    /// A held resource with its grant.
    fn held(&self, id: &str, books: &Books) -> Option<(ResourceKey, GrantKey)> {
        let key = books.resources.find(self.key, id)?;
        Some((key, books.grant_of(key)?))
    }

    /// A resource that is held with its grant, whose time is not over.
    fn held_now(&self, id: &str, now: Time, books: &Books) -> Option<(ResourceKey, GrantKey)> {
        let held = self.held(id, books);
        held.filter(|&(_, grant)| !books.is_over(grant, now))
    }

    /// Forgets a free resource for good.
    pub(super) fn forget(&mut self, key: ResourceKey, books: &mut Books) {
        let id = books.resources.remove(&mut self.stock, key);
        books.note(|| Change::ResourceRemoved(self.number, id));
    }

    /// Notes the state of all that is in a grant.
    #[inline]
    fn note_grant(&self, grant: GrantKey, books: &mut Books) {
        if books.changes.is_some() {
            let mut next = books.grants.get(grant).resources.first();
            while let Some(key) = next {
                self.note(key, books);
                next = books.resources.next_lent(key);
            }
        }
    }

    /// Notes the state of a resource.
    pub(super) fn note(&self, key: ResourceKey, books: &mut Books) {
        if books.changes.is_some() {
            let row = books.row_of(key);
            let id = books.resources.get(key).id.clone();
            books.note(|| Change::ResourceSet(self.number, id, row));
        }
    }
}
