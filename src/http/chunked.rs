//! A chunked body, decoded as it arrives (RFC 9112 section 7.1).

use super::HttpError;

/// The maximum bytes of a chunk's size line, extensions included, and of all trailer fields together.
const MAX_LINE_BYTES: usize = 1024;

/// The state of a chunked body. After an error it must not be used again.
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    /// The bytes so far of the size line, or of the trailers.
    line_bytes: usize,
    /// The bytes of all chunks so far, the whole present chunk included.
    body_bytes: usize,
}

#[derive(Debug, Default)]
enum State {
    /// Before the first digit of a size.
    #[default]
    Start,
    Size(usize),
    /// In an extension of a chunk of this size.
    Extension(usize, Extension),
    /// After the carriage return of a size line.
    SizeReturn(usize),
    /// In the data: the number of bytes that are missing.
    Data(usize),
    /// Between a chunk's data and its line end.
    DataEnd,
    DataReturn,
    /// At the start of a trailer line, then: at the end of the last one, in a name, in a value, after it.
    TrailerStart,
    TrailerReturn,
    TrailerName,
    Trailer,
    TrailerEnd,
    Done,
}

/// The state within the extensions of a chunk. White space is allowed only around `;` and `=`.
#[derive(Clone, Copy, Debug)]
enum Extension {
    /// In white space before a semicolon.
    BeforeMark,
    /// After a semicolon, before the name.
    BeforeName,
    Name,
    /// In white space after a name, before `=` or a semicolon.
    AfterName,
    /// After `=`, before the value.
    BeforeValue,
    Value,
    Quoted,
    /// After a backslash in a quoted value.
    Escaped,
    /// After the closing quote of a value.
    QuotedEnd,
}

impl Extension {
    /// Returns the state after this byte, which is not the end of the line; `None` if the byte is wrong.
    fn after(self, byte: u8) -> Option<Extension> {
        Some(match (self, byte) {
            (
                Extension::BeforeMark
                | Extension::Name
                | Extension::AfterName
                | Extension::Value
                | Extension::QuotedEnd,
                b';',
            ) => Extension::BeforeName,
            (
                Extension::BeforeMark
                | Extension::BeforeName
                | Extension::AfterName
                | Extension::BeforeValue,
                b' ' | b'\t',
            ) => self,
            (Extension::Name, b' ' | b'\t') => Extension::AfterName,
            (Extension::Value | Extension::QuotedEnd, b' ' | b'\t') => Extension::BeforeMark,
            (Extension::Name | Extension::AfterName, b'=') => Extension::BeforeValue,
            (Extension::BeforeName | Extension::Name, _) if is_token(byte) => Extension::Name,
            (Extension::BeforeValue | Extension::Value, _) if is_token(byte) => Extension::Value,
            (Extension::BeforeValue, b'"') => Extension::Quoted,
            (Extension::Quoted, b'"') => Extension::QuotedEnd,
            (Extension::Quoted, b'\\') => Extension::Escaped,
            (Extension::Quoted | Extension::Escaped, b'\t' | b' '..=b'~' | 0x80..) => {
                Extension::Quoted
            }
            _ => return None,
        })
    }

    /// Returns whether the line may end here.
    fn may_end(self) -> bool {
        matches!(
            self,
            Extension::Name | Extension::Value | Extension::QuotedEnd
        )
    }
}

/// The result of one call of `decode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The number of input bytes that belong to the body.
    pub used: usize,
    /// The body is complete.
    pub whole: bool,
}

