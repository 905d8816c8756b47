//! Ids whose rows have changed, returned in the order of ids.
//!
//! Neighbouring rows of a file share its pages. So the changes of a million ids are written in the
//! order of the ids, whatever order they arrived in: otherwise each slice would rewrite most of the
//! file. Sorting is done in slices, too: incoming ids are sorted run by run, and the runs are
//! merged as ids are taken out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::IntoIter;

use crate::command::StoredName;

/// The number of ids that are sorted at once.
const RUN_IDS: usize = 4096;

/// Ids whose rows have changed.
#[derive(Debug, Default)]
pub(super) struct ChangedIds {
    /// The ids of the next run, unsorted.
    last: Vec<StoredName>,
    /// The sorted runs, without the ids that were taken out.
    runs: Vec<IntoIter<StoredName>>,
    /// The first id of each run with the index of the run, once `finish` was called.
    firsts: BinaryHeap<Reverse<(StoredName, usize)>>,
}

impl ChangedIds {
    /// Adds an id. Must not be called after `finish`.
    pub(super) fn push(&mut self, id: StoredName) {
        self.last.push(id);
        if self.last.len() == RUN_IDS {
            self.end_run();
        }
    }

    fn end_run(&mut self) {
        let mut run = std::mem::take(&mut self.last);
        run.sort_unstable();
        self.runs.push(run.into_iter());
    }

    /// Ends the adding. `pop` needs this call first.
    pub(super) fn finish(&mut self) {
        self.end_run();
        for place in 0..self.runs.len() {
            self.next_of(place);
        }
    }

    /// Takes out the first id in the order of ids.
    pub(super) fn pop(&mut self) -> Option<StoredName> {
        let Reverse((id, place)) = self.firsts.pop()?;
        self.next_of(place);
        Some(id)
    }

    fn next_of(&mut self, place: usize) {
        let next = self.runs[place].next();
        self.firsts.extend(next.map(|id| Reverse((id, place))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_out_in_their_order() {
        let mut random = fastrand::Rng::with_seed(9);
        for count in [0, 1, 2, RUN_IDS - 1, RUN_IDS, RUN_IDS + 1, 3 * RUN_IDS + 7] {
            let mut ids: Vec<StoredName> = (0..count)
                .map(|_| random.u32(0..1_000_000).to_string().into())
                .collect();
            let mut changed_ids = ChangedIds::default();
            ids.iter().for_each(|id| changed_ids.push(id.clone()));
            changed_ids.finish();
            ids.sort_unstable();
            let taken: Vec<StoredName> = std::iter::from_fn(|| changed_ids.pop()).collect();
            assert_eq!(taken, ids);
        }
    }
}
