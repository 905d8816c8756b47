//! The state of a store, and what it has counted.

use crate::histogram::Histogram;
use crate::pool::Lending;

/// The state of a store, and what it has counted.
#[derive(Clone, Debug)]
pub struct StoreFigures {
    /// Whether the store answers, as far as it is known.
    pub is_up: bool,
    /// Grants, releases and refusals.
    pub lending: Lending,
    /// Queued acquires, those of disconnected owners included.
    pub waiting: u64,
    /// The system behind the store.
    pub backing: Backing,
}

/// The system behind a store.
#[derive(Clone, Debug)]
pub enum Backing {
    /// None: memory alone.
    Memory,
    /// A file of redb.
    Journal {
        /// Durations of successful commits.
        commits: Histogram,
        /// Failures to write the file or to open it again.
        failures: u64,
    },
    /// A Redis, which can end leases without this process.
    Redis {
        /// Times from the commands of one tick to the last reply to them.
        round_trips: Histogram,
        /// Commands that were answered.
        commands: u64,
        /// Lost connections, and failures to connect.
        losses: u64,
        /// Times that Redis had a new history: it was restarted, or has lost its data.
        histories: u64,
        /// Jumps of Redis' clock.
        clock_jumps: u64,
    },
}
