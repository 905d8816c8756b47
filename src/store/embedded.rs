//! The store inside the process: the engine, and the journal under it if there is one.
//!
//! The journal is the truth. Replies are held back until the changes that they speak of are in it.
//! If it cannot be written, all that was decided since the last commit is forgotten: its askers are
//! told `store down`, the engine is built anew from the journal, and until that has worked nothing
//! is decided.

use std::collections::VecDeque;

use super::Store;
use super::journal::{Journal, OpenError, Sync};
use crate::command::{Command, Refusal, Reply, Ticket};
use crate::pool::Engine;
use crate::time::Time;

/// How long to wait before a journal that failed is tried again.
const RETRY_MS: u64 = 1000;

/// How often `--sync interval` makes durable what was written.
const SYNC_INTERVAL_MS: u64 = 1000;

/// The store inside the process.
pub struct EmbeddedStore {
    state: State,
    replies: VecDeque<(Ticket, Reply)>,
    /// How many of `replies` speak only of what is in the journal.
    released: usize,
}

enum State {
    Memory(Engine),
    Journaled {
        engine: Engine,
        journal: Journal,
        sync_at: Option<Time>,
    },
    /// The journal failed and has been closed; it is tried again at the time given.
    Down {
        path: std::path::PathBuf,
        sync: Sync,
        retry_at: Time,
    },
}

impl EmbeddedStore {
    /// A store that forgets everything when the process ends.
    pub fn in_memory() -> EmbeddedStore {
        EmbeddedStore::with_state(State::Memory(Engine::new()))
    }

    /// The store that `journal` has the records of.
    pub fn with_journal(journal: Journal) -> Result<EmbeddedStore, OpenError> {
        let engine = Engine::restore(journal.read()?);
        Ok(EmbeddedStore::with_state(State::Journaled {
            engine,
            journal,
            sync_at: None,
        }))
    }

    fn with_state(state: State) -> EmbeddedStore {
        EmbeddedStore {
            state,
            replies: VecDeque::new(),
            released: 0,
        }
    }

    /// The journal could not be written: forgets what it does not have.
    fn fail(&mut self, error: &redb::Error, now: Time) {
        log::error!("the store could not be written: {error}; trying again in {RETRY_MS} ms");
        for (_, reply) in self.replies.iter_mut().skip(self.released) {
            *reply = Reply::Refused(Refusal::StoreDown);
        }
        if let State::Journaled { journal, .. } = &self.state {
            let (path, sync) = (journal.path().to_owned(), journal.sync());
            self.state = State::Down {
                path,
                sync,
                retry_at: now.after_ms(RETRY_MS),
            };
        }
    }

    fn recover(&mut self, now: Time) {
        let State::Down {
            path,
            sync,
            retry_at,
        } = &mut self.state
        else {
            return;
        };
        let opened =
            Journal::reopen(path, *sync).and_then(|journal| Ok((journal.read()?, journal)));
        match opened {
            Ok((snapshot, journal)) => {
                log::warn!("the store can be written again");
                let engine = Engine::restore(snapshot);
                self.state = State::Journaled {
                    engine,
                    journal,
                    sync_at: None,
                };
            }
            Err(error) => {
                log::error!("the store is still down: {error}");
                *retry_at = now.after_ms(RETRY_MS);
            }
        }
    }
}

impl Store for EmbeddedStore {
    fn submit(&mut self, ticket: Ticket, command: Command<'_>, now: Time) {
        let reply = match &mut self.state {
            State::Memory(engine) | State::Journaled { engine, .. } => engine.execute(command, now),
            State::Down { .. } => Reply::Refused(Refusal::StoreDown),
        };
        self.replies.push_back((ticket, reply));
    }

    fn commit(&mut self, now: Time) {
        if let State::Journaled {
            engine,
            journal,
            sync_at,
        } = &mut self.state
            && engine.has_changes()
        {
            match journal.append(engine.drain_changes()) {
                Ok(()) if journal.sync() == Sync::Interval => {
                    sync_at.get_or_insert(now.after_ms(SYNC_INTERVAL_MS));
                }
                Ok(()) => {}
                Err(error) => self.fail(&error, now),
            }
        }
        self.released = self.replies.len();
    }

    fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        self.released = self.released.checked_sub(1)?;
        self.replies.pop_front()
    }

    fn next_timeout(&self) -> Option<Time> {
        match &self.state {
            State::Memory(_) => None,
            State::Journaled { sync_at, .. } => *sync_at,
            State::Down { retry_at, .. } => Some(*retry_at),
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.next_timeout().is_none_or(|due| due > now) {
            return;
        }
        match &mut self.state {
            State::Memory(_) => {}
            State::Journaled {
                journal, sync_at, ..
            } => {
                *sync_at = None;
                if let Err(error) = journal.make_durable() {
                    self.fail(&error, now);
                }
            }
            State::Down { .. } => self.recover(now),
        }
    }

    fn close(&mut self) -> bool {
        let State::Journaled { journal, .. } = &mut self.state else {
            return matches!(self.state, State::Memory(_));
        };
        let closed = journal.close();
        if let Err(error) = &closed {
            log::error!("the store could not be closed well: {error}");
        }
        closed.is_ok()
    }
}
