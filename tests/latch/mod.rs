//! `latch`, the client command, against real servers.

mod answers;
mod completions;
mod dump;
mod guardian;
mod lost;
mod restart;
mod run;
mod signals;
mod subcommands;
pub mod support;
mod terminal;
mod waiting;
mod watch;
