//! Flags, environment and files, in that order of precedence, to one checked configuration.
//!
//! All errors of a configuration are found here, before anything is opened.

mod capacity;
mod draft;
mod file;
mod flags;
mod folder;
#[cfg(fuzzing)]
pub mod fuzzing;
mod keys;
mod machine;
mod mask;
mod origins;
mod private;
mod redis_tls;
mod redis_url;
mod setting;
mod shown;
mod table;
mod tls;
mod variables;

use std::fmt;
use std::io::Read;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::{env, fs};

use log::LevelFilter;

use crate::api;
use crate::client::parse_with_zone;
use crate::command::{Restoration, Seed};
use crate::ping::Target;
use crate::pool::Rules;
use crate::session::Settings;
use crate::store::{RedisAddress, RedisOptions, Sync};
pub use capacity::Capacity;
use draft::Draft;
use file::Files;
use flags::Flags;
pub use keys::{access_warnings, key_warnings, read_keys};
use mask::masked;
use origins::Origins;
use redis_url::RedisUrl;
pub use tls::Tls;

/// The task of the process.
#[derive(Debug)]
pub enum Invocation {
    /// Serve, or only check the configuration.
    Serve(Box<Config>),
    /// Ask whether a server lives, and exit.
    Ping(Target),
}

impl Invocation {
    /// Reads the command line, the environment, and the files that they name. A health check reads
    /// none of the server's files: it may have no access to them.
    pub fn read() -> Result<Invocation, ConfigError> {
        let flags = Flags::parse(env::args_os())?;
        match flags.ping()? {
            Some(target) => Ok(Invocation::Ping(target)),
            None => Ok(Invocation::Serve(Box::new(Config::read(&flags)?))),
        }
    }
}

/// The checked configuration of the server.
#[derive(Debug)]
pub struct Config {
    /// Addresses to listen on without TLS.
    pub listen: Vec<SocketAddr>,
    /// Addresses to listen on with TLS, and the certificate; `None` means no TLS.
    pub tls: Option<Tls>,
    /// Addresses that serve the metrics; if empty, the other listeners serve them.
    pub admin_listen: Vec<SocketAddr>,
    /// Whether to share the ports with other processes.
    pub reuse_port: bool,
    /// The store.
    pub store: StoreUrl,
    /// The moment when a change in a file counts as durable.
    pub sync: Sync,
    /// Whether the store must exist already.
    pub must_exist: bool,
    /// The time in milliseconds after which a commit counts as failed.
    pub commit_timeout_ms: u64,
    /// The operator's rules for grants.
    pub rules: Rules,
    /// Limits and timeouts of a connection.
    pub settings: Settings,
    /// The file that holds the keys of `settings`, if there are any.
    pub keys_file: Option<PathBuf>,
    /// Whether the server refuses to start without keys.
    require_keys: bool,
    /// The most connections; `None` means what the system's descriptor limit allows.
    pub max_connections: Option<usize>,
    /// The most connections of one address; `None` means a share of all.
    pub max_per_address: Option<usize>,
    /// The most waiters of one address; `None` means a share of all.
    pub max_address_waiters: Option<usize>,
    /// The most requests in flight in all, without those that are queued.
    pub max_requests: usize,
    /// The most wrong keys of one address in a minute; 0 means no limit.
    pub max_wrong_keys: usize,
    /// The time limit in milliseconds for requests in flight when the server stops.
    pub drain_ms: u64,
    /// Pools to add at the start.
    pub seed: Option<Seed>,
    /// A dump to restore before all else; its fences continue at a higher number.
    pub restoration: Option<Restoration>,
    /// Whether to release every lock at the start.
    pub purge_on_start: bool,
    /// The least severe level that is logged.
    pub log_level: LevelFilter,
    /// The folder of the log file; `None` means standard error.
    pub log_dir: Option<PathBuf>,
    /// Whether only to check the configuration.
    pub check: bool,
    /// Warnings about settings that are valid, but probably unintended.
    pub warnings: Vec<String>,
    redis: RedisSettings,
    origins: Origins,
}

/// The store of the pools: `--store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// In memory; the pools are lost when the process ends.
    Memory,
    /// In a file.
    File(PathBuf),
    /// In a Redis, which other servers may share.
    Redis(RedisOptions),
}

impl fmt::Display for StoreUrl {
    /// Formats the URL without the password of a Redis.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Memory => f.write_str("memory:"),
            StoreUrl::File(path) => write!(f, "file:{}", path.display()),
            StoreUrl::Redis(options) => options.fmt(f),
        }
    }
}

/// Settings of a Redis apart from its URL.
#[derive(Clone, Debug)]
struct RedisSettings {
    prefix: String,
    timeout_ms: u64,
}

fn read_dump_file(path: &Path) -> Result<Restoration, ConfigError> {
    let mut file = fs::File::open(path)
        .map_err(|error| ConfigError::invalid("--restore", path.display(), error))?;
    let (mut reader, mut piece) = (api::DumpReader::default(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut piece);
        match read.map_err(|error| ConfigError::invalid("--restore", path.display(), error))? {
            0 => break,
            count => reader.take(&piece[..count]),
        }
    }
    let dump = reader.finish();
    dump.map_err(|error| ConfigError::invalid("--restore", path.display(), error))
}

fn read_seed_file(path: &Path) -> Result<Seed, ConfigError> {
    let text = read_file("--seed", path)?;
    api::read_seed(text.as_bytes())
        .map_err(|error| ConfigError::invalid("--seed", path.display(), error))
}

/// The reason why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The command line is wrong, or asks for help; holds what to print, and where.
    Usage(clap::Error),
    /// A value is wrong.
    Invalid(String),
}

