//! Files that the server reads again while it runs, and the rules for those that hold a secret.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;
use zeroize::Zeroizing;

/// The largest file; enough for thousands of keys, and for the issuers of any certificate.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// The permissions that the group and others must not have: to read a secret is to have it, to write it is to
/// choose it.
const OTHERS_BITS: u32 = 0o066;
const OTHERS_WRITE: u32 = 0o022;
/// In a folder with this bit only a file's owner may move the file away.
const STICKY: u32 = 0o1000;

/// Reads a regular file; it never waits for a pipe that another process has to write to.
pub(super) fn read_regular(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    read(open(path)?.0)
}

/// Reads a file with a secret. It must belong to root or the user of this process. Only its owner may read and
/// write it, and no other user may be able to replace it.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let (file, found) = open(path)?;
    let shown = path.display();
    let mode = found.mode() & 0o777;
    if mode & OTHERS_BITS != 0 {
        return Err(format!(
            "others can read or write it (its mode is {mode:04o}); chmod 600 {shown}"
        ));
    }
    if let Some(own) = foreign_owner(&found) {
        let owner = found.uid();
        return Err(format!(
            "it belongs to user {owner}; it must belong to root or to the user of the server: chown {own} {shown}"
        ));
    }
    // If the path is a link, the folder of the link counts as well as that of the file.
    let file_path = fs::canonicalize(path).map_err(|error| error.to_string())?;
    for path in [path, &file_path] {
        check_folder(path.parent().unwrap_or(Path::new("/")))?;
    }
    read(file)
}

fn check_folder(folder: &Path) -> Result<(), String> {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let found = fs::metadata(folder).map_err(|error| error.to_string())?;
    let (shown, mode) = (folder.display(), found.mode() & 0o7777);
    if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        return Err(format!(
            "others can replace it, since they can write to its folder {shown} (its mode is {mode:04o}); \
             chmod go-w {shown}"
        ));
    }
    match foreign_owner(&found) {
        None => Ok(()),
        Some(own) => Err(format!(
            "user {} can replace it, to whom its folder {shown} belongs; it must belong to root or to the \
             user of the server: chown {own} {shown}",
            found.uid()
        )),
    }
}

/// Returns the owner of a file that belongs neither to the user of this process nor to root.
fn foreign_owner(found: &Metadata) -> Option<u32> {
    let own = geteuid().as_raw();
    (found.uid() != own && found.uid() != 0).then_some(own)
}

fn open(path: &Path) -> Result<(File, Metadata), String> {
    let describe_error = |error: std::io::Error| error.to_string();
    let no_file = || "it is not a file".to_owned();
    // Opening anything but a file may have side effects.
    if !fs::metadata(path).map_err(describe_error)?.is_file() {
        return Err(no_file());
    }
    // The file may have become a pipe meanwhile, whose opening would block forever.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)
        .map_err(describe_error)?;
    let found = file.metadata().map_err(describe_error)?;
    match found.is_file() {
        true => Ok((file, found)),
        false => Err(no_file()),
    }
}

/// Reads a file into a buffer of fixed capacity: one that moved would leave copies of a secret behind.
fn read(file: File) -> Result<Zeroizing<Vec<u8>>, String> {
    let describe_error = |error: std::io::Error| error.to_string();
    let length = file.metadata().map_err(describe_error)?.len();
    let too_large = || "it is larger than 1 MiB".to_owned();
    if length > MAX_FILE_BYTES {
        return Err(too_large());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(length as usize + 64));
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(describe_error)?;
    match bytes.len() as u64 {
        0..=MAX_FILE_BYTES => Ok(bytes),
        _ => Err(too_large()),
    }
}
