//! The lock engine: all pools, and the effect of every command on them.
//!
//! Pure: it has no clock, file or socket. A command and the time go in, and replies come out. Each change that must
//! outlive the process is noted as a [`Change`] for the journal. Restoring the folded changes gives the same engine
//! again, with every lease restarted and no waiters.
//!
//! Invariants, asserted in release builds too: a resource is never lent while it is held, and a fence never falls.
//! `Engine::check` checks the other invariants after each command of a debug build.

mod change;
mod changed_ids;
mod counts;
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
pub use counts::Lending;
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
use crate::time::Time;

/// The operator's settings for lending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The length of a lease for requests without a length of their own; `None` means that it does not end.
    pub default_ttl: Option<Ttl>,
    /// The longest wait in a queue, in milliseconds; longer waits are cut to this.
    pub max_wait_ms: u64,
    /// The most waiters in all pools together.
    pub max_waiters: usize,
    /// The most waiters of one pool.
    pub max_pool_waiters: usize,
    /// The most pools.
    pub max_pools: usize,
    /// The most resources in all pools together: members, and held resources that are no longer members.
    pub max_resources: usize,
    /// The most members of a pool.
    pub max_pool_resources: usize,
    /// The time for which an absent owner's place in the queue is kept, in milliseconds.
    pub queue_grace_ms: u64,
    /// The most leases and waits that end in one call of [`Engine::handle_timeout`]. The rest follows in the next
    /// calls. Ending the default number and committing it to a file takes some milliseconds.
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

/// All pools of one store: a state machine without a clock. The caller passes the time to each call; it must never go
/// back.
///
/// # Calls
///
/// 1. Build it: [`Engine::new`] for an engine without a journal, which notes no changes; [`Engine::restore`] or
///    [`Restoring`] for one that notes them.
/// 2. Change it: [`Engine::execute`], [`Engine::withdraw`], [`Engine::handle_timeout`] and
///    [`Engine::advance_seed`], in any order. Each of them may serve or refuse waiters with other tickets.
/// 3. Then call [`Engine::poll_answer`] until it returns `None`. A ticket gets exactly one reply: from `execute` at
///    once, or from `poll_answer` if `execute` returned `None`. A ticket must not be used again.
/// 4. Call [`Engine::take_changes`] and write the changes, in their order and in one transaction, before any reply
///    leaves that speaks of them. An engine whose changes could not be written must be dropped and restored.
/// 5. Call `handle_timeout` at [`Engine::next_timeout`]. An earlier call does nothing. If it is called late, leases
///    and waits end late, but no command sees them: `execute` and `withdraw` first end what is due.
///
/// A call too many of `withdraw`, `poll_answer` or `take_changes` does nothing: it finds no waiter, reply or change.
/// After a stall, [`Engine::hold_timeouts`] keeps leases and waits from ending until the caller has executed the
/// requests that arrived in time; then it must be called with `None`.
///
/// # Work in slices
///
/// [`Engine::seed_exceeds`], [`Engine::listing_exceeds`] and [`Engine::dump_exceeds`] tell which work is too large for
/// one `execute`. The caller then advances it by calls with a [`StepBudget`]:
///
/// - A seed: [`Engine::advance_measuring`] until it returns the verdict. If that is good, [`Engine::advance_seed`]
///   until [`Seeding::is_done`]. `advance_seed` checks no limits; a call too many does nothing.
/// - A listing: [`Engine::advance_listing`] until it returns the result. A call too many adds nothing.
/// - A dump: [`Engine::begin_dumping`], then [`Engine::advance_dump`] until it returns the part, and never after
///   that.
///
/// Other commands may come in between. The caller must keep these back:
///
/// - While a seed is measured or applied: other seeds. A second one panics if the first has an incomplete pool;
///   otherwise the limits may be exceeded.
/// - While [`Seeding::current_pool`] names an incomplete pool: all commands about it.
/// - During a listing or a dump, and while a seed reports members: commands that change the members of the current
///   pool, or remove it. The engine panics if it finds a member gone.
#[derive(Debug, Default)]
pub struct Engine {
    pools: Slots<Pool>,
    names: Index<Pool>,
    /// The pool found last: the next command is likely to name it, too.
    found_last: Cell<Option<PoolKey>>,
    next_number: PoolNumber,
    /// The highest fence of any removed pool. A new pool starts above it: so fences rise when a pool is created again,
    /// and no memory of removed names is needed.
    retired_fence: Fence,
    state: EngineState,
}

/// The key of a pool in `Engine::pools`. Valid until the pool is removed.
type PoolKey = Key<Pool>;
type GrantKey = Key<grants::Grant>;

impl Engine {
    /// Makes an empty engine that notes no changes.
    pub fn new(rules: Rules) -> Engine {
        Engine {
            state: EngineState {
                rules,
                ..EngineState::default()
            },
            ..Engine::default()
        }
    }

    /// Restores the engine whose changes `snapshot` sums up. It notes its further changes.
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

