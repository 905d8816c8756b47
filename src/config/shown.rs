//! What `--check` prints: the configuration that would be used.

use std::fmt;
use std::net::SocketAddr;

use super::draft::sync_name;
use super::{Config, StoreUrl, access_warnings};

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.lines() {
            writeln!(f, "{name:<16} {value}")?;
        }
        let with_tls = self.tls.iter().flat_map(|tls| &tls.listen);
        let with_tls = with_tls.map(|address| (*address, true));
        let plain = self.listen.iter().map(|address| (*address, false));
        let addresses = plain.chain(with_tls);
        for warning in &self.warnings {
            writeln!(f, "{:<16} {warning}", "warning")?;
        }
        for warning in access_warnings(self.settings.keys.as_ref(), addresses) {
            writeln!(f, "{:<16} {warning}", "warning")?;
        }
        Ok(())
    }
}

impl Config {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let Config {
            settings, rules, ..
        } = self;
        let mut lines = vec![("listen", addresses(&self.listen))];
        match &self.tls {
            None => lines.push(("tls-listen", "none".into())),
            Some(tls) => lines.extend([
                ("tls-listen", addresses(&tls.listen)),
                ("tls-cert", tls.cert.display().to_string()),
                ("tls-key", tls.key.display().to_string()),
                ("tls-record-size", bytes(tls.record_bytes.into())),
            ]),
        }
        let sync = match self.store {
            StoreUrl::Redis(_) => "by the settings of Redis",
            _ => sync_name(self.sync),
        };
        let default_ttl = rules.default_ttl.map(|ttl| format!("{} s", ttl.as_s()));
        let max_connections = self.max_connections.map(|count| count.to_string());
        let keys = match (&self.keys_file, &settings.keys) {
            (Some(path), Some(keys)) => format!("{} in {}", keys.len(), path.display()),
            _ => "none".into(),
        };
        let seed = self.seed.as_ref();
        let seed = seed.map(|seed| format!("{} pools", seed.pool_count()));
        let log = match &self.log_dir {
            Some(folder) => format!("{} in {}", self.log_level, folder.display()),
            None => format!("{} on standard error", self.log_level),
        };
        lines.extend([
            ("admin-listen", addresses(&self.admin_listen)),
            ("metrics-pools", settings.metrics_pools.to_string()),
            ("reuse-port", yes_or_no(self.reuse_port)),
            ("store", self.store.to_string()),
            ("sync", sync.into()),
            ("redis-prefix", self.redis.prefix.clone()),
            ("redis-timeout", seconds(self.redis.timeout_ms)),
            ("default-ttl", or(default_ttl, "none")),
            ("max-wait", seconds(rules.max_wait_ms)),
            ("max-waiters", rules.max_waiters.to_string()),
            ("queue-grace", seconds(rules.queue_grace_ms)),
            (
                "max-connections",
                or(max_connections, "by the descriptor limit"),
            ),
            ("max-per-address", or_part(self.max_per_address)),
            ("max-requests", self.max_requests.to_string()),
            ("max-pipeline", settings.max_pipeline.to_string()),
            ("max-backlog", bytes(settings.max_backlog_bytes)),
            ("max-buffers", bytes(settings.max_buffers)),
            ("body-grace", seconds(settings.body_grace_ms)),
            (
                "min-body-rate",
                format!("{} bytes/s", settings.min_body_rate),
            ),
            ("max-pool-waiters", rules.max_pool_waiters.to_string()),
            ("max-address-waiters", or_part(self.max_address_waiters)),
            ("max-pools", rules.max_pools.to_string()),
            ("max-resources", rules.max_resources.to_string()),
            ("max-pool-resources", rules.max_pool_resources.to_string()),
            ("max-body", bytes(settings.limits.body_bytes)),
            ("header-timeout", seconds(settings.header_timeout_ms)),
            ("idle-timeout", seconds(settings.idle_timeout_ms)),
            ("drain", seconds(self.drain_ms)),
            ("cors", or(settings.cors.clone(), "none")),
            ("keys", keys),
            ("seed", or(seed, "none")),
            ("purge-on-start", yes_or_no(self.purge_on_start)),
            ("log", log),
        ]);
        lines
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

fn or_part(limit: Option<usize>) -> String {
    or(limit.map(|count| count.to_string()), "half of all")
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
