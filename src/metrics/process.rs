//! What the system says of the process.

/// What the system says of the process, as far as it says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// The time of the processor that it has taken, in microseconds.
    pub cpu_us: Option<u64>,
    /// How much memory it has.
    pub memory: Option<Memory>,
    /// How many descriptors are open.
    pub open_descriptors: Option<u64>,
    /// How many may be.
    pub max_descriptors: Option<u64>,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All that has an address.
    pub virtual_bytes: u64,
    /// What of it is in memory.
    pub resident_bytes: u64,
}

impl Memory {
    /// Reads what Linux says in `/proc/self/statm`: pages of all, pages in memory, and more
    /// (proc_pid_statm(5)).
    pub fn parse(statm: &str, page_bytes: u64) -> Option<Memory> {
        let mut pages = statm.split(' ').map(|pages| pages.parse::<u64>().ok());
        Some(Memory {
            virtual_bytes: pages.next()??.checked_mul(page_bytes)?,
            resident_bytes: pages.next()??.checked_mul(page_bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        let memory = Memory::parse("1219 875 655 420 0 132 0\n", 4096);
        let read = Memory {
            virtual_bytes: 4_993_024,
            resident_bytes: 3_584_000,
        };
        assert_eq!(memory, Some(read));
        assert_eq!(Memory::parse("", 4096), None);
        assert_eq!(Memory::parse("12 x", 4096), None);
    }
}
