//! A seed or a list of ids as JSON, piece by piece.
//!
//! The structure is two levels deep at most, so a few states are all that there is to it. Strings
//! and numbers are left to serde_json, one at a time; and what is said of a body that is wrong is
//! said in its words, with the place in the whole body.

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

/// A name with every byte written as `\u0041`, in quotes: no string that is longer is one.
const MAX_TOKEN_BYTES: usize = 6 * MAX_NAME_BYTES + 2;

/// The most of a problem that is told, so that it does not repeat much of the body.
const MAX_PROBLEM_CHARACTERS: usize = 200;

/// A body of JSON that is being read.
#[derive(Debug)]
pub(super) struct JsonReader {
    /// Of pools; else of the ids of one.
    of_pools: bool,
    next: Next,
    place: Place,
    seed: Seed,
    /// The pools that were named. One that is named twice is refused: which of the two would be
    /// meant?
    names: Names,
    /// What is wrong with the name of the pool whose ids are being read.
    bad_name: Option<String>,
    /// A name has a part `.` or `..`, which has words of its own.
    has_dot_segment: bool,
}

impl JsonReader {
    /// Returns how much memory it holds, in bytes.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.seed.capacity_bytes() + self.names.capacity_bytes()
    }

    pub(super) fn of_pools() -> JsonReader {
        JsonReader {
            of_pools: true,
            next: Next::Object,
            place: Place::default(),
            seed: Seed::default(),
            names: Names::default(),
            bad_name: None,
            has_dot_segment: false,
        }
    }

    pub(super) fn of_ids(pool: &PoolName<'_>) -> JsonReader {
        let mut reader = JsonReader::of_pools();
        reader.of_pools = false;
        reader.next = Next::Array;
        reader.seed.add_pool(pool);
        reader
    }

    /// Takes what can be understood of `text`, and answers how many bytes that are. `last` says that
    /// nothing follows.
    pub(super) fn take(&mut self, text: &str, last: bool) -> Result<usize, BodyError> {
        let used = self.advance(text, last).map_err(|problem| {
            let problem: String = problem.chars().take(MAX_PROBLEM_CHARACTERS).collect();
            let wanted = if self.of_pools { POOLS_FORM } else { IDS_FORM };
            match self.has_dot_segment {
                true => BodyError::Id(NameError::DotSegment),
                false => BodyError::Json(problem.into(), wanted),
            }
        })?;
        self.place.move_on(used);
        Ok(used)
    }

    /// The body is whole, and all of it was taken.
    pub(super) fn finish(self) -> Seed {
        self.seed
    }

    fn advance(&mut self, text: &str, last: bool) -> Result<usize, String> {
        let mut at = 0;
        loop {
            at = self.place.skip_space(text, at);
            let place = self.place;
            let Some(&byte) = text.as_bytes().get(at) else {
                break;
            };
            let token = || Token::at(text, at, last, place);
            let length = match (self.next, byte) {
                (Next::NameOrEnd | Next::Name, b'"') => match token().read_text()? {
                    Some((name, length)) => self.take_name(name, length),
                    None => return Ok(at),
                },
                (Next::IdOrEnd | Next::Id, first) if !b"[{]".contains(&first) => {
                    match token().read_text()? {
                        Some((id, length)) => self.take_id(id, at, length)?,
                        None => return Ok(at),
                    }
                }
                (Next::Object, first) if first != b'{' => {
                    token().read(|json| json.deserialize_map(Expected(AN_OBJECT)))?;
                    return Ok(at);
                }
                (Next::Array, first) if first != b'[' => {
                    token().read(|json| json.deserialize_seq(Expected(AN_ARRAY)))?;
                    return Ok(at);
                }
                (Next::IdOrEnd | Next::IdsGoOn, b']') => self.end_array(at)?,
                (next, mark) => {
                    let after = next.after(mark);
                    self.next = after.map_err(|problem| self.place.say(problem, at + 1))?;
                    1
                }
            };
            at += length;
        }
        match self.next.missing() {
            Some(problem) if last => Err(self.place.say(problem, at)),
            _ => Ok(at),
        }
    }

    /// What is wrong with a name is told behind its ids, as by whoever reads both before he looks.
    fn take_name(&mut self, name: Cow<'_, str>, length: usize) -> usize {
        match PoolName::parse(name) {
            Ok(name) if self.names.add(&name, &self.seed) => self.seed.add_pool(&name),
            Ok(_) => self.bad_name = Some("a pool is named twice".into()),
            Err(error) => {
                self.has_dot_segment |= error == NameError::DotSegment;
                self.bad_name = Some(error.to_string());
            }
        }
        self.next = Next::Colon;
        length
    }

    fn take_id(&mut self, id: Cow<'_, str>, at: usize, length: usize) -> Result<usize, String> {
        let id = ResourceId::parse(id).map_err(|error| {
            self.has_dot_segment |= error == NameError::DotSegment;
            self.place.say(error, at + length)
        })?;
        if self.bad_name.is_none() {
            self.seed.add_id(&id);
        }
        self.next = Next::IdsGoOn;
        Ok(length)
    }

    fn end_array(&mut self, at: usize) -> Result<usize, String> {
        if let Some(problem) = self.bad_name.take() {
            return Err(self.place.say(problem, at + 1));
        }
        self.next = if self.of_pools {
            Next::PoolsGoOn
        } else {
            Next::End
        };
        Ok(1)
    }
}

