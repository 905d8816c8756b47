//! What bounds strangers, apart from what `server` and `lending` say: flags, and the section `limits`
//! of a configuration file.

use std::fmt;
use std::num::NonZeroU32;

use clap::Args;
use serde::Deserialize;

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
        }
    }

    /// Puts what is said into the settings of sessions.
    pub(super) fn apply(&self, settings: &mut Settings) {
        let set = |limit: Option<NonZeroU32>, value: &mut usize| {
            *value = limit.map_or(*value, |limit| limit.get() as usize);
        };
        set(self.max_pipeline, &mut settings.max_pipeline);
        set(self.max_backlog, &mut settings.max_backlog_bytes);
        if let Some(seconds) = self.body_grace {
            settings.body_grace_ms = u64::from(seconds.get()) * 1000;
        }
        settings.min_body_rate = self.min_body_rate.unwrap_or(settings.min_body_rate);
    }
}

/// What `--check` prints of them.
pub(super) fn write(
    settings: &Settings,
    max_per_address: Option<usize>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match max_per_address {
        Some(count) => writeln!(f, "max-per-address  {count}")?,
        None => writeln!(f, "max-per-address  by max-connections")?,
    }
    writeln!(f, "max-pipeline     {}", settings.max_pipeline)?;
    writeln!(f, "max-backlog      {} bytes", settings.max_backlog_bytes)?;
    writeln!(f, "body-grace       {} s", settings.body_grace_ms / 1000)?;
    let rate = settings.min_body_rate;
    writeln!(f, "min-body-rate    {rate} bytes/s")
}
