//! What all sessions of a server have in common.

use std::num::NonZeroU32;

use crate::api::{Access, BrowserPolicy, ListenerRole, MethodOverride};
use crate::http::{BrowserFields, Head, Limits};
use crate::keys::{Caller, Keys};
use crate::time::Time;

/// A tenth of what the slowest modems carry, in bytes a second.
const MIN_BODY_RATE: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");

/// Limits and time-outs of a session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How much of a request is taken.
    pub limits: Limits,
    /// The most requests of one client that are in flight at a time; further ones wait in their
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
    /// Which requests of browsers are carried out.
    pub browsers: BrowserPolicy,
    /// Whether `_method` stands for the method of a POST, where no page sends it.
    pub method_override: MethodOverride,
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
    /// Returns the rights of a request with this head, received by a listener of this role.
    #[inline]
    pub(super) fn access(
        &self,
        head: &Head<'_>,
        listener_role: ListenerRole,
        has_tls: bool,
        now: Time,
    ) -> Access<'_> {
        let caller = match &self.keys {
            None => Caller::AuthDisabled,
            Some(keys) => keys.caller(head.credentials, now),
        };
        let mut access = Access {
            listener_role,
            caller,
            method_override: self.method_override,
            refused: None,
        };
        if let Some(head_bytes) = head.browser {
            let marks = BrowserFields::read(head_bytes);
            access.refused = self.browsers.find_problem(&marks, head.method, has_tls);
            if marks.origin.is_some() && self.method_override == MethodOverride::Taken {
                access.method_override = MethodOverride::NotOfPage;
            }
        }
        access
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
            browsers: BrowserPolicy::default(),
            method_override: MethodOverride::Taken,
            server_name: None,
            metrics_pools: 100,
            stopping: false,
            keys: None,
        }
    }
}