/// What may come next, white space aside.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The object of pools.
    Object,
    /// A pool's name, or the end of the object.
    NameOrEnd,
    /// A pool's name, behind a comma.
    Name,
    /// The colon behind it.
    Colon,
    /// An array of ids.
    Array,
    /// An id, or the end of the array.
    IdOrEnd,
    /// An id, behind a comma.
    Id,
    /// A comma behind an id, or the end of the array.
    IdsGoOn,
    /// A comma behind a pool's array, or the end of the object.
    PoolsGoOn,
    /// Nothing.
    End,
}

impl Next {
    /// What may come behind this byte; or why it may not stand here, in serde_json's words.
    fn after(self, byte: u8) -> Result<Next, String> {
        let problem = match (self, byte) {
            (Next::Object, b'{') => return Ok(Next::NameOrEnd),
            (Next::NameOrEnd | Next::PoolsGoOn, b'}') => return Ok(Next::End),
            (Next::PoolsGoOn, b',') => return Ok(Next::Name),
            (Next::Colon, b':') => return Ok(Next::Array),
            (Next::Array, b'[') => return Ok(Next::IdOrEnd),
            (Next::IdsGoOn, b',') => return Ok(Next::Id),
            (Next::IdOrEnd | Next::Id, b'[') => return Err(invalid_type(Unexpected::Seq)),
            (Next::IdOrEnd | Next::Id, b'{') => return Err(invalid_type(Unexpected::Map)),
            (Next::Name, b'}') | (Next::Id, b']') => "trailing comma",
            (Next::NameOrEnd | Next::Name, _) => "key must be a string",
            (Next::Colon, _) => "expected `:`",
            (Next::IdsGoOn, _) => "expected `,` or `]`",
            (Next::PoolsGoOn, _) => "expected `,` or `}`",
            (Next::End, _) => "trailing characters",
            (Next::Object | Next::Array | Next::IdOrEnd | Next::Id, _) => "expected value",
        };
        Err(problem.into())
    }

    /// What is wrong if nothing comes, in serde_json's words.
    fn missing(self) -> Option<&'static str> {
        match self {
            Next::Object | Next::Array | Next::Name | Next::Id => Some("EOF while parsing a value"),
            Next::NameOrEnd | Next::Colon | Next::PoolsGoOn => Some("EOF while parsing an object"),
            Next::IdOrEnd | Next::IdsGoOn => Some("EOF while parsing a list"),
            Next::End => None,
        }
    }
}

