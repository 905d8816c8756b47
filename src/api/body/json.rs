//! A seed or a list of ids as JSON, piece by piece.
//!
//! The structure has at most two levels, so a few states are enough. Strings and numbers are left to
//! serde_json, one at a time. Errors have serde_json's words, with the position in the whole body.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, Unexpected, Visitor};
use serde_json::Deserializer;
use serde_json::de::StrRead;

use super::BodyError;
use super::names::Names;
use crate::command::{MAX_NAME_BYTES, NameError, PoolName, ResourceId, Seed};

const POOLS_FORM: &str = r#"{"POOL":["ID",…],…} with strings or integers as ids"#;
const IDS_FORM: &str = r#"["ID",…] with strings or integers as ids, or an id a line"#;

const AN_OBJECT: &str = "an object of pools";
const AN_ARRAY: &str = "an array of ids";
const AN_ID: &str = "a string or an integer";

/// The length in bytes of the longest token: a name with every byte written as `\u0041`, in quotes.
const MAX_TOKEN_BYTES: usize = 6 * MAX_NAME_BYTES + 2;

/// The limit on the length of an error, so that it repeats little of the body.
const MAX_PROBLEM_CHARACTERS: usize = 200;

/// A parser of a JSON body that arrives in pieces.
#[derive(Debug)]
pub(super) struct JsonReader {
    /// Whether it expects pools; else the ids of one pool.
    of_pools: bool,
    next: NextToken,
    position: Position,
    seed: Seed,
    /// The pools named so far. A pool named twice is refused, since it is unclear which list is
    /// meant.
    names: Names,
    /// The error in the name of the current pool.
    bad_name: Option<String>,
    /// Whether a name has a part `.` or `..`, which has an error of its own.
    has_dot_segment: bool,
}

impl JsonReader {
    /// Returns its memory use in bytes.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.seed.capacity_bytes() + self.names.capacity_bytes()
    }

    pub(super) fn of_pools() -> JsonReader {
        JsonReader {
            of_pools: true,
            next: NextToken::Object,
            position: Position::default(),
            seed: Seed::default(),
            names: Names::default(),
            bad_name: None,
            has_dot_segment: false,
        }
    }

    pub(super) fn of_ids(pool: &PoolName<'_>) -> JsonReader {
        let mut reader = JsonReader::of_pools();
        reader.of_pools = false;
        reader.next = NextToken::Array;
        reader.seed.add_pool(pool);
        reader
    }

    /// Consumes the complete tokens of `text`, and returns their length in bytes. `last` says that
    /// `text` ends the body.
    pub(super) fn take(&mut self, text: &str, last: bool) -> Result<usize, BodyError> {
        let used = self.advance(text, last).map_err(|problem| {
            let problem: String = problem.chars().take(MAX_PROBLEM_CHARACTERS).collect();
            let wanted = if self.of_pools { POOLS_FORM } else { IDS_FORM };
            match self.has_dot_segment {
                true => BodyError::Id(NameError::DotSegment),
                false => BodyError::Json(problem.into(), wanted),
            }
        })?;
        self.position.advance_by(used);
        Ok(used)
    }

    /// Returns the seed. Call it only after all of the body was taken.
    pub(super) fn finish(self) -> Seed {
        self.seed
    }

    fn advance(&mut self, text: &str, last: bool) -> Result<usize, String> {
        let mut at = 0;
        loop {
            at = self.position.skip_space(text, at);
            let position = self.position;
            let Some(&byte) = text.as_bytes().get(at) else {
                break;
            };
            let token = || Token::at(text, at, last, position);
            let length = match (self.next, byte) {
                (NextToken::NameOrEnd | NextToken::Name, b'"') => match token().read_text()? {
                    Some((name, length)) => self.take_name(name, length),
                    None => return Ok(at),
                },
                (NextToken::IdOrEnd | NextToken::Id, first) if !b"[{]".contains(&first) => {
                    match token().read_text()? {
                        Some((id, length)) => self.take_id(id, at, length)?,
                        None => return Ok(at),
                    }
                }
                (NextToken::Object, first) if first != b'{' => {
                    token().read(|json| json.deserialize_map(Expected(AN_OBJECT)))?;
                    return Ok(at);
                }
                (NextToken::Array, first) if first != b'[' => {
                    token().read(|json| json.deserialize_seq(Expected(AN_ARRAY)))?;
                    return Ok(at);
                }
                (NextToken::IdOrEnd | NextToken::IdsGoOn, b']') => self.end_array(at)?,
                (next, mark) => {
                    let after = next.after(mark);
                    self.next = after.map_err(|problem| self.position.locate(problem, at + 1))?;
                    1
                }
            };
            at += length;
        }
        match self.next.missing() {
            Some(problem) if last => Err(self.position.locate(problem, at)),
            _ => Ok(at),
        }
    }

    /// Stores an error in a name until the array of ids has ended, where serde_json would report it.
    fn take_name(&mut self, name: Cow<'_, str>, length: usize) -> usize {
        match PoolName::parse(name) {
            Ok(name) if self.names.add(&name, &self.seed) => self.seed.add_pool(&name),
            Ok(_) => self.bad_name = Some("a pool is named twice".into()),
            Err(error) => {
                self.has_dot_segment |= error == NameError::DotSegment;
                self.bad_name = Some(error.to_string());
            }
        }
        self.next = NextToken::Colon;
        length
    }

    fn take_id(&mut self, id: Cow<'_, str>, at: usize, length: usize) -> Result<usize, String> {
        let id = ResourceId::parse(id).map_err(|error| {
            self.has_dot_segment |= error == NameError::DotSegment;
            self.position.locate(error, at + length)
        })?;
        if self.bad_name.is_none() {
            self.seed.add_id(&id);
        }
        self.next = NextToken::IdsGoOn;
        Ok(length)
    }

    fn end_array(&mut self, at: usize) -> Result<usize, String> {
        if let Some(problem) = self.bad_name.take() {
            return Err(self.position.locate(problem, at + 1));
        }
        self.next = if self.of_pools {
            NextToken::PoolsGoOn
        } else {
            NextToken::End
        };
        Ok(1)
    }
}

