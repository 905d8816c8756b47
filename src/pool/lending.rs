//! One pool: taking, renewing and releasing its resources.
//!
//! The effects on waiters are in `serving`, the effects of new members in `membership`.

use smallvec::smallvec;

use super::grants::Grant;
use super::index::Named;
use super::queue::{StoredSelection, WaitQueue, Waiter};
use super::resources::{Holder, PoolResources, ResourceKey};
use super::slots::Chain;
use super::{Change, EngineState, GrantKey, PoolKey, PoolNumber};
use crate::command::{
    Acquire, Fence, Filter, Granted, Leases, OwnerName, Refusal, ReleaseCondition, Renewal, Reply,
    StoredName, Ticket, Ttl,
};
use crate::time::Time;

/// The most grants that an acquire visits to find a lease that is over, if more are over than end at
/// once.
const MAX_LOOKED_AT: usize = 1000;

/// One pool. There may be a hundred thousand, so rare state is kept elsewhere.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) key: PoolKey,
    pub(super) held_count: u32,
    pub(super) number: PoolNumber,
    pub(super) name: StoredName,
    /// The fence of the latest grant.
    pub(super) fence: Fence,
    pub(super) resources: PoolResources,
    /// The grants in the order of their fences.
    pub(super) grants: Chain<Grant>,
    pub(super) queue: WaitQueue,
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
    /// Makes a pool without resources.
    pub(super) fn new(key: PoolKey, number: PoolNumber, name: StoredName, fence: Fence) -> Pool {
        Pool {
            key,
            held_count: 0,
            number,
            name,
            fence,
            resources: PoolResources::default(),
            grants: Chain::default(),
            queue: WaitQueue::default(),
        }
    }

    /// Answers at once, or queues the request and returns `None`.
    pub(super) fn acquire(
        &mut self,
        ticket: Ticket,
        acquire: &Acquire<'_>,
        now: Time,
        state: &mut EngineState,
    ) -> Result<Option<Reply>, Refusal> {
        let selection = StoredSelection::of(&acquire.selection);
        if state.is_behind {
            self.end_due_leases(&selection, acquire.owner.as_ref(), now, state);
        }
        if let Some(owner) = &acquire.owner
            && let Some(grant) = state.grants.of_owner(self.key, owner.as_str())
        {
            let recovered = self.recover(grant, &selection, acquire.ttl, now, state)?;
            return Ok(Some(Reply::Granted(recovered)));
        }
        self.could_ever_serve(&selection, state)?;
        let owner = acquire.owner.as_ref().map(OwnerName::as_str);
        if let Some(waiter) = owner.and_then(|owner| self.queue.waiter_of(owner)) {
            // Only a request that waits takes the place of a waiting one.
            if acquire.wait_ms == 0 && state.waiters.get(waiter).ticket.is_some() {
                return Err(Refusal::Busy);
            }
            return self.take_over(waiter, ticket, selection, acquire, now, state);
        }
        let owner = owner.map(StoredName::from);
        if self.is_servable(&selection, state) {
            let granted = self.grant(&selection, owner, acquire.ttl, now, state);
            return Ok(Some(Reply::Granted(granted)));
        }
        if acquire.wait_ms == 0 {
            return Err(Refusal::Busy);
        }
        let is_full = state.waiters.len() >= state.rules.max_waiters
            || self.queue.len() >= state.rules.max_pool_waiters;
        if is_full || !acquire.may_queue {
            return Err(Refusal::QueueFull);
        }
        let until = now.after_ms(acquire.wait_ms.min(state.rules.max_wait_ms));
        let (pool, place) = (self.key, state.waiters.last_place());
        let waiter = Waiter {
            pool,
            place,
            since: now,
            ticket: Some(ticket),
            selection,
            owner,
            ttl: acquire.ttl,
        };
        let key = state.waiters.insert(waiter, until);
        self.queue.insert(key, &mut state.waiters);
        Ok(None)
    }

    /// Ends leases of this pool that are over, the oldest grants first, until the selection can be
    /// served. It visits only some grants: in a large pool the leases that are over may be further back,
    /// and the next slices end them.
    fn end_due_leases(
        &mut self,
        selection: &StoredSelection,
        owner: Option<&OwnerName<'_>>,
        now: Time,
        state: &mut EngineState,
    ) {
        let own = owner.and_then(|owner| state.grants.of_owner(self.key, owner.as_str()));
        match own {
            Some(grant) if state.is_over(grant, now) => self.end_grant(grant, now, state),
            // The caller renews it.
            Some(_) => return,
            None => {}
        }
        if let StoredSelection::Named(id) = selection
            && let Some((_, grant)) = self.held(id, state)
        {
            if !state.is_over(grant, now) {
                return;
            }
            self.end_grant(grant, now, state);
        }
        let mut next = self.grants.first();
        for _ in 0..MAX_LOOKED_AT {
            let Some(grant) = next.filter(|_| !self.is_servable(selection, state)) else {
                return;
            };
            next = state.grants.next_of_pool(grant);
            if state.is_over(grant, now) {
                self.end_grant(grant, now, state);
            }
        }
    }

    /// Ends a lease that is over.
    fn end_grant(&mut self, grant: GrantKey, now: Time, state: &mut EngineState) {
        state.counts.expired += u64::from(state.grants.get(grant).count);
        self.release_grant(grant, now, state);
    }

    /// Answers an owner that asks for what it holds: the same lock, with its lease restarted.
    fn recover(
        &mut self,
        key: GrantKey,
        selection: &StoredSelection,
        ttl: Option<Ttl>,
        now: Time,
        state: &mut EngineState,
    ) -> Result<Granted, Refusal> {
        let grant = state.grants.get(key);
        let count = grant.count as usize;
        let is_the_same = match selection {
            StoredSelection::Any(wanted) => *wanted == count,
            StoredSelection::All => {
                let is_all_held =
                    self.resources.free_count() == 0 && self.queue.reserved().is_empty();
                is_all_held && self.held_count == grant.count
            }
            StoredSelection::Named(id) => {
                let held = grant.resources.first();
                count == 1 && held == state.resources.find(self.key, id)
            }
        };
        if !is_the_same {
            return Err(Refusal::OwnerHolds(count));
        }
        self.start_lease(key, ttl, now, state);
        Ok(Granted {
            pool: self.name.clone(),
            leases: state.leases_of(key, now),
        })
    }

    /// Checks that the pool could serve this selection if no resource were held.
    pub(super) fn could_ever_serve(
        &self,
        selection: &StoredSelection,
        state: &EngineState,
    ) -> Result<(), Refusal> {
        let member_count = self.resources.member_count();
        match selection {
            StoredSelection::Any(count) if *count > member_count => {
                Err(Refusal::OnlyResources(member_count))
            }
            StoredSelection::All if member_count == 0 => Err(Refusal::OnlyResources(0)),
            StoredSelection::Any(_) | StoredSelection::All => Ok(()),
            StoredSelection::Named(id) => match state.resources.find(self.key, id) {
                Some(key) if state.resources.get(key).is_member() => Ok(()),
                _ => Err(Refusal::NoResource),
            },
        }
    }

    /// The number of resources that are free and not reserved for an absent owner.
    pub(super) fn lendable_count(&self) -> usize {
        // Fewer are free than are reserved only while the pool is being seeded.
        let free = self.resources.free_count();
        free.saturating_sub(self.queue.reserved_any())
    }

    /// Returns true if enough resources can be lent, regardless of other waiters.
    pub(super) fn can_serve(&self, selection: &StoredSelection, state: &EngineState) -> bool {
        let lendable = self.lendable_count();
        match selection {
            StoredSelection::Any(_) | StoredSelection::All => self.count_of(selection) <= lendable,
            StoredSelection::Named(id) => {
                let resource = state.resources.find(self.key, id);
                lendable > 0
                    && resource.is_some_and(|key| state.resources.get(key).holder() == Holder::Free)
            }
        }
    }

    /// The number of resources that it is for.
    pub(super) fn count_of(&self, selection: &StoredSelection) -> usize {
        match selection {
            StoredSelection::Any(count) => *count,
            StoredSelection::All => self.resources.member_count(),
            StoredSelection::Named(_) => 1,
        }
    }

    /// Returns true if a new request gets this at once.
    fn is_servable(&self, selection: &StoredSelection, state: &EngineState) -> bool {
        self.can_serve(selection, state) && !self.queue.is_held_up(&state.waiters)
    }

    /// Grants resources that are free.
    pub(super) fn grant(
        &mut self,
        selection: &StoredSelection,
        owner: Option<StoredName>,
        ttl: Option<Ttl>,
        now: Time,
        state: &mut EngineState,
    ) -> Granted {
        let fence = self.fence.next();
        assert!(fence > self.fence, "a fence never falls");
        self.fence = fence;
        state.note(|| Change::Fence(self.number, fence));
        let key = state.grants.next_key();
        let ttl = ttl.or(state.rules.default_ttl);
        let mut grant = Grant::new(self.key, fence, now, ttl, owner);
        grant.count = self.count_of(selection) as u32;
        for _ in 0..grant.count {
            let resource = match selection {
                StoredSelection::Any(_) | StoredSelection::All => {
                    state.resources.first_free(&self.resources)
                }
                StoredSelection::Named(id) => state.resources.find(self.key, id),
            };
            let resource = resource.expect("as many are free as are granted");
            let chain = &mut grant.resources;
            state
                .resources
                .lend(&mut self.resources, resource, key, chain);
        }
        self.held_count += grant.count;
        state.counts.granted += u64::from(grant.count);
        state
            .grants
            .insert(&mut self.grants, grant, self.number, now);
        self.note_grant(key, state);
        Granted {
            pool: self.name.clone(),
            leases: state.leases_of(key, now),
        }
    }

    /// Renews the lock that holds a resource.
    pub(super) fn renew(
        &mut self,
        id: &str,
        renewal: &Renewal<'_>,
        now: Time,
        state: &mut EngineState,
    ) -> Result<Leases, Refusal> {
        let held = self.held_now(id, now, state);
        let (key, grant) = held.ok_or(Refusal::NotHeld)?;
        state
            .grants
            .get(grant)
            .admits(renewal.owner.as_ref(), renewal.fence, false)?;
        self.start_lease(grant, renewal.ttl, now, state);
        Ok(smallvec![state.lease(grant, key, now)])
    }

    /// Renews the lock that an owner has.
    pub(super) fn renew_owned(
        &mut self,
        renewal: &Renewal<'_>,
        now: Time,
        state: &mut EngineState,
    ) -> Result<Leases, Refusal> {
        let owner = renewal.owner.as_ref().ok_or(Refusal::NotHeld)?;
        let grant = state.grants.of_owner(self.key, owner.as_str());
        let grant = grant.filter(|&grant| !state.is_over(grant, now));
        let grant = grant.ok_or(Refusal::NotHeld)?;
        state
            .grants
            .get(grant)
            .admits(Some(owner), renewal.fence, false)?;
        self.start_lease(grant, renewal.ttl, now, state);
        Ok(state.leases_of(grant, now))
    }

    /// Restarts a lease, at its last length if none is given.
    fn start_lease(&mut self, key: GrantKey, ttl: Option<Ttl>, now: Time, state: &mut EngineState) {
        let grant = state.grants.get_mut(key);
        let changes = ttl.is_some() && ttl != grant.ttl;
        if changes {
            grant.ttl = ttl;
        }
        state.grants.start_lease(key, self.number, now);
        if changes {
            self.note_grant(key, state);
        }
    }

    pub(super) fn release(
        &mut self,
        id: &str,
        condition: &ReleaseCondition<'_>,
        now: Time,
        state: &mut EngineState,
    ) -> Result<(), Refusal> {
        match self.held_now(id, now, state) {
            Some((key, grant)) => {
                let grant = state.grants.get(grant);
                grant.admits(condition.owner.as_ref(), condition.fence, condition.force)?;
                state.counts.released += 1;
                self.release_resource(key, now, state);
                Ok(())
            }
            // An owner that repeats its release has what it wants.
            None if condition.owner.is_some() => Ok(()),
            None => Err(Refusal::NotHeld),
        }
    }

    /// Releases the locks that match, the longest held first. Returns the number of released resources.
    pub(super) fn release_all(
        &mut self,
        filter: &Filter<'_>,
        now: Time,
        state: &mut EngineState,
    ) -> usize {
        let grants = match &filter.owner {
            // An owner has one grant, so the others need no visit.
            Some(owner) => {
                let grant = state.grants.of_owner(self.key, owner.as_str());
                grant.into_iter().collect()
            }
            None => self.grants(state),
        };
        let mut released = 0;
        for key in grants {
            let grant = state.grants.get(key);
            let age_ms = now.ms_since(grant.granted_at);
            if state.is_over(key, now) {
                continue;
            }
            if filter
                .older_s
                .is_none_or(|older_s| age_ms >= older_s.saturating_mul(1000))
            {
                released += grant.count as usize;
                self.release_grant(key, now, state);
            }
        }
        state.counts.released += released as u64;
        released
    }

    /// Takes back a grant whose client was never told of it, if it still exists.
    pub(super) fn undo(&mut self, id: &str, fence: Fence, now: Time, state: &mut EngineState) {
        if let Some((_, grant)) = self.held_now(id, now, state)
            && state.grants.get(grant).fence == fence
            && state.grants.get(grant).owner().is_none()
        {
            state.counts.released += u64::from(state.grants.get(grant).count);
            self.release_grant(grant, now, state);
        }
    }

    /// Releases all resources of a grant.
    pub(super) fn release_grant(&mut self, grant: GrantKey, now: Time, state: &mut EngineState) {
        for _ in 0..state.grants.get(grant).count {
            self.release_one(grant, now, state);
        }
    }

    /// Releases the first resource of a grant.
    pub(super) fn release_one(&mut self, grant: GrantKey, now: Time, state: &mut EngineState) {
        let key = state.grants.get(grant).resources.first();
        let key = key.expect("a grant has as many resources as it counts");
        self.release_resource(key, now, state);
    }

    /// Releases one held resource, and serves the waiter it is due to.
    fn release_resource(&mut self, key: ResourceKey, now: Time, state: &mut EngineState) {
        let slot = state.grant_of(key).expect("what is given back is held");
        let grant = state.grants.get_mut(slot);
        let chain = &mut grant.resources;
        state.resources.take_back(&mut self.resources, key, chain);
        grant.count -= 1;
        self.held_count -= 1;
        if grant.count == 0 {
            state.grants.remove(&mut self.grants, slot);
        }
        if state.resources.get(key).is_member() {
            self.note(key, state);
            self.offer(key, now, state);
        } else {
            self.forget(key, state);
        }
    }

    /// Finds a held resource and its grant.
    fn held(&self, id: &str, state: &EngineState) -> Option<(ResourceKey, GrantKey)> {
        let key = state.resources.find(self.key, id)?;
        Some((key, state.grant_of(key)?))
    }

    /// Finds a held resource and its grant, if the lease is not over.
    fn held_now(
        &self,
        id: &str,
        now: Time,
        state: &EngineState,
    ) -> Option<(ResourceKey, GrantKey)> {
        let held = self.held(id, state);
        held.filter(|&(_, grant)| !state.is_over(grant, now))
    }

    /// Removes a free resource.
    pub(super) fn forget(&mut self, key: ResourceKey, state: &mut EngineState) {
        let id = state.resources.remove(&mut self.resources, key);
        state.note(|| Change::ResourceRemoved(self.number, id));
    }

    /// Notes the rows of all resources of a grant.
    #[inline]
    fn note_grant(&self, grant: GrantKey, state: &mut EngineState) {
        if state.changes.is_some() {
            let mut next = state.grants.get(grant).resources.first();
            while let Some(key) = next {
                self.note(key, state);
                next = state.resources.next_lent(key);
            }
        }
    }

    /// Notes the row of a resource.
    pub(super) fn note(&self, key: ResourceKey, state: &mut EngineState) {
        if state.changes.is_some() {
            let row = state.row_of(key);
            let id = state.resources.get(key).id.clone();
            state.note(|| Change::ResourceSet(self.number, id, row));
        }
    }
}
