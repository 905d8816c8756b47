//! A disk that fails on demand, in the ways in which disks and systems fail.
//!
//! It knows what is safe from a power cut and what is not. A write since the last sync may survive or
//! not, each for itself, and some of them in part. After a sync that failed, the system takes what it
//! could not write for written: it does not try again, a power cut loses the data, and they may be gone
//! from memory at any time.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use latchd::store::Disk;
use redb::{DatabaseError, StorageBackend};

/// The bytes that a disk writes at once or not at all.
const SECTOR: usize = 512;
/// The bytes in which it allocates space.
const BLOCK: usize = 4096;

/// A failure of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written.
    Write,
    /// Only the first part is written.
    TornWrite,
    /// There is no space.
    Full,
    /// Earlier writes may not be safe, and never will be.
    Sync,
    /// There is less to be read than there was.
    ShortRead,
    /// Nothing can be read.
    Read,
}

impl Fault {
    pub const ALL: [Fault; 6] = [
        Fault::Write,
        Fault::TornWrite,
        Fault::Full,
        Fault::Sync,
        Fault::ShortRead,
        Fault::Read,
    ];

    fn error(self) -> io::Error {
        match self {
            Fault::Full => ErrorKind::StorageFull.into(),
            Fault::ShortRead => ErrorKind::UnexpectedEof.into(),
            Fault::Write | Fault::TornWrite | Fault::Sync | Fault::Read => {
                io::Error::other("the disk fails")
            }
        }
    }
}

/// A disk, of which all clones are the same.
#[derive(Clone, Debug)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The contents that a reader sees.
    seen: Vec<u8>,
    /// The contents after a power cut.
    safe: Vec<u8>,
    /// The changes since the last sync.
    pending: Vec<Change>,
    /// Processes that have ended have no say any more.
    process: u32,
    /// The process that opened the disk last, which `publish` belongs to.
    opener: u32,
    /// The process ends after this many changes, syncs and renames.
    ends_after: Option<u32>,
    /// The contents are those of a whole store, in their place; and that survives a power cut.
    is_published: bool,
    is_publication_safe: bool,
    plan: Option<Plan>,
    /// Which blocks have space on the disk, and how many may have.
    blocks: BTreeSet<usize>,
    most_blocks: usize,
    fired: Vec<Fault>,
    random: Rng,
}

#[derive(Clone, Debug)]
enum Change {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

/// A fault, after a number of successful operations of its kind, for a number of operations.
#[derive(Clone, Copy, Debug)]
struct Plan {
    fault: Fault,
    wait: u32,
    fails: u32,
}

impl FaultyDisk {
    pub fn new(seed: u64) -> FaultyDisk {
        FaultyDisk(Arc::new(Mutex::new(State {
            seen: Vec::new(),
            safe: Vec::new(),
            pending: Vec::new(),
            process: 0,
            opener: 0,
            ends_after: None,
            is_published: false,
            is_publication_safe: false,
            plan: None,
            blocks: BTreeSet::new(),
            most_blocks: usize::MAX,
            fired: Vec::new(),
            random: Rng::with_seed(seed),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder panics")
    }

    /// Lets `fails` operations fail, after `wait` of the same kind have gone well.
    pub fn break_down(&self, fault: Fault, wait: u32, fails: u32) {
        self.state().plan = Some(Plan { fault, wait, fails });
    }

    /// From now on there is space for this many bytes, in blocks. A file may be longer than that:
    /// unwritten parts take no space.
    pub fn limit_space(&self, bytes: usize) {
        self.state().most_blocks = bytes / BLOCK;
    }

    pub fn heal(&self) {
        self.state().plan = None;
    }

    /// The faults that have occurred so far.
    pub fn fired(&self) -> Vec<Fault> {
        self.state().fired.clone()
    }

    /// The process is killed: it does nothing any more, and its writes are still there.
    pub fn kill_process(&self) {
        self.state().process += 1;
    }

    /// Ends the process after this many changes, syncs and renames.
    pub fn kill_process_after(&self, steps: u32) {
        self.state().ends_after = Some(steps);
    }

    /// Whether the process that opened the disk last has ended.
    pub fn has_process_ended(&self) -> bool {
        let state = self.state();
        state.process != state.opener
    }

    /// The power is cut.
    pub fn cut_power(&self) {
        let mut state = self.state();
        state.process += 1;
        for change in mem::take(&mut state.pending) {
            state.make_safe_by_chance(change);
        }
        state.seen = state.safe.clone();
        if !state.is_publication_safe {
            state.is_published = state.is_published && state.random.bool();
        }
    }
}

impl fmt::Display for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the faulty disk")
    }
}

impl Disk for FaultyDisk {
    fn open(&self, create: bool) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        let mut state = self.state();
        if create && !state.is_published {
            state.seen.clear();
            state.safe.clear();
            state.pending.clear();
            state.blocks.clear();
        }
        state.opener = state.process;
        Ok(Box::new(Handle {
            process: state.process,
            disk: self.clone(),
        }))
    }

    fn publish(&self) -> io::Result<()> {
        let mut state = self.state();
        let process = state.opener;
        if state.is_published || !state.advances(process) {
            return Ok(());
        }
        state.sync();
        if state.advances(process) {
            state.is_published = true;
        }
        if state.advances(process) {
            state.is_publication_safe = true;
        }
        Ok(())
    }
}

impl From<&FaultyDisk> for Arc<dyn Disk> {
    fn from(disk: &FaultyDisk) -> Arc<dyn Disk> {
        Arc::new(disk.clone())
    }
}

impl State {
    /// Whether this process still carries out its next step.
    fn advances(&mut self, process: u32) -> bool {
        if process != self.process {
            return false;
        }
        match &mut self.ends_after {
            None => true,
            Some(0) => {
                self.process += 1;
                self.ends_after = None;
                false
            }
            Some(steps) => {
                *steps -= 1;
                true
            }
        }
    }

