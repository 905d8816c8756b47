//! Counts of grants, releases and refusals. The engine counts, or the pipeline to Redis.

use crate::contract::{REFUSALS, Refusal, STORE_REFUSALS};

/// Counts what was lent, released and refused. It counts resources instead of grants, so that the
/// figures match those held in `GET /pool`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lending {
    /// Resources lent. An owner that repeats its acquire is lent nothing new.
    pub granted: u64,
    /// Resources released, those of undeliverable grants included.
    pub released: u64,
    /// Resources whose lease has ended.
    pub expired: u64,
    /// Refusals, in the order of the contract.
    refused: [u64; STORE_REFUSALS],
}

impl Lending {
    /// Counts a refusal.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refused[refusal.id() as usize] += 1;
    }

    /// Returns each label with its number of refusals.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let labels = REFUSALS.iter().filter_map(|row| Some(row.store?.label));
        labels.zip(self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_counted_under_its_own_label() {
        for row in &REFUSALS[..STORE_REFUSALS] {
            let store = row.store.expect("a store refuses so");
            let mut lending = Lending::default();
            lending.refuse(store.refusal);
            let counted: Vec<(&str, u64)> = lending.refused().filter(|row| row.1 > 0).collect();
            assert_eq!(counted, [(store.label, 1)]);
        }
    }
}
