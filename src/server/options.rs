//! What a server needs to be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Tls;
use crate::session::Settings;

/// What a server needs to be told.
pub struct Options {
    /// Where to listen, unless listening sockets were inherited.
    pub listen: Vec<SocketAddr>,
    /// Where to listen with TLS, and as whom.
    pub tls: Option<Tls>,
    /// Where to listen for who wants the metrics; if nowhere, they are where all else is.
    pub admin_listen: Vec<SocketAddr>,
    /// Share the ports with other processes.
    pub reuse_port: bool,
    /// Limits and time-outs of a connection.
    pub settings: Settings,
    /// The file that the keys in `settings` are from, which is read again on SIGHUP.
    pub keys_file: Option<PathBuf>,
    /// The most connections; `None` for what the system's descriptor limit allows.
    pub max_connections: Option<usize>,
    /// The most connections of one address; `None` for a part of all.
    pub max_per_address: Option<usize>,
    /// The most who are queued from one address; `None` for a part of all.
    pub max_address_waiters: Option<usize>,
    /// The most requests that are in flight in all, but for those that are queued.
    pub max_requests: usize,
    /// The most wrong keys of one address in a minute; 0 for any number.
    pub max_wrong_keys: usize,
    /// How long what is in flight may take to be answered when the server stops.
    pub drain_ms: u64,
    /// The folder of the log file, which is opened again on SIGHUP.
    pub log_dir: Option<PathBuf>,
}
