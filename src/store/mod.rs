//! Where pools live, behind one trait.
//!
//! A store is asked with `submit` and answers later, through `poll_reply`, perhaps much later: a
//! store on the other end of a network has not heard of the question yet. What it answers is as
//! durable as it promises. It does not know who asked, nor what becomes of the answer.

mod embedded;
mod journal;
mod redis;

pub use embedded::{COMMIT_TIMEOUT_MS, EmbeddedStore};
pub use journal::{
    Disk, Displaced, Inline, Journal, JournalOutcome, JournalPort, JournalRequest, JournalThread,
    OpenError, Sync, Worker, WriteError,
};
#[cfg(fuzzing)]
pub use redis::fuzzing as redis_fuzzing;
pub use redis::{Login, RedisAddress, RedisOptions, RedisStore, RedisTls};

use std::io;
use std::rc::Rc;

use mio::event::Event;
use mio::{Registry, Token};

use crate::command::{Command, Refusal, Reply, Restoration, Seed, Ticket};
use crate::metrics::StoreFigures;
use crate::time::Time;

/// A place where pools live.
pub trait Store {
    /// Called once, before all else: a store that has sockets registers them under these tokens, and is
    /// told of their events by `handle_event`.
    fn attach(&mut self, _registry: &Registry, _tokens: [Token; 2], _now: Time) -> io::Result<()> {
        Ok(())
    }

    /// Called once, before anything is submitted: carries out what was ordered for the start, or
    /// sees to it that it is done before anybody is served.
    fn prepare(&mut self, purge: bool, seed: Option<Seed>, now: Time) -> Result<(), Refusal>;

    /// Called at most once, before `prepare`: takes all pools from a dump, or sees to it that it is done before all
    /// else. An error has changed nothing.
    fn restore(&mut self, restoration: Rc<Restoration>, now: Time) -> Result<(), Refusal>;

    /// Something has happened to what was registered. A call too many does no harm.
    fn handle_event(&mut self, _event: &Event, _now: Time) {}

    /// Hands a command over. Commands about one pool take effect in the order in which they are handed
    /// over; the answer comes from `poll_reply`, once `commit` has been called, and never from inside
    /// this call.
    fn submit(&mut self, ticket: Ticket, command: Command<'_>, now: Time);

    /// Whether a command that was just submitted waits for work of another that takes long. Then its
    /// client's further ones are to wait behind it, if their order matters.
    fn is_deferred(&self, _ticket: Ticket) -> bool {
        false
    }

    /// Whoever asked with this ticket no longer wants to wait. If the command waits for others it
    /// is answered `busy` soon; an owner's place in line is kept for a while. If it does not
    /// wait, its reply comes as it would have.
    fn withdraw(&mut self, ticket: Ticket, now: Time);

    /// Called once a tick, after all that the tick submits: makes durable, or sends off, what was
    /// submitted.
    fn commit(&mut self, now: Time);

    /// Whether to look for more commands before the next `commit`, because one commit for many is cheaper.
    /// `elapsed_us`: how long that has been done in this tick, in microseconds.
    fn gather(&self, _elapsed_us: u64) -> Gather {
        Gather::Nothing
    }

    /// One reply that may leave now. Every submitted command gets exactly one.
    fn poll_reply(&mut self) -> Option<(Ticket, Reply)>;

    /// When `handle_timeout` wants to be called at the latest.
    fn next_timeout(&self) -> Option<Time>;

    /// Does what is due. A call too many does no harm.
    fn handle_timeout(&mut self, now: Time);

    /// After the server stood still: what is due later than this does not end, as what came in time for it has
    /// yet to be read. `None` ends that.
    fn hold_timeouts(&mut self, _after: Option<Time>) {}

    /// How it stands, and what it has done since the start. No count in it ever falls.
    fn figures(&self) -> StoreFigures;

    /// Whether nothing is under way that must not be cut off by the end of the process.
    fn is_quiescent(&self) -> bool {
        true
    }

    /// Called once, before the process ends: makes durable what is not yet. False if that failed,
    /// which has been logged.
    fn close(&mut self) -> bool;
}

/// Which further commands the next commit is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// None: commit at once.
    Nothing,
    /// Those that have come already.
    Arrived,
    /// Also those that will have come in a moment: ask again then.
    Expected,
}

/// Logs names with a part `.` or `..`, which were stored before such parts were refused. The server never takes one
/// for a step, but a proxy in front may.
fn warn_of_old_names<'a>(names: impl Iterator<Item = &'a str>, count: usize) {
    let names: Vec<&str> = names.collect();
    log::warn!(
        "{count} stored names have a part . or .. between slashes, as no new ones may: {names:?}; they can be \
         released and removed"
    );
}
