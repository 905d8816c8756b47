//! Why a journal cannot be opened, in words that say what to do.

use std::fmt;
use std::io;

use redb::DatabaseError;

use super::FORMAT;

/// Why a journal could not be opened.
#[derive(Debug)]
pub struct OpenError {
    pub(super) disk: String,
    pub(super) problem: Problem,
}

#[derive(Debug)]
pub(super) enum Problem {
    InUse,
    Damaged(String),
    /// None if its tables are of other types.
    Format(Option<u64>),
    Io(io::Error),
    Other(redb::Error),
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Problem {
        Problem::from(redb::Error::from(error))
    }
}

impl From<redb::Error> for Problem {
    fn from(error: redb::Error) -> Problem {
        match error {
            redb::Error::DatabaseAlreadyOpen => Problem::InUse,
            redb::Error::Corrupted(what) => Problem::Damaged(what),
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Problem::Damaged(error.to_string())
            }
            redb::Error::Io(error) => Problem::Io(error),
            redb::Error::TableTypeMismatch { .. } => Problem::Format(None),
            error => Problem::Other(error),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = &self.disk;
        match &self.problem {
            Problem::InUse => write!(
                f,
                "{disk} is in use by another process; each server needs its own file"
            ),
            Problem::Damaged(what) => {
                write!(
                    f,
                    "{disk} is damaged or no latchd store ({what}); restore it from a copy, or name another file"
                )
            }
            Problem::Format(found) => {
                let found = found.map_or("another".into(), |found| found.to_string());
                write!(
                    f,
                    "{disk} has format {found}, and this latchd knows format {FORMAT}; use the latchd that wrote it"
                )
            }
            Problem::Io(error) => write!(
                f,
                "{disk} cannot be opened for reading and writing: {error}"
            ),
            Problem::Other(error) => write!(f, "{disk} cannot be read: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}
