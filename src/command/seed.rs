//! Pools with their members, packed: a million ids are a few pieces of memory, which are made and
//! freed at once.

use std::borrow::Cow;
use std::ops::Range;

use super::names::{PoolName, ResourceId};

/// Pools with their members, in the order in which they were named. Whoever makes one sees to it
/// that no pool stands twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seed {
    pools: Packed,
    /// Where each pool's ids end in `ids`.
    ends: Vec<usize>,
    ids: IdList,
}

impl Seed {
    /// One pool.
    pub fn of(pool: &PoolName<'_>, ids: IdList) -> Seed {
        let mut seed = Seed::default();
        seed.add_pool(pool);
        seed.ends = vec![ids.len()];
        seed.ids = ids;
        seed
    }

    /// Adds a pool that has no members yet.
    pub fn add_pool(&mut self, pool: &PoolName<'_>) {
        self.pools.push(pool.as_str());
        self.ends.push(self.ids.len());
    }

    /// Adds a member to the pool that was added last. Panics if there is none.
    pub fn add_id(&mut self, id: &ResourceId<'_>) {
        let end = self.ends.last_mut().expect("ids follow their pool");
        self.ids.push(id);
        *end += 1;
    }

    /// Adds a member that was checked when it was stored. Panics if there is no pool.
    pub fn add_stored_id(&mut self, id: &str) {
        let end = self.ends.last_mut().expect("ids follow their pool");
        self.ids.push_stored(id);
        *end += 1;
    }

    /// Keeps only so many pools.
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

    /// Returns how much memory it holds, in bytes: the capacity of its buffers.
    pub fn capacity_bytes(&self) -> usize {
        let ends = self.ends.capacity() * size_of::<usize>();
        ends + self.pools.capacity_bytes() + self.ids.0.capacity_bytes()
    }

    /// How many pools there are.
    pub fn pool_count(&self) -> usize {
        self.ends.len()
    }

    /// How many ids there are in all.
    pub fn id_count(&self) -> usize {
        self.ids.len()
    }

    /// One pool, by its place. Panics if there is none.
    pub fn pool(&self, place: usize) -> (PoolName<'_>, Ids<'_>) {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        let name = PoolName(Cow::Borrowed(self.pools.at(place)));
        (name, self.ids.slice(start..self.ends[place]))
    }

    /// The pools with their members.
    pub fn pools(&self) -> impl ExactSizeIterator<Item = (PoolName<'_>, Ids<'_>)> {
        (0..self.pool_count()).map(|place| self.pool(place))
    }
}

/// Ids of resources, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdList(Packed);

impl IdList {
    /// Adds one at the end.
    pub fn push(&mut self, id: &ResourceId<'_>) {
        self.0.push(id.as_str());
    }

    /// Adds one that was checked when it was stored.
    pub fn push_stored(&mut self, id: &str) {
        self.0.push(id);
    }

    /// Returns how much memory it holds, in bytes: the capacity of its buffers.
    pub fn capacity_bytes(&self) -> usize {
        self.0.capacity_bytes()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those in `places`. Panics if there are fewer.
    pub fn slice(&self, places: Range<usize>) -> Ids<'_> {
        assert!(places.end <= self.len(), "a slice ends where the ids end");
        Ids { list: self, places }
    }

    /// All of them.
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

/// Some of an [`IdList`], in order.
#[derive(Clone, Debug)]
pub struct Ids<'a> {
    list: &'a IdList,
    places: Range<usize>,
}

impl<'a> Ids<'a> {
    /// One, by its place. Panics if there are fewer.
    pub fn at(&self, place: usize) -> &'a str {
        assert!(place < self.len(), "there are as many ids");
        self.list.0.at(self.places.start + place)
    }

    /// Those in `places`, counted from the first of these. Panics if there are fewer.
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

/// Texts one behind the other.
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
