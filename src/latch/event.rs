//! What happens while a lock is waited for or held: one channel, one place that acts.

use super::acquire::AcquiredLock;
use super::failure::Failure;
#[cfg(target_os = "linux")]
use super::run::FromGuardian;
use super::run::RenewalAttempt;

/// Something has happened.
#[derive(Debug)]
pub(super) enum Event {
    /// This signal has come.
    Signal(i32),
    /// Queueing is over.
    Acquired(Result<AcquiredLock, Failure>),
    /// The server cannot be asked for now; it goes on.
    Trouble(Failure),
    /// News about the queue, in words.
    QueueNotice(String),
    /// The guardian of the command has said this, or nothing more.
    #[cfg(target_os = "linux")]
    Guardian(Option<FromGuardian>),
    /// A renewal has been tried.
    RenewalAttempt(RenewalAttempt),
}
