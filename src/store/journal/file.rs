//! The file under the journal: opened with care, and synced or not.

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{BackendError, Database, DatabaseError, StorageBackend};

use super::Sync;

/// How much memory redb may take to cache pages. All rows are in the engine's memory anyway: what is
/// looked for again and again is the upper pages of the trees, and the rows of the last minute.
const CACHE_BYTES: usize = 2 << 20;

/// Opens the file, which is created only if that is asked for.
pub(super) fn open_database(
    path: &Path,
    sync: Sync,
    create: bool,
) -> Result<Database, DatabaseError> {
    let mut builder = Database::builder();
    // The check makes a damaged file an error where redb would otherwise trust it, and may panic.
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)?;
    if !create && file.metadata()?.len() == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty").into());
    }
    let backend = FileBackend::new(file)?;
    match sync {
        Sync::Always | Sync::Interval => builder.create_with_backend(backend),
        Sync::Never => builder.create_with_backend(Unsynced(backend)),
    }
}

/// A file that is written but never synced: what is written is in the system's hands.
#[derive(Debug)]
struct Unsynced(FileBackend);

impl StorageBackend for Unsynced {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
}
