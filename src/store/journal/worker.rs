//! Requests of the store to its journal, and their outcomes.
//!
//! The worker carries out one request at a time and may block as long as the disk does. The
//! [`JournalPort`](super::JournalPort) decides on which thread.

use std::sync::Arc;

use super::{Disk, Displaced, Journal, OpenError, PendingSeed, SeedNote, Sync, WriteError};
use crate::pool::{Change, Engine, Restoring, Rules};
use crate::time::Time;

/// The most changes in a usual batch: the memory of a larger one is freed.
const USUAL_CHANGES: usize = 4096;

/// A request to the journal. [`JournalPort`](super::JournalPort) says in which order they are allowed.
pub struct JournalRequest(pub(in crate::store) JournalTask);

pub(in crate::store) enum JournalTask {
    /// Writes a batch.
    Write(Batch),
    /// Makes durable what was written so far.
    MakeDurable,
    /// Opens a failed journal again, and reads all of it. Its leases restart at this time.
    Reopen(Time),
    /// Makes durable what was written, marks the end as orderly, and closes the journal.
    Close,
}

/// The changes of one commit.
#[derive(Default)]
pub(in crate::store) struct Batch {
    /// The changes, in order.
    pub(in crate::store) changes: Vec<Change>,
    /// The note about a large seed.
    pub(in crate::store) note: Option<SeedNote>,
    /// True if answers wait for it, so that it must be as durable as the journal promises.
    pub(in crate::store) waits: bool,
    /// True if it counts only while the file is in its place.
    pub(in crate::store) checks_place: bool,
}

/// The outcome of a request.
pub struct JournalOutcome(pub(in crate::store) JournalResult);

pub(in crate::store) enum JournalResult {
    /// The result of writing a batch or making batches durable. After an error the journal is closed.
    Written(Written),
    /// The result of opening the journal again.
    Reopened(Result<Box<Reopened>, OpenError>),
    /// The result of closing: the journal is closed in any case.
    Closed(Result<(), redb::Error>),
}

pub(in crate::store) struct Written {
    /// The duration of the commit in microseconds; `None` if there was nothing to commit.
    pub(in crate::store) result: Result<Option<u64>, WriteError>,
    /// Spare memory for the changes of another batch.
    pub(in crate::store) spare: Vec<Change>,
}

/// The contents of a reopened journal.
pub(in crate::store) struct Reopened {
    pub(in crate::store) engine: Engine,
    pub(in crate::store) pending_seed: Option<PendingSeed>,
}

/// Carries out requests on a journal, in the order that [`JournalPort`](super::JournalPort) demands.
pub struct Worker {
    /// The journal; `None` after it has failed or was closed.
    journal: Option<Journal>,
    disk: Arc<dyn Disk>,
    sync: Sync,
    rules: Rules,
}

impl Worker {
    /// Makes a worker on a journal. The rules are those of the engines that it restores.
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

    /// The time at which a change is durable.
    pub(in crate::store) fn sync(&self) -> Sync {
        self.sync
    }

    /// Carries out one request. Blocks until it is done.
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
        // Dropped silently, a batch would count as written.
        let journal = self
            .journal
            .as_mut()
            .expect("a batch is written to an open journal");
        let result = append(journal, &mut batch);
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

    /// Closes a failed journal: no change may build on unknown contents.
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

/// Writes a batch, unless it is empty. Synced changes count only if the file is still in its place afterwards.
fn append(journal: &mut Journal, batch: &mut Batch) -> Result<Option<u64>, WriteError> {
    let displaced = |why: Displaced| WriteError::Displaced(why);
    let is_written = !batch.changes.is_empty() || batch.note.is_some();
    let is_synced = is_written && batch.waits && journal.sync() == Sync::Always;
    if is_synced {
        // Checked before, too, so that a displaced file hardly ever gets changes that are never answered.
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

/// Restores the engine whose changes the journal has.
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
