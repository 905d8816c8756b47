//! How many connections the system lets us have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are no connections: the store, the log, the poll, listeners, and some to spare.
const RESERVE: u64 = 64;

/// What is used where the system sets no limit.
const UNLIMITED: u64 = 1 << 20;

/// Raises the soft limit to the hard one, and answers how many connections fit.
pub(super) fn raise_limit() -> usize {
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
