//! Counts of connections and of the bytes sent over them.

/// Counts of connections and of the bytes sent over them.
#[derive(Debug, Default)]
pub struct Connections {
    /// Connections accepted.
    pub accepted: u64,
    /// Bytes read from sockets.
    pub received_bytes: u64,
    /// Bytes written to sockets.
    pub sent_bytes: u64,
    /// The connection limit: the most connections open at a time.
    pub max: u64,
    closed: [u64; Closed::ALL.len()],
    refused: [u64; Refused::ALL.len()],
}

/// The reason a connection is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its address has reached its limit of connections, and all of them are in use.
    Crowded,
    /// The system had no descriptor for it, or could not watch it. It may be accepted later.
    NoDescriptor,
}

impl Refused {
    const ALL: [Refused; 2] = [Refused::Crowded, Refused::NoDescriptor];

    fn label(self) -> &'static str {
        match self {
            Refused::Crowded => "address crowded",
            Refused::NoDescriptor => "no descriptor",
        }
    }
}

/// The reason a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client closed it, or closed its sending side and was answered.
    Client,
    /// The transport failed: a reset, or sent bytes were never acknowledged.
    Error,
    /// The request asked for it, or could not be understood.
    Server,
    /// The server is stopping.
    Stopping,
    /// The client was silent for too long, or did not read its answers.
    Timeout,
    /// The longest-idle connection, evicted to admit another one.
    Evicted,
}

impl Closed {
    const ALL: [Closed; 6] = [
        Closed::Client,
        Closed::Error,
        Closed::Server,
        Closed::Stopping,
        Closed::Timeout,
        Closed::Evicted,
    ];

    fn label(self) -> &'static str {
        match self {
            Closed::Client => "client",
            Closed::Error => "error",
            Closed::Server => "server",
            Closed::Stopping => "stopping",
            Closed::Timeout => "timeout",
            Closed::Evicted => "yielded",
        }
    }
}

impl Connections {
    /// Counts the end of an accepted connection.
    pub fn close(&mut self, why: Closed) {
        self.closed[why as usize] += 1;
    }

    /// Counts a connection that was not accepted.
    pub fn refuse(&mut self, why: Refused) {
        self.refused[why as usize] += 1;
    }

    /// Returns each reason with its number of refusals.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Refused::ALL
            .map(Refused::label)
            .into_iter()
            .zip(self.refused)
    }

    /// Returns each reason with its number of closed connections.
    pub(super) fn closed(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Closed::ALL.map(Closed::label).into_iter().zip(self.closed)
    }

    /// Returns the number of open connections.
    pub(super) fn open(&self) -> u64 {
        self.accepted - self.closed.iter().sum::<u64>()
    }
}
