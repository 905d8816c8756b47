//! Connections, and what went over them.

/// Connections, and what went over them.
#[derive(Debug, Default)]
pub struct Connections {
    /// Those that were taken in.
    pub accepted: u64,
    /// Bytes that were read.
    pub received_bytes: u64,
    /// Bytes that the system has taken.
    pub sent_bytes: u64,
    /// The most at a time, as the server is set up.
    pub max: u64,
    closed: [u64; Closed::ALL.len()],
    refused: [u64; Refused::ALL.len()],
}

/// Why a connection is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its address has as many as it may have, and all of them are in use.
    Crowded,
    /// The system had no descriptor for it, or would not have it watched. It may be taken in later.
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

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client has closed it, or closed its side and was answered.
    Client,
    /// It broke: a reset, or what was sent was not confirmed.
    Error,
    /// As the request asked for, or because it could not be understood.
    Server,
    /// The server stops.
    Stopping,
    /// The client was silent for too long, or did not take its answers.
    Timeout,
    /// It was idle, and another one needed the room.
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
    /// A connection that was accepted is closed.
    pub fn close(&mut self, why: Closed) {
        self.closed[why as usize] += 1;
    }

    /// A connection is not taken in.
    pub fn refuse(&mut self, why: Refused) {
        self.refused[why as usize] += 1;
    }

    /// Each reason, and how often somebody was not taken in for it.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Refused::ALL
            .map(Refused::label)
            .into_iter()
            .zip(self.refused)
    }

    /// Each reason, and how often it was the one.
    pub(super) fn closed(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Closed::ALL.map(Closed::label).into_iter().zip(self.closed)
    }

    /// How many there are now.
    pub(super) fn open(&self) -> u64 {
        self.accepted - self.closed.iter().sum::<u64>()
    }
}
