//! The waiters of all pools, and the order of each pool's queue.
//!
//! It knows the order and the time-outs, but not whether a waiter can be served.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use slab::Slab;

use super::PoolKey;
use super::resources::ResourceKey;
use crate::command::{Selection, StoredName, Ticket, Ttl};
use crate::time::{Deadlines, Time};

/// The key of a waiter. Valid until it leaves the queue.
pub(super) type WaiterKey = usize;

/// A place in a queue; the lowest is at the front.
pub(super) type QueuePlace = u64;

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) pool: PoolKey,
    pub(super) place: QueuePlace,
    /// The time at which it was queued.
    pub(super) since: Time,
    /// The request to answer; `None` while an owner is away and its place is kept.
    pub(super) ticket: Option<Ticket>,
    pub(super) selection: StoredSelection,
    pub(super) owner: Option<StoredName>,
    pub(super) ttl: Option<Ttl>,
}

/// The resources that a waiter waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredSelection {
    Any(usize),
    All,
    Named(StoredName),
}

impl StoredSelection {
    pub(super) fn of(selection: &Selection<'_>) -> StoredSelection {
        match selection {
            Selection::Any(count) => StoredSelection::Any(count.get() as usize),
            Selection::All => StoredSelection::All,
            Selection::Named(id) => StoredSelection::Named(StoredName::from(id.as_str())),
        }
    }

    /// Returns true unless it is for a named resource.
    pub(super) fn is_for_any(&self) -> bool {
        !matches!(self, StoredSelection::Named(_))
    }
}

/// The waiters of all pools.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    slots: Slab<Waiter>,
    timeouts: Deadlines,
    by_ticket: HashMap<Ticket, WaiterKey>,
    next_place: QueuePlace,
    /// The memory of emptied queues, so that the next ones cost no allocation.
    #[expect(clippy::vec_box, reason = "they are moved in and out as they are")]
    spare_entries: Vec<Box<QueueEntries>>,
}

/// The most spare entries that are kept, each of a few kilobytes at most.
const MAX_SPARE_ENTRIES: usize = 64;
const MAX_SPARE_NAMES: usize = 64;

impl Waiters {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, key: WaiterKey) -> &Waiter {
        &self.slots[key]
    }

    pub(super) fn get_mut(&mut self, key: WaiterKey) -> &mut Waiter {
        &mut self.slots[key]
    }

    /// Returns true if the waiter is still queued.
    pub(super) fn contains(&self, key: WaiterKey) -> bool {
        self.slots.contains(key)
    }

    pub(super) fn find(&self, ticket: Ticket) -> Option<WaiterKey> {
        self.by_ticket.get(&ticket).copied()
    }

    pub(super) fn tickets(&self) -> impl Iterator<Item = Ticket> + '_ {
        self.by_ticket.keys().copied()
    }

    /// Returns a place behind all earlier ones.
    pub(super) fn last_place(&mut self) -> QueuePlace {
        self.next_place += 1;
        self.next_place
    }

    pub(super) fn insert(&mut self, waiter: Waiter, until: Time) -> WaiterKey {
        let ticket = waiter.ticket;
        let key = self.slots.insert(waiter);
        self.by_ticket.extend(ticket.map(|ticket| (ticket, key)));
        self.set_timeout(key, until);
        key
    }

    pub(super) fn remove(&mut self, key: WaiterKey) -> Waiter {
        self.timeouts.remove(key);
        let waiter = self.slots.remove(key);
        if let Some(ticket) = waiter.ticket {
            self.by_ticket.remove(&ticket);
        }
        waiter
    }

    /// Changes the request that a waiter answers, and the end of its wait. Returns the previous ticket.
    pub(super) fn set_ticket(
        &mut self,
        key: WaiterKey,
        ticket: Option<Ticket>,
        until: Time,
    ) -> Option<Ticket> {
        let before = std::mem::replace(&mut self.slots[key].ticket, ticket);
        if let Some(before) = before {
            self.by_ticket.remove(&before);
        }
        self.by_ticket.extend(ticket.map(|ticket| (ticket, key)));
        self.set_timeout(key, until);
        before
    }

    /// Sets the end of a wait. In the same millisecond, the waiter in front leaves first. Only the low
    /// bits of its place fit.
    fn set_timeout(&mut self, key: WaiterKey, until: Time) {
        let order = self.slots[key].place as u32;
        self.timeouts.set_in_order(key, until, order);
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.timeouts.next()
    }

    /// The time at which its place is lost; `None` if that was reached, and it has not left yet.
    pub(super) fn until(&self, key: WaiterKey) -> Option<Time> {
        self.timeouts.of(key)
    }

    /// Returns true if its time is over, and it has not left yet.
    pub(super) fn is_timed_out(&self, key: WaiterKey) -> bool {
        self.until(key).is_none()
    }

    pub(super) fn pop_timed_out(&mut self, now: Time) -> Option<WaiterKey> {
        self.timeouts.pop_due(now)
    }
}

