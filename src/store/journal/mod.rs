//! The engine's changes on disk, in a redb file.
//!
//! It keeps the last row of each key and hands them to a [`Restoring`]; it knows no rule of lending. All
//! changes of a tick are one transaction: after a crash either all of them are there or none.

mod disk;
mod error;
mod fences;
mod port;
mod row;
mod seeds;
mod worker;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use disk::{Disk, Displaced};
use error::OpenProblem;
pub use error::{OpenError, WriteError};
use fences::Fences;
pub use port::{Inline, JournalPort, JournalThread};
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use seeds::FORMAT_WITH_SEED;

pub(super) use seeds::{PendingSeed, SeedNote, SeedProgress, SeedWriter};
pub(super) use worker::{Batch, JournalResult, JournalTask, Reopened, Written, restore};
pub use worker::{JournalOutcome, JournalRequest, Worker};

use crate::command::{Fence, StoredName};
use crate::pool::{Change, PoolNumber, Restoring};

/// The version of the tables below. A change of it needs a file of the previous format in `tests/formats`, with
/// a test that opens it. A file with any other number than these two is refused.
const FORMAT: u64 = 5;
/// The format of 0.1.0, without a ceiling and a floor of fences.
const FORMAT_BEFORE: u64 = 4;

/// One type for all tables: redb's code for each type takes 50 KB of the binary.
type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Single numbers: [`FORMAT_KEY`], [`RETIRED_FENCE`], and those of `fences`.
const NUMBERS: Rows = TableDefinition::new("numbers");
/// Pool name to pool number.
const POOLS: Rows = TableDefinition::new("pools");
/// Pool number and resource id to the resource's row, in the form of `row`; and pool number alone to the fence
/// of the pool's latest grant, which so is on a page that a grant changes anyway.
const RESOURCES: Rows = TableDefinition::new("resources");

const FORMAT_KEY: &[u8] = b"format";
const RETIRED_FENCE: &[u8] = b"retired fence";

/// The time at which a change is durable: `--sync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Before it is answered. Survives a power cut.
    #[default]
    Always,
    /// Within a second after it is answered. A power cut or a crash may lose that second.
    Interval,
    /// When the system writes it. Survives a crash of the process; a power cut may destroy the file.
    Never,
}

/// The engine's changes on disk. A journal that failed to write must be dropped and opened again: its contents
/// are unknown.
pub struct Journal {
    database: Database,
    disk: Arc<dyn Disk>,
    sync: Sync,
    fences: Fences,
    is_new: bool,
}

impl Journal {
    /// Opens the file, or creates it if it is missing or empty. Verifies the whole file.
    pub fn open(path: &Path, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_on(Arc::new(disk::JournalFile::new(path.to_owned())), sync)
    }

    /// Opens the file, which must exist and have contents: `--must-exist`.
    pub fn open_existing(path: &Path, sync: Sync) -> Result<Journal, OpenError> {
        let file = disk::JournalFile::new(path.to_owned());
        if file.is_missing() {
            let disk = file.to_string();
            let problem = OpenProblem::Missing;
            return Err(OpenError { disk, problem });
        }
        Journal::open_or_create(Arc::new(file), sync, false)
    }

    /// Opens or creates a journal on another disk than a file.
    pub fn open_on(disk: Arc<dyn Disk>, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_or_create(disk, sync, true)
    }

    /// Opens a failed journal again. A missing file is not created: the resources it recorded as held would be
    /// lent twice.
    pub fn reopen(disk: Arc<dyn Disk>, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_or_create(disk, sync, false)
    }

    fn open_or_create(disk: Arc<dyn Disk>, sync: Sync, create: bool) -> Result<Journal, OpenError> {
        let error = |problem| OpenError {
            disk: disk.to_string(),
            problem,
        };
        let in_place = || {
            disk.check()
                .map_err(|why| error(OpenProblem::Displaced(why)))
        };
        in_place()?;
        let opened = disk::open_database(&*disk, sync, create);
        let database = opened.map_err(|e| error(OpenProblem::from(e)))?;
        // It may have been replaced in between.
        in_place()?;
        let (fences, is_new) = prepare(&database, sync).map_err(error)?;
        disk.publish().map_err(|e| error(OpenProblem::Io(e)))?;
        Ok(Journal {
            database,
            disk,
            sync,
            fences,
            is_new,
        })
    }

