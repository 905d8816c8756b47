//! Those who wait in line through this server: how they come, leave, are served, and come back
//! after the connection was lost.

use std::rc::Rc;

use super::queue::Unsettled;
use super::{BEAT_MS, Phase, Pipeline, PoolKey};
use crate::command::{Granted, Leases, Refusal, Reply, Ticket};
use crate::store::redis::operation::{Action, Asker, Entry, Leaving, Operation, Wish};
use crate::store::redis::reply::Answer;
use crate::store::redis::waiters::Waiter;
use crate::time::Time;

impl Pipeline {
    /// Somebody asks for a lock, and would stand in line for it until then.
    pub(super) fn wait(&mut self, ticket: Ticket, pool: PoolKey, wish: Rc<Wish>, until: Time) {
        let waiter = Waiter {
            ticket,
            pool,
            wish: wish.clone(),
            leaves: false,
            place: u64::MAX,
        };
        self.waiters.insert(waiter, until);
        self.pools[pool].waiters.insert(ticket.serial());
        self.push(
            pool,
            Operation {
                asker: Asker::Waiter(ticket),
                action: Action::Acquire(wish),
            },
        );
    }

    /// Whoever asked with this ticket does not wait any more.
    pub(in super::super) fn withdraw(&mut self, ticket: Ticket) {
        self.start_leaving(ticket.serial(), Leaving::Gone);
    }

    /// Takes out of the line who has waited long enough.
    pub(super) fn end_waiting(&mut self, now: Time) {
        // Who is served while others leave need not leave any more.
        for serial in self.waiters.take_due(now) {
            self.start_leaving(serial, Leaving::Late);
        }
    }

    fn start_leaving(&mut self, serial: u64, why: Leaving) {
        let Some(ticket) = self.waiters.find(serial).map(|waiter| waiter.ticket) else {
            return;
        };
        let Some(pool) = self.waiters.start_leaving(serial) else {
            return;
        };
        let operation = Operation {
            asker: Asker::Leaver(ticket),
            action: Action::Leave(why),
        };
        match self.phase {
            // It is answered now, and leaves when there is a line to leave again.
            Phase::Down => self.drop_unheard(pool, operation),
            _ => self.push(pool, operation),
        }
    }

    /// What came of an acquire that would wait.
    pub(super) fn handle_waiter_answer(&mut self, pool: PoolKey, ticket: Ticket, answer: Answer) {
        match answer {
            Answer::Granted(leases) => self.deliver(pool, ticket.serial(), leases),
            Answer::Refused(refusal) => self.dismiss(ticket.serial(), refusal),
            Answer::Waits(place) if self.waiters.find(ticket.serial()).is_some() => {
                self.waiters.set_place(ticket.serial(), place);
            }
            Answer::Waits(_) => {
                let (asker, action) = (Asker::Leaver(ticket), Action::Leave(Leaving::Late));
                self.push(pool, Operation { asker, action });
            }
            _ => {}
        }
    }

    /// What came of leaving.
    pub(super) fn handle_leaver_answer(&mut self, pool: PoolKey, ticket: Ticket, answer: Answer) {
        match answer {
            Answer::Granted(leases) => self.deliver(pool, ticket.serial(), leases),
            Answer::Refused(refusal) => self.dismiss(ticket.serial(), refusal),
            _ => self.dismiss(ticket.serial(), Refusal::Busy),
        }
    }

    /// Gives a grant to who has waited for it; to nobody, if that one is gone.
    pub(super) fn deliver(&mut self, pool: PoolKey, serial: u64, leases: Leases) {
        self.note_fence(pool, &leases);
        let granted = self.granted(pool, leases);
        match self.remove_waiter(serial) {
            Some(waiter) => self
                .replies
                .push_back((waiter.ticket, Reply::Granted(granted))),
            None => self.take_back(pool, &granted),
        }
    }

    /// Tells somebody that it waits no longer.
    pub(super) fn dismiss(&mut self, serial: u64, refusal: Refusal) {
        if let Some(waiter) = self.remove_waiter(serial) {
            self.refuse(waiter.ticket, refusal);
        }
    }

    /// Tells everybody who waits for a pool here.
    pub(super) fn dismiss_all(&mut self, pool: PoolKey, refusal: Refusal) {
        for serial in self.pools[pool].waiters.clone() {
            self.dismiss(serial, refusal);
        }
    }

    fn remove_waiter(&mut self, serial: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(serial)?;
        self.pools[waiter.pool].waiters.remove(&serial);
        Some(waiter)
    }

    /// Takes a grant back that nobody was told of. An owner will come for it.
    fn take_back(&mut self, pool: PoolKey, granted: &Granted) {
        let undo = granted.undo().and_then(|command| {
            let (_, action) = Action::of(&command, Entry::default())?;
            Some(action)
        });
        self.undo(pool, undo);
    }

    /// Carries out an undo, now or as soon as there is a Redis.
    pub(super) fn undo(&mut self, pool: PoolKey, undo: Option<Action>) {
        let Some(action) = undo else { return };
        let operation = Operation {
            asker: Asker::Myself,
            action,
        };
        match self.phase {
            Phase::Down => self.drop_unheard(pool, operation),
            _ => self.push(pool, operation),
        }
    }

