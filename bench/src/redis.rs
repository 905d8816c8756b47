//! The Redis store beside its peers, as one Markdown table: latchd over Redis, webdis over another
//! Redis, and redis-benchmark making latchd's own script call for each lock.
//!
//! latchd or webdis and their Redis share core 0, so that the locks per second are those of one
//! core; the load, or redis-benchmark, has core 1. There are two kinds of load: lock and release in
//! turn, on a small pool, and locks only, on a pool that is created again before each and does not
//! run out. redis-benchmark does the latter too. As in `compare` all run in turn, round after round,
//! every second round backwards, and ratios are taken within a round.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    BenchResult, compare, control,
    load::seconds,
    plan::Api,
    process::{Launcher, Server, find_program, free_address},
    redis_table::{self, Row, RowKind, Sample},
    script_call::ScriptCall,
    table, webdis,
};

/// Load latchd over Redis, webdis, and Redis itself in turn and print one table
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
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: u32,
    /// Script calls in one write of redis-benchmark, where it pipelines
    #[arg(long, value_name = "N", default_value_t = 16)]
    depth: u32,
    /// Script calls in one run of redis-benchmark
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    calls: u32,
    /// Size of the pool from which locks are taken only: more than are taken in one window
    #[arg(long, value_name = "N", default_value_t = 400_000)]
    resources: u32,
}

/// Locks of the large pool stay held, apart from the other load.
const SMALL_POOL: &str = "A";
const LARGE_POOL: &str = "B";
/// Seeding a large pool is not part of the load's own time.
const SEED_PATIENCE: Duration = Duration::from_secs(60);

pub fn run(options: &Options) -> BenchResult<()> {
    let folder = TempDir::with_prefix("latchd-bench-")?;
    let mut field = Field::start(options, &folder)?;
    for round in 0..options.rounds as usize {
        field.play(round)?;
    }
    print!("{}", field.preamble());
    print!("{}", redis_table::rows(&field.rows));
    print!("{}", redis_table::ratios(&field.rows));
    // The servers first: they use the folder.
    drop(field);
    folder.close()?;
    Ok(())
}

/// All processes of the comparison. Servers end before their stores.
struct Field<'a> {
    options: &'a Options,
    launcher: Launcher,
    bench: PathBuf,
    latchd: Stored,
    webdis: Option<Stored>,
    benchmark: Option<PathBuf>,
    /// Learned from latchd when it is first needed.
    call: Option<ScriptCall>,
    rows: Vec<Row>,
    missing: Vec<&'static str>,
}

/// A server and the Redis behind it.
struct Stored {
    server: Server,
    redis: Server,
}

