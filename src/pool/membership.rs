//! One pool's members: adding, setting, and taking the pool apart.

use super::Books;
use super::grants::GrantKey;
use super::lending::Pool;
use super::resources::{Holder, ResourceKey};
use crate::command::{Ids, Refusal, ResourceId};
use crate::time::Time;

impl Pool {
    /// Makes each id a member that is not one yet.
    pub(super) fn add_members(&mut self, ids: Ids<'_>, now: Time, books: &mut Books) {
        for id in ids {
            match books.resources.find(self.key, id.as_str()) {
                Some(key) if books.resources.get(key).is_member() => {}
                known => self.seat(known, &id, books),
            }
        }
        self.serve_from(0, now, books);
    }

    /// Makes the members exactly these. What is held and not named goes when it is released.
    pub(super) fn set_members(&mut self, ids: Ids<'_>, now: Time, books: &mut Books) {
        let first_seat = books.resources.seats_from();
        let is_seated_anew = |key: ResourceKey, books: &Books| {
            let seat = books.resources.get(key).seat();
            seat.is_some_and(|seat| seat >= first_seat)
        };
        for id in ids {
            match books.resources.find(self.key, id.as_str()) {
                Some(key) if is_seated_anew(key, books) => {}
                known => self.seat(known, &id, books),
            }
        }
        // Who has not got a new seat stands before all who have.
        while let Some(key) = self.stock.first_member()
            && !is_seated_anew(key, books)
        {
            self.drop_member(key, books);
        }
        self.dismiss_hopeless(books);
        self.serve_from(0, now, books);
    }

    /// Makes a resource a member no longer. It is gone, unless it is held.
    fn drop_member(&mut self, key: ResourceKey, books: &mut Books) {
        books.resources.unseat(&mut self.stock, key);
        match books.resources.get(key).holder() {
            Holder::Free => self.forget(key, books),
            Holder::Grant(_) => self.note(key, books),
            Holder::Reserved => {
                books.resources.unreserve(&mut self.stock, key);
                self.forget(key, books);
            }
        }
    }

    /// Tells everybody in line who can never be served any more, and takes him out.
    fn dismiss_hopeless(&mut self, books: &mut Books) {
        for key in self.line.all() {
            if let Err(refusal) = self.could_ever_serve(&books.waiters.get(key).wanted, books) {
                self.take_out(key, refusal, books);
            }
        }
    }

    /// Takes the pool apart. Those in line are told that it is gone.
    pub(super) fn dissolve(mut self, books: &mut Books) {
        for key in self.line.all() {
            self.take_out(key, Refusal::NoPool, books);
        }
        for grant in self.grants(books) {
            self.dissolve_grant(grant, books);
        }
        let mut next = self.stock.first_member();
        while let Some(key) = next {
            next = books.resources.next_member(key);
            books.resources.discard(key);
        }
        books.resources.shrink();
    }

    /// Forgets a grant, and what it holds that is a member no longer.
    fn dissolve_grant(&mut self, grant: GrantKey, books: &mut Books) {
        let mut next = books.grants.get(grant).resources.first();
        while let Some(key) = next {
            next = books.resources.next_lent(key);
            if !books.resources.get(key).is_member() {
                books.resources.discard(key);
            }
        }
        books.grants.remove(&mut self.grants, grant);
    }

    /// Gives an id the last place in seeding order. If no resource of that id is known, there is one
    /// now, and it is free.
    fn seat(&mut self, known: Option<ResourceKey>, id: &ResourceId<'_>, books: &mut Books) {
        let (resources, stock) = (&mut books.resources, &mut self.stock);
        let key = known.unwrap_or_else(|| resources.add(stock, self.key, id.as_str()));
        resources.seat_last(stock, key);
        self.note(key, books);
    }
}
