//! The tick of a server without its sockets: the sessions of many connections on one store.
//!
//! [`Host`] is the manual. The server runs it with sockets, the simulation and the tests with lists of bytes. So they
//! all take the same steps in the same order.

mod addresses;
mod connection;
mod in_flight;
mod network;
mod sink;
mod wrong_keys;

pub use connection::Connection;
pub use network::Network;

use std::mem;

use slab::Slab;

use addresses::Addresses;
use connection::Entry;
use in_flight::InFlightRequests;
use sink::{Backend, Clients, StoreSink};

use crate::api::ListenerRole;
use crate::command::{Granted, Reply};
use crate::metrics::{Closed, Metrics, Process};
use crate::session::{Buffers, Context, Outstanding, Settings};
use crate::store::Store;
use crate::time::{Deadlines, Time};

/// The limits of a host on all its connections together.
#[derive(Clone, Copy, Debug)]
pub struct HostLimits {
    /// The maximum number of requests in flight, without those that are queued.
    pub max_requests: usize,
    /// The maximum number of requests that are queued: fewer than there are connections, so that a client can still
    /// connect and release something.
    pub max_waiters: usize,
    /// The maximum number of requests of one address that are queued.
    pub max_address_waiters: usize,
    /// The maximum number of wrong keys of one address in a minute; 0 for no limit.
    pub max_wrong_keys: usize,
}

/// Many connections on one store.
///
/// # One tick
///
/// 1. Report events: [`note_event`](Host::note_event) for each connection that may have input, output or a hang-up;
///    `store_mut().handle_event` for those of the store. [`insert`](Host::insert) new connections.
/// 2. [`handle_hangups`](Host::handle_hangups), so that a release in the same tick serves a client that still waits.
/// 3. Read: take the slots of [`take_to_read`](Host::take_to_read), and call
///    [`read_one`](Host::read_one) for each. Where [`room`](Host::room) is 0, call
///    [`pause_reading`](Host::pause_reading) instead.
/// 4. [`expire`](Host::expire): time-outs of sessions, then of the store. This follows all reading.
/// 5. [`commit`](Host::commit): the store commits once, then each reply goes to its session.
/// 6. [`write`](Host::write), once for each connection that has output or may have ended. Closing comes after all
///    reading, so that no stale event meets a reused slot. [`take_closed`](Host::take_closed) names the closed ones.
///
/// If [`has_work`](Host::has_work), the next tick begins at once, else by [`next_timeout`](Host::next_timeout).
pub struct Host<C> {
    /// The settings that all sessions share.
    pub settings: Settings,
    /// The counters.
    pub metrics: Metrics,
    /// The memory that is lent to sessions.
    pub buffers: Buffers,
    backend: Backend,
    clients: Clients,
    entries: Slab<Entry<C>>,
    in_flight: InFlightRequests,
    deadlines: Deadlines,
    ready: ReadyLists,
    /// Slots of connections that were closed by the last `write`.
    closed: Vec<usize>,
}

/// The connections that have something to do, by their slots.
#[derive(Debug, Default)]
struct ReadyLists {
    /// Clients that have hung up, from the latest events.
    hung_up: Vec<usize>,
    /// Connections that may have input or may resume.
    to_read: Vec<usize>,
    /// Connections that may have output, or may have ended.
    to_write: Vec<usize>,
}

/// The slot of commands that no connection waits for.
const NO_SLOT: u32 = u32::MAX;

impl<C: Connection> Host<C> {
    /// Returns a host without connections. `measure` reads the figures of this process, for the metrics.
    pub fn new(
        store: Box<dyn Store>,
        settings: Settings,
        limits: HostLimits,
        measure: fn() -> Process,
    ) -> Host<C> {
        Host {
            settings,
            metrics: Metrics::default(),
            buffers: Buffers::default(),
            backend: Backend::new(store, measure),
            clients: Clients {
                addresses: Addresses::new(limits.max_wrong_keys),
                max_waiters: limits.max_waiters,
                max_address_waiters: limits.max_address_waiters,
            },
            entries: Slab::new(),
            in_flight: InFlightRequests::new(limits.max_requests),
            deadlines: Deadlines::default(),
            ready: ReadyLists::default(),
            closed: Vec::new(),
        }
    }

    /// Returns the store.
    pub fn store(&self) -> &dyn Store {
        &*self.backend.store
    }

    /// Returns the store, for what concerns no connection: events, time-outs and the end.
    pub fn store_mut(&mut self) -> &mut dyn Store {
        &mut *self.backend.store
    }

    /// Returns the number of connections.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the connection in this slot, if there is one.
    pub fn get(&self, slot: usize) -> Option<&C> {
        Some(&self.entries.get(slot)?.connection)
    }

