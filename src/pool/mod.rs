//! The lock engine: all pools, and what every command does to them.
//!
//! Pure: it has no clock, file or socket. A command and the time go in, replies come out, and each
//! change that must outlive the process is noted as a [`Change`] for whoever keeps the journal.
//! Restoring the folded changes gives the same engine again, with every lease started anew and
//! no waiters.
//!
//! Invariants, asserted in release builds too: a resource is never lent while it is held, and a
//! fence never falls. The rest of what must hold is checked by `Engine::check` after each command
//! of a debug build.

mod change;
mod changed_ids;
mod dumping;
mod engine_state;
mod grants;
mod index;
mod lending;
mod limits;
mod listing;
mod membership;
mod queue;
mod resources;
mod restoring;
mod seeding;
mod serving;
mod slots;

use std::cell::Cell;

pub use change::{Change, GrantRow, PoolNumber, PoolRow, ResourceRow, Snapshot};
pub use dumping::Dumping;
use engine_state::EngineState;
use index::Index;
use lending::Pool;
pub use limits::Measuring;
pub use resources::SeedOrder;
pub use restoring::Restoring;
pub use seeding::{Listing, SeedKind, Seeding, StepBudget};
use slots::{Key, Slots};

use crate::command::{
    Command, Fence, Filter, PoolName, Refusal, Reply, Seed, StoredName, Ticket, Ttl,
};
use crate::metrics::Lending;
use crate::time::Time;

/// What an operator decides about lending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The lease of who does not say how long; `None` lasts until it is released.
    pub default_ttl: Option<Ttl>,
    /// The longest wait.
    pub max_wait_ms: u64,
    /// The most waiters, in all pools together.
    pub max_waiters: usize,
    /// The most waiters of one pool.
    pub max_pool_waiters: usize,
    /// The most pools.
    pub max_pools: usize,
    /// The most resources, in all pools together: members, and what is held and a member no longer.
    pub max_resources: usize,
    /// The most members of a pool.
    pub max_pool_resources: usize,
    /// How long an owner's place in the queue is kept while it is away.
    pub queue_grace_ms: u64,
    /// How many resources and waiters leave in one go when their time is over. The rest follows in the next
    /// calls of [`Engine::handle_timeout`]. A slice and its commit to a file take some milliseconds.
    pub max_ends: usize,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            default_ttl: None,
            max_wait_ms: 300_000,
            max_waiters: 100_000,
            max_pool_waiters: 10_000,
            max_pools: 100_000,
            max_resources: 1_000_000,
            max_pool_resources: 1_000_000,
            queue_grace_ms: 10_000,
            max_ends: 500,
        }
    }
}

/// All pools of one store.
#[derive(Debug, Default)]
pub struct Engine {
    pools: Slots<Pool>,
    names: Index<Pool>,
    /// The pool that was found last, which the next command is likely to be about, too.
    found_last: Cell<Option<PoolKey>>,
    next_number: PoolNumber,
    /// The highest fence of any pool that was removed. A new pool starts above it, so that fences
    /// go on rising when a pool is created again, without a memory of every name that ever was.
    retired_fence: Fence,
    state: EngineState,
}

/// Where a pool stands in `Engine::pools`. Valid until the pool is removed.
type PoolKey = Key<Pool>;

impl Engine {
    /// An empty engine whose changes nobody wants to know.
    pub fn new(rules: Rules) -> Engine {
        Engine {
            state: EngineState {
                rules,
                ..EngineState::default()
            },
            ..Engine::default()
        }
    }

    /// The engine that wrote the changes which `snapshot` sums up. It notes its further changes.
    pub fn restore(snapshot: Snapshot, rules: Rules, now: Time) -> Engine {
        let mut restoring = Restoring::new(rules, now);
        restoring.retired_fence(snapshot.retired_fence);
        for pool in snapshot.pools {
            restoring.pool(pool.number, pool.name, pool.fence);
            for (id, row) in pool.resources {
                restoring.resource(id, row);
            }
        }
        restoring.done()
    }

