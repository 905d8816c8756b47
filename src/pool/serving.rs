//! One pool's line: whom a freed resource goes to, and who leaves.
//!
//! The rule: go through the line from the front. A waiter for any K resources takes them if K are
//! free, and otherwise holds up all behind it. A waiter for a named resource takes it if it is
//! free. An owner who is away keeps its place, and what it could take is kept for it.
//!
//! `serve_from` is that rule. `offer` and `dismiss` know where in the line something can have
//! changed, so that a release costs O(log n) however long the line is. While a pool is being seeded
//! nobody is served; once it is complete, everybody is who can be.

use super::Books;
use super::lending::Pool;
use super::line::{Place, StoredWanted, Waiter, WaiterKey};
use super::resources::{Holder, ResourceKey};
use crate::command::{Acquire, Refusal, Reply, Ticket};
use crate::time::Time;

impl Pool {
    /// A resource has become free: hands it to whom it is due.
    pub(super) fn offer(&mut self, key: ResourceKey, now: Time, books: &mut Books) {
        if self.line.is_empty() || books.closed_as(self.key).is_some() {
            return;
        }
        let held_up_from = self.line.held_up_from();
        let named = self.line.first_for(&books.resources.get(key).id);
        match named {
            Some((place, waiter)) if held_up_from.is_none_or(|from| place < from) => {
                self.serve_named(waiter, key, now, books);
            }
            _ => {
                if let Some(from) = held_up_from {
                    self.serve_from(from, now, books);
                }
            }
        }
    }

    /// Serves everybody at `place` or behind it who can be served.
    pub(super) fn serve_from(&mut self, mut place: Place, now: Time, books: &mut Books) {
        if books.closed_as(self.key).is_some() {
            return;
        }
        while let Some((found, key)) = self.line.next(place) {
            place = found + 1;
            let waiter = books.waiters.get(key);
            match &waiter.wanted {
                StoredWanted::Any(_) if waiter.ticket.is_none() => return,
                wanted @ StoredWanted::Any(_) if !self.can_serve(wanted, books) => return,
                StoredWanted::Any(_) => self.serve(key, now, books),
                StoredWanted::Named(id) => {
                    let resource = books.resources.find(self.key, id);
                    let resource = resource.expect("only members are waited for");
                    if books.resources.get(resource).holder() == Holder::Free {
                        self.serve_named(key, resource, now, books);
                    }
                }
            }
        }
    }

    /// The resource that a waiter wants is free: it is granted, or kept for an owner who is away.
    fn serve_named(&mut self, key: WaiterKey, resource: ResourceKey, now: Time, books: &mut Books) {
        match books.waiters.get(key).ticket {
            Some(_) => self.serve(key, now, books),
            None => books.resources.reserve(&mut self.stock, resource),
        }
    }

    /// Grants a waiter what it wants, which is free.
    fn serve(&mut self, key: WaiterKey, now: Time, books: &mut Books) {
        let waiter = books.waiters.remove(key);
        self.line.remove(&waiter, &mut books.waiters);
        let ticket = waiter.ticket.expect("only who is there is served");
        let granted = self.grant(&waiter.wanted, waiter.owner, waiter.ttl, now, books);
        books.answers.push_back((ticket, Reply::Granted(granted)));
    }

    /// Takes a waiter out of the line with this answer.
    pub(super) fn take_out(
        &mut self,
        key: WaiterKey,
        refusal: Refusal,
        books: &mut Books,
    ) -> Waiter {
        let waiter = books.waiters.remove(key);
        self.line.remove(&waiter, &mut books.waiters);
        books.answer(waiter.ticket, refusal);
        waiter
    }

    /// Takes a waiter out of the line with this answer, and serves those whom it stood in the way
    /// of.
    pub(super) fn dismiss(
        &mut self,
        key: WaiterKey,
        refusal: Refusal,
        now: Time,
        books: &mut Books,
    ) {
        let held_up_from = self.line.held_up_from();
        let waiter = self.take_out(key, refusal, books);
        if held_up_from == Some(waiter.place) {
            self.serve_from(waiter.place, now, books);
        }
        self.unreserve_for(&waiter.wanted, now, books);
    }

