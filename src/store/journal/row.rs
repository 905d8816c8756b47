//! A resource's row in bytes. It is kept small, since each commit writes every page with a changed
//! row, and smaller rows share fewer pages.
//!
//! It knows no table and no file.

use serde::{Deserialize, Serialize};

use crate::command::{Fence, StoredName, Ttl};
use crate::pool::{GrantRow, PoolNumber, ResourceRow};
use crate::time::Time;

/// The columns of a row, in the order of the bytes. Any change here needs another
/// [`super::FORMAT`].
#[derive(Serialize, Deserialize)]
struct Columns<'a> {
    seed_index: Option<u64>,
    rank: i64,
    #[serde(borrow)]
    grant: Option<GrantColumns<'a>>,
}

#[derive(Serialize, Deserialize)]
struct GrantColumns<'a> {
    fence: u64,
    granted_at_ms: u64,
    ttl_s: Option<u32>,
    owner: Option<&'a str>,
}

/// The highest pool number that is one byte. The key of a larger one begins with this plus the
/// number's length in bytes.
const LENGTH_MARK: u8 = 0xf7;

/// Writes the key of a resource: its pool's number, then its id. With an empty id it is the key of
/// the pool. Keys sort by pool number, and no number's bytes are a prefix of another's.
pub(super) fn write_key(pool: PoolNumber, id: &str, key: &mut Vec<u8>) {
    key.clear();
    let bytes = pool.0.to_be_bytes();
    let length = 8 - pool.0.leading_zeros() as usize / 8;
    match u8::try_from(pool.0) {
        Ok(number) if number <= LENGTH_MARK => key.push(number),
        _ => {
            key.push(LENGTH_MARK + length as u8);
            key.extend_from_slice(&bytes[8 - length..]);
        }
    }
    key.extend_from_slice(id.as_bytes());
}

/// Reads the id from a key of this pool. `None` if the key is not of this pool or not text.
pub(super) fn id_in_key(pool: PoolNumber, key: &[u8]) -> Option<&str> {
    let mut start = Vec::new();
    write_key(pool, "", &mut start);
    std::str::from_utf8(key.strip_prefix(&start[..])?).ok()
}

/// Writes a number that is a row of its own.
pub(super) fn write_number(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Reads a number that `write_number` wrote. `None` unless there are 8 bytes.
pub(super) fn read_number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// Writes a row. The memory of `bytes` is used for it.
pub(super) fn write_row(row: &ResourceRow, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.clear();
    let grant = row.grant.as_ref().map(|grant| GrantColumns {
        fence: grant.fence.number(),
        granted_at_ms: grant.granted_at.as_ms(),
        ttl_s: grant.ttl.map(Ttl::as_s),
        owner: grant.owner.as_deref(),
    });
    let columns = Columns {
        seed_index: row.seed_index,
        rank: row.rank,
        grant,
    };
    postcard::to_extend(&columns, bytes).expect("numbers and a name can be written to memory")
}

/// Reads a row. `None` if `write_row` did not write it.
pub(super) fn read_row(bytes: &[u8]) -> Option<ResourceRow> {
    let (columns, rest) = postcard::take_from_bytes::<Columns<'_>>(bytes).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let grant = match columns.grant {
        None => None,
        Some(grant) => Some(GrantRow {
            fence: Fence::from_number(grant.fence),
            granted_at: Time::from_ms(grant.granted_at_ms),
            ttl: match grant.ttl_s {
                None => None,
                Some(seconds) => Some(Ttl::from_s(seconds)?),
            },
            owner: grant.owner.map(StoredName::from),
        }),
    };
    Some(ResourceRow {
        seed_index: columns.seed_index,
        rank: columns.rank,
        grant,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64, id: &str) -> Vec<u8> {
        let mut key = Vec::new();
        write_key(PoolNumber(number), id, &mut key);
        key
    }

    #[test]
    fn keys_stand_in_the_order_of_pools() {
        let numbers = [0, 1, 246, 247, 248, 255, 256, 65_535, 65_536, u64::MAX - 1];
        for pair in numbers.windows(2) {
            assert!(key(pair[0], "\u{10ffff}") < key(pair[1], ""), "{pair:?}");
        }
        for number in numbers {
            let key = key(number, "id");
            assert_eq!(id_in_key(PoolNumber(number), &key), Some("id"));
            assert_eq!(id_in_key(PoolNumber(number + 1), &key), None);
        }
        assert_eq!(key(3, "4"), b"\x034");
    }

    #[test]
    fn rows_read_the_same_and_are_short() {
        let grant = GrantRow {
            fence: Fence::from_number(17),
            granted_at: Time::from_ms(1_790_000_000_000),
            ttl: Ttl::from_s(60),
            owner: Some("ci-42".into()),
        };
        let free = ResourceRow {
            seed_index: Some(1000),
            rank: -1000,
            grant: None,
        };
        let held = ResourceRow {
            seed_index: None,
            rank: i64::MAX,
            grant: Some(grant),
        };
        for (row, length) in [(free, 6), (held, 28)] {
            let bytes = write_row(&row, Vec::new());
            assert_eq!(bytes.len(), length);
            assert_eq!(read_row(&bytes), Some(row));
            for end in 0..bytes.len() {
                assert_eq!(read_row(&bytes[..end]), None, "cut at {end}");
            }
            assert_eq!(read_row(&[&bytes[..], b"\0"].concat()), None);
        }
    }
}