    /// Carries out one command, after all that was due before it. `None` if the request is queued
    /// now: `poll_answer` will have its reply. A refused command has changed nothing.
    ///
    /// If more is due than ends in one go, the command sees it as over all the same: a lease is neither
    /// shown, renewed nor released, and who asks for a lock gets what is over in its pool. Only the counts
    /// of pools still hold it.
    pub fn execute(&mut self, ticket: Ticket, command: Command<'_>, now: Time) -> Option<Reply> {
        self.catch_up(now);
        let reply = self.dispatch(ticket, command, now);
        #[cfg(debug_assertions)]
        self.check();
        reply.unwrap_or_else(|refusal| Some(self.refuse(refusal)))
    }

    /// Counts what is refused, and says so.
    pub fn refuse(&mut self, refusal: Refusal) -> Reply {
        self.state.counts.refuse(refusal);
        Reply::Refused(refusal)
    }

    /// Whoever asked with this ticket no longer wants to wait. If it is queued it is told that
    /// all is busy; if not, it has its reply already, and nothing happens.
    pub fn withdraw(&mut self, ticket: Ticket, now: Time) {
        self.catch_up(now);
        if let Some(key) = self.state.waiters.find(ticket) {
            let pool = self.state.waiters.get(key).pool;
            self.pools[pool].withdraw(key, now, &mut self.state);
        }
        #[cfg(debug_assertions)]
        self.check();
    }

    /// What came of lending so far.
    pub fn counts(&self) -> &Lending {
        &self.state.counts
    }

    /// Goes on with what another engine has counted.
    pub fn set_counts(&mut self, counts: Lending) {
        self.state.counts = counts;
    }

    /// How many waiters there are, with those of absent owners.
    pub fn waiting_count(&self) -> usize {
        self.state.waiters.len()
    }

