//! One pool's members: adding, setting, restoring.

use std::collections::HashMap;

use super::grants::Grant;
use super::lending::Pool;
use super::resources::{Chain, Holder};
use super::{Books, PoolKey, PoolRow};
use crate::command::{IdList, Ids, Refusal, ResourceId};
use crate::time::Time;

impl Pool {
    pub(super) fn members(&self) -> IdList {
        self.resources.members()
    }

    /// Makes each id a member that is not one yet.
    pub(super) fn add_members(&mut self, ids: Ids<'_>, now: Time, books: &mut Books) {
        for id in ids {
            match self.resources.find(id.as_str()) {
                Some(key) if self.resources.get(key).seat.is_some() => {}
                _ => self.seat(&id, books),
            }
        }
        self.serve_from(0, now, books);
    }

    /// Makes the members exactly these. What is held and not named goes when it is released.
    pub(super) fn set_members(&mut self, ids: Ids<'_>, now: Time, books: &mut Books) {
        let mut dropped = self.resources.keys();
        let first_seat = self.resources.seats_from();
        for id in ids {
            let named_already = (self.resources.find(id.as_str()))
                .and_then(|key| self.resources.get(key).seat)
                .is_some_and(|seat| seat >= first_seat);
            if !named_already {
                self.seat(&id, books);
            }
        }
        dropped.retain(|&key| {
            self.resources
                .get(key)
                .seat
                .is_some_and(|seat| seat < first_seat)
        });
        for key in dropped {
            self.resources.unseat(key);
            match self.resources.get(key).holder {
                Holder::Free => self.forget(key, books),
                Holder::Grant(_) => self.note(key, books),
                Holder::Reserved => {
                    self.resources.unreserve(key);
                    self.forget(key, books);
                }
            }
        }
        self.dismiss_hopeless(books);
        self.serve_from(0, now, books);
    }

    /// Tells everybody in line who can never be served any more, and takes him out.
    fn dismiss_hopeless(&mut self, books: &mut Books) {
        for key in self.line.all() {
            if let Err(refusal) = self.could_ever_serve(&books.waiters.get(key).wanted) {
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
            books.grants.remove(grant);
        }
    }

    /// Gives an id the last place in seeding order; it becomes free if it is new.
    fn seat(&mut self, id: &ResourceId<'_>, books: &mut Books) {
        let key = match self.resources.find(id.as_str()) {
            Some(key) => {
                self.resources.seat_last(key);
                key
            }
            None => self.resources.add(id.as_str()),
        };
        self.note(key, books);
    }

    /// The pool that a stored row describes. Every lease starts anew.
    pub(super) fn restore(key: PoolKey, mut row: PoolRow, now: Time, books: &mut Books) -> Pool {
        let mut pool = Pool::new(key, row.number, row.name, row.fence);
        row.resources
            .sort_unstable_by_key(|(_, resource)| resource.rank);
        let mut grant_of_fence = HashMap::new();
        for (id, resource) in row.resources {
            let key = pool.resources.restore(id, resource.seat, resource.rank);
            let Some(row) = resource.grant else {
                pool.resources.link_free_last(key);
                continue;
            };
            let slot = *grant_of_fence.entry(row.fence).or_insert_with(|| {
                let slot = books.grants.next_key();
                pool.owners
                    .extend(row.owner.clone().map(|owner| (owner, slot)));
                let grant = Grant {
                    pool: pool.key,
                    fence: row.fence,
                    granted_at: row.granted_at,
                    ttl: row.ttl,
                    owner: row.owner,
                    resources: Chain::default(),
                    count: 0,
                };
                books.grants.insert(grant, now)
            });
            let grant = books.grants.get_mut(slot);
            pool.resources.link_held(key, slot, &mut grant.resources);
            grant.count += 1;
            pool.held_count += 1;
        }
        pool
    }
}
