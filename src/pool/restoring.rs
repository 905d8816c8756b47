//! Builds an engine from stored rows, one after the other: so a start takes little more memory than the engine
//! itself.

use std::collections::HashMap;

use super::grants::Grant;
use super::lending::Pool;
use super::resources::ResourceKey;
use super::{Change, Engine, GrantKey, GrantRow, PoolNumber, ResourceRow, Rules};
use crate::command::{Fence, PoolDump, Refusal, Restoration, StoredName, has_dot_segment};
use crate::time::Time;

impl Restoration {
    /// Checks the limits of pools and resources.
    pub fn check_limits(&self, rules: &Rules) -> Result<(), Refusal> {
        let size = |pool: &PoolDump| {
            let held_members = pool.members.len() - pool.free.len();
            pool.members.len() + pool.locks.len() - held_members
        };
        let is_too_large = |pool: &PoolDump| pool.members.len() > rules.max_pool_resources;
        if self.pools.len() > rules.max_pools {
            return Err(Refusal::TooManyPools);
        }
        let count: usize = self.pools.iter().map(size).sum();
        if count > rules.max_resources || self.pools.iter().any(is_too_large) {
            return Err(Refusal::TooManyResources);
        }
        Ok(())
    }
}

impl Engine {
    /// Takes all pools from a dump. Refused if there are pools already. Every lease restarts at its full
    /// length.
    pub(super) fn load(&mut self, restoration: &Restoration, now: Time) -> Result<(), Refusal> {
        if self.pools.len() > 0 {
            return Err(Refusal::NotEmpty);
        }
        restoration.check_limits(&self.state.rules)?;
        let mut loading = Restoring::on(std::mem::take(self), now);
        let engine = &mut loading.engine;
        let least_fence = engine.retired_fence;
        engine.retired_fence = least_fence.max(restoration.retired_fence);
        let (number, retired_fence) = (engine.next_number, engine.retired_fence);
        engine.next_number = number.next();
        // No row stores this fence alone, so it is noted as that of a removed pool.
        engine.state.note(|| Change::PoolRemoved {
            number,
            name: StoredName::default(),
            retired_fence,
        });
        for pool in &restoration.pools {
            loading.load_pool(pool, least_fence);
        }
        *self = loading.done();
        Ok(())
    }
}

/// Builds an engine from stored rows: call [`Restoring::retired_fence`] if there is one, then for each pool
/// [`Restoring::pool`] and [`Restoring::resource`] for each of its resources, and at last [`Restoring::done`].
#[derive(Debug)]
pub struct Restoring {
    engine: Engine,
    now: Time,
    /// The last pool. It is not in the engine yet.
    pool: Option<Pool>,
    /// Its resources, which `finish_pool` sorts.
    by_seed_index: Vec<(u64, ResourceKey)>,
    free: Vec<(i64, ResourceKey)>,
    held: Vec<(Fence, i64, ResourceKey, GrantRow)>,
    /// The names of pools and resources with a part `.` or `..`: the first few, and their number.
    old_names: (Vec<StoredName>, usize),
}

impl Restoring {
    /// Begins with no pools. The engine notes its further changes, and every lease restarts at `now`.
    pub fn new(rules: Rules, now: Time) -> Restoring {
        let mut engine = Engine::new(rules);
        engine.state.changes = Some(Vec::new());
        Restoring::on(engine, now)
    }

    fn on(engine: Engine, now: Time) -> Restoring {
        Restoring {
            engine,
            now,
            pool: None,
            by_seed_index: Vec::new(),
            free: Vec::new(),
            held: Vec::new(),
            old_names: (Vec::new(), 0),
        }
    }

    /// Takes a pool from a dump. Its fences continue above `least_fence`.
    fn load_pool(&mut self, dump: &PoolDump, least_fence: Fence) {
        let (name, fence) = (dump.name.clone(), dump.fence.max(least_fence));
        let number = self.engine.next_number;
        self.engine.state.note(|| Change::PoolCreated {
            number,
            name: name.clone(),
            fence,
        });
        self.pool(number, name, fence);
        let members = dump.members.iter();
        let mut ranks: Vec<Option<i64>> = vec![None; members.len()];
        for (&place, rank) in dump.free.values().zip(0..) {
            ranks[place as usize] = Some(rank);
        }
        let mut held_indexes = HashMap::new();
        for (place, id) in members.enumerate() {
            let seed_index = Some(place as u64);
            match ranks[place] {
                None => {
                    held_indexes.insert(StoredName::from(id.as_str()), place as u64);
                }
                Some(rank) => {
                    let grant = None;
                    self.load_resource(
                        number,
                        id.as_str(),
                        ResourceRow {
                            seed_index,
                            rank,
                            grant,
                        },
                    );
                }
            }
        }
        for ((&(fence, _), lock), rank) in dump.locks.iter().zip(0..) {
            let granted_at = self.now.before_ms(lock.age_s.saturating_mul(1000));
            let grant = Some(GrantRow {
                fence,
                granted_at,
                ttl: lock.lease,
                owner: lock.owner.clone(),
            });
            let seed_index = held_indexes.get(&lock.id).copied();
            self.load_resource(
                number,
                &lock.id,
                ResourceRow {
                    seed_index,
                    rank,
                    grant,
                },
            );
        }
    }

