//! The connections that are closed for the sake of others. When there is no room for another connection it is
//! the one that has been idle for longest, and those of clients without a key go when they hold too much
//! memory, where there are keys. Which ones are idle, and since when, is for their sessions to say.

use super::addresses::Network;
use super::{ACCEPT_PAUSE_MS, Server};
use crate::api::ListenerRole;
use crate::metrics::Closed;
use crate::time::{LogThrottle, Time};

/// How many of an address' connections are looked at, those first that came first, for the one that
/// has been idle for longest.
const MAX_CANDIDATES: usize = 64;

/// For how long a list of those that are idle is good enough. Who has become idle since is younger
/// than nearly all in it.
const LIST_MS: u64 = 1_000;

/// Of all that are idle, a part is listed at a time: to look at all for each would take too long in
/// a crowd, and to list them all too much memory.
const LISTED_SHARE: usize = 8;

/// The connections to evict next. Nothing is kept up to date while there is room: they are found when
/// they are needed.
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
        if self.eviction.listed_at.after_ms(LIST_MS) <= now {
            self.eviction.queue.clear();
        }
        loop {
            while let Some((since, slot)) = self.eviction.queue.pop() {
                // It may have been used since, or be another connection.
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

    /// The same among the connections of one address.
    pub(super) fn evict_idle_at(&mut self, network: Network, now: Time) -> bool {
        let slots = self.addresses.slots_of(network).take(MAX_CANDIDATES);
        let idle = slots.filter_map(|slot| Some((self.idle_since(slot, now)?, slot)));
        let Some((_, slot)) = idle.min() else {
            return false;
        };
        self.evict(slot, now);
        true
    }

    /// Lists those that have been idle for longest. False if none is.
    fn list_idle(&mut self, now: Time) -> bool {
        if self.eviction.retry_after > now {
            return false;
        }
        let slots = self.connections.iter().map(|(slot, _)| slot);
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
            self.eviction.retry_after = now.after_ms(ACCEPT_PAUSE_MS);
        }
        self.eviction.listed_at = now;
        self.eviction.queue = idle;
        !self.eviction.queue.is_empty()
    }

    /// `None` also for a connection to `--admin-listen`: those make way among themselves.
    fn idle_since(&self, slot: usize, now: Time) -> Option<Time> {
        let connection = self.connections.get(slot)?;
        let is_client = connection.session.listener_role() != ListenerRole::Admin;
        connection
            .idle_since(&self.settings, now)
            .filter(|_| is_client)
    }

    /// Closes a connection that is idle, since another one needs the room.
    pub(super) fn evict(&mut self, slot: usize, now: Time) {
        if let Some(occurrences) = self.eviction.throttle.record(now) {
            log::warn!("no room for another connection: one that was idle is closed{occurrences}");
        }
        self.close_evicted(slot, now);
    }

    /// Closes connections of unauthenticated clients when these hold as much memory as they may, or are in the way of
    /// others: first the one whose client has done nothing for longest, such as taken its answers.
    pub(super) fn evict_unauthenticated(&mut self, now: Time) {
        let max = self.settings.max_buffers;
        if !self.buffers.must_evict_unauthenticated(max) {
            return;
        }
        let holding = self.connections.iter();
        let holding =
            holding.filter(|(_, connection)| connection.session.is_charged_unauthenticated());
        let mut holding: Vec<(Time, usize)> = holding
            .map(|(slot, connection)| (connection.session.last_active_at(&self.settings), slot))
            .collect();
        holding.sort_unstable();
        for (_, slot) in holding {
            if self.buffers.has_unauthenticated_room(max) {
                break;
            }
            if let Some(occurrences) = self.eviction.unauthenticated_throttle.record(now) {
                log::warn!(
                    "clients without a key take too much memory (--max-buffers): the connection of one is closed{occurrences}"
                );
            }
            self.close_evicted(slot, now);
        }
    }

    fn close_evicted(&mut self, slot: usize, now: Time) {
        self.with_connection(slot, now, |connection, _, context| {
            connection.session.abandon(context);
            connection.announce_end();
        });
        self.close(slot, Closed::Evicted, now);
    }
}
