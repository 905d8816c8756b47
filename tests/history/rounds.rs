//! A queue that is watched while it forms: each client comes only when a server has shown the one
//! before in it. Each round has a pool of its own, so that no other client is counted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::call::{Asked, Call, CallAnswer, Selection};
use super::wire::{Caller, Clock, ServerAddresses};
use super::workers::force;

const LONGEST_LINE: usize = 5;
const WAIT_S: u64 = 4;

/// The time for which a client is looked for in the queue before the next one comes anyway.
const LOOK: Duration = Duration::from_millis(300);

/// The state that all rounds share.
pub struct Hall<'a> {
    pub clock: Clock,
    pub addresses: &'a ServerAddresses,
    /// The number of pools so far.
    pub pools: AtomicUsize,
    /// The number of clients so far.
    pub clients: AtomicUsize,
}

/// The pool of a round, and how many resources it has.
pub type Room = (String, usize);

/// Holds one round after the other until it is told to stop.
pub fn hold(hall: &Hall<'_>, mut random: Rng, stop: &AtomicBool) -> (Vec<Call>, Vec<Room>) {
    let (mut calls, mut rooms) = (Vec::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let number = hall.pools.fetch_add(1, Ordering::Relaxed);
        let room = (format!("L{number}"), random.usize(1..=2));
        calls.extend(hold_one(hall, &room, &mut random));
        rooms.push(room);
    }
    (calls, rooms)
}

fn hold_one(hall: &Hall<'_>, (pool, size): &Room, random: &mut Rng) -> Vec<Call> {
    let mut host = hall.caller(random);
    let ids: Vec<String> = (1..=*size).map(|id| format!("\"{id}\"")).collect();
    host.order(&format!("POST /pool/{pool} [{}]", ids.join(",")));
    // In most rounds all want the same: then more is certain about the order of service.
    let is_mixed = random.u8(..3) == 0;
    if let Some(CallAnswer::Leases(held)) = host.call(pool, acquire(Selection::Any(*size), None, 0))
    {
        let guests = random.usize(2..=LONGEST_LINE);
        let calls = thread::scope(|scope| {
            let mut joined = Vec::new();
            for place in 1..=guests {
                let mut guest = hall.caller(random);
                let selection = if is_mixed {
                    any_wanted(*size, random)
                } else {
                    Selection::Any(1)
                };
                joined.push(scope.spawn(move || {
                    visit(&mut guest, pool, selection);
                    guest.calls
                }));
                host.move_on();
                look_for(&mut host, pool, place);
            }
            for lease in held {
                force(&mut host, pool, lease.id, lease.fence);
            }
            let calls = joined.into_iter().map(|guest| guest.join());
            calls
                .flat_map(|calls| calls.expect("a guest's checks hold"))
                .collect::<Vec<Call>>()
        });
        host.calls.extend(calls);
    }
    host.order(&format!("DELETE /pool/{pool}"));
    host.calls
}

/// Waits until this many are in the queue, if it can be seen.
fn look_for(host: &mut Caller<'_>, pool: &str, place: usize) {
    let end = Instant::now() + LOOK;
    while Instant::now() < end {
        match host.call(pool, Asked::Count) {
            Some(CallAnswer::Counts { waiting, .. }) if waiting >= place => return,
            _ => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Waits in the queue, and releases its lock after a moment.
fn visit(guest: &mut Caller<'_>, pool: &str, selection: Selection) {
    let owner = (guest.random.u8(..4) == 0).then(|| format!("guest-{}", guest.number));
    let answer = guest.call(pool, acquire(selection, owner.clone(), WAIT_S));
    let Some(CallAnswer::Leases(leases)) = answer else {
        return;
    };
    thread::sleep(Duration::from_millis(guest.random.u64(..4)));
    for lease in leases {
        let release = |id: String| Asked::Release {
            id: Some(id),
            owner: owner.clone(),
            fence: Some(lease.fence),
            force: false,
        };
        // Once more, in vain or not: those behind wait for it.
        if guest.call(pool, release(lease.id.clone())).is_none() {
            guest.call(pool, release(lease.id));
        }
    }
}

fn any_wanted(size: usize, random: &mut Rng) -> Selection {
    match random.u8(..3) {
        0 => Selection::Named(random.usize(1..=size).to_string()),
        1 => Selection::Any(size),
        _ => Selection::Any(1),
    }
}

fn acquire(selection: Selection, owner: Option<String>, wait_s: u64) -> Asked {
    Asked::Acquire {
        selection,
        owner,
        ttl_s: None,
        wait_s,
    }
}

impl<'a> Hall<'a> {
    pub fn caller(&self, random: &mut Rng) -> Caller<'a> {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        Caller::new(number, self.clock, self.addresses, random.fork())
    }
}
