//! What bounds strangers, apart from what `server` and `lending` say: flags, and the section `limits`
//! of a configuration file.

use std::fmt;
use std::num::NonZeroU32;

use clap::Args;
use serde::Deserialize;

use super::Config;
use crate::pool::Rules;
use crate::session::Settings;

/// The limits from one source. What is `None` is left to the next one.
#[derive(Args, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(super) struct Limits {
    /// The most connections of one IPv4 address, or IPv6 network (/64) [default: half of all, but at
    /// least 64]
    #[arg(
        long,
        value_name = "COUNT",
        env = "LATCHD_MAX_PER_ADDRESS",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_per_address: Option<NonZeroU32>,

    /// The most requests of one connection that are in hand; others wait [default: 128]
    #[arg(
        long,
        value_name = "COUNT",
        env = "LATCHD_MAX_PIPELINE",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_pipeline: Option<NonZeroU32>,

    /// How much of its answers a client may leave untaken and still be read from [default: 65536]
    #[arg(
        long,
        value_name = "BYTES",
        env = "LATCHD_MAX_BACKLOG",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_backlog: Option<NonZeroU32>,

    /// How long a body may take to arrive, however slowly it comes [default: 60]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "LATCHD_BODY_GRACE",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) body_grace: Option<NonZeroU32>,

    /// How much of a body must come in each second that it takes longer [default: 100]
    #[arg(
        long,
        value_name = "BYTES",
        env = "LATCHD_MIN_BODY_RATE",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) min_body_rate: Option<NonZeroU32>,

    /// The most requests in hand in all, not counting those in line; others wait [default: 100000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "LATCHD_MAX_REQUESTS",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_requests: Option<NonZeroU32>,

    /// How much of bodies that are not whole and of answers that are not taken is held in all, a little
    /// of each not counted, before no more large ones are begun [default: 67108864]
    #[arg(
        long,
        value_name = "BYTES",
        env = "LATCHD_MAX_BUFFERS",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_buffers: Option<NonZeroU32>,

    /// The most who stand in line for one pool [default: 10000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "LATCHD_MAX_POOL_WAITERS",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_pool_waiters: Option<NonZeroU32>,

    /// The most who stand in line from one address [default: half of all, but at least 64]
    #[arg(
        long,
        value_name = "COUNT",
        env = "LATCHD_MAX_ADDRESS_WAITERS",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_address_waiters: Option<NonZeroU32>,

    /// The most pools [default: 100000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "LATCHD_MAX_POOLS",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_pools: Option<NonZeroU32>,

    /// The most resources, in all pools together; not on a Redis [default: 1000000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "LATCHD_MAX_RESOURCES",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_resources: Option<NonZeroU32>,

    /// The most resources of one pool [default: 1000000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "LATCHD_MAX_POOL_RESOURCES",
        hide_env = true,
        help_heading = "Limits"
    )]
    pub(super) max_pool_resources: Option<NonZeroU32>,
}

impl Limits {
    /// These where they say something, and `lower` where they do not.
    pub(super) fn over(self, lower: Limits) -> Limits {
        Limits {
            max_per_address: self.max_per_address.or(lower.max_per_address),
            max_pipeline: self.max_pipeline.or(lower.max_pipeline),
            max_backlog: self.max_backlog.or(lower.max_backlog),
            body_grace: self.body_grace.or(lower.body_grace),
            min_body_rate: self.min_body_rate.or(lower.min_body_rate),
            max_requests: self.max_requests.or(lower.max_requests),
            max_buffers: self.max_buffers.or(lower.max_buffers),
            max_pool_waiters: self.max_pool_waiters.or(lower.max_pool_waiters),
            max_address_waiters: self.max_address_waiters.or(lower.max_address_waiters),
            max_pools: self.max_pools.or(lower.max_pools),
            max_resources: self.max_resources.or(lower.max_resources),
            max_pool_resources: self.max_pool_resources.or(lower.max_pool_resources),
        }
    }

    /// Puts what is said into the settings of sessions and the rules of lending.
    pub(super) fn apply(&self, settings: &mut Settings, rules: &mut Rules) {
        let set = |limit: Option<NonZeroU32>, value: &mut usize| {
            *value = limit.map_or(*value, |limit| limit.get() as usize);
        };
        set(self.max_pipeline, &mut settings.max_pipeline);
        set(self.max_backlog, &mut settings.max_backlog_bytes);
        set(self.max_buffers, &mut settings.max_buffers);
        set(self.max_pool_waiters, &mut rules.max_pool_waiters);
        set(self.max_pools, &mut rules.max_pools);
        set(self.max_resources, &mut rules.max_resources);
        set(self.max_pool_resources, &mut rules.max_pool_resources);
        if let Some(seconds) = self.body_grace {
            settings.body_grace_ms = u64::from(seconds.get()) * 1000;
        }
        settings.min_body_rate = self.min_body_rate.unwrap_or(settings.min_body_rate);
    }
}

impl Config {
    /// What `--check` prints of them.
    pub(super) fn write_limits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config {
            settings, rules, ..
        } = self;
        let or_part = |limit: Option<usize>| {
            limit.map_or("half of all".to_owned(), |count| count.to_string())
        };
        let bytes = |count: usize| format!("{count} bytes");
        let lines = [
            ("max-per-address", or_part(self.max_per_address)),
            ("max-requests", self.max_requests.to_string()),
            ("max-pipeline", settings.max_pipeline.to_string()),
            ("max-backlog", bytes(settings.max_backlog_bytes)),
            ("max-buffers", bytes(settings.max_buffers)),
            ("body-grace", format!("{} s", settings.body_grace_ms / 1000)),
            (
                "min-body-rate",
                format!("{} bytes/s", settings.min_body_rate),
            ),
            ("max-pool-waiters", rules.max_pool_waiters.to_string()),
            ("max-address-waiters", or_part(self.max_address_waiters)),
            ("max-pools", rules.max_pools.to_string()),
            ("max-resources", rules.max_resources.to_string()),
            ("max-pool-resources", rules.max_pool_resources.to_string()),
        ];
        lines
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "{name:<16} {value}"))
    }
}
