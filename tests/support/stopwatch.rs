//! Time as a server and its client have lived through it: without that for which the machine had no core
//! for them. So a bound on time limits the server, also where many tests run at once.

use std::fs;
use std::time::{Duration, Instant};

/// Started when it is made.
pub struct Stopwatch {
    server: u32,
    started_at: Instant,
    /// The time for which both had waited for a core by then.
    delayed: Duration,
}

impl Stopwatch {
    /// `server` is the number of a process with one thread that works.
    pub fn start(server: u32) -> Stopwatch {
        Stopwatch {
            server,
            started_at: Instant::now(),
            delayed: delay(server),
        }
    }

    /// The time that the server and this thread, which work in turns, have had since then.
    pub fn elapsed(&self) -> Duration {
        let elapsed = self.started_at.elapsed();
        elapsed.saturating_sub(delay(self.server).saturating_sub(self.delayed))
    }
}

/// The time for which the server and this thread were ready to run and got no core: for each of them the
/// second number of `schedstat`. Zero if the system does not show it.
fn delay(server: u32) -> Duration {
    let of = |process: &str| {
        let stat = fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
        let nanoseconds = stat.split_whitespace().nth(1)?.parse().ok()?;
        Some(Duration::from_nanos(nanoseconds))
    };
    of(&server.to_string()).unwrap_or_default() + of("thread-self").unwrap_or_default()
}
