//! Requests of the store to its journal, and their outcomes.
//!
//! The worker carries out one request at a time and may block for as long as a disk does. Where it works, in a
//! thread of its own or at once, is the matter of a [`JournalPort`](super::JournalPort).

use std::sync::Arc;

use super::{Disk, Displaced, Journal, OpenError, PendingSeed, SeedNote, Sync, WriteError};
use crate::pool::{Change, Engine, Restoring, Rules};
use crate::time::Time;

/// More changes than a batch has that does not seed: the memory of more is given back.
const USUAL_CHANGES: usize = 4096;

/// A request to the journal.
pub struct JournalRequest(pub(in crate::store) JournalTask);

pub(in crate::store) enum JournalTask {
    /// Write a batch.
    Write(Batch),
    /// Make durable what was written so far.
    MakeDurable,
    /// Open what has failed again, and read all of it. Its leases start anew at this time.
    Reopen(Time),
    /// Make durable what was written, note that the end was orderly, and close it.
    Close,
}

/// The changes of one commit.
#[derive(Default)]
pub(in crate::store) struct Batch {
    /// The changes, in order.
    pub(in crate::store) changes: Vec<Change>,
    /// How a large seed stands.
    pub(in crate::store) note: Option<SeedNote>,
    /// Answers wait for it, so that it has to be as durable as the journal promises.
    pub(in crate::store) waits: bool,
    /// It counts only if the file is at its place.
    pub(in crate::store) checks_place: bool,
}

/// The outcome of a request.
pub struct JournalOutcome(pub(in crate::store) JournalResult);

pub(in crate::store) enum JournalResult {
    /// A batch was written, or made durable, or not. The journal is closed then.
    Written(Written),
    /// The journal was opened again, or not.
    Reopened(Result<Box<Reopened>, OpenError>),
    /// The journal is closed.
    Closed(Result<(), redb::Error>),
}

pub(in crate::store) struct Written {
    /// How many microseconds the commit took; `None` if there was none.
    pub(in crate::store) result: Result<Option<u64>, WriteError>,
    /// Memory for the changes of another batch.
    pub(in crate::store) spare: Vec<Change>,
}

/// The contents of a journal that was opened again.
pub(in crate::store) struct Reopened {
    pub(in crate::store) engine: Engine,
    pub(in crate::store) pending_seed: Option<PendingSeed>,
}

/// Carries out requests on a journal.
pub struct Worker {
    /// `None` after it has failed or was closed.
    journal: Option<Journal>,
    disk: Arc<dyn Disk>,
    sync: Sync,
    rules: Rules,
}

impl Worker {
    /// A worker on a journal. The rules are those of the engines that it builds.
    pub fn new(journal: Journal, rules: Rules) -> Worker {
        Worker {
            disk: journal.disk().clone(),
            sync: journal.sync(),
            journal: Some(journal),
            rules,
        }
    }

    /// The disk of the journal.
    pub(in crate::store) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// When a change is durable.
    pub(in crate::store) fn sync(&self) -> Sync {
        self.sync
    }

    /// Carries out one request, and returns once that is done.
    pub fn carry_out(&mut self, request: JournalRequest) -> JournalOutcome {
        JournalOutcome(match request.0 {
            JournalTask::Write(batch) => JournalResult::Written(self.write(batch)),
            JournalTask::MakeDurable => {
                let journal = self.journal.as_mut();
                let result = journal.map(Journal::make_durable).transpose();
                JournalResult::Written(Written {
                    result: self.drop_if_failed(result.map_err(WriteError::Failed)),
                    spare: Vec::new(),
                })
            }
            JournalTask::Reopen(now) => JournalResult::Reopened(self.reopen(now).map(Box::new)),
            JournalTask::Close => {
                let journal = self.journal.take();
                JournalResult::Closed(journal.map_or(Ok(()), |mut journal| journal.close()))
            }
        })
    }

    fn write(&mut self, mut batch: Batch) -> Written {
        let result = match &mut self.journal {
            Some(journal) => append(journal, &mut batch),
            None => Ok(None),
        };
        let mut spare = std::mem::take(&mut batch.changes);
        if spare.capacity() > USUAL_CHANGES {
            spare = Vec::new();
        }
        spare.clear();
        Written {
            result: self.drop_if_failed(result),
            spare,
        }
    }

    /// Closes a journal that has failed: nothing may be built on what is not known.
    fn drop_if_failed<T>(&mut self, result: Result<T, WriteError>) -> Result<T, WriteError> {
        if result.is_err() {
            self.journal = None;
        }
        result
    }

    fn reopen(&mut self, now: Time) -> Result<Reopened, OpenError> {
        self.journal = None;
        let journal = Journal::reopen(self.disk.clone(), self.sync)?;
        let reopened = Reopened {
            engine: restore(&journal, self.rules, now)?,
            pending_seed: journal.pending_seed()?,
        };
        self.journal = Some(journal);
        Ok(reopened)
    }
}

/// Writes a batch, if there is anything in it. What is synced counts only if the file is still at its place
/// then.
fn append(journal: &mut Journal, batch: &mut Batch) -> Result<Option<u64>, WriteError> {
    let displaced = |why: Displaced| WriteError::Displaced(why);
    let is_written = !batch.changes.is_empty() || batch.note.is_some();
    let is_synced = is_written && batch.waits && journal.sync() == Sync::Always;
    if is_synced {
        // Looked at before, too, so that hardly any file gets what is never answered.
        journal.check_place().map_err(displaced)?;
    }
    let took_us = match is_written {
        true => {
            let changes = batch.changes.drain(..);
            Some(journal.append(changes, batch.note.take(), batch.waits)?)
        }
        false => None,
    };
    if is_synced || batch.checks_place {
        journal.check_place().map_err(displaced)?;
    }
    Ok(took_us)
}

/// The engine whose changes the journal has.
pub(in crate::store) fn restore(
    journal: &Journal,
    rules: Rules,
    now: Time,
) -> Result<Engine, OpenError> {
    let mut restoring = Restoring::new(rules, now);
    journal.read(&mut restoring)?;
    if let (names, count @ 1..) = restoring.old_names() {
        crate::store::warn_of_old_names(names.iter().map(|name| &**name), count);
    }
    Ok(restoring.done())
}
