//! How many pools and resources there may be: what a seed would make of them is found out before
//! anything is done, since a seed is taken whole or not at all.

use std::collections::HashSet;

use super::books::Books;
use super::lending::Pool;
use super::resources::Holder;
use super::{Engine, Rules};
use crate::command::{Ids, Refusal, Seed};

/// What a seed would add to a pool that is there, or make of one that is not.
#[derive(Debug, Default)]
struct Growth {
    members_before: usize,
    members_after: usize,
    /// Resources that are not known yet.
    new: usize,
    /// Free ones that are members no longer, and so vanish.
    gone: usize,
}

impl Engine {
    /// Whether there is room for what a seed would make of the pools. `is_all`: what it names is all
    /// that they are to have. Nobody is refused who makes nothing grow, whatever the limits.
    pub(super) fn check_room(&self, seed: &Seed, is_all: bool) -> Result<(), Refusal> {
        let Rules {
            max_pools,
            max_resources,
            max_pool_resources,
            ..
        } = self.books.rules;
        let (pools, resources) = (self.pools.len(), self.books.resources.len());
        if pools + seed.pool_count() > max_pools {
            let names = seed.pools().map(|(name, _)| name);
            let new = names.filter(|name| self.find(name).is_none()).count();
            if new > 0 && pools + new > max_pools {
                return Err(Refusal::TooManyPools);
            }
        }
        // If all were new, and in one pool, there would still be room: so it is nearly always.
        if resources + seed.id_count() <= max_resources.min(max_pool_resources) {
            return Ok(());
        }
        let mut after = resources;
        for (name, ids) in seed.pools() {
            let growth = match self.find(&name) {
                Some(key) => self.pools[key].growth(ids, is_all, &self.books),
                None => Growth::of_new(ids),
            };
            let grows = growth.members_after > growth.members_before;
            if grows && growth.members_after > max_pool_resources {
                return Err(Refusal::TooManyResources);
            }
            after = after + growth.new - growth.gone;
        }
        if after > resources && after > max_resources {
            return Err(Refusal::TooManyResources);
        }
        Ok(())
    }
}

impl Growth {
    fn of_new(ids: Ids<'_>) -> Growth {
        let ids: HashSet<_> = ids.collect();
        Growth {
            members_after: ids.len(),
            new: ids.len(),
            ..Growth::default()
        }
    }
}

impl Pool {
    fn growth(&self, ids: Ids<'_>, is_all: bool, books: &Books) -> Growth {
        let ids: HashSet<_> = ids.collect();
        let members_before = self.stock.member_count();
        let (mut new, mut kept, mut kept_free) = (0, 0, 0);
        for id in &ids {
            match books.resources.find(self.key, id.as_str()) {
                None => new += 1,
                Some(key) if books.resources.get(key).is_member() => {
                    kept += 1;
                    let is_held = matches!(books.resources.get(key).holder(), Holder::Grant(_));
                    kept_free += usize::from(!is_held);
                }
                Some(_) => {}
            }
        }
        if !is_all {
            return Growth {
                members_before,
                members_after: members_before + ids.len() - kept,
                new,
                gone: 0,
            };
        }
        let held = books.grants.of_pool(&self.grants);
        let held = held.flat_map(|grant| books.resources.lent(&books.grants.get(grant).resources));
        let held_members = held.filter(|&key| books.resources.get(key).is_member());
        let free_members = members_before - held_members.count();
        Growth {
            members_before,
            members_after: ids.len(),
            new,
            gone: free_members - kept_free,
        }
    }
}
