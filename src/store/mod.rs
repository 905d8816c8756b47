//! Stores: the places where pools live, behind one trait.
//!
//! A store takes commands by `submit` and answers later through `poll_reply`, perhaps much later: a store behind a
//! network has not received the command yet. An answer is as durable as the store promises. A store does not know
//! the client that asked, nor what becomes of the answer.

mod embedded;
mod figures;
mod journal;
mod redis;

pub use embedded::{COMMIT_TIMEOUT_MS, EmbeddedStore};
pub use journal::{
    Disk, Displaced, Inline, Journal, JournalOutcome, JournalPort, JournalRequest, JournalThread,
    OpenError, Sync, Worker, WriteError,
};
#[cfg(fuzzing)]
pub use redis::fuzzing as redis_fuzzing;
pub use redis::operations as redis_operations;
pub use redis::{Login, RedisAddress, RedisOptions, RedisStore, RedisTls};

use std::io;
use std::rc::Rc;

use mio::event::Event;
use mio::{Registry, Token};

use crate::command::{Command, Refusal, Reply, Restoration, Seed, Ticket};
use crate::time::Time;
pub use figures::{Backing, StoreFigures};

/// A place where pools live: a state machine that the caller drives with commands, events and the time, which must
/// never go back.
///
/// # Start
///
/// `attach`, once, if there is an event loop; then `restore`, at most once, if there is a dump to restore; then
/// `prepare`, once. Only then does the first tick begin.
///
/// # One tick
///
/// 1. `hold_timeouts`, only after a stall: with a time before requests are read, and with `None` after that.
/// 2. `handle_event` for each event of the store's tokens.
/// 3. `submit` and `withdraw`, for all requests that were read. `is_deferred` may be called right after
///    `submit`.
/// 4. `gather`, until it returns [`Gather::Nothing`] or the caller has waited enough. After any other result the
///    caller looks for requests once more, and submits them.
/// 5. `handle_timeout`.
/// 6. `commit`, once, even if nothing was submitted: it also continues work that takes several ticks.
/// 7. `poll_reply` until it returns `None`. Commands submitted from here on, such as an undo, belong to the next
///    tick, which must then begin at once.
///
/// The next tick begins at `next_timeout` at the latest, even without an event.
///
/// A ticket is submitted once, and gets exactly one reply, even if it is withdrawn. A `withdraw` after the reply
/// does nothing.
///
/// # End
///
/// When `is_quiescent` returns true, or when time is up: `close`, once. No other call may follow.
pub trait Store {
    /// Attaches the store to an event loop. A store with sockets or a thread registers them under these tokens;
    /// their events go to `handle_event`.
    fn attach(&mut self, _registry: &Registry, _tokens: [Token; 2], _now: Time) -> io::Result<()> {
        Ok(())
    }

    /// Carries out the operator's commands for the start: the purge, then the seed. Returns the refusal of the
    /// first that fails. A store that must connect first returns `Ok`, and carries them out before it serves any
    /// other command.
    fn prepare(&mut self, purge: bool, seed: Option<Seed>, now: Time) -> Result<(), Refusal>;

    /// Restores all pools from a dump, or ensures that this comes before all other commands. After an error nothing
    /// has changed.
    fn restore(&mut self, restoration: Rc<Restoration>, now: Time) -> Result<(), Refusal>;

    /// Handles an event of a registered token. A call too many does no harm.
    fn handle_event(&mut self, _event: &Event, _now: Time) {}

    /// Submits a command. Commands about one pool take effect in the order of submission. The answer comes from
    /// `poll_reply`, and may need a `commit` first; it never comes from inside this call.
    fn submit(&mut self, ticket: Ticket, command: Command<'_>, now: Time);

    /// Returns true if the command that was just submitted waits for long work of another. Then the client's
    /// further commands must wait behind it, if their order matters.
    fn is_deferred(&self, _ticket: Ticket) -> bool {
        false
    }

    /// Ends the wait of the request with this ticket. A queued request is answered `busy` soon, and an owner's
    /// place in the queue is kept for a while. A long list may be answered `busy` instead of being read. Any other
    /// request is answered as if it were not withdrawn.
    fn withdraw(&mut self, ticket: Ticket, now: Time);

    /// Makes durable, or sends, all that was submitted. May start the work and return before it is done.
    fn commit(&mut self, now: Time);

    /// Tells which further commands the next `commit` should include, because one commit for many is cheaper.
    /// `elapsed_us` is the time spent gathering in this tick, in microseconds.
    fn gather(&mut self, _elapsed_us: u64, _now: Time) -> Gather {
        Gather::Nothing
    }

    /// Takes one reply that may leave now; `None` if no reply may.
    fn poll_reply(&mut self) -> Option<(Ticket, Reply)>;

    /// The latest time of the next tick. It may lie in the past: then the tick is due at once. `None` means that
    /// the store waits for commands or events alone.
    fn next_timeout(&self) -> Option<Time>;

    /// Ends what is due: leases, waits and the store's own time limits. A call too many does no harm.
    fn handle_timeout(&mut self, now: Time);

    /// Keeps leases and waits that are due after this time from ending: after a stall, requests that arrived in
    /// time are still to be read. `None` ends the hold.
    fn hold_timeouts(&mut self, _after: Option<Time>) {}

    /// The state of the store, and its counts since the start, which never fall.
    fn figures(&self) -> StoreFigures;

    /// Returns true if the end of the process would cut nothing off.
    fn is_quiescent(&self) -> bool {
        true
    }

    /// Makes durable what is not yet, before the process ends. Returns false if that failed, which has been logged.
    fn close(&mut self) -> bool;
}

/// The further commands that the next commit should include.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// No further commands: commit at once.
    Nothing,
    /// Commands that have arrived already.
    Arrived,
    /// Also commands that arrive in a moment: ask again after looking for them.
    Expected,
}

/// Logs stored names with a part `.` or `..`, which older versions accepted. The server never resolves such parts,
/// but a proxy in front may.
fn warn_of_old_names<'a>(names: impl Iterator<Item = &'a str>, count: usize) {
    let names: Vec<&str> = names.collect();
    log::warn!(
        "{count} stored names have a part . or .. between slashes, as no new ones may: {names:?}; they can be \
         released and removed"
    );
}
