//! The values of all sources together, before they are checked as a whole. The defaults are here.

use std::num::NonZeroU32;
use std::path::PathBuf;

use log::LevelFilter;

use super::origins::Origins;
use super::tls::TlsDraft;
use crate::api::{Cors, MethodOverride};
use crate::pool::Rules;
use crate::session::Settings;
use crate::store::{COMMIT_TIMEOUT_MS, Sync};

/// The values of the sources read so far: the last source that sets a value counts. `None` means
/// that no source sets it.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) listen: Option<Vec<String>>,
    pub(super) admin_listen: Vec<String>,
    pub(super) tls: TlsDraft,
    pub(super) reuse_port: bool,
    /// The Node original would start several processes then.
    pub(super) cluster: bool,
    pub(super) keys: Option<PathBuf>,
    pub(super) require_keys: bool,
    pub(super) store: String,
    pub(super) sync: Option<Sync>,
    pub(super) must_exist: bool,
    pub(super) commit_timeout_ms: u64,
    pub(super) redis_prefix: Option<String>,
    pub(super) redis_timeout_ms: Option<u64>,
    pub(super) restore: Option<PathBuf>,
    pub(super) seed: Option<PathBuf>,
    pub(super) purge_on_start: bool,
    pub(super) settings: Settings,
    pub(super) rules: Rules,
    pub(super) max_connections: Option<usize>,
    pub(super) max_per_address: Option<usize>,
    pub(super) max_address_waiters: Option<usize>,
    pub(super) max_requests: usize,
    pub(super) max_wrong_keys: usize,
    pub(super) drain_ms: u64,
    pub(super) log_level: LevelFilter,
    pub(super) log_dir: Option<PathBuf>,
    pub(super) origins: Origins,
}

impl Default for Draft {
    fn default() -> Draft {
        Draft {
            listen: None,
            admin_listen: Vec::new(),
            tls: TlsDraft::default(),
            reuse_port: false,
            cluster: false,
            keys: None,
            require_keys: false,
            store: "file:latchd.redb".into(),
            sync: None,
            must_exist: false,
            commit_timeout_ms: COMMIT_TIMEOUT_MS,
            redis_prefix: None,
            redis_timeout_ms: None,
            restore: None,
            seed: None,
            purge_on_start: false,
            settings: Settings::default(),
            rules: Rules::default(),
            max_connections: None,
            max_per_address: None,
            max_address_waiters: None,
            max_requests: 100_000,
            max_wrong_keys: 60,
            drain_ms: 10_000,
            log_level: LevelFilter::Info,
            log_dir: None,
            origins: Origins::default(),
        }
    }
}

impl Draft {
    pub(super) fn put_cors(&mut self, origin: &str) -> Result<(), &'static str> {
        self.settings.browsers.cors = match origin {
            "own" => Cors::Own,
            "none" => Cors::Off,
            "*" => Cors::Any,
            _ => Cors::parse_origin(origin)
                .ok_or("wanted an origin such as https://example.org, *, own or none")?,
        };
        Ok(())
    }

    pub(super) fn put_no_method_override(&mut self, is_on: bool) {
        self.settings.method_override = match is_on {
            true => MethodOverride::Off,
            false => MethodOverride::Taken,
        };
    }

    pub(super) fn put_min_body_rate(&mut self, bytes: usize) {
        if let Some(rate) = NonZeroU32::new(bytes as u32) {
            self.settings.min_body_rate = rate;
        }
    }

    /// Sets the store. The URL is parsed once all settings are known, and the files that it names
    /// are read then.
    pub(super) fn put_store(&mut self, url: &str) -> Result<(), &'static str> {
        self.store = url.to_owned();
        Ok(())
    }

    pub(super) fn put_sync(&mut self, name: &str) -> Result<(), &'static str> {
        let found = SYNCS.iter().find(|(_, known)| *known == name);
        let (sync, _) = found.ok_or("wanted always, interval or never")?;
        self.sync = Some(*sync);
        Ok(())
    }

    pub(super) fn put_redis_prefix(&mut self, prefix: &str) -> Result<(), &'static str> {
        let is_graphic = prefix.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_graphic || !(1..=64).contains(&prefix.len()) {
            return Err("wanted 1 to 64 printable ASCII characters without spaces");
        }
        self.redis_prefix = Some(prefix.to_owned());
        Ok(())
    }

    /// Sets the timeout of Redis. The bounds catch milliseconds, the unit of other programs.
    pub(super) fn put_redis_timeout(&mut self, seconds: f64) -> Result<(), &'static str> {
        if !(0.01..=300.0).contains(&seconds) {
            return Err("wanted seconds, 0.01 to 300");
        }
        self.redis_timeout_ms = Some((seconds * 1000.0).round() as u64);
        Ok(())
    }

    /// Sets the `Server` header field; an empty name omits it.
    pub(super) fn put_server_name(&mut self, name: &str) -> Result<(), &'static str> {
        let is_printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let name = name.trim_matches(' ');
        if name.len() > 128 || !name.bytes().all(is_printable) {
            return Err("wanted at most 128 printable ASCII characters");
        }
        self.settings.server_name = (!name.is_empty()).then(|| name.to_owned());
        Ok(())
    }

    /// Accepts the words and the numbers of the Node original's logger. A number in between logs
    /// what is at least as severe.
    pub(super) fn put_log_level(&mut self, level: &str) -> Result<(), &'static str> {
        self.log_level = match level.parse::<u8>() {
            Ok(10) => LevelFilter::Trace,
            Ok(11..=20) => LevelFilter::Debug,
            Ok(21..=30) => LevelFilter::Info,
            Ok(31..=40) => LevelFilter::Warn,
            Ok(41..=60) => LevelFilter::Error,
            // No level is above an error here.
            _ if level.eq_ignore_ascii_case("fatal") => LevelFilter::Error,
            _ => level.parse().map_err(|_| {
                "wanted off, fatal, error, warn, info, debug or trace, or a number, 10 (trace) to 60 (fatal)"
            })?,
        };
        Ok(())
    }

    /// Sets the folder of the log. `CONSOLE` is the Node original's word for standard error.
    pub(super) fn put_log_dir(&mut self, folder: PathBuf) {
        self.log_dir = (folder.as_os_str() != "CONSOLE").then_some(folder);
    }
}

const SYNCS: [(Sync, &str); 3] = [
    (Sync::Always, "always"),
    (Sync::Interval, "interval"),
    (Sync::Never, "never"),
];

pub(super) fn sync_name(sync: Sync) -> &'static str {
    let found = SYNCS.iter().find(|(known, _)| *known == sync);
    found.map_or("", |(_, name)| name)
}
