//! The disk: the time of a client's lock beside a bare append and fdatasync, and the effect on
//! clients of a disk with slow syncs.
//!
//! The slow disk is a library in front of the system's: `tests/slow_disk/slow_sync.c`. A server over
//! memory answers the same probes under the same load, round by round.

use std::{
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    BenchResult,
    compare::{self, Loads},
    control::Client,
    plan::{Api, Mode},
    process::{Launcher, Server},
    requests::request,
    spread::Spread,
    table::{self, Entry, FILE, MEMORY},
    tally::Histogram,
};

/// Measure a lock beside a bare sync, and clients beside a disk that is slow
#[derive(clap::Args)]
pub struct Options {
    /// The server's binary; default: the one beside this program
    #[arg(long, value_name = "PATH")]
    latchd: Option<PathBuf>,
    /// Time that each sync of the slow disk takes
    #[arg(long, value_name = "MS", default_value_t = 50)]
    sync_ms: u32,
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
}

const SHIM: &str = include_str!("../../tests/slow_disk/slow_sync.c");
const WARM_UP: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_secs(2);
/// About the bytes that a commit of one lock writes.
const APPENDED_BYTES: usize = 4096;
/// Requests a second beside the probes: few, so that only the disk delays them.
const BACKGROUND_RATE: u32 = 200;
const PROBES: u32 = 1000;
const PROBE_PAUSE: Duration = Duration::from_millis(1);
/// The connections of a crowd of small clients.
const CROWD: u32 = 1000;
/// More resources than a crowd locks in a round.
const CROWD_RESOURCES: u32 = 200_000;

pub fn run(options: &Options) -> BenchResult<()> {
    let folder = TempDir::with_prefix("latchd-bench-")?;
    let bench = Bench {
        latchd: compare::latchd_path(options.latchd.as_deref())?,
        launcher: Launcher::find(),
        folder: folder.path(),
        shim: build_shim(folder.path())?,
    };
    println!(
        "{}; {}; the file store on {}; {} rounds: median (lowest–highest).\n",
        table::machine(),
        bench.launcher.pinning(),
        table::file_system(folder.path()),
        options.rounds
    );
    println!("| what | measured | goal |\n| --- | ---: | ---: |");
    bench.compare_with_bare_sync(options.rounds)?;
    bench.serve_on_a_slow_disk(options)
}

struct Bench<'a> {
    latchd: PathBuf,
    launcher: Launcher,
    folder: &'a Path,
    shim: PathBuf,
}

