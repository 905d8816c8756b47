//! Time as a value: moments as arguments, a set of deadlines, and a limit on log messages.
//!
//! Nothing here reads a clock. The owner of the clock (the server, a test, a fuzzer) passes a `Time` in.

use std::fmt;

/// A moment, in milliseconds.
///
/// Its zero is the Unix epoch by the system's clock at the start of the process; from there it follows the
/// monotonic clock. So it never runs backwards within a process, and moments that an earlier process stored
/// can still be compared with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// Returns the moment `ms` milliseconds after the epoch.
    pub const fn from_ms(ms: u64) -> Time {
        Time(ms)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Returns the moment `ms` milliseconds later; the last possible moment at most.
    pub const fn after_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms))
    }

    /// Returns the moment `ms` milliseconds earlier; the epoch at least.
    pub const fn before_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_sub(ms))
    }

    /// Returns the milliseconds from `earlier` to this moment; 0 if it is not earlier.
    pub const fn ms_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Limits a log message to one a minute, and counts those suppressed. The first is logged at once.
#[derive(Debug, Default)]
pub struct LogThrottle {
    logged_at: Option<Time>,
    suppressed: u64,
}

/// The pause after a logged message, in ms.
const INTERVAL_MS: u64 = 60_000;

/// The number of occurrences since the last message. Displayed as nothing for 1, else as ` (N times)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrences(u64);

impl fmt::Display for Occurrences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => Ok(()),
            occurrences => write!(f, " ({occurrences} times)"),
        }
    }
}

impl LogThrottle {
    /// Records an occurrence. If it should be logged now, returns the number of occurrences since the last
    /// message, this one included.
    pub fn record(&mut self, now: Time) -> Option<Occurrences> {
        self.suppressed += 1;
        if self
            .logged_at
            .is_some_and(|logged_at| logged_at.after_ms(INTERVAL_MS) > now)
        {
            return None;
        }
        self.logged_at = Some(now);
        Some(Occurrences(std::mem::take(&mut self.suppressed)))
    }
}

/// A moment for measuring, in microseconds since the start of the process's clock. Decisions use [`Time`]
/// instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(u64);

impl Micros {
    /// Returns the moment `us` microseconds after the start.
    pub const fn from_us(us: u64) -> Micros {
        Micros(us)
    }

    /// Returns the microseconds since the start.
    pub const fn as_us(self) -> u64 {
        self.0
    }

    /// Returns the microseconds from `earlier` to this moment; 0 if it is not earlier.
    pub const fn since(self, earlier: Micros) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A set with at most one deadline for each key. Keys are small numbers, such as slots of a slab.
///
/// A binary heap that knows each key's position: setting, moving and removing a deadline costs O(log n), and
/// the memory stays at its largest size.
#[derive(Debug, Default)]
pub struct Deadlines {
    heap: Vec<Deadline>,
    /// Each key's position in `heap`; `ABSENT` if it has no deadline.
    position: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

/// One deadline. At the same moment, the lower order comes first.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Time,
    order: u32,
    key: u32,
}

impl Deadline {
    fn is_before(self, other: Deadline) -> bool {
        (self.at, self.order) < (other.at, other.order)
    }
}

impl Deadlines {
    /// Returns the earliest deadline; `None` if the set is empty.
    pub fn next(&self) -> Option<Time> {
        self.heap.first().map(|deadline| deadline.at)
    }

    /// Removes and returns the key with the earliest deadline, if that is `now` or earlier.
    pub fn pop_due(&mut self, now: Time) -> Option<usize> {
        let key = self.first_due(now)?;
        self.remove(key);
        Some(key)
    }

    /// Returns the key that `pop_due` would remove.
    pub fn first_due(&self, now: Time) -> Option<usize> {
        let first = self.heap.first()?;
        (first.at <= now).then_some(first.key as usize)
    }

    /// Returns the deadline of `key`.
    pub fn of(&self, key: usize) -> Option<Time> {
        self.position_of(key).map(|position| self.heap[position].at)
    }

    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: usize, at: Time) {
        self.set_in_order(key, at, 0);
    }

