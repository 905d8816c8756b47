//! latchd-bench: what does a lock cost, and is no id ever lent twice?
//!
//! Three commands, one file each, and what they stand on:
//!
//!     floor    a server that answers without looking: the least that any server could cost
//!     load     a closed-loop client: lock, check, release
//!     compare  floor and latchd under the same load in turn, as one table
//!
//!     compare -> process (starts, stops, CPU time), table, spread
//!         | runs `load --json` as a child on the other core, reads its report
//!     load -> control (seeds, verifies), drive (the event loop) -> report
//!     drive -> connection (one client) -> answer (bytes), ledger (who holds what), requests, tally
//!
//! It does not depend on the latchd library: what is measured is only what a client can see.

#![forbid(unsafe_code)]

mod answer;
mod compare;
mod connection;
mod control;
mod drive;
mod floor;
mod ledger;
mod load;
mod plan;
mod process;
mod report;
mod requests;
mod spread;
mod table;
mod tally;

use std::process::ExitCode;

use clap::Parser;

/// Every failure ends the program with one sentence, so a boxed error is all the type that is
/// needed.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures latchd from the outside: on loopback, on one machine, against a floor
#[derive(Parser)]
#[command(name = "latchd-bench", version)]
enum Command {
    Floor(floor::Options),
    Load(load::Options),
    Compare(compare::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Floor(options) => floor::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Compare(options) => compare::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latchd-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
