//! The reply of Redis to `INFO`: its process, and settings that lose locks.

use std::str::FromStr;

/// The lines of `INFO` that are used here.
#[derive(Debug, Default)]
pub(super) struct Info {
    run_id: String,
    replication_id: String,
    keeps_file: Option<bool>,
    eviction: String,
}

/// The text is not a reply to `INFO`.
#[derive(Debug)]
pub(super) struct NotInfo;

impl FromStr for Info {
    type Err = NotInfo;

    fn from_str(text: &str) -> Result<Info, NotInfo> {
        let mut info = Info::default();
        let mut is_info = false;
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim_end();
            match name {
                "redis_version" => is_info = true,
                "run_id" => info.run_id = value.into(),
                "master_replid" => info.replication_id = value.into(),
                "aof_enabled" => info.keeps_file = Some(value == "1"),
                "maxmemory_policy" => info.eviction = value.into(),
                _ => {}
            }
        }
        is_info.then_some(info).ok_or(NotInfo)
    }
}

impl Info {
    /// Returns a name of the data's history: a restarted Redis, or one that took over the data of another, has
    /// another name. It is empty if Redis does not tell.
    pub(super) fn history(&self) -> String {
        match self.run_id.as_str() {
            "" => String::new(),
            run_id => format!("{run_id}/{}", self.replication_id),
        }
    }

    /// Returns warnings of settings that lose locks.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.run_id.is_empty() {
            warnings.push(
                "INFO tells no run_id, so each new connection counts as a restart of Redis; the user needs +info"
                    .into(),
            );
        }
        if self.keeps_file == Some(false) {
            warnings.push(
                "it keeps no append-only file, so a restart loses locks; set appendonly yes".into(),
            );
        }
        if !["", "noeviction"].contains(&self.eviction.as_str()) {
            warnings.push(format!(
                "its maxmemory-policy is {}, so it drops locks when it is full; set noeviction",
                self.eviction
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::Info;

    #[test]
    fn settings_that_lose_locks_are_warned_of() {
        let info = |text: &str| text.parse::<Info>().expect("it is INFO");
        let good = "# Server\r\nredis_version:7.0.15\r\nrun_id:a1\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n\
                    # Persistence\r\naof_enabled:1\r\n# Replication\r\nmaster_replid:b2\r\n";
        assert_eq!(info(good).warnings(), Vec::<String>::new());
        assert_eq!(info(good).history(), "a1/b2");
        let bad = good
            .replace("noeviction", "allkeys-lru")
            .replace("aof_enabled:1", "aof_enabled:0");
        let warnings = info(&bad).warnings();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("appendonly yes"), "{warnings:?}");
        assert!(warnings[1].contains("is allkeys-lru"), "{warnings:?}");
        let silent = info("redis_version:6.0.0\r\n");
        assert_eq!(silent.history(), "");
        assert!(silent.warnings()[0].contains("+info"));
        assert!("OK".parse::<Info>().is_err());
    }
}
