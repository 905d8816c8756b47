//! Where the log goes: standard error, or a file in a folder that is named.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use log::LevelFilter;
use simple_logger::SimpleLogger;

/// Starts logging. With a folder, standard error becomes `latchd.log` in it, which is appended to;
/// so a panic's last words are in it too.
pub fn start(level: LevelFilter, folder: Option<&Path>) -> io::Result<()> {
    if let Some(folder) = folder {
        redirect(folder)?;
    }
    let logger = SimpleLogger::new().with_level(level).with_utc_timestamps();
    logger.init().map_err(io::Error::other)
}

/// Opens the log file, anew if it has been moved away, as log rotation does before it sends SIGHUP.
pub fn redirect(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.join("latchd.log"))?;
    rustix::stdio::dup2_stderr(&file)?;
    Ok(())
}
