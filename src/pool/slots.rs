//! Items with keys of 32 bits, and chains through them.
//!
//! There may be millions of items, so each costs its own size and no more. Their contents do not
//! matter here.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops;

use slab::Slab;

/// The key of an item in its [`Slots`]. Valid until the item is removed.
pub(super) struct Key<T> {
    /// Never 0, so that `Option<Key>` takes no more memory, and never `u32::MAX`.
    number: NonZeroU32,
    of: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// Returns the key of this slot.
    pub(super) fn of_slot(slot: usize) -> Key<T> {
        let number = u32::try_from(slot + 1).ok().and_then(NonZeroU32::new);
        let number = number.filter(|&number| number != NonZeroU32::MAX);
        let number = number.expect("there are fewer than 2^32 - 2 of anything");
        let of = PhantomData;
        Key { number, of }
    }

    /// Returns the key with this number, which `number` returned.
    pub(super) fn from_number(number: NonZeroU32) -> Key<T> {
        let of = PhantomData;
        Key { number, of }
    }

    /// The number of the key, 1 to 2^32 - 2.
    pub(super) fn number(self) -> NonZeroU32 {
        self.number
    }

    /// The index of the slot, a small number from 0.
    pub(super) fn slot(self) -> usize {
        self.number.get() as usize - 1
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Key<T> {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Key<T>) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Key<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Key<T>) -> Ordering {
        self.number.cmp(&other.number)
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.number)
    }
}

/// Items by their keys. The key of a removed item is used again.
#[derive(Debug)]
pub(super) struct Slots<T>(Slab<T>);

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots(Slab::new())
    }
}

impl<T> Slots<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the key that the next `insert` returns.
    pub(super) fn next_key(&self) -> Key<T> {
        Key::of_slot(self.0.vacant_key())
    }

    /// Reserves room for more items.
    pub(super) fn reserve(&mut self, additional: usize) {
        self.0.reserve(additional);
    }

    pub(super) fn insert(&mut self, item: T) -> Key<T> {
        Key::of_slot(self.0.insert(item))
    }

    pub(super) fn remove(&mut self, key: Key<T>) -> T {
        self.0.remove(key.slot())
    }

    /// Iterates in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.0.iter().map(|(slot, item)| (Key::of_slot(slot), item))
    }

    /// Iterates over the items in this slot and later ones.
    pub(super) fn iter_from(&self, slot: usize) -> impl Iterator<Item = (Key<T>, &T)> {
        let slots = slot..self.0.capacity();
        slots.filter_map(|slot| Some((Key::of_slot(slot), self.0.get(slot)?)))
    }

    /// Returns the item with this key, if it exists.
    pub(super) fn get(&self, key: Key<T>) -> Option<&T> {
        self.0.get(key.slot())
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, item)| item)
    }

    /// Frees memory if most of it is unused.
    pub(super) fn shrink(&mut self) {
        if is_mostly_vacant(self.0.len(), self.0.capacity()) {
            self.0.shrink_to_fit();
        }
    }
}

impl<T> ops::Index<Key<T>> for Slots<T> {
    type Output = T;

    fn index(&self, key: Key<T>) -> &T {
        &self.0[key.slot()]
    }
}

impl<T> ops::IndexMut<Key<T>> for Slots<T> {
    fn index_mut(&mut self, key: Key<T>) -> &mut T {
        &mut self.0[key.slot()]
    }
}

/// Iterates over `from` and all items before it in its chain, backwards.
pub(super) fn walk_back<'a, T>(
    from: Option<Key<T>>,
    slots: &'a Slots<T>,
    links: impl Fn(&T) -> &Links<T> + 'a,
) -> impl Iterator<Item = Key<T>> + 'a {
    let before = move |&key: &Key<T>| links(&slots[key]).previous;
    std::iter::successors(from, before)
}

/// Returns true if freeing the unused memory is worth the work.
pub(super) fn is_mostly_vacant(used: usize, capacity: usize) -> bool {
    capacity > 1024 && used < capacity / 8
}

/// The ends of a doubly linked list through slots.
#[derive(Debug)]
pub(super) struct Chain<T> {
    first: Option<Key<T>>,
    last: Option<Key<T>>,
}

/// The neighbours of an item in a chain.
#[derive(Debug)]
pub(super) struct Links<T> {
    previous: Option<Key<T>>,
    next: Option<Key<T>>,
}

impl<T> Default for Chain<T> {
    fn default() -> Chain<T> {
        let (first, last) = (None, None);
        Chain { first, last }
    }
}

impl<T> Default for Links<T> {
    fn default() -> Links<T> {
        let (previous, next) = (None, None);
        Links { previous, next }
    }
}

impl<T> Links<T> {
    pub(super) fn next(&self) -> Option<Key<T>> {
        self.next
    }
}

impl<T> Chain<T> {
    pub(super) fn first(&self) -> Option<Key<T>> {
        self.first
    }

    pub(super) fn last(&self) -> Option<Key<T>> {
        self.last
    }

    /// Adds an item at the front. It must be in no chain of these links.
    pub(super) fn push_first(
        &mut self,
        key: Key<T>,
        slots: &mut Slots<T>,
        links: impl Fn(&mut T) -> &mut Links<T>,
    ) {
        let second = self.first.replace(key);
        links(&mut slots[key]).next = second;
        match second {
            None => self.last = Some(key),
            Some(second) => links(&mut slots[second]).previous = Some(key),
        }
    }

    /// Adds an item at the end. It must be in no chain of these links.
    pub(super) fn push_last(
        &mut self,
        key: Key<T>,
        slots: &mut Slots<T>,
        links: impl Fn(&mut T) -> &mut Links<T>,
    ) {
        let last = self.last.replace(key);
        links(&mut slots[key]).previous = last;
        match last {
            None => self.first = Some(key),
            Some(last) => links(&mut slots[last]).next = Some(key),
        }
    }

    /// Removes an item of this chain.
    pub(super) fn remove(
        &mut self,
        key: Key<T>,
        slots: &mut Slots<T>,
        links: impl Fn(&mut T) -> &mut Links<T>,
    ) {
        let Links { previous, next } = std::mem::take(links(&mut slots[key]));
        match previous {
            None => self.first = next,
            Some(previous) => links(&mut slots[previous]).next = next,
        }
        match next {
            None => self.last = previous,
            Some(next) => links(&mut slots[next]).previous = previous,
        }
    }
}

/// Iterates over `from` and all items behind it in its chain.
pub(super) fn walk<'a, T>(
    from: Option<Key<T>>,
    slots: &'a Slots<T>,
    links: impl Fn(&T) -> &Links<T> + 'a,
) -> impl Iterator<Item = Key<T>> + 'a {
    let mut key = from;
    std::iter::from_fn(move || {
        let current = key?;
        key = links(&slots[current]).next;
        Some(current)
    })
}