/// The queue of one pool.
#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    /// The entries; `None` if the queue is empty.
    entries: Option<Box<QueueEntries>>,
}

/// The waiters of a queue, and the reservations for absent owners among them.
#[derive(Debug, Default)]
struct QueueEntries {
    /// The waiters for any resources. The first whose client is present holds up all behind it.
    any: BTreeMap<QueuePlace, WaiterKey>,
    /// The waiters for a named resource.
    named: BTreeMap<QueuePlace, WaiterKey>,
    by_resource: HashMap<StoredName, BTreeSet<QueuePlace>>,
    by_owner: HashMap<StoredName, WaiterKey>,
    /// The number of free resources, of any id, that are reserved.
    reserved_any: usize,
    /// The reserved named resources, by the places of their waiters.
    reserved: BTreeMap<QueuePlace, ResourceKey>,
}

impl WaitQueue {
    pub(super) fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| entries.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    /// The place of the first waiter for any resources, absent owners included.
    pub(super) fn first_for_any(&self) -> Option<QueuePlace> {
        let (&place, _) = self.entries.as_ref()?.any.first_key_value()?;
        Some(place)
    }

    /// Returns true if a waiter for any resources whose client is present holds up all later requests.
    pub(super) fn is_held_up(&self, waiters: &Waiters) -> bool {
        let entries = self.entries.iter();
        let mut any = entries.flat_map(|entries| entries.any.values());
        any.any(|&key| waiters.get(key).ticket.is_some())
    }

    /// The number of free resources, of any id, that are reserved for absent owners.
    pub(super) fn reserved_any(&self) -> usize {
        self.entries
            .as_ref()
            .map_or(0, |entries| entries.reserved_any)
    }

    /// The reserved named resources, by the places of their waiters.
    pub(super) fn reserved(&self) -> Vec<(QueuePlace, ResourceKey)> {
        let entries = self.entries.iter();
        let reserved = entries.flat_map(|entries| &entries.reserved);
        reserved.map(|(&place, &key)| (place, key)).collect()
    }

    /// Reserves `count` more free resources of any id.
    pub(super) fn reserve_any(&mut self, count: usize) {
        if let Some(entries) = &mut self.entries {
            entries.reserved_any += count;
        }
    }

    /// Reserves a named resource for the waiter at this place. `Resources::reserve` must be called for
    /// it, too.
    pub(super) fn reserve(&mut self, place: QueuePlace, resource: ResourceKey) {
        if let Some(entries) = &mut self.entries {
            entries.reserved.insert(place, resource);
        }
    }

    /// Cancels the reservation of the waiter at this place. Returns the reserved resource, if there is
    /// one.
    pub(super) fn unreserve(&mut self, place: QueuePlace) -> Option<ResourceKey> {
        self.entries.as_mut()?.reserved.remove(&place)
    }

    /// Cancels the reservations of all waiters at this place and behind it, and those of any id. `None`
    /// if there were none, the usual case.
    pub(super) fn unreserve_from(
        &mut self,
        place: QueuePlace,
    ) -> Option<BTreeMap<QueuePlace, ResourceKey>> {
        let entries = self.entries.as_mut()?;
        if !entries.has_reservations() {
            return None;
        }
        entries.reserved_any = 0;
        Some(entries.reserved.split_off(&place))
    }

