//! A connection as a host sees it.

use crate::metrics::Closed;
use crate::session::{Context, Outstanding, Session, Settings};

/// A connection of a host: a session, and the transport of its bytes.
pub trait Connection {
    /// Returns the session.
    fn session(&self) -> &Session;

    /// Returns the session, for a call that changes it.
    fn session_mut(&mut self) -> &mut Session;

    /// Tells the session that the client has hung up, if the transport has reported so.
    fn note_hangup(&mut self, context: &mut Context<'_>);

    /// Sends output as far as the transport takes it, then asks the session for its end. Returns the reason to close
    /// the connection; `None` to keep it.
    fn write(&mut self, context: &mut Context<'_>) -> Option<Closed>;

    /// Returns whether there is output, and the transport may take it now.
    fn can_write(&self) -> bool;

    /// Returns whether it may have input that the session would take now, although nothing will report it.
    fn has_input(&self, settings: &Settings) -> bool;

    /// Notes whether the client is queued, after each write.
    fn note_queued(&mut self, _is_queued: bool) {}
}

/// A connection in its slot.
pub(super) struct Entry<C> {
    pub(super) connection: C,
    /// Its requests in flight that are counted.
    pub(super) outstanding: Outstanding,
    /// It is not read until fewer requests are in flight in all.
    pub(super) is_paused: bool,
    /// It is in the list of connections to read in the next tick.
    pub(super) is_queued_to_read: bool,
    /// It is in the list of connections to write in this tick.
    pub(super) is_queued_to_write: bool,
}

impl<C: Connection> Entry<C> {
    pub(super) fn new(connection: C) -> Entry<C> {
        Entry {
            connection,
            outstanding: Outstanding::default(),
            is_paused: false,
            is_queued_to_read: false,
            is_queued_to_write: false,
        }
    }

    /// Returns whether the caller must add it to the list of connections to write. True once until it leaves
    /// the list.
    pub(super) fn queue_to_write(&mut self) -> bool {
        !std::mem::replace(&mut self.is_queued_to_write, true)
    }

    /// Returns whether to read in the next tick although no event will report it. True once for each `read`.
    pub(super) fn take_read_request(&mut self, settings: &Settings) -> bool {
        let has_more =
            self.connection.has_input(settings) || self.connection.session().wants_resume(settings);
        let must_queue = !self.is_queued_to_read && has_more;
        self.is_queued_to_read |= must_queue;
        must_queue
    }
}
