//! The plan of one load, after the options are checked and completed.

use std::{net::SocketAddr, time::Duration};

use clap::ValueEnum;

pub struct Plan {
    pub server: SocketAddr,
    pub connections: u32,
    pub api: Api,
    pub mode: Mode,
    /// True if locks are not released.
    pub locks_only: bool,
    pub depth: u32,
    pub resources: u32,
    pub gather: usize,
    pub sleep: bool,
    /// The time from one burst to the next; `None`: each is sent as soon as the one before is
    /// answered.
    pub burst_interval: Option<Duration>,
    pub warmup: Duration,
    pub window: Duration,
    pub pid: Option<u32>,
    /// The Redis that the server stores in.
    pub redis: Option<SocketAddr>,
}

/// The form of a lock and a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Api {
    /// A pool's lock is posted and deleted
    Latchd,
    /// A member of a set is popped and added
    Webdis,
}

impl Api {
    pub fn name(self) -> &'static str {
        match self {
            Self::Latchd => "latchd",
            Self::Webdis => "webdis",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// One request in flight on each connection
    KeepAlive,
    /// --depth requests in one write
    Pipelined,
    /// A connection for each request
    Close,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep-alive",
            Self::Pipelined => "pipelined",
            Self::Close => "close",
        }
    }
}
