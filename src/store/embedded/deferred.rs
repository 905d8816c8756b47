//! Commands that wait until a pool is complete, or until other large work is done.
//!
//! They keep their order. Whether one may run is decided elsewhere.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::command::{Command, PoolName, Seed, Ticket};

/// Deferred commands, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct DeferredCommands {
    queue: VecDeque<(Ticket, DeferredItem)>,
    tickets: HashSet<Ticket>,
    pools: HashSet<Box<str>>,
}

#[derive(Debug)]
pub(super) enum DeferredItem {
    Command(Command<'static>),
    /// The wait of the command with this ticket is to end.
    Withdrawal,
}

impl DeferredCommands {
    pub(super) fn push(&mut self, ticket: Ticket, item: DeferredItem) {
        if let DeferredItem::Command(command) = &item {
            self.tickets.insert(ticket);
            self.pools
                .extend(command.pool().map(|pool| pool.as_str().into()));
        }
        self.queue.push_back((ticket, item));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns true if the command with this ticket is deferred.
    pub(super) fn has(&self, ticket: Ticket) -> bool {
        !self.tickets.is_empty() && self.tickets.contains(&ticket)
    }

    /// Returns true if a command about this pool alone is deferred: others must not overtake it.
    pub(super) fn has_of(&self, pool: &PoolName<'_>) -> bool {
        !self.pools.is_empty() && self.pools.contains(pool.as_str())
    }

    /// Takes all items, in order.
    pub(super) fn take(&mut self) -> VecDeque<(Ticket, DeferredItem)> {
        std::mem::take(self).queue
    }
}

/// The pools that a seed of several names, kept as hashes only. A pool whose hash collides with
/// that of a named one waits needlessly.
#[derive(Debug, Default)]
pub(super) struct PoolNames {
    hasher: RandomState,
    hashes: HashSet<u64>,
    count: usize,
}

impl PoolNames {
    /// Adds up to `most` further pools of a seed. Returns true once all were added.
    pub(super) fn add(&mut self, seed: &Seed, most: usize) -> bool {
        if self.count == 0 && seed.pool_count() > 1 {
            self.hashes.reserve(seed.pool_count());
        }
        let to = seed.pool_count().min(self.count.saturating_add(most));
        if seed.pool_count() > 1 {
            let names = (self.count..to).map(|place| seed.pool(place).0);
            let hashes = names.map(|name| self.hasher.hash_one(name.as_str()));
            self.hashes.extend(hashes);
        }
        self.count = to;
        to == seed.pool_count()
    }

    pub(super) fn is_several(&self) -> bool {
        self.count > 1
    }

    pub(super) fn has(&self, pool: &PoolName<'_>) -> bool {
        self.is_several() && self.hashes.contains(&self.hasher.hash_one(pool.as_str()))
    }
}
