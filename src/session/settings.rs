//! What all sessions of a server have in common.

use std::num::NonZeroU32;

use crate::http::{Credentials, Limits, SiteFields};
use crate::keys::{Caller, Keys};

/// A tenth of what the slowest modems carry, in bytes a second.
const MIN_BODY_RATE: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");

/// Limits and time-outs of a session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How much of a request is taken.
    pub limits: Limits,
    /// The most requests of one client that are in hand at a time; further ones wait in their
    /// socket.
    pub max_pipeline: usize,
    /// How many bytes of answers may wait for a client before its requests are left unread.
    pub max_backlog_bytes: usize,
    /// How long the head of a request, or the next piece of its body, may take to arrive.
    pub header_timeout_ms: u64,
    /// How much may be held of requests that are not whole and of answers that are not taken, by all
    /// sessions together, before no more large ones are begun. Some 16 KiB of each are not counted.
    pub max_buffers: usize,
    /// How long a body may be behind its pace.
    pub body_grace_ms: u64,
    /// The pace of a body, in bytes a second.
    pub min_body_rate: NonZeroU32,
    /// How long a client may say nothing, or not take its answers.
    pub idle_timeout_ms: u64,
    /// How long, after the last answer, what a client still sends is read and dropped.
    pub linger_ms: u64,
    /// The value of `Access-Control-Allow-Origin`; `None` leaves all CORS fields out.
    pub cors: Option<String>,
    /// The value of the `Server` header field; `None` leaves it out.
    pub server_name: Option<String>,
    /// How many pools are shown one by one in the metrics.
    pub metrics_pools: usize,
    /// The server is about to end: whoever asks whether it is ready is told so.
    pub stopping: bool,
    /// Who may do what; `None` lets everybody do everything.
    pub keys: Option<Keys>,
}

impl Settings {
    /// The header fields that all answers have in common.
    pub(super) fn site_fields(&self) -> SiteFields<'_> {
        SiteFields {
            server: self.server_name.as_deref(),
            cors: self.cors.as_deref(),
        }
    }

    /// Who shows these credentials.
    pub(super) fn caller(&self, credentials: Credentials<'_>) -> Caller<'_> {
        match &self.keys {
            None => Caller::Anyone,
            Some(keys) => keys.caller(credentials),
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            limits: Limits {
                head_bytes: 8 << 10,
                body_bytes: 1 << 20,
            },
            max_pipeline: 128,
            max_backlog_bytes: 64 << 10,
            // Some modules take 30 s to hand over a header block.
            header_timeout_ms: 60_000,
            max_buffers: 64 << 20,
            // As long as its head: what devices send is mostly here by then, even byte by byte.
            body_grace_ms: 60_000,
            min_body_rate: MIN_BODY_RATE,
            // Longer than the pause of a device that asks once a minute.
            idle_timeout_ms: 120_000,
            linger_ms: 2_000,
            cors: Some("*".into()),
            server_name: None,
            metrics_pools: 100,
            stopping: false,
            keys: None,
        }
    }
}
