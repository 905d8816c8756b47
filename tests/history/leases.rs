//! The certain bounds of a lease's end, by the calls that have set its length.

use super::call::{SECOND, Time};
use super::grants::NEVER;

/// Client and Redis read different clocks of one machine, and the system may slew one of them by 500
/// parts in a million. So one part in `SLEW` of each length is left out.
pub const SLEW: Time = 1000;

/// A call that has restarted a lease.
pub struct LeaseSet {
    pub sent: Time,
    pub answered: Option<Time>,
    pub ttl: Length,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Seconds(u64),
    Endless,
    /// The earlier length, whatever that was.
    AsBefore,
}

impl Length {
    /// An owner that asks again without a length keeps the last one.
    pub fn of_acquire(ttl_s: Option<u64>, has_owner: bool) -> Length {
        match ttl_s {
            Some(seconds) => Length::Seconds(seconds),
            None if has_owner => Length::AsBefore,
            None => Length::Endless,
        }
    }
}

/// The lease is not over before this. The last of the calls that restarted it decides. That may be
/// any that was not answered, or not answered before the latest one was sent; and it was carried out
/// after the latest one was sent.
pub fn lease_from(sets: &[LeaseSet]) -> Time {
    let explicit = sets.iter().filter_map(|set| match set.ttl {
        Length::Seconds(seconds) => Some(seconds),
        _ => None,
    });
    let shortest = explicit.min();
    let answered = sets.iter().filter(|set| set.answered.is_some());
    let latest = answered.map(|set| set.sent).max().unwrap_or(0);
    let may_be_last = sets
        .iter()
        .filter(|set| set.answered.is_none_or(|at| at >= latest));
    let ends = may_be_last.filter_map(|set| {
        let seconds = match set.ttl {
            Length::Seconds(seconds) => seconds,
            Length::Endless => return None,
            Length::AsBefore => shortest?,
        };
        let length = seconds * SECOND;
        Some(set.sent.max(latest) + length - length / SLEW)
    });
    ends.min().unwrap_or(NEVER)
}

/// The lease is over by then, if nothing is carried out any more after `quiet_from` that was not
/// answered.
pub fn over_by(sets: &[LeaseSet], quiet_from: Time) -> Time {
    let mut longest = 0;
    let mut last = 0;
    for set in sets {
        match set.ttl {
            Length::Seconds(seconds) => longest = longest.max(seconds),
            // An owner's first acquire without a length makes a lock without an end.
            Length::Endless | Length::AsBefore => return NEVER,
        }
        last = last.max(set.answered.unwrap_or(quiet_from));
    }
    let length = longest * SECOND;
    last.saturating_add(length + length / SLEW)
}
