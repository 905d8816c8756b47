//! Lists, rendered in chunks, so that a million elements do not hold up a tick.

use super::render::string;
use crate::command::{Ids, Seed};

/// The progress of rendering a list.
#[derive(Debug, Default)]
pub struct ListCursor {
    /// Pools of a seed that are rendered.
    pools: usize,
    /// Elements that are rendered, of the list or of the current pool.
    elements: usize,
}

impl ListCursor {
    pub(super) fn up_to<'a>(&'a mut self, elements: usize, body: &'a mut Vec<u8>) -> ListChunk<'a> {
        ListChunk {
            body,
            from: self,
            left: elements,
            is_last: true,
        }
    }

    pub(super) fn all<'a>(&'a mut self, body: &'a mut Vec<u8>) -> ListChunk<'a> {
        self.up_to(usize::MAX, body)
    }
}

/// One chunk of a list, or all of it.
pub(super) struct ListChunk<'a> {
    pub(super) body: &'a mut Vec<u8>,
    from: &'a mut ListCursor,
    /// The number of elements that may still be rendered.
    left: usize,
    is_last: bool,
}

/// The bytes before, between and after the elements of a list.
#[derive(Clone, Copy)]
pub(super) struct Delimiters {
    before: &'static [u8],
    between: u8,
    behind: &'static [u8],
}

pub(super) const LINES: Delimiters = Delimiters {
    before: b"",
    between: b'\n',
    behind: b"",
};

pub(super) const ARRAY: Delimiters = Delimiters {
    before: b"[",
    between: b',',
    behind: b"]",
};

pub(super) const OBJECT: Delimiters = Delimiters {
    before: b"{",
    between: b',',
    behind: b"}",
};

impl ListChunk<'_> {
    /// Returns true if this chunk ends the list.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Renders a list of `count` elements, or as much of it as the chunk allows: at least one.
    pub(super) fn elements(
        &mut self,
        delimiters: Delimiters,
        count: usize,
        mut write: impl FnMut(&mut Vec<u8>, usize),
    ) {
        let from = self.from.elements;
        let to = count.min(from.saturating_add(self.left.max(1)));
        if from == 0 {
            self.body.extend_from_slice(delimiters.before);
        }
        for place in from..to {
            if place > 0 {
                self.body.push(delimiters.between);
            }
            write(self.body, place);
        }
        self.is_last = to == count;
        if self.is_last {
            self.body.extend_from_slice(delimiters.behind);
        }
        self.from.elements = to;
        self.left = self.left.saturating_sub(to - from);
    }

    /// Renders ids as an array.
    pub(super) fn ids(&mut self, ids: Ids<'_>) {
        self.elements(ARRAY, ids.len(), |body, place| string(body, ids.at(place)));
    }

    /// Renders an object of pools. A pool counts as an element, too.
    pub(super) fn pools(&mut self, seed: &Seed) {
        while self.from.pools < seed.pool_count() {
            if self.left == 0 {
                self.is_last = false;
                return;
            }
            let (name, ids) = seed.pool(self.from.pools);
            if self.from.elements == 0 {
                let is_first = self.from.pools == 0;
                self.body.push(if is_first { b'{' } else { b',' });
                string(self.body, name.as_str());
                self.body.push(b':');
            }
            self.left -= 1;
            self.ids(ids);
            if !self.is_last {
                return;
            }
            self.from.elements = 0;
            self.from.pools += 1;
        }
        if seed.pool_count() == 0 {
            self.body.push(b'{');
        }
        self.body.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::super::render::{element_count, render_chunk, render_text};
    use super::super::{Outcome, ResponseShape, Show};
    use super::*;
    use crate::command::{
        Fence, IdList, Lease, PoolName, PoolStatus, QueuedWaiter, Reply, ResourceId,
    };

    fn ids(count: usize) -> IdList {
        let id = |number| ResourceId::parse(format!("\"{number}\"")).expect("a good id");
        (0..count).map(id).collect()
    }

    fn seed(counts: &[usize]) -> Seed {
        let mut seed = Seed::default();
        for (place, &count) in counts.iter().enumerate() {
            let name = PoolName::parse(format!("pool {place}")).expect("a good name");
            seed.add(&name, ids(count).iter());
        }
        seed
    }

    fn leases(count: usize) -> Reply {
        let lease = |number: usize| Lease {
            id: number.to_string().into(),
            fence: Fence::from_number(number as u64),
            ttl_s: Some(60),
            owner: None,
            age_s: 1,
        };
        Reply::Leases((0..count).map(lease).collect())
    }

    fn pools(count: usize) -> Reply {
        let status = |number: usize| PoolStatus {
            name: format!("pool {number}").into(),
            resources: number,
            held: 1,
            free: 0,
            waiting: 0,
            role: None,
        };
        Reply::Pools((0..count).map(status).collect())
    }

    fn waiters(count: usize) -> Reply {
        let waiter = |number: usize| QueuedWaiter {
            owner: number.is_multiple_of(2).then(|| "o \"".into()),
            count: number,
            id: number.is_multiple_of(3).then(|| "1".into()),
            age_s: Some(number as u64),
            left_s: None,
            is_lost: number == 2,
        };
        Reply::Waiters((0..count).map(waiter).collect())
    }

    #[test]
    fn parts_of_any_size_make_the_same_body() {
        let shapes = [(true, Show::Ids), (false, Show::Ids), (true, Show::Leases)];
        let mut replies = vec![Reply::Done, Reply::Released(3), leases(1)];
        for count in [0, 1, 2, 7] {
            replies.extend([Reply::Members(ids(count)), pools(count), leases(count)]);
            replies.push(waiters(count));
        }
        for counts in [&[][..], &[0], &[3], &[0, 0], &[2, 0, 5], &[1, 4, 0, 0]] {
            replies.push(Reply::Seeded(seed(counts)));
        }
        for outcome in replies.into_iter().map(Outcome::Reply) {
            for (list, show) in shapes {
                for json in [false, true] {
                    let shape = ResponseShape {
                        list,
                        show,
                        ..ResponseShape::default()
                    };
                    let mut whole = Vec::new();
                    render_text(&outcome, shape, json, &mut whole);
                    for size in 1..9 {
                        let (mut body, mut cursor) = (Vec::new(), ListCursor::default());
                        let mut turns = 1;
                        while !render_chunk(&outcome, shape, json, &mut cursor, size, &mut body) {
                            turns += 1;
                        }
                        let [body, whole] = [&body, &whole].map(|text| text.escape_ascii());
                        assert_eq!(body.to_string(), whole.to_string(), "in parts of {size}");
                        assert!(turns <= element_count(&outcome).max(1));
                    }
                }
            }
        }
    }
}
