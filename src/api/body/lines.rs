//! Ids, one a line, without the blanks around it. Blank lines are skipped.

use super::BodyError;
use crate::command::{MAX_NAME_BYTES, NameError, PoolName, ResourceId, Seed};

/// The limit on a line kept until it ends, in bytes: twice the longest id.
const MAX_LINE_BYTES: usize = 2 * MAX_NAME_BYTES;

/// Quotes that shells leave around an argument quoted for another shell, and typographic quotes.
const QUOTES: [char; 6] = ['"', '\'', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'];

#[derive(Debug, Default)]
pub(super) struct LinesReader {
    seed: Seed,
    /// The start of a line that has not ended, without leading blanks. Some of many blanks at its end are
    /// dropped. Enough stay that text after them still makes the line too long.
    line: String,
}

impl LinesReader {
    /// Returns its memory use in bytes.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.seed.capacity_bytes() + self.line.capacity()
    }

    pub(super) fn new(pool: &PoolName<'_>) -> LinesReader {
        let mut seed = Seed::default();
        seed.add_pool(pool);
        LinesReader {
            seed,
            line: String::new(),
        }
    }

    /// Consumes the next piece, all of it.
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
        let part = match self.line.is_empty() {
            true => part.trim_start(),
            false => part,
        };
        if self.line.len() + part.len() <= MAX_LINE_BYTES {
            self.line.push_str(part);
            return Ok(());
        }
        // Only blanks may be this long. Their number does not matter, but text after them must still make the
        // line too long.
        self.line.push_str(part.trim_end());
        let length = self.line.trim_end().len();
        if length > MAX_NAME_BYTES {
            return Err(BodyError::Id(NameError::TooLong));
        }
        self.line.truncate(length);
        self.line
            .extend(std::iter::repeat_n(' ', MAX_LINE_BYTES - length));
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Seed, BodyError> {
        take_line(&mut self.seed, &self.line)?;
        match self.seed.id_count() {
            1 if matches!(self.seed.pool(0).1.at(0), "null" | "true" | "false") => {
                Err(BodyError::Scalar)
            }
            _ => Ok(self.seed),
        }
    }
}

fn take_line(seed: &mut Seed, line: &str) -> Result<(), BodyError> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(());
    }
    let id = ResourceId::parse(line).map_err(BodyError::Id)?;
    if line.starts_with(QUOTES) || line.ends_with(QUOTES) {
        return Err(BodyError::Quote);
    }
    seed.add_id(&id);
    Ok(())
}
