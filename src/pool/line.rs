//! Who stands in line: the waiters of all pools, and the order of each pool's line.
//!
//! It knows the order and the time-outs. It does not know when a waiter can be served.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use slab::Slab;

use super::PoolKey;
use super::resources::ResourceKey;
use crate::command::{Selection, StoredName, Ticket, Ttl};
use crate::time::{Deadlines, Time};

/// A waiter. Valid until it leaves the line.
pub(super) type WaiterKey = usize;

/// A place in line; the lower the further ahead.
pub(super) type Place = u64;

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) pool: PoolKey,
    pub(super) place: Place,
    /// When it got in line.
    pub(super) since: Time,
    /// Whom to answer; `None` while an owner is away and its place is kept.
    pub(super) ticket: Option<Ticket>,
    pub(super) wanted: StoredWanted,
    pub(super) owner: Option<StoredName>,
    pub(super) ttl: Option<Ttl>,
}

/// What a waiter wants to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredWanted {
    Any(usize),
    Named(StoredName),
}

impl StoredWanted {
    pub(super) fn of(wanted: &Selection<'_>) -> StoredWanted {
        match wanted {
            Selection::Any(count) => StoredWanted::Any(count.get() as usize),
            Selection::Named(id) => StoredWanted::Named(StoredName::from(id.as_str())),
        }
    }
}

/// The waiters of all pools.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    slots: Slab<Waiter>,
    timeouts: Deadlines,
    by_ticket: HashMap<Ticket, WaiterKey>,
    next_place: Place,
    /// What lines were made of that are empty now, so that the next ones cost no allocation.
    #[expect(clippy::vec_box, reason = "they are moved in and out as they are")]
    spare_places: Vec<Box<Places>>,
}

/// A few kilobytes each at most.
const MAX_SPARE_PLACES: usize = 64;
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

    /// Whether it still stands in line.
    pub(super) fn contains(&self, key: WaiterKey) -> bool {
        self.slots.contains(key)
    }

    pub(super) fn find(&self, ticket: Ticket) -> Option<WaiterKey> {
        self.by_ticket.get(&ticket).copied()
    }

    pub(super) fn tickets(&self) -> impl Iterator<Item = Ticket> + '_ {
        self.by_ticket.keys().copied()
    }

    /// A place behind all that were ever given.
    pub(super) fn last_place(&mut self) -> Place {
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

    /// Changes whom a waiter answers to, and until when it waits. Answers who it was before.
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

    /// Of the same millisecond, the waiter in front leaves first. Only the last bits of its place fit.
    fn set_timeout(&mut self, key: WaiterKey, until: Time) {
        let order = self.slots[key].place as u32;
        self.timeouts.set_in_order(key, until, order);
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.timeouts.next()
    }

    /// When its place is lost; `None` if its time was over, and it has not left yet.
    pub(super) fn until(&self, key: WaiterKey) -> Option<Time> {
        self.timeouts.of(key)
    }

    /// Whether its time was over, and it has not left yet.
    pub(super) fn is_timed_out(&self, key: WaiterKey) -> bool {
        self.until(key).is_none()
    }

    pub(super) fn pop_timed_out(&mut self, now: Time) -> Option<WaiterKey> {
        self.timeouts.pop_due(now)
    }
}

/// The line of one pool.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// `None` if nobody stands in it.
    places: Option<Box<Places>>,
}

/// Those who stand in a line, and what is kept for absent owners among them.
#[derive(Debug, Default)]
struct Places {
    /// Those who take whatever is free. The first whose client is there holds up all behind it.
    any: BTreeMap<Place, WaiterKey>,
    /// Those who want a certain resource.
    named: BTreeMap<Place, WaiterKey>,
    by_resource: HashMap<StoredName, BTreeSet<Place>>,
    by_owner: HashMap<StoredName, WaiterKey>,
    /// How many free resources of any kind are kept.
    kept_count: usize,
    /// The reserved resources, by the places of the waiters for them.
    kept: BTreeMap<Place, ResourceKey>,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.places.as_ref().map_or(0, |places| places.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_none()
    }

    /// The place of the first waiter for any resources, absent owners included.
    pub(super) fn first_for_any(&self) -> Option<Place> {
        let (&place, _) = self.places.as_ref()?.any.first_key_value()?;
        Some(place)
    }

    /// Whether a waiter for any resources whose client is there holds up all who come later.
    pub(super) fn is_held_up(&self, waiters: &Waiters) -> bool {
        let places = self.places.iter();
        let mut any = places.flat_map(|places| places.any.values());
        any.any(|&key| waiters.get(key).ticket.is_some())
    }

    /// How many free resources of any kind are kept for absent owners.
    pub(super) fn kept_count(&self) -> usize {
        self.places.as_ref().map_or(0, |places| places.kept_count)
    }

