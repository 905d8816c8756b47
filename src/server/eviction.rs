//! Eviction: connections that are closed for the sake of others. When there is no slot for another connection, it is
//! the one that has been idle for longest. Where there are keys, unauthenticated clients that hold too much memory are
//! evicted. Sessions decide which connections are idle, and since when.

use super::{ACCEPT_PAUSE_MS, Server};
use crate::api::ListenerRole;
use crate::host::Network;
use crate::time::{LogThrottle, Time};

/// The maximum number of an address' connections, the oldest first, that are compared to find the longest idle one.
const MAX_CANDIDATES: usize = 64;

/// The time in ms for which the list of idle connections is good enough. A connection that has become idle since is
/// younger than nearly all in it.
const LIST_MS: u64 = 1_000;

/// One part in this many of the idle connections is listed at a time: searching all for each eviction would take too
/// long in a crowd, and listing all too much memory.
const LISTED_SHARE: usize = 8;

/// The connections to evict next. The list is made when it is needed, and not kept up to date.
#[derive(Debug, Default)]
pub(super) struct Eviction {
    /// Slots that were idle since these times, the earliest last.
    queue: Vec<(Time, usize)>,
    listed_at: Time,
    /// No connection was idle: the next search is not before this time.
    retry_after: Time,
    throttle: LogThrottle,
    unauthenticated_throttle: LogThrottle,
}

impl Server {
    /// Evicts the connection that has been idle for longest. Returns false if none is idle.
    pub(super) fn evict_idle(&mut self, now: Time) -> bool {
        if self.admission.eviction.listed_at.after_ms(LIST_MS) <= now {
            self.admission.eviction.queue.clear();
        }
        loop {
            while let Some((since, slot)) = self.admission.eviction.queue.pop() {
                // The connection may have been used since, or the slot reused.
                if self.idle_since(slot, now) == Some(since) {
                    self.evict(slot, now);
                    return true;
                }
            }
            if !self.list_idle(now) {
                return false;
            }
        }
    }

    /// Evicts the connection of one address that has been idle for longest. Returns false if none is idle.
    pub(super) fn evict_idle_at(&mut self, network: Network, now: Time) -> bool {
        let slots = self.host.slots_of(network).take(MAX_CANDIDATES);
        let idle = slots.filter_map(|slot| Some((self.idle_since(slot, now)?, slot)));
        let Some((_, slot)) = idle.min() else {
            return false;
        };
        self.evict(slot, now);
        true
    }

    /// Lists the connections that have been idle for longest. Returns false if none is idle.
    fn list_idle(&mut self, now: Time) -> bool {
        if self.admission.eviction.retry_after > now {
            return false;
        }
        let slots = self.host.iter().map(|(slot, _)| slot);
        let mut idle: Vec<(Time, usize)> = slots
            .filter_map(|slot| Some((self.idle_since(slot, now)?, slot)))
            .collect();
        let listed = idle.len().div_ceil(LISTED_SHARE);
        if listed < idle.len() {
            idle.select_nth_unstable(listed);
            idle.truncate(listed);
        }
        idle.sort_unstable_by(|a, b| b.cmp(a));
        if idle.is_empty() {
            self.admission.eviction.retry_after = now.after_ms(ACCEPT_PAUSE_MS);
        }
        self.admission.eviction.listed_at = now;
        self.admission.eviction.queue = idle;
        !self.admission.eviction.queue.is_empty()
    }

    /// Returns since when a connection has been idle. `None` also for one to `--admin-listen`: these are evicted only
    /// for each other.
    fn idle_since(&self, slot: usize, now: Time) -> Option<Time> {
        let connection = self.host.get(slot)?;
        let is_client = connection.session.listener_role() != ListenerRole::Admin;
        connection
            .idle_since(&self.host.settings, now)
            .filter(|_| is_client)
    }

    /// Closes an idle connection to free its slot.
    pub(super) fn evict(&mut self, slot: usize, now: Time) {
        if let Some(occurrences) = self.admission.eviction.throttle.record(now) {
            log::warn!("no room for another connection: one that was idle is closed{occurrences}");
        }
        self.close_evicted(slot, now);
    }

    /// Closes connections of unauthenticated clients when they use up their share of memory, or block others: first the
    /// one whose client has been inactive for longest, for instance by not reading its answers.
    pub(super) fn evict_unauthenticated(&mut self, now: Time) {
        let max = self.host.settings.max_buffers;
        if !self.host.buffers.must_evict_unauthenticated(max) {
            return;
        }
        let holding = self.host.iter();
        let holding =
            holding.filter(|(_, connection)| connection.session.is_charged_unauthenticated());
        let mut holding: Vec<(Time, usize)> = holding
            .map(|(slot, connection)| {
                (connection.session.last_active_at(&self.host.settings), slot)
            })
            .collect();
        holding.sort_unstable();
        for (_, slot) in holding {
            if self.host.buffers.has_unauthenticated_room(max) {
                break;
            }
            if let Some(occurrences) = self.admission.eviction.unauthenticated_throttle.record(now)
            {
                log::warn!(
                    "clients without a key take too much memory (--max-buffers): the connection of one is closed{occurrences}"
                );
            }
            self.close_evicted(slot, now);
        }
    }
}
