//! The output of `--check`: the configuration that would be used.

use std::fmt;
use std::net::SocketAddr;

use super::draft::sync_name;
use super::{Capacity, Config, StoreUrl, access_warnings};
use crate::api::{Cors, MethodOverride};

/// A setting, its value, and a note on what its source does not explain.
struct SettingLine {
    name: &'static str,
    value: String,
    note: Option<String>,
}

impl SettingLine {
    /// Returns the line of a count that another limit may lower.
    fn lowered(name: &'static str, wanted: usize, limit: usize, limited_by: &str) -> SettingLine {
        let note = (wanted > limit).then(|| format!("{wanted} is above {limited_by}"));
        SettingLine {
            name,
            value: wanted.min(limit).to_string(),
            note,
        }
    }

    /// Returns the line of a count whose default is `share`.
    fn shared(
        name: &'static str,
        wanted: Option<usize>,
        effective: usize,
        share: &str,
    ) -> SettingLine {
        SettingLine {
            name,
            value: effective.to_string(),
            note: wanted.is_none().then(|| share.to_owned()),
        }
    }
}

impl From<(&'static str, String)> for SettingLine {
    fn from((name, value): (&'static str, String)) -> SettingLine {
        SettingLine {
            name,
            value,
            note: None,
        }
    }
}

impl fmt::Display for Config {
    /// Writes lines of the form `NAME VALUE  (SOURCE)` or `NAME VALUE  (SOURCE: NOTE)`, then the
    /// warnings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for SettingLine { name, value, note } in self.lines() {
            let source = self.origins.of(name);
            match note {
                None => writeln!(f, "{name:<20} {value}  ({source})")?,
                Some(note) => writeln!(f, "{name:<20} {value}  ({source}: {note})")?,
            }
        }
        let with_tls = self.tls.iter().flat_map(|tls| &tls.listen);
        let with_tls = with_tls.map(|address| (*address, true));
        let plain = self.listen.iter().map(|address| (*address, false));
        let addresses = plain.chain(with_tls);
        for warning in &self.warnings {
            writeln!(f, "{:<20} {warning}", "warning")?;
        }
        for warning in access_warnings(self.settings.keys.as_ref(), addresses) {
            writeln!(f, "{:<20} {warning}", "warning")?;
        }
        Ok(())
    }
}

impl Config {
    fn lines(&self) -> Vec<SettingLine> {
        let Config {
            settings, rules, ..
        } = self;
        let mut lines: Vec<SettingLine> = vec![("listen", addresses(&self.listen)).into()];
        match &self.tls {
            None => lines.push(("tls-listen", "none".into()).into()),
            Some(tls) => lines.extend(
                [
                    ("tls-listen", addresses(&tls.listen)),
                    ("tls-cert", tls.cert.display().to_string()),
                    ("tls-key", tls.key.display().to_string()),
                    ("tls-record-size", bytes(tls.record_bytes.into())),
                ]
                .map(SettingLine::from),
            ),
        }
        let sync = match self.store {
            StoreUrl::Redis(_) => "by the settings of Redis",
            _ => sync_name(self.sync),
        };
        let default_ttl = rules.default_ttl.map(|ttl| format!("{} s", ttl.as_s()));
        let keys = match (&self.keys_file, &settings.keys) {
            (Some(path), Some(keys)) => format!("{} in {}", keys.len(), path.display()),
            _ => "none".into(),
        };
        let seed = self.seed.as_ref();
        let seed = seed.map(|seed| format!("{} pools", seed.pool_count()));
        let restore = self.restoration.as_ref();
        let restore = restore.map(|dump| format!("{} pools", dump.pools.len()));
        let log_dir = self.log_dir.as_ref();
        let log_dir = log_dir.map(|folder| folder.display().to_string());
        lines.extend(
            [
                ("admin-listen", addresses(&self.admin_listen)),
                ("metrics-pools", settings.metrics_pools.to_string()),
                ("reuse-port", yes_or_no(self.reuse_port)),
                ("server-name", or(settings.server_name.clone(), "none")),
                ("store", self.store.to_string()),
                ("sync", sync.into()),
                ("must-exist", yes_or_no(self.must_exist)),
                ("commit-timeout", seconds(self.commit_timeout_ms)),
                ("redis-prefix", self.redis.prefix.clone()),
                ("redis-timeout", seconds(self.redis.timeout_ms)),
                ("default-ttl", or(default_ttl, "none")),
                ("max-wait", seconds(rules.max_wait_ms)),
                ("queue-grace", seconds(rules.queue_grace_ms)),
                ("max-requests", self.max_requests.to_string()),
                ("max-wrong-keys", self.max_wrong_keys.to_string()),
                ("max-pipeline", settings.max_pipeline.to_string()),
                ("max-backlog", bytes(settings.max_backlog_bytes)),
                ("max-buffers", bytes(settings.max_buffers)),
                ("body-grace", seconds(settings.body_grace_ms)),
                (
                    "min-body-rate",
                    format!("{} bytes/s", settings.min_body_rate),
                ),
                ("max-pools", rules.max_pools.to_string()),
                ("max-resources", rules.max_resources.to_string()),
                ("max-pool-resources", rules.max_pool_resources.to_string()),
                ("max-body", bytes(settings.limits.body_bytes)),
                ("header-timeout", seconds(settings.header_timeout_ms)),
                ("idle-timeout", seconds(settings.idle_timeout_ms)),
                ("drain", seconds(self.drain_ms)),
                ("cors", cors(&settings.browsers.cors).into()),
                ("host", names(&settings.browsers.hosts)),
                (
                    "no-method-override",
                    yes_or_no(settings.method_override == MethodOverride::Off),
                ),
                ("keys", keys),
                ("require-keys", yes_or_no(self.require_keys)),
                ("restore", or(restore, "none")),
                ("seed", or(seed, "none")),
                ("purge-on-start", yes_or_no(self.purge_on_start)),
                ("log-level", self.log_level.as_str().to_lowercase()),
                ("log-dir", or(log_dir, "CONSOLE")),
            ]
            .map(SettingLine::from),
        );
        lines.extend(self.capacity());
        lines
    }