    /// The tickets of all waiters whose clients are there.
    pub fn waiting(&self) -> impl Iterator<Item = Ticket> + '_ {
        self.state.waiters.tickets()
    }

    /// One reply to a waiter.
    pub fn poll_answer(&mut self) -> Option<(Ticket, Reply)> {
        self.state.answers.pop_front()
    }

    /// When something is due next.
    pub fn next_timeout(&self) -> Option<Time> {
        let times = [
            self.state.grants.next_expiry(),
            self.state.waiters.next_timeout(),
        ];
        times.into_iter().flatten().min()
    }

    /// Lets nothing end that is due later than this, until it is called with `None`.
    pub fn hold_timeouts(&mut self, after: Option<Time>) {
        self.state.held_after = after;
    }

    /// Ends the leases and the waiting whose time is over, in the order of their times. Of the same
    /// millisecond, leases go first, by their pools and fences, so that they can still be handed on; then
    /// who waits, from the front of the queue. It ends at most [`Rules::max_ends`]: if more is due,
    /// `next_timeout` says so.
    pub fn handle_timeout(&mut self, now: Time) {
        let until = self.state.ends_until(now);
        for _ in 0..self.state.rules.max_ends {
            let expiry = self.state.grants.next_expiry().filter(|&due| due <= until);
            let timeout = self.state.waiters.next_timeout();
            let timeout = timeout.filter(|&due| due <= until);
            match (expiry, timeout) {
                (None, None) => break,
                (Some(expiry), Some(timeout)) if timeout < expiry => self.end_waiting(now),
                (None, Some(_)) => self.end_waiting(now),
                (Some(_), _) => self.end_lease(now),
            }
        }
        self.state.is_behind = self.next_timeout().is_some_and(|due| due <= until);
    }

    /// Ends what is due, unless that is done in slices already.
    fn catch_up(&mut self, now: Time) {
        if !self.state.is_behind {
            self.handle_timeout(now);
        }
    }

    /// Takes one resource back from the grant whose lease ends next. A grant may have any number of them.
    fn end_lease(&mut self, now: Time) {
        let Engine { pools, state, .. } = self;
        if let Some(grant) = state.grants.first_over(now) {
            let pool = state.grants.get(grant).pool;
            state.counts.expired += 1;
            pools[pool].release_one(grant, now, state);
        }
    }

    /// Dismisses the next one who has waited long enough. In a pool that is being seeded this has to wait: there may be
    /// something for it once it is complete.
    fn end_waiting(&mut self, now: Time) {
        let Engine { pools, state, .. } = self;
        if let Some(waiter) = state.waiters.pop_timed_out(now)
            && let pool = state.waiters.get(waiter).pool
            && state.seeding(pool).is_none()
        {
            pools[pool].dismiss(waiter, Refusal::Busy, now, state);
        }
    }

    /// Whether more is due than has ended in one go: the rest is for the next calls.
    pub fn is_behind(&self) -> bool {
        self.state.is_behind
    }

    /// Whether `poll_answer` has something.
    #[inline]
    pub fn has_answers(&self) -> bool {
        !self.state.answers.is_empty()
    }

    /// Exchanges the changes since the last call, in their order, for an empty vector, so that both keep their memory.
    pub fn take_changes(&mut self, spare: Vec<Change>) -> Vec<Change> {
        self.state.take_changes(spare)
    }

    /// Whether there is anything to journal.
    pub fn has_changes(&self) -> bool {
        self.state
            .changes
            .as_ref()
            .is_some_and(|changes| !changes.is_empty())
    }

    fn dispatch(
        &mut self,
        ticket: Ticket,
        command: Command<'_>,
        now: Time,
    ) -> Result<Option<Reply>, Refusal> {
        let reply = match command {
            Command::Acquire(pool, acquire) => {
                let (pool, state) = self.pool_mut(&pool)?;
                return pool.acquire(ticket, &acquire, now, state);
            }
            Command::Release(pool, id, condition) => {
                let (pool, state) = self.pool_mut(&pool)?;
                pool.release(id.as_str(), &condition, now, state)
                    .map(|()| Reply::Done)?
            }
            Command::Renew(pool, id, renewal) => {
                let (pool, state) = self.pool_mut(&pool)?;
                Reply::Leases(pool.renew(id.as_str(), &renewal, now, state)?)
            }
            Command::RenewOwned(pool, renewal) => {
                let (pool, state) = self.pool_mut(&pool)?;
                Reply::Leases(pool.renew_owned(&renewal, now, state)?)
            }
            Command::ReleaseAll(pool, filter) => {
                let (pool, state) = self.pool_mut(&pool)?;
                Reply::Released(pool.release_all(&filter, now, state))
            }
            Command::Undo(pool, id, fence) => {
                let (pool, state) = self.pool_mut(&pool)?;
                pool.undo(id.as_str(), fence, now, state);
                Reply::Done
            }
            Command::ListLocks(pool) => Reply::Leases(self.pool(&pool)?.locks(now, &self.state)),
            Command::ShowLock(pool, id) => {
                Reply::Leases(self.pool(&pool)?.lock_of(id.as_str(), now, &self.state)?)
            }
            Command::ListWaiters(pool) => {
                Reply::Waiters(self.pool(&pool)?.waiters(now, &self.state))
            }
            Command::ListMembers(pool) => Reply::Members(self.pool(&pool)?.members(&self.state)),
            Command::ListPools(query) => Reply::Pools(self.list(&query)),
            Command::SumPools(contains) => Reply::PoolSums(self.sum(contains.as_ref())),
            Command::Survey(shown) => Reply::Survey(Some(self.survey(shown))),
            Command::Probe => Reply::Ready,
            Command::AddMembers(seed) => {
                self.check_seed_limits(&seed, SeedKind::Adds)?;
                self.seed(SeedKind::Adds, seed, now)
            }
            Command::SetMembers(seed) => {
                self.check_seed_limits(&seed, SeedKind::Sets)?;
                self.seed(SeedKind::Sets, seed, now)
            }
            Command::RemovePool(pool) => {
                self.remove(&pool)?;
                Reply::Done
            }
            Command::Restore(restoration) => {
                self.load(&restoration, now)?;
                Reply::Done
            }
            Command::Purge => Reply::Released(self.purge(now)),
            Command::Dump(place) => Reply::Dumped(Box::new(self.dump_pools(place, now))),
        };
        Ok(Some(reply))
    }

    fn find(&self, name: &PoolName<'_>) -> Option<PoolKey> {
        if let Some(key) = self.found_last.get()
            && self.pools[key].name == name.as_str()
        {
            return Some(key);
        }
        let found = self.names.find(0, name.as_str(), &self.pools);
        self.found_last.set(found);
        found
    }

    fn pool(&self, name: &PoolName<'_>) -> Result<&Pool, Refusal> {
        let key = self.find(name).ok_or(Refusal::NoPool)?;
        Ok(&self.pools[key])
    }

    fn pool_mut(&mut self, name: &PoolName<'_>) -> Result<(&mut Pool, &mut EngineState), Refusal> {
        let key = self.find(name).ok_or(Refusal::NoPool)?;
        Ok((&mut self.pools[key], &mut self.state))
    }

    /// Applies a seed in one go, and tells what the members of each pool are then.
    fn seed(&mut self, kind: SeedKind, seed: Seed, now: Time) -> Reply {
        let mut seeding = Seeding::new(kind, seed).with_members_now(Seed::default());
        self.advance_seed(&mut seeding, StepBudget::UNLIMITED, now);
        Reply::Seeded(seeding.take_members_now())
    }

    /// A large seed gets the memory for all that it adds at once, so that no smaller pieces are left
    /// behind. If its first pool is known, most of the others are likely to be, too.
    fn reserve_for(&mut self, seed: &Seed) {
        let is_new = (seed.pools().next()).is_some_and(|(name, _)| self.find(&name).is_none());
        if is_new {
            self.pools.reserve(seed.pool_count());
            self.names.reserve(seed.pool_count(), &self.pools);
            self.state.resources.reserve_capacity(seed.id_count());
        }
    }

    fn create(&mut self, name: &PoolName<'_>) -> PoolKey {
        let (number, name) = (self.next_number, StoredName::from(name.as_str()));
        self.next_number = number.next();
        let fence = self.retired_fence;
        self.state.note(|| Change::PoolCreated {
            number,
            name: name.clone(),
            fence,
        });
        let key = self.pools.next_key();
        self.insert(Pool::new(key, number, name, fence));
        key
    }

    fn insert(&mut self, pool: Pool) {
        let key = self.pools.insert(pool);
        self.names.insert(key, &self.pools);
    }

    fn remove(&mut self, name: &PoolName<'_>) -> Result<(), Refusal> {
        let key = self.find(name).ok_or(Refusal::NoPool)?;
        self.names.remove(key, &self.pools);
        self.found_last.set(None);
        let pool = self.pools.remove(key);
        self.pools.shrink();
        self.names.shrink(&self.pools);
        self.retired_fence = self.retired_fence.max(pool.fence);
        let (number, retired_fence) = (pool.number, self.retired_fence);
        let name = pool.name.clone();
        self.state.note(|| Change::PoolRemoved {
            number,
            name,
            retired_fence,
        });
        pool.dissolve(&mut self.state);
        Ok(())
    }

    fn purge(&mut self, now: Time) -> usize {
        let all = Filter::default();
        let pools = self.pools.values_mut();
        pools
            .map(|pool| pool.release_all(&all, now, &mut self.state))
            .sum()
    }

    /// Panics if anything that must hold does not. It looks at everything: for debug builds and
    /// tests.
    fn check(&self) {
        assert_eq!(self.pools.len(), self.names.len());
        self.state.resources.check();
        if let Some(key) = self.found_last.get() {
            assert_eq!(
                self.names.find(0, &self.pools[key].name, &self.pools),
                Some(key)
            );
        }
        let (mut resources, mut waiting) = (0, 0);
        for (key, pool) in self.pools.iter() {
            let found = self.names.find(0, &pool.name, &self.pools);
            assert_eq!((found, pool.key), (Some(key), key));
            assert!(pool.number < self.next_number);
            resources += pool.check(&self.state);
            waiting += pool.queue.len();
        }
        assert_eq!(resources, self.state.resources.len());
        assert_eq!(waiting, self.state.waiters.len());
    }
}