    /// The pool was closed and is open again: serves everybody who can be served, then dismisses those
    /// whose time was over meanwhile.
    pub(super) fn serve_all(&mut self, now: Time, books: &mut Books) {
        self.serve_from(0, now, books);
        for key in self.line.all() {
            if books.waiters.contains(key) && books.waiters.is_timed_out(key) {
                self.dismiss(key, Refusal::Busy, now, books);
            }
        }
    }

    /// What was kept for a waiter that has left is free for others.
    fn unreserve_for(&mut self, wanted: &StoredWanted, now: Time, books: &mut Books) {
        if let StoredWanted::Named(id) = wanted
            && let Some(key) = books.resources.find(self.key, id)
            && books.resources.get(key).holder() == Holder::Reserved
        {
            books.resources.unreserve(&mut self.stock, key);
            self.note(key, books);
            self.offer(key, now, books);
        }
    }

    /// Whoever asked with this place in line does so no longer. An owner's place is kept for a
    /// while.
    pub(super) fn withdraw(&mut self, key: WaiterKey, now: Time, books: &mut Books) {
        if books.waiters.get(key).owner.is_none() {
            return self.dismiss(key, Refusal::Busy, now, books);
        }
        let until = now.after_ms(books.rules.queue_grace_ms);
        let asked = books.waiters.set_ticket(key, None, until);
        books.answer(asked, Refusal::Busy);
    }

    /// An owner who has a place in line asks again: the place is now for this ticket.
    pub(super) fn take_over(
        &mut self,
        key: WaiterKey,
        ticket: Ticket,
        wanted: StoredWanted,
        acquire: &Acquire<'_>,
        now: Time,
        books: &mut Books,
    ) -> Result<Option<Reply>, Refusal> {
        let wait_ms = match acquire.wait_ms {
            0 => books.rules.queue_grace_ms,
            wait_ms => wait_ms.min(books.rules.max_wait_ms),
        };
        let before = books
            .waiters
            .set_ticket(key, Some(ticket), now.after_ms(wait_ms));
        books.answer(before, Refusal::Busy);
        let waiter = books.waiters.get_mut(key);
        waiter.ttl = acquire.ttl;
        let place = waiter.place;
        if waiter.wanted != wanted {
            self.unreserve_all(books);
            self.line.change_wanted(key, wanted, &mut books.waiters);
            self.serve_from(0, now, books);
        } else if matches!(wanted, StoredWanted::Named(_)) {
            self.unreserve_for(&wanted, now, books);
        } else if self.line.held_up_from() == Some(place) {
            self.serve_from(place, now, books);
        }
        if acquire.wait_ms > 0 || books.waiters.find(ticket).is_none() {
            return Ok(None);
        }
        // It asks without waiting, and it is not its turn: it goes away again, and keeps its place.
        books.waiters.set_ticket(key, None, now.after_ms(wait_ms));
        Err(Refusal::Busy)
    }

    /// A waiter is about to want something else, which may give it a right to what is kept for
    /// others behind it.
    fn unreserve_all(&mut self, books: &mut Books) {
        let resources = &books.resources;
        let named = self.line.named_resources();
        let mut reserved: Vec<_> = named
            .filter_map(|id| resources.find(self.key, id))
            .filter(|&key| resources.get(key).holder() == Holder::Reserved)
            .collect();
        // All stores do it in the same order.
        reserved.sort_by_cached_key(|&key| resources.get(key).seat());
        for key in reserved {
            books.resources.unreserve(&mut self.stock, key);
            self.note(key, books);
        }
    }

    /// Panics if somebody waits who could be served, or the line and its waiters disagree.
    pub(super) fn check_line(&self, books: &Books) {
        let mut held_up = false;
        for key in self.line.all() {
            let waiter = books.waiters.get(key);
            assert_eq!(waiter.pool, self.key);
            assert!(
                self.could_ever_serve(&waiter.wanted, books).is_ok(),
                "waits for what cannot come"
            );
            if held_up {
                continue;
            }
            assert!(
                waiter.ticket.is_none() || !self.can_serve(&waiter.wanted, books),
                "somebody waits who could be served"
            );
            held_up = matches!(waiter.wanted, StoredWanted::Any(_));
        }
    }
}
