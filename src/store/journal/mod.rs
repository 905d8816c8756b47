//! The engine's changes on disk, in a redb file.
//!
//! It keeps the last row of each key and tells them to who is [`Restoring`]; it knows no rule of
//! lending. All changes of a tick are one transaction: after a crash either all of them are there
//! or none.

mod disk;
mod error;
mod row;
mod seeds;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

pub use disk::Disk;
pub use error::OpenError;
use error::Problem;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};
use seeds::FORMAT_WITH_SEED;

pub(super) use seeds::{PendingSeed, SeedNote, SeedParts, SeedPlace};

use crate::command::{Fence, StoredName};
use crate::pool::{Change, PoolNumber, Restoring};

/// What the tables below mean. A file with another number is refused.
const FORMAT: u64 = 4;

/// All tables are of one type: redb's code for a type takes 50 KB of the binary.
type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Single numbers: [`FORMAT_KEY`], [`RETIRED_FENCE`], and [`BEHIND`].
const NUMBERS: Rows = TableDefinition::new("numbers");
/// Pool name to pool number.
const POOLS: Rows = TableDefinition::new("pools");
/// Pool number and resource id to what `row` says of a resource; and pool number alone to the fence
/// of the pool's latest grant, which so is on a page that a grant changes anyway.
const RESOURCES: Rows = TableDefinition::new("resources");

const FORMAT_KEY: &[u8] = b"format";
const RETIRED_FENCE: &[u8] = b"retired fence";
/// Stands in `NUMBERS` while the file may be behind what was answered.
const BEHIND: &[u8] = b"behind";
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
        let format = journal.prepare().map_err(|e| error(Problem::from(e)))?;
        if format != FORMAT && format != FORMAT_WITH_SEED {
            return Err(error(Problem::Format(Some(format))));
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
            let format = number_at(&numbers, FORMAT_KEY)?.unwrap_or(FORMAT);
            if format != FORMAT && format != FORMAT_WITH_SEED {
                return Ok(format);
            }
            numbers.insert(FORMAT_KEY, &row::write_number(format)[..])?;
            seeds::drop_undecided(&transaction, &numbers)?;
            if numbers.remove(BEHIND)?.is_some() {
                skip_fences(&transaction, &mut numbers)?;
            }
            if self.sync != Sync::Always {
                numbers.insert(BEHIND, &[][..])?;
            }
            format
        };
        transaction.open_table(POOLS)?;
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
        let resources = transaction.open_table(RESOURCES)?;
        let retired_fence = number_at(&numbers, RETIRED_FENCE)?.unwrap_or(0);
        restoring.retired_fence(Fence::from_number(retired_fence));
        for entry in transaction.open_table(POOLS)?.iter()? {
            let (name, number) = entry?;
            let name = str::from_utf8(name.value()).map_err(|_| corrupted("a pool's name"))?;
            let number = PoolNumber(read_number(number.value())?);
            let keys = all_of(number);
            let fence = number_at(&resources, &keys.start)?.unwrap_or(0);
            restoring.pool(number, StoredName::from(name), Fence::from_number(fence));
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

    /// A large seed that has to be applied.
    pub(super) fn pending_seed(&self) -> Result<Option<PendingSeed>, OpenError> {
        let read = || seeds::read(&self.database.begin_read()?);
        read().map_err(|error: redb::Error| OpenError {
            disk: self.disk.to_string(),
            problem: Problem::from(error),
        })
    }

    /// Writes changes in one transaction, and how a large seed stands. It is as durable as `sync` says
    /// when this returns, unless nobody `waits` for that: then it is together with what is appended next.
    /// Answers how many microseconds that took.
    pub(super) fn append(
        &mut self,
        changes: impl Iterator<Item = Change>,
        seed: Option<SeedNote>,
        waits: bool,
    ) -> Result<u64, redb::Error> {
        let started = Instant::now();
        let mut transaction = self.database.begin_write()?;
        if self.sync == Sync::Interval || !waits {
            transaction.set_durability(Durability::None)?;
        }
        apply(&transaction, changes)?;
        if let Some(note) = seed {
            seeds::note(&transaction, note)?;
        }
        transaction.commit()?;
        Ok(started.elapsed().as_micros() as u64)
    }

    /// Makes durable what was appended so far. Answers how many microseconds that took.
    pub fn make_durable(&mut self) -> Result<u64, redb::Error> {
        let started = Instant::now();
        // An empty transaction: its commit carries all the earlier ones with it.
        self.database.begin_write()?.commit()?;
        Ok(started.elapsed().as_micros() as u64)
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
    numbers: &mut Table<'_, &[u8], &[u8]>,
) -> Result<(), redb::Error> {
    let retired = number_at(numbers, RETIRED_FENCE)?.unwrap_or(0);
    numbers.insert(
        RETIRED_FENCE,
        &row::write_number(retired + MAX_FENCES_BEHIND)[..],
    )?;
    let mut resources = transaction.open_table(RESOURCES)?;
    let mut key = Vec::new();
    for entry in transaction.open_table(POOLS)?.iter()? {
        let (_, number) = entry?;
        row::write_key(PoolNumber(read_number(number.value())?), "", &mut key);
        let fence = number_at(&resources, &key)?.unwrap_or(0);
        resources.insert(&key[..], &row::write_number(fence + MAX_FENCES_BEHIND)[..])?;
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
    Ok(())
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

/// The keys of a pool and all its resources.
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