fn invalid_type(found: Unexpected<'_>) -> String {
    serde_json::Error::invalid_type(found, &AN_ID).to_string()
}

/// Where the text at hand stands in the body.
#[derive(Clone, Copy, Debug)]
struct Place {
    line: usize,
    /// Where in the text the line starts; below 0 if before it.
    line_start: isize,
}

impl Default for Place {
    fn default() -> Place {
        Place {
            line: 1,
            line_start: 0,
        }
    }
}

impl Place {
    /// The first byte from `at` on that is no white space.
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

    /// So many bytes of the text were used: the next one starts behind them.
    fn move_on(&mut self, used: usize) {
        self.line_start -= used as isize;
    }

    /// A problem that ends in front of `at`, in the way of serde_json.
    fn say(&self, problem: impl fmt::Display, at: usize) -> String {
        let column = at as isize - self.line_start;
        format!("{problem} at line {} column {column}", self.line)
    }
}

/// A string or a number, or what stands in its place.
struct Token<'a> {
    /// As much of the text as it may be long.
    text: &'a str,
    at: usize,
    place: Place,
    /// Whether the text has it as far as it goes.
    is_whole: bool,
    /// Whether it may go on behind a text that was cut for its length.
    is_cut: bool,
}

impl<'a> Token<'a> {
    fn at(text: &'a str, at: usize, last: bool, place: Place) -> Token<'a> {
        let rest = &text[at..];
        let mut length = rest.len().min(MAX_TOKEN_BYTES);
        while !rest.is_char_boundary(length) {
            length -= 1;
        }
        Token {
            text: &rest[..length],
            at,
            place,
            is_whole: last && length == rest.len(),
            is_cut: length < rest.len(),
        }
    }

    /// An id, and how long it is written; `None` if more of it is needed.
    fn read_text(&self) -> Result<Option<(Cow<'a, str>, usize)>, String> {
        self.read(|json| json.deserialize_any(StringOrInteger))
    }

    /// What `read` makes of it, and its length; `None` if more of it is needed.
    fn read<T>(
        &self,
        read: impl FnOnce(&mut Deserializer<StrRead<'a>>) -> Result<T, serde_json::Error>,
    ) -> Result<Option<(T, usize)>, String> {
        let is_number = self
            .text
            .starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if is_number && !self.is_whole && self.text.bytes().all(|b| b"+-.eE0123456789".contains(&b))
        {
            return self.go_on();
        }
        let mut json = Deserializer::from_str(self.text);
        match read(&mut json) {
            Ok(value) => Ok(Some((value, json.into_iter::<IgnoredAny>().byte_offset()))),
            Err(error) if error.is_eof() && !self.is_whole => self.go_on(),
            Err(error) => Err(self.say(&error)),
        }
    }

    fn go_on<T>(&self) -> Result<Option<T>, String> {
        if self.is_cut {
            let end = self.at + self.text.len();
            return Err(self.place.say(NameError::TooLong, end));
        }
        Ok(None)
    }

    /// An error with its place in the body instead of that in the token.
    fn say(&self, error: &serde_json::Error) -> String {
        let words = error.to_string();
        let in_token = format!(" at line {} column {}", error.line(), error.column());
        let problem = words.strip_suffix(&in_token).unwrap_or(&words);
        let mut place = self.place;
        let end = match error.line() {
            0 | 1 => self.at + error.column(),
            line => {
                place.line += line - 1;
                place.line_start = 0;
                error.column()
            }
        };
        place.say(problem, end)
    }
}

/// Takes a string, borrowed where it has no escapes, or an integer in decimal.
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

/// Takes nothing: what stands where this is expected is of another type.
struct Expected(&'static str);

impl Visitor<'_> for Expected {
    type Value = Infallible;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
