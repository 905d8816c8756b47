//! What is under the journal: a file, opened with care, and synced or not.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use redb::backends::FileBackend;
use redb::{BackendError, Builder, Database, DatabaseError, RepairSession, StorageBackend};

use super::Sync;

/// How much memory redb may take to cache pages. All rows are in the engine's memory anyway: what is
/// looked for again and again is the upper pages of the trees, and the rows of the last minute.
const CACHE_BYTES: usize = 2 << 20;

/// Where a journal has its bytes. It is opened again after it has failed. What it is called goes into
/// messages.
pub trait Disk: fmt::Display {
    /// Opens what is there. It is created, empty, only if that is asked for.
    fn open(&self, create: bool) -> Result<Box<dyn StorageBackend>, DatabaseError>;
}

/// A file.
#[derive(Debug)]
pub(super) struct File(pub(super) PathBuf);

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Disk for File {
    fn open(&self, create: bool) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            // It holds ids and owners: no other user reads them, whatever the umask.
            .mode(0o600)
            .open(&self.0)?;
        Ok(Box::new(FileBackend::new(file)?))
    }
}

/// Opens what is there, or creates it only if that is asked for.
pub(super) fn open_database(
    disk: &dyn Disk,
    sync: Sync,
    create: bool,
) -> Result<Database, DatabaseError> {
    let mut builder = Database::builder();
    // The check makes a damaged file an error where redb would otherwise trust it, and may panic.
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    let open = |builder: &Builder| {
        let backend = disk.open(create)?;
        if !create && backend.len()? == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty").into());
        }
        let is_synced = sync != Sync::Never;
        builder.create_with_backend(Synced { backend, is_synced })
    };
    if sync == Sync::Never {
        return open(&builder);
    }
    match open(builder.set_repair_callback(RepairSession::abort)) {
        Err(DatabaseError::RepairAborted) => {
            write_again(&*disk.open(create)?)?;
            open(builder.set_repair_callback(|_| {}))
        }
        opened => opened,
    }
}

/// The file was not closed well, perhaps because a sync has failed. Then the system takes for written
/// what is not, and still shows it to whoever reads; what is built on that falls with it when the power
/// is cut. So all that can be read is written once more, and has to be synced before it is trusted.
///
/// Blocks of zeros alone are passed over: no page that is in use begins with zeros, and none has so many
/// of them in what its checksum covers. Where the disk is full, they are the part of a file that has been
/// made longer but has no space yet, and to write them would need what there is not.
fn write_again(backend: &dyn StorageBackend) -> io::Result<()> {
    const PIECE_BYTES: usize = 1 << 20;
    const BLOCK_BYTES: usize = 4 << 10;
    let length = backend.len()?;
    let mut piece = vec![0; PIECE_BYTES];
    for start in (0..length).step_by(PIECE_BYTES) {
        let rest = usize::try_from(length - start).unwrap_or(PIECE_BYTES);
        let piece = &mut piece[..rest.min(PIECE_BYTES)];
        backend.read(start, piece)?;
        for (block, at) in piece
            .chunks(BLOCK_BYTES)
            .zip((start..).step_by(BLOCK_BYTES))
        {
            if block.iter().any(|byte| *byte != 0) {
                backend.write(at, block)?;
            }
        }
    }
    // Its length counts although its end may be blank.
    backend.set_len(length)?;
    backend.sync_data()?;
    backend.close()
}

/// What is synced when redb asks for it; or never: what is written is in the system's hands then.
#[derive(Debug)]
struct Synced {
    backend: Box<dyn StorageBackend>,
    is_synced: bool,
}

impl StorageBackend for Synced {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.is_synced {
            self.backend.sync_data()?;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }
}