    /// Changes the transport of the connection in this slot, if there is one. Its session sees nothing of that.
    pub fn change<R>(
        &mut self,
        slot: usize,
        act: impl FnOnce(&mut C, &Settings) -> Option<R>,
    ) -> Option<R> {
        act(&mut self.entries.get_mut(slot)?.connection, &self.settings)
    }

    /// Returns all connections with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &C)> {
        let entries = self.entries.iter();
        entries.map(|(slot, entry)| (slot, &entry.connection))
    }

    /// Returns the slot that the next connection gets.
    pub fn next_slot(&self) -> usize {
        self.entries.vacant_key()
    }

    /// Adds a connection. `network` is the address that its requests count for; `None` for one to `--admin-listen`,
    /// which counts for none.
    pub fn insert(&mut self, connection: C, network: Option<Network>) -> usize {
        let slot = self.entries.insert(Entry::new(connection));
        if let Some(network) = network {
            self.clients.addresses.insert(slot, network);
        }
        self.watch(slot);
        self.metrics.connections.accepted += 1;
        slot
    }

    /// Returns the number of connections of an address.
    pub fn count_of(&self, network: Network) -> usize {
        self.clients.addresses.count(network)
    }

    /// Returns the slots of an address, the oldest connection first.
    pub fn slots_of(&self, network: Network) -> impl Iterator<Item = usize> + '_ {
        self.clients.addresses.slots_of(network)
    }

    /// Notes that a connection may have input.
    pub fn queue_to_read(&mut self, slot: usize) {
        self.ready.to_read.push(slot);
    }

    /// Notes an event of a connection, which may have input. `has_output`: it has output, and the
    /// transport may take it now.
    pub fn note_event(&mut self, slot: usize, has_hung_up: bool, has_output: bool) {
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        if has_hung_up {
            self.ready.hung_up.push(slot);
        }
        self.ready.to_read.push(slot);
        if has_output && entry.queue_to_write() {
            self.ready.to_write.push(slot);
        }
    }

    /// Reports the hang-ups of the latest events to the sessions.
    pub fn handle_hangups(&mut self, now: Time) {
        let mut hung_up = mem::take(&mut self.ready.hung_up);
        for slot in hung_up.drain(..) {
            self.with_entry(slot, now, |entry, context| {
                entry.connection.note_hangup(context);
            });
        }
        self.ready.hung_up = hung_up;
    }

    /// Takes the slots of all connections that may have input or may resume. Give the list back by
    /// `give_back_to_read`.
    pub fn take_to_read(&mut self) -> Vec<usize> {
        mem::take(&mut self.ready.to_read)
    }

    /// Takes back the list of `take_to_read`, for reuse.
    pub fn give_back_to_read(&mut self, mut slots: Vec<usize>) {
        debug_assert!(
            self.ready.to_read.is_empty(),
            "reading makes no further work to read"
        );
        slots.clear();
        self.ready.to_read = slots;
    }

    /// Lets a connection read by `act`, and notes the effect.
    pub fn read_one(&mut self, slot: usize, now: Time, act: impl FnOnce(&mut C, &mut Context<'_>)) {
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.is_queued_to_read = false;
        }
        self.act_on(slot, now, act);
    }

    /// Runs `act` on the connection in this slot, if there is one, and notes the effect.
    pub fn act_on(&mut self, slot: usize, now: Time, act: impl FnOnce(&mut C, &mut Context<'_>)) {
        let is_queued = self.with_entry(slot, now, |entry, context| {
            act(&mut entry.connection, context);
            entry.queue_to_write()
        });
        self.update_in_flight(slot);
        if is_queued == Some(true) {
            self.ready.to_write.push(slot);
        }
    }

    /// Runs `act` on the connection in this slot, if there is one. The caller reads it in the same tick or the next,
    /// since only that notes the effect.
    pub fn with<R>(
        &mut self,
        slot: usize,
        now: Time,
        act: impl FnOnce(&mut C, &mut Context<'_>) -> R,
    ) -> Option<R> {
        self.with_entry(slot, now, |entry, context| {
            act(&mut entry.connection, context)
        })
    }

    /// Ends what is due: time-outs of sessions, then leases and waits.
    pub fn expire(&mut self, now: Time) {
        while let Some(slot) = self.deadlines.pop_due(now) {
            let entry = &mut self.entries[slot];
            entry.connection.session_mut().handle_timeout(now);
            // The deadline may have moved since it was noted; `write` notes it again.
            if entry.queue_to_write() {
                self.ready.to_write.push(slot);
            }
        }
        self.backend.store.handle_timeout(now);
    }

    /// Commits, and passes the replies to their sessions. Undoes grants whose client is gone.
    pub fn commit(&mut self, now: Time) {
        self.backend.uncommitted = false;
        self.backend.store.commit(now);
        while let Some((ticket, reply)) = self.backend.store.poll_reply() {
            let slot = ticket.slot();
            let mut reply = Some(reply);
            let is_queued = self.with_entry(slot, now, |entry, context| {
                let session = entry.connection.session_mut();
                let untaken = |reply| session.handle_reply(ticket, reply, context).err();
                reply = reply.take().and_then(untaken);
                reply.is_none() && entry.queue_to_write()
            });
            match reply {
                None if is_queued == Some(true) => self.ready.to_write.push(slot),
                Some(Reply::Granted(granted)) => self.undo(&granted, now),
                None | Some(_) => {}
            }
        }
    }

    fn undo(&mut self, granted: &Granted, now: Time) {
        if let Some(command) = granted.undo() {
            self.backend.submit(NO_SLOT, command, now);
        }
    }

    /// Writes for each connection that has output, and closes those that have ended.
    pub fn write(&mut self, now: Time) {
        let mut slots = mem::take(&mut self.ready.to_write);
        for slot in slots.drain(..) {
            self.write_one(slot, now);
        }
        // Connections whose output did not fit into this tick.
        slots.append(&mut self.ready.to_write);
        self.ready.to_write = slots;
        self.resume_reading();
    }

    fn write_one(&mut self, slot: usize, now: Time) {
        let ending = self.with_entry(slot, now, |entry, context| {
            entry.is_queued_to_write = false;
            let ending = entry.connection.write(context);
            if ending.is_some() {
                entry.connection.session_mut().abandon(context);
            }
            ending
        });
        let Some(ending) = ending else { return };
        if let Some(why) = ending {
            self.remove(slot, why);
            self.closed.push(slot);
            return;
        }
        self.update_in_flight(slot);
        self.watch(slot);
        let entry = &mut self.entries[slot];
        entry.connection.note_queued(entry.outstanding.is_queued);
        if entry.take_read_request(&self.settings) {
            self.ready.to_read.push(slot);
        }
        if entry.connection.can_write() && entry.queue_to_write() {
            self.ready.to_write.push(slot);
        }
    }

    /// Returns the slot of a connection that `write` has closed. `None` when all were named.
    pub fn take_closed(&mut self) -> Option<usize> {
        self.closed.pop()
    }

    /// Gives up a connection by its session's `abandon`, and removes it. `act` runs between the two.
    pub fn close(&mut self, slot: usize, why: Closed, now: Time, act: impl FnOnce(&mut C)) {
        self.with_entry(slot, now, |entry, context| {
            entry.connection.session_mut().abandon(context);
            act(&mut entry.connection);
        });
        self.remove(slot, why);
    }

    fn remove(&mut self, slot: usize, why: Closed) {
        self.deadlines.remove(slot);
        let before = mem::take(&mut self.entries[slot].outstanding);
        self.note_in_flight(slot, before, Outstanding::default());
        let entry = self.entries.remove(slot);
        match entry.connection.session().listener_role() {
            ListenerRole::Admin => {}
            ListenerRole::All | ListenerRole::Service => self.clients.addresses.remove(slot),
        }
        self.metrics.connections.close(why);
    }

    /// Returns whether the next tick must begin at once.
    pub fn has_work(&self) -> bool {
        self.backend.uncommitted
            || !self.ready.to_read.is_empty()
            || !self.ready.to_write.is_empty()
    }

    /// Returns the latest time of the next tick; `None` if only an event begins it.
    pub fn next_timeout(&self) -> Option<Time> {
        let times = [self.deadlines.next(), self.backend.store.next_timeout()];
        times.into_iter().flatten().min()
    }

    /// Runs `act` on the connection in this slot, if there is one, with its context.
    fn with_entry<R>(
        &mut self,
        slot: usize,
        now: Time,
        act: impl FnOnce(&mut Entry<C>, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let entry = self.entries.get_mut(slot)?;
        let mut sink = StoreSink {
            backend: &mut self.backend,
            clients: &mut self.clients,
            slot,
            now,
        };
        let mut context = Context {
            settings: &self.settings,
            buffers: &mut self.buffers,
            now,
            metrics: &mut self.metrics,
            sink: &mut sink,
        };
        Some(act(entry, &mut context))
    }

    /// Notes the deadline of a connection. An earlier note stands: when it comes due, the session is asked again, which
    /// is cheaper than to move the note with each request.
    fn watch(&mut self, slot: usize) {
        if let Some(deadline) = self.entries[slot].connection.session().deadline()
            && self.deadlines.of(slot).is_none_or(|noted| noted > deadline)
        {
            self.deadlines.set(slot, deadline);
        }
    }
}
