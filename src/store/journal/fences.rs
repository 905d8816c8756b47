//! Fences after a disorderly end: none is given twice, even if the last commit is lost.
//!
//! Each commit leaves a ceiling above all fences of the next commit. If a damaged page costs the last
//! commit, the one before it still has a number that no grant has passed. All pools continue above it.
//! There is one ceiling for all pools, so that a pool whose creation is lost continues above it, too.

use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    NUMBERS, POOLS, RESOURCES, RETIRED_FENCE, Sync, number_at, read_number,
    row::{write_key, write_number},
};
use crate::pool::PoolNumber;

/// The key of the ceiling: an upper bound of all fences up to the next commit.
const CEILING: &[u8] = b"fence ceiling";
/// The key of the floor: every further grant has a higher fence, whatever its pool's row says.
const FLOOR: &[u8] = b"fence floor";
/// The key that is present while a server has the file open.
const OPEN: &[u8] = b"open";
/// The key that is present while the file may lack answered changes.
const BEHIND: &[u8] = b"behind";

/// The distance of a new ceiling above the fences, in fences. A new one is written when half of it is used,
/// so that hardly any commit writes one.
const AHEAD: u64 = 1000;
/// An upper bound of the grants of one pool in the half minute that a system may take to write back.
const MAX_FENCES_BEHIND: u64 = 1 << 24;

/// The file's numbers about fences, beside those of its pools.
#[derive(Debug)]
pub(super) struct Fences {
    ceiling: u64,
    floor: u64,
}

impl Fences {
    /// Reads the ceiling. After a disorderly end it becomes the floor. A file of the previous format has no
    /// ceiling, and does not tell how it ended.
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

    /// The number that every further fence exceeds.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Writes a higher ceiling if the fences are near the present one. Returns the ceiling that holds once
    /// the transaction is committed.
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

    /// Sets the ceiling after its transaction is committed. Returns true if that transaction has fences
    /// above the previous ceiling.
    pub(super) fn set_ceiling(&mut self, raised: u64, highest: u64) -> bool {
        let before = std::mem::replace(&mut self.ceiling, raised);
        highest > before
    }
}

/// Marks an orderly end: nothing is missing after it.
pub(super) fn mark_closed(
    numbers: &mut Table<'_, &'static [u8], &'static [u8]>,
) -> Result<(), redb::Error> {
    numbers.remove(OPEN)?;
    numbers.remove(BEHIND)?;
    Ok(())
}

/// The highest fence of any pool, including removed ones.
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
