//! The configuration file, in JSON5: the keys that users of the Node original have, and one for
//! each flag.

use std::path::PathBuf;

use log::LevelFilter;
use serde::Deserialize;

use super::flags::{Layer, MAX_METRICS_POOLS, parse_cors, parse_prefix, timeout_ms};
use super::limits::Limits;
use super::mask::masked;
use super::tls::{TlsLayer, is_record_size};
use super::{ConfigError, Sync, redis_url};
use crate::command::Ttl;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    server: Server,
    tls: TlsLayer,
    store: Store,
    lending: Lending,
    limits: Limits,
    redis: Redis,
    logging: Logging,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Server {
    port: Option<u16>,
    host: Option<String>,
    listen: Option<Vec<String>>,
    admin_listen: Option<Vec<String>>,
    metrics_pools: Option<u32>,
    max_connections: Option<u32>,
    max_body: Option<u32>,
    header_timeout: Option<u32>,
    idle_timeout: Option<u32>,
    drain: Option<u32>,
    cors: Option<String>,
    keys: Option<PathBuf>,
    reuse_port: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Store {
    url: Option<String>,
    sync: Option<String>,
    seed: Option<PathBuf>,
    purge_on_start: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Lending {
    default_ttl: Option<u32>,
    max_wait: Option<u32>,
    max_waiters: Option<u32>,
    queue_grace: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Redis {
    url: Option<String>,
    prefix: Option<String>,
    timeout: Option<f64>,
    purge_on_load: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Logging {
    dir: Option<PathBuf>,
    level: Option<String>,
}

/// Reads the text of a configuration. `source` names it in errors.
pub(super) fn parse(source: &str, text: &str) -> Result<Layer, ConfigError> {
    let file: File = json5::from_str(text)
        .map_err(|error| ConfigError::Invalid(format!("{source}: {}", error)))?;
    let File {
        server,
        tls,
        store,
        lending,
        limits,
        redis,
        logging,
    } = file;
    let wrong = |key: &str, why: &str| ConfigError::Invalid(format!("{source}: {key}: {why}"));

    if let Some(url) = &redis.url {
        let key = format!("redis.url {}", masked(url));
        redis_url::parse(url).map_err(|why| wrong(&key, why))?;
        if store.url.is_some() {
            return Err(wrong("redis.url", "give either this or store.url"));
        }
    }
    if redis.purge_on_load.is_some() && store.purge_on_start.is_some() {
        let why = "give either this or store.purgeOnStart, which means the same";
        return Err(wrong("redis.purgeOnLoad", why));
    }
    for (key, value) in [
        ("server.maxConnections", server.max_connections),
        ("server.maxBody", server.max_body),
        ("server.headerTimeout", server.header_timeout),
        ("server.idleTimeout", server.idle_timeout),
        ("lending.maxWait", lending.max_wait),
    ] {
        if value == Some(0) {
            return Err(wrong(key, "must be 1 or more"));
        }
    }
    if lending
        .default_ttl
        .is_some_and(|seconds| Ttl::from_s(seconds).is_none())
    {
        return Err(wrong("lending.defaultTtl", "must be 1 to 31536000"));
    }
    if let Some(bytes) = tls.record_size
        && !is_record_size(bytes)
    {
        return Err(wrong("tls.recordSize", "must be 512 to 16384"));
    }
    if let Some(count) = server.metrics_pools
        && count > MAX_METRICS_POOLS
    {
        let why = format!("must be 0 to {MAX_METRICS_POOLS}");
        return Err(wrong("server.metricsPools", &why));
    }
    let cors = server.cors.map(|value| parse_cors(&value)).transpose();
    let sync = store.sync.map(|name| parse_sync(&name)).transpose();
    let prefix = redis.prefix.map(|prefix| parse_prefix(&prefix)).transpose();
    let timeout = redis.timeout.map(timeout_ms).transpose();
    let level = logging.level.map(|name| parse_level(&name)).transpose();
    Ok(Layer {
        listen: listen(server.listen, server.host, server.port)
            .map_err(|why| wrong("server", why))?,
        admin_listen: server.admin_listen,
        metrics_pools: server.metrics_pools,
        max_connections: server.max_connections,
        max_body: server.max_body,
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        drain: server.drain,
        cors: cors.map_err(|why| wrong("server.cors", &why))?,
        keys: server.keys,
        reuse_port: server.reuse_port,
        limits,
        tls,
        default_ttl: lending.default_ttl,
        max_wait: lending.max_wait,
        max_waiters: lending.max_waiters,
        queue_grace: lending.queue_grace,
        store: store.url.or(redis.url),
        sync: sync.map_err(|why| wrong("store.sync", why))?,
        redis_prefix: prefix.map_err(|why| wrong("redis.prefix", why))?,
        redis_timeout_ms: timeout.map_err(|why| wrong("redis.timeout", why))?,
        seed: store.seed,
        purge_on_start: store.purge_on_start.or(redis.purge_on_load),
        log_level: level.map_err(|why| wrong("logging.level", why))?,
        log_dir: logging.dir,
    })
}

/// The Node original listens on all addresses where only a port is given, and so does this.
fn listen(
    listen: Option<Vec<String>>,
    host: Option<String>,
    port: Option<u16>,
) -> Result<Option<Vec<String>>, &'static str> {
    match (listen, host, port) {
        (listen, None, None) => Ok(listen),
        (None, host, Some(port)) => {
            let host = host.unwrap_or_else(|| "0.0.0.0".into());
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host
            };
            Ok(Some(vec![format!("{host}:{port}")]))
        }
        (None, Some(_), None) => Err("host needs a port"),
        (Some(_), ..) => Err("give either listen, or port and host"),
    }
}

fn parse_sync(name: &str) -> Result<Sync, &'static str> {
    clap::ValueEnum::from_str(name, false).map_err(|_| "wanted always, interval or never")
}

fn parse_level(name: &str) -> Result<LevelFilter, &'static str> {
    name.parse()
        .map_err(|_| "wanted off, error, warn, info, debug or trace")
}
