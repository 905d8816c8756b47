//! Pools in lists and sums, and the query that selects them.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::StoredName;
use super::names::MAX_NAME_BYTES;

/// The pools that a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolQuery<'a> {
    /// The text that the names must contain; `None` means all pools.
    pub contains: Option<NamePart<'a>>,
    /// The most pools to list, the first by name; `None` means no limit.
    pub limit: Option<NonZeroU32>,
}

impl PoolQuery<'_> {
    /// The query for all pools.
    pub const ALL: PoolQuery<'static> = PoolQuery {
        contains: None,
        limit: None,
    };

    /// Returns true if the list may show a pool of this name.
    pub fn includes(&self, pool: &str) -> bool {
        NamePart::occurs(self.contains.as_ref(), pool)
    }

    /// The most pools that it lists; `usize::MAX` without a limit.
    pub fn max_pools(&self) -> usize {
        max_pools(self.limit)
    }

    /// Copies the text, so that the query outlives its request.
    pub fn into_owned(self) -> PoolQuery<'static> {
        PoolQuery {
            contains: self.contains.map(NamePart::into_owned),
            limit: self.limit,
        }
    }
}

/// Converts a limit into a length; `None` becomes `usize::MAX`.
pub fn max_pools(limit: Option<NonZeroU32>) -> usize {
    limit.map_or(usize::MAX, |limit| limit.get() as usize)
}

/// A part of a pool's name: 1 to 128 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePart<'a>(Cow<'a, str>);

impl<'a> NamePart<'a> {
    /// Checks the form. Returns `None` if no name can contain the text.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Option<NamePart<'a>> {
        let text = text.into();
        let is_possible = (1..=MAX_NAME_BYTES).contains(&text.len());
        (is_possible && !text.chars().any(char::is_control)).then_some(NamePart(text))
    }

    /// Returns true if the name contains the part, or if there is no part. ASCII letters match in
    /// either case; folding all others would cost an allocation for each pool.
    pub fn occurs(part: Option<&NamePart<'_>>, name: &str) -> bool {
        let Some(NamePart(part)) = part else {
            return true;
        };
        let mut windows = name.as_bytes().windows(part.len());
        windows.any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
    }

    /// Copies the part, so that it outlives the text it was read from.
    pub fn into_owned(self) -> NamePart<'static> {
        NamePart(Cow::Owned(self.0.into_owned()))
    }
}

/// The state of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// The pool.
    pub name: StoredName,
    /// The number of its members.
    pub resources: usize,
    /// The number of held resources, including held ones that are no longer members.
    pub held: usize,
    /// The number of resources that can be lent now: neither held nor reserved for an absent owner.
    pub free: usize,
    /// The number of waiters in its queue.
    pub waiting: usize,
    /// The name of the role that the caller's key has in it; `None` without keys. A store leaves it
    /// `None`.
    pub role: Option<&'static str>,
}

/// The counts of several pools, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolSums {
    /// The number of pools.
    pub pools: usize,
    /// The number of their members.
    pub resources: usize,
    /// The number of held resources, including held ones that are no longer members.
    pub held: usize,
    /// The number of resources that can be lent now.
    pub free: usize,
    /// The number of waiters in their queues.
    pub waiting: usize,
}

impl PoolSums {
    /// Adds the counts of one pool.
    pub fn add(&mut self, pool: &PoolStatus) {
        self.pools += 1;
        self.resources += pool.resources;
        self.held += pool.held;
        self.free += pool.free;
        self.waiting += pool.waiting;
    }
}

impl<'a> FromIterator<&'a PoolStatus> for PoolSums {
    fn from_iter<I: IntoIterator<Item = &'a PoolStatus>>(pools: I) -> PoolSums {
        let mut sums = PoolSums::default();
        pools.into_iter().for_each(|pool| sums.add(pool));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_is_found_whatever_the_case_of_its_letters() {
        let occurs = |part: &str, name: &str| {
            let part = NamePart::parse(part).expect("a name can contain it");
            NamePart::occurs(Some(&part), name)
        };
        for (part, name) in [
            ("A", "A"),
            ("a", "A"),
            ("B-7", "lab-71"),
            ("\u{e9}", "caf\u{e9}"),
        ] {
            assert!(occurs(part, name), "{part} {name}");
        }
        for (part, name) in [
            ("b", "A"),
            ("AA", "A"),
            ("lab-7", "lab7"),
            ("\u{c9}", "\u{e9}"),
        ] {
            assert!(!occurs(part, name), "{part} {name}");
        }
        assert!(NamePart::occurs(None, "A"));
        for impossible in ["", "a\nb", "\u{85}", &"x".repeat(129)] {
            assert_eq!(NamePart::parse(impossible), None, "{impossible:?}");
        }
    }
}
