//! The lock engine: all pools, and what every command does to them.
//!
//! Pure: it has no clock, file or socket. A command and the time go in, a reply comes out, and each
//! change that must outlive the process is noted as a [`Change`] for whoever keeps the journal.
//! Restoring the folded changes gives the same engine again.
//!
//! Invariants, asserted in release builds too: a resource is never lent while it is held, and a
//! fence never falls. The rest of what must hold is checked by `Engine::check` after each command
//! of a debug build.

mod change;
mod lending;
mod resources;

use std::collections::HashMap;

pub use change::{Change, GrantRow, PoolNumber, PoolRow, ResourceRow, Snapshot};
use lending::Pool;

use crate::command::{
    Command, Fence, PoolName, PoolStatus, Refusal, Reply, ResourceId, Seed, StoredName,
};
use crate::time::Time;

/// All pools of one store.
#[derive(Debug, Default)]
pub struct Engine {
    pools: HashMap<StoredName, Pool>,
    next_number: PoolNumber,
    /// The highest fence of any pool that was removed. A new pool starts above it, so that fences
    /// go on rising when a pool is created again, without a memory of every name that ever
    /// was.
    retired_fence: Fence,
    /// `None` if nobody keeps a journal.
    changes: Option<Vec<Change>>,
}

impl Engine {
    /// An empty engine whose changes nobody wants to know.
    pub fn new() -> Engine {
        Engine::default()
    }

    /// The engine that wrote the changes which `snapshot` sums up. It notes its further changes.
    pub fn restore(snapshot: Snapshot) -> Engine {
        let mut engine = Engine {
            changes: Some(Vec::new()),
            ..Engine::default()
        };
        engine.retired_fence = snapshot.retired_fence;
        for row in snapshot.pools {
            engine.next_number = engine.next_number.max(row.number.next());
            let pool = Pool::restore(row);
            engine.pools.insert(pool.name().clone(), pool);
        }
        engine.check();
        engine
    }

    /// Carries out one command. A refused command has changed nothing.
    pub fn execute(&mut self, command: Command<'_>, now: Time) -> Reply {
        let result = self.dispatch(command, now);
        #[cfg(debug_assertions)]
        self.check();
        result.unwrap_or_else(Reply::Refused)
    }

    /// The changes since the last call, in the order in which they were made.
    pub fn drain_changes(&mut self) -> impl Iterator<Item = Change> + '_ {
        self.changes
            .iter_mut()
            .flat_map(|changes| changes.drain(..))
    }

    /// Whether there is anything to journal.
    pub fn has_changes(&self) -> bool {
        self.changes
            .as_ref()
            .is_some_and(|changes| !changes.is_empty())
    }

    fn dispatch(&mut self, command: Command<'_>, now: Time) -> Result<Reply, Refusal> {
        match command {
            Command::Acquire(pool, wanted) => {
                let (pool, changes) = self.pool_mut(&pool)?;
                pool.acquire(&wanted, now, changes).map(Reply::Leases)
            }
            Command::Release(pool, id) => {
                let (pool, changes) = self.pool_mut(&pool)?;
                pool.release(id.as_str(), changes).map(|()| Reply::Done)
            }
            Command::ReleaseAll(pool) => {
                let (pool, changes) = self.pool_mut(&pool)?;
                Ok(Reply::Released(pool.release_all(changes)))
            }
            Command::ListLocks(pool) => Ok(Reply::Leases(self.pool(&pool)?.locks(now))),
            Command::ShowLock(pool, id) => self
                .pool(&pool)?
                .lock_of(id.as_str(), now)
                .map(Reply::Leases),
            Command::ListMembers(pool) => Ok(Reply::Members(self.pool(&pool)?.members())),
            Command::ListPools => Ok(Reply::Pools(self.list())),
            Command::AddMembers(seed) => Ok(self.seed(&seed, Pool::add_members)),
            Command::SetMembers(seed) => Ok(self.seed(&seed, Pool::set_members)),
            Command::RemovePool(pool) => self.remove(&pool).map(|()| Reply::Done),
            Command::Purge => Ok(Reply::Released(self.purge())),
        }
    }

    fn pool(&self, name: &PoolName<'_>) -> Result<&Pool, Refusal> {
        self.pools.get(name.as_str()).ok_or(Refusal::NoPool)
    }

    fn pool_mut(&mut self, name: &PoolName<'_>) -> Result<(&mut Pool, Changes<'_>), Refusal> {
        let pool = self.pools.get_mut(name.as_str()).ok_or(Refusal::NoPool)?;
        Ok((pool, Changes(self.changes.as_mut())))
    }

    fn list(&self) -> Vec<PoolStatus> {
        let mut list: Vec<PoolStatus> = self.pools.values().map(Pool::status).collect();
        list.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// Gives ids to each named pool in the way that `apply` does, and tells what its members are
    /// then.
    fn seed(
        &mut self,
        seed: &Seed<'_>,
        apply: fn(&mut Pool, &[ResourceId<'_>], Changes<'_>),
    ) -> Reply {
        let members_now = seed.iter().map(|(name, ids)| {
            self.create_if_missing(name);
            let (pool, changes) = self
                .pool_mut(name)
                .expect("a pool that was missing is created");
            apply(pool, ids, changes);
            (pool.name().clone(), pool.members())
        });
        Reply::Seeded(members_now.collect())
    }

    fn create_if_missing(&mut self, name: &PoolName<'_>) {
        if self.pools.contains_key(name.as_str()) {
            return;
        }
        let (number, name) = (self.next_number, StoredName::from(name.as_str()));
        self.next_number = number.next();
        let fence = self.retired_fence;
        Changes(self.changes.as_mut()).note(|| {
            let name = name.clone();
            Change::PoolCreated {
                number,
                name,
                fence,
            }
        });
        let row = PoolRow {
            number,
            name: name.clone(),
            fence,
            resources: Vec::new(),
        };
        self.pools.insert(name, Pool::restore(row));
    }

    fn remove(&mut self, name: &PoolName<'_>) -> Result<(), Refusal> {
        let pool = self.pools.remove(name.as_str()).ok_or(Refusal::NoPool)?;
        self.retired_fence = self.retired_fence.max(pool.fence());
        let retired_fence = self.retired_fence;
        Changes(self.changes.as_mut()).note(|| Change::PoolRemoved {
            number: pool.number(),
            name: pool.name().clone(),
            retired_fence,
        });
        Ok(())
    }

    fn purge(&mut self) -> usize {
        let mut released = 0;
        for pool in self.pools.values_mut() {
            released += pool.release_all(Changes(self.changes.as_mut()));
        }
        released
    }

    /// Panics if anything that must hold does not. It looks at everything: for debug builds and
    /// tests.
    fn check(&self) {
        for (name, pool) in &self.pools {
            assert_eq!(name, pool.name());
            assert!(pool.number() < self.next_number);
            pool.check();
        }
    }
}

/// Where changes are noted, if anybody wants to know them.
#[derive(Debug)]
struct Changes<'a>(Option<&'a mut Vec<Change>>);

impl Changes<'_> {
    fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(changes) = &mut self.0 {
            changes.push(change());
        }
    }
}
