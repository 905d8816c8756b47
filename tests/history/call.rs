//! The calls of clients and their answers, with times: all that the checker knows.

use std::collections::BTreeMap;
use std::fmt;

/// Microseconds of one steady clock, which all clients share.
pub type Time = u64;

pub const SECOND: Time = 1_000_000;

/// One request of one client.
#[derive(Clone, Debug)]
pub struct Call {
    pub client: usize,
    /// The process that was asked. A restarted one has another number.
    pub server: usize,
    pub pool: String,
    pub asked: Asked,
    /// Before the first byte left.
    pub sent: Time,
    /// The time after the last byte. `None` if the outcome is unknown: the connection was cut, the server
    /// was killed, or it said 503. Then the call was carried out at any time since, or never.
    pub answered: Option<(Time, CallAnswer)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Acquire {
        selection: Selection,
        owner: Option<String>,
        ttl_s: Option<u64>,
        wait_s: u64,
    },
    /// `id` is `None` for all that the owner holds.
    Renew {
        id: Option<String>,
        owner: Option<String>,
        fence: Option<u64>,
        ttl_s: Option<u64>,
    },
    /// `id` is `None` for all that the owner holds; without owner for all.
    Release {
        id: Option<String>,
        owner: Option<String>,
        fence: Option<u64>,
        force: bool,
    },
    /// All locks of the pool.
    List,
    /// The counts of resources: all, held, and waited for.
    Count,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    Any(usize),
    Named(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallAnswer {
    /// The leases that were granted or renewed, or all locks.
    Leases(Vec<Lease>),
    Done,
    Counts {
        resources: usize,
        held: usize,
        waiting: usize,
    },
    Refused(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub fence: u64,
    pub id: String,
}

/// A time in which waiters may have to wait longer than otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    /// `None` if all servers were disturbed.
    pub server: Option<usize>,
    pub from: Time,
    pub until: Time,
    /// Whether places in the queue may be lost by it: a server that is killed or stopped, or cannot reach
    /// Redis for long, cannot say that its waiters are still there.
    pub costs_places: bool,
}

/// All that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub calls: Vec<Call>,
    pub disturbances: Vec<Disturbance>,
    /// The number of resources of each pool, from the beginning to the end.
    pub sizes: BTreeMap<String, usize>,
    /// From here on no call with an unknown outcome is carried out any more: all servers and
    /// connections that were cut off before are gone for long.
    pub quiet_from: Option<Time>,
}

impl Call {
    pub fn answer(&self) -> Option<&CallAnswer> {
        self.answered.as_ref().map(|(_, answer)| answer)
    }

    /// The leases that it was answered.
    pub fn leases(&self) -> &[Lease] {
        match self.answer() {
            Some(CallAnswer::Leases(leases)) => leases,
            _ => &[],
        }
    }

    pub fn is_unknown(&self) -> bool {
        self.answered.is_none()
    }

    pub fn refusal(&self) -> Option<&str> {
        match self.answer() {
            Some(CallAnswer::Refused(words)) => Some(words),
            _ => None,
        }
    }

    /// The time of the answer, if there was one.
    pub fn answered_at(&self) -> Option<Time> {
        self.answered.as_ref().map(|(at, _)| *at)
    }
}

impl Asked {
    pub fn owner(&self) -> Option<&str> {
        match self {
            Asked::Acquire { owner, .. }
            | Asked::Renew { owner, .. }
            | Asked::Release { owner, .. } => owner.as_deref(),
            Asked::List | Asked::Count => None,
        }
    }

    /// Whether it is queued while it cannot be served.
    pub fn waits(&self) -> bool {
        matches!(self, Asked::Acquire { wait_s: 1.., .. })
    }
}

impl Selection {
    pub fn count(&self) -> usize {
        match self {
            Selection::Any(count) => *count,
            Selection::Named(_) => 1,
        }
    }
}

impl History {
    pub fn pools(&self) -> Vec<&str> {
        let mut pools: Vec<&str> = self.calls.iter().map(|call| &*call.pool).collect();
        pools.sort_unstable();
        pools.dedup();
        pools
    }

    /// Whether any client may have had to wait longer in this time.
    pub fn is_anything_disturbed(&self, from: Time, until: Time) -> bool {
        let mut disturbances = self.disturbances.iter();
        disturbances.any(|disturbance| disturbance.from <= until && disturbance.until >= from)
    }

    /// Whether places in the queue at this server may have been lost in this time.
    pub fn may_lose_places(&self, server: usize, from: Time, until: Time) -> bool {
        self.disturbances.iter().any(|disturbance| {
            disturbance.costs_places
                && disturbance.server.is_none_or(|other| other == server)
                && disturbance.from <= until
                && disturbance.until >= from
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (client, server, pool) = (self.client, self.server, &self.pool);
        write!(f, "{:>10} ", self.sent)?;
        match self.answered_at() {
            Some(at) => write!(f, "to {at:>10}")?,
            None => write!(f, "to          ?")?,
        }
        write!(
            f,
            " client {client} at {server}, pool {pool}: {}",
            self.asked
        )?;
        match self.answer() {
            Some(CallAnswer::Leases(leases)) => {
                let leases: Vec<String> = leases
                    .iter()
                    .map(|lease| format!("{} (fence {})", lease.id, lease.fence))
                    .collect();
                write!(f, " -> [{}]", leases.join(", "))
            }
            Some(CallAnswer::Refused(words)) => write!(f, " -> {words}"),
            Some(answer) => write!(f, " -> {answer:?}"),
            None => write!(f, " -> unknown"),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str, value: Option<String>| {
            value.map_or(String::new(), |value| format!(" {name}={value}"))
        };
        match self {
            Asked::Acquire {
                selection,
                owner,
                ttl_s,
                wait_s,
            } => write!(
                f,
                "acquire {selection:?}{}{} wait={wait_s}",
                shown("owner", owner.clone()),
                shown("ttl", ttl_s.map(|s| s.to_string())),
            ),
            Asked::Renew {
                id,
                owner,
                fence,
                ttl_s,
            } => write!(
                f,
                "renew{}{}{}{}",
                shown("id", id.clone()),
                shown("owner", owner.clone()),
                shown("fence", fence.map(|fence| fence.to_string())),
                shown("ttl", ttl_s.map(|s| s.to_string())),
            ),
            Asked::Release {
                id,
                owner,
                fence,
                force,
            } => write!(
                f,
                "release{}{}{}{}",
                shown("id", id.clone()),
                shown("owner", owner.clone()),
                shown("fence", fence.map(|fence| fence.to_string())),
                if *force { " force" } else { "" },
            ),
            Asked::List => write!(f, "list"),
            Asked::Count => write!(f, "count"),
        }
    }
}
