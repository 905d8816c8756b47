//! The shadow model: the required behaviour of a lock engine, written so that it is obviously right.
//!
//! Plain lists, walked from the front; after every change the rule of the queue is applied to the whole
//! queue. It shares no code with the engine but the vocabulary.

use latchd::command::{
    Command, IdList, Leases, NamePart, PoolStatus, QueuedWaiter, Refusal, Reply, Seed, StoredName,
    Survey, Ticket, Ttl,
};
use latchd::pool::Rules;
use latchd::time::Time;

/// All pools, and the answers since the last look.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub rules: Rules,
    pub pools: Vec<Pool>,
    pub retired_fence: u64,
    pub answers: Vec<(Ticket, Reply)>,
    /// More was due than ends in one go. Locks whose time is over count as ended all the same.
    pub is_behind: bool,
    pub next_place: u64,
}

#[derive(Clone, Debug)]
pub struct Pool {
    pub name: StoredName,
    pub fence: u64,
    /// In seeding order.
    pub members: Vec<StoredName>,
    /// The free resources, in the order of lending.
    pub order: Vec<StoredName>,
    /// In the order of their fences.
    pub locks: Vec<Lock>,
    pub line: Vec<Waiter>,
}

#[derive(Clone, Debug)]
pub struct Lock {
    pub fence: u64,
    pub owner: Option<StoredName>,
    pub ttl: Option<Ttl>,
    pub granted_at: u64,
    pub expires_at: Option<u64>,
    pub ids: Vec<StoredName>,
}

#[derive(Clone, Debug)]
pub struct Waiter {
    /// Counted over all pools.
    pub place: u64,
    /// `None` while its owner is away.
    pub ticket: Option<Ticket>,
    pub selection: Want,
    pub owner: Option<StoredName>,
    pub ttl: Option<Ttl>,
    /// The time when it was queued; later requests of its owner do not change it.
    pub since: u64,
    pub until: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    Any(usize),
    All,
    Named(StoredName),
}

impl Waiter {
    fn queued(&self, member_count: usize, now: u64) -> QueuedWaiter {
        let (count, id) = match &self.selection {
            Want::Any(count) => (*count, None),
            Want::All => (member_count, None),
            Want::Named(id) => (1, Some(id.clone())),
        };
        QueuedWaiter {
            owner: self.owner.clone(),
            count,
            id,
            age_s: Some((now - self.since) / 1000),
            left_s: Some(self.until.saturating_sub(now) / 1000),
            is_lost: self.ticket.is_none(),
        }
    }
}

impl Model {
    pub fn new(rules: Rules) -> Model {
        Model {
            rules,
            ..Model::default()
        }
    }

    /// Everything that a restart forgets: the line, and how far the leases were.
    pub fn restart(&mut self, now: u64) {
        for pool in &mut self.pools {
            pool.line.clear();
            for lock in &mut pool.locks {
                lock.start_lease(now);
            }
        }
        self.is_behind = false;
    }

    pub fn waiting(&self) -> usize {
        self.pools.iter().map(|pool| pool.line.len()).sum()
    }

    pub fn next_timeout(&self) -> Option<u64> {
        let expiries = self.locks().filter_map(|lock| lock.expires_at);
        expiries.chain(self.waiters().map(|w| w.until)).min()
    }

    pub fn locks(&self) -> impl Iterator<Item = &Lock> {
        self.pools.iter().flat_map(|pool| &pool.locks)
    }

