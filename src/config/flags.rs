//! The command line and its environment variables.

use std::path::PathBuf;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, ValueEnum};
use log::LevelFilter;

use super::limits::Limits;
use super::mask::masked;
use super::tls::TlsLayer;
use crate::command::Ttl;
use crate::ping::Target;
use crate::store::Sync;

/// Lends out resources from named pools, one holder at a time, over plain HTTP.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = AFTER_HELP,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(super) struct Flags {
    #[command(flatten)]
    pub(super) layer: Layer,

    /// Read settings from a JSON5 file; flags and environment come first
    #[arg(
        long,
        value_name = "FILE",
        env = "LATCHD_CONFIG",
        hide_env = true,
        help_heading = "Configuration"
    )]
    pub(super) config: Option<PathBuf>,

    /// Check the configuration, print what would be used, and exit
    #[arg(long, help_heading = "Configuration")]
    pub(super) check: bool,

    /// Do not serve: ask the latchd at http://HOST:PORT/ping whether it lives, and exit
    // Not in the environment: a server and its health check share that.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "check", value_parser = Target::parse, help_heading = "Health check")]
    pub(super) ping: Option<Target>,
}

const AFTER_HELP: &str = "\
Each flag that takes a value can be given in the environment too, except --ping: --max-body as
LATCHD_MAX_BODY. NODE_CONFIG may hold the text of a configuration file.

Examples:
  latchd
      serve on 127.0.0.1:8081, and keep pools in latchd.redb
  latchd --listen 0.0.0.0:8081 --keys /etc/latchd.keys --store file:/var/lib/latchd/pools.redb
      serve those in the network who have a key
  latchd --tls-listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --keys /etc/latchd.keys
      the same with TLS alone
  latchd --listen 0.0.0.0:8081 --reuse-port --store redis://10.0.0.5/0
      one of several servers that share a port, and a Redis
  latchd --store memory: --seed pools.json
      start with the same pools each time, and forget the locks at the end
  latchd --ping 127.0.0.1:8081
      a health check that needs no shell: is 200 answered within two seconds?

A first lock:
  curl -d '{\"A\":[\"1\",\"2\",\"3\",\"4\"]}' http://127.0.0.1:8081/pool
  curl -X POST http://127.0.0.1:8081/pool/A/lock
  curl -X DELETE http://127.0.0.1:8081/pool/A/lock/4

Exit codes: 0 stopped by a signal, 1 could not serve, 2 wrong configuration; of --ping: 0 it
lives, 1 it does not answer well.";

/// More would make a page of megabytes, which holds everybody up while it is written.
pub(super) const MAX_METRICS_POOLS: u32 = 10_000;

