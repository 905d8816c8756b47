//! Assembles a long list of members or locks from the slices of `list_slice.lua`.
//!
//! - Members arrive in seeding order, new ones last. If others were dropped or moved, the list is read again.
//! - Grants are scanned in no order. The changes since the first slice follow, until a slice has no more of them. A
//!   released resource that is no member leaves no trace: then the counts differ, and the list is read again.

use std::collections::{BTreeMap, HashMap};

use redis::Value;

use super::operation::ListKind;
use super::reply::{self, Garbled};
use crate::command::{DumpedLock, Fence, IdList, Lease, Leases, StoredName};

/// A greater rise of the fence is a jump, whose fences are not worth reading one by one.
const MAX_NEW_FENCES: u64 = 1_000_000;

/// The members or locks read so far.
#[derive(Debug, Default)]
pub(super) struct ListReading {
    pub(super) phase: ListPhase,
    pub(super) members: IdList,
    /// The number of empty places in seeding order. It rises when members are dropped or moved.
    empty_places: Option<u64>,
    /// Held resources, by fence and then in the order of reading. `ttl_s` is the end of the lease in ms by Redis'
    /// clock, or 0 if it is over; `age_s` is the start of the grant in ms.
    locks: BTreeMap<(Fence, i64), DumpedLock>,
    /// The index of each resource in `seen`, which has the key of its lock in `locks`.
    places: HashMap<StoredName, u32>,
    seen: Vec<(i64, Option<Fence>)>,
    read_count: i64,
    /// Grants whose leases may have been renewed since they were read. They are read again once: where leases end
    /// fast, others are due by then.
    due: Vec<Fence>,
    has_read_due: bool,
    /// Those of them that the slice in flight asks for, and the number of rows before it.
    requested: Vec<Fence>,
    requested_at: i64,
    /// Redis' clock at the last slice.
    redis_ms: u64,
}

/// The next step of a list.
#[derive(Clone, Debug)]
pub(super) enum ListPhase {
    /// Scan from this member, or from this cursor among the grants. The fence and the rank are those of the first
    /// slice; `None` before it.
    Scan(String, Option<(u64, i64)>),
    /// Read the changes after this fence and this rank.
    Changes(u64, i64),
    Complete,
    /// The pool does not exist.
    Missing,
}

impl Default for ListPhase {
    fn default() -> ListPhase {
        ListPhase::Scan("0".into(), None)
    }
}

/// The state of the pool at a slice, and the position that the slice reached.
struct Head {
    fence: u64,
    high: i64,
    seat: u64,
    member_count: u64,
    held_count: usize,
    now_ms: u64,
    freed_up_to: i64,
    next: String,
}

impl ListReading {
    /// Adds a slice. If too much has changed, the list starts again.
    pub(super) fn take(&mut self, kind: ListKind, value: Value) -> Result<(), Garbled> {
        let mut values = reply::array(value)?.into_iter();
        let Some(head) = values.next() else {
            self.phase = ListPhase::Missing;
            return Ok(());
        };
        let head = read_head(&reply::text(head)?)?;
        let rows = reply::array(values.next().ok_or(Garbled)?)?;
        let row_count = rows.len();
        for row in rows {
            let row = reply::text(row)?;
            match kind {
                ListKind::Members => self.members.push_stored(&row),
                ListKind::Locks => self.take_grant(&row).ok_or(Garbled)?,
            }
        }
        self.drop_absent();
        self.redis_ms = head.now_ms;
        let is_right = match kind {
            ListKind::Members => self.follow_members(head, row_count),
            ListKind::Locks => self.follow_locks(head),
        };
        if !is_right {
            *self = ListReading::default();
        }
        Ok(())
    }

    /// Returns up to this many grants for the next slice to read again.
    pub(super) fn request_due(&mut self, count: usize) -> &[Fence] {
        let kept = self.due.len().saturating_sub(count);
        self.requested = self.due.split_off(kept);
        self.requested_at = self.read_count;
        &self.requested
    }

