//! Figures of this process from the system, in a few calls whose cost does not depend on the load.

use rustix::process::{Resource, getrlimit};

use crate::metrics::Process;

pub(super) fn measure() -> Process {
    Process {
        cpu_us: cpu_us(),
        max_descriptors: getrlimit(Resource::Nofile).current,
        ..platform::measure()
    }
}

fn cpu_us() -> Option<u64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let us = u64::try_from(time.tv_sec).ok()?.checked_mul(1_000_000)?;
    us.checked_add(u64::try_from(time.tv_nsec).ok()? / 1000)
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;

    use crate::metrics::{Memory, Process};

    pub(super) fn measure() -> Process {
        let page_bytes = rustix::param::page_size() as u64;
        let statm = fs::read_to_string("/proc/self/statm").ok();
        Process {
            memory: statm.and_then(|statm| Memory::parse(&statm, page_bytes)),
            open_descriptors: open_descriptors(),
            ..Process::default()
        }
    }

    /// Returns the size of the directory, which is the number of descriptors since Linux 6.2. It is 0 on
    /// older ones, where counting would take ten milliseconds for ten thousand descriptors.
    fn open_descriptors() -> Option<u64> {
        let size = fs::metadata("/proc/self/fd").ok()?.len();
        (size > 0).then_some(size)
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use crate::metrics::Process;

    pub(super) fn measure() -> Process {
        Process::default()
    }
}
