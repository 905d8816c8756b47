//! Fences after an end that was not orderly: none is given twice, even if what was written last is lost.
//!
//! A commit writes a ceiling that is above all fences of the next commit. If a damaged page costs the last
//! commit, the one before it still knows a number that no grant has passed, and all pools go on above it.
//! The ceiling is one for all pools, so that a pool whose creation is lost goes on above it, too.

use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    NUMBERS, POOLS, RESOURCES, RETIRED_FENCE, Sync, number_at, read_number,
    row::{write_key, write_number},
};
use crate::pool::PoolNumber;

/// At least the highest fence that any grant up to the next commit has.
const CEILING: &[u8] = b"fence ceiling";
/// Every grant from now on has a higher fence than this, whatever the row of its pool says.
const FLOOR: &[u8] = b"fence floor";
/// Stands in `NUMBERS` while a server has the file open.
const OPEN: &[u8] = b"open";
/// Stands in `NUMBERS` while the file may be behind what was answered.
const BEHIND: &[u8] = b"behind";

/// How far the ceiling is above the fences when it is written. It is written again when half of it is used
/// up, so that hardly any commit writes it.
const AHEAD: u64 = 1000;
/// More grants than are made in one pool in the half minute that a system may take to write back.
const MAX_FENCES_BEHIND: u64 = 1 << 24;

/// The numbers that the file keeps of fences, beside those of its pools.
#[derive(Debug)]
pub(super) struct Fences {
    ceiling: u64,
    floor: u64,
}

impl Fences {
    /// Reads the ceiling. If the last end was not orderly it is the floor from now on. A file of the format
    /// before has none, and does not tell how it has ended.
    pub(super) fn open(
        transaction: &WriteTransaction,
        numbers: &mut Table<'_, &'static [u8], &'static [u8]>,
        sync: Sync,
        is_of_format_before: bool,
    ) -> Result<Fences, redb::Error> {
        let highest = match is_of_format_before {
            true => highest_fence(transaction, numbers)?,
            false => 0,
        };
        let mut fences = Fences {
            ceiling: number_at(numbers, CEILING)?.unwrap_or(highest + AHEAD),
            floor: number_at(numbers, FLOOR)?.unwrap_or(0),
        };
        let is_behind = numbers.remove(BEHIND)?.is_some();
        let was_open = numbers.insert(OPEN, &[][..])?.is_some();
        if is_behind || was_open || is_of_format_before {
            fences.floor = fences.ceiling + if is_behind { MAX_FENCES_BEHIND } else { 0 };
            fences.ceiling = fences.floor + AHEAD;
        }
        numbers.insert(CEILING, &write_number(fences.ceiling)[..])?;
        numbers.insert(FLOOR, &write_number(fences.floor)[..])?;
        if sync != Sync::Always {
            numbers.insert(BEHIND, &[][..])?;
        }
        Ok(fences)
    }

    /// The number that every further fence is above.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Writes a higher ceiling if the present one has come near. Answers the one that holds once the
    /// transaction is committed.
    pub(super) fn raise(
        &self,
        transaction: &WriteTransaction,
        highest: u64,
    ) -> Result<u64, redb::Error> {
        if highest + AHEAD / 2 <= self.ceiling {
            return Ok(self.ceiling);
        }
        let raised = highest + AHEAD;
        let mut numbers = transaction.open_table(NUMBERS)?;
        numbers.insert(CEILING, &write_number(raised)[..])?;
        Ok(raised)
    }

    /// The transaction that has raised it is committed. Answers whether it has fences above the ceiling that
    /// was committed before.
    pub(super) fn set_ceiling(&mut self, raised: u64, highest: u64) -> bool {
        let before = std::mem::replace(&mut self.ceiling, raised);
        highest > before
    }
}

/// Marks an orderly end, after which nothing is missing.
pub(super) fn mark_closed(
    numbers: &mut Table<'_, &'static [u8], &'static [u8]>,
) -> Result<(), redb::Error> {
    numbers.remove(OPEN)?;
    numbers.remove(BEHIND)?;
    Ok(())
}

/// The highest fence of any pool, those that are gone included.
fn highest_fence(
    transaction: &WriteTransaction,
    numbers: &Table<'_, &'static [u8], &'static [u8]>,
) -> Result<u64, redb::Error> {
    let mut highest = number_at(numbers, RETIRED_FENCE)?.unwrap_or(0);
    let resources = transaction.open_table(RESOURCES)?;
    let mut key = Vec::new();
    for entry in transaction.open_table(POOLS)?.iter()? {
        let (_, number) = entry?;
        write_key(PoolNumber(read_number(number.value())?), "", &mut key);
        highest = highest.max(number_at(&resources, &key)?.unwrap_or(0));
    }
    Ok(highest)
}
