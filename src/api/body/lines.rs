//! One id a line. Blank lines count for nothing.

use super::BodyError;
use crate::command::{MAX_NAME_BYTES, NameError, PoolName, ResourceId, Seed};

/// An id and a carriage return: no line that is longer has an id on it.
const MAX_LINE_BYTES: usize = MAX_NAME_BYTES + 1;

#[derive(Debug, Default)]
pub(super) struct LinesReader {
    seed: Seed,
    /// The line that has not ended yet; of one that is too long and blank so far, its beginning.
    line: String,
}

impl LinesReader {
    pub(super) fn new(pool: &PoolName<'_>) -> LinesReader {
        let mut seed = Seed::default();
        seed.add_pool(pool);
        LinesReader {
            seed,
            line: String::new(),
        }
    }

    /// Takes the next piece, all of it.
    pub(super) fn take(&mut self, text: &str) -> Result<usize, BodyError> {
        let mut rest = text;
        while let Some((end, behind)) = rest.split_once('\n') {
            if self.line.is_empty() {
                take_line(&mut self.seed, end)?;
            } else {
                self.append(end)?;
                take_line(&mut self.seed, &self.line)?;
                self.line.clear();
            }
            rest = behind;
        }
        self.append(rest)?;
        Ok(text.len())
    }

    fn append(&mut self, part: &str) -> Result<(), BodyError> {
        if self.line.len() + part.len() <= MAX_LINE_BYTES {
            self.line.push_str(part);
        } else if is_blank(part) && is_blank(&self.line) {
            // What white space it is does not matter any more.
            self.line = " ".repeat(MAX_LINE_BYTES + 1);
        } else {
            return Err(BodyError::Id(NameError::TooLong));
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Seed, BodyError> {
        take_line(&mut self.seed, &self.line)?;
        Ok(self.seed)
    }
}

fn take_line(seed: &mut Seed, line: &str) -> Result<(), BodyError> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if !is_blank(line) {
        seed.add_id(&ResourceId::parse(line).map_err(BodyError::Id)?);
    }
    Ok(())
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
