//! What the contract leaves open. The model asks which of several it is to take first; whoever
//! compares it with the engine tries one answer after the other.

use latchd::command::StoredName;

use super::journal::Journal;

/// A list of answers, and the next list to try. What the engine did says what to try first.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    journal: &'a Journal,
    /// Each answer, and of how many it is one.
    taken: Vec<(usize, usize)>,
    asked: usize,
}

impl<'a> Choices<'a> {
    pub fn new(journal: &'a Journal) -> Choices<'a> {
        Choices {
            journal,
            taken: Vec::new(),
            asked: 0,
        }
    }

    /// Where the engine has put a resource in the order of lending.
    pub fn rank(&self, pool: &StoredName, id: &StoredName) -> Option<i64> {
        self.journal.rank(pool, id)
    }

    /// One of these; `None` if there are none.
    pub fn one_of(&mut self, all: &[usize]) -> Option<usize> {
        if all.len() < 2 {
            return all.first().copied();
        }
        if self.asked == self.taken.len() {
            self.taken.push((0, all.len()));
        }
        let (taken, _) = self.taken[self.asked];
        self.asked += 1;
        Some(all[taken])
    }

    /// Goes on to the next list of answers. False if there is no further one.
    pub fn advance(&mut self) -> bool {
        self.asked = 0;
        while let Some((taken, of)) = self.taken.pop() {
            if taken + 1 < of {
                self.taken.push((taken + 1, of));
                return true;
            }
        }
        false
    }
}
