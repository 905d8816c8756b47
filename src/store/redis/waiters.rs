//! The waiters of this server, whatever Redis knows of them.
//!
//! Redis keeps the order; here stands whom to answer, until when, and what to ask for again if
//! Redis has forgotten.

use std::collections::HashMap;
use std::rc::Rc;

use slab::Slab;

use super::operation::AcquireRequest;
use crate::command::Ticket;
use crate::time::{Deadlines, Time};

/// Where a pool stands among those that this server has to do with.
pub(super) type PoolKey = usize;

#[derive(Debug)]
pub(super) struct LocalWaiter {
    pub(super) ticket: Ticket,
    pub(super) pool: PoolKey,
    pub(super) request: Rc<AcquireRequest>,
    /// It is being withdrawn.
    pub(super) is_withdrawing: bool,
    /// Where it stands, as far as Redis has told.
    pub(super) place: u64,
}

#[derive(Debug, Default)]
pub(super) struct LocalWaiters {
    slots: Slab<LocalWaiter>,
    by_serial: HashMap<u64, usize>,
    until: Deadlines,
}

impl LocalWaiters {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn insert(&mut self, waiter: LocalWaiter, until: Time) {
        let serial = waiter.ticket.serial();
        let slot = self.slots.insert(waiter);
        self.by_serial.insert(serial, slot);
        self.until.set(slot, until);
    }

    pub(super) fn find(&self, serial: u64) -> Option<&LocalWaiter> {
        self.slots.get(*self.by_serial.get(&serial)?)
    }

    /// Notes that it is being taken out: its time is of no more account. Answers the pool, if it
    /// was not leaving before.
    pub(super) fn start_withdrawal(&mut self, serial: u64) -> Option<PoolKey> {
        let slot = *self.by_serial.get(&serial)?;
        self.until.remove(slot);
        let waiter = &mut self.slots[slot];
        (!std::mem::replace(&mut waiter.is_withdrawing, true)).then_some(waiter.pool)
    }

    /// Notes where it stands.
    pub(super) fn set_place(&mut self, serial: u64, place: u64) {
        if let Some(&slot) = self.by_serial.get(&serial) {
            self.slots[slot].place = place;
        }
    }

    pub(super) fn remove(&mut self, serial: u64) -> Option<LocalWaiter> {
        let slot = self.by_serial.remove(&serial)?;
        self.until.remove(slot);
        Some(self.slots.remove(slot))
    }

    /// When the first has waited long enough.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.until.next()
    }

    /// The serials of all who have waited long enough, from the front of their queues.
    pub(super) fn take_due(&mut self, now: Time) -> Vec<u64> {
        let mut due: Vec<usize> = std::iter::from_fn(|| self.until.pop_due(now)).collect();
        due.sort_by_cached_key(|&slot| self.slots[slot].place);
        let serial = |slot: usize| self.slots[slot].ticket.serial();
        due.into_iter().map(serial).collect()
    }
}
