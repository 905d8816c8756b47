//! Things that are found by keys of 32 bits, and chains that run through them.
//!
//! There may be millions of them, so each costs its own size and no more. It knows nothing of what
//! they are.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops;

use slab::Slab;

/// Where something stands in its [`Slots`]. Valid until it is removed.
pub(super) struct Key<T> {
    /// Never 0, so that `Option<Key>` takes no more room, and never `u32::MAX`.
    number: NonZeroU32,
    of: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// The key whose `slot` this is.
    pub(super) fn of_slot(slot: usize) -> Key<T> {
        let number = u32::try_from(slot + 1).ok().and_then(NonZeroU32::new);
        let number = number.filter(|&number| number != NonZeroU32::MAX);
        let number = number.expect("there are fewer than 2^32 - 2 of anything");
        let of = PhantomData;
        Key { number, of }
    }

    /// The key with this number, which another key has told.
    pub(super) fn from_number(number: NonZeroU32) -> Key<T> {
        let of = PhantomData;
        Key { number, of }
    }

    /// From 1 to 2^32 - 2.
    pub(super) fn number(self) -> NonZeroU32 {
        self.number
    }

    /// A small number, for where keys of all kinds are numbers.
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

/// Things by their keys. A key that was removed is given again.
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

    /// The key that `insert` gives next.
    pub(super) fn next_key(&self) -> Key<T> {
        Key::of_slot(self.0.vacant_key())
    }

    /// Sees to it that so many more can be inserted without a change of size.
    pub(super) fn reserve(&mut self, additional: usize) {
        self.0.reserve(additional);
    }

    pub(super) fn insert(&mut self, item: T) -> Key<T> {
        Key::of_slot(self.0.insert(item))
    }

    pub(super) fn remove(&mut self, key: Key<T>) -> T {
        self.0.remove(key.slot())
    }

    /// In no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.0.iter().map(|(slot, item)| (Key::of_slot(slot), item))
    }

    /// The things in this slot and in those behind it.
    pub(super) fn iter_from(&self, slot: usize) -> impl Iterator<Item = (Key<T>, &T)> {
        let slots = slot..self.0.capacity();
        slots.filter_map(|slot| Some((Key::of_slot(slot), self.0.get(slot)?)))
    }

    /// The value with this key, if it is still there.
    pub(super) fn get(&self, key: Key<T>) -> Option<&T> {
        self.0.get(key.slot())
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, item)| item)
    }

    /// Gives memory back if most of it is vacant.
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

/// `from` and all that stand before it in its chain.
pub(super) fn walk_back<'a, T>(
    from: Option<Key<T>>,
    slots: &'a Slots<T>,
    links: impl Fn(&T) -> &Links<T> + 'a,
) -> impl Iterator<Item = Key<T>> + 'a {
    let before = move |&key: &Key<T>| links(&slots[key]).previous;
    std::iter::successors(from, before)
}

/// Whether giving memory back is worth the work.
pub(super) fn is_mostly_vacant(used: usize, capacity: usize) -> bool {
    capacity > 1024 && used < capacity / 8
}

/// A doubly linked list through slots: its ends.
#[derive(Debug)]
pub(super) struct Chain<T> {
    first: Option<Key<T>>,
    last: Option<Key<T>>,
}

/// Who stands before and behind something in a chain.
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

    /// Puts what is in no chain of these links at the front.
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

    /// Puts what is in no chain of these links at the back.
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

    /// Takes out what is in this chain.
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

/// `from` and all that stand behind it in its chain.
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
