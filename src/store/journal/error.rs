//! Errors of opening and writing a journal, in messages that say what to do.

use std::fmt;
use std::io;

use redb::DatabaseError;

use super::{Displaced, FORMAT, FORMAT_BEFORE};

/// The reason why a journal could not be opened.
#[derive(Debug)]
pub struct OpenError {
    pub(super) disk: String,
    pub(super) problem: OpenProblem,
}

#[derive(Debug)]
pub(super) enum OpenProblem {
    InUse,
    Damaged(String),
    /// The number of its format; `None` if its tables are of other types.
    Format(Option<u64>),
    Displaced(Displaced),
    /// The file is missing or empty, and `--must-exist` was given.
    Missing,
    Io(io::Error),
    /// The system refused a thread.
    Thread(io::Error),
    Other(redb::Error),
}

/// The reason why appended changes do not count.
#[derive(Debug)]
pub enum WriteError {
    /// The file is not where it was opened.
    Displaced(Displaced),
    /// The file or the disk fails.
    Failed(redb::Error),
    /// The disk has not answered for this many milliseconds. It may still carry out the request.
    TimedOut(u64),
}

impl WriteError {
    /// Returns true if the disk, the quota or the file size limit is exhausted.
    pub(in crate::store) fn is_lack_of_space(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(
            self,
            WriteError::Failed(redb::Error::Io(error))
                if matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull)
        )
    }
}

impl From<redb::Error> for WriteError {
    fn from(error: redb::Error) -> WriteError {
        WriteError::Failed(error)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Displaced(why) => why.fmt(f),
            WriteError::Failed(redb::Error::Io(error)) => error.fmt(f),
            WriteError::Failed(error) => error.fmt(f),
            WriteError::TimedOut(ms) => write!(f, "the disk has not answered for {ms} ms"),
        }
    }
}

impl From<DatabaseError> for OpenProblem {
    fn from(error: DatabaseError) -> OpenProblem {
        OpenProblem::from(redb::Error::from(error))
    }
}

impl From<redb::Error> for OpenProblem {
    fn from(error: redb::Error) -> OpenProblem {
        match error {
            redb::Error::DatabaseAlreadyOpen => OpenProblem::InUse,
            redb::Error::Corrupted(what) => OpenProblem::Damaged(what),
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                OpenProblem::Damaged(error.to_string())
            }
            redb::Error::Io(error) => OpenProblem::Io(error),
            redb::Error::TableTypeMismatch { .. } => OpenProblem::Format(None),
            error => OpenProblem::Other(error),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = &self.disk;
        match &self.problem {
            OpenProblem::InUse => write!(
                f,
                "{disk} is in use by another process; each server needs its own file"
            ),
            OpenProblem::Damaged(what) => {
                write!(
                    f,
                    "{disk} is damaged or no latchd store ({what}); restore it from a copy, or name another file"
                )
            }
            OpenProblem::Format(Some(found)) => write!(
                f,
                "{disk} has format {found}, and this latchd knows the formats {FORMAT_BEFORE} and {FORMAT}; \
                 use the version that wrote it, or name another file"
            ),
            OpenProblem::Format(None) => write!(
                f,
                "{disk} is not in a format that this latchd knows: another program wrote it, or a version \
                 that is older than format {FORMAT_BEFORE}; name another file"
            ),
            OpenProblem::Displaced(why) => write!(f, "{disk}: {why}"),
            OpenProblem::Missing => write!(
                f,
                "there is no store in {disk}, and --must-exist wants one; name the right file, or start once \
                 without --must-exist to create it"
            ),
            OpenProblem::Thread(error) => write!(f, "the system has no thread for {disk}: {error}"),
            OpenProblem::Io(error) => write!(f, "{disk} cannot be opened: {error}"),
            OpenProblem::Other(error) => write!(f, "{disk} cannot be read: {error}"),
        }
    }
}

impl OpenError {
    /// Makes the error of an opened journal for which the system has no thread.
    pub(in crate::store) fn no_thread(disk: &str, error: io::Error) -> OpenError {
        let (disk, problem) = (disk.to_owned(), OpenProblem::Thread(error));
        OpenError { disk, problem }
    }
}

impl std::error::Error for OpenError {}