    /// Returns true if this opening created it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The disk that it is on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The time at which a change is durable.
    pub fn sync(&self) -> Sync {
        self.sync
    }

    /// Hands the last row of each key to `restoring`. Fails if the file is damaged or cannot be read.
    pub fn read(&self, restoring: &mut Restoring) -> Result<(), OpenError> {
        self.read_rows(restoring).map_err(|error| OpenError {
            disk: self.disk.to_string(),
            problem: OpenProblem::from(error),
        })
    }

    fn read_rows(&self, restoring: &mut Restoring) -> Result<(), redb::Error> {
        let transaction = self.database.begin_read()?;
        let numbers = transaction.open_table(NUMBERS)?;
        let resources = transaction.open_table(RESOURCES)?;
        let retired_fence = number_at(&numbers, RETIRED_FENCE)?.unwrap_or(0);
        let above_floor = |fence: u64| Fence::from_number(fence.max(self.fences.floor()));
        restoring.retired_fence(above_floor(retired_fence));
        for entry in transaction.open_table(POOLS)?.iter()? {
            let (name, number) = entry?;
            let name = str::from_utf8(name.value()).map_err(|_| corrupted("a pool's name"))?;
            let number = PoolNumber(read_number(number.value())?);
            let keys = all_of(number);
            let fence = number_at(&resources, &keys.start)?.unwrap_or(0);
            restoring.pool(number, StoredName::from(name), above_floor(fence));
            for entry in resources.range(bounds(&keys))? {
                let (key, row) = entry?;
                match row::id_in_key(number, key.value()) {
                    // The fence, which was read before.
                    Some("") => {}
                    Some(id) => {
                        let row = row::read_row(row.value());
                        let row = row.ok_or_else(|| corrupted("a resource's row"))?;
                        restoring.resource(StoredName::from(id), row);
                    }
                    None => return Err(corrupted("a resource's key")),
                }
            }
        }
        Ok(())
    }

    /// Reads the large seed that is decided and not yet applied, if there is one.
    pub(super) fn pending_seed(&self) -> Result<Option<PendingSeed>, OpenError> {
        let read = || seeds::read(&self.database.begin_read()?);
        read().map_err(|error: redb::Error| OpenError {
            disk: self.disk.to_string(),
            problem: OpenProblem::from(error),
        })
    }

    /// Writes changes and the note about a large seed in one transaction. When this returns they are as durable
    /// as `sync` promises. Without `waits` they become durable only with the next append that waits. Returns
    /// the duration in microseconds.
    pub(super) fn append(
        &mut self,
        changes: impl Iterator<Item = Change>,
        seed: Option<SeedNote>,
        waits: bool,
    ) -> Result<u64, redb::Error> {
        let started = Instant::now();
        let mut transaction = self.database.begin_write()?;
        let is_durable = self.sync != Sync::Interval && waits;
        if !is_durable {
            transaction.set_durability(Durability::None)?;
        }
        let highest_fence = apply(&transaction, changes)?;
        let raised = self.fences.raise(&transaction, highest_fence)?;
        if let Some(note) = seed {
            seeds::note(&transaction, note)?;
        }
        transaction.commit()?;
        if self.fences.set_ceiling(raised, highest_fence) && is_durable {
            // One batch had more fences than the ceiling was above them. A second commit puts the new ceiling
            // before the last commit.
            self.database.begin_write()?.commit()?;
        }
        Ok(started.elapsed().as_micros() as u64)
    }

    /// Checks that the file is still where it was opened. Only then do appended changes count.
    pub(super) fn check_place(&self) -> Result<(), Displaced> {
        self.disk.check()
    }

    /// Makes all appended changes durable. Returns the duration in microseconds.
    pub fn make_durable(&mut self) -> Result<u64, redb::Error> {
        let started = Instant::now();
        // The commit of an empty transaction makes all earlier ones durable.
        self.database.begin_write()?.commit()?;
        Ok(started.elapsed().as_micros() as u64)
    }

    /// Makes all appended changes durable, and marks the end as orderly.
    pub fn close(&mut self) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        fences::mark_closed(&mut transaction.open_table(NUMBERS)?)?;
        transaction.commit()?;
        Ok(())
    }
}

