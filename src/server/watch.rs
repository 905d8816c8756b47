//! How long ticks take, for the debug log: everybody waits for a tick to end.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What is not worth a line.
const USUAL: Duration = Duration::from_millis(5);

/// Watches one tick.
pub(super) struct Watch {
    started: Instant,
    worked: Duration,
}

impl Watch {
    pub(super) fn start() -> Watch {
        Watch {
            started: Instant::now(),
            worked: worked(),
        }
    }

    /// The tick is over. A long one is told of: with its work, without what it has waited for the
    /// disk, and for others on the same processor.
    pub(super) fn note(&self) {
        let took = self.started.elapsed();
        if took >= USUAL {
            let work = worked().saturating_sub(self.worked);
            let (took, work) = (took.as_micros(), work.as_micros());
            log::debug!("a tick took {took} us, {work} us of them work");
        }
    }
}

/// What this thread has worked so far.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
