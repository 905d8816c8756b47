//! The surroundings of a session: shared settings and memory, the time, and the way to the store.

use super::{Buffers, Settings};
use crate::command::{Command, Survey, Ticket};
use crate::keys::Key;
use crate::metrics::Metrics;
use crate::time::Time;

/// The surroundings of a session during one call.
///
/// All sessions of a server share one [`Buffers`], since it also sums up the memory that they hold.
pub struct Context<'a> {
    /// The settings that all sessions share.
    pub settings: &'a Settings,
    /// The memory that is lent to sessions.
    pub buffers: &'a mut Buffers,
    /// The present time. It never decreases from call to call.
    pub now: Time,
    /// The counters of requests.
    pub metrics: &'a mut Metrics,
    /// The way to the store.
    pub sink: &'a mut dyn CommandSink,
}

/// The way of a session to the store.
///
/// A sink never calls back into the session: replies come later, by [`Session::handle_reply`](super::Session::handle_reply).
pub trait CommandSink {
    /// Submits a command, and returns the ticket of its reply. A ticket is never used twice.
    fn submit(&mut self, command: Command<'_>) -> Ticket;

    /// Returns whether the last submitted command, which has this ticket, is deferred: later commands may
    /// overtake it.
    fn holds(&self, _ticket: Ticket) -> bool {
        false
    }

    /// Withdraws a command. A queued one is answered `busy` soon, perhaps also a list; any other gets its reply as
    /// usual.
    fn withdraw(&mut self, ticket: Ticket);

    /// Returns whether a valid key may be used from the client's address.
    fn admits_key(&mut self, _key: &Key) -> bool {
        true
    }

    /// Counts a wrong key of the client. Returns whether the answer may say that it is wrong.
    fn admits_wrong_key(&mut self) -> bool {
        true
    }

    /// Appends all metrics to a page. A sink without a server has none.
    fn write_page(&mut self, _survey: Option<&Survey>, _metrics: &Metrics, _page: &mut Vec<u8>) {}
}
