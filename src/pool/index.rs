//! Finds items in slots by name.
//!
//! Each name costs a key of 32 bits and one byte; the names themselves are in the slots.

use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::HashTable;

use super::slots::{Key, Slots, is_mostly_vacant};

/// An item with a name that is unique in its scope.
pub(super) trait Named {
    /// The scope of the name, a small number.
    fn scope(&self) -> u32;
    fn name(&self) -> &str;
}

/// Finds items in slots by scope and name. It stores only keys, and reads the names in the slots.
///
/// A large table is not resized at once, which would take a tenth of a second for a million names:
/// each insertion moves a few keys.
#[derive(Debug)]
pub(super) struct Index<T> {
    table: HashTable<Key<T>>,
    /// The keys that have not moved to `table` yet, in buckets from `next_bucket` on.
    outgrown: HashTable<Key<T>>,
    next_bucket: usize,
    hashes: Hashes,
}

/// The largest table, in names, that is resized at once: that takes less than a millisecond.
const SMALL: usize = 8192;

/// The buckets of an outgrown table that each insertion visits. The new table has room for more
/// insertions than a sixteenth of the buckets.
const BUCKETS_A_STEP: usize = 16;

impl<T> Default for Index<T> {
    fn default() -> Index<T> {
        Index {
            table: HashTable::new(),
            outgrown: HashTable::new(),
            next_bucket: 0,
            hashes: Hashes::default(),
        }
    }
}

impl<T: Named> Index<T> {
    pub(super) fn len(&self) -> usize {
        self.table.len() + self.outgrown.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn find(&self, scope: u32, name: &str, slots: &Slots<T>) -> Option<Key<T>> {
        if self.is_empty() {
            return None;
        }
        let hash = self.hashes.of(scope, name);
        let is_it = |&key: &Key<T>| {
            let item = &slots[key];
            item.scope() == scope && item.name() == name
        };
        let found = self.table.find(hash, is_it);
        found.or_else(|| self.outgrown.find(hash, is_it)).copied()
    }

    /// The hash of a name without a scope.
    pub(super) fn hash_of(&self, name: &str) -> u64 {
        self.hashes.of(0, name)
    }

    /// Adds an item that is in `slots` already, and whose name is not in the index.
    pub(super) fn insert(&mut self, key: Key<T>, slots: &Slots<T>) {
        if self.table.len() == self.table.capacity() && self.table.len() > SMALL {
            self.outgrow(0, slots);
        }
        if !self.outgrown.is_empty() {
            self.move_some(slots);
        }
        self.insert_into_table(key, slots);
    }

    fn insert_into_table(&mut self, key: Key<T>, slots: &Slots<T>) {
        let Index { table, hashes, .. } = self;
        let hash_of = |&key: &Key<T>| hashes.of_item(&slots[key]);
        table.insert_unique(hash_of(&key), key, hash_of);
    }

    /// Removes an item that is still in `slots`.
    pub(super) fn remove(&mut self, key: Key<T>, slots: &Slots<T>) {
        let hash = self.hashes.of_item(&slots[key]);
        let is_it = |&other: &Key<T>| other == key;
        let entry = match self.table.find_entry(hash, is_it) {
            Ok(entry) => Ok(entry),
            Err(_) => self.outgrown.find_entry(hash, is_it),
        };
        entry.expect("what is removed is in the index").remove();
    }

    /// Reserves room for more items, so that adding them does not resize the table. Does nothing
    /// while it is being resized.
    pub(super) fn reserve(&mut self, additional: usize, slots: &Slots<T>) {
        let vacant = self.table.capacity() - self.table.len();
        if self.outgrown.is_empty() && vacant < additional {
            self.outgrow(additional, slots);
        }
    }

    /// Begins to move to another table: a larger one, or one of the same size if removed keys take
    /// most of the room.
    fn outgrow(&mut self, additional: usize, slots: &Slots<T>) {
        while !self.outgrown.is_empty() {
            self.move_some(slots);
        }
        let usual = self.table.num_buckets() / 8 * 7;
        let grown = if self.table.len() > usual / 2 {
            usual + 1
        } else {
            usual
        };
        let table = HashTable::with_capacity(grown.max(self.table.len() + additional));
        self.outgrown = std::mem::replace(&mut self.table, table);
        self.next_bucket = 0;
    }

    fn move_some(&mut self, slots: &Slots<T>) {
        for _ in 0..BUCKETS_A_STEP {
            if let Ok(entry) = self.outgrown.get_bucket_entry(self.next_bucket) {
                let (key, _) = entry.remove();
                self.insert_into_table(key, slots);
            }
            self.next_bucket += 1;
        }
        if self.outgrown.is_empty() {
            self.outgrown = HashTable::new();
        } else {
            let is_left = self.next_bucket < self.outgrown.num_buckets();
            assert!(is_left, "every place is looked at");
        }
    }

    /// Frees memory if most of it is unused.
    pub(super) fn shrink(&mut self, slots: &Slots<T>) {
        let Index { table, hashes, .. } = self;
        if self.outgrown.is_empty() && is_mostly_vacant(table.len(), table.capacity()) {
            table.shrink_to_fit(|&key| hashes.of_item(&slots[key]));
        }
    }
}

/// Hashes names and scopes, which clients choose, under secret keys: no client can choose names
/// that collide.
#[derive(Debug)]
struct Hashes {
    names: RandomState,
    /// Odd. The upper half of a product with it spreads 32-bit numbers about evenly.
    scopes: u64,
}

impl Default for Hashes {
    fn default() -> Hashes {
        let names = RandomState::new();
        let scopes = names.hash_one("scopes") | 1;
        Hashes { names, scopes }
    }
}

impl Hashes {
    fn of(&self, scope: u32, name: &str) -> u64 {
        let mut hasher = self.names.build_hasher();
        hasher.write(name.as_bytes());
        hasher.finish() ^ self.scopes.wrapping_mul(u64::from(scope)).rotate_left(32)
    }

