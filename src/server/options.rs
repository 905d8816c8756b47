//! The options of a server.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Tls;
use crate::session::Settings;

/// The options of a server, as [`Server::bind`](super::Server::bind) takes them.
pub struct Options {
    /// The addresses to listen on, unless listening sockets were inherited.
    pub listen: Vec<SocketAddr>,
    /// The addresses to listen on with TLS, and the certificate; `None` for no TLS.
    pub tls: Option<Tls>,
    /// The addresses for the metrics alone. If empty, all listeners serve them.
    pub admin_listen: Vec<SocketAddr>,
    /// Share the ports with other processes.
    pub reuse_port: bool,
    /// Limits and time-outs of sessions.
    pub settings: Settings,
    /// The file of the keys in `settings`, which is read again on SIGHUP.
    pub keys_file: Option<PathBuf>,
    /// The maximum number of connections; `None` for what the system's descriptor limit allows.
    pub max_connections: Option<usize>,
    /// The maximum number of connections of one address; `None` for a part of all.
    pub max_per_address: Option<usize>,
    /// The maximum number of queued requests of one address; `None` for a part of all.
    pub max_address_waiters: Option<usize>,
    /// The maximum number of requests in flight in all, without those that are queued.
    pub max_requests: usize,
    /// The maximum number of wrong keys of one address in a minute; 0 for no limit.
    pub max_wrong_keys: usize,
    /// The time in ms for which requests in flight may be answered when the server stops.
    pub drain_ms: u64,
    /// The directory of the log file, which is opened again on SIGHUP.
    pub log_dir: Option<PathBuf>,
}
