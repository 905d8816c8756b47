//! Flags, environment and files, in that order of precedence, to one checked configuration.
//!
//! Everything that can be wrong with a configuration is found here, before anything is opened.

mod file;
mod flags;
#[cfg(fuzzing)]
pub mod fuzzing;
mod keys;
mod limits;
mod mask;
mod redis_tls;
mod redis_url;
mod tls;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::{env, fs};

use log::LevelFilter;

use crate::api;
use crate::command::{Seed, Ttl};
use crate::ping::Target;
use crate::pool::Rules;
use crate::session::Settings;
use crate::store::{RedisAddress, RedisOptions, Sync};
use flags::{Flags, Layer};
pub use keys::{access_warnings, read_keys, weak_keys};
use mask::masked;
use redis_url::RedisUrl;
pub use tls::Tls;

/// What the process is to do.
#[derive(Debug)]
pub enum Order {
    /// Serve, or only check the configuration.
    Serve(Box<Config>),
    /// Ask whether a server lives, and nothing else.
    Ping(Target),
}

impl Order {
    /// Reads the command line, the environment, and the files that they name. A health check reads
    /// no files: it may have none of the server's.
    pub fn read() -> Result<Order, ConfigError> {
        let flags = flags::parse().map_err(ConfigError::Usage)?;
        match flags.ping {
            Some(target) => Ok(Order::Ping(target)),
            None => Ok(Order::Serve(Box::new(Config::from_flags(flags)?))),
        }
    }
}

/// What the server is to do.
#[derive(Debug)]
pub struct Config {
    /// Where to listen without TLS.
    pub listen: Vec<SocketAddr>,
    /// Where to listen with TLS, and as whom.
    pub tls: Option<Tls>,
    /// Where to listen for who wants the metrics; if nowhere, they are where all else is.
    pub admin_listen: Vec<SocketAddr>,
    /// Share the ports with other processes.
    pub reuse_port: bool,
    /// Where pools live.
    pub store: StoreUrl,
    /// When a change in a file is durable.
    pub sync: Sync,
    /// What the operator decides about lending.
    pub rules: Rules,
    /// Limits and time-outs of a connection.
    pub settings: Settings,
    /// The file that the keys of `settings` are from, if there are any.
    pub keys_file: Option<PathBuf>,
    /// The most connections; `None` for what the system's descriptor limit allows.
    pub max_connections: Option<usize>,
    /// The most connections of one address; `None` for a part of all.
    pub max_per_address: Option<usize>,
    /// The most who stand in line from one address; `None` for a part of all.
    pub max_address_waiters: Option<usize>,
    /// The most requests that are in hand in all, but for those that stand in line.
    pub max_requests: usize,
    /// How long what is in hand may take to be answered when the server stops.
    pub drain_ms: u64,
    /// Pools to add at the start.
    pub seed: Option<Seed>,
    /// Release every lock at the start.
    pub purge_on_start: bool,
    /// What is logged.
    pub log_level: LevelFilter,
    /// The folder of the log file; `None` for standard error.
    pub log_dir: Option<PathBuf>,
    /// Only check the configuration.
    pub check: bool,
    /// What is not wrong, but hardly meant.
    pub warnings: Vec<&'static str>,
    redis: RedisSettings,
}

/// Where pools live: `--store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// In memory, and forgotten when the process ends.
    Memory,
    /// In a file.
    File(PathBuf),
    /// In a Redis that other servers may share.
    Redis(RedisOptions),
}

impl fmt::Display for StoreUrl {
    /// Without the password of a Redis.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Memory => f.write_str("memory:"),
            StoreUrl::File(path) => write!(f, "file:{}", path.display()),
            StoreUrl::Redis(options) => options.fmt(f),
        }
    }
}

/// What is said of a Redis apart from its URL.
#[derive(Clone, Debug)]
struct RedisSettings {
    prefix: String,
    timeout_ms: u64,
}

/// Reads a file of pools.
fn read_seed_file(path: &Path) -> Result<Seed, ConfigError> {
    let text = read_file("--seed", path)?;
    api::read_seed(text.as_bytes())
        .map_err(|error| ConfigError::invalid("--seed", path.display(), error))
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The command line is wrong, or asks for help: what to print, and where.
    Usage(clap::Error),
    /// A value is wrong.
    Invalid(String),
}

impl ConfigError {
    fn invalid(name: &str, value: impl fmt::Display, right: impl fmt::Display) -> ConfigError {
        let value = masked(&value.to_string());
        ConfigError::Invalid(format!("{name} {value}: {right}"))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Usage(usage) => usage.fmt(f),
            ConfigError::Invalid(problem) => f.write_str(problem),
        }
    }
}

impl Config {
    fn from_flags(flags: Flags) -> Result<Config, ConfigError> {
        let Flags {
            mut layer,
            config,
            check,
            ping: _,
        } = flags;
        if let Some(text) = env::var_os("NODE_CONFIG").filter(|text| !text.is_empty()) {
            let text = text.into_string();
            let text = text.map_err(|_| ConfigError::Invalid("NODE_CONFIG: not UTF-8".into()))?;
            layer = layer.over(file::parse("NODE_CONFIG", &text)?);
        }
        if let Some(path) = config {
            let text = read_file("--config", &path)?;
            layer = layer.over(file::parse(&format!("--config {}", path.display()), &text)?);
        }
        Config::from_layer(layer, check)
    }

