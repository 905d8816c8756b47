//! Hours of a mixed load with churn: does the server's memory grow, does it leak descriptors, is any
//! resource granted twice or lost?
//!
//! The workers check their answers (`soak_worker`). Meanwhile the process is observed from outside:
//! its resident memory and its open descriptors. In the last third of the time both must be about
//! the same as in the first third.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    BenchResult, compare, control,
    ledger::Ledger,
    process::{Launcher, Server, resident_bytes},
    redis,
    soak_worker::{self, STEADY, STEADY_RESOURCES, Shared, Tally},
    table,
};

/// Load a server for long with churn, and watch its memory, its descriptors and its promises
#[derive(clap::Args)]
pub struct Options {
    /// The server's binary; default: the one beside this program
    #[arg(long, value_name = "PATH")]
    latchd: Option<PathBuf>,
    /// Length of the run
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    minutes: f64,
    /// memory, file, or redis, which is started here
    #[arg(long, value_name = "NAME", default_value = "memory", value_parser = ["memory", "file", "redis"])]
    store: String,
    /// Clients at a time
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(2..=1000))]
    workers: u32,
    /// Seed of the clients' choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// The number of samples, whatever the length.
const SAMPLES: u32 = 180;
/// The tolerated growth of memory in the last third: the allocator's pieces never fit quite the
/// same.
const GROWTH: f64 = 1.1;
const GROWTH_BYTES: u64 = 1 << 20;

/// The state of the process at one time.
struct Sample {
    resident: u64,
    descriptors: u64,
}

pub fn run(options: &Options) -> BenchResult<()> {
    let launcher = Launcher::find();
    let latchd = compare::latchd_path(options.latchd.as_deref())?;
    let folder = TempDir::with_prefix("latchd-soak-")?;
    let redis = match options.store.as_str() {
        "redis" => Some(redis::start_redis(&launcher, folder.path())?),
        _ => None,
    };
    let store = store_url(&options.store, redis.as_ref(), folder.path());
    let mut command = compare::latchd_command(&launcher, &latchd, folder.path(), &store);
    // Queue places of disconnected owners should not outlive the load for long.
    command.args(["--queue-grace", "1"]);
    let server = Server::start("latchd", command)?;
    control::wait_until_ready(server.address)?;
    control::seed(server.address, STEADY, STEADY_RESOURCES)?;
    println!(
        "{}; {} for {} minutes, {} workers, seed {}",
        table::machine(),
        options.store,
        options.minutes,
        options.workers,
        options.seed
    );

    let duration = Duration::from_secs_f64(options.minutes * 60.0);
    let (samples, tally) = watch(options, &server, duration)?;
    let held = control::held(server.address, STEADY)?;
    server.stop()?;
    judge(&samples, &tally, held)
}

fn store_url(name: &str, redis: Option<&Server>, folder: &Path) -> OsString {
    match (name, redis) {
        (_, Some(redis)) => format!("redis://{}/0", redis.address).into(),
        ("file", None) => {
            let mut url = OsString::from("file:");
            url.push(folder.join("latchd.redb"));
            url
        }
        _ => "memory:".into(),
    }
}

/// Runs the workers, and samples meanwhile. A worker that finds a fault ends the run.
fn watch(
    options: &Options,
    server: &Server,
    duration: Duration,
) -> BenchResult<(Vec<Sample>, Tally)> {
    let shared = Shared {
        server: server.address,
        enough: AtomicBool::new(false),
        ledger: Mutex::new(Ledger::new(STEADY_RESOURCES)),
    };
    let pid = server.pid();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.workers)
            .map(|number| {
                let (shared, seed) = (&shared, options.seed);
                scope.spawn(move || {
                    let outcome = soak_worker::work(shared, number, seed);
                    if outcome.is_err() {
                        shared.enough.store(true, Ordering::Relaxed);
                    }
                    outcome
                })
            })
            .collect();
        let samples = sample(pid, duration, &shared.enough);
        shared.enough.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for worker in workers {
            tally.add(&worker.join().map_err(|_| "a worker panicked")??);
        }
        Ok((samples?, tally))
    })
}

fn sample(pid: u32, duration: Duration, enough: &AtomicBool) -> BenchResult<Vec<Sample>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while start.elapsed() < duration && !enough.load(Ordering::Relaxed) {
        thread::sleep(duration / SAMPLES);
        samples.push(Sample {
            resident: resident_bytes(pid)?.0,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64,
        });
    }
    Ok(samples)
}

/// Prints the verdict in one line; a bad one is an error.
fn judge(samples: &[Sample], tally: &Tally, held: u64) -> BenchResult<()> {
    let third = samples.len() / 3;
    if third == 0 {
        return Err("too short for a verdict".into());
    }
    let (first, last) = (&samples[..third], &samples[samples.len() - third..]);
    let resident = [first, last].map(|part| median(part.iter().map(|sample| sample.resident)));
    let descriptors =
        [first, last].map(|part| median(part.iter().map(|sample| sample.descriptors)));
    let most = |part: &[Sample]| part.iter().map(|sample| sample.descriptors).max();
    println!("{tally}");
    println!(
        "memory: {:.2} MB in the first third, {:.2} MB in the last; descriptors: {} and {}, at most {} and {}",
        resident[0] as f64 / 1e6,
        resident[1] as f64 / 1e6,
        descriptors[0],
        descriptors[1],
        most(first).unwrap_or(0),
        most(last).unwrap_or(0),
    );
    let bound = (resident[0] as f64 * GROWTH) as u64 + GROWTH_BYTES;
    let mut wrong = Vec::new();
    if resident[1] > bound {
        wrong.push("memory grows".to_owned());
    }
    // Descriptors come and go with the connections of the workers, whose number is constant.
    if descriptors[1] > descriptors[0] + 3 {
        wrong.push("descriptors are lost".to_owned());
    }
    if held > 0 {
        wrong.push(format!("{held} resources are held without a holder"));
    }
    match wrong.is_empty() {
        true => {
            println!(
                "verdict: good. Memory flat, descriptors flat, nothing lent twice, nothing lost"
            );
            Ok(())
        }
        false => Err(format!("verdict: BAD. {}", wrong.join(", ")).into()),
    }
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident: impl Fn(u64) -> u64, descriptors: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |at| Sample {
            resident: resident(at),
            descriptors: descriptors(at),
        };
        (0..90).map(sample).collect()
    }

    #[test]
    fn what_grows_is_found() {
        let judge = |samples: &[Sample], held| judge(samples, &Tally::default(), held).is_ok();
        assert!(judge(
            &samples(|at| 5_000_000 + at % 7 * 100_000, |at| 20 + at % 9),
            0
        ));
        assert!(!judge(&samples(|at| 5_000_000 + at * 100_000, |_| 20), 0));
        assert!(!judge(&samples(|_| 5_000_000, |at| 20 + at / 10), 0));
        assert!(!judge(&samples(|_| 5_000_000, |_| 20), 1));
        assert!(!judge(&samples(|_| 5_000_000, |_| 20)[..2], 0));
    }
}
