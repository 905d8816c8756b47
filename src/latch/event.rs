//! Events while a lock is waited for or held: one channel, one place that acts.

use super::acquire::AcquiredLock;
use super::failure::Failure;
#[cfg(target_os = "linux")]
use super::run::FromGuardian;
use super::run::RenewalAttempt;

/// An event for the thread that acts.
#[derive(Debug)]
pub(super) enum Event {
    /// This signal arrived.
    Signal(i32),
    /// The request for the lock is over.
    Acquired(Result<AcquiredLock, Failure>),
    /// The server cannot be reached for now; the wait goes on.
    Trouble(Failure),
    /// A description of the queue for the user.
    QueueNotice(String),
    /// A report from the guardian of the command; `None` at the end of its reports.
    #[cfg(target_os = "linux")]
    Guardian(Option<FromGuardian>),
    /// An attempt to renew has ended.
    RenewalAttempt(RenewalAttempt),
}
