//! The numbers of connections and waiters that the server admits, after the system's limits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for the store, the log, the poll and the listeners, with some to spare.
const RESERVE: u64 = 64;
/// The number of descriptors where the system sets no limit.
const UNLIMITED: u64 = 1 << 20;
/// The least default share of one address.
const MIN_SHARE: usize = 64;

/// The effective limits: those configured, each lowered as far as the others and the system require.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// The most connections in all.
    pub max_connections: usize,
    /// The most connections of one address.
    pub max_per_address: usize,
    /// The most waiters in all. A quarter of the connections is kept for clients that do not wait.
    pub max_waiters: usize,
    /// The most waiters of one address.
    pub max_address_waiters: usize,
}

impl Capacity {
    /// Raises the soft limit of descriptors to the hard one, and fits the operator's limits into it.
    /// `None` means the default.
    pub fn new(
        max_connections: Option<usize>,
        max_per_address: Option<usize>,
        max_address_waiters: Option<usize>,
    ) -> Capacity {
        let max_connections = max_connections.unwrap_or(usize::MAX).min(raise_limit());
        // A single connection may wait.
        let max_waiters = (max_connections - max_connections.div_ceil(4)).max(1);
        Capacity {
            max_connections,
            max_per_address: max_per_address.unwrap_or(share_of(max_connections)),
            max_waiters,
            max_address_waiters: max_address_waiters.unwrap_or(share_of(max_waiters)),
        }
    }
}

/// Returns the default limit of one address: half, so that no single address keeps all others out,
/// and a proxy's share still goes far. A small number is not shared: one address may have all.
fn share_of(all: usize) -> usize {
    (all / 2).max(MIN_SHARE)
}

/// Raises the soft limit of descriptors to the hard one, and returns the number of connections that
/// fit.
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
