//! Notices for a user who waits: the place in the queue, and the holders of the resources.

use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::event::Event;
use super::server::{AcquireRequest, Lease, Server, Waiter};
use super::text::{clean, duration};

/// A shorter wait gets no notice.
const FIRST_NOTICE: Duration = Duration::from_secs(2);
const BETWEEN_NOTICES: Duration = Duration::from_secs(60);
/// The most holders that are named; of the others only the number is given.
const MAX_HOLDERS: usize = 3;

/// Returns the time of the next notice, counted from the start, after a wait of `waited`: at two
/// seconds, and every minute from there.
pub(super) fn next_notice(waited: Duration) -> Duration {
    let mut notice = FIRST_NOTICE;
    if let Some(since_first) = waited.checked_sub(FIRST_NOTICE) {
        let minutes = since_first.as_secs() / BETWEEN_NOTICES.as_secs() + 1;
        notice += BETWEEN_NOTICES * u32::try_from(minutes).unwrap_or(u32::MAX / 60);
    }
    notice
}

/// Reads the queue and sends an event that describes it. A thread does it, as a signal must not wait
/// for the server. If no thread can be started, there is no notice.
pub(super) fn send(server: &Server, acquire_request: &AcquireRequest, events: Sender<Event>) {
    let (server, acquire_request) = (server.clone(), acquire_request.clone());
    let _ = thread::Builder::new().spawn(move || {
        let waiters = server
            .list_waiters(&acquire_request.pool)
            .map(|parsed| parsed.value);
        let leases = server
            .list_locks(&acquire_request.pool)
            .map(|parsed| parsed.value);
        // A key that may lock may not be allowed to list.
        let notice = describe(
            &acquire_request,
            &waiters.unwrap_or_default(),
            &leases.unwrap_or_default(),
        );
        let _ = events.send(Event::QueueNotice(notice));
    });
}

fn describe(acquire_request: &AcquireRequest, waiters: &[Waiter], leases: &[Lease]) -> String {
    let owner = acquire_request.owner.as_ref().map(|owner| owner.as_str());
    let place = owner.and_then(|owner| {
        let mut owners = waiters.iter().map(|waiter| waiter.owner.as_deref());
        owners.position(|waiting| waiting == Some(owner))
    });
    let mut notice = match (place, waiters.len()) {
        (Some(place), count) => format!("waiting at place {} of {count}", place + 1),
        (None, count) if owner.is_none() && count > 1 => format!("waiting, one of {count}"),
        _ => "waiting in the queue".to_owned(),
    };
    let id = acquire_request.id.as_ref().map(|id| id.as_str());
    let is_selected = |lease: &&Lease| id.is_none_or(|id| id == lease.id);
    let mut leases: Vec<&Lease> = leases.iter().filter(is_selected).collect();
    leases.sort_by_key(|lease| std::cmp::Reverse(lease.age));
    let mut holders: Vec<String> = leases.iter().take(MAX_HOLDERS).map(holder).collect();
    if leases.len() > MAX_HOLDERS {
        holders.push(format!("and {} more", leases.len() - MAX_HOLDERS));
    }
    if !holders.is_empty() {
        notice.push_str(&format!("; held: {}", holders.join(", ")));
    }
    notice
}

fn holder(lease: &&Lease) -> String {
    let (id, age) = (clean(&lease.id), duration(lease.age));
    match &lease.owner {
        Some(owner) => format!("{id} by {} for {age}", clean(owner)),
        None => format!("{id} for {age}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{OwnerName, PoolName, ResourceId};

    #[test]
    fn a_word_is_due_after_two_seconds_and_every_minute_from_there() {
        let mut waited = Duration::ZERO;
        let mut due_s = Vec::new();
        for _ in 0..4 {
            waited = next_notice(waited);
            due_s.push(waited.as_secs());
            // The event comes a little late.
            waited += Duration::from_millis(1);
        }
        assert_eq!(due_s, [2, 62, 122, 182]);
        assert_eq!(next_notice(Duration::from_secs(61)).as_secs(), 62);
        assert_eq!(next_notice(Duration::from_secs(62)).as_secs(), 122);
    }

    fn acquire_request(owner: Option<&str>, id: Option<&str>) -> AcquireRequest {
        AcquireRequest {
            pool: PoolName::parse("A".to_owned()).expect("a name"),
            id: id.map(|id| ResourceId::parse(id.to_owned()).expect("an id")),
            count: 1,
            owner: owner.map(|owner| OwnerName::parse(owner.to_owned()).expect("a name")),
            is_generated: false,
            ttl_s: None,
        }
    }

    fn waiter(owner: Option<&str>) -> Waiter {
        Waiter {
            owner: owner.map(str::to_owned),
            n: 1,
            id: None,
            age: Some(1),
            left: Some(1),
            lost: false,
        }
    }

    fn lease(id: &str, owner: Option<&str>, age: u64) -> Lease {
        Lease {
            id: id.to_owned(),
            fence: 1,
            ttl: None,
            owner: owner.map(str::to_owned),
            age,
        }
    }

    #[test]
    fn the_place_and_the_holders_are_told() {
        let waiters = [waiter(Some("you")), waiter(None), waiter(Some("me"))];
        let leases = [
            lease("4", Some("ci\u{1b}[2J"), 200),
            lease("3", None, 2),
            lease("2", Some("x"), 90_000),
            lease("1", None, 1),
        ];
        for (acquire_request, waiters, leases, notice) in [
            (
                acquire_request(Some("me"), None),
                &waiters[..],
                &leases[..],
                "waiting at place 3 of 3; held: 2 by x for 1d01h, 4 by ci\\u{1b}[2J for 3m20s, \
                 3 for 2s, and 1 more",
            ),
            (
                acquire_request(Some("me"), Some("3")),
                &waiters,
                &leases,
                "waiting at place 3 of 3; held: 3 for 2s",
            ),
            (
                acquire_request(None, None),
                &waiters,
                &[],
                "waiting, one of 3",
            ),
            (
                acquire_request(Some("me"), None),
                &[],
                &[],
                "waiting in the queue",
            ),
        ] {
            assert_eq!(describe(&acquire_request, waiters, leases), notice);
        }
    }
}