    /// The reply to a batch is lost. It may still be carried out until the time given.
    pub(super) fn lose_batch(&mut self, pool: PoolKey, until: Time) {
        let Some(flight) = self.pools[pool].flight.take() else {
            return;
        };
        let asks_itself = |operation: &Operation| matches!(operation.action, Action::Settle(_));
        if !flight.operations.iter().any(asks_itself) {
            self.pools[pool].unsettled = Some(Unsettled {
                batch: flight.batch,
                until,
            });
        }
        for operation in flight.operations {
            self.drop_unheard(pool, operation);
        }
    }

    /// Redis is there again: each pool that something is left to do for is taken up.
    pub(super) fn take_up_all(&mut self) {
        let pools: Vec<PoolKey> = self.pools.iter().map(|(pool, _)| pool).collect();
        for pool in pools {
            match self.pools[pool].unsettled {
                Some(_) => self.list_to_send(pool),
                None => self.take_up(pool),
            }
        }
    }

    /// What a lost batch has granted is handed to who still waits for it, or taken back.
    pub(super) fn settle(&mut self, pool: PoolKey, grants: Vec<(Option<u64>, Leases)>) {
        self.pools[pool].unsettled = None;
        for (serial, leases) in grants {
            // No waiter has the number of one who did not wait.
            self.deliver(pool, serial.unwrap_or(u64::MAX), leases);
        }
        self.take_up(pool);
    }

    /// Does for a pool what could not be done without Redis, before anything else.
    fn take_up(&mut self, pool: PoolKey) {
        let queue = &mut self.pools[pool];
        queue.is_astray = false;
        let mut later = std::mem::take(&mut queue.queue);
        later.retain(|operation| !asks_for_a_place(operation));
        for (ticket, why) in queue.leavers.drain(..) {
            queue.queue.push_back(Operation {
                asker: Asker::Leaver(ticket),
                action: Action::Leave(why),
            });
        }
        for (id, fence) in queue.to_undo.drain(..) {
            queue.queue.push_back(Operation {
                asker: Asker::Myself,
                action: Action::Undo(id, fence),
            });
        }
        self.come_back(pool);
        self.pools[pool].queue.extend(later);
        self.list_to_send(pool);
    }

    /// Redis tells of waiters from now on. What it had to tell before may be lost, so all of them ask again.
    pub(in super::super) fn handle_listening(&mut self) {
        if self.phase != Phase::Ready {
            return;
        }
        let pools = self.pools.iter();
        let waited_for = pools.filter(|(_, pool)| !pool.waiters.is_empty());
        let pools: Vec<PoolKey> = waited_for.map(|(pool, _)| pool).collect();
        for pool in pools {
            // A pool with a lost batch asks again when that is known.
            if self.pools[pool].unsettled.is_none() {
                self.come_back(pool);
            }
        }
    }

    /// Asks again for each who waits here. Whoever still has a place keeps it.
    pub(super) fn come_back(&mut self, pool: PoolKey) {
        // Once is enough: who is served at the first time must not get in line at the second.
        self.pools[pool]
            .queue
            .retain(|operation| !asks_for_a_place(operation));
        for &serial in &self.pools[pool].waiters.clone() {
            if let Some(waiter) = self.waiters.find(serial)
                && !waiter.leaves
            {
                let (ticket, wish) = (waiter.ticket, waiter.wish.clone());
                let action = Action::Acquire(wish);
                self.push(
                    pool,
                    Operation {
                        asker: Asker::Returning(ticket),
                        action,
                    },
                );
            }
        }
    }

    /// Looks after those who wait for a pool here.
    pub(super) fn look(&mut self, pool: PoolKey) {
        let queue = &self.pools[pool];
        if queue.unsettled.is_some() {
            return self.list_to_send(pool);
        }
        if queue.is_astray || queue.has_unfinished() {
            return self.take_up(pool);
        }
        let is_waited_for = !self.pools[pool].waiters.is_empty();
        if is_waited_for && !std::mem::replace(&mut self.pools[pool].looks, true) {
            self.push(
                pool,
                Operation {
                    asker: Asker::Myself,
                    action: Action::Look,
                },
            );
        }
    }

    /// Notes when a pool is to be looked at next, if anybody waits for it here.
    pub(super) fn plan_look(&mut self, pool: PoolKey, wake_ms: Option<u64>, now: Time) {
        let queue = &self.pools[pool];
        if queue.waiters.is_empty() && !queue.has_unfinished() {
            return self.looks.remove(pool);
        }
        let in_ms = wake_ms.map_or(BEAT_MS, |wake_ms| wake_ms.clamp(1, BEAT_MS));
        self.looks.set(pool, now.after_ms(in_ms));
    }
}

fn asks_for_a_place(operation: &Operation) -> bool {
    matches!(operation.asker, Asker::Waiter(_) | Asker::Returning(_))
}
