//! Bodies, parsed while they arrive: JSON if they look like it, else one id a line. A body is
//! accepted completely or not at all.
//!
//! Each piece is parsed as far as possible, and only an incomplete token is kept. So a body of
//! millions of ids is never held as text, and no piece takes long. The result does not depend on how
//! the body is cut into pieces, nor does the error of a bad one.

mod json;
mod lines;
mod names;

use std::fmt;
use std::mem;

use json::JsonReader;
use lines::LinesReader;
use memchr::memchr;

use super::dump::{DumpError, DumpReader};
use crate::command::{NameError, PoolName, Restoration, Seed};
use crate::contract::RefusalId;
use crate::http::Media;

/// The reason why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is empty, and the request needs one.
    Empty,
    /// It is not UTF-8.
    Utf8,
    /// It is not the expected JSON: the error, and the expected form.
    Json(Box<str>, &'static str),
    /// An id in it is not a valid name.
    Id(NameError),
    /// A line begins or ends with a quote, as left by a shell with other quoting rules.
    Quote,
    /// It is `null`, `true` or `false`: probably an empty value that a program sent by mistake.
    Scalar,
    /// It is a multipart form.
    Multipart,
    /// It holds parameters, which belong in the query.
    Parameters,
    /// It is not a complete dump.
    Dump(DumpError),
}

impl BodyError {
    /// Returns its row in the contract.
    pub fn id(&self) -> RefusalId {
        match self {
            BodyError::Empty => RefusalId::EmptyBody,
            BodyError::Utf8 => RefusalId::BodyNotUtf8,
            BodyError::Json(..) => RefusalId::BadJson,
            BodyError::Id(NameError::DotSegment) => RefusalId::BadName,
            BodyError::Id(_) => RefusalId::BadId,
            BodyError::Quote => RefusalId::QuotedId,
            BodyError::Scalar => RefusalId::BodyNotIds,
            BodyError::Multipart => RefusalId::Multipart,
            BodyError::Parameters => RefusalId::BodyOfParameters,
            BodyError::Dump(_) => RefusalId::BadDump,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Json(problem, wanted) => write!(f, "{problem}; wanted: {wanted}"),
            BodyError::Id(error) => error.fmt(f),
            BodyError::Dump(error) => error.fmt(f),
            _ => f.write_str(self.id().row().message),
        }
    }
}

/// The body that a request takes.
#[derive(Debug)]
pub(super) enum Form<'a> {
    /// `{"A":["1","2"],"B":["x"]}`.
    Pools,
    /// `["1","2"]`, or an id a line, for this pool.
    Ids(&'a PoolName<'a>),
    /// A dump.
    Dump,
    /// Nothing is needed.
    Nothing,
}

/// Reads `{"A":["1","2"],"B":["x"]}`.
pub fn read_seed(body: &[u8]) -> Result<Seed, BodyError> {
    read(Form::Pools, Media::Other, body)
}

/// Parses a complete body. If the request needs none, the seed is empty.
pub(super) fn read(form: Form<'_>, media: Media, body: &[u8]) -> Result<Seed, BodyError> {
    // The case of nearly all requests.
    if body.is_empty() && matches!(form, Form::Nothing) {
        return Ok(Seed::default());
    }
    let mut reader = BodyReader::new(form, media);
    reader.take(body);
    reader.finish()
}

/// A parser of a body that arrives in pieces.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    /// An incomplete token.
    tail: Vec<u8>,
    /// Whether there was only white space so far.
    blank: bool,
    /// Whether nothing was parsed yet: a byte order mark is skipped then.
    at_start: bool,
}

/// The byte order mark that some editors and shells put before a text.
const MARK: char = '\u{feff}';

#[derive(Debug)]
enum State {
    Json(Box<JsonReader>),
    Undecided(Box<Undecided>),
    Lines(LinesReader),
    Ignored(Ignored),
    Multipart,
    Dump(Box<DumpReader>),
    /// The error. Later bytes are checked for UTF-8 alone.
    Wrong(BodyError),
}

impl BodyReader {
    pub(super) fn new(form: Form<'_>, media: Media) -> BodyReader {
        let state = match form {
            Form::Nothing => State::Ignored(Ignored::Blank),
            _ if media == Media::Multipart => State::Multipart,
            Form::Dump => State::Dump(Box::default()),
            Form::Pools => State::Json(Box::new(JsonReader::of_pools())),
            Form::Ids(pool) if media == Media::Json => {
                State::Json(Box::new(JsonReader::of_ids(pool)))
            }
            Form::Ids(pool) => State::Undecided(Box::new(Undecided {
                json: Ok(JsonReader::of_ids(pool)),
                lines: LinesReader::new(pool),
            })),
        };
        BodyReader {
            state,
            tail: Vec::new(),
            blank: true,
            at_start: true,
        }
    }

    /// Returns its memory use in bytes: the capacity of its buffers.
    pub fn capacity_bytes(&self) -> usize {
        let understood = match &self.state {
            State::Json(json) => json.capacity_bytes(),
            State::Lines(lines) => lines.capacity_bytes(),
            State::Dump(dump) => dump.capacity_bytes(),
            State::Undecided(_) | State::Ignored(_) | State::Multipart | State::Wrong(_) => 0,
        };
        self.tail.capacity() + understood
    }

