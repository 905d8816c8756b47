//! Measurements of this process by the system.

/// Measurements of this process. A field is `None` if the system does not provide it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Processor time used, in microseconds.
    pub cpu_us: Option<u64>,
    /// Memory used.
    pub memory: Option<Memory>,
    /// Open descriptors.
    pub open_descriptors: Option<u64>,
    /// The limit on open descriptors.
    pub max_descriptors: Option<u64>,
}

/// Sizes of memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Address space in use.
    pub virtual_bytes: u64,
    /// The part of it that is resident in memory.
    pub resident_bytes: u64,
}

impl Memory {
    /// Reads Linux' `/proc/self/statm`: total pages, resident pages, and more (proc_pid_statm(5)).
    /// Returns `None` if it is malformed.
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
