//! The resources of one pool: found by id, chained in the order of lending, in constant time.
//!
//! It knows which resources are free and in what order they go out. It does not know why one is
//! held.

use std::collections::HashMap;

use slab::Slab;

use super::grants::GrantKey;
use crate::command::{IdList, StoredName};

/// A resource of one pool. Valid until the resource is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResourceKey(u32);

const NOBODY: ResourceKey = ResourceKey(u32::MAX);

#[derive(Debug)]
pub(super) struct Resource {
    pub(super) id: StoredName,
    /// Place in seeding order; `None` once it is no longer a member.
    pub(super) seat: Option<u64>,
    pub(super) rank: i64,
    pub(super) holder: Holder,
    previous: ResourceKey,
    next: ResourceKey,
}

/// Who has a resource. A resource is in the chain that belongs to its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Free,
    /// Kept for an owner who is away and has a place in line for it. It is in no chain.
    Reserved,
    Grant(GrantKey),
}

/// A doubly linked list through the resources themselves; each is in exactly one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    first: ResourceKey,
    last: ResourceKey,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain {
            first: NOBODY,
            last: NOBODY,
        }
    }
}

impl Chain {
    pub(super) fn is_empty(&self) -> bool {
        self.first == NOBODY
    }
}

#[derive(Debug, Default)]
pub(super) struct Resources {
    slots: Slab<Resource>,
    index: HashMap<StoredName, ResourceKey>,
    free: Chain,
    free_count: usize,
    member_count: usize,
    next_seat: u64,
    lowest_rank: i64,
    highest_rank: i64,
}

impl Resources {
    pub(super) fn find(&self, id: &str) -> Option<ResourceKey> {
        self.index.get(id).copied()
    }

    pub(super) fn get(&self, key: ResourceKey) -> &Resource {
        &self.slots[key.0 as usize]
    }

    /// All that were ever added and not removed, in no order.
    pub(super) fn keys(&self) -> Vec<ResourceKey> {
        self.slots
            .iter()
            .map(|(slot, _)| ResourceKey(slot as u32))
            .collect()
    }

    /// How many are free.
    pub(super) fn free_count(&self) -> usize {
        self.free_count
    }

    pub(super) fn member_count(&self) -> usize {
        self.member_count
    }

    /// The members in seeding order.
    pub(super) fn members(&self) -> IdList {
        let seats = self
            .slots
            .iter()
            .filter_map(|(_, r)| Some((r.seat?, &r.id)));
        let mut members: Vec<(u64, &StoredName)> = seats.collect();
        members.sort_unstable_by_key(|&(seat, _)| seat);
        let mut ids = IdList::default();
        members.iter().for_each(|(_, id)| ids.push_stored(id));
        ids
    }

    /// Adds a new, free member that is lent before all others.
    pub(super) fn add(&mut self, id: &str) -> ResourceKey {
        let key = self.insert(StoredName::from(id), None, self.lowest_rank - 1);
        self.seat_last(key);
        self.link_free_first(key);
        key
    }

    /// Puts a stored resource back, held by nobody and in no chain: `link_free_last` or
    /// `link_held` must follow.
    pub(super) fn restore(&mut self, id: StoredName, seat: Option<u64>, rank: i64) -> ResourceKey {
        self.member_count += usize::from(seat.is_some());
        self.next_seat = self.next_seat.max(seat.map_or(0, |seat| seat + 1));
        self.insert(id, seat, rank)
    }

    fn insert(&mut self, id: StoredName, seat: Option<u64>, rank: i64) -> ResourceKey {
        assert!(
            self.slots.len() < NOBODY.0 as usize,
            "a pool has fewer than 2^32 - 1 resources"
        );
        let key = ResourceKey(self.slots.vacant_key() as u32);
        self.index.insert(id.clone(), key);
        let (previous, next) = (NOBODY, NOBODY);
        self.slots.insert(Resource {
            id,
            seat,
            rank,
            holder: Holder::Free,
            previous,
            next,
        });
        self.lowest_rank = self.lowest_rank.min(rank);
        self.highest_rank = self.highest_rank.max(rank);
        key
    }

    /// Every seat given from now on is this one or a later one.
    pub(super) fn seats_from(&self) -> u64 {
        self.next_seat
    }

    /// Makes it a member, the last in seeding order.
    pub(super) fn seat_last(&mut self, key: ResourceKey) {
        let seat = self.next_seat;
        self.next_seat += 1;
        let resource = &mut self.slots[key.0 as usize];
        self.member_count += usize::from(resource.seat.is_none());
        resource.seat = Some(seat);
    }

    /// Makes it a member no longer.
    pub(super) fn unseat(&mut self, key: ResourceKey) {
        let resource = &mut self.slots[key.0 as usize];
        self.member_count -= usize::from(resource.seat.take().is_some());
    }

    /// The free resource that is lent next.
    pub(super) fn first_free(&self) -> Option<ResourceKey> {
        (!self.free.is_empty()).then_some(self.free.first)
    }

