//! The disk under the journal: a file, opened with care, and synced or not.

use std::fs::{self, Metadata, OpenOptions, TryLockError};
use std::io;
use std::ops::Bound;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, process};

use redb::backends::FileBackend;
use redb::{BackendError, Builder, Database, DatabaseError, RepairSession, StorageBackend};
use rustix::fs::OFlags;

use super::Sync;

/// The memory for redb's page cache, in bytes. The engine has all rows in memory anyway: the pages that are read
/// again and again are the upper ones of the trees, and those of the last minute's rows.
const CACHE_BYTES: usize = 2 << 20;

/// The permissions of a new file: it has ids and owners, so no other user reads it, whatever the umask.
const MODE: u32 = 0o600;

/// The storage of a journal. It is opened once, and again after each failure of the journal. Its `Display` form is
/// its name in messages.
///
/// Each opening of a journal calls `check`, `open` up to three times, `check` again, and `publish`, in this order.
pub trait Disk: fmt::Display + Send + std::marker::Sync {
    /// Opens the storage. With `create`, begins an empty one if the file is missing; `publish` completes that.
    fn open(&self, create: bool) -> Result<Box<dyn StorageBackend>, DatabaseError>;

    /// Moves a new, complete storage to its place: until then the next opening begins again. Does nothing if it was
    /// there before.
    fn publish(&self) -> io::Result<()>;

    /// Checks that the storage opened first is still at its place. If it is not, later starts will not find what is
    /// written from now on.
    fn check(&self) -> Result<(), Displaced> {
        Ok(())
    }
}

/// The reason why a file no longer counts as the store.
#[derive(Debug)]
pub enum Displaced {
    /// Its path leads to nothing: it was moved, or, except on Linux, removed.
    Moved,
    /// It was removed. On Linux its contents can still be read at this path.
    Removed(String),
    /// Its path leads to another file.
    Replaced,
    /// Its path cannot be inspected.
    Unknown(io::Error),
}

impl fmt::Display for Displaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Displaced::Moved => f.write_str(
                "the file was moved away while it was in use; move it back, or stop this server",
            ),
            Displaced::Removed(contents) => write!(
                f,
                "the file was removed while it was in use; copy {contents} before you stop this server, \
                 and start it again on the copy"
            ),
            Displaced::Replaced => f.write_str(
                "another file has taken the place of the one in use; move that one back, or start this \
                 server again on the new one",
            ),
            Displaced::Unknown(error) => write!(f, "the file cannot be looked at: {error}"),
        }
    }
}

/// A file. A new one is written under another name beside it, and renamed once it is complete: a kill or a power cut
/// must not leave half a store in its place.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    /// The file that was opened first.
    opened: OnceLock<OpenedFile>,
}

/// The file that was opened first. It stays open while it is compared with: until it is closed, no other file gets
/// its inode number.
#[derive(Debug)]
struct OpenedFile {
    file: fs::File,
    identity: Identity,
    /// False while a new file has its provisional name.
    is_published: AtomicBool,
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

impl JournalFile {
    pub(super) fn new(path: PathBuf) -> JournalFile {
        let opened = OnceLock::new();
        JournalFile { path, opened }
    }