    /// The first waiter for a named resource.
    pub(super) fn first_for(&self, id: &str) -> Option<(QueuePlace, WaiterKey)> {
        let entries = self.entries.as_ref()?;
        let place = *entries.by_resource.get(id)?.first()?;
        Some((place, entries.named[&place]))
    }

    /// The first waiter at the place `from` or behind it.
    pub(super) fn next(&self, from: QueuePlace) -> Option<(QueuePlace, WaiterKey)> {
        let first = |waiters: &BTreeMap<QueuePlace, WaiterKey>| {
            waiters
                .range(from..)
                .next()
                .map(|(&place, &key)| (place, key))
        };
        let entries = self.entries.as_ref()?;
        match (first(&entries.any), first(&entries.named)) {
            (Some(any), Some(named)) => Some(any.min(named)),
            (any, named) => any.or(named),
        }
    }

    /// All waiters, from the front.
    pub(super) fn all(&self) -> Vec<WaiterKey> {
        let entries = self.entries.iter();
        let mut all: Vec<_> = entries
            .flat_map(|entries| entries.any.iter().chain(&entries.named))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, &key)| key).collect()
    }

    pub(super) fn waiter_of(&self, owner: &str) -> Option<WaiterKey> {
        self.entries.as_ref()?.by_owner.get(owner).copied()
    }

    pub(super) fn insert(&mut self, key: WaiterKey, waiters: &mut Waiters) {
        let spare = &mut waiters.spare_entries;
        let entries = self
            .entries
            .get_or_insert_with(|| spare.pop().unwrap_or_default());
        entries.insert(key, &waiters.slots[key]);
    }

    /// Changes the selection of a waiter in this queue. It keeps its place.
    pub(super) fn change_selection(
        &mut self,
        key: WaiterKey,
        selection: StoredSelection,
        waiters: &mut Waiters,
    ) {
        let waiter = &mut waiters.slots[key];
        let entries = self.entries.as_mut().expect("the waiter is in this queue");
        entries.remove(waiter);
        waiter.selection = selection;
        entries.insert(key, waiter);
    }

    /// Removes a waiter of this queue.
    pub(super) fn remove(&mut self, waiter: &Waiter, waiters: &mut Waiters) {
        if let Some(entries) = &mut self.entries {
            entries.remove(waiter);
            if entries.len() == 0 {
                if entries.has_reservations() {
                    (entries.reserved_any, entries.reserved) = Default::default();
                }
                let entries = self.entries.take().filter(|entries| entries.is_small());
                if waiters.spare_entries.len() < MAX_SPARE_ENTRIES {
                    waiters.spare_entries.extend(entries);
                }
            }
        }
    }
}

impl QueueEntries {
    fn len(&self) -> usize {
        self.any.len() + self.named.len()
    }

    /// Returns true if a resource is reserved for an absent owner.
    fn has_reservations(&self) -> bool {
        self.reserved_any > 0 || !self.reserved.is_empty()
    }

    fn is_small(&self) -> bool {
        self.by_resource.capacity().max(self.by_owner.capacity()) <= MAX_SPARE_NAMES
    }

    fn insert(&mut self, key: WaiterKey, waiter: &Waiter) {
        match &waiter.selection {
            StoredSelection::Any(_) | StoredSelection::All => {
                self.any.insert(waiter.place, key);
            }
            StoredSelection::Named(id) => {
                self.named.insert(waiter.place, key);
                self.by_resource
                    .entry(id.clone())
                    .or_default()
                    .insert(waiter.place);
            }
        }
        if let Some(owner) = &waiter.owner {
            self.by_owner.insert(owner.clone(), key);
        }
    }

    fn remove(&mut self, waiter: &Waiter) {
        match &waiter.selection {
            StoredSelection::Any(_) | StoredSelection::All => {
                self.any.remove(&waiter.place);
            }
            StoredSelection::Named(id) => {
                self.named.remove(&waiter.place);
                if let Some(places) = self.by_resource.get_mut(id) {
                    places.remove(&waiter.place);
                    if places.is_empty() {
                        self.by_resource.remove(id);
                    }
                }
            }
        }
        if let Some(owner) = &waiter.owner {
            self.by_owner.remove(owner);
        }
    }
}
