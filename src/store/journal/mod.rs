//! The engine's changes on disk, in a redb file.
//!
//! It keeps the last row of each key and hands them back as a [`Snapshot`]; it knows no rule of
//! lending. All changes of a tick are one transaction: after a crash either all of them are there
//! or none.

mod error;
mod file;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use error::OpenError;
use error::Problem;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};

use crate::command::{Fence, StoredName, Ttl};
use crate::pool::{Change, GrantRow, PoolNumber, PoolRow, ResourceRow, Snapshot};
use crate::time::Time;

/// What the tables below mean. A file with another number is refused.
const FORMAT: u64 = 2;

/// Single numbers: `format`, `retired fence`, and [`BEHIND`].
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// Pool name to pool number.
const POOLS: TableDefinition<'_, &str, u64> = TableDefinition::new("pools");
/// Pool number to the fence of its latest grant.
const FENCES: TableDefinition<'_, u64, u64> = TableDefinition::new("fences");
/// Pool number and resource id to seat, rank, and (fence, time of the grant in ms since the epoch).
const RESOURCES: TableDefinition<'_, (u64, &str), ResourceColumns> =
    TableDefinition::new("resources");

type ResourceColumns = (Option<u64>, i64, Option<GrantColumns>);
type GrantColumns = (u64, u64, Option<u32>, Option<String>);

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
    path: PathBuf,
    sync: Sync,
}

impl Journal {
    /// Opens the file, or creates it if it is missing or empty. The whole file is verified.
    pub fn open(path: &Path, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_file(path, sync, true)
    }

    /// Opens the file again after it has failed. If it is gone it is not created: what it held
    /// would be lent twice.
    pub fn reopen(path: &Path, sync: Sync) -> Result<Journal, OpenError> {
        Journal::open_file(path, sync, false)
    }

    fn open_file(path: &Path, sync: Sync, create: bool) -> Result<Journal, OpenError> {
        let error = |problem| OpenError {
            path: path.to_owned(),
            problem,
        };
        let database =
            file::open_database(path, sync, create).map_err(|e| error(Problem::from(e)))?;
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
    let grant = row.grant.map(
        |GrantRow {
             fence,
             granted_at,
             ttl,
             owner,
         }| {
            let owner = owner.map(|owner| owner.to_string());
            (
                fence.number(),
                granted_at.as_ms(),
                ttl.map(Ttl::as_s),
                owner,
            )
        },
    );
    (row.seat, row.rank, grant)
}

fn row_of((seat, rank, grant): ResourceColumns) -> ResourceRow {
    let grant = grant.map(|(fence, granted_at_ms, ttl_s, owner)| GrantRow {
        fence: Fence::from_number(fence),
        granted_at: Time::from_ms(granted_at_ms),
        ttl: ttl_s.and_then(Ttl::from_s),
        owner: owner.map(StoredName::from),
    });
    ResourceRow { seat, rank, grant }
}
