//! The waiters of this server, whatever Redis knows of them.
//!
//! Redis keeps the order. This module keeps the ticket to answer, the end of the wait, and the
//! request to send again if Redis has forgotten it.

use std::collections::HashMap;
use std::rc::Rc;

use slab::Slab;

use super::operation::AcquireRequest;
use crate::command::Ticket;
use crate::time::{Deadlines, Time};

/// The index of a pool among those that this server uses.
pub(super) type PoolKey = usize;

#[derive(Debug)]
pub(super) struct LocalWaiter {
    pub(super) ticket: Ticket,
    pub(super) pool: PoolKey,
    pub(super) request: Rc<AcquireRequest>,
    /// Whether it is being withdrawn.
    pub(super) is_withdrawing: bool,
    /// The place in the queue that Redis gave it; `u64::MAX` before that.
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

    /// Marks a waiter as leaving, without a timeout. Returns its pool, unless it was leaving
    /// already.
    pub(super) fn start_withdrawal(&mut self, serial: u64) -> Option<PoolKey> {
        let slot = *self.by_serial.get(&serial)?;
        self.until.remove(slot);
        let waiter = &mut self.slots[slot];
        (!std::mem::replace(&mut waiter.is_withdrawing, true)).then_some(waiter.pool)
    }

    /// Sets the place of a waiter.
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

    /// Returns the time at which the first wait ends.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.until.next()
    }

    /// Takes the serials of all whose wait has ended, from the front of their queues.
    pub(super) fn take_due(&mut self, now: Time) -> Vec<u64> {
        let mut due: Vec<usize> = std::iter::from_fn(|| self.until.pop_due(now)).collect();
        due.sort_by_cached_key(|&slot| self.slots[slot].place);
        let serial = |slot: usize| self.slots[slot].ticket.serial();
        due.into_iter().map(serial).collect()
    }
}
