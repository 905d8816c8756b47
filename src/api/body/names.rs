//! The names of the pools in a body, to find repeated ones.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::command::{PoolName, Seed};

/// The hashes of the names of a seed's pools. The names stand in the seed alone: a hundred thousand of
/// them must not be stored twice, nor moved and freed one by one.
#[derive(Debug, Default)]
pub(super) struct Names {
    hashes: HashTable<u64>,
    hasher: RandomState,
}

impl Names {
    /// Returns its memory use in bytes.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<u64>()
    }

    /// Adds a name. Returns false if the seed has a pool of this name.
    pub(super) fn add(&mut self, name: &PoolName<'_>, seed: &Seed) -> bool {
        let hash = self.hasher.hash_one(name.as_str());
        if self.hashes.find(hash, |&known| known == hash).is_some() {
            return seed.pools().all(|(known, _)| known != *name);
        }
        self.hashes.insert_unique(hash, hash, |&known| known);
        true
    }
}
