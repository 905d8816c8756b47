//! The shadow model of one pool: its members, its order of lending, its line.

use latchd::command::{Acquire, PoolStatus, Refusal, Reply, StoredName, Ticket};
use latchd::pool::Rules;

use super::model::{Lock, Pool, Waiter, Want};

type Answers = Vec<(Ticket, Reply)>;

/// A request for a lock, and its time.
pub struct AcquireCall<'a> {
    pub ticket: Ticket,
    pub acquire: &'a Acquire<'a>,
    pub now: u64,
    /// The number of waiters in other pools.
    pub waiting_elsewhere: usize,
    /// Its place, if it has to be queued.
    pub place: u64,
    /// Leases may be over that have not ended.
    pub is_behind: bool,
}

impl Pool {
    /// A pool without anything.
    pub fn named(name: &str) -> Pool {
        Pool {
            name: StoredName::from(name),
            fence: 0,
            members: Vec::new(),
            order: Vec::new(),
            locks: Vec::new(),
            line: Vec::new(),
        }
    }

    /// The number of its members, and of held resources that are no members.
    pub fn resource_count(&self) -> usize {
        let held = self.locks.iter().flat_map(|lock| &lock.ids);
        let others = held.filter(|id| !self.members.contains(id));
        self.members.len() + others.count()
    }
}

impl AcquireCall<'_> {
    /// The reply; `None` if there is none yet, or if it is among the answers.
    pub fn acquire(
        &self,
        pool: &mut Pool,
        rules: &Rules,
        answers: &mut Answers,
    ) -> Result<Option<Reply>, Refusal> {
        let AcquireCall { acquire, now, .. } = *self;
        let want = Want::of(&acquire.selection);
        let owner: Option<StoredName> =
            acquire.owner.as_ref().map(|o| StoredName::from(o.as_str()));
        let is_own = |lock: &Lock| owner.is_some() && lock.owner == owner;
        if self.is_behind {
            let own = pool.locks.iter().find(|lock| is_own(lock));
            let own = own.map(|lock| (lock.fence, lock.is_over(now)));
            if let Some((fence, true)) = own {
                pool.end(fence, now, rules, answers);
            }
            if !matches!(own, Some((_, false))) {
                pool.end_what_is_over(&want, now, rules, answers);
            }
        }
        let is_all_held = pool.locks.len() == 1 && pool.order.is_empty();
        if let Some(lock) = pool.locks.iter_mut().find(|lock| is_own(lock)) {
            let same = match &want {
                Want::All => is_all_held,
                Want::Any(count) => lock.ids.len() == *count,
                Want::Named(id) => lock.ids.len() == 1 && lock.ids.contains(id),
            };
            if !same {
                return Err(Refusal::OwnerHolds(lock.ids.len()));
            }
            lock.renew(acquire.ttl, now);
            return Ok(Some(lock.granted(&pool.name, now)));
        }
        pool.could_ever_serve(&want)?;
        if owner.is_some()
            && let Some(at) = pool.line.iter().position(|w| w.owner == owner)
        {
            if acquire.wait_ms == 0 && pool.line[at].ticket.is_some() {
                return Err(Refusal::Busy);
            }
            return Ok(self.take_over(at, want, pool, rules, answers));
        }
        // It stands at the end of the line, if only for this moment.
        pool.line.push(Waiter {
            place: self.place,
            ticket: Some(self.ticket),
            selection: want,
            owner,
            ttl: acquire.ttl,
            since: now,
            until: now + acquire.wait_ms.min(rules.max_wait_ms),
        });
        pool.serve(now, rules, answers);
        if !pool.waits(self.ticket) {
            return Ok(None);
        }
        let is_full = self.waiting_elsewhere + pool.line.len() > rules.max_waiters
            || pool.line.len() > rules.max_pool_waiters
            || !acquire.may_queue;
        if acquire.wait_ms == 0 || is_full {
            pool.line.pop();
            return Err(match acquire.wait_ms {
                0 => Refusal::Busy,
                _ => Refusal::QueueFull,
            });
        }
        Ok(None)
    }

    /// An owner's newer request takes the place of its older one.
    fn take_over(
        &self,
        at: usize,
        want: Want,
        pool: &mut Pool,
        rules: &Rules,
        answers: &mut Answers,
    ) -> Option<Reply> {
        let busy = Reply::Refused(Refusal::Busy);
        let wait_ms = self.acquire.wait_ms;
        let waiter = &mut pool.line[at];
        answers.extend(waiter.ticket.map(|older| (older, busy.clone())));
        waiter.ticket = Some(self.ticket);
        waiter.selection = want;
        waiter.ttl = self.acquire.ttl;
        waiter.until = self.now
            + match wait_ms {
                0 => rules.queue_grace_ms,
                _ => wait_ms.min(rules.max_wait_ms),
            };
        pool.serve(self.now, rules, answers);
        if wait_ms > 0 || !pool.waits(self.ticket) {
            return None;
        }
        pool.line[at].ticket = None;
        pool.serve(self.now, rules, answers);
        Some(busy)
    }
}

