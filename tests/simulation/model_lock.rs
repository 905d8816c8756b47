//! The shadow model of one lock.

use latchd::command::{Fence, Granted, Lease, Leases, Refusal, Reply, Selection, StoredName, Ttl};

use super::model::{Lock, Want};

impl Lock {
    pub fn start_lease(&mut self, now: u64) {
        // The millisecond in which it was granted has begun already.
        self.expires_at = self.ttl.map(|ttl| now + ttl.as_ms() + 1);
    }

    pub fn renew(&mut self, ttl: Option<Ttl>, now: u64) {
        self.ttl = ttl.or(self.ttl);
        self.start_lease(now);
    }

    /// Its time is over, though it may not have ended yet.
    pub fn is_over(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether a client that gives this owner and fence may renew or release it.
    pub fn admits(
        &self,
        owner: Option<&str>,
        fence: Option<Fence>,
        force: bool,
    ) -> Result<(), Refusal> {
        if self.owner.is_some() && self.owner.as_deref() != owner && !force {
            return Err(Refusal::NotYours);
        }
        if fence.is_some_and(|fence| fence.number() != self.fence) {
            return Err(Refusal::Stale);
        }
        Ok(())
    }

    pub fn lease(&self, id: &str, now: u64) -> Lease {
        Lease {
            id: StoredName::from(id),
            fence: Fence::from_number(self.fence),
            ttl_s: self.expires_at.map(|at| (at - now) / 1000),
            owner: self.owner.clone(),
            age_s: (now - self.granted_at) / 1000,
        }
    }

    pub fn leases(&self, now: u64) -> Leases {
        self.ids.iter().map(|id| self.lease(id, now)).collect()
    }

    pub fn granted(&self, pool: &StoredName, now: u64) -> Reply {
        Reply::Granted(Granted {
            pool: pool.clone(),
            leases: self.leases(now),
        })
    }
}

impl Want {
    pub fn of(selection: &Selection<'_>) -> Want {
        match selection {
            Selection::Any(count) => Want::Any(count.get() as usize),
            Selection::All => Want::All,
            Selection::Named(id) => Want::Named(StoredName::from(id.as_str())),
        }
    }
}