    /// Drops grants that the slice was asked for and does not have: they were released. What is no member leaves no
    /// other trace.
    fn drop_absent(&mut self) {
        for fence in std::mem::take(&mut self.requested) {
            let old = (fence, 0)..=(fence, self.requested_at);
            let absent: Vec<(Fence, i64)> = self.locks.range(old).map(|(key, _)| *key).collect();
            for key in absent {
                self.locks.remove(&key);
            }
        }
    }

    /// Returns the grants up to this fence that are at least this old, the latest first, with their numbers of
    /// resources.
    pub(super) fn into_grants(self, last_fence: u64, older_s: Option<u64>) -> Vec<(Fence, usize)> {
        let latest_ms = self
            .redis_ms
            .saturating_sub(older_s.unwrap_or(0).saturating_mul(1000));
        let mut grants: Vec<(Fence, usize)> = Vec::new();
        for ((fence, _), lock) in self.locks.into_iter().rev() {
            match grants.last_mut() {
                Some((last, count)) if *last == fence => *count += 1,
                _ if fence.number() > last_fence || lock.age_s > latest_ms => {}
                _ if lock.ttl_s == Some(0) => {}
                _ => grants.push((fence, 1)),
            }
        }
        grants
    }

    /// Returns the locks whose leases are not over, by fence.
    pub(super) fn into_leases(self) -> Leases {
        let current = { self.locks.into_iter() }.filter(|(_, lock)| lock.ttl_s != Some(0));
        let now_ms = self.redis_ms;
        let lease = |((fence, _), lock): ((Fence, i64), DumpedLock)| Lease {
            id: lock.id,
            fence,
            ttl_s: lock
                .ttl_s
                .map(|ends_ms| ends_ms.saturating_sub(now_ms) / 1000),
            owner: lock.owner,
            age_s: now_ms.saturating_sub(lock.age_s) / 1000,
        };
        current.map(lease).collect()
    }

    fn follow_members(&mut self, head: Head, row_count: usize) -> bool {
        let empty_places = head.seat.saturating_sub(head.member_count);
        // A pool that a server of an older version has made again has the places of the one before.
        if let ListPhase::Scan(_, Some((fence, high))) = self.phase
            && (fence > head.fence || high > head.high)
        {
            return false;
        }
        if *self.empty_places.get_or_insert(empty_places) != empty_places {
            return false;
        }
        let is_complete = self.members.len() as u64 >= head.member_count;
        self.phase = match is_complete {
            true => ListPhase::Complete,
            false => ListPhase::Scan(head.next, Some((head.fence, head.high))),
        };
        is_complete || row_count > 0
    }

    fn follow_locks(&mut self, head: Head) -> bool {
        let (since_fence, since_high) = match self.phase {
            ListPhase::Scan(_, None) => (head.fence, head.high),
            ListPhase::Scan(_, Some(since)) => since,
            ListPhase::Changes(..) => (reply::number(&head.next).unwrap_or(0), head.freed_up_to),
            ListPhase::Complete | ListPhase::Missing => return true,
        };
        if since_fence > head.fence || since_high > head.high {
            return false;
        }
        if matches!(self.phase, ListPhase::Scan(..)) {
            self.phase = match &*head.next {
                "0" => ListPhase::Changes(since_fence, since_high),
                _ => ListPhase::Scan(head.next, Some((since_fence, since_high))),
            };
            return true;
        }
        self.phase = ListPhase::Changes(since_fence, since_high);
        let is_current = since_fence == head.fence && since_high == head.high;
        if !is_current || !self.due.is_empty() {
            return head.fence - since_fence <= MAX_NEW_FENCES;
        }
        if !self.has_read_due {
            let is_due = |ends_ms| ends_ms != 0 && ends_ms <= head.now_ms;
            let locks = { self.locks.iter() }.filter(|(_, lock)| lock.ttl_s.is_some_and(is_due));
            self.due = locks.map(|((fence, _), _)| *fence).collect();
            self.due.dedup();
            self.has_read_due = true;
            if !self.due.is_empty() {
                return true;
            }
        }
        self.phase = ListPhase::Complete;
        self.locks.len() == head.held_count
    }

