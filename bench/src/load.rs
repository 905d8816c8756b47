//! The load generator: its options, and the order of its work: seed, drive, verify, report.
//!
//! A closed loop: each connection has one burst of requests in flight, and sends the next only when
//! that is answered. With --rate it is an open loop.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use crate::{
    BenchResult,
    connection::{BURSTS_HELD, Expectation},
    control,
    drive::drive,
    ledger::Ledger,
    plan::{Api, Mode, Plan},
    report::Report,
    requests::Requests,
    webdis,
};

/// Lock, check, release on many connections at once, and report the speed
#[derive(clap::Args)]
pub struct Options {
    /// The server, as http://HOST:PORT
    #[arg(long, value_parser = address_of)]
    url: SocketAddr,
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    connections: u32,
    /// Length of the measured window
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// Length of the warm-up before that
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    warmup_seconds: Duration,
    #[arg(long, value_enum, default_value = "keep-alive")]
    mode: Mode,
    /// The API that the server has
    #[arg(long, value_enum, default_value = "latchd")]
    api: Api,
    /// Release nothing: the pool must be large enough for all that are locked
    #[arg(long, conflicts_with_all = ["fixed", "check"])]
    locks_only: bool,
    /// Requests in one write, when pipelined
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    depth: u32,
    /// The pool; its members are replaced and its locks purged
    #[arg(long, value_name = "NAME", default_value = "A", value_parser = plain_name)]
    pool: String,
    /// Size of the pool; raised to what all connections can hold at once
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=i64::from(RESOURCES_MAX)))]
    resources: u32,
    /// Ask the server at the end whether it agrees that all is released and no resource is lost
    #[arg(long, conflicts_with = "fixed")]
    check: bool,
    /// The server's process, to measure its CPU time
    #[arg(long)]
    pid: Option<u32>,
    /// The Redis that the server stores in, as HOST:PORT, on the same machine: to measure its CPU
    /// time and count its script calls
    #[arg(long, value_name = "ADDR")]
    redis: Option<SocketAddr>,
    /// Send only locks and ignore the answers: for servers with a fixed answer
    #[arg(long)]
    fixed: bool,
    /// Delay the next requests until this many connections are ready for theirs (see drive.rs)
    #[arg(long, value_name = "N", default_value_t = 1)]
    gather: u32,
    /// Sleep instead of spinning while there is no event: kinder to a shared core, but the server
    /// pays for waking
    #[arg(long)]
    sleep: bool,
    /// Requests a second, sent at fixed times; default: each as soon as the one before is answered
    #[arg(long, value_name = "N", conflicts_with_all = ["gather", "sleep"], value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Report one JSON object
    #[arg(long)]
    json: bool,
}

/// Each resource has a request of its own, built beforehand.
const RESOURCES_MAX: u32 = 1_000_000;

pub fn run(options: &Options) -> BenchResult<()> {
    let plan = plan(options)?;
    let report = load(&plan, options)?;
    if options.json {
        println!("{}", report.to_json());
    } else {
        println!("{report}");
    }
    Ok(())
}

fn plan(options: &Options) -> BenchResult<Plan> {
    let depth = match options.mode {
        Mode::Pipelined => options.depth,
        Mode::KeepAlive | Mode::Close => 1,
    };
    // With fewer, the server would rightly answer "busy".
    let resources = options
        .resources
        .max(options.connections * depth * BURSTS_HELD);
    if resources > RESOURCES_MAX {
        return Err("that many connections of that depth would hold too many resources".into());
    }
    Ok(Plan {
        server: options.url,
        connections: options.connections,
        api: options.api,
        mode: options.mode,
        locks_only: options.locks_only,
        depth,
        resources,
        gather: options.gather.clamp(1, options.connections) as usize,
        sleep: options.sleep,
        burst_interval: options
            .rate
            .map(|rate| Duration::from_secs(1) * depth / rate),
        warmup: options.warmup_seconds,
        window: options.seconds,
        pid: options.pid,
        redis: options.redis,
    })
}

fn load(plan: &Plan, options: &Options) -> BenchResult<Report> {
    let pool = &options.pool;
    let requests = Requests::new(plan, pool);
    let expectation = if options.fixed {
        let probe = control::exchange(plan.server, &requests.locks)?;
        if probe.status != 200 {
            return Err(format!("the server refused: {} {}", probe.status, probe.body).into());
        }
        Expectation::Fixed {
            answer_bytes: probe.whole_bytes,
        }
    } else {
        match (plan.api, plan.locks_only) {
            (Api::Latchd, false) => control::seed(plan.server, pool, plan.resources)?,
            (Api::Latchd, true) => control::seed_anew(plan.server, pool, plan.resources)?,
            (Api::Webdis, _) => webdis::seed(plan.server, pool, plan.resources)?,
        }
        Expectation::Checked(Ledger::new(plan.resources))
    };
    let measured = drive(plan, &requests, expectation)?;
    if options.check {
        match plan.api {
            Api::Latchd => control::verify(plan.server, pool, plan.resources)?,
            Api::Webdis => webdis::verify(plan.server, pool, plan.resources)?,
        }
    }
    Report::new(plan, &measured)
}

pub fn address_of(url: &str) -> Result<SocketAddr, String> {
    let authority = url
        .strip_prefix("http://")
        .ok_or("must begin with http://")?;
    let mut found = authority
        .trim_end_matches('/')
        .to_socket_addrs()
        .map_err(|error| format!("{error}; http://HOST:PORT is wanted"))?;
    found.next().ok_or_else(|| "no such host".to_owned())
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.0..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be 0 to 3600".to_owned())
    }
}

/// Parses a name that needs neither percent-encoding in a path nor escaping in JSON.
fn plain_name(name: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(plain) {
        return Err("letters, digits, '-', '_' and '.' only".to_owned());
    }
    Ok(name.to_owned())
}