    /// Returns true if there is no file, or an empty one.
    pub(super) fn is_missing(&self) -> bool {
        match fs::metadata(&self.path) {
            Ok(found) => found.len() == 0,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Finds the reason why there is no file at its path.
    fn missing(&self, first: &OpenedFile) -> Displaced {
        let is_removed = first.file.metadata().is_ok_and(|file| file.nlink() == 0);
        let (process, file) = (process::id(), first.file.as_raw_fd());
        match is_removed && cfg!(target_os = "linux") {
            true => Displaced::Removed(format!("/proc/{process}/fd/{file}")),
            false => Displaced::Moved,
        }
    }

    /// Resolves symbolic links. The last one may lead to no file yet.
    fn target(&self) -> PathBuf {
        /// The number of links that Linux follows.
        const MAX_LINKS: u32 = 40;
        let mut target = self.path.clone();
        for _ in 0..MAX_LINKS {
            let Ok(link) = fs::read_link(&target) else {
                break;
            };
            target = target.parent().unwrap_or(Path::new("")).join(link);
        }
        target
    }

    /// The path of a new file until it is complete.
    fn provisional_path(&self) -> PathBuf {
        let mut path = self.target().into_os_string();
        path.push(".new");
        path.into()
    }

    /// Begins a new file, empty and locked, under its provisional name. `None` if there is an empty file that can
    /// only be written in place: the directory takes no new file, or a file system is mounted on it.
    fn begin(&self) -> Result<Option<fs::File>, DatabaseError> {
        let target = self.target();
        let existing = fs::symlink_metadata(&target).ok();
        // Devices and pipes have no length either, and must not be replaced.
        if existing
            .as_ref()
            .is_some_and(|existing| !existing.is_file())
        {
            return Ok(None);
        }
        let provisional = self.provisional_path();
        let file = match open_provisional(&provisional) {
            Err(error) if existing.is_some() && is_in_place_only(&error) => return Ok(None),
            opened => opened?,
        };
        let is_locked = file.try_lock();
        let at_path = fs::symlink_metadata(&provisional).map(|found| identity(&found));
        let is_ours =
            at_path.is_ok_and(|found| file.metadata().is_ok_and(|f| identity(&f) == found));
        // If the file system has no locks, redb works without them, too. A file that has left its path was renamed
        // by another process that was faster.
        if matches!(is_locked, Err(TryLockError::WouldBlock)) || !is_ours || !self.is_missing() {
            return Err(DatabaseError::DatabaseAlreadyOpen);
        }
        if existing.is_some()
            && let Err(error) = fs::remove_file(&target)
        {
            fs::remove_file(&provisional)?;
            return match is_in_place_only(&error) {
                true => Ok(None),
                false => Err(error.into()),
            };
        }
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
        file.set_len(0)?;
        Ok(Some(file))
    }
}

/// Opens a file to build a store in. A leftover of an earlier attempt is used; any other file at this path is an
/// error, as it may belong to another user.
fn open_provisional(path: &Path) -> io::Result<fs::File> {
    let in_the_way = || {
        let path = path.display();
        let problem = format!("{path} is in the way of a new store; remove it");
        io::Error::other(problem)
    };
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path);
    let file = match opened {
        Err(error) if is_in_place_only(&error) || error.kind() == io::ErrorKind::NotFound => {
            return Err(error);
        }
        Err(_) if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) => {
            return Err(in_the_way());
        }
        opened => opened?,
    };
    let found = file.metadata()?;
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    match is_ours && found.is_file() && found.nlink() <= 1 {
        true => Ok(file),
        false => Err(in_the_way()),
    }
}

/// Returns true if an empty file may still be written in place despite this error.
fn is_in_place_only(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(
        error.kind(),
        PermissionDenied | ReadOnlyFilesystem | ResourceBusy
    )
}

/// Makes the names in the directory of this file durable, where the system can do that.
fn sync_folder(path: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let synced = fs::File::open(folder.unwrap_or(Path::new("."))).and_then(|f| f.sync_all());
    synced.or_else(|error| match error.kind() {
        InvalidInput | PermissionDenied | Unsupported => Ok(()),
        _ => Err(error),
    })
}

impl fmt::Display for JournalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Disk for JournalFile {
    fn open(&self, create: bool) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        let begun = match create && self.is_missing() {
            true => self.begin()?,
            false => None,
        };
        let is_published = begun.is_none();
        let (file, path) = match begun {
            Some(file) => (file, self.provisional_path()),
            None => {
                let mut options = OpenOptions::new();
                let file = options.read(true).write(true).open(&self.path)?;
                (file, self.path.clone())
            }
        };
        if self.opened.get().is_none() {
            // Opened a second time, since all copies of one descriptor share its lock.
            let first = fs::File::open(path)?;
            let identity = identity(&first.metadata()?);
            let _ = self.opened.set(OpenedFile {
                file: first,
                identity,
                is_published: is_published.into(),
            });
        }
        Ok(Box::new(FileBackend::new(file)?))
    }

    fn publish(&self) -> io::Result<()> {
        let Some(first) = self.opened.get() else {
            return Ok(());
        };
        if first.is_published.load(Ordering::Relaxed) {
            return Ok(());
        }
        let target = self.target();
        // Even with `--sync never`: the name must not be durable before the contents are.
        first.file.sync_all()?;
        fs::rename(self.provisional_path(), &target)?;
        first.is_published.store(true, Ordering::Relaxed);
        sync_folder(&target)
    }

    fn check(&self) -> Result<(), Displaced> {
        let Some(first) = self.opened.get() else {
            return Ok(());
        };
        let found = match first.is_published.load(Ordering::Relaxed) {
            true => fs::metadata(&self.path),
            false => fs::symlink_metadata(self.provisional_path()),
        };
        match found {
            Ok(found) if identity(&found) == first.identity => Ok(()),
            Ok(_) => Err(Displaced::Replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.missing(first)),
            Err(error) => Err(Displaced::Unknown(error)),
        }
    }
}

/// Opens the database. Creates it only with `create`.
pub(super) fn open_database(
    disk: &dyn Disk,
    sync: Sync,
    create: bool,
) -> Result<Database, DatabaseError> {
    let mut builder = Database::builder();
    // The check reports a damaged file as an error; otherwise redb would trust it, and might panic.
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

/// Writes all readable contents once more, and syncs them, before they are trusted.
///
/// The file was not closed in order, perhaps because a sync failed. Then the system may count pages as written that
/// are not on the disk, and still return them to readers. A power cut would destroy what is built on them.
///
/// Blocks of zeros are skipped. No page in use begins with zeros, and none has 4 KiB of zeros in the part that its
/// checksum covers. On a full disk such blocks are the part of a lengthened file that has no space yet, and writing
/// them would need space.
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
    // The length counts even if the end is all zeros.
    backend.set_len(length)?;
    backend.sync_data()?;
    backend.close()
}

/// Syncs when redb asks for it, or never: then written data is left to the system.
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
        let read = self.backend.read(offset, out);
        read.map_err(|error| cannot_be("read", error))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let resized = self.backend.set_len(len);
        resized.map_err(|error| cannot_be("resized", error))
    }

    fn sync_data(&self) -> io::Result<()> {
        if !self.is_synced {
            return Ok(());
        }
        let synced = self.backend.sync_data();
        synced.map_err(|error| cannot_be("synced", error))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let written = self.backend.write(offset, data);
        written.map_err(|error| cannot_be("written", error))
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

/// Adds the failed operation to an error. Its kind stays.
fn cannot_be(done: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("it cannot be {done}: {error}"))
}