    fn from_layer(layer: Layer, check: bool) -> Result<Config, ConfigError> {
        let warnings = warnings(&layer);
        let defaults = Settings::default();
        let mut settings = Settings {
            cors: layer.cors.map_or(defaults.cors, cors),
            keys: layer.keys.as_deref().map(read_keys).transpose()?,
            ..defaults
        };
        if let Some(bytes) = layer.max_body {
            settings.limits.body_bytes = bytes as usize;
        }
        if let Some(seconds) = layer.header_timeout {
            settings.header_timeout_ms = u64::from(seconds) * 1000;
        }
        if let Some(seconds) = layer.idle_timeout {
            settings.idle_timeout_ms = u64::from(seconds) * 1000;
        }
        if let Some(count) = layer.metrics_pools {
            settings.metrics_pools = count as usize;
        }
        let limits = layer.limits;
        let count = |limit: Option<NonZeroU32>| limit.map(|count| count.get() as usize);
        let mut rules = Rules {
            default_ttl: layer.default_ttl.and_then(Ttl::from_s),
            ..Rules::default()
        };
        if let Some(seconds) = layer.max_wait {
            rules.max_wait_ms = u64::from(seconds) * 1000;
        }
        if let Some(count) = layer.max_waiters {
            rules.max_waiters = count as usize;
        }
        if let Some(seconds) = layer.queue_grace {
            rules.queue_grace_ms = u64::from(seconds) * 1000;
        }
        limits.apply(&mut settings, &mut rules);
        let tls = Tls::from_layer(layer.tls)?;
        let listen = layer.listen.unwrap_or_else(|| match tls {
            Some(_) => Vec::new(),
            None => vec!["127.0.0.1:8081".into()],
        });
        let redis = RedisSettings {
            prefix: layer.redis_prefix.unwrap_or_else(|| "pool:".into()),
            timeout_ms: layer.redis_timeout_ms.unwrap_or(2000),
        };
        let store = layer.store.as_deref().unwrap_or("file:latchd.redb");
        Ok(Config {
            listen: resolve("--listen", &listen)?,
            tls,
            admin_listen: resolve("--admin-listen", &layer.admin_listen.unwrap_or_default())?,
            reuse_port: layer.reuse_port.unwrap_or(false),
            store: parse_store(store, &redis)?,
            sync: layer.sync.unwrap_or_default(),
            rules,
            settings,
            keys_file: layer.keys,
            max_connections: layer.max_connections.map(|count| count as usize),
            max_per_address: count(limits.max_per_address),
            max_address_waiters: count(limits.max_address_waiters),
            max_requests: count(limits.max_requests).unwrap_or(100_000),
            drain_ms: u64::from(layer.drain.unwrap_or(10)) * 1000,
            seed: layer.seed.map(|path| read_seed_file(&path)).transpose()?,
            purge_on_start: layer.purge_on_start.unwrap_or(false),
            log_level: layer.log_level.unwrap_or(LevelFilter::Info),
            log_dir: layer.log_dir,
            check,
            warnings,
            redis,
        })
    }
}

