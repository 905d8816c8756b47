//! Clients that make any call, in any order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::call::{Asked, Call, CallAnswer, SECOND, Selection, Time};
use super::wire::Caller;

/// The pools that are worked on, and how many resources each has: `1`, `2` and so on.
pub const POOLS: [(&str, usize); 4] = [("A", 2), ("B", 5), ("C", 1), (QUICK, 40)];

/// The pool for plain requests without any parameter: stores have a short path for them.
pub const QUICK: &str = "Q";

/// The largest number of plain requests in one burst.
const LONGEST_BURST: usize = 6;

/// The longest lease, in seconds.
pub const LONGEST_TTL_S: u64 = 2;

/// The age at which a lock may be purged, since its holder may be gone for ever.
const LONG_AGO: Time = SECOND;

/// A lock that a client was granted.
#[derive(Clone, Debug)]
struct HeldGrant {
    pool: &'static str,
    id: String,
    fence: u64,
    owner: Option<String>,
}

struct Worker<'a> {
    caller: Caller<'a>,
    held: Vec<HeldGrant>,
    /// Counts its names: it takes another one when the state of the old one can no longer be known.
    names: usize,
}

/// Works until it is told to stop, gives back what it holds, and hands over its record.
pub fn work(caller: Caller<'_>, stop: &AtomicBool) -> Vec<Call> {
    let mut worker = Worker {
        caller,
        held: Vec::new(),
        names: 0,
    };
    while !stop.load(Ordering::Relaxed) {
        worker.step();
        if worker.caller.random.u8(..8) == 0 {
            // A pause of a client's own, so that others get their turn.
            thread::sleep(Duration::from_millis(worker.caller.random.u64(..20)));
        }
    }
    while let Some(held) = worker.held.pop() {
        worker.release(&held);
    }
    worker.caller.calls
}