/// The token expected next, white space aside.
#[derive(Clone, Copy, Debug)]
enum NextToken {
    /// The object of pools.
    Object,
    /// A pool's name, or the end of the object.
    NameOrEnd,
    /// A pool's name after a comma.
    Name,
    /// The colon after a name.
    Colon,
    /// An array of ids.
    Array,
    /// An id, or the end of the array.
    IdOrEnd,
    /// An id after a comma.
    Id,
    /// A comma after an id, or the end of the array.
    IdsGoOn,
    /// A comma after a pool's array, or the end of the object.
    PoolsGoOn,
    /// The end of the body.
    End,
}

impl NextToken {
    /// Returns the token expected after this byte, or an error in serde_json's words.
    fn after(self, byte: u8) -> Result<NextToken, String> {
        let problem = match (self, byte) {
            (NextToken::Object, b'{') => return Ok(NextToken::NameOrEnd),
            (NextToken::NameOrEnd | NextToken::PoolsGoOn, b'}') => return Ok(NextToken::End),
            (NextToken::PoolsGoOn, b',') => return Ok(NextToken::Name),
            (NextToken::Colon, b':') => return Ok(NextToken::Array),
            (NextToken::Array, b'[') => return Ok(NextToken::IdOrEnd),
            (NextToken::IdsGoOn, b',') => return Ok(NextToken::Id),
            (NextToken::IdOrEnd | NextToken::Id, b'[') => {
                return Err(invalid_type(Unexpected::Seq));
            }
            (NextToken::IdOrEnd | NextToken::Id, b'{') => {
                return Err(invalid_type(Unexpected::Map));
            }
            (NextToken::Name, b'}') | (NextToken::Id, b']') => "trailing comma",
            (NextToken::NameOrEnd | NextToken::Name, _) => "key must be a string",
            (NextToken::Colon, _) => "expected `:`",
            (NextToken::IdsGoOn, _) => "expected `,` or `]`",
            (NextToken::PoolsGoOn, _) => "expected `,` or `}`",
            (NextToken::End, _) => "trailing characters",
            (NextToken::Object | NextToken::Array | NextToken::IdOrEnd | NextToken::Id, _) => {
                "expected value"
            }
        };
        Err(problem.into())
    }

    /// Returns the error if the body ends here, in serde_json's words.
    fn missing(self) -> Option<&'static str> {
        match self {
            NextToken::Object | NextToken::Array | NextToken::Name | NextToken::Id => {
                Some("EOF while parsing a value")
            }
            NextToken::NameOrEnd | NextToken::Colon | NextToken::PoolsGoOn => {
                Some("EOF while parsing an object")
            }
            NextToken::IdOrEnd | NextToken::IdsGoOn => Some("EOF while parsing a list"),
            NextToken::End => None,
        }
    }
}