    /// Sets or moves the deadline of `key`. At the same moment, the lowest `order` is due first.
    pub fn set_in_order(&mut self, key: usize, at: Time, order: u32) {
        let deadline = Deadline {
            at,
            order,
            key: u32::try_from(key).expect("keys are small numbers"),
        };
        if let Some(position) = self.position_of(key) {
            self.heap[position] = deadline;
            self.sift(position);
            return;
        }
        if self.position.len() <= key {
            self.position.resize(key + 1, ABSENT);
        }
        self.heap.push(deadline);
        self.sift(self.heap.len() - 1);
    }

    /// Removes the deadline of `key`, if there is one.
    pub fn remove(&mut self, key: usize) {
        let Some(position) = self.position_of(key) else {
            return;
        };
        self.heap.swap_remove(position);
        self.position[key] = ABSENT;
        if position < self.heap.len() {
            self.sift(position);
        }
    }

    fn position_of(&self, key: usize) -> Option<usize> {
        let position = *self.position.get(key)?;
        (position != ABSENT).then_some(position as usize)
    }

    /// Moves the entry at `position` up or down to its place, and updates the positions.
    fn sift(&mut self, mut position: usize) {
        let entry = self.heap[position];
        while position > 0 && entry.is_before(self.heap[(position - 1) / 2]) {
            self.put(position, self.heap[(position - 1) / 2]);
            position = (position - 1) / 2;
        }
        loop {
            let mut child = 2 * position + 1;
            if child + 1 < self.heap.len() && self.heap[child + 1].is_before(self.heap[child]) {
                child += 1;
            }
            if child >= self.heap.len() || !self.heap[child].is_before(entry) {
                break;
            }
            self.put(position, self.heap[child]);
            position = child;
        }
        self.put(position, entry);
    }

    fn put(&mut self, position: usize, entry: Deadline) {
        self.heap[position] = entry;
        self.position[entry.key as usize] = position as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn deadlines_agree_with_a_sorted_map() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut deadlines = Deadlines::default();
        let mut model: BTreeMap<usize, (Time, u32)> = BTreeMap::new();
        for _ in 0..20_000 {
            let key = random.usize(0..50);
            match random.u8(0..4) {
                0 | 1 => {
                    let at = Time::from_ms(random.u64(0..1000));
                    let order = random.u32(0..3);
                    deadlines.set_in_order(key, at, order);
                    model.insert(key, (at, order));
                }
                2 => {
                    deadlines.remove(key);
                    model.remove(&key);
                }
                _ => {
                    let now = Time::from_ms(random.u64(0..1000));
                    let earliest = model.values().min().copied();
                    assert_eq!(deadlines.next(), earliest.map(|(at, _)| at));
                    match deadlines.pop_due(now) {
                        Some(due) => assert_eq!(model.remove(&due), earliest),
                        None => assert!(earliest.is_none_or(|(at, _)| at > now)),
                    }
                }
            }
            assert_eq!(deadlines.of(key), model.get(&key).map(|&(at, _)| at));
        }
    }

    #[test]
    fn frequent_messages_are_throttled() {
        let mut seldom = LogThrottle::default();
        let mut logged = Vec::new();
        for ms in (0..130_000).step_by(1000) {
            logged.extend(
                seldom
                    .record(Time::from_ms(ms))
                    .map(|occurrences| (ms, occurrences.to_string())),
            );
        }
        let [first, second, third] = &logged[..] else {
            panic!("once a minute: {logged:?}");
        };
        assert_eq!(*first, (0, String::new()));
        assert_eq!(*second, (60_000, " (60 times)".to_owned()));
        assert_eq!(*third, (120_000, " (60 times)".to_owned()));
    }

    #[test]
    fn time_never_overflows() {
        assert_eq!(Time::from_ms(5).after_ms(u64::MAX), Time::from_ms(u64::MAX));
        assert_eq!(Time::from_ms(5).ms_since(Time::from_ms(9)), 0);
        assert_eq!(Time::from_ms(5).before_ms(9), Time::from_ms(0));
    }
}
