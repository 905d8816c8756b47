//! What is under the journal: a file, opened with care, and synced or not.

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

/// How much memory redb may take to cache pages. All rows are in the engine's memory anyway: what is
/// looked for again and again is the upper pages of the trees, and the rows of the last minute.
const CACHE_BYTES: usize = 2 << 20;

/// The store holds ids and owners: no other user reads them, whatever the umask.
const MODE: u32 = 0o600;

/// Where a journal has its bytes. It is opened again after it has failed. What it is called goes into
/// messages.
pub trait Disk: fmt::Display + Send + std::marker::Sync {
    /// Opens what is there. With `create`, an empty one is begun where there is none; `publish` ends that.
    fn open(&self, create: bool) -> Result<Box<dyn StorageBackend>, DatabaseError>;

    /// Puts in place what `open` has begun, once it is whole: until then the next opening begins again. Changes
    /// nothing if it was there before.
    fn publish(&self) -> io::Result<()>;

    /// Whether what was opened first is still what its name leads to: if not, nobody will find there what
    /// is written from now on.
    fn check(&self) -> Result<(), Displaced> {
        Ok(())
    }
}

/// Why a file no longer counts as the store.
#[derive(Debug)]
pub enum Displaced {
    /// It has another name now.
    Moved,
    /// It has no name any more. On Linux its contents can still be read at this path.
    Removed(String),
    /// Its name leads to another file.
    Replaced,
    /// Its name leads to nothing that can be looked at.
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

/// A file. A new one is written under another name beside it, and renamed when it is whole: a kill or a power cut
/// must not leave half a store in its place.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    /// The file that was opened first.
    opened: OnceLock<OpenedFile>,
}

/// A file that stays open for as long as it is compared with: until then no other file gets its number.
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

    /// Whether there is no file, or an empty one.
    pub(super) fn is_missing(&self) -> bool {
        match fs::metadata(&self.path) {
            Ok(found) => found.len() == 0,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Why there is nothing at its path.
    fn missing(&self, first: &OpenedFile) -> Displaced {
        let is_removed = first.file.metadata().is_ok_and(|file| file.nlink() == 0);
        let (process, file) = (process::id(), first.file.as_raw_fd());
        match is_removed && cfg!(target_os = "linux") {
            true => Displaced::Removed(format!("/proc/{process}/fd/{file}")),
            false => Displaced::Moved,
        }
    }

    /// The path behind symbolic links, of which the last may lead to nothing yet.
    fn target(&self) -> PathBuf {
        /// As many as Linux follows.
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

    /// The name of a new file until it is whole.
    fn provisional_path(&self) -> PathBuf {
        let mut path = self.target().into_os_string();
        path.push(".new");
        path.into()
    }

    /// Begins a new file, empty and locked, under its provisional name. `None` if an empty file is there that can
    /// only be written in place: the folder takes no new file, or a file system is mounted on it.
    fn begin(&self) -> Result<Option<fs::File>, DatabaseError> {
        let target = self.target();
        let existing = fs::symlink_metadata(&target).ok();
        // Devices and pipes have no length either, and are not to be replaced.
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
        // Where the file system knows no locks, redb does without them too. A file that has left its path was
        // renamed by another process, which was faster.
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

/// Opens a file to build a store in. A left-over of an earlier attempt will do; another file that was put there will
/// not, as it may belong to another user.
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

/// Whether an empty file can still be written, although it cannot be replaced.
fn is_in_place_only(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(
        error.kind(),
        PermissionDenied | ReadOnlyFilesystem | ResourceBusy
    )
}

/// Makes the names in the folder of this file durable, where the system can do that.
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
            // Opened once more, since a lock belongs to all copies of one descriptor.
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
        // Even if no commit is synced: the name must not be safe before the contents are.
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

/// Says of an error what was tried. Its kind stays.
fn cannot_be(done: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("it cannot be {done}: {error}"))
}
