//! One pool's line: the waiter that a freed resource goes to, and leaving the line.
//!
//! The rule: go through the line from the front, with what is free and not yet kept.
//!
//! - A waiter for any K resources takes them if K are left, and otherwise holds up all behind it.
//! - A waiter for a named resource takes it if it is left.
//! - For an owner who is away, what it could take now is kept. It holds nobody up: if it wants more
//!   than is left, nothing is kept for it.
//!
//! Of resources of any kind only the number is kept, so that a waiter behind may have any of them by
//! name while enough are left. What is kept follows from the line and from what is free, and is
//! decided afresh at each walk: an owner who is nearer to the front goes before.
//!
//! `serve_from` is that rule. `offer` and `dismiss` know where in the line something can have
//! changed, so that a release costs O(log n) however long the line is, and a step more for each
//! absent owner in front. While a pool is being seeded nobody is served; once it is complete,
//! everybody is who can be.

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
        let first_for_any = self.line.first_for_any();
        let named = self.line.first_for(&books.resources.get(key).id);
        match named {
            Some((place, waiter)) if first_for_any.is_none_or(|from| place < from) => {
                match books.waiters.get(waiter).ticket {
                    Some(_) => self.serve(waiter, now, books),
                    None => self.keep(waiter, books),
                }
            }
            _ => {
                if let Some(from) = first_for_any {
                    self.serve_from(from, now, books);
                }
            }
        }
    }

    /// Serves everybody at `place` or behind it who can be served, and decides what is kept for the
    /// absent owners there. No waiter for any resources may stand in front of it.
    pub(super) fn serve_from(&mut self, mut place: Place, now: Time, books: &mut Books) {
        if books.closed_as(self.key).is_some() {
            return;
        }
        if let Some(kept) = self.line.unkeep_from(place) {
            for resource in kept.into_values() {
                books.resources.unreserve(&mut self.stock, resource);
            }
        }
        while self.lendable_count() > 0
            && let Some((found, key)) = self.line.next(place)
        {
            place = found + 1;
            let waiter = books.waiters.get(key);
            let is_there = waiter.ticket.is_some();
            match &waiter.wanted {
                wanted if self.can_serve(wanted, books) => match is_there {
                    true => self.serve(key, now, books),
                    false => self.keep(key, books),
                },
                StoredWanted::Any(_) if is_there => return,
                _ => {}
            }
        }
    }

    /// Keeps for an absent owner what it wants, which is free.
    fn keep(&mut self, key: WaiterKey, books: &mut Books) {
        let waiter = books.waiters.get(key);
        match &waiter.wanted {
            StoredWanted::Any(count) => self.line.keep_count(*count),
            StoredWanted::Named(id) => {
                let resource = books.resources.find(self.key, id);
                let resource = resource.expect("only members are waited for");
                self.line.keep(waiter.place, resource);
                books.resources.reserve(&mut self.stock, resource);
            }
        }
    }

    /// Makes a reserved resource free.
    pub(super) fn unkeep(&mut self, resource: ResourceKey, books: &mut Books) {
        let id = &books.resources.get(resource).id;
        // The first who waits for it: nobody behind has a right to it.
        let (place, _) = self.line.first_for(id).expect("it is kept for a waiter");
        self.line.unkeep(place);
        books.resources.unreserve(&mut self.stock, resource);
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
        let first_for_any = self.line.first_for_any();
        let kept = self.line.unkeep(books.waiters.get(key).place);
        let waiter = self.take_out(key, refusal, books);
        match (waiter.wanted, kept, first_for_any) {
            (StoredWanted::Any(_), _, Some(from)) => self.serve_from(from, now, books),
            (StoredWanted::Named(_), Some(resource), _) => {
                books.resources.unreserve(&mut self.stock, resource);
                self.offer(resource, now, books);
            }
            _ => {}
        }
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

    /// The client of a waiter is gone. An owner's place is kept for a while, and those behind it are
    /// served with what is not kept.
    pub(super) fn withdraw(&mut self, key: WaiterKey, now: Time, books: &mut Books) {
        if books.waiters.get(key).owner.is_none() {
            return self.dismiss(key, Refusal::Busy, now, books);
        }
        let until = now.after_ms(books.rules.queue_grace_ms);
        let asked = books.waiters.set_ticket(key, None, until);
        books.answer(asked, Refusal::Busy);
        self.serve_behind(key, now, books);
    }

    /// A waiter has come or gone away and keeps its place: whom it may hold up has changed, and what
    /// is kept.
    fn serve_behind(&mut self, key: WaiterKey, now: Time, books: &mut Books) {
        if matches!(books.waiters.get(key).wanted, StoredWanted::Any(_))
            && let Some(from) = self.line.first_for_any()
        {
            self.serve_from(from, now, books);
        }
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
            self.line.change_wanted(key, wanted, &mut books.waiters);
            self.serve_from(0, now, books);
        } else if let Some(resource) = self.line.unkeep(place) {
            books.resources.unreserve(&mut self.stock, resource);
            self.serve(key, now, books);
        } else {
            self.serve_behind(key, now, books);
        }
        if acquire.wait_ms > 0 || books.waiters.find(ticket).is_none() {
            return Ok(None);
        }
        // It asks without waiting, and it is not its turn: it goes away again, and keeps its place.
        books.waiters.set_ticket(key, None, now.after_ms(wait_ms));
        self.serve_behind(key, now, books);
        Err(Refusal::Busy)
    }

    /// Panics if somebody waits who could be served, if what is kept is not what the rule says, or
    /// if the line and its waiters disagree.
    pub(super) fn check_line(&self, books: &Books) {
        let resources = &books.resources;
        let (mut held_up, mut kept_count, mut kept) = (false, 0, Vec::new());
        let all_kept = self.line.kept();
        let free_count = self.stock.free_count() + all_kept.len();
        for key in self.line.all() {
            let waiter = books.waiters.get(key);
            assert_eq!(waiter.pool, self.key);
            assert!(
                self.could_ever_serve(&waiter.wanted, books).is_ok(),
                "waits for what cannot come"
            );
            let left = free_count - kept_count - kept.len();
            let (can_serve, named) = match &waiter.wanted {
                StoredWanted::Any(count) => (*count <= left, None),
                StoredWanted::Named(id) => {
                    let key = resources
                        .find(self.key, id)
                        .expect("only members are waited for");
                    let is_held = matches!(resources.get(key).holder(), Holder::Grant(_));
                    let is_left =
                        left > 0 && !is_held && kept.iter().all(|&(_, other)| other != key);
                    (is_left, Some(key))
                }
            };
            match (waiter.ticket.is_some(), &waiter.wanted) {
                _ if held_up => {}
                (true, wanted) => {
                    assert!(!can_serve, "somebody waits who could be served");
                    held_up = matches!(wanted, StoredWanted::Any(_));
                }
                (false, _) if !can_serve => {}
                (false, StoredWanted::Any(count)) => kept_count += count,
                (false, StoredWanted::Named(_)) => {
                    kept.extend(named.map(|key| (waiter.place, key)))
                }
            }
        }
        assert_eq!(kept_count, self.line.kept_count());
        assert_eq!(kept, all_kept, "what is kept is what the rule says");
        let is_reserved =
            |&(_, key): &(Place, ResourceKey)| resources.get(key).holder() == Holder::Reserved;
        assert!(kept.iter().all(is_reserved));
    }
}