/// The resources that are free and kept for absent owners.
#[derive(Debug, Default)]
pub struct Kept {
    /// The number of resources of any name.
    pub any: usize,
    /// These ones.
    pub named: Vec<StoredName>,
}

impl Kept {
    pub fn count(&self) -> usize {
        self.any + self.named.len()
    }
}

impl Pool {
    /// The rule of the queue: serves the first waiter that can be served, until none can.
    pub fn serve(&mut self, now: u64, rules: &Rules, answers: &mut Answers) {
        while let (Some((at, takes)), _) = self.walk() {
            let waiter = self.line.remove(at);
            let ticket = waiter.ticket.expect("an owner that is away is not served");
            answers.push((ticket, self.grant(waiter, takes, now, rules)));
        }
    }

    /// Walks the queue from the front. Returns the first waiter that can be served with its resources, and
    /// the resources reserved for waiters in front of it.
    fn walk(&self) -> (Option<(usize, Vec<StoredName>)>, Kept) {
        let mut kept = Kept::default();
        for (at, waiter) in self.line.iter().enumerate() {
            let left = self.order.iter().filter(|id| !kept.named.contains(id));
            let left: Vec<StoredName> = left.cloned().collect();
            let left_count = left.len() - kept.any;
            let count = match &waiter.selection {
                Want::Any(count) => *count,
                Want::All => self.members.len(),
                Want::Named(_) => 1,
            };
            let takes: Option<Vec<StoredName>> = match &waiter.selection {
                Want::Any(_) | Want::All => (count <= left_count).then(|| left[..count].to_vec()),
                Want::Named(id) => (left_count > 0 && left.contains(id)).then(|| vec![id.clone()]),
            };
            match (takes, waiter.ticket, &waiter.selection) {
                (Some(takes), Some(_), _) => return (Some((at, takes)), kept),
                (Some(_), None, Want::Any(_) | Want::All) => kept.any += count,
                (Some(takes), None, Want::Named(_)) => kept.named.extend(takes),
                (None, Some(_), Want::Any(_) | Want::All) => break,
                (None, ..) => {}
            }
        }
        (None, kept)
    }

    /// Returns the resources that are kept when no waiter can be served.
    pub fn kept(&self) -> Kept {
        self.walk().1
    }

    fn grant(&mut self, to: Waiter, ids: Vec<StoredName>, now: u64, rules: &Rules) -> Reply {
        self.fence += 1;
        self.order.retain(|id| !ids.contains(id));
        let mut lock = Lock {
            fence: self.fence,
            owner: to.owner,
            ttl: to.ttl.or(rules.default_ttl),
            granted_at: now,
            expires_at: None,
            ids,
        };
        lock.start_lease(now);
        let granted = lock.granted(&self.name, now);
        self.locks.push(lock);
        granted
    }

    pub fn waits(&self, ticket: Ticket) -> bool {
        self.line.iter().any(|waiter| waiter.ticket == Some(ticket))
    }

    pub fn could_ever_serve(&self, want: &Want) -> Result<(), Refusal> {
        match want {
            Want::Any(count) if *count > self.members.len() => {
                Err(Refusal::OnlyResources(self.members.len()))
            }
            Want::All if self.members.is_empty() => Err(Refusal::OnlyResources(0)),
            Want::Named(id) if !self.members.contains(id) => Err(Refusal::NoResource),
            _ => Ok(()),
        }
    }

    /// Takes a waiter out of the line with this answer.
    pub fn dismiss(&mut self, at: usize, refusal: Refusal, answers: &mut Answers) {
        let ticket = self.line.remove(at).ticket;
        answers.extend(ticket.map(|ticket| (ticket, Reply::Refused(refusal))));
    }

    pub fn dismiss_unsatisfiable(&mut self, answers: &mut Answers) {
        let mut at = 0;
        while at < self.line.len() {
            match self.could_ever_serve(&self.line[at].selection) {
                Ok(()) => at += 1,
                Err(refusal) => self.dismiss(at, refusal, answers),
            }
        }
    }

