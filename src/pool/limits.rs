//! The limits of pools and resources: they are checked before a seed changes anything, since a seed is
//! applied whole or not at all.
//!
//! A caller that measures in slices must keep other seeds back meanwhile. Grants and releases in
//! between change nothing, with one exception: held resources that are no longer members may vanish.

use hashbrown::HashTable;

use super::engine_state::EngineState;
use super::lending::Pool;
use super::seeding::StepBudget;
use super::{Engine, Rules, SeedKind};
use crate::command::{Ids, Refusal, Seed};

/// The state of measuring a seed, pool by pool.
#[derive(Debug, Default)]
pub struct Measuring {
    kind: SeedKind,
    /// The index of the current pool in the seed.
    place: usize,
    /// The number of its ids that were measured.
    ids: usize,
    growth: Growth,
    /// The number of pools that the seed creates.
    new_pools: usize,
    /// The numbers of resources that it adds, and of those that vanish.
    added: usize,
    gone: usize,
    /// True if a pool would exceed the limit of its members.
    has_too_large_a_pool: bool,
}

/// The effect of a seed on one pool.
#[derive(Debug, Default)]
struct Growth {
    /// The indexes of distinct ids, by their hashes.
    different: HashTable<u32>,
    /// Among these: the number of new resources, and of present members.
    new: usize,
    present: usize,
}

impl Measuring {
    /// Begins to measure a seed.
    pub fn new(kind: SeedKind) -> Measuring {
        Measuring {
            kind,
            ..Measuring::default()
        }
    }
}

impl Engine {
    /// Checks the limits for a seed. A seed under which no pool and no total grows is accepted,
    /// whatever the limits.
    pub fn check_seed_limits(&self, seed: &Seed, kind: SeedKind) -> Result<(), Refusal> {
        let mut measuring = Measuring::new(kind);
        let measured = self.advance_measuring(seed, &mut measuring, StepBudget::UNLIMITED);
        measured.expect("all is measured in one go")
    }

    /// Does a slice of `check_seed_limits`. Returns `None` if there is more to do. The caller must keep
    /// other seeds back until it is done.
    pub fn advance_measuring(
        &self,
        seed: &Seed,
        measuring: &mut Measuring,
        mut budget: StepBudget,
    ) -> Option<Result<(), Refusal>> {
        if self.is_far_below_limits(seed) {
            return Some(Ok(()));
        }
        while measuring.place < seed.pool_count() {
            if budget == StepBudget(0) {
                return None;
            }
            self.measure_pool(seed, measuring, &mut budget);
        }
        Some(self.verdict(measuring))
    }

    /// Returns true if the limits would hold even if all ids were new, and in one pool: the usual case.
    fn is_far_below_limits(&self, seed: &Seed) -> bool {
        let rules = &self.state.rules;
        let resources = self.state.resources.len() + seed.id_count();
        self.pools.len() + seed.pool_count() <= rules.max_pools
            && resources <= rules.max_resources.min(rules.max_pool_resources)
    }

    fn measure_pool(&self, seed: &Seed, measuring: &mut Measuring, budget: &mut StepBudget) {
        let (name, ids) = seed.pool(measuring.place);
        let pool = self.find(&name).map(|key| &self.pools[key]);
        if measuring.ids == 0 {
            budget.spend(1, StepBudget::POOL_COST);
            measuring.growth.different = HashTable::with_capacity(ids.len());
        }
        let from = measuring.ids;
        let to = ids
            .len()
            .min(from.saturating_add(budget.count(StepBudget::MEMBER_COST)));
        budget.spend(to - from, StepBudget::MEMBER_COST);
        for place in from..to {
            self.measure_id(pool, &ids, place, &mut measuring.growth);
        }
        measuring.ids = to;
        if to == ids.len() {
            self.end_pool(pool, &ids, measuring);
            measuring.place += 1;
            measuring.ids = 0;
        }
    }

    fn measure_id(&self, pool: Option<&Pool>, ids: &Ids<'_>, place: usize, growth: &mut Growth) {
        let resources = &self.state.resources;
        let id = ids.at(place);
        let hash_of = |&place: &u32| resources.hash_of(ids.at(place as usize));
        let hash = resources.hash_of(id);
        let is_same = |&other: &u32| ids.at(other as usize) == id;
        if growth.different.find(hash, is_same).is_some() {
            return;
        }
        growth.different.insert_unique(hash, place as u32, hash_of);
        match pool.and_then(|pool| resources.find(pool.key, id)) {
            None => growth.new += 1,
            Some(key) => growth.present += usize::from(resources.get(key).is_member()),
        }
    }

    fn end_pool(&self, pool: Option<&Pool>, ids: &Ids<'_>, measuring: &mut Measuring) {
        let growth = std::mem::take(&mut measuring.growth);
        let before = pool.map_or(0, |pool| pool.resources.member_count());
        let different = growth.different.len();
        let after = match measuring.kind {
            SeedKind::Adds => before + different - growth.present.min(different),
            SeedKind::Sets => different,
        };
        let most = self.state.rules.max_pool_resources;
        measuring.has_too_large_a_pool |= after > before && after > most;
        measuring.new_pools += usize::from(pool.is_none());
        measuring.added += growth.new;
        if let (Some(pool), SeedKind::Sets) = (pool, measuring.kind) {
            let dropped = before.saturating_sub(growth.present);
            let held = pool.held_members_not_in(&growth, ids, &self.state);
            measuring.gone += dropped.saturating_sub(held);
        }
    }

    fn verdict(&self, measuring: &Measuring) -> Result<(), Refusal> {
        let Rules {
            max_pools,
            max_resources,
            ..
        } = self.state.rules;
        let Measuring {
            new_pools,
            added,
            gone,
            ..
        } = *measuring;
        if new_pools > 0 && self.pools.len() + new_pools > max_pools {
            return Err(Refusal::TooManyPools);
        }
        let before = self.state.resources.len();
        let after = (before + added).saturating_sub(gone);
        if measuring.has_too_large_a_pool || after > before && after > max_resources {
            return Err(Refusal::TooManyResources);
        }
        Ok(())
    }
}

impl Pool {
    /// The number of held members that a seed does not name: they do not vanish yet.
    fn held_members_not_in(&self, growth: &Growth, ids: &Ids<'_>, state: &EngineState) -> usize {
        let resources = &state.resources;
        let held = state.grants.of_pool(&self.grants);
        let held = held.flat_map(|grant| resources.lent(&state.grants.get(grant).resources));
        let held = held.map(|key| resources.get(key));
        let is_named = |id: &str| {
            let is_same = |&place: &u32| ids.at(place as usize) == id;
            let hash = resources.hash_of(id);
            growth.different.find(hash, is_same).is_some()
        };
        held.filter(|resource| resource.is_member() && !is_named(&resource.id))
            .count()
    }
}
