//! The comparison: floor and latchd under the same load, in turn, round after round, as one
//! Markdown table.
//!
//! Every server runs on core 0 and the load on core 1. Each entry has a load of its own in every
//! round, and its CPU time is set against that of the floor *in the same round*, so that a machine
//! that slows down slows both. Every second round goes through the entries backwards. All servers
//! run from beginning to end; those whose turn it is not are idle.
//!
//! A further peer is one more `Entry` in `Field::start`. Everything that is started here is ended
//! here, and bounded in time.

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
    Outcome,
    load::seconds,
    plan::Mode,
    process::{Launcher, Server},
    report::Report,
    table::{self, Entry},
};

/// Load the floor and latchd in turn and print one table
#[derive(clap::Args)]
pub struct Options {
    /// The server's binary; default: the one beside this program
    #[arg(long, value_name = "PATH")]
    latchd: Option<PathBuf>,
    /// Length of each measured window
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// How long to load a server before each
    #[arg(long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    warmup_seconds: Duration,
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: u32,
    /// Requests in one write, when pipelined
    #[arg(long, value_name = "N", default_value_t = 16)]
    depth: u32,
    /// Which kinds of load
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["keep-alive", "pipelined", "close"])]
    modes: Vec<Mode>,
}

pub const SERVER_CORE: usize = 0;
pub const LOAD_CORE: usize = 1;
/// What a load may take beyond its warm-up and its window: to connect, to seed, to end.
pub const LOAD_PATIENCE: Duration = Duration::from_secs(60);

pub fn run(options: &Options) -> Outcome<()> {
    let bench = std::env::current_exe()?;
    let latchd = latchd_path(options.latchd.as_deref())?;
    let launcher = Launcher::find();
    if !launcher.pins() {
        eprintln!("no `taskset`, or no second core: servers and load are not pinned");
    }
    let folder = TempDir::with_prefix("latchd-bench-")?;
    let mut field = Field::start(options, &launcher, &bench, &latchd, folder.path())?;
    for round in 0..options.rounds as usize {
        field.play(round, options, &launcher, &bench)?;
    }
    print!(
        "{}",
        table::preamble(
            options.rounds,
            options.seconds,
            options.connections,
            &launcher,
            folder.path()
        )
    );
    print!("{}", table::rows(&field.entries));
    // The servers first: one of them has a file open in the folder.
    drop(field);
    folder.close()?;
    Ok(())
}

/// The server's binary: the one that was named, or the one beside this program.
pub fn latchd_path(named: Option<&Path>) -> Outcome<PathBuf> {
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
    // It is started in another folder.
    Ok(path.canonicalize()?)
}

/// How to start latchd in a folder of its own.
pub fn latchd_command(launcher: &Launcher, latchd: &Path, folder: &Path, store: &OsStr) -> Command {
    let mut command = launcher.command(SERVER_CORE, latchd);
    // Nothing that this user has configured may change what is measured.
    command.env_clear().current_dir(folder);
    command
        .args(["--listen", "127.0.0.1:0", "--store"])
        .arg(store);
    command
}

/// All that takes part.
struct Field {
    servers: Vec<Server>,
    entries: Vec<Entry>,
}

impl Field {
    fn start(
        options: &Options,
        launcher: &Launcher,
        bench: &Path,
        latchd: &Path,
        folder: &Path,
    ) -> Outcome<Self> {
        let mut field = Self {
            servers: Vec::new(),
            entries: Vec::new(),
        };
        let latchd = |store: &OsStr| latchd_command(launcher, latchd, folder, store);
        let mut file = std::ffi::OsString::from("file:");
        file.push(folder.join("latchd.redb"));
        let memory = field.add_server("latchd, memory store", latchd("memory:".as_ref()))?;
        let file = field.add_server("latchd, file store", latchd(&file))?;
        for &mode in &options.modes {
            let mut command = launcher.command(SERVER_CORE, bench);
            command.arg("floor");
            match mode {
                Mode::KeepAlive => &mut command,
                Mode::Pipelined => {
                    command.args(["--requests-per-read", &options.depth.to_string()])
                }
                Mode::Close => command.arg("--close"),
            };
            let floor_server = field.add_server("the floor", command)?;
            let floor = field.entries.len();
            for (name, server, fixed) in [
                ("floor", floor_server, true),
                ("latchd, memory", memory, false),
                ("latchd, file", file, false),
            ] {
                field.entries.push(Entry {
                    name,
                    mode,
                    floor,
                    server,
                    fixed,
                    reports: Vec::new(),
                });
            }
        }
        Ok(field)
    }

    fn add_server(&mut self, name: &str, command: Command) -> Outcome<usize> {
        self.servers.push(Server::start(name, command)?);
        Ok(self.servers.len() - 1)
    }

    fn play(
        &mut self,
        round: usize,
        options: &Options,
        launcher: &Launcher,
        bench: &Path,
    ) -> Outcome<()> {
        let count = self.entries.len();
        for turn in 0..count {
            // Backwards every second time, so that none has always the same neighbour before it.
            let turn = if round.is_multiple_of(2) {
                turn
            } else {
                count - 1 - turn
            };
            let entry = &mut self.entries[turn];
            let command =
                load_command(entry, &self.servers[entry.server], options, launcher, bench);
            let patience = options.warmup_seconds + options.seconds + LOAD_PATIENCE;
            let report = run_load(command, patience)
                .map_err(|error| format!("{}, {}: {error}", entry.name, entry.mode.name()))?;
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
}

fn load_command(
    entry: &Entry,
    server: &Server,
    options: &Options,
    launcher: &Launcher,
    bench: &Path,
) -> Command {
    let mut command = launcher.command(LOAD_CORE, bench);
    command.args([
        "load",
        "--json",
        "--url",
        &format!("http://{}", server.address),
    ]);
    command.args(["--pid", &server.pid().to_string()]);
    command.args(["--mode", entry.mode.name()]);
    command.args(["--connections", &options.connections.to_string()]);
    command.args(["--depth", &options.depth.to_string()]);
    command.args(["--seconds", &options.seconds.as_secs_f64().to_string()]);
    command.args([
        "--warmup-seconds",
        &options.warmup_seconds.as_secs_f64().to_string(),
    ]);
    command.arg(if entry.fixed { "--fixed" } else { "--check" });
    command
}

/// Runs a load that reports as JSON, and ends it if it takes longer than that.
pub fn run_load(mut command: Command, patience: Duration) -> Outcome<Report> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().ok_or("standard output was piped")?;
    let (sender, output) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = stdout.read_to_string(&mut text);
        let _ = sender.send(text);
    });
    let output = output.recv_timeout(patience);
    // It has ended, or has had its time.
    let _ = child.kill();
    let status = child.wait()?;
    let output = output.map_err(|_| "the load did not come to its end")?;
    if output.is_empty() {
        return Err(format!("the load failed: {status}").into());
    }
    Report::from_json(&output)
}
