//! The engine's changes on disk, in a redb file.
//!
//! It keeps the last row of each key and hands them back as a [`Snapshot`]; it knows no rule of
//! lending. All changes of a tick are one transaction: after a crash either all of them are there
//! or none.

use std::collections::HashMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    BackendError, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable,
    StorageBackend, Table, TableDefinition, WriteTransaction,
};

use crate::command::{Fence, StoredName};
use crate::pool::{Change, GrantRow, PoolNumber, PoolRow, ResourceRow, Snapshot};
use crate::time::Time;

/// What the tables below mean. A file with another number is refused.
const FORMAT: u64 = 1;

/// Single numbers: `format`, `retired fence`, and [`BEHIND`].
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// Pool name to pool number.
const POOLS: TableDefinition<'_, &str, u64> = TableDefinition::new("pools");
/// Pool number to the fence of its latest grant.
const FENCES: TableDefinition<'_, u64, u64> = TableDefinition::new("fences");
/// Pool number and resource id to seat, rank, and (fence, time of the grant in ms since the epoch).
const RESOURCES: TableDefinition<'_, (u64, &str), ResourceColumns> =
    TableDefinition::new("resources");

type ResourceColumns = (Option<u64>, i64, Option<(u64, u64)>);

/// Stands in `NUMBERS` while the file may be behind what was answered.
const BEHIND: &str = "behind";
/// More grants than are made in one pool in the half minute that a system may take to write back.
const MAX_FENCES_BEHIND: u64 = 1 << 24;

/// How much memory redb may take to cache pages. All rows are in the engine's memory anyway.
const CACHE_BYTES: usize = 8 << 20;

/// When a change is durable: `--sync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Before it is answered. Survives a power cut.
    #[default]
    Always,
    /// Within a second after it is answered. A power cut or a crash may lose that second, and no
    /// more.
    Interval,
    /// When the system writes it. Survives a crash of the process; a power cut may destroy the
    /// file.
    Never,
}

/// The engine's changes on disk.
pub struct Journal {
    database: Database,
    path: PathBuf,
    sync: Sync,
}

impl Journal {
    /// Opens the file, or creates it if it is missing or empty. The whole file is verified.
    pub fn open(path: &Path, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_file(path, sync, true)
    }

    /// Opens the file again after it has failed. If it is gone it is not created: what it held would
    /// be lent twice.
    pub fn reopen(path: &Path, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_file(path, sync, false)
    }

    fn open_file(path: &Path, sync: Sync, create: bool) -> Result<Journal, OpenError> {
        let error = |problem| OpenError {
            path: path.to_owned(),
            problem,
        };
        let database = open_database(path, sync, create).map_err(|e| error(Problem::from(e)))?;
        let journal = Journal {
            database,
            path: path.to_owned(),
            sync,
        };
        let format = journal.prepare().map_err(|e| error(Problem::Other(e)))?;
        if format != FORMAT {
            return Err(error(Problem::Format(format)));
        }
        Ok(journal)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When a change is durable.
    pub fn sync(&self) -> Sync {
        self.sync
    }

    /// Creates what a new file lacks, and answers the file's format.
    fn prepare(&self) -> Result<u64, redb::Error> {
        let transaction = self.database.begin_write()?;
        let format = {
            let mut numbers = transaction.open_table(NUMBERS)?;
            let format = numbers.get("format")?.map_or(FORMAT, |guard| guard.value());
            if format != FORMAT {
                return Ok(format);
            }
            numbers.insert("format", FORMAT)?;
            if numbers.remove(BEHIND)?.is_some() {
                skip_fences(&transaction, &mut numbers)?;
            }
            if self.sync != Sync::Always {
                numbers.insert(BEHIND, 1)?;
            }
            format
        };
        transaction.open_table(POOLS)?;
        transaction.open_table(FENCES)?;
        transaction.open_table(RESOURCES)?;
        transaction.commit()?;
        Ok(format)
    }

    /// Everything that was appended, summed up.
    pub fn read(&self) -> Result<Snapshot, OpenError> {
        self.read_rows().map_err(|error| OpenError {
            path: self.path.clone(),
            problem: Problem::Other(error),
        })
    }

    fn read_rows(&self) -> Result<Snapshot, redb::Error> {
        let transaction = self.database.begin_read()?;
        let numbers = transaction.open_table(NUMBERS)?;
        let fences = transaction.open_table(FENCES)?;
        let resources = transaction.open_table(RESOURCES)?;
        let retired_fence = numbers
            .get("retired fence")?
            .map_or(0, |guard| guard.value());
        let mut snapshot = Snapshot {
            retired_fence: Fence::from_number(retired_fence),
            pools: Vec::new(),
        };
        for entry in transaction.open_table(POOLS)?.iter()? {
            let (name, number) = entry?;
            let number = number.value();
            let fence = fences.get(number)?.map_or(0, |guard| guard.value());
            let mut rows = Vec::new();
            for entry in resources.range(all_of(number))? {
                let (key, columns) = entry?;
                rows.push((StoredName::from(key.value().1), row_of(columns.value())));
            }
            snapshot.pools.push(PoolRow {
                number: PoolNumber(number),
                name: StoredName::from(name.value()),
                fence: Fence::from_number(fence),
                resources: rows,
            });
        }
        Ok(snapshot)
    }

    /// Writes changes in one transaction, which is as durable as `sync` says when this returns.
    pub fn append(&mut self, changes: impl Iterator<Item = Change>) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        if self.sync == Sync::Interval {
            transaction.set_durability(Durability::None)?;
        }
        apply(&transaction, changes)?;
        transaction.commit()?;
        Ok(())
    }