fn invalid_type(found: Unexpected<'_>) -> String {
    serde_json::Error::invalid_type(found, &AN_ID).to_string()
}

/// The position of the current text in the body.
#[derive(Clone, Copy, Debug)]
struct Position {
    line: usize,
    /// The offset of the line's start in the text; negative if it lies before the text.
    line_start: isize,
}

impl Default for Position {
    fn default() -> Position {
        Position {
            line: 1,
            line_start: 0,
        }
    }
}

impl Position {
    /// Returns the offset of the first byte from `at` on that is not white space.
    fn skip_space(&mut self, text: &str, mut at: usize) -> usize {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = text.as_bytes().get(at) {
            at += 1;
            if *byte == b'\n' {
                self.line += 1;
                self.line_start = at as isize;
            }
        }
        at
    }

    /// Moves the position by the bytes consumed.
    fn advance_by(&mut self, used: usize) {
        self.line_start -= used as isize;
    }

    /// Formats an error that ends before `at`, as serde_json does.
    fn locate(&self, problem: impl fmt::Display, at: usize) -> String {
        let column = at as isize - self.line_start;
        format!("{problem} at line {} column {column}", self.line)
    }
}

/// A string or a number, or another value in its place.
struct Token<'a> {
    /// The text from the token on, cut at the longest length of a token.
    text: &'a str,
    at: usize,
    position: Position,
    /// Whether `text` reaches to the end of the body.
    is_whole: bool,
    /// Whether `text` was cut at that length.
    is_cut: bool,
}

impl<'a> Token<'a> {
    fn at(text: &'a str, at: usize, last: bool, position: Position) -> Token<'a> {
        let rest = &text[at..];
        let mut length = rest.len().min(MAX_TOKEN_BYTES);
        while !rest.is_char_boundary(length) {
            length -= 1;
        }
        Token {
            text: &rest[..length],
            at,
            position,
            is_whole: last && length == rest.len(),
            is_cut: length < rest.len(),
        }
    }

    /// Reads an id and its length in bytes; `None` if it needs more of the body.
    fn read_text(&self) -> Result<Option<(Cow<'a, str>, usize)>, String> {
        self.read(|json| json.deserialize_any(StringOrInteger))
    }

    /// Reads a value and its length in bytes; `None` if it needs more of the body.
    fn read<T>(
        &self,
        read: impl FnOnce(&mut Deserializer<StrRead<'a>>) -> Result<T, serde_json::Error>,
    ) -> Result<Option<(T, usize)>, String> {
        let is_number = self
            .text
            .starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if is_number && !self.is_whole && self.text.bytes().all(|b| b"+-.eE0123456789".contains(&b))
        {
            return self.need_more();
        }
        let mut json = Deserializer::from_str(self.text);
        match read(&mut json) {
            Ok(value) => Ok(Some((value, json.into_iter::<IgnoredAny>().byte_offset()))),
            Err(error) if error.is_eof() && !self.is_whole => self.need_more(),
            Err(error) => Err(self.locate(&error)),
        }
    }

    fn need_more<T>(&self) -> Result<Option<T>, String> {
        if self.is_cut {
            let end = self.at + self.text.len();
            return Err(self.position.locate(NameError::TooLong, end));
        }
        Ok(None)
    }

    /// Formats an error with its position in the body instead of that in the token.
    fn locate(&self, error: &serde_json::Error) -> String {
        let reason = error.to_string();
        let in_token = format!(" at line {} column {}", error.line(), error.column());
        let problem = reason.strip_suffix(&in_token).unwrap_or(&reason);
        let mut position = self.position;
        let end = match error.line() {
            0 | 1 => self.at + error.column(),
            line => {
                position.line += line - 1;
                position.line_start = 0;
                error.column()
            }
        };
        position.locate(problem, end)
    }
}

/// Accepts a string, borrowed where it has no escapes, or an integer in decimal.
struct StringOrInteger;

impl<'de> Visitor<'de> for StringOrInteger {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(AN_ID)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }
}

/// Accepts nothing: the value in this place has another type.
struct Expected(&'static str);

impl Visitor<'_> for Expected {
    type Value = Infallible;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
