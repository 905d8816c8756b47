//! Counters of what has happened, and the page that shows them: `GET /metrics`.
//!
//! Counting costs an addition. A counter is a plain integer in a struct that is passed along, as the
//! server has one thread. Nothing is looked up by name, formatted or allocated before a scrape.
//! Counters start at 0 with the process, and never fall.
//!
//! This module knows the name of each figure, and Prometheus' text format. It knows no socket and no clock: the time
//! is an argument. The engine and the stores own their counters, and the page reads them.

mod connections;
mod page;
mod process;
mod requests;
mod stalls;
mod text;

pub use connections::{Closed, Connections, Refused};
pub use page::Scrape;
pub use process::{Memory, Process};
pub use requests::{RequestRecord, Requests};
pub use stalls::Stalls;

/// Counters of the server and its sessions.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests and their durations.
    pub requests: Requests,
    /// Connections and the bytes sent over them.
    pub connections: Connections,
    /// Times in which the server stood still.
    pub stalls: Stalls,
}
