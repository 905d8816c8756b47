//! The clock that leases are measured with.

use rustix::time::{ClockId, clock_gettime};

use crate::time::Time;

/// On Linux it goes on while the machine is suspended: the server's does, too.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// The time, from a zero of its own.
pub(super) fn now() -> Time {
    let now = clock_gettime(CLOCK);
    // Both are not negative: these clocks count from the start of the machine.
    Time::from_ms(now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000)
}