/// Settings from one source. What is `None` is left to the next one.
#[derive(Args, Debug, Default)]
pub(super) struct Layer {
    /// Listen here; may be repeated [default: 127.0.0.1:8081]
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "LATCHD_LISTEN",
        hide_env = true,
        value_delimiter = ',',
        help_heading = "Serving"
    )]
    pub(super) listen: Option<Vec<String>>,

    /// The most connections at a time [default: what the descriptor limit allows]
    #[arg(long, value_name = "COUNT", env = "LATCHD_MAX_CONNECTIONS", hide_env = true, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Serving")]
    pub(super) max_connections: Option<u32>,

    /// The largest request body that is taken [default: 1048576]
    #[arg(long, value_name = "BYTES", env = "LATCHD_MAX_BODY", hide_env = true, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Serving")]
    pub(super) max_body: Option<u32>,

    /// How long a request header may take to arrive [default: 60]
    #[arg(long, value_name = "SECONDS", env = "LATCHD_HEADER_TIMEOUT", hide_env = true, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Serving")]
    pub(super) header_timeout: Option<u32>,

    /// How long a connection may stay silent [default: 120]
    #[arg(long, value_name = "SECONDS", env = "LATCHD_IDLE_TIMEOUT", hide_env = true, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Serving")]
    pub(super) idle_timeout: Option<u32>,

    /// How long what is in hand may take to be answered when the server stops [default: 10]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "LATCHD_DRAIN",
        hide_env = true,
        help_heading = "Serving"
    )]
    pub(super) drain: Option<u32>,

    /// Which web pages may use the server: an origin, * or none [default: *]
    #[arg(long, value_name = "ORIGIN", env = "LATCHD_CORS", hide_env = true, value_parser = parse_cors, help_heading = "Serving")]
    pub(super) cors: Option<String>,

    /// Serve only those who show a key: a file with NAME SECRET ROLE POOLS on each line, where ROLE is
    /// read, use or admin; read again on SIGHUP [default: none, everybody may do everything]
    #[arg(
        long,
        value_name = "FILE",
        env = "LATCHD_KEYS",
        hide_env = true,
        help_heading = "Serving"
    )]
    pub(super) keys: Option<PathBuf>,

    /// Share the port with other servers that say so, too: for several that share a Redis
    #[arg(long, env = "LATCHD_REUSE_PORT", hide_env = true, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Serving")]
    pub(super) reuse_port: Option<bool>,

    #[command(flatten)]
    pub(super) limits: Limits,

    #[command(flatten)]
    pub(super) tls: TlsLayer,

    /// The lease of who does not say how long [default: none, held until released]
    #[arg(long, value_name = "SECONDS", env = "LATCHD_DEFAULT_TTL", hide_env = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(Ttl::MAX_S)), help_heading = "Lending")]
    pub(super) default_ttl: Option<u32>,

    /// The longest that anybody stands in line [default: 300]
    #[arg(long, value_name = "SECONDS", env = "LATCHD_MAX_WAIT", hide_env = true, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Lending")]
    pub(super) max_wait: Option<u32>,

    /// The most who stand in line, in all pools together [default: 100000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "LATCHD_MAX_WAITERS",
        hide_env = true,
        help_heading = "Lending"
    )]
    pub(super) max_waiters: Option<u32>,

    /// How long an owner's place in line is kept when its connection is lost [default: 10]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "LATCHD_QUEUE_GRACE",
        hide_env = true,
        help_heading = "Lending"
    )]
    pub(super) queue_grace: Option<u32>,

    /// Where pools live: file:PATH, memory: to forget them at the end, or a Redis:
    /// redis://[USER:PASS@]HOST[:PORT][/DB], rediss://…[?ca=FILE] with TLS, or
    /// redis+unix:///PATH[?db=DB&user=USER&pass=PASS]
    /// [default: file:latchd.redb]
    #[arg(
        long,
        value_name = "URL",
        env = "LATCHD_STORE",
        hide_env = true,
        help_heading = "Storing"
    )]
    pub(super) store: Option<String>,

    /// When a change is safe in the file: before it is answered, within a second, or when the
    /// system writes it [default: always]
    #[arg(
        long,
        value_name = "WHEN",
        env = "LATCHD_SYNC",
        hide_env = true,
        help_heading = "Storing"
    )]
    pub(super) sync: Option<Sync>,

    /// What the names of all keys in Redis begin with [default: pool:]
    #[arg(long, value_name = "PREFIX", env = "LATCHD_REDIS_PREFIX", hide_env = true, value_parser = parse_prefix, help_heading = "Storing")]
    pub(super) redis_prefix: Option<String>,

    /// How long Redis may take to answer before the connection counts as lost; 0.5 is half a
    /// second [default: 2]
    #[arg(long = "redis-timeout", value_name = "SECONDS", env = "LATCHD_REDIS_TIMEOUT", hide_env = true, value_parser = parse_timeout, help_heading = "Storing")]
    pub(super) redis_timeout_ms: Option<u64>,

    /// Add these pools at the start; a JSON file such as {"A":["1","2"]}
    #[arg(
        long,
        value_name = "FILE",
        env = "LATCHD_SEED",
        hide_env = true,
        help_heading = "Storing"
    )]
    pub(super) seed: Option<PathBuf>,

    /// Release every lock at the start
    #[arg(long, env = "LATCHD_PURGE_ON_START", hide_env = true, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, help_heading = "Storing")]
    pub(super) purge_on_start: Option<bool>,

    /// Answer /metrics here and nowhere else; may be repeated [default: where all else is]
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "LATCHD_ADMIN_LISTEN",
        hide_env = true,
        value_delimiter = ',',
        help_heading = "Monitoring"
    )]
    pub(super) admin_listen: Option<Vec<String>>,

    /// How many pools /metrics shows one by one; the others are summed up [default: 100]
    #[arg(long, value_name = "COUNT", env = "LATCHD_METRICS_POOLS", hide_env = true, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_METRICS_POOLS)), help_heading = "Monitoring")]
    pub(super) metrics_pools: Option<u32>,

    /// What to log: off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", env = "LATCHD_LOG_LEVEL", hide_env = true, value_parser = log_level(), hide_possible_values = true, help_heading = "Logging")]
    pub(super) log_level: Option<LevelFilter>,

    /// Log to latchd.log in this folder [default: to standard error]
    #[arg(
        long,
        value_name = "FOLDER",
        env = "LATCHD_LOG_DIR",
        hide_env = true,
        help_heading = "Logging"
    )]
    pub(super) log_dir: Option<PathBuf>,
}