impl fmt::Display for Config {
    /// What `--check` prints: the configuration that would be used.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.listen[..] {
            [] => writeln!(f, "listen           none")?,
            listen => writeln!(f, "listen           {}", in_words(listen))?,
        }
        match &self.tls {
            Some(tls) => tls.fmt(f)?,
            None => writeln!(f, "tls-listen       none")?,
        }
        match &self.admin_listen[..] {
            [] => writeln!(f, "admin-listen     none")?,
            admin => writeln!(f, "admin-listen     {}", in_words(admin))?,
        }
        writeln!(f, "metrics-pools    {}", self.settings.metrics_pools)?;
        writeln!(f, "reuse-port       {}", yes_or_no(self.reuse_port))?;
        writeln!(f, "store            {}", self.store)?;
        match self.store {
            StoreUrl::Redis(_) => writeln!(f, "sync             by the settings of Redis")?,
            _ => writeln!(f, "sync             {}", flags::sync_name(self.sync))?,
        }
        writeln!(f, "redis-prefix     {}", self.redis.prefix)?;
        let seconds = self.redis.timeout_ms as f64 / 1000.0;
        writeln!(f, "redis-timeout    {seconds} s")?;
        match self.rules.default_ttl {
            Some(ttl) => writeln!(f, "default-ttl      {} s", ttl.as_s())?,
            None => writeln!(f, "default-ttl      none")?,
        }
        writeln!(f, "max-wait         {} s", self.rules.max_wait_ms / 1000)?;
        writeln!(f, "max-waiters      {}", self.rules.max_waiters)?;
        writeln!(f, "queue-grace      {} s", self.rules.queue_grace_ms / 1000)?;
        match self.max_connections {
            Some(count) => writeln!(f, "max-connections  {count}")?,
            None => writeln!(f, "max-connections  by the descriptor limit")?,
        }
        self.write_limits(f)?;
        writeln!(
            f,
            "max-body         {} bytes",
            self.settings.limits.body_bytes
        )?;
        writeln!(
            f,
            "header-timeout   {} s",
            self.settings.header_timeout_ms / 1000
        )?;
        writeln!(
            f,
            "idle-timeout     {} s",
            self.settings.idle_timeout_ms / 1000
        )?;
        writeln!(f, "drain            {} s", self.drain_ms / 1000)?;
        writeln!(
            f,
            "cors             {}",
            self.settings.cors.as_deref().unwrap_or("none")
        )?;
        match (&self.keys_file, &self.settings.keys) {
            (Some(path), Some(keys)) => {
                writeln!(f, "keys             {} in {}", keys.len(), path.display())?;
            }
            _ => writeln!(f, "keys             none")?,
        }
        match &self.seed {
            Some(seed) => writeln!(f, "seed             {} pools", seed.pool_count())?,
            None => writeln!(f, "seed             none")?,
        }
        writeln!(f, "purge-on-start   {}", yes_or_no(self.purge_on_start))?;
        match &self.log_dir {
            Some(folder) => write!(
                f,
                "log              {} in {}",
                self.log_level,
                folder.display()
            ),
            None => write!(f, "log              {} on standard error", self.log_level),
        }?;
        for warning in &self.warnings {
            write!(f, "\nwarning          {warning}")?;
        }
        let with_tls = self.tls.iter().flat_map(|tls| &tls.listen);
        let with_tls = with_tls.map(|address| (*address, true));
        let plain = self.listen.iter().map(|address| (*address, false));
        for warning in access_warnings(self.settings.keys.as_ref(), plain.chain(with_tls)) {
            write!(f, "\nwarning          {warning}")?;
        }
        Ok(())
    }
}

fn in_words(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    addresses.join(", ")
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Settings that say nothing about the store that is used.
fn warnings(layer: &Layer) -> Vec<&'static str> {
    let is_redis = layer
        .store
        .as_ref()
        .is_some_and(|url| url.starts_with("redis"));
    let given = [
        (
            is_redis && layer.sync.is_some(),
            "--sync says nothing about a Redis store: when a change is safe is set in Redis, by \
             appendonly and appendfsync",
        ),
        (
            !is_redis && layer.redis_prefix.is_some(),
            "--redis-prefix says nothing about a store that is not a Redis; is --store missing?",
        ),
        (
            !is_redis && layer.redis_timeout_ms.is_some(),
            "--redis-timeout says nothing about a store that is not a Redis; is --store missing?",
        ),
        (
            !is_redis && layer.reuse_port == Some(true),
            "--reuse-port without a Redis store: servers that share the port do not share their \
             pools",
        ),
    ];
    let given = given.into_iter().filter(|(given, _)| *given);
    given.map(|(_, warning)| warning).collect()
}

fn read_file(name: &str, path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|error| ConfigError::invalid(name, path.display(), error))
}

fn resolve(flag: &str, listen: &[String]) -> Result<Vec<SocketAddr>, ConfigError> {
    let wrong = |address: &String, why: &dyn fmt::Display| {
        let right = format!("{why}; wanted ADDRESS:PORT, such as 127.0.0.1:8081 or [::]:8081");
        ConfigError::invalid(flag, address, right)
    };
    let mut resolved = Vec::new();
    for address in listen {
        let mut found = address
            .to_socket_addrs()
            .map_err(|error| wrong(address, &error))?;
        resolved.push(
            found
                .next()
                .ok_or_else(|| wrong(address, &"it has no address"))?,
        );
    }
    Ok(resolved)
}

fn parse_store(url: &str, redis: &RedisSettings) -> Result<StoreUrl, ConfigError> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(StoreUrl::Memory),
        Some(("file", path)) if !path.is_empty() => Ok(StoreUrl::File(path.into())),
        Some(("redis" | "rediss" | "redis+unix", _)) => {
            let parsed = redis_url::parse(url);
            let parsed = parsed.map_err(|why| ConfigError::invalid("--store", url, why))?;
            let RedisUrl {
                address,
                tls,
                login,
                database,
            } = parsed;
            let tls = match (tls, &address) {
                (Some(tls), RedisAddress::Tcp(host, _)) => Some(tls.read(host)),
                _ => None,
            };
            let tls = tls.transpose();
            Ok(StoreUrl::Redis(RedisOptions {
                tls: tls.map_err(|why| ConfigError::invalid("--store", url, why))?,
                address,
                login,
                database,
                prefix: redis.prefix.clone(),
                timeout_ms: redis.timeout_ms,
            }))
        }
        _ => Err(ConfigError::invalid(
            "--store",
            url,
            "wanted file:PATH, memory:, redis://HOST[:PORT][/DB], rediss:// for TLS, or \
             redis+unix:///PATH[?db=DB]",
        )),
    }
}

fn cors(value: String) -> Option<String> {
    (value != "none").then_some(value)
}