    /// Carries out one command, after all that was due before it. Returns `None` if the request is queued:
    /// `poll_answer` will have its reply. A refused command has changed nothing.
    ///
    /// If more is due than ends in one call, the command still treats it as over: such a lease is not shown, renewed
    /// or released, and an acquire gets what is over in its pool. Only the counts of pools still include it.
    pub fn execute(&mut self, ticket: Ticket, command: Command<'_>, now: Time) -> Option<Reply> {
        self.catch_up(now);
        let reply = self.dispatch(ticket, command, now);
        #[cfg(debug_assertions)]
        self.check();
        reply.unwrap_or_else(|refusal| Some(self.refuse(refusal)))
    }

    /// Counts a refusal, and returns it as a reply.
    pub fn refuse(&mut self, refusal: Refusal) -> Reply {
        self.state.counts.refuse(refusal);
        Reply::Refused(refusal)
    }

    /// Ends the wait of the request with this ticket. A queued request is answered `busy`; an owner's place is kept
    /// for [`Rules::queue_grace_ms`]. If the request is not queued, it has its reply already, and nothing happens.
    pub fn withdraw(&mut self, ticket: Ticket, now: Time) {
        self.catch_up(now);
        if let Some(key) = self.state.waiters.find(ticket) {
            let pool = self.state.waiters.get(key).pool;
            self.pools[pool].withdraw(key, now, &mut self.state);
        }
        #[cfg(debug_assertions)]
        self.check();
    }

    /// The counts of grants, releases, expiries and refusals.
    pub fn counts(&self) -> &Lending {
        &self.state.counts
    }

    /// Continues the counts of another engine.
    pub fn set_counts(&mut self, counts: Lending) {
        self.state.counts = counts;
    }

    /// The number of waiters, including those of absent owners.
    pub fn waiting_count(&self) -> usize {
        self.state.waiters.len()
    }

    /// The tickets of all waiters whose clients are present.
    pub fn waiting(&self) -> impl Iterator<Item = Ticket> + '_ {
        self.state.waiters.tickets()
    }

    /// Takes one reply to a waiter, in the order in which they were decided; `None` if no more is ready.
    pub fn poll_answer(&mut self) -> Option<(Ticket, Reply)> {
        self.state.answers.pop_front()
    }

    /// The time of the next lease or wait to end; `None` if none ends by itself. It may lie in the past while the
    /// engine is behind.
    pub fn next_timeout(&self) -> Option<Time> {
        let times = [
            self.state.grants.next_expiry(),
            self.state.waiters.next_timeout(),
        ];
        times.into_iter().flatten().min()
    }

    /// Keeps leases and waits that are due after this time from ending, until it is called with `None`.
    pub fn hold_timeouts(&mut self, after: Option<Time>) {
        self.state.held_after = after;
    }

    /// Ends the leases and waits that are due, in the order of their times. In the same millisecond, leases end first,
    /// by pool and fence, so that their resources still reach waiters; then waits end, from the front of the queue. It
    /// ends at most [`Rules::max_ends`]: if more is due, `next_timeout` is not later than `now`.
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

    /// Ends what is due, unless `handle_timeout` ends it in slices.
    fn catch_up(&mut self, now: Time) {
        if !self.state.is_behind {
            self.handle_timeout(now);
        }
    }

    /// Releases one resource of the grant whose lease ends next: a grant may have any number of resources.
    fn end_lease(&mut self, now: Time) {
        let Engine { pools, state, .. } = self;
        if let Some(grant) = state.grants.first_over(now) {
            let pool = state.grants.get(grant).pool;
            state.counts.expired += 1;
            pools[pool].release_one(grant, now, state);
        }
    }

    /// Dismisses the next waiter whose time is over. A pool that is being seeded dismisses it when the seed is
    /// complete: then there may be a resource for it.
    fn end_waiting(&mut self, now: Time) {
        let Engine { pools, state, .. } = self;
        if let Some(waiter) = state.waiters.pop_timed_out(now)
            && let pool = state.waiters.get(waiter).pool
            && state.seeding(pool).is_none()
        {
            pools[pool].dismiss(waiter, Refusal::Busy, now, state);
        }
    }

    /// Returns true if more was due than ended in one call: the next calls end the rest.
    pub fn is_behind(&self) -> bool {
        self.state.is_behind
    }

    /// Returns true if `poll_answer` has a reply.
    #[inline]
    pub fn has_answers(&self) -> bool {
        !self.state.answers.is_empty()
    }

    /// Takes the changes since the last call, in their order. `spare` must be empty; its memory is used for the next
    /// ones.
    pub fn take_changes(&mut self, spare: Vec<Change>) -> Vec<Change> {
        self.state.take_changes(spare)
    }

    /// Returns true if there are changes for the journal.
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

    /// Applies a seed in one step, and returns the members of each pool after it.
    fn seed(&mut self, kind: SeedKind, seed: Seed, now: Time) -> Reply {
        let mut seeding = Seeding::new(kind, seed).with_members_now(Seed::default());
        self.advance_seed(&mut seeding, StepBudget::UNLIMITED, now);
        Reply::Seeded(seeding.take_members_now())
    }

    /// Reserves the memory for a large seed at once, so that growing leaves no smaller pieces behind. If its first
    /// pool is known, most of the others probably are, too.
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

    /// Panics if an invariant is broken. It visits everything: for debug builds and tests.
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
