//! A slice of a pool, as `dump.lua` returns it.

use redis::Value;

use super::reply::{self, Garbled};
use crate::command::{DumpedLock, Fence, StoredName, Ttl};

/// The reply to a slice of a dump.
#[derive(Debug)]
pub(super) enum SliceReply {
    /// The pool does not exist.
    Nothing,
    Slice(Slice),
}

/// Some members of a pool, some held resources, or some changes since the first slice.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) counters: Counters,
    /// The number of `resources` that are the next members in seeding order.
    pub(super) member_count: usize,
    /// The number of its held resources whose grant is missing.
    pub(super) orphan_count: usize,
    /// The rank up to which released resources are known.
    pub(super) freed_up_to: i64,
    /// The position that the slice reached: a cursor, or a fence.
    pub(super) next: String,
    pub(super) resources: Vec<(StoredName, Holding)>,
}

/// The state of a pool at a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters {
    pub(super) fence: Fence,
    /// The next place in seeding order: it rises with each new one.
    pub(super) seat: u64,
    /// The highest rank in the order of lending.
    pub(super) high: i64,
    /// The number of members.
    pub(super) total: usize,
    /// The number of held resources, members or not.
    pub(super) held_count: usize,
}

/// The state of a resource: free or held.
#[derive(Debug, PartialEq)]
pub(super) enum Holding {
    /// The rank in the order of lending.
    Free(i64),
    /// The fence of the grant, the index in it, and the lock.
    Held(Fence, i64, DumpedLock),
}

/// Reads the reply of the script.
pub(super) fn read(value: Value) -> Result<SliceReply, Garbled> {
    let mut values = reply::array(value)?.into_iter();
    let Some(head) = values.next() else {
        return Ok(SliceReply::Nothing);
    };
    let head = reply::text(head)?;
    let mut numbers = head.split(' ');
    let mut next = || numbers.next().ok_or(Garbled);
    let counters = Counters {
        fence: Fence::from_number(reply::number(next()?)?),
        seat: reply::number(next()?)?,
        high: reply::number(next()?)?,
        total: reply::number(next()?)?,
        held_count: reply::number(next()?)?,
    };
    let member_count = reply::number(next()?)?;
    let orphan_count = reply::number(next()?)?;
    let (freed_up_to, position) = (reply::number(next()?)?, next()?.to_owned());
    let text = reply::text(values.next().ok_or(Garbled)?)?;
    let resources = read_resources(&text).ok_or(Garbled)?;
    if resources.len() < member_count {
        return Err(Garbled);
    }
    Ok(SliceReply::Slice(Slice {
        counters,
        member_count,
        orphan_count,
        freed_up_to,
        next: position,
        resources,
    }))
}

/// Reads resources of three lines each: the state, the owner, the id.
fn read_resources(text: &str) -> Option<Vec<(StoredName, Holding)>> {
    let mut resources = Vec::new();
    let mut lines = text.split('\n');
    if text.is_empty() {
        return Some(resources);
    }
    while let Some(words) = lines.next() {
        let (owner, id) = (lines.next()?, lines.next()?);
        let mut words = words.split(' ');
        let holding = match words.next()? {
            "f" => Holding::Free(words.next()?.parse().ok()?),
            "h" => {
                let fence = Fence::from_number(words.next()?.parse().ok()?);
                let place = words.next()?.parse().ok()?;
                let lease = match words.next()? {
                    "-" => None,
                    seconds => Some(Ttl::from_s(seconds.parse().ok()?)?),
                };
                let ttl_s = match words.next()? {
                    "-" => None,
                    seconds => Some(seconds.parse().ok()?),
                };
                let lock = DumpedLock {
                    id: StoredName::from(id),
                    lease,
                    ttl_s,
                    owner: (!owner.is_empty()).then(|| StoredName::from(owner)),
                    age_s: words.next()?.parse().ok()?,
                };
                Holding::Held(fence, place, lock)
            }
            _ => return None,
        };
        resources.push((StoredName::from(id), holding));
    }
    Some(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_script_says_is_an_error() {
        assert_eq!(
            read_resources("f -3\n\n1"),
            Some(vec![("1".into(), Holding::Free(-3))])
        );
        let lock = DumpedLock {
            id: "x y".into(),
            lease: Ttl::from_s(60),
            ttl_s: Some(59),
            owner: Some("a b".into()),
            age_s: 1,
        };
        assert_eq!(
            read_resources("h 7 2 60 59 1\na b\nx y"),
            Some(vec![(
                "x y".into(),
                Holding::Held(Fence::from_number(7), 2, lock)
            )])
        );
        for text in [
            "f",
            "f 1\n",
            "f x\n\n1",
            "g 1\n\n1",
            "h 7 2 0 59 1\n\n1",
            "h 7 2 60\n\n1",
        ] {
            assert_eq!(read_resources(text), None, "{text:?}");
        }
    }
}
