//! The clock that measures leases.

use rustix::time::{ClockId, clock_gettime};

use crate::time::Time;

/// On Linux it advances while the machine is suspended, as the server's clock does.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Returns the time since an arbitrary zero.
pub(super) fn now() -> Time {
    let now = clock_gettime(CLOCK);
    // Neither is negative: these clocks count from the start of the machine.
    Time::from_ms(now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000)
}