    fn of_item(&self, item: &impl Named) -> u64 {
        self.of(item.scope(), item.name())
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::{Chain, Links, walk};
    use super::*;
    use std::collections::{BTreeMap, VecDeque};

    struct Item {
        scope: u32,
        name: String,
        links: Links<Item>,
    }

    impl Named for Item {
        fn scope(&self) -> u32 {
            self.scope
        }

        fn name(&self) -> &str {
            &self.name
        }
    }

    #[test]
    fn slots_index_and_chain_agree_with_a_map_and_a_queue() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut slots = Slots::default();
        let mut index = Index::default();
        let mut chain = Chain::default();
        let mut map: BTreeMap<(u32, String), Key<Item>> = BTreeMap::new();
        let mut queue = VecDeque::new();
        let mut grown = 0;
        for step in 0..120_000 {
            let (scope, name) = (random.u32(0..3), random.u32(0..80_000).to_string());
            // Grows for half of the time, then shrinks again.
            let removes = random.u32(0..10) < if step < 60_000 { 1 } else { 8 };
            let found = index.find(scope, &name, &slots);
            assert_eq!(found, map.get(&(scope, name.clone())).copied());
            if removes && !queue.is_empty() {
                let place = random.usize(0..queue.len());
                let key = queue.remove(place).expect("it is that long");
                index.remove(key, &slots);
                chain.remove(key, &mut slots, |item| &mut item.links);
                let item = slots.remove(key);
                assert_eq!(map.remove(&(item.scope, item.name)), Some(key));
            } else if found.is_none() {
                let next = slots.next_key();
                let links = Links::default();
                let item = Item {
                    scope,
                    name: name.clone(),
                    links,
                };
                let key = slots.insert(item);
                assert_eq!(key, next);
                index.insert(key, &slots);
                map.insert((scope, name), key);
                if random.bool() {
                    queue.push_front(key);
                    chain.push_first(key, &mut slots, |item| &mut item.links);
                } else {
                    queue.push_back(key);
                    chain.push_last(key, &mut slots, |item| &mut item.links);
                }
            }
            if step % 1000 == 0 {
                index.shrink(&slots);
                slots.shrink();
            }
            assert_eq!((slots.len(), index.len()), (map.len(), map.len()));
            assert_eq!(chain.first(), queue.front().copied());
            assert_eq!(chain.last(), queue.back().copied());
            grown = grown.max(usize::from(!index.outgrown.is_empty()) * index.len());
            if step % 1000 == 0 {
                let walked = walk(chain.first(), &slots, |item: &Item| &item.links);
                assert!(walked.eq(queue.iter().copied()));
            }
        }
        assert!(grown > SMALL, "a large table has grown");
    }
}
