//! Latency at half load: requests that are due at fixed times, at half of each server's capacity. To
//! compare them at the same rate, it also uses half of the slowest one's capacity.
//!
//! The closed loop measures a server's capacity in the same round.

use std::{path::PathBuf, time::Duration};

use tempfile::TempDir;

use crate::{
    BenchResult,
    compare::{self, Loads},
    load::seconds,
    peers::Peers,
    plan::Mode,
    process::Launcher,
    report::Report,
    spread::Spread,
    table::{self, FLOOR, MEMORY, NGINX},
};

/// Measure latencies at half of each server's capacity
#[derive(clap::Args)]
pub struct Options {
    /// The server's binary; default: the one beside this program
    #[arg(long, value_name = "PATH")]
    latchd: Option<PathBuf>,
    /// Length of each measured window
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// Length of the warm-up before each
    #[arg(long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    warmup_seconds: Duration,
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Before each load wait up to this long for other users of the cores
    #[arg(long, value_name = "S", default_value = "0", value_parser = seconds)]
    wait_for_quiet: Duration,
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: u32,
}

/// One server at one kind of rate.
struct Row {
    name: &'static str,
    load: &'static str,
    reports: Vec<Report>,
}

pub fn run(options: &Options) -> BenchResult<()> {
    let latchd = compare::latchd_path(options.latchd.as_deref())?;
    let launcher = Launcher::find();
    let folder = TempDir::with_prefix("latchd-bench-")?;
    let mut peers = Peers::start(&[Mode::KeepAlive], 1, &launcher, &latchd, folder.path())?;
    peers
        .entries
        .retain(|entry| [FLOOR, MEMORY, NGINX].contains(&entry.name));
    let loads = Loads {
        launcher: &launcher,
        bench: std::env::current_exe()?,
        connections: options.connections,
        wait_for_quiet: options.wait_for_quiet,
        depth: 1,
    };
    let mut rows = Vec::new();
    for load in ["half of its own most", "half of the slowest's"] {
        rows.extend(peers.entries.iter().map(|entry| Row {
            name: entry.name,
            load,
            reports: Vec::new(),
        }));
    }
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        play(options, &loads, &peers, &mut rows)?;
    }
    println!(
        "{}; {}; {} connections, {} rounds of {} s: median (lowest–highest).\n",
        table::machine(),
        launcher.pinning(),
        options.connections,
        options.rounds,
        options.seconds.as_secs_f64()
    );
    print!("{}", table::missing(&peers.missing));
    print_rows(&rows);
    Ok(())
}

fn play(options: &Options, loads: &Loads<'_>, peers: &Peers, rows: &mut [Row]) -> BenchResult<()> {
    let window = [options.warmup_seconds, options.seconds];
    let load = |place: usize, rate| {
        let entry = &peers.entries[place];
        loads.run(entry, &peers.servers[entry.server], window, rate)
    };
    let count = peers.entries.len();
    let most = (0..count)
        .map(|place| Ok(load(place, None)?.requests_per_second))
        .collect::<BenchResult<Vec<f64>>>()?;
    let slowest = most.iter().copied().fold(f64::INFINITY, f64::min);
    for (place, row) in rows.iter_mut().enumerate() {
        let server = place % count;
        let most = match place < count {
            true => most[server],
            false => slowest,
        };
        row.reports
            .push(load(server, Some((most / 2.0).max(1.0) as u32))?);
    }
    Ok(())
}

fn print_rows(rows: &[Row]) {
    println!("| load | server | requests/s | p50 us | p99 us | p99.9 us |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
    for row in rows {
        let figure = |figure: fn(&Report) -> f64| {
            table::shown(Spread::of(row.reports.iter().map(figure)), 0)
        };
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            row.load,
            row.name,
            figure(|report| report.requests_per_second),
            figure(|report| report.p50_us),
            figure(|report| report.p99_us),
            figure(|report| report.p999_us)
        );
    }
}