/// Creates the tables of a new file, and converts a file of the previous format. Returns the known numbers of
/// fences, and true if the file is new.
fn prepare(database: &Database, sync: Sync) -> Result<(Fences, bool), OpenProblem> {
    let written = |database: &Database| -> Result<_, redb::Error> {
        let transaction = database.begin_write()?;
        let mut numbers = transaction.open_table(NUMBERS)?;
        let found = number_at(&numbers, FORMAT_KEY)?;
        let (format, is_of_before) = match found {
            Some(format @ (FORMAT | FORMAT_WITH_SEED)) => (format, false),
            Some(FORMAT_BEFORE) => (FORMAT, true),
            Some(seeds::FORMAT_BEFORE_WITH_SEED) => (FORMAT_WITH_SEED, true),
            Some(unknown) => return Ok(Err(unknown)),
            None => (FORMAT, false),
        };
        numbers.insert(FORMAT_KEY, &row::write_number(format)[..])?;
        seeds::drop_undecided(&transaction, &numbers)?;
        let fences = Fences::open(&transaction, &mut numbers, sync, is_of_before)?;
        drop(numbers);
        transaction.open_table(POOLS)?;
        transaction.open_table(RESOURCES)?;
        transaction.commit()?;
        Ok(Ok((fences, found.is_none())))
    };
    written(database)
        .map_err(OpenProblem::from)?
        .map_err(|unknown| OpenProblem::Format(Some(unknown)))
}

/// Writes changes. Returns the highest fence of a pool among them, or 0.
fn apply(
    transaction: &WriteTransaction,
    changes: impl Iterator<Item = Change>,
) -> Result<u64, redb::Error> {
    let mut highest_fence = 0;
    let mut resources = transaction.open_table(RESOURCES)?;
    // Each grant of the batch raises its pool's fence; only the last one is written.
    let mut latest_fences: HashMap<PoolNumber, Fence> = HashMap::new();
    let (mut key, mut bytes) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::ResourceSet(pool, id, row) => {
                row::write_key(pool, &id, &mut key);
                bytes = row::write_row(&row, bytes);
                resources.insert(&key[..], &bytes[..])?;
            }
            Change::ResourceRemoved(pool, id) => {
                row::write_key(pool, &id, &mut key);
                resources.remove(&key[..])?;
            }
            Change::Fence(pool, fence) => {
                highest_fence = highest_fence.max(fence.number());
                latest_fences.insert(pool, fence);
            }
            Change::PoolCreated {
                number,
                name,
                fence,
            } => {
                highest_fence = highest_fence.max(fence.number());
                let mut pools = transaction.open_table(POOLS)?;
                pools.insert(name.as_bytes(), &row::write_number(number.0)[..])?;
                row::write_key(number, "", &mut key);
                resources.insert(&key[..], &row::write_number(fence.number())[..])?;
            }
            Change::PoolRemoved {
                number,
                name,
                retired_fence,
            } => {
                let mut numbers = transaction.open_table(NUMBERS)?;
                let fence = row::write_number(retired_fence.number());
                numbers.insert(RETIRED_FENCE, &fence[..])?;
                transaction.open_table(POOLS)?.remove(name.as_bytes())?;
                latest_fences.remove(&number);
                resources.retain_in(bounds(&all_of(number)), |_, _| false)?;
            }
        }
    }
    for (pool, fence) in latest_fences {
        row::write_key(pool, "", &mut key);
        resources.insert(&key[..], &row::write_number(fence.number())[..])?;
    }
    Ok(highest_fence)
}

fn number_at(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<u64>, redb::Error> {
    let guard = table.get(key)?;
    guard.map(|guard| read_number(guard.value())).transpose()
}

fn read_number(bytes: &[u8]) -> Result<u64, redb::Error> {
    row::read_number(bytes).ok_or_else(|| corrupted("a number"))
}

fn corrupted(what: &str) -> redb::Error {
    redb::Error::Corrupted(what.into())
}

/// The range of the keys of a pool and all its resources.
fn all_of(pool: PoolNumber) -> Range<Vec<u8>> {
    let start = |number| {
        let mut key = Vec::new();
        row::write_key(number, "", &mut key);
        key
    };
    start(pool)..start(PoolNumber(pool.0 + 1))
}

fn bounds(keys: &Range<Vec<u8>>) -> Range<&[u8]> {
    &keys.start[..]..&keys.end[..]
}
