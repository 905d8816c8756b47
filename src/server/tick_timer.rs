//! How long ticks take, for the debug log: everybody waits for a tick to end.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What is not worth a line.
const USUAL: Duration = Duration::from_millis(5);

/// Watches one tick.
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

    /// The tick is over. A long one is told of: with its work, without what it has waited for the
    /// disk, and for others on the same processor.
    pub(super) fn note(&self) {
        let took = self.started.elapsed();
        if took >= USUAL {
            let work = thread_cpu_time().saturating_sub(self.cpu_time);
            let (took, work) = (took.as_micros(), work.as_micros());
            log::debug!("a tick took {took} us, {work} us of them work");
        }
    }
}

/// What this thread has worked so far.
fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
