//! The comparison: floor, latchd and its peers under the same load, in turn, round after round, as
//! one Markdown table.
//!
//! Every server runs on core 0 and the load on core 1. Each entry has a load of its own in every
//! round. Its CPU time is compared with that of the floor *in the same round*, so that a machine
//! that slows down slows both. Every second round runs the entries backwards. All servers run from
//! beginning to end; all but the one under load are idle.
//!
//! A further peer is one more server in `Peers::start`. Every started process is ended, and bounded
//! in time.

use std::{
    ffi::OsStr,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    BenchResult, goals,
    load::seconds,
    peers::Peers,
    plan::Mode,
    process::{Launcher, Server, find_program, wait_for_quiet},
    report::Report,
    strace,
    table::{self, Entry},
};

/// Load the floor, latchd and its peers in turn and print one table
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
    /// Requests in one write, when pipelined
    #[arg(long, value_name = "N", default_value_t = 16)]
    depth: u32,
    /// The kinds of load
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["keep-alive", "pipelined", "close"])]
    modes: Vec<Mode>,
}

pub const SERVER_CORE: usize = 0;
pub const LOAD_CORE: usize = 1;
/// The time a load may take beyond its warm-up and its window: to connect, to seed, to end.
pub const LOAD_PATIENCE: Duration = Duration::from_secs(60);

/// The window of the load under strace.
const STRACE_WINDOW: Duration = Duration::from_secs(1);

pub fn run(options: &Options) -> BenchResult<()> {
    let latchd = latchd_path(options.latchd.as_deref())?;
    let launcher = Launcher::find();
    if !launcher.pins() {
        eprintln!("no `taskset`, or no second core: servers and load are not pinned");
    }
    let folder = TempDir::with_prefix("latchd-bench-")?;
    let Options { modes, depth, .. } = options;
    let mut peers = Peers::start(modes, *depth, &launcher, &latchd, folder.path())?;
    let loads = Loads {
        launcher: &launcher,
        bench: std::env::current_exe()?,
        connections: options.connections,
        wait_for_quiet: options.wait_for_quiet,
        depth: *depth,
    };
    for round in 0..options.rounds as usize {
        play(options, round, &loads, &mut peers)?;
    }
    match find_program("strace") {
        Some(strace) => count_system_calls(&strace, folder.path(), &loads, &mut peers)?,
        None => peers.missing.push("strace (system calls)"),
    }
    let Options {
        rounds,
        seconds,
        connections,
        ..
    } = *options;
    let preamble = table::preamble(rounds, seconds, connections, &launcher, folder.path());
    print!("{preamble}{}", table::missing(&peers.missing));
    print!("{}", table::rows(&peers.entries));
    print!("{}", goals::rows(&peers.entries));
    // The servers first: one of them has a file open in the folder.
    drop(peers);
    folder.close()?;
    Ok(())
}

/// Returns the server's binary: the named one, or the one beside this program.
pub fn latchd_path(named: Option<&Path>) -> BenchResult<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("latchd"),
    };
    if !path.is_file() {
        let path = path.display();
        return Err(format!(
            "no latchd at {path}: build it (cargo build --release) or give --latchd PATH"
        )
        .into());
    }
    // The server starts in another folder.
    Ok(path.canonicalize()?)
}

/// Returns the command that starts latchd in a folder of its own.
pub fn latchd_command(launcher: &Launcher, latchd: &Path, folder: &Path, store: &OsStr) -> Command {
    let mut command = launcher.command(SERVER_CORE, latchd);
    // The user's configuration must not change what is measured.
    command.env_clear().current_dir(folder);
    command
        .args(["--listen", "127.0.0.1:0", "--store"])
        .arg(store);
    command
}

fn play(options: &Options, round: usize, loads: &Loads<'_>, peers: &mut Peers) -> BenchResult<()> {
    let count = peers.entries.len();
    for turn in 0..count {
        // Backwards every second time, so that an entry does not always have the same neighbour
        // before it.
        let turn = if round.is_multiple_of(2) {
            turn
        } else {
            count - 1 - turn
        };
        let entry = &mut peers.entries[turn];
        let server = &peers.servers[entry.server];
        let window = [options.warmup_seconds, options.seconds];
        let report = loads.run(entry, server, window, None)?;
        eprintln!(
            "round {} of {}: {}, {}: {:.0} requests/s",
            round + 1,
            options.rounds,
            entry.mode.name(),
            entry.name,
            report.requests_per_second
        );
        entry.reports.push(report);
    }
    Ok(())
}

/// Runs a round in which only system calls are counted.
fn count_system_calls(
    strace: &Path,
    folder: &Path,
    loads: &Loads<'_>,
    peers: &mut Peers,
) -> BenchResult<()> {
    for entry in &mut peers.entries {
        let server = &peers.servers[entry.server];
        let load = || loads.run(entry, server, [Duration::ZERO, STRACE_WINDOW], None);
        let (calls, report) = strace::count(strace, server.pid(), folder, load)
            .map_err(|error| format!("strace on {}: {error}", entry.name))?;
        entry.system_calls = Some(calls as f64 / report.all_requests as f64);
    }
    Ok(())
}

/// The settings that all loads share.
pub struct Loads<'a> {
    pub launcher: &'a Launcher,
    pub bench: PathBuf,
    pub connections: u32,
    pub depth: u32,
    pub wait_for_quiet: Duration,
}

impl Loads<'_> {
    /// Runs one load; `window` is the warm-up and the measured window.
    pub fn run(
        &self,
        entry: &Entry,
        server: &Server,
        window: [Duration; 2],
        rate: Option<u32>,
    ) -> BenchResult<Report> {
        wait_for_quiet(self.wait_for_quiet)?;
        let [warmup, seconds] = window.map(|time| time.as_secs_f64().to_string());
        let mut command = self.launcher.command(LOAD_CORE, &self.bench);
        command.args(["load", "--json", "--api", entry.api.name()]);
        command.args(["--url", &format!("http://{}", server.address)]);
        command.args(["--pid", &server.pid().to_string()]);
        command.args(["--mode", entry.mode.name()]);
        command.args(["--connections", &self.connections.to_string()]);
        command.args(["--depth", &self.depth.to_string()]);
        command.args(["--seconds", &seconds, "--warmup-seconds", &warmup]);
        command.args(rate.map(|rate| format!("--rate={rate}")));
        command.arg(match entry.is_fixed() {
            true => "--fixed",
            false => "--check",
        });
        run_load(command, window.iter().sum::<Duration>() + LOAD_PATIENCE)
            .map_err(|error| format!("{}, {}: {error}", entry.name, entry.mode.name()).into())
    }
}

/// Runs a load that reports as JSON, and ends it after `patience`.
pub fn run_load(mut command: Command, patience: Duration) -> BenchResult<Report> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().ok_or("standard output was piped")?;
    let (sender, output) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = stdout.read_to_string(&mut text);
        let _ = sender.send(text);
    });
    let output = output.recv_timeout(patience);
    // It has ended, or its time is over.
    let _ = child.kill();
    let status = child.wait()?;
    let output = output.map_err(|_| "the load did not come to its end")?;
    if output.is_empty() {
        return Err(format!("the load failed: {status}").into());
    }
    Report::from_json(&output)
}
