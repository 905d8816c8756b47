//! The locks that clients may believe to hold, by their answers; no two clients may believe in the
//! same resource at once.

use latchd::command::{Command, Lease, Reply, StoredName};

#[derive(Debug)]
struct Told {
    pool: StoredName,
    id: StoredName,
    fence: u64,
    /// When the lease ends.
    until: u64,
    /// It was released, or its client will never get the answer.
    void: bool,
    /// Its answer has left in whole.
    written: bool,
    /// It was granted in this tick.
    new: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    told: Vec<Told>,
    /// The resources that owners release in this tick, in which they may have got them.
    given_back: Vec<(String, String, String)>,
    /// Pools that lose many locks in this tick, which may have been granted in it.
    purged: Vec<String>,
}

impl Ledger {
    /// A command is about to be carried out.
    pub fn asked(&mut self, command: &Command<'_>) {
        let (pool, id, fence) = match command {
            Command::Release(pool, id, condition) => {
                if let Some(owner) = &condition.owner {
                    let words = (pool.as_str(), id.as_str(), owner.as_str());
                    self.given_back
                        .push((words.0.into(), words.1.into(), words.2.into()));
                }
                (pool, Some(id.as_str()), condition.fence)
            }
            Command::ReleaseAll(pool, _) | Command::RemovePool(pool) => {
                self.purged.push(pool.as_str().to_owned());
                return self.purged(pool.as_str());
            }
            // The grant as a whole.
            Command::Undo(pool, _, fence) => (pool, None, Some(*fence)),
            _ => return,
        };
        for told in &mut self.told {
            let meant = id.is_none_or(|id| &*told.id == id)
                && fence.is_none_or(|fence| fence.number() == told.fence);
            told.void |= &*told.pool == pool.as_str() && meant;
        }
    }

    /// Many locks of a pool were released at once.
    pub fn purged(&mut self, pool: &str) {
        for told in self.told.iter_mut().filter(|told| &*told.pool == pool) {
            told.void = true;
        }
    }

    /// A reply is on its way to its client.
    pub fn replied(&mut self, pool: &str, reply: &Reply, now: u64) -> Result<(), String> {
        match reply {
            Reply::Granted(granted) => {
                let mut leases = granted.leases.iter();
                leases.try_for_each(|lease| self.granted(&granted.pool, lease, now))
            }
            // It was renewed, and all that was granted with it.
            Reply::Leases(leases) => {
                for lease in leases {
                    let fence = lease.fence.number();
                    for told in &mut self.told {
                        if &*told.pool == pool && told.fence == fence {
                            told.until = end_of(lease, now);
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn granted(&mut self, pool: &StoredName, lease: &Lease, now: u64) -> Result<(), String> {
        let until = end_of(lease, now);
        let owner = lease.owner.as_deref().unwrap_or_default();
        let gone = (pool.to_string(), lease.id.to_string(), owner.to_owned());
        let void = self.given_back.contains(&gone);
        let purged = self.purged.iter().any(|purged| **purged == **pool);
        let fence = lease.fence.number();
        for told in self
            .told
            .iter_mut()
            .filter(|t| t.pool == *pool && t.id == lease.id)
        {
            if told.fence == fence {
                told.until = until;
                told.void |= void;
                return Ok(());
            }
            if !told.void && told.until > now && !(told.new && purged) {
                return Err(format!(
                    "{pool}/{} with fence {fence}, and {told:?}",
                    lease.id
                ));
            }
            told.void = true;
        }
        self.told.push(Told {
            pool: pool.clone(),
            id: lease.id.clone(),
            fence,
            until,
            void,
            written: false,
            new: true,
        });
        Ok(())
    }

    pub fn tick_is_over(&mut self) {
        self.given_back.clear();
        self.purged.clear();
        self.told.iter_mut().for_each(|told| told.new = false);
    }

    /// The answer about this resource has left in whole.
    pub fn written(&mut self, pool: &str, id: &str, fence: u64) -> Result<(), String> {
        let mut told = self.told.iter_mut();
        let told = told.find(|t| &*t.pool == pool && &*t.id == id && t.fence == fence);
        let told =
            told.ok_or_else(|| format!("{pool}/{id} was never granted with fence {fence}"))?;
        told.written = true;
        Ok(())
    }

    /// Checks that a lock without owner and end is one that a client was answered.
    pub fn knows_holder(&self, pool: &str, lease: &Lease) -> Result<(), String> {
        if lease.owner.is_some() || lease.ttl_s.is_some() {
            return Ok(());
        }
        let mut told = self.told.iter();
        let fence = lease.fence.number();
        match told.find(|t| &*t.pool == pool && t.id == lease.id && t.fence == fence) {
            Some(told) if told.written => Ok(()),
            told => Err(format!("no client was told of {pool}: {lease:?}: {told:?}")),
        }
    }
}

fn end_of(lease: &Lease, now: u64) -> u64 {
    lease.ttl_s.map_or(u64::MAX, |s| now + s * 1000)
}
