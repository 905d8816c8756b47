//! Counts of grants, releases and refusals. The engine counts, or the pipeline to Redis.

use crate::command::Refusal;

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
    /// Refusals by reason, in the order of `REASONS`.
    refused: [u64; REASONS.len()],
}

/// The labels of the reasons.
const REASONS: [&str; 13] = [
    "busy",
    "no pool",
    "no resource",
    "not empty",
    "not held",
    "not yours",
    "owner holds",
    "only resources",
    "queue full",
    "stale",
    "store down",
    "too many pools",
    "too many resources",
];

impl Lending {
    /// Counts a refusal.
    pub fn refuse(&mut self, refusal: Refusal) {
        let place = match refusal {
            Refusal::Busy => 0,
            Refusal::NoPool => 1,
            Refusal::NoResource => 2,
            Refusal::NotEmpty => 3,
            Refusal::NotHeld => 4,
            Refusal::NotYours => 5,
            Refusal::OwnerHolds(_) => 6,
            Refusal::OnlyResources(_) => 7,
            Refusal::QueueFull => 8,
            Refusal::Stale => 9,
            Refusal::StoreDown => 10,
            Refusal::TooManyPools => 11,
            Refusal::TooManyResources => 12,
        };
        self.refused[place] += 1;
    }

    /// Returns each reason with its number of refusals.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        REASONS.into_iter().zip(self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_counted_under_its_own_words() {
        for (refusal, reason) in [
            (Refusal::NoPool, "no pool"),
            (Refusal::NoResource, "no resource"),
            (Refusal::NotEmpty, "not empty"),
            (Refusal::NotHeld, "not held"),
            (Refusal::Busy, "busy"),
            (Refusal::NotYours, "not yours"),
            (Refusal::Stale, "stale"),
            (Refusal::OwnerHolds(2), "owner holds"),
            (Refusal::OnlyResources(2), "only resources"),
            (Refusal::QueueFull, "queue full"),
            (Refusal::StoreDown, "store down"),
            (Refusal::TooManyPools, "too many pools"),
            (Refusal::TooManyResources, "too many resources"),
        ] {
            let mut lending = Lending::default();
            lending.refuse(refusal);
            let counted: Vec<(&str, u64)> = lending.refused().filter(|row| row.1 > 0).collect();
            assert_eq!(counted, [(reason, 1)]);
        }
    }
}