    /// Parses the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        if let State::Ignored(ignored) = &mut self.state {
            ignored.take(piece);
        } else if let State::Dump(dump) = &mut self.state {
            dump.take(piece);
        } else if matches!(self.state, State::Multipart) {
            // Nothing of it is parsed.
        } else if self.tail.is_empty() {
            let used = self.take_bytes(piece);
            self.tail.extend_from_slice(&piece[used..]);
        } else {
            let mut bytes = mem::take(&mut self.tail);
            bytes.extend_from_slice(piece);
            let used = self.take_bytes(&bytes);
            bytes.drain(..used);
            self.tail = bytes;
        }
    }

    /// Consumes the complete tokens, and returns their length in bytes.
    fn take_bytes(&mut self, bytes: &[u8]) -> usize {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            // The piece ends within a character.
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => {
                self.state = State::Wrong(BodyError::Utf8);
                return bytes.len();
            }
        };
        let rest = self.skip_mark(text);
        self.blank = self.blank && rest.trim().is_empty();
        let used = self.take_text(rest, false).unwrap_or_else(|error| {
            self.state = State::Wrong(error);
            rest.len()
        });
        text.len() - rest.len() + used
    }

    /// Returns the text after the byte order mark, if the body begins with one.
    fn skip_mark<'a>(&mut self, text: &'a str) -> &'a str {
        if !self.at_start || text.is_empty() {
            return text;
        }
        self.at_start = false;
        text.strip_prefix(MARK).unwrap_or(text)
    }

    /// Parses text; `last` says that it ends the body.
    fn take_text(&mut self, text: &str, last: bool) -> Result<usize, BodyError> {
        match &mut self.state {
            State::Json(json) => json.take(text, last),
            State::Lines(lines) => lines.take(text),
            State::Ignored(_) | State::Multipart | State::Wrong(_) => Ok(text.len()),
            State::Dump(_) => Ok(text.len()),
            State::Undecided(both) => {
                // Unicode's white space, which is more than JSON's.
                let space = text.len() - text.trim_start().len();
                both.take_space(&text[..space])?;
                let Some(first) = text[space..].chars().next() else {
                    return Ok(space);
                };
                let is_json = matches!(first, '{' | '[');
                self.state = both.decide(is_json)?;
                Ok(space + self.take_text(&text[space..], last)?)
            }
        }
    }

    /// Ends the body and returns its seed, which is empty if the request needs no body.
    pub fn finish(mut self) -> Result<Seed, BodyError> {
        let tail = mem::take(&mut self.tail);
        // The body ends within a character.
        let tail = std::str::from_utf8(&tail).map_err(|_| BodyError::Utf8)?;
        match &self.state {
            State::Ignored(ignored) => return ignored.finish().map(|()| Seed::default()),
            State::Multipart => return Err(BodyError::Multipart),
            State::Wrong(BodyError::Utf8) => return Err(BodyError::Utf8),
            _ if self.blank && tail.trim().is_empty() => return Err(BodyError::Empty),
            _ => {}
        }
        self.take_text(tail, true)?;
        match self.state {
            State::Json(json) => Ok(json.finish()),
            State::Lines(lines) => lines.finish(),
            State::Wrong(error) => Err(error),
            State::Undecided(_) | State::Ignored(_) => Err(BodyError::Empty),
            State::Multipart | State::Dump(_) => Err(BodyError::Empty),
        }
    }

    /// Ends the body and returns its dump.
    pub(super) fn finish_dump(self) -> Result<Restoration, BodyError> {
        match self.state {
            State::Dump(dump) => dump.finish().map_err(BodyError::Dump),
            State::Multipart => Err(BodyError::Multipart),
            _ => Err(BodyError::Empty),
        }
    }
}

/// Both parsers of ids, until the first character decides between JSON and lines.
#[derive(Debug)]
struct Undecided {
    json: Result<JsonReader, BodyError>,
    lines: LinesReader,
}

impl Undecided {
    fn take_space(&mut self, space: &str) -> Result<(), BodyError> {
        if let Ok(json) = &mut self.json
            && let Err(error) = json.take(space, false)
        {
            self.json = Err(error);
        }
        self.lines.take(space).map(drop)
    }

    fn decide(&mut self, is_json: bool) -> Result<State, BodyError> {
        if is_json {
            let json = mem::replace(&mut self.json, Err(BodyError::Empty))?;
            Ok(State::Json(Box::new(json)))
        } else {
            Ok(State::Lines(mem::take(&mut self.lines)))
        }
    }
}

/// Checks a body that is not needed. Some devices cannot POST without one, so most are ignored. A
/// body that looks like parameters is refused, as it would have no effect: an object, or a text with
/// `=`.
#[derive(Clone, Copy, Debug)]
enum Ignored {
    /// White space alone.
    Blank,
    /// An opened brace.
    Brace,
    /// An empty object.
    Braces,
    Other,
    Parameters,
}

impl Ignored {
    fn take(&mut self, piece: &[u8]) {
        for (place, &byte) in piece.iter().enumerate() {
            *self = match (*self, byte) {
                (Ignored::Parameters, _) => return,
                (Ignored::Other, _) => {
                    if memchr(b'=', &piece[place..]).is_some() {
                        *self = Ignored::Parameters;
                    }
                    return;
                }
                (_, b'=') => Ignored::Parameters,
                (Ignored::Blank, b'{') => Ignored::Brace,
                (Ignored::Brace, b'}') => Ignored::Braces,
                (Ignored::Blank | Ignored::Braces, byte) if byte.is_ascii_whitespace() => *self,
                (Ignored::Blank, _) => Ignored::Other,
                (Ignored::Brace | Ignored::Braces, _) => Ignored::Parameters,
            };
        }
    }

    fn finish(self) -> Result<(), BodyError> {
        match self {
            Ignored::Blank | Ignored::Braces | Ignored::Other => Ok(()),
            Ignored::Brace | Ignored::Parameters => Err(BodyError::Parameters),
        }
    }
}

#[cfg(test)]
mod tests;
