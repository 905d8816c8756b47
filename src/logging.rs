//! The log: standard error, or a file in a named folder.

use std::fs::{self, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};
use rustix::fs::OFlags;
use rustix::stdio::{dup2_stderr, stderr};
use simple_logger::SimpleLogger;

/// The most bytes of a line, which fit in any pipe.
const LINE_BYTES: usize = 4096;
/// The most bytes of a message; a longer one loses its end. The rest of the line is for the time, the
/// level and the module.
const MESSAGE_BYTES: usize = LINE_BYTES - 256;

/// Starts logging. With a folder, standard error becomes `latchd.log` in it, which is appended to, so that
/// a panic's message is in it too.
///
/// # Errors
///
/// Fails if the log file cannot be opened, or a logger is set already.
pub fn start(level: LevelFilter, folder: Option<&Path>) -> io::Result<()> {
    if let Some(folder) = folder {
        redirect(folder)?;
    }
    let logger = SimpleLogger::new().with_level(level).with_utc_timestamps();
    log::set_max_level(logger.max_level());
    let logger = InfallibleLogger {
        logger,
        capture: Mutex::new(StderrCapture::open()?),
    };
    log::set_boxed_logger(Box::new(logger)).map_err(io::Error::other)
}

/// Opens the log file, or creates it if log rotation has moved it away, as it does before SIGHUP. A link
/// is not followed, as it may lead to a file of another user, and a pipe is not waited for. All users but
/// the owner and the group are kept out, whatever the umask.
pub fn redirect(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join("latchd.log");
    let is_regular = |found: fs::Metadata| match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("latchd.log is no regular file")),
    };
    if let Ok(found) = fs::symlink_metadata(&path) {
        is_regular(found)?;
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    is_regular(file.metadata()?)?;
    dup2_stderr(&file)?;
    Ok(())
}

/// Wraps a logger that panics when it cannot write, as to a closed terminal or a full disk. Losing a line
/// must not end the service.
struct InfallibleLogger {
    logger: SimpleLogger,
    capture: Mutex<StderrCapture>,
}

impl Log for InfallibleLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.logger.enabled(record.metadata()) {
            return;
        }
        // Before the capture: errors in formatting are written to the true standard error.
        let message = shortened(record.args().to_string());
        let mut capture = self.capture.lock().unwrap_or_else(PoisonError::into_inner);
        let line = capture.run(|| {
            let metadata = record.metadata().clone();
            let mut record = Record::builder();
            record.metadata(metadata);
            self.logger
                .log(&record.args(format_args!("{message}")).build());
        });
        let _ = line.and_then(|line| io::stderr().write_all(&line));
    }

    fn flush(&self) {}
}

fn shortened(mut message: String) -> String {
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

/// Captures a logger's output to standard error, in a pipe that takes its place.
struct StderrCapture {
    reader: PipeReader,
    writer: PipeWriter,
    /// The true standard error during the capture.
    stderr: OwnedFd,
}

impl StderrCapture {
    fn open() -> io::Result<StderrCapture> {
        let (reader, writer) = io::pipe()?;
        // Without any output there is nothing to wait for.
        rustix::io::ioctl_fionbio(&reader, true)?;
        let stderr = stderr().try_clone_to_owned()?;
        Ok(StderrCapture {
            reader,
            writer,
            stderr,
        })
    }

    /// Returns what `write` writes to standard error.
    fn run(&mut self, write: impl FnOnce()) -> io::Result<Vec<u8>> {
        // Each time: standard error may be another file by now.
        rustix::io::dup2(stderr(), &mut self.stderr)?;
        dup2_stderr(&self.writer)?;
        write();
        dup2_stderr(&self.stderr)?;
        let mut line = vec![0; LINE_BYTES];
        let length = self.reader.read(&mut line)?;
        line.truncate(length);
        Ok(line)
    }
}
