//! The numbers of connections and waiters that a server really takes, after the system's limits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are no connections: the store, the log, the poll, listeners, and some to spare.
const RESERVE: u64 = 64;
/// Descriptors where the system sets no limit.
const UNLIMITED: u64 = 1 << 20;
/// The smallest share of one address that is not set by the operator.
const MIN_SHARE: usize = 64;

/// The limits of a configuration, each as far as the others and the system allow it.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Connections in all.
    pub max_connections: usize,
    /// Connections of one address.
    pub max_per_address: usize,
    /// Waiters in all. A quarter of the connections is kept for clients that do not wait.
    pub max_waiters: usize,
    /// Waiters of one address.
    pub max_address_waiters: usize,
}

impl Capacity {
    /// Raises the soft limit of descriptors to the hard one, and fits the operator's limits into it.
    /// `None` stands for the default.
    pub fn new(
        max_connections: Option<usize>,
        max_per_address: Option<usize>,
        max_address_waiters: Option<usize>,
    ) -> Capacity {
        let max_connections = max_connections.unwrap_or(usize::MAX).min(raise_limit());
        // The only connection there is may wait.
        let max_waiters = (max_connections - max_connections.div_ceil(4)).max(1);
        Capacity {
            max_connections,
            max_per_address: max_per_address.unwrap_or(share_of(max_connections)),
            max_waiters,
            max_address_waiters: max_address_waiters.unwrap_or(share_of(max_waiters)),
        }
    }
}

/// The default of a limit for one address: half, so that no single address keeps all others out, and
/// a proxy's still goes far. Of few it may have all.
fn share_of(all: usize) -> usize {
    (all / 2).max(MIN_SHARE)
}

/// Raises the soft limit of descriptors to the hard one, and returns how many connections fit.
fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .is_ok();
    let limit = if raised { maximum } else { current };
    limit.unwrap_or(UNLIMITED).saturating_sub(RESERVE).max(1) as usize
}