    /// Adds a grant, or with fence 0 a resource that is not held. The row has the fence, the end and the start in ms,
    /// and the length, then the owner and the ids, a line each.
    fn take_grant(&mut self, row: &str) -> Option<()> {
        let mut lines = row.split('\n');
        let mut numbers = lines.next()?.split(' ');
        let fence = Fence::from_number(numbers.next()?.parse().ok()?);
        let ttl_s = match numbers.next()? {
            "-" => None,
            ends_ms => Some(ends_ms.parse().ok()?),
        };
        let age_s = numbers.next()?.parse().ok()?;
        let owner = lines.next()?;
        for id in lines {
            let lock = DumpedLock {
                id: StoredName::from(id),
                lease: None,
                ttl_s,
                owner: (!owner.is_empty()).then(|| StoredName::from(owner)),
                age_s,
            };
            self.put((fence != Fence::default()).then_some(fence), lock);
        }
        Some(())
    }

    /// Replaces an earlier state of a resource.
    fn put(&mut self, fence: Option<Fence>, lock: DumpedLock) {
        self.read_count += 1;
        let now = (self.read_count, fence);
        match self.places.get(&lock.id) {
            Some(&place) => {
                if let (order, Some(fence)) = std::mem::replace(&mut self.seen[place as usize], now)
                {
                    self.locks.remove(&(fence, order));
                }
            }
            None => {
                self.places.insert(lock.id.clone(), self.seen.len() as u32);
                self.seen.push(now);
            }
        }
        if let (order, Some(fence)) = now {
            self.locks.insert((fence, order), lock);
        }
    }
}