    /// Returns the limits that depend on each other and on the system.
    fn capacity(&self) -> [SettingLine; 5] {
        let capacity = Capacity::new(
            self.max_connections,
            self.max_per_address,
            self.max_address_waiters,
        );
        let max_connections = match self.max_connections {
            Some(wanted) => SettingLine::lowered(
                "max-connections",
                wanted,
                capacity.max_connections,
                "the descriptor limit less 64",
            ),
            None => SettingLine::shared(
                "max-connections",
                None,
                capacity.max_connections,
                "the descriptor limit less 64",
            ),
        };
        let max_waiters = self.rules.max_waiters.min(capacity.max_waiters);
        [
            max_connections,
            SettingLine::shared(
                "max-per-address",
                self.max_per_address,
                capacity.max_per_address.min(capacity.max_connections),
                "half of the connections, at least 64",
            ),
            SettingLine::lowered(
                "max-waiters",
                self.rules.max_waiters,
                capacity.max_waiters,
                "three quarters of the connections",
            ),
            SettingLine::lowered(
                "max-pool-waiters",
                self.rules.max_pool_waiters,
                max_waiters,
                "max-waiters",
            ),
            SettingLine::shared(
                "max-address-waiters",
                self.max_address_waiters,
                capacity.max_address_waiters.min(max_waiters),
                "half of three quarters of the connections, at least 64",
            ),
        ]
    }
}

fn cors(cors: &Cors) -> &str {
    match cors {
        Cors::Own => "own",
        Cors::Off => "none",
        Cors::Origin(origin) => origin,
        Cors::Any => "*",
    }
}

fn names(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        names => names.join(", "),
    }
}

fn addresses(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    match addresses.is_empty() {
        true => "none".into(),
        false => addresses.join(", "),
    }
}

fn or(value: Option<String>, none: &str) -> String {
    value.unwrap_or_else(|| none.to_owned())
}

fn bytes(count: usize) -> String {
    format!("{count} bytes")
}

fn seconds(ms: u64) -> String {
    let fraction = format!("{:03}", ms % 1000);
    match fraction.trim_end_matches('0') {
        "" => format!("{} s", ms / 1000),
        fraction => format!("{}.{fraction} s", ms / 1000),
    }
}

fn yes_or_no(is_on: bool) -> String {
    if is_on { "yes" } else { "no" }.to_owned()
}
