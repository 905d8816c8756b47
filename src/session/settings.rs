//! The settings that all sessions of a server share.

use std::num::NonZeroU32;

use crate::api::{Access, BrowserPolicy, ListenerRole, MethodOverride};
use crate::http::{BrowserFields, Head, Limits};
use crate::keys::{Caller, Keys};
use crate::time::Time;

/// A tenth of the rate of the slowest modems, in bytes/s.
const MIN_BODY_RATE: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");

/// Limits, time-outs and policies of all sessions.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The size limits of one request.
    pub limits: Limits,
    /// The maximum number of requests of one client in flight. Further ones wait in the client's
    /// socket.
    pub max_pipeline: usize,
    /// The bytes of unsent answers above which the session reads no further request.
    pub max_backlog_bytes: usize,
    /// The time for the head of a request, in ms from its first byte, and for each next piece of
    /// its body.
    pub header_timeout_ms: u64,
    /// The memory budget in bytes for incomplete requests and unsent answers of all sessions. When
    /// it is used up, large ones are refused. About 16 KiB of each session are not counted.
    pub max_buffers: usize,
    /// The time in ms that a body may lag behind `min_body_rate`.
    pub body_grace_ms: u64,
    /// The minimum rate of a body, in bytes/s.
    pub min_body_rate: NonZeroU32,
    /// The time in ms for which a client may send nothing, or not read its answers.
    pub idle_timeout_ms: u64,
    /// The time in ms after the last answer during which further input is read and dropped.
    pub linger_ms: u64,
    /// The policy for requests of browsers.
    pub browsers: BrowserPolicy,
    /// Whether `_method` overrides the method of a POST; never in a request of a page.
    pub method_override: MethodOverride,
    /// The value of the `Server` header field; `None` omits the field.
    pub server_name: Option<String>,
    /// The maximum number of pools that the metrics list one by one.
    pub metrics_pools: usize,
    /// The server stops: readiness probes are answered so.
    pub stopping: bool,
    /// The keys and their rights; `None` permits every request.
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
            // The same as for the head: a device has sent most of its body by then, even byte by
            // byte.
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
