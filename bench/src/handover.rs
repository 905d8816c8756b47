//! Release to grant: the time from writing a release to the answer of the client that waits in the
//! queue for the resource.
//!
//! One resource, and two clients that take turns: one holds it, the other is queued. In the same
//! rounds it also measures the round trip of a ping, the least that an answer takes. It measures
//! that of a release without a waiter, too, which costs the same commit on a durable store.
//!
//! Without --url it starts latchd itself, with each store in turn, on another core than its own.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::{
    BenchResult, compare,
    control::{self, Client},
    load::address_of,
    process::{Launcher, Server},
    requests::request,
    table,
    tally::Histogram,
};

/// Measure the time from a release to the answer of the waiting client
#[derive(clap::Args)]
pub struct Options {
    /// A server that runs already, as http://HOST:PORT
    #[arg(long, value_parser = address_of)]
    url: Option<SocketAddr>,
    /// Name of that server in the report
    #[arg(
        long,
        value_name = "NAME",
        default_value = "the server",
        requires = "url"
    )]
    name: String,
    /// The server's binary; default: the one beside this program
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    latchd: Option<PathBuf>,
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
}

const POOL: &str = "handover";
const WARM_UP_ROUNDS: u32 = 50;

pub fn run(options: &Options) -> BenchResult<()> {
    match options.url {
        Some(server) => {
            print!("{}", measure(server, options.rounds)?.rows(&options.name));
            Ok(())
        }
        None => start_and_measure(options),
    }
}

fn start_and_measure(options: &Options) -> BenchResult<()> {
    let bench = std::env::current_exe()?;
    let latchd = compare::latchd_path(options.latchd.as_deref())?;
    let launcher = Launcher::find();
    let folder = TempDir::with_prefix("latchd-bench-")?;
    let mut file = OsString::from("file:");
    file.push(folder.path().join("latchd.redb"));
    println!(
        "{}; {}; the file store on {}; {} rounds.\n",
        table::machine(),
        launcher.pinning(),
        table::file_system(folder.path()),
        options.rounds
    );
    println!("| server | what | p50 us | p99 us | p99.9 us | p50 / ping's | p99 / ping's |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for (name, store) in [
        ("latchd, memory", OsString::from("memory:")),
        ("latchd, file", file),
    ] {
        let command = compare::latchd_command(&launcher, &latchd, folder.path(), &store);
        let server = Server::start(name, command)?;
        // A process of its own, so that it can run on another core.
        let mut client = launcher.command(compare::LOAD_CORE, &bench);
        client.args(["handover", "--url", &format!("http://{}", server.address)]);
        client.args(["--name", name, "--rounds", &options.rounds.to_string()]);
        succeed(client).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// Runs the client. Every wait of it is bounded in time, so it ends.
fn succeed(mut command: Command) -> BenchResult<()> {
    match command.stdin(Stdio::null()).status()? {
        status if status.success() => Ok(()),
        status => Err(format!("the client failed: {status}").into()),
    }
}

struct Times {
    ping: Histogram,
    release: Histogram,
    hand_over: Histogram,
}

impl Times {
    fn rows(&self, name: &str) -> String {
        let rows = [
            ("ping", &self.ping),
            ("release, empty queue", &self.release),
            ("release to the waiter's grant", &self.hand_over),
        ];
        let row = |(what, times): (&str, &Histogram)| {
            let us = |share| times.quantile(share) as f64 / 1000.0;
            let ratio = |share| us(share) * 1000.0 / self.ping.quantile(share).max(1) as f64;
            format!(
                "| {name} | {what} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} |\n",
                us(0.5),
                us(0.99),
                us(0.999),
                ratio(0.5),
                ratio(0.99)
            )
        };
        rows.into_iter().map(row).collect()
    }
}

fn measure(server: SocketAddr, rounds: u32) -> BenchResult<Times> {
    let ping = request("GET", "/ping", server, false, "");
    let state = request("GET", "/pool", server, false, "");
    let lock = request(
        "POST",
        &format!("/pool/{POOL}/lock?wait=60"),
        server,
        false,
        "",
    );
    let release = request("DELETE", &format!("/pool/{POOL}/lock/1"), server, false, "");
    control::seed(server, POOL, 1)?;
    let mut observer = Client::connect(server)?;
    let mut holder = Client::connect(server)?;
    let mut waiter = Client::connect(server)?;
    let mut times = Times {
        ping: Histogram::new(),
        release: Histogram::new(),
        hand_over: Histogram::new(),
    };
    holder.ask(&lock, "1")?;
    for round in 0..WARM_UP_ROUNDS + rounds {
        let start = Instant::now();
        holder.ask(&ping, "pong")?;
        let ping_time = start.elapsed();

        waiter.send(&lock)?;
        while !is_parked(&observer.answer_to(&state)?) {}
        let start = Instant::now();
        holder.send(&release)?;
        waiter.expect("1")?;
        let hand_over_time = start.elapsed();
        holder.expect("")?;

        let start = Instant::now();
        waiter.ask(&release, "")?;
        let release_time = start.elapsed();
        waiter.ask(&lock, "1")?;

        std::mem::swap(&mut holder, &mut waiter);
        if round >= WARM_UP_ROUNDS {
            times.ping.record(ping_time.as_nanos() as u64);
            times.release.record(release_time.as_nanos() as u64);
            times.hand_over.record(hand_over_time.as_nanos() as u64);
        }
    }
    holder.ask(&release, "")?;
    control::verify(server, POOL, 1)?;
    Ok(times)
}

/// Returns whether the list of pools, each `RESOURCES HELD WAITING NAME`, shows one waiter.
fn is_parked(pools: &str) -> bool {
    let mut lines = pools.lines().map(|line| line.split(' '));
    lines.any(|fields| fields.skip(2).eq(["1", POOL]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_is_seen_in_the_list_of_pools() {
        assert!(is_parked("4 0 1 A\n1 1 1 handover"));
        assert!(!is_parked("1 1 0 handover"));
        assert!(!is_parked("4 0 1 A\n1 1 0 handover"));
        assert!(!is_parked("1 1 1 handover too"));
    }
}
