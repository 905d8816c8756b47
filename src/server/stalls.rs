//! Times in which the server stood still: it was stopped, its machine was busy, or a commit took long.
//!
//! What clients have sent meanwhile waits in their sockets, and has come in time. So it is read before
//! leases end.

use std::io;

use mio::Events;

use super::Server;
use crate::time::{LogThrottle, Time};

/// A request that waits in its socket for no longer than this is as late as one that was on its way.
const SHORT_MS: u64 = 50;
/// A stall that is longer is logged and counted, in milliseconds.
const LONG_MS: u64 = 1000;
/// How often to look for more that has come meanwhile. Each look takes in hundreds of clients.
const MAX_POLLS: usize = 100;
/// How long at most, in milliseconds. A peer that sends without end must not hold up all answers.
const MAX_CATCH_UP_MS: u64 = 500;
/// How long an idle server sleeps at most while there is something that has a time. So it notices when it
/// was stopped.
pub(super) const MAX_SLEEP_MS: u64 = 1000;

/// When the server was awake last.
#[derive(Debug)]
pub(super) struct StallClock {
    /// The start of the tick before: what was due by then has ended.
    began_at: Time,
    /// When clients were heard last.
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
    /// A tick begins, `wake_at` is when it was to begin at the latest, and `ended` when the one before has
    /// ended. If the server stood still meanwhile, what became due in that time does not end before all that
    /// has come in it is read. Answers whether that is so.
    pub(super) fn hold_after_stall(
        &mut self,
        wake_at: Option<Time>,
        ended: Time,
        now: Time,
    ) -> bool {
        let late_ms = wake_at.map_or(0, |at| now.ms_since(at));
        let stalled_ms = late_ms.max(ended.ms_since(self.stall_clock.read_at));
        if stalled_ms > LONG_MS {
            self.metrics.stalls.note(stalled_ms);
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
            self.store.hold_timeouts(Some(held_from));
        }
        must_hold
    }

    /// Reads all that has come while the server stood still, so that what is due can end. This time is no
    /// stall, as clients are heard in it.
    pub(super) fn catch_up(&mut self, events: &mut Events, now: Time) -> io::Result<()> {
        let give_up_at = now.after_ms(MAX_CATCH_UP_MS);
        for _ in 0..MAX_POLLS {
            self.poll_events(events, Some(std::time::Duration::ZERO))?;
            let accepted = self.metrics.connections.accepted;
            self.note_events(events, now);
            self.accept(now);
            self.read(now);
            self.stall_clock.read_at = self.clock.now();
            let is_all_read = events.is_empty() && self.metrics.connections.accepted == accepted;
            if is_all_read || self.stall_clock.read_at >= give_up_at {
                break;
            }
        }
        self.store.hold_timeouts(None);
        Ok(())
    }
}