impl Worker<'_> {
    fn step(&mut self) {
        let held = self.held.len();
        match self.caller.random.usize(..20) {
            0 => self.caller.move_on(),
            1 => self.look(Asked::Count),
            2 => self.look(Asked::List),
            3 if held > 0 => self.release_owned(),
            4 | 5 if held > 0 => self.renew(),
            6..11 if held > 0 => self.release_any(),
            11..15 => self.be_quick(),
            _ if held > 1 => self.release_any(),
            _ => self.acquire(),
        }
    }

    /// Any but the one for plain requests, which is the last.
    fn pool(&mut self) -> (&'static str, usize) {
        POOLS[self.caller.random.usize(..POOLS.len() - 1)]
    }

    /// Takes a few and releases them, without saying which lock is meant. So a release without an
    /// answer may hit a later holder: then no more can be said of that resource, which is why there
    /// are many.
    fn be_quick(&mut self) {
        let count = self.caller.random.usize(1..=LONGEST_BURST);
        let acquire = Asked::Acquire {
            selection: Selection::Any(1),
            owner: None,
            ttl_s: None,
            wait_s: 0,
        };
        let answers = self.caller.burst(QUICK, vec![acquire; count]);
        let mut releases = Vec::new();
        for answer in answers.into_iter().flatten() {
            if let CallAnswer::Leases(leases) = answer {
                releases.extend(leases.into_iter().map(|lease| Asked::Release {
                    id: Some(lease.id),
                    owner: None,
                    fence: None,
                    force: false,
                }));
            }
        }
        if !releases.is_empty() {
            self.caller.burst(QUICK, releases);
        }
    }

    fn look(&mut self, asked: Asked) {
        let (pool, _) = self.pool();
        self.caller.call(pool, asked);
    }

    fn acquire(&mut self) {
        let (pool, size) = self.pool();
        let owner = self.owner();
        let random = &mut self.caller.random;
        let selection = match random.usize(..10) {
            0 => Selection::Named(random.usize(1..=size).to_string()),
            1 | 2 => Selection::Any(size.min(2)),
            _ => Selection::Any(1),
        };
        let ttl_s = (random.u8(..6) > 0).then(|| random.u64(1..=LONGEST_TTL_S));
        let wait_s = if random.u8(..3) == 0 {
            random.u64(1..4)
        } else {
            0
        };
        let asked = Asked::Acquire {
            selection,
            owner: owner.clone(),
            ttl_s,
            wait_s,
        };
        let Some(CallAnswer::Leases(leases)) = self.caller.call(pool, asked) else {
            return;
        };
        for lease in leases {
            let is_known = |held: &HeldGrant| held.pool == pool && held.fence == lease.fence;
            self.held
                .retain(|held| !is_known(held) || held.id != lease.id);
            self.held.push(HeldGrant {
                pool,
                id: lease.id,
                fence: lease.fence,
                owner: owner.clone(),
            });
        }
    }

    /// A name that only this client ever has, or none.
    fn owner(&mut self) -> Option<String> {
        let random = &mut self.caller.random;
        if random.u8(..3) > 0 {
            return None;
        }
        self.names += usize::from(random.u8(..10) == 0);
        Some(format!("{}-{}", self.caller.number, self.names))
    }

    fn any_held(&mut self) -> usize {
        self.caller.random.usize(..self.held.len())
    }

    fn renew(&mut self) {
        let at = self.any_held();
        let HeldGrant {
            pool,
            id,
            fence,
            owner,
        } = self.held[at].clone();
        let asked = Asked::Renew {
            id: Some(id).filter(|_| owner.is_none() || self.caller.random.bool()),
            owner,
            fence: Some(fence),
            ttl_s: Some(self.caller.random.u64(1..=LONGEST_TTL_S)),
        };
        if let Some(CallAnswer::Refused(_)) = self.caller.call(pool, asked) {
            self.held.swap_remove(at);
        }
    }

    fn release_any(&mut self) {
        let at = self.any_held();
        let held = self.held.swap_remove(at);
        self.release(&held);
    }

    /// Releases with the fence, so that no other lock can be hit, however late it is carried out.
    fn release(&mut self, held: &HeldGrant) {
        let asked = Asked::Release {
            id: Some(held.id.clone()),
            owner: held.owner.clone(),
            fence: Some(held.fence),
            force: false,
        };
        self.caller.call(held.pool, asked);
    }

    /// Gives back all that it holds by a name in one pool.
    fn release_owned(&mut self) {
        let at = self.any_held();
        let HeldGrant { pool, owner, .. } = self.held[at].clone();
        let Some(owner) = owner else {
            return self.release_any();
        };
        let is_meant = |held: &HeldGrant| held.pool == pool && held.owner.as_ref() == Some(&owner);
        self.held.retain(|held| !is_meant(held));
        let asked = Asked::Release {
            id: None,
            owner: Some(owner),
            fence: None,
            force: false,
        };
        if self.caller.call(pool, asked).is_none() {
            // It may be carried out at any time: nothing is to be held by that name any more.
            self.names += 1;
        }
    }
}

/// Lists all pools all the time, and frees old locks: the holder may never have got the answer, and
/// then no client would release it.
pub fn clean(mut caller: Caller<'_>, stop: &AtomicBool) -> Vec<Call> {
    let mut first_seen: BTreeMap<(&str, u64), Time> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        for (pool, _) in POOLS {
            caller.call(pool, Asked::Count);
            let Some(CallAnswer::Leases(leases)) = caller.call(pool, Asked::List) else {
                continue;
            };
            for lease in leases {
                let now = caller.clock.now();
                let since = *first_seen.entry((pool, lease.fence)).or_insert(now);
                if since + LONG_AGO < now {
                    force(&mut caller, pool, lease.id, lease.fence);
                }
            }
        }
        caller.move_on();
        thread::sleep(Duration::from_millis(50));
    }
    caller.calls
}

/// Releases a lock of any client.
pub fn force(caller: &mut Caller<'_>, pool: &str, id: String, fence: u64) -> Option<CallAnswer> {
    let asked = Asked::Release {
        id: Some(id),
        owner: None,
        fence: Some(fence),
        force: true,
    };
    caller.call(pool, asked)
}