impl ConfigError {
    fn invalid(name: &str, value: impl fmt::Display, right: impl fmt::Display) -> ConfigError {
        let value = masked(&value.to_string());
        let space = if value.is_empty() { "" } else { " " };
        ConfigError::Invalid(format!("{name}{space}{value}: {right}"))
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
    /// Reads all sources, in ascending order of precedence: the last one that sets a value counts.
    fn read(flags: &Flags) -> Result<Config, ConfigError> {
        let mut draft = Draft::default();
        let mut files = Files::new(&mut draft);
        let mut warnings = Vec::new();
        match flags.config() {
            Some((_, path)) if path.is_dir() => folder::put(&path, &mut files)?,
            Some((name, path)) => {
                let text = read_file(name, &path)?;
                files.put(&path.display().to_string(), &text)?;
            }
            None => warnings.extend(folder::unnamed_folder()),
        }
        if let Some(text) = env::var_os("NODE_CONFIG").filter(|text| !text.is_empty()) {
            let text = text.into_string();
            let text = text.map_err(|_| ConfigError::Invalid("NODE_CONFIG: not UTF-8".into()))?;
            files.put("NODE_CONFIG", &text)?;
        }
        files.finish()?;
        flags.put(&mut draft)?;
        warnings.extend(variables::warnings(env::vars_os()));
        Config::from_draft(draft, warnings, flags.check())
    }

    fn from_draft(
        draft: Draft,
        mut warnings: Vec<String>,
        check: bool,
    ) -> Result<Config, ConfigError> {
        warnings.extend(unlikely_settings(&draft).map(str::to_owned));
        let mut settings = draft.settings;
        settings.browsers.hosts = settings
            .browsers
            .hosts
            .iter()
            .map(|name| parse_host(name))
            .collect::<Result<_, _>>()?;
        settings.browsers.machine_names = machine::names();
        settings.keys = draft.keys.as_deref().map(read_keys).transpose()?;
        if draft.require_keys && settings.keys.is_none() {
            let problem = "--require-keys: there are no keys; wanted --keys FILE";
            return Err(ConfigError::Invalid(problem.into()));
        }
        let tls = Tls::from_draft(draft.tls)?;
        let listen = draft.listen.unwrap_or_else(|| match tls {
            Some(_) => Vec::new(),
            None => vec!["127.0.0.1:8081".into()],
        });
        let redis = RedisSettings {
            prefix: draft.redis_prefix.unwrap_or_else(|| "pool:".into()),
            timeout_ms: draft.redis_timeout_ms.unwrap_or(2000),
        };
        let store = parse_store(&draft.store, &redis)?;
        if draft.must_exist && matches!(store, StoreUrl::Memory) {
            let problem =
                "--must-exist: memory: is new at each start; name a store in a file or in Redis";
            return Err(ConfigError::Invalid(problem.into()));
        }
        Ok(Config {
            listen: resolve("--listen", &listen)?,
            tls,
            admin_listen: resolve("--admin-listen", &draft.admin_listen)?,
            reuse_port: draft.reuse_port,
            store,
            sync: draft.sync.unwrap_or_default(),
            must_exist: draft.must_exist,
            commit_timeout_ms: draft.commit_timeout_ms,
            rules: draft.rules,
            settings,
            keys_file: draft.keys,
            require_keys: draft.require_keys,
            max_connections: draft.max_connections,
            max_per_address: draft.max_per_address,
            max_address_waiters: draft.max_address_waiters,
            max_requests: draft.max_requests,
            max_wrong_keys: draft.max_wrong_keys,
            drain_ms: draft.drain_ms,
            seed: draft.seed.as_deref().map(read_seed_file).transpose()?,
            restoration: draft.restore.as_deref().map(read_dump_file).transpose()?,
            purge_on_start: draft.purge_on_start,
            log_level: draft.log_level,
            log_dir: draft.log_dir,
            check,
            warnings,
            redis,
            origins: draft.origins,
        })
    }
}

/// Warns of settings that have no effect, or not the apparent one.
fn unlikely_settings(draft: &Draft) -> impl Iterator<Item = &'static str> {
    let is_redis = draft.store.starts_with("redis");
    let given = [
        (
            draft.cluster,
            "server.cluster starts no further processes: one serves all. Several share a port with \
             --reuse-port, and their pools in a Redis",
        ),
        (
            is_redis && draft.sync.is_some(),
            "--sync says nothing about a Redis store: when a change is safe is set in Redis, by \
             appendonly and appendfsync",
        ),
        (
            !is_redis && draft.redis_prefix.is_some(),
            "--redis-prefix says nothing about a store that is not a Redis; is --store missing?",
        ),
        (
            !is_redis && draft.redis_timeout_ms.is_some(),
            "--redis-timeout says nothing about a store that is not a Redis; is --store missing?",
        ),
        (
            !is_redis && draft.reuse_port,
            "--reuse-port without a Redis store: servers that share the port do not share their \
             pools",
        ),
    ];
    let given = given.into_iter().filter(|(given, _)| *given);
    given.map(|(_, warning)| warning)
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
        if let Some(with_zone) = parse_with_zone(address) {
            resolved.push(with_zone.map_err(|why| ConfigError::invalid(flag, address, why))?);
            continue;
        }
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

/// Parses the name of a host as browsers write it.
fn parse_host(name: &str) -> Result<String, ConfigError> {
    if !api::is_host_name(name) {
        let right = "wanted the name of a host, such as locks.example.org, without a port";
        return Err(ConfigError::invalid("--host", name, right));
    }
    Ok(name.to_ascii_lowercase())
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