    /// Takes a free resource for a grant, and appends it to the chain of that grant.
    pub(super) fn lend(&mut self, key: ResourceKey, grant: GrantKey, chain: &mut Chain) {
        let holder = &mut self.slots[key.0 as usize].holder;
        assert!(
            *holder == Holder::Free,
            "a resource that is held is never lent"
        );
        *holder = Holder::Grant(grant);
        self.unlink_free(key);
        self.append(key, chain);
    }

    /// Keeps a free resource from being lent.
    pub(super) fn reserve(&mut self, key: ResourceKey) {
        assert!(
            self.get(key).holder == Holder::Free,
            "only a free resource is reserved"
        );
        self.unlink_free(key);
        self.slots[key.0 as usize].holder = Holder::Reserved;
    }

    /// Makes a reserved resource free, at the back of the order of lending.
    pub(super) fn unreserve(&mut self, key: ResourceKey) {
        assert!(
            self.get(key).holder == Holder::Reserved,
            "only what is reserved is set free so"
        );
        self.rank_last(key);
        self.link_free_last(key);
    }

    fn rank_last(&mut self, key: ResourceKey) {
        self.highest_rank += 1;
        self.slots[key.0 as usize].rank = self.highest_rank;
    }

    fn unlink_free(&mut self, key: ResourceKey) {
        let mut free = self.free;
        self.unlink(key, &mut free);
        self.free = free;
        self.free_count -= 1;
    }

    /// Takes a resource out of a grant's chain, to the back of the order of lending.
    pub(super) fn take_back(&mut self, key: ResourceKey, chain: &mut Chain) {
        self.unlink(key, chain);
        self.rank_last(key);
        self.link_free_last(key);
    }

    /// Puts a restored resource into the chain of the grant that holds it.
    pub(super) fn link_held(&mut self, key: ResourceKey, grant: GrantKey, chain: &mut Chain) {
        self.slots[key.0 as usize].holder = Holder::Grant(grant);
        self.append(key, chain);
    }

    /// Puts a resource that is in no chain at the back of the order of lending, keeping its rank.
    pub(super) fn link_free_last(&mut self, key: ResourceKey) {
        self.slots[key.0 as usize].holder = Holder::Free;
        let mut free = self.free;
        self.append(key, &mut free);
        self.free = free;
        self.free_count += 1;
    }

    fn link_free_first(&mut self, key: ResourceKey) {
        let second = self.free.first;
        self.slots[key.0 as usize].next = second;
        match second {
            NOBODY => self.free.last = key,
            _ => self.slots[second.0 as usize].previous = key,
        }
        self.free.first = key;
        self.free_count += 1;
    }

    /// Forgets a free resource. Answers its id.
    pub(super) fn remove(&mut self, key: ResourceKey) -> StoredName {
        assert!(
            self.get(key).holder == Holder::Free,
            "a held resource is never forgotten"
        );
        self.unlink_free(key);
        self.unseat(key);
        let resource = self.slots.remove(key.0 as usize);
        self.index.remove(&resource.id);
        resource.id
    }

    /// The resources of a chain, first to last.
    pub(super) fn walk<'a>(&'a self, chain: &Chain) -> impl Iterator<Item = ResourceKey> + use<'a> {
        let mut key = chain.first;
        std::iter::from_fn(move || {
            let current = key;
            (current != NOBODY).then(|| {
                key = self.get(current).next;
                current
            })
        })
    }

    fn append(&mut self, key: ResourceKey, chain: &mut Chain) {
        let last = chain.last;
        let resource = &mut self.slots[key.0 as usize];
        (resource.previous, resource.next) = (last, NOBODY);
        match last {
            NOBODY => chain.first = key,
            _ => self.slots[last.0 as usize].next = key,
        }
        chain.last = key;
    }

    fn unlink(&mut self, key: ResourceKey, chain: &mut Chain) {
        let resource = &mut self.slots[key.0 as usize];
        let (previous, next) = (resource.previous, resource.next);
        (resource.previous, resource.next) = (NOBODY, NOBODY);
        match previous {
            NOBODY => chain.first = next,
            _ => self.slots[previous.0 as usize].next = next,
        }
        match next {
            NOBODY => chain.last = previous,
            _ => self.slots[next.0 as usize].previous = previous,
        }
    }

    /// Panics if the index, the counters and the order of lending disagree.
    pub(super) fn check(&self) {
        assert_eq!(self.index.len(), self.slots.len());
        assert_eq!(
            self.member_count,
            self.slots.iter().filter(|(_, r)| r.seat.is_some()).count()
        );
        let free: Vec<&Resource> = self.walk(&self.free).map(|key| self.get(key)).collect();
        assert_eq!(free.len(), self.free_count);
        assert!(
            free.iter()
                .all(|r| r.holder == Holder::Free && r.seat.is_some())
        );
        assert!(
            free.windows(2).all(|pair| pair[0].rank < pair[1].rank),
            "lending follows the ranks"
        );
        let held = self
            .slots
            .iter()
            .filter(|(_, r)| r.holder != Holder::Free)
            .count();
        assert_eq!(held + self.free_count, self.slots.len());
    }
}