    fn sync(&mut self) {
        for change in mem::take(&mut self.pending) {
            apply(&mut self.safe, &change);
        }
    }

    /// Whether an operation that can fail in these ways does.
    fn fails(&mut self, ways: &[Fault]) -> Option<Fault> {
        let plan = self.plan.as_mut()?;
        if !ways.contains(&plan.fault) {
            return None;
        }
        if plan.wait > 0 {
            plan.wait -= 1;
            return None;
        }
        plan.fails = plan.fails.checked_sub(1)?;
        self.fired.push(plan.fault);
        Some(plan.fault)
    }

    /// Takes the space that these bytes need, if there is enough.
    fn take_space(&mut self, range: Range<usize>) -> bool {
        let needed = range.start / BLOCK..range.end.div_ceil(BLOCK);
        let new: Vec<usize> = needed
            .filter(|block| !self.blocks.contains(block))
            .collect();
        let is_enough = self.blocks.len() + new.len() <= self.most_blocks;
        if is_enough {
            self.blocks.extend(new);
        }
        is_enough
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.seen, &change);
        self.pending.push(change);
    }

    /// It reaches the disk or not, or in part.
    fn make_safe_by_chance(&mut self, mut change: Change) {
        if let Change::Bytes(_, bytes) = &mut change
            && self.random.u8(0..4) == 0
        {
            let sectors = bytes.len() / SECTOR;
            bytes.truncate(self.random.usize(0..=sectors) * SECTOR);
        }
        if self.random.bool() {
            apply(&mut self.safe, &change);
        }
    }

    /// A sync that fails: each change is safe, or taken for safe, and then perhaps forgotten.
    fn fail_to_sync(&mut self) {
        for change in mem::take(&mut self.pending) {
            self.make_safe_by_chance(change.clone());
            if let Change::Bytes(at, bytes) = change
                && self.random.u8(0..3) == 0
            {
                let range = at..(at + bytes.len()).min(self.seen.len()).min(self.safe.len());
                self.forget(range);
            }
        }
    }

    /// Drops this range from memory: from now on it is read from the disk.
    fn forget(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            let on_disk = &self.safe[range.clone()];
            self.seen[range].copy_from_slice(on_disk);
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Bytes(at, new) => {
            let end = at + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(new);
        }
    }
}

/// The disk as a process has it open.
#[derive(Debug)]
struct Handle {
    disk: FaultyDisk,
    process: u32,
}

impl Handle {
    /// The state, if the process still lives.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.disk.state();
        state.advances(self.process).then_some(state)
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(fault) = state.fails(&[Fault::Read, Fault::ShortRead]) {
            return Err(fault.error());
        }
        let start = offset as usize;
        let bytes = state.seen.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let Some(mut state) = self.state() else {
            return Ok(());
        };
        if let Some(fault) = state.fails(&[Fault::Full, Fault::Write]) {
            return Err(fault.error());
        }
        state.blocks.split_off(&(length as usize).div_ceil(BLOCK));
        state.change(Change::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let Some(mut state) = self.state() else {
            return Ok(());
        };
        if let Some(fault) = state.fails(&[Fault::Sync]) {
            state.fail_to_sync();
            return Err(fault.error());
        }
        state.sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Some(mut state) = self.state() else {
            return Ok(());
        };
        let range = offset as usize..offset as usize + data.len();
        if !state.take_space(range) {
            state.fired.push(Fault::Full);
            return Err(Fault::Full.error());
        }
        let fault = state.fails(&[Fault::Write, Fault::TornWrite, Fault::Full]);
        let mut data = data.to_vec();
        if fault == Some(Fault::TornWrite) {
            let length = state.random.usize(0..=data.len());
            data.truncate(length);
        }
        if matches!(fault, None | Some(Fault::TornWrite)) {
            state.change(Change::Bytes(offset as usize, data));
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }
}
