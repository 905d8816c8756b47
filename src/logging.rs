//! Where the log goes: standard error, or a file in a folder that is named.

use std::fs::{self, OpenOptions};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use log::{LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

/// Starts logging. With a folder, standard error becomes `latchd.log` in it, which is appended to;
/// so a panic's last words are in it too.
pub fn start(level: LevelFilter, folder: Option<&Path>) -> io::Result<()> {
    if let Some(folder) = folder {
        redirect(folder)?;
    }
    let logger = SimpleLogger::new().with_level(level).with_utc_timestamps();
    log::set_max_level(logger.max_level());
    log::set_boxed_logger(Box::new(Unbreakable(logger))).map_err(io::Error::other)
}

/// A logger that panics when it cannot write, as to a closed terminal or a full disk. Losing a line
/// must not end the service.
struct Unbreakable(SimpleLogger);

impl Log for Unbreakable {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let log = AssertUnwindSafe(|| self.0.log(record));
        let _ = panic::catch_unwind(log);
    }

    fn flush(&self) {
        self.0.flush();
    }
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