    pub fn lock_of(&mut self, id: &str) -> Option<&mut Lock> {
        let holds = |lock: &&mut Lock| lock.ids.iter().any(|held| &**held == id);
        self.locks.iter_mut().find(holds)
    }

    /// Takes a resource from the lock with this fence. It goes to the back of the order of lending,
    /// or for good if it is a member no longer.
    pub fn free(&mut self, fence: u64, id: &str) {
        let lock = self.locks.iter_mut().find(|lock| lock.fence == fence);
        let lock = lock.expect("what is freed is held");
        let place = lock.ids.iter().position(|held| &**held == id);
        let id = lock
            .ids
            .remove(place.expect("what is freed is in this lock"));
        self.locks.retain(|lock| !lock.ids.is_empty());
        if self.members.contains(&id) {
            self.order.push(id);
        }
    }

    /// A lock whose time is not over.
    pub fn lock_now(&mut self, id: &str, now: u64) -> Option<&mut Lock> {
        self.lock_of(id).filter(|lock| !lock.is_over(now))
    }

    /// Ends the lock with this fence.
    fn end(&mut self, fence: u64, now: u64, rules: &Rules, answers: &mut Answers) {
        let lock = self.locks.iter().find(|lock| lock.fence == fence);
        for id in lock.expect("what ends is held").ids.clone() {
            self.free(fence, &id);
            self.serve(now, rules, answers);
        }
    }

    /// Ends leases whose time is over, by fence, until this can be served: first the lock of the named
    /// resource. If the time of that is not over, nothing helps.
    fn end_what_is_over(&mut self, want: &Want, now: u64, rules: &Rules, answers: &mut Answers) {
        if let Want::Named(id) = want
            && let Some(lock) = self.lock_of(id)
        {
            let (fence, is_over) = (lock.fence, lock.is_over(now));
            if !is_over {
                return;
            }
            self.end(fence, now, rules, answers);
        }
        let fences: Vec<u64> = self.locks.iter().map(|lock| lock.fence).collect();
        for fence in fences {
            if self.is_servable(want) {
                return;
            }
            let mut locks = self.locks.iter();
            if locks.any(|lock| lock.fence == fence && lock.is_over(now)) {
                self.end(fence, now, rules, answers);
            }
        }
    }

    /// Whether a new request would be granted at once.
    fn is_servable(&self, want: &Want) -> bool {
        let mut with_newcomer = self.clone();
        with_newcomer.line.push(Waiter {
            place: u64::MAX,
            ticket: Some(Ticket::new(u64::MAX, 0)),
            selection: want.clone(),
            owner: None,
            ttl: None,
            since: 0,
            until: 0,
        });
        let (served, _) = with_newcomer.walk();
        served.is_some_and(|(at, _)| at == self.line.len())
    }

    /// Other tests compare a dump with the restored store.
    pub fn release_all(
        &mut self,
        owner: Option<&str>,
        older_ms: u64,
        now: u64,
        rules: &Rules,
        answers: &mut Answers,
    ) -> usize {
        let mut all: Vec<(u64, StoredName)> = Vec::new();
        for lock in &self.locks {
            let is_owner = owner.is_none() || lock.owner.as_deref() == owner;
            if is_owner && !lock.is_over(now) && now - lock.granted_at >= older_ms {
                all.extend(lock.ids.iter().map(|id| (lock.fence, id.clone())));
            }
        }
        for (fence, id) in &all {
            self.free(*fence, id);
            self.serve(now, rules, answers);
        }
        all.len()
    }

    /// Removes all members that are not named, so that the named ones can be added again.
    pub fn drop_members(&mut self, named: &[&str]) {
        self.order.retain(|id| named.contains(&&**id));
        self.members.clear();
    }

    /// Those that are members stay where they are; those that are new are lent first.
    pub fn add_members(&mut self, ids: &[&str]) {
        for &id in ids {
            let id: StoredName = StoredName::from(id);
            if self.members.contains(&id) {
                continue;
            }
            self.members.push(id.clone());
            if self.lock_of(&id).is_none() && !self.order.contains(&id) {
                self.order.insert(0, id);
            }
        }
    }

    pub fn status(&self) -> PoolStatus {
        PoolStatus {
            name: self.name.clone(),
            resources: self.members.len(),
            held: self.locks.iter().map(|lock| lock.ids.len()).sum(),
            free: self.order.len() - self.kept().count(),
            waiting: self.line.len(),
            role: None,
        }
    }
}
