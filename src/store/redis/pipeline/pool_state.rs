//! The state of one pool on this server.

use std::collections::{BTreeSet, VecDeque};

use super::super::operation::{Operation, WithdrawReason};
use crate::command::{Fence, StoredName, Ticket};
use crate::time::Time;

/// The state of one pool on this server. Redis has all that is shared.
#[derive(Debug)]
pub(super) struct PoolState {
    pub(super) name: StoredName,
    /// The prefix of its keys.
    pub(super) base: String,
    /// Operations to send after the batch in flight was answered.
    pub(super) pending: VecDeque<Operation>,
    /// The slots of the connections for which a long list of this pool is being read.
    pub(super) listing_slots: Vec<usize>,
    /// Operations that these connections sent after their lists. They wait, so that no list shows them.
    pub(super) deferred: Vec<Operation>,
    /// The batch in flight; at most one.
    pub(super) in_flight: Option<InFlightBatch>,
    /// Whether a seed holds up its pending operations, in flight or until the other pools are ready.
    pub(super) barrier: bool,
    /// Whether it is in the list of pools that may have something to send.
    pub(super) listed: bool,
    /// Whether a poll is among the pending operations.
    pub(super) has_poll: bool,
    /// The batch whose reply was lost.
    pub(super) lost_batch: Option<LostBatch>,
    /// The serials of its waiters on this server, in the order of their arrival.
    pub(super) waiters: BTreeSet<u64>,
    /// Removals from the list of pools in flight.
    pub(super) forgetting: u32,
    /// Whether a waiter could not be queued again.
    pub(super) must_requeue: bool,
    /// Withdrawals to send once Redis is ready again.
    pub(super) withdrawals: Vec<(Ticket, WithdrawReason)>,
    /// Grants to undo once Redis is ready again.
    pub(super) to_undo: Vec<(StoredName, Fence)>,
    /// The highest fence seen: no lower one is granted, whatever Redis has lost.
    pub(super) floor: Fence,
    /// Its stamp in the list, while it is being removed.
    pub(super) stamp: String,
}

/// A batch without a reply yet.
#[derive(Debug)]
pub(super) struct InFlightBatch {
    pub(super) batch: u64,
    pub(super) operations: Vec<Operation>,
}

/// A batch whose reply was lost.
#[derive(Debug)]
pub(super) struct LostBatch {
    pub(super) batch: u64,
    /// The time from which on it cannot arrive at Redis any more.
    pub(super) until: Time,
}

impl PoolState {
    pub(super) fn new(name: StoredName, base: String) -> PoolState {
        PoolState {
            name,
            base,
            pending: VecDeque::new(),
            listing_slots: Vec::new(),
            deferred: Vec::new(),
            in_flight: None,
            barrier: false,
            listed: false,
            has_poll: false,
            lost_batch: None,
            waiters: BTreeSet::new(),
            forgetting: 0,
            must_requeue: false,
            withdrawals: Vec::new(),
            to_undo: Vec::new(),
            floor: Fence::default(),
            stamp: String::new(),
        }
    }

    /// Returns true if a loss or a refusal has left something to do.
    pub(super) fn has_unfinished(&self) -> bool {
        self.lost_batch.is_some() || !self.withdrawals.is_empty() || !self.to_undo.is_empty()
    }

    /// Returns true if it can be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.listing_slots.is_empty()
            && self.in_flight.is_none()
            && !self.listed
            && !self.barrier
            && self.forgetting == 0
            && self.waiters.is_empty()
            && !self.has_unfinished()
    }
}