    /// Makes durable what was appended so far.
    pub fn make_durable(&mut self) -> Result<(), redb::Error> {
        // An empty transaction: its commit carries all the earlier ones with it.
        self.database.begin_write()?.commit()?;
        Ok(())
    }

    /// Makes durable what was appended, and that it is all there is.
    pub fn close(&mut self) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(NUMBERS)?.remove(BEHIND)?;
        transaction.commit()?;
        Ok(())
    }
}

/// Grants that were answered may be missing in the file: leaves out the fences that they may have.
fn skip_fences(
    transaction: &WriteTransaction,
    numbers: &mut Table<'_, &str, u64>,
) -> Result<(), redb::Error> {
    let retired = numbers
        .get("retired fence")?
        .map_or(0, |guard| guard.value());
    numbers.insert("retired fence", retired + MAX_FENCES_BEHIND)?;
    let mut fences = transaction.open_table(FENCES)?;
    let rows: Vec<(u64, u64)> = fences
        .iter()?
        .map(|row| row.map(|(pool, fence)| (pool.value(), fence.value())))
        .collect::<Result<_, _>>()?;
    for (pool, fence) in rows {
        fences.insert(pool, fence + MAX_FENCES_BEHIND)?;
    }
    Ok(())
}

fn apply(
    transaction: &WriteTransaction,
    changes: impl Iterator<Item = Change>,
) -> Result<(), redb::Error> {
    let mut resources = transaction.open_table(RESOURCES)?;
    // Each grant of the tick moves its pool's fence; only the last one needs writing.
    let mut latest_fences: HashMap<PoolNumber, Fence> = HashMap::new();
    for change in changes {
        match change {
            Change::ResourceSet(pool, id, row) => {
                resources.insert((pool.0, &*id), columns_of(row))?;
            }
            Change::ResourceRemoved(pool, id) => {
                resources.remove((pool.0, &*id))?;
            }
            Change::Fence(pool, fence) => {
                latest_fences.insert(pool, fence);
            }
            Change::PoolCreated {
                number,
                name,
                fence,
            } => {
                transaction.open_table(POOLS)?.insert(&*name, number.0)?;
                latest_fences.insert(number, fence);
            }
            Change::PoolRemoved {
                number,
                name,
                retired_fence,
            } => {
                transaction
                    .open_table(NUMBERS)?
                    .insert("retired fence", retired_fence.number())?;
                transaction.open_table(POOLS)?.remove(&*name)?;
                transaction.open_table(FENCES)?.remove(number.0)?;
                latest_fences.remove(&number);
                resources.retain_in(all_of(number.0), |_, _| false)?;
            }
        }
    }
    if !latest_fences.is_empty() {
        let mut fences = transaction.open_table(FENCES)?;
        for (pool, fence) in latest_fences {
            fences.insert(pool.0, fence.number())?;
        }
    }
    Ok(())
}

/// The keys of all resources of a pool.
fn all_of(pool: u64) -> Range<(u64, &'static str)> {
    (pool, "")..(pool + 1, "")
}

fn columns_of(row: ResourceRow) -> ResourceColumns {
    let grant = row
        .grant
        .map(|grant| (grant.fence.number(), grant.granted_at.as_ms()));
    (row.seat, row.rank, grant)
}

fn row_of((seat, rank, grant): ResourceColumns) -> ResourceRow {
    let grant = grant.map(|(fence, granted_at_ms)| GrantRow {
        fence: Fence::from_number(fence),
        granted_at: Time::from_ms(granted_at_ms),
    });
    ResourceRow { seat, rank, grant }
}

fn open_database(path: &Path, sync: Sync, create: bool) -> Result<Database, DatabaseError> {
    let mut builder = Database::builder();
    // The check makes a damaged file an error where redb would otherwise trust it, and may panic.
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)?;
    if !create && file.metadata()?.len() == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty").into());
    }
    let backend = FileBackend::new(file)?;
    match sync {
        Sync::Always | Sync::Interval => builder.create_with_backend(backend),
        Sync::Never => builder.create_with_backend(Unsynced(backend)),
    }
}

/// A file that is written but never synced: what is written is in the system's hands.
#[derive(Debug)]
struct Unsynced(FileBackend);

impl StorageBackend for Unsynced {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
}

/// Why a journal could not be opened.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    InUse,
    Damaged(String),
    Format(u64),
    Io(io::Error),
    Other(redb::Error),
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Problem {
        match redb::Error::from(error) {
            redb::Error::DatabaseAlreadyOpen => Problem::InUse,
            redb::Error::Corrupted(what) => Problem::Damaged(what),
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Problem::Damaged(error.to_string())
            }
            redb::Error::Io(error) => Problem::Io(error),
            error => Problem::Other(error),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::InUse => write!(
                f,
                "{path} is in use by another process; each server needs its own file"
            ),
            Problem::Damaged(what) => {
                write!(
                    f,
                    "{path} is damaged or no latchd store ({what}); restore it from a copy, or name another file"
                )
            }
            Problem::Format(found) => {
                write!(
                    f,
                    "{path} has format {found}, and this latchd knows format {FORMAT}; use the latchd that wrote it"
                )
            }
            Problem::Io(error) => write!(
                f,
                "{path} cannot be opened for reading and writing: {error}"
            ),
            Problem::Other(error) => write!(f, "{path} cannot be read: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}