    /// The reserved resources, by the places of the waiters that they are kept for.
    pub(super) fn kept(&self) -> Vec<(Place, ResourceKey)> {
        let places = self.places.iter();
        let kept = places.flat_map(|places| &places.kept);
        kept.map(|(&place, &key)| (place, key)).collect()
    }

    /// Keeps so many more of what is free.
    pub(super) fn keep_count(&mut self, count: usize) {
        if let Some(places) = &mut self.places {
            places.kept_count += count;
        }
    }

    /// Keeps a resource for the waiter at this place. The resource must be reserved, too.
    pub(super) fn keep(&mut self, place: Place, resource: ResourceKey) {
        if let Some(places) = &mut self.places {
            places.kept.insert(place, resource);
        }
    }

    /// Keeps nothing more for the waiter at this place. Returns the reserved resource, if
    /// there is one.
    pub(super) fn unkeep(&mut self, place: Place) -> Option<ResourceKey> {
        self.places.as_mut()?.kept.remove(&place)
    }

    /// The same for all waiters at this place and behind it, and for all that is kept of any kind.
    /// `None` if nothing was kept, which is the usual case.
    pub(super) fn unkeep_from(&mut self, place: Place) -> Option<BTreeMap<Place, ResourceKey>> {
        let places = self.places.as_mut()?;
        if !places.keeps_any() {
            return None;
        }
        places.kept_count = 0;
        Some(places.kept.split_off(&place))
    }

    /// The first waiter for a certain resource.
    pub(super) fn first_for(&self, id: &str) -> Option<(Place, WaiterKey)> {
        let places = self.places.as_ref()?;
        let place = *places.by_resource.get(id)?.first()?;
        Some((place, places.named[&place]))
    }

    /// The first waiter at `from` or behind it.
    pub(super) fn next(&self, from: Place) -> Option<(Place, WaiterKey)> {
        let first = |line: &BTreeMap<Place, WaiterKey>| {
            line.range(from..).next().map(|(&place, &key)| (place, key))
        };
        let places = self.places.as_ref()?;
        match (first(&places.any), first(&places.named)) {
            (Some(any), Some(named)) => Some(any.min(named)),
            (any, named) => any.or(named),
        }
    }

    /// Everybody in line, in order.
    pub(super) fn all(&self) -> Vec<WaiterKey> {
        let places = self.places.iter();
        let mut all: Vec<_> = places
            .flat_map(|places| places.any.iter().chain(&places.named))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, &key)| key).collect()
    }

    pub(super) fn waiter_of(&self, owner: &str) -> Option<WaiterKey> {
        self.places.as_ref()?.by_owner.get(owner).copied()
    }

    pub(super) fn insert(&mut self, key: WaiterKey, waiters: &mut Waiters) {
        let spare = &mut waiters.spare_places;
        let places = self
            .places
            .get_or_insert_with(|| spare.pop().unwrap_or_default());
        places.insert(key, &waiters.slots[key]);
    }

    /// A waiter in this line wants something else from now on, and keeps its place.
    pub(super) fn change_wanted(
        &mut self,
        key: WaiterKey,
        wanted: StoredWanted,
        waiters: &mut Waiters,
    ) {
        let waiter = &mut waiters.slots[key];
        let places = self.places.as_mut().expect("somebody stands in this line");
        places.remove(waiter);
        waiter.wanted = wanted;
        places.insert(key, waiter);
    }

    /// Removes a waiter that stands in this line.
    pub(super) fn remove(&mut self, waiter: &Waiter, waiters: &mut Waiters) {
        if let Some(places) = &mut self.places {
            places.remove(waiter);
            if places.len() == 0 {
                if places.keeps_any() {
                    (places.kept_count, places.kept) = Default::default();
                }
                let places = self.places.take().filter(|places| places.is_small());
                if waiters.spare_places.len() < MAX_SPARE_PLACES {
                    waiters.spare_places.extend(places);
                }
            }
        }
    }
}

impl Places {
    fn len(&self) -> usize {
        self.any.len() + self.named.len()
    }

    /// Whether anything is kept for an absent owner.
    fn keeps_any(&self) -> bool {
        self.kept_count > 0 || !self.kept.is_empty()
    }

    fn is_small(&self) -> bool {
        self.by_resource.capacity().max(self.by_owner.capacity()) <= MAX_SPARE_NAMES
    }

    fn insert(&mut self, key: WaiterKey, waiter: &Waiter) {
        match &waiter.wanted {
            StoredWanted::Any(_) => {
                self.any.insert(waiter.place, key);
            }
            StoredWanted::Named(id) => {
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
        match &waiter.wanted {
            StoredWanted::Any(_) => {
                self.any.remove(&waiter.place);
            }
            StoredWanted::Named(id) => {
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
