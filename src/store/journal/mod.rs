//! The engine's changes on disk, in a redb file.
//!
//! It keeps the last row of each key and tells them to who is [`Restoring`]; it knows no rule of
//! lending. All changes of a tick are one transaction: after a crash either all of them are there
//! or none.

mod disk;
mod error;
mod row;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

pub use disk::Disk;
pub use error::OpenError;
use error::Problem;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};

use crate::command::{Fence, StoredName};
use crate::pool::{Change, PoolNumber, Restoring};

/// What the tables below mean. A file with another number is refused.
const FORMAT: u64 = 3;

/// Single numbers: `format`, `retired fence`, and [`BEHIND`].
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// Pool name to pool number.
const POOLS: TableDefinition<'_, &str, u64> = TableDefinition::new("pools");
/// Pool number to the fence of its latest grant.
const FENCES: TableDefinition<'_, u64, u64> = TableDefinition::new("fences");
/// Pool number and resource id to what `row` says of a resource.
const RESOURCES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("resources");

/// Stands in `NUMBERS` while the file may be behind what was answered.
const BEHIND: &str = "behind";
/// More grants than are made in one pool in the half minute that a system may take to write back.
const MAX_FENCES_BEHIND: u64 = 1 << 24;

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
    disk: Rc<dyn Disk>,
    sync: Sync,
}

impl Journal {
    /// Opens the file, or creates it if it is missing or empty. The whole file is verified.
    pub fn open(path: &Path, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_on(Rc::new(disk::File(path.to_owned())), sync)
    }

    /// The same where the journal is on something else than a file.
    pub fn open_on(disk: Rc<dyn Disk>, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_or_create(disk, sync, true)
    }

    /// Opens again what has failed. If it is gone it is not created: what it held would be lent twice.
    pub fn reopen(disk: Rc<dyn Disk>, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_or_create(disk, sync, false)
    }

    fn open_or_create(disk: Rc<dyn Disk>, sync: Sync, create: bool) -> Result<Journal, OpenError> {
        let error = |problem| OpenError {
            disk: disk.to_string(),
            problem,
        };
        let opened = disk::open_database(&*disk, sync, create);
        let database = opened.map_err(|e| error(Problem::from(e)))?;
        let journal = Journal {
            database,
            disk: disk.clone(),
            sync,
        };
        let format = journal.prepare().map_err(|e| error(Problem::Other(e)))?;
        if format != FORMAT {
            return Err(error(Problem::Format(format)));
        }
        Ok(journal)
    }

    /// What it is on.
    pub fn disk(&self) -> &Rc<dyn Disk> {
        &self.disk
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

    /// Tells everything that was appended, summed up.
    pub fn read(&self, restoring: &mut Restoring) -> Result<(), OpenError> {
        self.read_rows(restoring).map_err(|error| OpenError {
            disk: self.disk.to_string(),
            problem: Problem::from(error),
        })
    }

    fn read_rows(&self, restoring: &mut Restoring) -> Result<(), redb::Error> {
        let transaction = self.database.begin_read()?;
        let numbers = transaction.open_table(NUMBERS)?;
        let fences = transaction.open_table(FENCES)?;
        let resources = transaction.open_table(RESOURCES)?;
        let retired_fence = numbers
            .get("retired fence")?
            .map_or(0, |guard| guard.value());
        restoring.retired_fence(Fence::from_number(retired_fence));
        for entry in transaction.open_table(POOLS)?.iter()? {
            let (name, number) = entry?;
            let number = PoolNumber(number.value());
            let fence = fences.get(number.0)?.map_or(0, |guard| guard.value());
            let name = StoredName::from(name.value());
            restoring.pool(number, name, Fence::from_number(fence));
            for entry in resources.range(bounds(&all_of(number)))? {
                let (key, row) = entry?;
                let id = row::id_in_key(number, key.value());
                match (id, row::read_row(row.value())) {
                    (Some(id), Some(row)) => restoring.resource(StoredName::from(id), row),
                    _ => return Err(redb::Error::Corrupted("a resource's row".into())),
                }
            }
        }
        Ok(())
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
                latest_fences.insert(pool, fence);
            }
            Change::PoolCreated {
                number,
                name,
                fence,
            } => {
                transaction.open_table(POOLS)?.insert(&*name, number.0)?;
                let mut fences = transaction.open_table(FENCES)?;
                fences.insert(number.0, fence.number())?;
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
                resources.retain_in(bounds(&all_of(number)), |_, _| false)?;
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
