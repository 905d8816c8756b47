//! What this server has to do with one pool.

use std::collections::{BTreeSet, VecDeque};

use super::super::operation::{Operation, WithdrawReason};
use crate::command::{Fence, StoredName, Ticket};
use crate::time::Time;

/// What this server has to do with one pool.
#[derive(Debug)]
pub(super) struct PoolState {
    pub(super) name: StoredName,
    /// What the names of its keys begin with.
    pub(super) base: String,
    /// What is to be sent when the batch that is under way has been answered.
    pub(super) pending: VecDeque<Operation>,
    /// The batch that is under way.
    pub(super) in_flight: Option<InFlightBatch>,
    /// Its pending operations are held up by new members, which are under way or wait for other pools.
    pub(super) barrier: bool,
    /// It stands in the list of those that may have something to send.
    pub(super) listed: bool,
    /// A poll is among the pending operations.
    pub(super) has_poll: bool,
    /// A batch whose reply was lost.
    pub(super) lost_batch: Option<LostBatch>,
    /// Who waits for it here, by serial: in the order in which they came.
    pub(super) waiters: BTreeSet<u64>,
    /// How many times it is just being taken off the list of pools.
    pub(super) forgetting: u32,
    /// A waiter of this server could not be queued again.
    pub(super) must_requeue: bool,
    /// The waiters to withdraw as soon as Redis is there again.
    pub(super) withdrawals: Vec<(Ticket, WithdrawReason)>,
    /// What is to be given back as soon as Redis is there again.
    pub(super) to_undo: Vec<(StoredName, Fence)>,
    /// The highest fence that was seen: whatever Redis may have lost, no lower one is given.
    pub(super) floor: Fence,
    /// When it was listed, while it is being removed.
    pub(super) stamp: String,
}

/// A batch that is under way.
#[derive(Debug)]
pub(super) struct InFlightBatch {
    pub(super) batch: u64,
    pub(super) operations: Vec<Operation>,
}

/// A batch whose reply was lost.
#[derive(Debug)]
pub(super) struct LostBatch {
    pub(super) batch: u64,
    /// Before this it may still arrive at Redis.
    pub(super) until: Time,
}

impl PoolState {
    pub(super) fn new(name: StoredName, base: String) -> PoolState {
        PoolState {
            name,
            base,
            pending: VecDeque::new(),
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

    /// Whether something is left to do that has to do with a lost connection or a refusal.
    pub(super) fn has_unfinished(&self) -> bool {
        self.lost_batch.is_some() || !self.withdrawals.is_empty() || !self.to_undo.is_empty()
    }

    /// Whether it can be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.in_flight.is_none()
            && !self.listed
            && !self.barrier
            && self.forgetting == 0
            && self.waiters.is_empty()
            && !self.has_unfinished()
    }
}