    fn load_resource(&mut self, pool: PoolNumber, id: &str, row: ResourceRow) {
        let id = StoredName::from(id);
        (self.engine.state).note(|| Change::ResourceSet(pool, id.clone(), row.clone()));
        self.resource(id, row);
    }

    /// Sets the highest fence of any removed pool.
    pub fn retired_fence(&mut self, fence: Fence) {
        self.engine.retired_fence = fence;
    }

    /// Adds a pool. Its resources follow, in any order.
    pub fn pool(&mut self, number: PoolNumber, name: StoredName, fence: Fence) {
        self.finish_pool();
        self.note_name(&name);
        let engine = &mut self.engine;
        engine.next_number = engine.next_number.max(number.next());
        self.pool = Some(Pool::new(engine.pools.next_key(), number, name, fence));
    }

    /// Adds a resource of the last pool. Panics if there is no pool.
    pub fn resource(&mut self, id: StoredName, row: ResourceRow) {
        self.note_name(&id);
        let pool = self.pool.as_ref().expect("resources follow their pool");
        let resources = &mut self.engine.state.resources;
        let key = resources.restore(pool.key, id, row.rank);
        self.by_seed_index
            .extend(row.seed_index.map(|seed_index| (seed_index, key)));
        match row.grant {
            None => self.free.push((row.rank, key)),
            Some(grant) => self.held.push((grant.fence, row.rank, key, grant)),
        }
    }

    fn note_name(&mut self, name: &StoredName) {
        const SHOWN: usize = 10;
        if has_dot_segment(name) {
            let (shown, count) = &mut self.old_names;
            *count += 1;
            if shown.len() < SHOWN {
                shown.push(name.clone());
            }
        }
    }

    /// The names of pools and resources that would be refused today, as they have a part `.` or `..`: the
    /// first few, and their number.
    pub fn old_names(&self) -> (&[StoredName], usize) {
        (&self.old_names.0, self.old_names.1)
    }

    /// Returns the engine. Panics if the rows contradict each other.
    pub fn done(mut self) -> Engine {
        self.finish_pool();
        self.engine.check();
        self.engine
    }

    /// Sorts the resources of the last pool, and adds the pool to the engine.
    fn finish_pool(&mut self) {
        let Some(mut pool) = self.pool.take() else {
            return;
        };
        let resources = &mut self.engine.state.resources;
        self.by_seed_index.sort_unstable();
        for (seed_index, key) in self.by_seed_index.drain(..) {
            resources.add_member(&mut pool.resources, key, seed_index);
        }
        self.free.sort_unstable();
        for (_, key) in self.free.drain(..) {
            resources.link_free_last(&mut pool.resources, key);
        }
        self.held
            .sort_unstable_by_key(|&(fence, rank, ..)| (fence, rank));
        for (_, _, key, row) in std::mem::take(&mut self.held) {
            self.hold(&mut pool, key, row);
        }
        self.engine.insert(pool);
    }

    /// Restores a held resource. Calls are ordered by fence, so that resources of one grant follow each other.
    fn hold(&mut self, pool: &mut Pool, key: ResourceKey, row: GrantRow) {
        let state = &mut self.engine.state;
        let is_same = |&grant: &GrantKey| state.grants.get(grant).fence == row.fence;
        let slot = match pool.grants.last().filter(is_same) {
            Some(slot) => slot,
            None => {
                let grant = Grant::new(pool.key, row.fence, row.granted_at, row.ttl, row.owner);
                state
                    .grants
                    .insert(&mut pool.grants, grant, pool.number, self.now)
            }
        };
        let grant = state.grants.get_mut(slot);
        let chain = &mut grant.resources;
        state.resources.link_held(key, slot, chain);
        grant.count += 1;
        pool.held_count += 1;
    }
}
