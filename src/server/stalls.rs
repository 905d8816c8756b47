//! Stalls: times in which the server did not run, since it was stopped, its machine was busy, or a commit
//! took long.
//!
//! Input that clients sent meanwhile waits in their sockets and came in time. So it is read before leases
//! end.

use std::io;

use mio::Events;

use super::{EVENTS_PER_TICK, Server};
use crate::time::{LogThrottle, Time};

/// The longest delay in ms that is no stall: a request in its socket is then as late as one that is in
/// transit.
const SHORT_MS: u64 = 50;
/// The length of a stall in ms above which it is logged and counted.
const LONG_MS: u64 = 1000;
/// The maximum number of polls to catch up. Each reads from hundreds of clients.
const MAX_POLLS: usize = 100;
/// The maximum time to catch up, in ms. A client that sends without end must not delay all answers.
const MAX_CATCH_UP_MS: u64 = 500;
/// The maximum sleep in ms of an idle server that has a deadline. So it notices that it was stopped.
pub(super) const MAX_SLEEP_MS: u64 = 1000;

/// The times at which the server was last awake.
#[derive(Debug)]
pub(super) struct StallClock {
    /// The start of the previous tick: all that was due by then has ended.
    began_at: Time,
    /// The time at which clients were last read from.
    read_at: Time,
    throttle: LogThrottle,
}

impl StallClock {
    pub(super) fn new(now: Time) -> StallClock {
        StallClock {
            began_at: now,
            read_at: now,
            throttle: LogThrottle::default(),
        }
    }
}

impl Server {
    /// Detects a stall at the start of a tick. `wake_at` is the latest time at which it should have begun,
    /// and `ended` the end of the previous tick. After a stall, nothing that became due in it ends before
    /// `catch_up`. Returns whether that is so.
    pub(super) fn hold_after_stall(
        &mut self,
        wake_at: Option<Time>,
        ended: Time,
        now: Time,
    ) -> bool {
        let late_ms = wake_at.map_or(0, |at| now.ms_since(at));
        let stalled_ms = late_ms.max(ended.ms_since(self.stall_clock.read_at));
        if stalled_ms > LONG_MS {
            self.host.metrics.stalls.note(stalled_ms);
            if let Some(occurrences) = self.stall_clock.throttle.record(now) {
                log::warn!(
                    "the server stood still for at least {stalled_ms} ms: it was stopped, or its machine or \
                     disk was busy{occurrences}"
                );
            }
        }
        self.stall_clock.read_at = now;
        let held_from = std::mem::replace(&mut self.stall_clock.began_at, now);
        let must_hold = stalled_ms > SHORT_MS;
        if must_hold {
            self.host.store_mut().hold_timeouts(Some(held_from));
        }
        must_hold
    }

    /// Reads all input that came during a stall, then releases the time-outs. This time is no stall, as
    /// clients are read from. Each socket is read from once at least, and the time is bounded beyond that.
    pub(super) fn catch_up(&mut self, events: &mut Events, now: Time) -> io::Result<()> {
        let give_up_at = now.after_ms(MAX_CATCH_UP_MS);
        let mut has_read_each = false;
        for _ in 0..MAX_POLLS {
            self.poll_events(events, Some(std::time::Duration::ZERO))?;
            // A poll that could have returned more has returned all sockets that had input.
            has_read_each |= events.iter().count() < EVENTS_PER_TICK;
            let accepted = self.host.metrics.connections.accepted;
            self.note_events(events, now);
            self.accept(now);
            self.read(now);
            self.stall_clock.read_at = self.clock.now();
            let is_all_read =
                events.is_empty() && self.host.metrics.connections.accepted == accepted;
            let is_over = has_read_each && self.stall_clock.read_at >= give_up_at;
            if is_all_read || is_over {
                break;
            }
        }
        self.host.store_mut().hold_timeouts(None);
        Ok(())
    }
}
