//! Which pools a body has named already.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::command::{PoolName, Seed};

/// The hashes of the names of a seed's pools. The names themselves stand in the seed: a hundred thousand
/// of them are not to be kept twice, nor to be moved and freed one by one.
#[derive(Debug, Default)]
pub(super) struct Names {
    hashes: HashTable<u64>,
    hasher: RandomState,
}

impl Names {
    /// Returns how much memory it holds, in bytes.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
    }

    /// Whether the seed has no pool of this name; then there will be one.
    pub(super) fn add(&mut self, name: &PoolName<'_>, seed: &Seed) -> bool {
        let hash = self.hasher.hash_one(name.as_str());
        if self.hashes.find(hash, |&known| known == hash).is_some() {
            return seed.pools().all(|(known, _)| known != *name);
        }
        self.hashes.insert_unique(hash, hash, |&known| known);
        true
    }
}