impl Bench<'_> {
    /// Compares one client that waits for each answer with bare appends, each of which is synced.
    fn compare_with_bare_sync(&self, rounds: u32) -> BenchResult<()> {
        let server = self.start(FILE, "file:alone.redb", 0)?;
        let mut file = File::create(self.folder.join("appended"))?;
        let (mut syncs_us, mut locks_us, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let sync_us = append_and_sync(&mut file)?;
            let lock_us = self.load(1, FILE, &server, None)?.p50_us;
            syncs_us.push(sync_us);
            locks_us.push(lock_us);
            ratios.push(lock_us / sync_us);
        }
        print_row("append and fdatasync, p50, us", syncs_us, 0, "");
        print_row("request of one connection, p50, us", locks_us, 0, "");
        print_row("ratio of these two", ratios, 2, "at most 1.30");
        server.stop()
    }

    fn serve_on_a_slow_disk(&self, options: &Options) -> BenchResult<()> {
        let sync_ms = options.sync_ms;
        let slow = self.start(FILE, "file:slow.redb", sync_ms)?;
        let memory = self.start(MEMORY, "memory:", 0)?;
        let mut ratios = [Vec::new(), Vec::new()];
        let mut times = [const { Vec::new() }; 4];
        let mut locks = Vec::new();
        for _ in 0..options.rounds {
            let on_disk = self.probe(FILE, &slow)?;
            let in_memory = self.probe(MEMORY, &memory)?;
            for what in 0..2 {
                times[2 * what].push(on_disk[what]);
                times[2 * what + 1].push(in_memory[what]);
                ratios[what].push(on_disk[what] / in_memory[what]);
            }
            locks.push(self.lock_in_a_crowd(&slow)?);
        }
        println!("| each sync takes {sync_ms} ms: | | |");
        let [pings, refusals] = ratios;
        let [
            slow_pings,
            pings_in_memory,
            slow_refusals,
            refusals_in_memory,
        ] = times;
        print_row("ping, p99, file, us", slow_pings, 0, "");
        print_row("ping, p99, memory, us", pings_in_memory, 0, "");
        print_row("ratio of these two", pings, 2, "at most 1.50");
        print_row("`busy`, p99, file, us", slow_refusals, 0, "");
        print_row("`busy`, p99, memory, us", refusals_in_memory, 0, "");
        print_row("ratio of these two", refusals, 2, "at most 1.50");
        let what = format!("locks/s of {CROWD} connections");
        print_row(&what, locks, 0, "at least 10000");
        slow.stop()?;
        memory.stop()
    }

    /// Returns the 99th percentiles of a ping and of a refusal, in microseconds, beside a load.
    fn probe(&self, name: &'static str, server: &Server) -> BenchResult<[f64; 2]> {
        hold_the_only_resource(server.address)?;
        thread::scope(|scope| {
            let load = scope.spawn(|| {
                self.load(64, name, server, Some(BACKGROUND_RATE))
                    .map(drop)
                    .map_err(|error| error.to_string())
            });
            // The probes begin once the load runs.
            thread::sleep(WARM_UP);
            let ping = p99_us(server.address, "GET", "/ping", 200);
            let refusal = p99_us(server.address, "POST", "/pool/only/lock", 409);
            load.join().map_err(|_| "the load panicked")??;
            Ok([ping?, refusal?])
        })
    }

    /// Returns the locks a second of many clients that release none.
    fn lock_in_a_crowd(&self, server: &Server) -> BenchResult<f64> {
        let bench = std::env::current_exe()?;
        let mut command = self.launcher.command(compare::LOAD_CORE, &bench);
        command.args(["load", "--json", "--locks-only"]);
        command.args(["--url", &format!("http://{}", server.address)]);
        command.args(["--connections", &CROWD.to_string()]);
        command.args(["--resources", &CROWD_RESOURCES.to_string()]);
        let [warm_up, window] = [WARM_UP, WINDOW].map(|time| time.as_secs_f64().to_string());
        command.args(["--warmup-seconds", &warm_up, "--seconds", &window]);
        let report = compare::run_load(command, WARM_UP + WINDOW + compare::LOAD_PATIENCE)?;
        Ok(report.locks as f64 / report.seconds)
    }

    fn load(
        &self,
        connections: u32,
        name: &'static str,
        server: &Server,
        rate: Option<u32>,
    ) -> BenchResult<crate::report::Report> {
        let loads = Loads {
            launcher: &self.launcher,
            bench: std::env::current_exe()?,
            connections,
            depth: 1,
            wait_for_quiet: Duration::ZERO,
        };
        let entry = Entry::new(name, Mode::KeepAlive, Api::Latchd, 0);
        let window = match rate {
            // As long as the probes take.
            Some(_) => [WARM_UP, PROBES * PROBE_PAUSE * 4],
            None => [WARM_UP, WINDOW],
        };
        loads.run(&entry, server, window, rate)
    }

    fn start(&self, name: &str, store: &str, sync_ms: u32) -> BenchResult<Server> {
        let control = self.folder.join(format!("sync-{sync_ms}"));
        fs::write(&control, sync_ms.to_string())?;
        let mut command =
            compare::latchd_command(&self.launcher, &self.latchd, self.folder, store.as_ref());
        if sync_ms > 0 {
            command
                .env("LD_PRELOAD", &self.shim)
                .env("LATCHD_TEST_SYNC", control);
        }
        Server::start(name, command)
    }
}

fn build_shim(folder: &Path) -> BenchResult<PathBuf> {
    let (source, library) = (folder.join("slow_sync.c"), folder.join("slow_sync.so"));
    fs::write(&source, SHIM)?;
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library);
    let status = compiler.arg(&source).arg("-ldl").status();
    match status.map_err(|error| format!("cc: {error}"))? {
        status if status.success() => Ok(library),
        status => Err(format!("cc failed: {status}").into()),
    }
}

/// Returns the median time of an append and its sync, in microseconds.
fn append_and_sync(file: &mut File) -> BenchResult<f64> {
    let mut times = Histogram::new();
    let end = Instant::now() + WINDOW;
    while Instant::now() < end {
        let start = Instant::now();
        file.write_all(&[1; APPENDED_BYTES])?;
        file.sync_data()?;
        times.record(start.elapsed().as_nanos() as u64);
    }
    Ok(times.quantile(0.5) as f64 / 1e3)
}

/// Holds the only resource of a pool, so that later locks of it are refused.
fn hold_the_only_resource(server: SocketAddr) -> BenchResult<()> {
    let mut client = Client::connect(server)?;
    for (path, body) in [("/pool/only", "1"), ("/pool/only/lock", "")] {
        client.send(&request("POST", path, server, false, body))?;
        // In later rounds this lock is refused already.
        client.reply()?;
    }
    Ok(())
}

fn p99_us(server: SocketAddr, method: &str, path: &str, expected: u16) -> BenchResult<f64> {
    let mut client = Client::connect(server)?;
    let bytes = request(method, path, server, false, "");
    let mut times = Histogram::new();
    for _ in 0..PROBES {
        let start = Instant::now();
        client.send(&bytes)?;
        match client.reply()? {
            (status, _) if status == expected => {}
            (status, body) => return Err(format!("{method} {path}: {status} {body}").into()),
        }
        times.record(start.elapsed().as_nanos() as u64);
        thread::sleep(PROBE_PAUSE);
    }
    Ok(times.quantile(0.99) as f64 / 1e3)
}

fn print_row(what: &str, values: Vec<f64>, decimals: usize, goal: &str) {
    let measured = table::shown(Spread::of(values), decimals);
    println!("| {what} | {measured} | {goal} |");
}
