//! The clock of the process, and the durations of its ticks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::time::{Micros, Time};

/// The clock of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: Time,
}

impl Clock {
    /// Reads the system's clock once. From then on this clock follows the monotonic clock.
    pub fn start() -> Clock {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            started: Instant::now(),
            started_at: Time::from_ms(since_epoch.as_millis() as u64),
        }
    }

    /// Returns the present time.
    pub fn now(&self) -> Time {
        self.read().0
    }

    /// Returns the present time, and the same moment for measuring.
    pub fn read(&self) -> (Time, Micros) {
        let us = self.started.elapsed().as_micros() as u64;
        (self.started_at.after_ms(us / 1000), Micros::from_us(us))
    }
}

/// Shorter ticks are not logged.
const USUAL: Duration = Duration::from_millis(5);

/// The start of one tick. Its duration goes to the debug log, since every client waits for a tick to end.
pub(super) struct TickTimer {
    started: Instant,
    cpu_time: Duration,
}

impl TickTimer {
    pub(super) fn start() -> TickTimer {
        TickTimer {
            started: Instant::now(),
            cpu_time: thread_cpu_time(),
        }
    }

    /// Logs a long tick: its duration, and its work without waiting for the disk or for the
    /// processor.
    pub(super) fn note(&self) {
        let took = self.started.elapsed();
        if took >= USUAL {
            let work = thread_cpu_time().saturating_sub(self.cpu_time);
            let (took, work) = (took.as_micros(), work.as_micros());
            log::debug!("a tick took {took} us, {work} us of them work");
        }
    }
}

/// Returns the processor time of this thread.
fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
