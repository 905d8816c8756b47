//! The queue of one pool: the waiter that a freed resource goes to, and leaving the queue.
//!
//! The rule: go through the queue from the front, with the resources that are free and not yet reserved.
//!
//! - A waiter for any K resources takes them if K are left, and otherwise holds up all behind it.
//! - A waiter for a named resource takes it if it is left.
//! - For an absent owner, the resources it could take now are reserved. It holds up no waiter: if it
//!   wants more than is left, nothing is reserved for it.
//!
//! For resources of any id only the number is reserved, so a waiter behind may take any of them by name
//! while enough are left. Reservations follow from the queue and the free resources, and each walk
//! decides them again: an owner nearer to the front goes first.
//!
//! `serve_from` is that rule. `offer` and `dismiss` know where in the queue a change is possible. So a
//! release costs O(log n) however long the queue is, and a step more for each absent owner in front.
//! While a pool is being seeded no waiter is served; once it is complete, all waiters are that can be.

use super::EngineState;
use super::lending::Pool;
use super::queue::{QueuePlace, StoredSelection, Waiter, WaiterKey};
use super::resources::{Holder, ResourceKey};
use crate::command::{Acquire, Refusal, Reply, Ticket};
use crate::time::Time;

impl Pool {
    /// Offers a free resource to the waiter it is due to.
    pub(super) fn offer(&mut self, key: ResourceKey, now: Time, state: &mut EngineState) {
        if self.queue.is_empty() || state.seeding(self.key).is_some() {
            return;
        }
        let first_for_any = self.queue.first_for_any();
        let named = self.queue.first_for(&state.resources.get(key).id);
        match named {
            Some((place, waiter)) if first_for_any.is_none_or(|from| place < from) => {
                match state.waiters.get(waiter).ticket {
                    Some(_) => self.serve(waiter, now, state),
                    None => self.reserve(waiter, state),
                }
            }
            _ => {
                if let Some(from) = first_for_any {
                    self.serve_from(from, now, state);
                }
            }
        }
    }

    /// Serves all waiters at `place` or behind it that can be served, and decides the reservations of
    /// absent owners there. No waiter for any resources may be in front of it.
    pub(super) fn serve_from(&mut self, mut place: QueuePlace, now: Time, state: &mut EngineState) {
        if state.seeding(self.key).is_some() {
            return;
        }
        if let Some(reserved) = self.queue.unreserve_from(place) {
            for resource in reserved.into_values() {
                state.resources.unreserve(&mut self.resources, resource);
            }
        }
        while self.lendable_count() > 0
            && let Some((found, key)) = self.queue.next(place)
        {
            place = found + 1;
            let waiter = state.waiters.get(key);
            let is_there = waiter.ticket.is_some();
            match &waiter.selection {
                selection if self.can_serve(selection, state) => match is_there {
                    true => self.serve(key, now, state),
                    false => self.reserve(key, state),
                },
                selection if selection.is_for_any() && is_there => return,
                _ => {}
            }
        }
    }

    /// Reserves for an absent owner the resources it waits for, which are free.
    fn reserve(&mut self, key: WaiterKey, state: &mut EngineState) {
        let waiter = state.waiters.get(key);
        match &waiter.selection {
            StoredSelection::Any(_) | StoredSelection::All => {
                let count = self.count_of(&waiter.selection);
                self.queue.reserve_any(count);
            }
            StoredSelection::Named(id) => {
                let resource = state.resources.find(self.key, id);
                let resource = resource.expect("only members are waited for");
                self.queue.reserve(waiter.place, resource);
                state.resources.reserve(&mut self.resources, resource);
            }
        }
    }

    /// Makes a reserved resource free.
    pub(super) fn unreserve(&mut self, resource: ResourceKey, state: &mut EngineState) {
        let id = &state.resources.get(resource).id;
        // It is reserved for its first waiter: those behind have no right to it.
        let (place, _) = self
            .queue
            .first_for(id)
            .expect("it is reserved for a waiter");
        self.queue.unreserve(place);
        state.resources.unreserve(&mut self.resources, resource);
    }

    /// Grants a waiter the resources it waits for, which are free.
    fn serve(&mut self, key: WaiterKey, now: Time, state: &mut EngineState) {
        let waiter = state.waiters.remove(key);
        self.queue.remove(&waiter, &mut state.waiters);
        let ticket = waiter.ticket.expect("only who is there is served");
        let granted = self.grant(&waiter.selection, waiter.owner, waiter.ttl, now, state);
        state.answers.push_back((ticket, Reply::Granted(granted)));
    }

    /// Removes a waiter from the queue with this refusal.
    pub(super) fn take_out(
        &mut self,
        key: WaiterKey,
        refusal: Refusal,
        state: &mut EngineState,
    ) -> Waiter {
        let waiter = state.waiters.remove(key);
        self.queue.remove(&waiter, &mut state.waiters);
        state.answer(waiter.ticket, refusal);
        waiter
    }

    /// Removes a waiter from the queue with this refusal, and serves those that it held up.
    pub(super) fn dismiss(
        &mut self,
        key: WaiterKey,
        refusal: Refusal,
        now: Time,
        state: &mut EngineState,
    ) {
        let first_for_any = self.queue.first_for_any();
        let reserved = self.queue.unreserve(state.waiters.get(key).place);
        let waiter = self.take_out(key, refusal, state);
        match (waiter.selection, reserved, first_for_any) {
            (selection, _, Some(from)) if selection.is_for_any() => {
                self.serve_from(from, now, state)
            }
            (StoredSelection::Named(_), Some(resource), _) => {
                state.resources.unreserve(&mut self.resources, resource);
                self.offer(resource, now, state);
            }
            _ => {}
        }
    }

