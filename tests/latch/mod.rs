//! `latch`, the client command, against real servers.

mod answers;
mod completions;
mod looking;
mod lost;
mod orders;
mod restart;
mod run;
mod signals;
mod support;
mod terminal;
mod waiting;