impl Chunked {
    /// Decodes as much of `input` as belongs to the body, and passes the data to `take` in pieces. `max_bytes` limits
    /// all data together. Once the body is complete, further calls use 0 bytes.
    pub fn decode(
        &mut self,
        input: &[u8],
        max_bytes: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Decoded, HttpError> {
        let mut used = 0;
        while used < input.len() && !matches!(self.state, State::Done) {
            if let State::Data(left) = self.state {
                let count = left.min(input.len() - used);
                take(&input[used..used + count]);
                used += count;
                self.state = if count == left {
                    State::DataEnd
                } else {
                    State::Data(left - count)
                };
                continue;
            }
            self.step(input[used])?;
            used += 1;
            if let State::Data(size) = self.state {
                if size > max_bytes.saturating_sub(self.body_bytes) {
                    return Err(HttpError::BodyTooLarge);
                }
                self.body_bytes += size;
            }
        }
        Ok(Decoded {
            used,
            whole: matches!(self.state, State::Done),
        })
    }

    /// Takes one byte that is not data. A bare line feed ends a line, for sloppy devices, but not after an extension,
    /// which none of them sends: other parsers would continue the line there. Trailers must be fields: other lines may
    /// be meant as the next request.
    fn step(&mut self, byte: u8) -> Result<(), HttpError> {
        self.line_bytes += 1;
        if self.line_bytes > MAX_LINE_BYTES {
            return Err(HttpError::BadChunk);
        }
        self.state = match (&self.state, byte) {
            (State::Start, _) => State::Size(digit(byte).ok_or(HttpError::BadChunk)?),
            (&State::Size(size), b'\r') => State::SizeReturn(size),
            (&State::Size(size) | &State::SizeReturn(size), b'\n') => {
                self.line_bytes = 0;
                if size == 0 {
                    State::TrailerStart
                } else {
                    State::Data(size)
                }
            }
            (&State::Size(size), b' ' | b'\t') => State::Extension(size, Extension::BeforeMark),
            (&State::Size(size), b';') => State::Extension(size, Extension::BeforeName),
            (&State::Size(size), _) => {
                let digit = digit(byte).ok_or(HttpError::BadChunk)?;
                let size = size.checked_mul(16).ok_or(HttpError::BodyTooLarge)?;
                State::Size(size + digit)
            }
            (&State::Extension(size, extension), b'\r') if extension.may_end() => {
                State::SizeReturn(size)
            }
            (&State::Extension(size, extension), _) => {
                State::Extension(size, extension.after(byte).ok_or(HttpError::BadChunk)?)
            }
            (State::DataEnd, b'\r') => State::DataReturn,
            (State::DataEnd | State::DataReturn, b'\n') => {
                self.line_bytes = 0;
                State::Start
            }
            (State::TrailerStart, b'\r') => State::TrailerReturn,
            (State::TrailerStart | State::TrailerReturn, b'\n') => State::Done,
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => State::TrailerName,
            (State::TrailerName, b':') => State::Trailer,
            (State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => State::Trailer,
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::Trailer | State::TrailerEnd, b'\n') => State::TrailerStart,
            _ => return Err(HttpError::BadChunk),
        };
        Ok(())
    }
}

/// Returns whether a byte may stand in a field's name (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn digit(byte: u8) -> Option<usize> {
    char::from(byte).to_digit(16).map(|digit| digit as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in pieces of `size` bytes.
    fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, usize, bool), HttpError> {
        let (mut chunked, mut body, mut used) = (Chunked::default(), Vec::new(), 0);
        let mut whole = false;
        for piece in input.chunks(size) {
            let decoded = chunked.decode(piece, 100, |data| body.extend_from_slice(data))?;
            used += decoded.used;
            whole = decoded.whole;
            if whole {
                break;
            }
        }
        Ok((body, used, whole))
    }

    #[test]
    fn pieces_of_any_size_give_the_same_body() {
        let inputs: [(&str, &str); 5] = [
            ("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"),
            ("3\nabc\n0\n\n", "abc"),
            (
                "A;name=\"value\"\r\n0123456789\r\n000\r\nTrailer: x\r\nOther: y\r\n\r\n",
                "0123456789",
            ),
            ("0 ;\tlast\r\n\r\n", ""),
            ("1;a;b = c ; d=\"x\\\"y ;\" ;e\r\nz\r\n0\r\n\r\n", "z"),
        ];
        for (input, expected) in inputs {
            for size in 1..=input.len() {
                let with_more = [input.as_bytes(), b"GET"].concat();
                let (body, used, whole) = decode(&with_more, size).expect(input);
                assert_eq!(
                    (body.as_slice(), used, whole),
                    (expected.as_bytes(), input.len(), true)
                );
            }
        }
    }

    #[test]
    fn what_is_not_a_chunk_is_refused() {
        let long = format!("1;{}\r\n", "x".repeat(2000));
        for bad in [
            "",
            " 1\r\n",
            "+1\r\n",
            "-1\r\n",
            "0x1\r\n",
            "1\r\nab",
            "g",
            "1\rx",
            "\r\n",
            "1 \r\n",
            "1\t\r\n",
            "1 1\r\n",
            "1;\r\n",
            "1; \r\n",
            "1;;a\r\n",
            "1;a;\r\n",
            "1;a \r\n",
            "1;a=\r\n",
            "1;a=b \r\n",
            "1;a=b=c\r\n",
            "1;a b\r\n",
            "1;=b\r\n",
            "1;\"a\"\r\n",
            "1;a=\"b\r\n",
            "1;a=\"b\"c\r\n",
            "1;a\n",
            &long,
        ] {
            let bad = if bad.is_empty() { ";" } else { bad };
            assert_eq!(
                decode(bad.as_bytes(), 7),
                Err(HttpError::BadChunk),
                "{bad:?}"
            );
        }
        for large in ["65\r\n", "ffffffffffffffff\r\n", "fffffffffffffffff\r\n"] {
            assert_eq!(
                decode(large.as_bytes(), 7),
                Err(HttpError::BodyTooLarge),
                "{large:?}"
            );
        }
    }
}