fn read_head(text: &str) -> Result<Head, Garbled> {
    let mut words = text.split(' ');
    let mut next = || words.next().ok_or(Garbled);
    Ok(Head {
        fence: reply::number(next()?)?,
        high: reply::number(next()?)?,
        seat: reply::number(next()?)?,
        member_count: reply::number(next()?)?,
        held_count: reply::number(next()?)?,
        now_ms: reply::number(next()?)?,
        freed_up_to: reply::number(next()?)?,
        next: next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a slice of locks. The pool's fence is 9, and its highest rank is 4.
    fn take(reading: &mut ListReading, held_count: usize, now_ms: u64, next: &str, rows: &[&str]) {
        let text = |text: &str| Value::BulkString(text.into());
        let head = text(&format!("9 4 3 3 {held_count} {now_ms} 4 {next}"));
        let rows = Value::Array(rows.iter().map(|row| text(row)).collect());
        let slice = Value::Array(vec![head, rows]);
        reading.take(ListKind::Locks, slice).expect("a slice");
    }

    fn ids(reading: ListReading) -> Vec<(u64, String)> {
        let locks = reading.locks.into_iter();
        locks
            .map(|((fence, _), lock)| (fence.number(), lock.id.to_string()))
            .collect()
    }

    #[test]
    fn a_lease_that_may_have_been_renewed_is_read_once_more() {
        let mut reading = ListReading::default();
        take(&mut reading, 2, 100, "17", &["5 150 50 60\no\na"]);
        assert!(matches!(&reading.phase, ListPhase::Scan(next, Some((9, 4))) if next == "17"));
        take(
            &mut reading,
            2,
            120,
            "0",
            &["7 180 50 60\n\nb", "5 150 50 60\no\na"],
        );
        take(&mut reading, 2, 200, "9", &[]);
        let due = reading.request_due(9).iter();
        let fences: Vec<u64> = due.copied().map(Fence::number).collect();
        assert_eq!(fences, [5, 7]);
        take(
            &mut reading,
            2,
            210,
            "9",
            &["5 400 50 60\no\na", "7 0 50 60\n\nb"],
        );
        assert!(matches!(reading.phase, ListPhase::Complete));
        let leases = reading.into_leases();
        let shown: Vec<_> = { leases.iter() }
            .map(|lease| (&*lease.id, lease.ttl_s, lease.age_s))
            .collect();
        assert_eq!(shown, [("a", Some(0), 0)]);
    }

    #[test]
    fn a_due_lease_that_has_ended_without_a_trace_is_dropped() {
        let mut reading = ListReading::default();
        take(&mut reading, 2, 100, "0", &["5 150 50 60\n\na\nb"]);
        take(&mut reading, 2, 200, "9", &[]);
        assert_eq!(reading.request_due(9).len(), 1);
        take(&mut reading, 0, 210, "9", &[]);
        assert!(matches!(reading.phase, ListPhase::Complete));
        assert_eq!(ids(reading), []);
    }

    #[test]
    fn leases_that_become_due_later_do_not_prolong_a_list() {
        let mut reading = ListReading::default();
        take(
            &mut reading,
            2,
            100,
            "0",
            &["5 150 50 60\n\na", "7 205 50 60\n\nb"],
        );
        take(&mut reading, 2, 200, "9", &[]);
        assert_eq!(reading.request_due(9).len(), 1);
        take(&mut reading, 2, 210, "9", &["5 400 50 60\n\na"]);
        assert!(matches!(reading.phase, ListPhase::Complete));
        assert_eq!(ids(reading).len(), 2);
    }

    /// Grants made after the first slice, young ones and those that are over stay.
    #[test]
    fn a_release_takes_the_grants_of_its_first_slice() {
        let grants = |older_s| {
            let mut reading = ListReading::default();
            take(
                &mut reading,
                9,
                5_000,
                "17",
                &["10 - 50 -\n\nz", "5 - 50 -\n\na\nb"],
            );
            take(
                &mut reading,
                9,
                9_000,
                "0",
                &["9 - 8500 -\no\nc", "7 0 50 60\n\nd"],
            );
            let grants = reading.into_grants(9, older_s).into_iter();
            let numbers = grants.map(|(fence, count)| (fence.number(), count));
            numbers.collect::<Vec<(u64, usize)>>()
        };
        assert_eq!(grants(None), [(9, 1), (5, 2)]);
        assert_eq!(grants(Some(1)), [(5, 2)]);
    }

    #[test]
    fn what_was_given_back_without_a_trace_makes_a_list_begin_again() {
        let mut reading = ListReading::default();
        take(&mut reading, 2, 100, "0", &["5 - 50 -\n\na\nb"]);
        take(&mut reading, 1, 100, "9", &["0 - 0 -\n\nb"]);
        assert!(matches!(reading.phase, ListPhase::Complete));
        assert_eq!(ids(reading), [(5, "a".to_owned())]);

        let mut reading = ListReading::default();
        take(&mut reading, 2, 100, "0", &["5 - 50 -\n\na\nb"]);
        take(&mut reading, 1, 100, "9", &[]);
        assert!(matches!(reading.phase, ListPhase::Scan(_, None)));
        assert_eq!(ids(reading), []);
    }

    #[test]
    fn a_slice_of_an_unknown_form_is_an_error() {
        let text = |text: &str| Value::BulkString(text.into());
        for head in ["", "1 2 3", "a 4 3 3 2 100 4 0"] {
            let slice = Value::Array(vec![text(head), Value::Array(Vec::new())]);
            let taken = ListReading::default().take(ListKind::Locks, slice);
            assert!(taken.is_err(), "{head:?}");
        }
        for row in ["", "5", "5 x 50 60\n\na", "5 150 50 60"] {
            assert_eq!(ListReading::default().take_grant(row), None, "{row:?}");
        }
    }
}