impl Layer {
    /// This layer where it says something, and `lower` where it does not.
    pub(super) fn over(self, lower: Layer) -> Layer {
        Layer {
            listen: self.listen.or(lower.listen),
            admin_listen: self.admin_listen.or(lower.admin_listen),
            metrics_pools: self.metrics_pools.or(lower.metrics_pools),
            max_connections: self.max_connections.or(lower.max_connections),
            max_body: self.max_body.or(lower.max_body),
            header_timeout: self.header_timeout.or(lower.header_timeout),
            idle_timeout: self.idle_timeout.or(lower.idle_timeout),
            drain: self.drain.or(lower.drain),
            cors: self.cors.or(lower.cors),
            keys: self.keys.or(lower.keys),
            reuse_port: self.reuse_port.or(lower.reuse_port),
            limits: self.limits.over(lower.limits),
            tls: self.tls.over(lower.tls),
            default_ttl: self.default_ttl.or(lower.default_ttl),
            max_wait: self.max_wait.or(lower.max_wait),
            max_waiters: self.max_waiters.or(lower.max_waiters),
            queue_grace: self.queue_grace.or(lower.queue_grace),
            store: self.store.or(lower.store),
            sync: self.sync.or(lower.sync),
            redis_prefix: self.redis_prefix.or(lower.redis_prefix),
            redis_timeout_ms: self.redis_timeout_ms.or(lower.redis_timeout_ms),
            seed: self.seed.or(lower.seed),
            purge_on_start: self.purge_on_start.or(lower.purge_on_start),
            log_level: self.log_level.or(lower.log_level),
            log_dir: self.log_dir.or(lower.log_dir),
        }
    }
}

pub(super) fn parse() -> Result<Flags, clap::Error> {
    Flags::try_parse().map_err(without_password)
}

/// The same of any command line: for fuzz targets.
#[cfg(fuzzing)]
pub(super) fn parse_these(arguments: &[&str]) -> Result<Flags, clap::Error> {
    Flags::try_parse_from(arguments).map_err(without_password)
}

/// A URL, or what is left of one, may stand where none was wanted: `--store` itself is easily forgotten.
fn without_password(mut error: clap::Error) -> clap::Error {
    let urls = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) if text.contains("://") || text.contains('@') => {
            Some((kind, masked(text)))
        }
        _ => None,
    });
    let urls: Vec<(ContextKind, String)> = urls.collect();
    for (kind, shown) in urls {
        error.insert(kind, ContextValue::String(shown));
    }
    error
}

const SYNCS: [(Sync, &str, &str); 3] = [
    (
        Sync::Always,
        "always",
        "before it is answered: survives a power cut",
    ),
    (
        Sync::Interval,
        "interval",
        "within a second: a crash may lose that second",
    ),
    (
        Sync::Never,
        "never",
        "when the system writes it: a power cut may lose the file",
    ),
];

impl ValueEnum for Sync {
    fn value_variants<'a>() -> &'a [Sync] {
        &[Sync::Always, Sync::Interval, Sync::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let entry = SYNCS.iter().find(|(sync, ..)| sync == self);
        entry.map(|&(_, name, help)| PossibleValue::new(name).help(help))
    }
}

pub(super) fn sync_name(sync: Sync) -> &'static str {
    SYNCS
        .iter()
        .find(|(known, ..)| *known == sync)
        .map_or("", |&(_, name, _)| name)
}

/// The value goes into a header field of every answer that wants it.
pub(super) fn parse_cors(value: &str) -> Result<String, String> {
    let fit = !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b',');
    let is_origin = value == "*" || value == "none" || value.contains("://");
    if fit && is_origin {
        Ok(value.to_owned())
    } else {
        Err("wanted an origin such as https://example.org, * or none".to_owned())
    }
}

pub(super) fn parse_prefix(value: &str) -> Result<String, &'static str> {
    let fit = (1..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    fit.then(|| value.to_owned())
        .ok_or("wanted 1 to 64 printable ASCII characters without spaces")
}

fn parse_timeout(value: &str) -> Result<u64, &'static str> {
    timeout_ms(value.parse().unwrap_or(f64::NAN))
}

/// The bounds catch milliseconds, which other programs want here.
pub(super) fn timeout_ms(seconds: f64) -> Result<u64, &'static str> {
    match seconds {
        0.01..=300.0 => Ok((seconds * 1000.0).round() as u64),
        _ => Err("wanted seconds, 0.01 to 300"),
    }
}

fn log_level() -> impl TypedValueParser<Value = LevelFilter> {
    let names = ["off", "error", "warn", "info", "debug", "trace"];
    clap::builder::PossibleValuesParser::new(names)
        .map(|name| name.parse().expect("these are the names of the levels"))
}
