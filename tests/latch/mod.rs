//! `latch`, the client command, against real servers.

mod answers;
mod completions;
mod dump;
mod guardian;
mod looking;
mod lost;
mod orders;
mod restart;
mod run;
mod signals;
pub mod support;
mod terminal;
mod waiting;
