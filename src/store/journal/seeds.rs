//! A large seed in the file, part by part, until it is applied.
//!
//! Its parts are written first, and the last one decides: from then on the seed will be applied. A seed
//! that is undecided when the file is opened is dropped.

use redb::{ReadTransaction, ReadableTable, Table, WriteTransaction};

use super::row::write_number;
use super::{FORMAT, FORMAT_BEFORE, FORMAT_KEY, NUMBERS, Rows, corrupted, number_at};
use crate::command::{PoolName, ResourceId, Seed};
use crate::pool::{SeedKind, SeedOrder};

/// Part number to the part's bytes, in the form of `write_part`.
const SEEDS: Rows = Rows::new("seeds");

/// The key in `NUMBERS` of the kind of a decided seed: 0 adds members, 1 sets them. Absent without one.
const KIND: &[u8] = b"seed kind";
/// The keys in `NUMBERS` of a [`SeedProgress`], while a decided seed has come beyond its first pool.
const POOLS_DONE: &[u8] = b"seed pools done";
const FIRST_INDEX: &[u8] = b"seed first seat";
const LOWEST_RANK: &[u8] = b"seed lowest rank";

/// The format of a file with a decided seed that is not applied yet: a version that does not know seeds
/// must not continue with it. The number is far above those of formats to come.
pub(super) const FORMAT_WITH_SEED: u64 = FORMAT + 1000;
/// The same for the previous format.
pub(super) const FORMAT_BEFORE_WITH_SEED: u64 = FORMAT_BEFORE + 1000;

/// The length of a part in bytes, give or take a name.
const PART_BYTES: usize = 256 << 10;

/// A seed that is decided and not yet applied.
#[derive(Debug)]
pub(in crate::store) struct PendingSeed {
    /// Its effect.
    pub(in crate::store) kind: SeedKind,
    /// All of it.
    pub(in crate::store) seed: Seed,
    /// Its progress.
    pub(in crate::store) progress: SeedProgress,
}

/// The progress of applying a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct SeedProgress {
    /// The number of its pools that are done.
    pub(in crate::store) pools: usize,
    /// The order of the ids of the next pool, if some of them may be added already.
    pub(in crate::store) order: Option<SeedOrder>,
}

/// A note for the journal about a large seed.
#[derive(Debug)]
pub(in crate::store) enum SeedNote {
    /// One part of it.
    Part(SeedPart),
    /// The last part: with it the seed is decided.
    LastPart(SeedPart, SeedKind),
    /// The progress of applying it.
    Progress(SeedProgress),
    /// All of it was applied.
    Done,
}

impl SeedNote {
    /// Returns true if a crash must not undo this note: the seed is decided, or it was applied, which is
    /// answered next.
    pub(in crate::store) fn is_final(&self) -> bool {
        matches!(self, SeedNote::LastPart(..) | SeedNote::Done)
    }
}

/// One part of a seed.
#[derive(Debug)]
pub(in crate::store) struct SeedPart {
    number: u64,
    bytes: Vec<u8>,
    /// True for the last part.
    pub(in crate::store) is_last: bool,
}

/// The progress of writing a seed.
#[derive(Debug, Default)]
pub(in crate::store) struct SeedWriter {
    number: u64,
    /// The index of the current pool, and the number of its ids that are written.
    pool: usize,
    ids: usize,
}

/// The contents of a part: pools with ids. A pool with `true` continues from the previous part.
type Pools<'a> = Vec<(bool, &'a str, Vec<&'a str>)>;

impl SeedWriter {
    /// Makes the next part.
    pub(in crate::store) fn next(&mut self, seed: &Seed) -> SeedPart {
        let bytes = self.write_part(seed);
        self.number += 1;
        SeedPart {
            number: self.number,
            bytes,
            is_last: self.pool == seed.pool_count(),
        }
    }

    fn write_part(&mut self, seed: &Seed) -> Vec<u8> {
        let mut named = Vec::new();
        let mut left = PART_BYTES;
        while left > 0 && self.pool < seed.pool_count() {
            let (name, ids) = seed.pool(self.pool);
            let from = self.ids;
            while left > 0 && self.ids < ids.len() {
                left = left.saturating_sub(ids.at(self.ids).len() + 1);
                self.ids += 1;
            }
            left = left.saturating_sub(name.as_str().len() + 3);
            named.push((from > 0, name, ids.slice(from..self.ids)));
            if self.ids == ids.len() {
                self.pool += 1;
                self.ids = 0;
            }
        }
        let pools = named.iter().map(|(goes_on, name, ids)| {
            let ids = (0..ids.len()).map(|place| ids.at(place)).collect();
            (*goes_on, name.as_str(), ids)
        });
        let pools: Pools<'_> = pools.collect();
        postcard::to_stdvec(&pools).expect("names can be written to memory")
    }
}

/// Adds the contents of a part to `seed`. Returns `None` if `write_part` did not write it.
fn read_part(seed: &mut Seed, bytes: &[u8]) -> Option<()> {
    let (pools, rest) = postcard::take_from_bytes::<Pools<'_>>(bytes).ok()?;
    for (goes_on, name, ids) in pools {
        if !goes_on {
            seed.add_pool(&PoolName::parse_stored(name).ok()?);
        }
        if seed.pool_count() == 0 {
            return None;
        }
        for id in ids {
            seed.add_id(&ResourceId::parse_stored(id).ok()?);
        }
    }
    rest.is_empty().then_some(())
}

