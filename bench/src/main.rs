//! latchd-bench: the cost of a lock, and the check that no id is ever granted twice.
//!
//! Twelve commands, one file each, and their foundations:
//!
//!     floor     a server that answers without looking: the least that any server could cost
//!     load      a client, closed-loop or at a rate: lock, check, release
//!     compare   floor, latchd and its peers under the same load in turn, as one table
//!     latency   the same at half of their capacity
//!     redis     latchd over Redis beside webdis and redis-benchmark, as one table
//!     memory    the memory of idle connections, resources and pools, and the time of a start with them
//!     tls       the cost of TLS: idle connections, handshakes, requests
//!     start     from the start of a process to its first answer
//!     disk      the cost of the file store over a bare sync, and the effect of a slow disk on clients
//!     handover  from a release to the answer of the waiter
//!     engine    the lock engine without a server: the cost of each operation by size
//!     soak      a long mixed load with churn: memory, descriptors, no resource granted twice or lost
//!
//!     compare -> peers (starts all that are found: nginx, webdis), process (CPU time, memory),
//!         |      strace (system calls), table, goals, spread
//!         | runs `load --json` as a child on the other core, reads its report
//!     load -> control (seeds, verifies), drive (the event loop) -> report
//!     drive -> connection (one client) -> answer (bytes), ledger (holders), requests, tally
//!
//!     redis -> compare (runs loads), webdis and script_call (the peers), redis_table
//!         | a load asks Redis for its usage: resp
//!
//!     latency -> compare (runs loads), peers
//!     tls -> process, table
//!     memory -> seeding (and the longest ping meanwhile), start, nginx, process
//!     disk -> compare (runs loads), control, process, table, tally
//!     handover -> process, control, table, tally
//!     soak -> soak_worker (actions and checks of one client), ledger, control, process
//!     engine -> worlds (engines in a given state, and steps), table, spread
//!
//! Only `engine` and `worlds` use the latchd library: all others measure only what a client can see.

#![forbid(unsafe_code)]

mod answer;
mod compare;
mod connection;
mod control;
mod disk;
mod drive;
mod engine;
mod floor;
mod goals;
mod handover;
mod latency;
mod ledger;
mod load;
mod memory;
mod nginx;
mod peers;
mod plan;
mod process;
mod redis;
mod redis_table;
mod report;
mod requests;
mod resp;
mod script_call;
mod seeding;
mod soak;
mod soak_worker;
mod spread;
mod start;
mod strace;
mod table;
mod tally;
mod tls;
mod webdis;
mod worlds;

use std::process::ExitCode;

use clap::Parser;

/// The result of a command. Every failure ends the program with one sentence, so a boxed error is
/// enough.
type BenchResult<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures latchd: from the outside on loopback, against a floor, and its engine alone
#[derive(Parser)]
#[command(name = "latchd-bench", version)]
enum Command {
    Floor(floor::Options),
    Load(load::Options),
    Compare(compare::Options),
    Redis(redis::Options),
    Latency(latency::Options),
    Memory(memory::Options),
    Tls(tls::Options),
    Start(start::Options),
    Disk(disk::Options),
    Handover(handover::Options),
    Engine(engine::Options),
    Soak(soak::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Floor(options) => floor::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Latency(options) => latency::run(&options),
        Command::Memory(options) => memory::run(&options),
        Command::Tls(options) => tls::run(&options),
        Command::Start(options) => start::run(&options),
        Command::Redis(options) => redis::run(&options),
        Command::Disk(options) => disk::run(&options),
        Command::Handover(options) => handover::run(&options),
        Command::Engine(options) => engine::run(&options),
        Command::Soak(options) => soak::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latchd-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
