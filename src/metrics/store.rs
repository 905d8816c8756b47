//! How a store stands, and what it has done.

use super::{Histogram, Lending};

/// How a store stands, and what it has done.
#[derive(Clone, Debug)]
pub struct StoreFigures {
    /// It can be asked.
    pub is_up: bool,
    /// What came of lending.
    pub lending: Lending,
    /// Acquires that are queued, those of owners included who are away.
    pub waiting: u64,
    /// What it stands on.
    pub backing: Backing,
}

/// What a store stands on.
#[derive(Clone, Debug)]
pub enum Backing {
    /// Nothing.
    Memory,
    /// A file.
    Journal {
        /// How long commits took, those that failed not counted.
        commits: Histogram,
        /// How often the file could not be written, or not be opened again.
        failures: u64,
    },
    /// A Redis, which leases end in without this process.
    Redis {
        /// From what one tick has sent to the last answer to it.
        round_trips: Histogram,
        /// Commands that were answered.
        commands: u64,
        /// How often the connection was lost, or could not be had.
        losses: u64,
        /// How often Redis was found to have a new history: it was started again, or has lost its data.
        histories: u64,
        /// How often Redis' clock was found to have jumped.
        clock_jumps: u64,
    },
}