/// Writes a note about a seed.
pub(super) fn note(transaction: &WriteTransaction, note: SeedNote) -> Result<(), redb::Error> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    match note {
        SeedNote::Part(part) => write(transaction, &part)?,
        SeedNote::LastPart(part, kind) => {
            write(transaction, &part)?;
            let kind = u64::from(kind == SeedKind::Sets);
            set(&mut numbers, KIND, Some(kind))?;
            set(&mut numbers, FORMAT_KEY, Some(FORMAT_WITH_SEED))?;
        }
        SeedNote::Progress(progress) => {
            set(&mut numbers, POOLS_DONE, Some(progress.pools as u64))?;
            write_seed_order(&mut numbers, progress.order)?;
        }
        SeedNote::Done => {
            set(&mut numbers, KIND, None)?;
            set(&mut numbers, POOLS_DONE, None)?;
            write_seed_order(&mut numbers, None)?;
            set(&mut numbers, FORMAT_KEY, Some(FORMAT))?;
            transaction.delete_table(SEEDS)?;
        }
    }
    Ok(())
}

fn write_seed_order(
    numbers: &mut Table<'_, &[u8], &[u8]>,
    order: Option<SeedOrder>,
) -> Result<(), redb::Error> {
    let lowest_rank = order.map(|order| order.lowest_rank.cast_unsigned());
    set(numbers, FIRST_INDEX, order.map(|order| order.first_index))?;
    set(numbers, LOWEST_RANK, lowest_rank)
}

fn set(
    numbers: &mut Table<'_, &[u8], &[u8]>,
    key: &[u8],
    number: Option<u64>,
) -> Result<(), redb::Error> {
    match number {
        Some(number) => numbers.insert(key, &write_number(number)[..])?,
        None => numbers.remove(key)?,
    };
    Ok(())
}

fn write(transaction: &WriteTransaction, part: &SeedPart) -> Result<(), redb::Error> {
    let mut seeds = transaction.open_table(SEEDS)?;
    seeds.insert(&write_number(part.number)[..], &part.bytes[..])?;
    Ok(())
}

/// Drops the parts of an undecided seed.
pub(super) fn drop_undecided(
    transaction: &WriteTransaction,
    numbers: &Table<'_, &[u8], &[u8]>,
) -> Result<(), redb::Error> {
    if numbers.get(KIND)?.is_none() {
        transaction.delete_table(SEEDS)?;
    }
    Ok(())
}

/// Reads the seed that is decided and not yet applied, if there is one.
pub(super) fn read(transaction: &ReadTransaction) -> Result<Option<PendingSeed>, redb::Error> {
    let numbers = transaction.open_table(NUMBERS)?;
    let kind = match number_at(&numbers, KIND)? {
        None => return Ok(None),
        Some(0) => SeedKind::Adds,
        Some(1) => SeedKind::Sets,
        Some(_) => return Err(damaged()),
    };
    let mut seed = Seed::default();
    for entry in transaction.open_table(SEEDS)?.iter()? {
        let (_, part) = entry?;
        read_part(&mut seed, part.value()).ok_or_else(damaged)?;
    }
    let pools = number_at(&numbers, POOLS_DONE)?.unwrap_or(0);
    let pools = usize::try_from(pools).map_err(|_| damaged())?;
    if pools > seed.pool_count() {
        return Err(damaged());
    }
    let first_index = number_at(&numbers, FIRST_INDEX)?;
    let order = first_index.zip(number_at(&numbers, LOWEST_RANK)?);
    let order = order.map(|(first_index, lowest_rank)| SeedOrder {
        first_index,
        lowest_rank: lowest_rank.cast_signed(),
    });
    let progress = SeedProgress { pools, order };
    Ok(Some(PendingSeed {
        kind,
        seed,
        progress,
    }))
}

fn damaged() -> redb::Error {
    corrupted("a seed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_the_same_as_what_was_written() {
        let mut random = fastrand::Rng::with_seed(3);
        for pools in [0, 1, 2, 500] {
            let mut seed = Seed::default();
            for pool in 0..pools {
                seed.add_pool(&PoolName::parse(format!("pool {pool}")).expect("a good name"));
                for id in 0..random.u32(0..40_000 / pools as u32) {
                    seed.add_id(&ResourceId::parse(format!("id {id}")).expect("a good id"));
                }
            }
            let (mut parts, mut read, mut count) = (SeedWriter::default(), Seed::default(), 0);
            loop {
                let part = parts.next(&seed);
                count += 1;
                assert_eq!(part.number, count);
                assert!(part.bytes.len() < PART_BYTES + 1000);
                assert_eq!(read_part(&mut read, &part.bytes), Some(()));
                assert_eq!(read_part(&mut Seed::default(), &part.bytes[1..]), None);
                if part.is_last {
                    break;
                }
            }
            assert_eq!(read, seed);
        }
    }
}