    /// Serves all waiters that can be served once the seed of the pool is complete, then dismisses those
    /// whose time ended meanwhile.
    pub(super) fn serve_all(&mut self, now: Time, state: &mut EngineState) {
        self.serve_from(0, now, state);
        for key in self.queue.all() {
            if state.waiters.contains(key) && state.waiters.is_timed_out(key) {
                self.dismiss(key, Refusal::Busy, now, state);
            }
        }
    }

    /// Ends the wait of a client that is gone. An owner's place is kept for a while, and those behind it
    /// are served with what is not reserved.
    pub(super) fn withdraw(&mut self, key: WaiterKey, now: Time, state: &mut EngineState) {
        if state.waiters.get(key).owner.is_none() {
            return self.dismiss(key, Refusal::Busy, now, state);
        }
        let until = now.after_ms(state.rules.queue_grace_ms);
        let asked = state.waiters.set_ticket(key, None, until);
        state.answer(asked, Refusal::Busy);
        self.serve_behind(key, now, state);
    }

    /// Serves the waiters behind one whose client came or left and that keeps its place: the waiters it
    /// holds up and the reservations have changed.
    fn serve_behind(&mut self, key: WaiterKey, now: Time, state: &mut EngineState) {
        if state.waiters.get(key).selection.is_for_any()
            && let Some(from) = self.queue.first_for_any()
        {
            self.serve_from(from, now, state);
        }
    }

    /// Gives the place of an owner that asks again to this ticket.
    pub(super) fn take_over(
        &mut self,
        key: WaiterKey,
        ticket: Ticket,
        selection: StoredSelection,
        acquire: &Acquire<'_>,
        now: Time,
        state: &mut EngineState,
    ) -> Result<Option<Reply>, Refusal> {
        let wait_ms = match acquire.wait_ms {
            0 => state.rules.queue_grace_ms,
            wait_ms => wait_ms.min(state.rules.max_wait_ms),
        };
        let before = state
            .waiters
            .set_ticket(key, Some(ticket), now.after_ms(wait_ms));
        state.answer(before, Refusal::Busy);
        let waiter = state.waiters.get_mut(key);
        waiter.ttl = acquire.ttl;
        let place = waiter.place;
        if waiter.selection != selection {
            self.queue
                .change_selection(key, selection, &mut state.waiters);
            self.serve_from(0, now, state);
        } else if let Some(resource) = self.queue.unreserve(place) {
            state.resources.unreserve(&mut self.resources, resource);
            self.serve(key, now, state);
        } else {
            self.serve_behind(key, now, state);
        }
        if acquire.wait_ms > 0 || state.waiters.find(ticket).is_none() {
            return Ok(None);
        }
        // It asks without waiting, and it is not its turn: it is away again, and keeps its place.
        state.waiters.set_ticket(key, None, now.after_ms(wait_ms));
        self.serve_behind(key, now, state);
        Err(Refusal::Busy)
    }

    /// Panics if a waiter could be served, if the reservations do not follow the rule, or if the queue
    /// and its waiters disagree.
    pub(super) fn check_queue(&self, state: &EngineState) {
        let resources = &state.resources;
        let (mut held_up, mut reserved_any, mut reserved) = (false, 0, Vec::new());
        let all_reserved = self.queue.reserved();
        let free_count = self.resources.free_count() + all_reserved.len();
        for key in self.queue.all() {
            let waiter = state.waiters.get(key);
            assert_eq!(waiter.pool, self.key);
            assert!(
                self.could_ever_serve(&waiter.selection, state).is_ok(),
                "waits for what cannot come"
            );
            let left = free_count - reserved_any - reserved.len();
            let (can_serve, named) = match &waiter.selection {
                StoredSelection::Any(_) | StoredSelection::All => {
                    (self.count_of(&waiter.selection) <= left, None)
                }
                StoredSelection::Named(id) => {
                    let key = resources
                        .find(self.key, id)
                        .expect("only members are waited for");
                    let is_held = matches!(resources.get(key).holder(), Holder::Grant(_));
                    let is_left =
                        left > 0 && !is_held && reserved.iter().all(|&(_, other)| other != key);
                    (is_left, Some(key))
                }
            };
            match (waiter.ticket.is_some(), &waiter.selection) {
                _ if held_up => {}
                (true, selection) => {
                    assert!(!can_serve, "a waiter is queued that could be served");
                    held_up = selection.is_for_any();
                }
                (false, _) if !can_serve => {}
                (false, selection) if selection.is_for_any() => {
                    reserved_any += self.count_of(selection);
                }
                (false, _) => reserved.extend(named.map(|key| (waiter.place, key))),
            }
        }
        assert_eq!(reserved_any, self.queue.reserved_any());
        assert_eq!(
            reserved, all_reserved,
            "what is reserved is what the rule says"
        );
        let is_reserved =
            |&(_, key): &(QueuePlace, ResourceKey)| resources.get(key).holder() == Holder::Reserved;
        assert!(reserved.iter().all(is_reserved));
    }
}
