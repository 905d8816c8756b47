//! What has happened, in numbers, and the page that tells them: `GET /metrics`.
//!
//! To count costs an addition. A counter is a plain integer in a struct that is passed along, as the
//! server has one thread; nothing is looked up by name, formatted or allocated before somebody asks.
//! Counters start at 0 with the process, and never fall.
//!
//! It knows what each figure is called, and Prometheus' text format. It knows no socket, no clock
//! and no store: moments are handed in, and whoever counts does so where it happens.

mod connections;
mod histogram;
mod lending;
mod page;
mod process;
mod requests;
mod stalls;
mod store;
mod text;

pub use connections::{Closed, Connections, Refused};
pub use histogram::Histogram;
pub use lending::Lending;
pub use page::Scrape;
pub use process::{Memory, Process};
pub use requests::{RequestLabel, RequestRecord, Requests, Route};
pub use stalls::Stalls;
pub use store::{Backing, StoreFigures};

/// What the server and its sessions count.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests, and how long they took.
    pub requests: Requests,
    /// Connections, and what went over them.
    pub connections: Connections,
    /// Times in which the server stood still.
    pub stalls: Stalls,
}
