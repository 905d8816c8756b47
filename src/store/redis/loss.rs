//! The loss of a connection to Redis, and the pause before the next one.

use std::io;

/// The longest first pause before connecting again; each failure doubles it.
const FIRST_PAUSE_MS: u64 = 50;
/// The longest pause after many failures.
const LONGEST_PAUSE_MS: u64 = 2_000;

/// The reason why a connection is closed.
pub(super) struct Loss {
    /// The reason for the log.
    pub(super) reason: String,
    /// Whether the peer has not closed it: then sent commands may still arrive there.
    pub(super) may_be_alive: bool,
}

impl Loss {
    /// Returns the loss of a connection that is open and unusable.
    pub(super) fn unusable(reason: String) -> Loss {
        Loss {
            reason,
            may_be_alive: true,
        }
    }
}

impl From<io::Error> for Loss {
    fn from(error: io::Error) -> Loss {
        Loss {
            reason: error.to_string(),
            may_be_alive: error.kind() == io::ErrorKind::InvalidData,
        }
    }
}

/// Returns the pause before the next attempt, in ms. It doubles with each failure. It is random, so that
/// servers do not connect all at once.
pub(super) fn pause_ms(failures: u32) -> u64 {
    let longest_ms = (FIRST_PAUSE_MS << failures.min(10)).min(LONGEST_PAUSE_MS);
    fastrand::u64(longest_ms / 2..=longest_ms)
}
