//! The members of one pool: adding and setting them, and removing the pool.

use super::changed_ids::ChangedIds;
use super::lending::Pool;
use super::resources::{Holder, ResourceKey, SeedOrder};
use super::{Change, EngineState, GrantKey};
use crate::command::{Ids, Refusal, StoredName};

impl Pool {
    /// Makes `ids` members. The first of them has the index `from` among all ids of the seed for
    /// this pool. If the members are set, a present member gets a new seed index; otherwise it stays
    /// as it is.
    pub(super) fn add_members(
        &mut self,
        ids: Ids<'_>,
        from: usize,
        update: &mut MembershipUpdate,
        state: &mut EngineState,
    ) {
        for (place, id) in (from..).zip(ids) {
            let (seed_index, rank) = (update.order.index(place), update.order.rank(place));
            match state.resources.find(self.key, id.as_str()) {
                None => {
                    let (all, own) = (&mut state.resources, &mut self.resources);
                    let key = all.add(own, self.key, id.as_str(), rank);
                    self.add_member(key, seed_index, update, state);
                }
                Some(key) => match state.resources.get(key).seed_index() {
                    // A seed that a crash cut off has left it. The ids added before it now are in
                    // front of it again.
                    Some(known) if known == seed_index => {
                        self.add_member_again(key, seed_index, rank, state)
                    }
                    // The seed names it twice.
                    Some(known) if known >= update.order.first_index => {}
                    Some(_) if !update.sets => {}
                    _ => self.add_member(key, seed_index, update, state),
                },
            }
        }
    }

    fn add_member(
        &mut self,
        key: ResourceKey,
        seed_index: u64,
        update: &mut MembershipUpdate,
        state: &mut EngineState,
    ) {
        state
            .resources
            .add_member(&mut self.resources, key, seed_index);
        update.note_changed(key, state);
    }

    fn add_member_again(
        &mut self,
        key: ResourceKey,
        seed_index: u64,
        rank: i64,
        state: &mut EngineState,
    ) {
        state
            .resources
            .add_member(&mut self.resources, key, seed_index);
        let resource = state.resources.get(key);
        if resource.rank == rank && !matches!(resource.holder(), Holder::Grant(_)) {
            state.resources.lend_first(&mut self.resources, key);
        }
    }

    /// Drops up to `most` of the members that have no new seed index. Returns the number dropped.
    pub(super) fn drop_members(
        &mut self,
        most: usize,
        update: &mut MembershipUpdate,
        state: &mut EngineState,
    ) -> usize {
        let mut count = 0;
        // Members without a new seed index are in front of all that have one.
        while count < most
            && let Some(key) = self.resources.first_member()
            && let Some(seed_index) = state.resources.get(key).seed_index()
            && seed_index < update.order.first_index
        {
            self.drop_member(key, update, state);
            count += 1;
        }
        count
    }

    /// Ends the membership of a resource. It is removed, unless it is held.
    fn drop_member(
        &mut self,
        key: ResourceKey,
        update: &mut MembershipUpdate,
        state: &mut EngineState,
    ) {
        update.note_changed(key, state);
        state.resources.remove_member(&mut self.resources, key);
        match state.resources.get(key).holder() {
            Holder::Grant(_) => return,
            Holder::Free => {}
            Holder::Reserved => self.unreserve(key, state),
        }
        state.resources.remove(&mut self.resources, key);
    }

    /// Notes the row of an id that was added or dropped.
    pub(super) fn note_changed(&self, id: StoredName, state: &mut EngineState) {
        match state.resources.find(self.key, &id) {
            Some(key) => self.note(key, state),
            None => state.note(|| Change::ResourceRemoved(self.number, id)),
        }
    }

    /// Refuses the waiters that can never be served any more, and removes them from the queue.
    pub(super) fn dismiss_unsatisfiable(&mut self, state: &mut EngineState) {
        for key in self.queue.all() {
            if let Err(refusal) = self.could_ever_serve(&state.waiters.get(key).selection, state) {
                self.take_out(key, refusal, state);
            }
        }
    }

    /// Removes the pool's parts. Its waiters are refused: the pool is gone.
    pub(super) fn dissolve(mut self, state: &mut EngineState) {
        for key in self.queue.all() {
            self.take_out(key, Refusal::NoPool, state);
        }
        for grant in self.grants(state) {
            self.dissolve_grant(grant, state);
        }
        let mut next = self.resources.first_member();
        while let Some(key) = next {
            next = state.resources.next_member(key);
            state.resources.discard(key);
        }
        state.resources.shrink();
    }

    /// Removes a grant, and its resources that are no longer members.
    fn dissolve_grant(&mut self, grant: GrantKey, state: &mut EngineState) {
        let mut next = state.grants.get(grant).resources.first();
        while let Some(key) = next {
            next = state.resources.next_lent(key);
            if !state.resources.get(key).is_member() {
                state.resources.discard(key);
            }
        }
        state.grants.remove(&mut self.grants, grant);
    }
}

/// A change of one pool's members by a seed.
#[derive(Debug)]
pub(super) struct MembershipUpdate {
    pub(super) order: SeedOrder,
    /// True if the seed replaces the members instead of adding to them.
    pub(super) sets: bool,
    /// The ids whose rows have changed; empty without a journal.
    pub(super) changed_ids: ChangedIds,
}

impl MembershipUpdate {
    pub(super) fn new(order: SeedOrder, sets: bool) -> MembershipUpdate {
        let changed_ids = ChangedIds::default();
        MembershipUpdate {
            order,
            sets,
            changed_ids,
        }
    }

    fn note_changed(&mut self, key: ResourceKey, state: &EngineState) {
        if state.changes.is_some() {
            self.changed_ids.push(state.resources.get(key).id.clone());
        }
    }
}
