//! One pool's members: adding, setting, and taking the pool apart.

use super::grants::GrantKey;
use super::lending::Pool;
use super::resources::{Holder, ResourceKey, Seats};
use super::touched::Touched;
use super::{Change, EngineState};
use crate::command::{Ids, Refusal, StoredName};

impl Pool {
    /// Makes members of `ids`, of which the first stands at `from` among all that the pool is seeded
    /// with. Who is a member already has a new seat if the members are set, else it stays as it is.
    pub(super) fn seat_all(
        &mut self,
        ids: Ids<'_>,
        from: usize,
        seating: &mut Seating,
        state: &mut EngineState,
    ) {
        for (place, id) in (from..).zip(ids) {
            let (seat, rank) = (seating.seats.seat(place), seating.seats.rank(place));
            match state.resources.find(self.key, id.as_str()) {
                None => {
                    let (resources, stock) = (&mut state.resources, &mut self.stock);
                    let key = resources.add(stock, self.key, id.as_str(), rank);
                    self.seat(key, seat, seating, state);
                }
                Some(key) => match state.resources.get(key).seat() {
                    // So it was left by a seeding that a crash has cut off; what came before it now
                    // stands before it again.
                    Some(known) if known == seat => self.seat_again(key, seat, rank, state),
                    // It is named twice.
                    Some(known) if known >= seating.seats.first_seat => {}
                    Some(_) if !seating.sets => {}
                    _ => self.seat(key, seat, seating, state),
                },
            }
        }
    }

    fn seat(
        &mut self,
        key: ResourceKey,
        seat: u64,
        seating: &mut Seating,
        state: &mut EngineState,
    ) {
        state.resources.seat(&mut self.stock, key, seat);
        seating.touch(key, state);
    }

    fn seat_again(&mut self, key: ResourceKey, seat: u64, rank: i64, state: &mut EngineState) {
        state.resources.seat(&mut self.stock, key, seat);
        let resource = state.resources.get(key);
        if resource.rank == rank && !matches!(resource.holder(), Holder::Grant(_)) {
            state.resources.lend_first(&mut self.stock, key);
        }
    }

    /// Drops up to `most` of the members that were not seated anew. Answers how many.
    pub(super) fn drop_members(
        &mut self,
        most: usize,
        seating: &mut Seating,
        state: &mut EngineState,
    ) -> usize {
        let mut count = 0;
        // Who has not got a new seat stands before all who have.
        while count < most
            && let Some(key) = self.stock.first_member()
            && let Some(seat) = state.resources.get(key).seat()
            && seat < seating.seats.first_seat
        {
            self.drop_member(key, seating, state);
            count += 1;
        }
        count
    }

    /// Makes a resource a member no longer. It is gone, unless it is held.
    fn drop_member(&mut self, key: ResourceKey, seating: &mut Seating, state: &mut EngineState) {
        seating.touch(key, state);
        state.resources.unseat(&mut self.stock, key);
        match state.resources.get(key).holder() {
            Holder::Grant(_) => return,
            Holder::Free => {}
            Holder::Reserved => self.unreserve(key, state),
        }
        state.resources.remove(&mut self.stock, key);
    }

    /// Notes how it stands with an id that was seated or dropped.
    pub(super) fn note_touched(&self, id: StoredName, state: &mut EngineState) {
        match state.resources.find(self.key, &id) {
            Some(key) => self.note(key, state),
            None => state.note(|| Change::ResourceRemoved(self.number, id)),
        }
    }

    /// Answers the waiters that can never be served any more, and removes them from the queue.
    pub(super) fn dismiss_hopeless(&mut self, state: &mut EngineState) {
        for key in self.queue.all() {
            if let Err(refusal) = self.could_ever_serve(&state.waiters.get(key).wanted, state) {
                self.take_out(key, refusal, state);
            }
        }
    }

    /// Takes the pool apart. Its waiters are told that it is gone.
    pub(super) fn dissolve(mut self, state: &mut EngineState) {
        for key in self.queue.all() {
            self.take_out(key, Refusal::NoPool, state);
        }
        for grant in self.grants(state) {
            self.dissolve_grant(grant, state);
        }
        let mut next = self.stock.first_member();
        while let Some(key) = next {
            next = state.resources.next_member(key);
            state.resources.discard(key);
        }
        state.resources.shrink();
    }

    /// Forgets a grant, and what it holds that is a member no longer.
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

/// The seating of the ids that a pool is seeded with.
#[derive(Debug)]
pub(super) struct Seating {
    pub(super) seats: Seats,
    /// The members are set: they are these and no others.
    pub(super) sets: bool,
    /// Ids whose rows have changed; none, if nobody keeps a journal.
    pub(super) touched: Touched,
}

impl Seating {
    pub(super) fn new(seats: Seats, sets: bool) -> Seating {
        let touched = Touched::default();
        Seating {
            seats,
            sets,
            touched,
        }
    }

    fn touch(&mut self, key: ResourceKey, state: &EngineState) {
        if state.changes.is_some() {
            self.touched.push(state.resources.get(key).id.clone());
        }
    }
}