impl<'a> Field<'a> {
    fn start(options: &'a Options, folder: &TempDir) -> BenchResult<Self> {
        let launcher = Launcher::find();
        if !launcher.pins() {
            eprintln!("no `taskset`, or no second core: servers and load are not pinned");
        }
        let binary = compare::latchd_path(options.latchd.as_deref())?;
        let redis = start_redis(&launcher, folder.path())?;
        let store = format!("redis://{}", redis.address);
        let command = compare::latchd_command(&launcher, &binary, folder.path(), store.as_ref());
        let server = Server::start("latchd over Redis", command)?;
        // latchd listens before it is connected to Redis.
        control::wait_until_ready(server.address)?;
        let latchd = Stored { server, redis };
        let mut missing = Vec::new();
        let mut find = |name: &'static str| {
            let program = find_program(name);
            if program.is_none() {
                missing.push(name);
            }
            program
        };
        let benchmark = find("redis-benchmark");
        let webdis = match find("webdis") {
            Some(program) => {
                let redis = start_redis(&launcher, folder.path())?;
                let server = webdis::start(&program, &launcher, folder.path(), redis.address)?;
                Some(Stored { server, redis })
            }
            None => None,
        };
        let kinds = RowKind::all(options.depth)
            .into_iter()
            .filter(|kind| match kind {
                RowKind::Load { api, .. } => *api == Api::Latchd || webdis.is_some(),
                RowKind::Script { .. } => benchmark.is_some(),
            });
        Ok(Self {
            rows: kinds.map(Row::new).collect(),
            options,
            bench: std::env::current_exe()?,
            launcher,
            latchd,
            webdis,
            benchmark,
            call: None,
            missing,
        })
    }

    fn play(&mut self, round: usize) -> BenchResult<()> {
        let count = self.rows.len();
        for turn in 0..count {
            let turn = if round.is_multiple_of(2) {
                turn
            } else {
                count - 1 - turn
            };
            let kind = self.rows[turn].kind;
            let sample = match kind {
                RowKind::Load { api, locks_only } => self.load(api, locks_only),
                RowKind::Script { depth } => self.replay(depth),
            };
            let sample = sample.map_err(|error| format!("{}: {error}", kind.name()))?;
            eprintln!(
                "round {} of {}: {}: {:.0} locks/s",
                round + 1,
                self.options.rounds,
                kind.name(),
                sample.locks_per_second
            );
            self.rows[turn].samples.push(sample);
        }
        Ok(())
    }

    fn load(&self, api: Api, locks_only: bool) -> BenchResult<Sample> {
        let Stored { server, redis } = match api {
            Api::Latchd => &self.latchd,
            Api::Webdis => self.webdis.as_ref().ok_or("webdis is missing")?,
        };
        let options = self.options;
        let mut command = self.launcher.command(compare::LOAD_CORE, &self.bench);
        command.args(["load", "--json", "--api", api.name()]);
        command.args(["--url", &format!("http://{}", server.address)]);
        command.args(["--pid", &server.pid().to_string()]);
        command.args(["--redis", &redis.address.to_string()]);
        command.args(["--connections", &options.connections.to_string()]);
        command.args(["--seconds", &options.seconds.as_secs_f64().to_string()]);
        let warmup = options.warmup_seconds.as_secs_f64().to_string();
        command.args(["--warmup-seconds", &warmup]);
        match locks_only {
            true => {
                command.args(["--pool", LARGE_POOL, "--locks-only"]);
                command.args(["--resources", &options.resources.to_string()]);
            }
            false => {
                command.args(["--pool", SMALL_POOL, "--check"]);
            }
        }
        let patience = options.warmup_seconds + options.seconds;
        let report = compare::run_load(command, patience + compare::LOAD_PATIENCE + SEED_PATIENCE)?;
        Sample::of_load(&report)
    }

    /// Takes locks from a pool that latchd has created again, with latchd's own call.
    fn replay(&mut self, depth: u32) -> BenchResult<Sample> {
        let Stored { server, redis } = &self.latchd;
        control::seed_anew(server.address, LARGE_POOL, self.options.resources)?;
        if self.call.is_none() {
            let call = ScriptCall::learn(redis.address, server.address, LARGE_POOL)?;
            self.call = Some(call);
        }
        let (Some(call), Some(benchmark)) = (&self.call, &self.benchmark) else {
            return Err("redis-benchmark is missing".into());
        };
        let Options {
            connections, calls, ..
        } = *self.options;
        let replay = |calls| {
            call.replay(
                benchmark,
                &self.launcher,
                redis.address,
                [connections, depth, calls],
            )
        };
        let held_before = control::held(server.address, LARGE_POOL)?;
        // Warm-up.
        let warm_up_calls = calls / 10;
        replay(warm_up_calls)?;
        let sample = Sample::of_replay(&replay(calls)?);
        // redis-benchmark ignores replies, so calls may have been refused.
        let taken = control::held(server.address, LARGE_POOL)? - held_before;
        if taken != u64::from(warm_up_calls + calls) {
            return Err(
                format!("{calls} calls and {warm_up_calls} before took {taken} locks").into(),
            );
        }
        Ok(sample)
    }

    fn preamble(&self) -> String {
        let Options {
            rounds,
            connections,
            seconds,
            calls,
            resources,
            ..
        } = self.options;
        format!(
            "{machine}; {pinning}; {redis}, without persistence, on the core of the server that uses \
             it.\n{connections} connections, {rounds} rounds of {seconds} s or {calls} calls: median \
             (lowest–highest). All is counted for each lock; where there are releases, a lock's \
             share has the release too. webdis: one thread, a lock is `SPOP`, a release is `SADD`. \
             Locks only: from {resources} resources, nothing is given back. redis-benchmark: the \
             EVALSHA by which latchd takes one lock.\n\n{missing}",
            missing = table::missing(&self.missing),
            machine = table::machine(),
            pinning = self.launcher.pinning(),
            redis = redis_version(),
            seconds = seconds.as_secs_f64(),
        )
    }
}

/// Starts a Redis of the benchmark's own, which writes nothing to disk.
pub fn start_redis(launcher: &Launcher, folder: &Path) -> BenchResult<Server> {
    let program = find_program("redis-server")
        .ok_or("no redis-server in PATH: install it (Debian: redis-server)")?;
    let address: SocketAddr = free_address()?;
    let mut command = launcher.command(compare::SERVER_CORE, &program);
    command.current_dir(folder);
    command.args(["--bind", &address.ip().to_string()]);
    command.args(["--port", &address.port().to_string()]);
    command.args(["--save", "", "--appendonly", "no"]);
    Server::start_at("redis-server", command, address)
}

fn redis_version() -> String {
    let output = Command::new("redis-server").arg("--version").output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let version = text.split(' ').find_map(|word| word.strip_prefix("v="));
    format!("Redis {}", version.unwrap_or("of an unknown version"))
}
