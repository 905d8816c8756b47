//! Durations of ticks, for the debug log: every client waits for a tick to end.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Shorter ticks are not logged.
const USUAL: Duration = Duration::from_millis(5);

/// The start of one tick.
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
