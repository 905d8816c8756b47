//! Pools with their members, packed: a million ids take a few allocations, which are made and freed
//! at once.

use std::borrow::Cow;
use std::ops::Range;

use super::names::{PoolName, ResourceId};

/// Pools with their members, in the order in which they were named. The caller ensures that no pool
/// is added twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seed {
    pools: Packed,
    /// The end of each pool's ids in `ids`.
    ends: Vec<usize>,
    ids: IdList,
}

impl Seed {
    /// Makes a seed of one pool.
    pub fn of(pool: &PoolName<'_>, ids: IdList) -> Seed {
        let mut seed = Seed::default();
        seed.add_pool(pool);
        seed.ends = vec![ids.len()];
        seed.ids = ids;
        seed
    }

    /// Adds a pool, without members so far.
    pub fn add_pool(&mut self, pool: &PoolName<'_>) {
        self.pools.push(pool.as_str());
        self.ends.push(self.ids.len());
    }

    /// Adds a member to the last pool. Panics if there is no pool.
    pub fn add_id(&mut self, id: &ResourceId<'_>) {
        let end = self.ends.last_mut().expect("ids follow their pool");
        self.ids.push(id);
        *end += 1;
    }

    /// Adds a stored member, which was checked before, to the last pool. Panics if there is no
    /// pool.
    pub fn add_stored_id(&mut self, id: &str) {
        let end = self.ends.last_mut().expect("ids follow their pool");
        self.ids.push_stored(id);
        *end += 1;
    }

    /// Keeps only the first `pool_count` pools.
    pub fn truncate(&mut self, pool_count: usize) {
        self.ends.truncate(pool_count);
        self.pools.truncate(pool_count);
        self.ids.0.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Adds a pool with its members.
    pub fn add(&mut self, pool: &PoolName<'_>, ids: Ids<'_>) {
        self.add_pool(pool);
        ids.for_each(|id| self.add_id(&id));
    }

    /// The capacity of its buffers, in bytes.
    pub fn capacity_bytes(&self) -> usize {
        let ends = self.ends.capacity() * size_of::<usize>();
        ends + self.pools.capacity_bytes() + self.ids.0.capacity_bytes()
    }

    /// The number of pools.
    pub fn pool_count(&self) -> usize {
        self.ends.len()
    }

    /// The number of ids in all pools.
    pub fn id_count(&self) -> usize {
        self.ids.len()
    }

    /// The pool at this index, in the order of adding. Panics if it is out of range.
    pub fn pool(&self, place: usize) -> (PoolName<'_>, Ids<'_>) {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        let name = PoolName(Cow::Borrowed(self.pools.at(place)));
        (name, self.ids.slice(start..self.ends[place]))
    }

    /// Iterates over the pools with their members.
    pub fn pools(&self) -> impl ExactSizeIterator<Item = (PoolName<'_>, Ids<'_>)> {
        (0..self.pool_count()).map(|place| self.pool(place))
    }
}

/// Ids of resources, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdList(Packed);

impl IdList {
    /// Appends an id.
    pub fn push(&mut self, id: &ResourceId<'_>) {
        self.0.push(id.as_str());
    }

    /// Appends a stored id, which was checked before.
    pub fn push_stored(&mut self, id: &str) {
        self.0.push(id);
    }

    /// The capacity of its buffers, in bytes.
    pub fn capacity_bytes(&self) -> usize {
        self.0.capacity_bytes()
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Returns true if there are no ids.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids at these indexes. Panics if the list is shorter.
    pub fn slice(&self, places: Range<usize>) -> Ids<'_> {
        assert!(places.end <= self.len(), "a slice ends where the ids end");
        Ids { list: self, places }
    }

    /// Iterates over all ids.
    pub fn iter(&self) -> Ids<'_> {
        self.slice(0..self.len())
    }
}

impl<'a> FromIterator<ResourceId<'a>> for IdList {
    fn from_iter<I: IntoIterator<Item = ResourceId<'a>>>(ids: I) -> IdList {
        let mut list = IdList::default();
        ids.into_iter().for_each(|id| list.push(&id));
        list
    }
}

/// A range of an [`IdList`].
#[derive(Clone, Debug)]
pub struct Ids<'a> {
    list: &'a IdList,
    places: Range<usize>,
}

impl<'a> Ids<'a> {
    /// The id at this index. Panics if the range is shorter.
    pub fn at(&self, place: usize) -> &'a str {
        assert!(place < self.len(), "there are as many ids");
        self.list.0.at(self.places.start + place)
    }

    /// The ids at these indexes, counted from the start of this range. Panics if it is shorter.
    pub fn slice(&self, places: Range<usize>) -> Ids<'a> {
        assert!(places.end <= self.len(), "a slice ends where the ids end");
        let start = self.places.start;
        self.list.slice(start + places.start..start + places.end)
    }
}

impl<'a> Iterator for Ids<'a> {
    type Item = ResourceId<'a>;

    fn next(&mut self) -> Option<ResourceId<'a>> {
        let place = self.places.next()?;
        Some(ResourceId(Cow::Borrowed(self.list.0.at(place))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.places.size_hint()
    }
}

impl ExactSizeIterator for Ids<'_> {}

/// Texts, one after the other in one string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Packed {
    text: String,
    ends: Vec<usize>,
}

impl Packed {
    fn capacity_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }

    fn at(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[place]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out_in_order() {
        let mut seed = Seed::default();
        for (pool, ids) in [("A", &["1", "22", "\u{e9}"][..]), ("B", &[]), ("C", &["x"])] {
            seed.add_pool(&PoolName::parse(pool).expect("a good name"));
            for id in ids {
                seed.add_id(&ResourceId::parse(*id).expect("a good id"));
            }
        }
        let told: Vec<(String, Vec<String>)> = seed
            .pools()
            .map(|(pool, ids)| {
                let ids = ids.map(|id| id.as_str().to_owned());
                (pool.as_str().to_owned(), ids.collect())
            })
            .collect();
        let list = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            told,
            [
                ("A".to_owned(), list(&["1", "22", "\u{e9}"])),
                ("B".to_owned(), list(&[])),
                ("C".to_owned(), list(&["x"])),
            ]
        );
        let some = seed.pool(0).1.slice(1..3).map(|id| id.as_str().to_owned());
        assert_eq!(some.collect::<Vec<_>>(), ["22", "\u{e9}"]);
    }
}