    pub fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        self.pools.iter().flat_map(|pool| &pool.line)
    }

    /// Handles all that is due, in the order of time, up to the number that may end in one go. At the same
    /// time, leases end before waits: the leases by pool and fence, the waits from the front of the queue.
    pub fn handle_timeout(&mut self, now: u64) {
        for _ in 0..self.rules.max_ends {
            let Some(due) = self.next_timeout().filter(|&due| due <= now) else {
                break;
            };
            let Model {
                pools,
                answers,
                rules,
                ..
            } = self;
            let ends = |lock: &&Lock| lock.expires_at == Some(due);
            let ending = pools
                .iter()
                .position(|pool| pool.locks.iter().any(|lock| ends(&lock)));
            if let Some(pool) = ending.map(|at| &mut pools[at])
                && let Some(lock) = pool.locks.iter().find(ends)
            {
                let (fence, id) = (lock.fence, lock.ids[0].clone());
                pool.free(fence, &id);
                pool.serve(now, rules, answers);
                continue;
            }
            let leaving = pools.iter().flat_map(|pool| &pool.line);
            let leaving = leaving.filter(|waiter| waiter.until == due);
            let place = leaving.map(|waiter| waiter.place).min();
            for pool in pools {
                if let Some(at) = pool.line.iter().position(|w| Some(w.place) == place) {
                    pool.dismiss(at, Refusal::Busy, answers);
                    pool.serve(now, rules, answers);
                }
            }
        }
        self.is_behind = self.next_timeout().is_some_and(|due| due <= now);
    }

    fn catch_up(&mut self, now: u64) {
        if !self.is_behind {
            self.handle_timeout(now);
        }
    }

    pub fn withdraw(&mut self, ticket: Ticket, now: u64) {
        self.catch_up(now);
        let Model {
            pools,
            answers,
            rules,
            ..
        } = self;
        for pool in pools {
            let Some(at) = pool.line.iter().position(|w| w.ticket == Some(ticket)) else {
                continue;
            };
            if pool.line[at].owner.is_some() {
                pool.line[at].ticket = None;
                pool.line[at].until = now + rules.queue_grace_ms;
                answers.push((ticket, Reply::Refused(Refusal::Busy)));
            } else {
                pool.dismiss(at, Refusal::Busy, answers);
            }
            pool.serve(now, rules, answers);
        }
    }

    /// Carries out a command. All replies, those to others included, are in `answers`.
    pub fn execute(&mut self, ticket: Ticket, command: &Command<'_>, at: Time) {
        let now = at.as_ms();
        self.catch_up(now);
        let reply = self.dispatch(ticket, command, now);
        let reply = reply.unwrap_or_else(|refusal| Some(Reply::Refused(refusal)));
        self.answers.extend(reply.map(|reply| (ticket, reply)));
    }

    fn dispatch(
        &mut self,
        ticket: Ticket,
        command: &Command<'_>,
        now: u64,
    ) -> Result<Option<Reply>, Refusal> {
        let waiting = self.waiting();
        let Model {
            pools,
            answers,
            rules,
            ..
        } = self;
        let reply = match command {
            Command::Acquire(pool, acquire) => {
                let pool = find(pools, pool.as_str())?;
                self.next_place += 1;
                let call = super::model_pool::AcquireCall {
                    ticket,
                    acquire,
                    now,
                    waiting_elsewhere: waiting - pool.line.len(),
                    place: self.next_place,
                    is_behind: self.is_behind,
                };
                return call.acquire(pool, rules, answers);
            }
            Command::Renew(pool, id, renewal) => {
                let pool = find(pools, pool.as_str())?;
                let lock = pool.lock_now(id.as_str(), now).ok_or(Refusal::NotHeld)?;
                lock.admits(
                    renewal.owner.as_ref().map(|o| o.as_str()),
                    renewal.fence,
                    false,
                )?;
                lock.renew(renewal.ttl, now);
                Reply::Leases(Leases::from_iter([lock.lease(id.as_str(), now)]))
            }
            Command::RenewOwned(pool, renewal) => {
                let pool = find(pools, pool.as_str())?;
                let owner = renewal.owner.as_ref().map(|o| o.as_str());
                let mut locks = pool.locks.iter_mut();
                let is_owners = |lock: &Lock| owner.is_some() && lock.owner.as_deref() == owner;
                let lock = locks.find(|lock| is_owners(lock) && !lock.is_over(now));
                let lock = lock.ok_or(Refusal::NotHeld)?;
                lock.admits(owner, renewal.fence, false)?;
                lock.renew(renewal.ttl, now);
                Reply::Leases(lock.leases(now))
            }
            Command::Release(pool, id, condition) => {
                let pool = find(pools, pool.as_str())?;
                let owner = condition.owner.as_ref().map(|o| o.as_str());
                match pool.lock_now(id.as_str(), now) {
                    Some(lock) => {
                        lock.admits(owner, condition.fence, condition.force)?;
                        let fence = lock.fence;
                        pool.free(fence, id.as_str());
                        pool.serve(now, rules, answers);
                    }
                    None if owner.is_some() => {}
                    None => return Err(Refusal::NotHeld),
                }
                Reply::Done
            }
            Command::ReleaseAll(pool, filter) => {
                let owner = filter.owner.as_ref().map(|o| o.as_str());
                let older_ms = filter.older_s.map_or(0, |s| s.saturating_mul(1000));
                let pool = find(pools, pool.as_str())?;
                Reply::Released(pool.release_all(owner, older_ms, now, rules, answers))
            }
            Command::Undo(pool, id, fence) => {
                let pool = find(pools, pool.as_str())?;
                let lock = pool.lock_now(id.as_str(), now);
                if let Some(lock) = lock
                    && lock.fence == fence.number()
                    && lock.owner.is_none()
                {
                    for id in lock.ids.clone() {
                        pool.free(fence.number(), &id);
                        pool.serve(now, rules, answers);
                    }
                }
                Reply::Done
            }
            Command::ListLocks(pool) => {
                let pool = find(pools, pool.as_str())?;
                let locks = pool.locks.iter().filter(|lock| !lock.is_over(now));
                Reply::Leases(locks.flat_map(|lock| lock.leases(now)).collect())
            }
            Command::ListWaiters(pool) => {
                let pool = find(pools, pool.as_str())?;
                let queued = |waiter: &Waiter| waiter.queued(pool.members.len(), now);
                Reply::Waiters(pool.line.iter().map(queued).collect())
            }
            Command::ShowLock(pool, id) => {
                let pool = find(pools, pool.as_str())?;
                let known = pool.members.iter().any(|member| &**member == id.as_str());
                match pool.lock_now(id.as_str(), now) {
                    Some(lock) => Reply::Leases(Leases::from_iter([lock.lease(id.as_str(), now)])),
                    None if known => return Err(Refusal::NotHeld),
                    None => return Err(Refusal::NoResource),
                }
            }
            Command::ListMembers(pool) => {
                Reply::Members(id_list(&find(pools, pool.as_str())?.members))
            }
            Command::ListPools(query) => {
                let pools = pools.iter().map(Pool::status);
                let mut list: Vec<PoolStatus> =
                    pools.filter(|pool| query.includes(&pool.name)).collect();
                list.sort_by(|a, b| a.name.cmp(&b.name));
                list.truncate(query.max_pools());
                Reply::Pools(list)
            }
            Command::SumPools(part) => {
                let pools: Vec<PoolStatus> = pools.iter().map(Pool::status).collect();
                let selection = pools
                    .iter()
                    .filter(|pool| NamePart::occurs(part.as_ref(), &pool.name));
                Reply::PoolSums(selection.collect())
            }
            Command::Survey(most) => Reply::Survey(Some(survey(pools, *most))),
            Command::Probe => Reply::Ready,
            // Other tests compare a dump with the restored store.
            Command::Dump(_) | Command::Restore(_) => panic!("the model is never dumped"),
            Command::AddMembers(seed) | Command::SetMembers(seed) => {
                let sets = matches!(command, Command::SetMembers(_));
                self.check_seed_limits(seed, sets)?;
                let mut now_in = Seed::default();
                for (pool_name, ids) in seed.pools() {
                    let ids: Vec<String> = ids.map(|id| id.as_str().to_owned()).collect();
                    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                    let pool = self.find_or_create(pool_name.as_str());
                    if sets {
                        pool.drop_members(&ids);
                    }
                    pool.add_members(&ids);
                    let (name, members) = (pool.name.clone(), pool.members.clone());
                    let Model {
                        pools,
                        answers,
                        rules,
                        ..
                    } = self;
                    let pool = pools.iter_mut().find(|pool| pool.name == name);
                    if let Some(pool) = pool {
                        pool.dismiss_unsatisfiable(answers);
                        pool.serve(now, rules, answers);
                    }
                    now_in.add(&pool_name, id_list(&members).iter());
                }
                Reply::Seeded(now_in)
            }
            Command::RemovePool(name) => {
                let mut pools = self.pools.iter();
                let at = pools.position(|pool| &*pool.name == name.as_str());
                let pool = self.pools.remove(at.ok_or(Refusal::NoPool)?);
                self.retired_fence = self.retired_fence.max(pool.fence);
                for ticket in pool.line.iter().filter_map(|waiter| waiter.ticket) {
                    self.answers.push((ticket, Reply::Refused(Refusal::NoPool)));
                }
                Reply::Done
            }
            Command::Purge => {
                let all = pools.iter_mut();
                Reply::Released(
                    all.map(|p| p.release_all(None, 0, now, rules, answers))
                        .sum(),
                )
            }
        };
        Ok(Some(reply))
    }

    /// Whether there may be as many pools and resources as there would be then, or they grow no more
    /// than before.
    fn check_seed_limits(&self, seed: &Seed, sets: bool) -> Result<(), Refusal> {
        let mut after = self.pools.clone();
        for (name, ids) in seed.pools() {
            let ids: Vec<StoredName> = ids.map(|id| StoredName::from(id.as_str())).collect();
            let at = after.iter().position(|pool| &*pool.name == name.as_str());
            let at = at.unwrap_or_else(|| {
                after.push(Pool::named(name.as_str()));
                after.len() - 1
            });
            let members = &mut after[at].members;
            if sets {
                members.clear();
            }
            members.extend(ids);
            members.sort();
            members.dedup();
        }
        let rules = &self.rules;
        if after.len() > self.pools.len() && after.len() > rules.max_pools {
            return Err(Refusal::TooManyPools);
        }
        let size = |pools: &[Pool]| pools.iter().map(Pool::resource_count).sum::<usize>();
        let too_much = |before: usize, after: usize, most: usize| after > before && after > most;
        let is_any_too_large = after.iter().any(|pool| {
            let before = self.pools.iter().find(|before| before.name == pool.name);
            let before = before.map_or(0, |before| before.members.len());
            too_much(before, pool.members.len(), rules.max_pool_resources)
        });
        if is_any_too_large || too_much(size(&self.pools), size(&after), rules.max_resources) {
            return Err(Refusal::TooManyResources);
        }
        Ok(())
    }

    fn find_or_create(&mut self, name: &str) -> &mut Pool {
        let at = self.pools.iter().position(|pool| &*pool.name == name);
        let at = at.unwrap_or_else(|| {
            self.pools.push(Pool {
                fence: self.retired_fence,
                ..Pool::named(name)
            });
            self.pools.len() - 1
        });
        &mut self.pools[at]
    }
}

fn find<'a>(pools: &'a mut [Pool], name: &str) -> Result<&'a mut Pool, Refusal> {
    let found = pools.iter_mut().find(|pool| &*pool.name == name);
    found.ok_or(Refusal::NoPool)
}

/// The pools that were made first one by one, and the others together.
fn survey(pools: &[Pool], most: usize) -> Survey {
    let mut all = pools.iter().map(Pool::status);
    let shown: Vec<PoolStatus> = all.by_ref().take(most).collect();
    let others = all.reduce(|sum, pool| PoolStatus {
        name: "".into(),
        resources: sum.resources + pool.resources,
        held: sum.held + pool.held,
        free: sum.free + pool.free,
        waiting: sum.waiting + pool.waiting,
        role: None,
    });
    Survey {
        pool_count: pools.len(),
        shown,
        others: others.map(|others| PoolStatus {
            name: "".into(),
            ..others
        }),
    }
}

fn id_list(ids: &[StoredName]) -> IdList {
    let mut list = IdList::default();
    ids.iter().for_each(|id| list.push_stored(id));
    list
}
