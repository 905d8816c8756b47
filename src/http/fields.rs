//! The header fields of a request that mean something to latchd, and what they come to.

use super::{BodyLength, Credentials, Format, HttpError, Limits, Method, Style, Wire, accept};

/// The header fields that mean something to latchd.
pub(super) struct FieldsRead<'a> {
    wire: Wire,
    method: Method,
    length: Option<&'a [u8]>,
    lengths: usize,
    encoding: Option<&'a [u8]>,
    encodings: usize,
    close: bool,
    keep_alive: bool,
    pub(super) expects_continue: bool,
    cross_origin: bool,
    accept: Option<accept::Preference>,
    pub(super) credentials: Credentials<'a>,
}

impl<'a> FieldsRead<'a> {
    pub(super) fn new(wire: Wire, method: Method) -> FieldsRead<'a> {
        FieldsRead {
            wire,
            method,
            length: None,
            lengths: 0,
            encoding: None,
            encodings: 0,
            close: false,
            keep_alive: false,
            expects_continue: false,
            cross_origin: false,
            accept: None,
            credentials: Credentials::None,
        }
    }

    pub(super) fn note(&mut self, name: &str, value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            14 if is("Content-Length") => {
                self.length = Some(value);
                self.lengths += 1;
            }
            17 if is("Transfer-Encoding") => {
                self.encoding = Some(value);
                self.encodings += 1;
            }
            10 if is("Connection") => {
                for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            6 if is("Expect") => {
                self.expects_continue |= value.trim_ascii().eq_ignore_ascii_case(b"100-continue");
            }
            6 if is("Accept") => self.accept.get_or_insert_default().read(value),
            6 if is("Origin") => self.cross_origin = true,
            13 if is("Authorization") => {
                self.credentials = match self.credentials {
                    Credentials::None => Credentials::Field(value),
                    _ => Credentials::Several,
                };
            }
            _ => {}
        }
    }

    pub(super) fn style(&self) -> Style {
        let persists = match self.wire {
            Wire::Http10 => self.keep_alive && !self.close,
            Wire::Http11 | Wire::Line => !self.close,
        };
        Style {
            wire: self.wire,
            format: self
                .accept
                .as_ref()
                .map_or(Format::Plain, accept::Preference::format),
            names_type: self.accept.is_some(),
            cross_origin: self.cross_origin,
            omits_body: self.method == Method::Head,
            closes: !persists,
        }
    }

    /// RFC 9112 section 6.3, and stricter: whatever two readers could understand differently is
    /// refused.
    pub(super) fn body_length(&self, limits: &Limits) -> Result<BodyLength, HttpError> {
        match (self.encoding, self.length) {
            (None, None) => Ok(BodyLength::Fixed(0)),
            (Some(_), Some(_)) => Err(HttpError::BadLength),
            (Some(_), None) if self.wire == Wire::Http10 => Err(HttpError::BadLength),
            (Some(encoding), None) => {
                let chunked = encoding.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if chunked && self.encodings == 1 {
                    Ok(BodyLength::Chunked)
                } else {
                    Err(HttpError::BadEncoding)
                }
            }
            (None, Some(_)) if self.lengths > 1 => Err(HttpError::BadLength),
            (None, Some(digits)) => fixed_length(digits, limits).map(BodyLength::Fixed),
        }
    }
}

fn fixed_length(digits: &[u8], limits: &Limits) -> Result<usize, HttpError> {
    let digits = digits.trim_ascii();
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HttpError::BadLength);
    }
    let length = digits
        .iter()
        .fold(0u64, |length, digit| length * 10 + u64::from(digit - b'0'));
    match usize::try_from(length) {
        Ok(length) if length <= limits.body_bytes => Ok(length),
        _ => Err(HttpError::BodyTooLarge),
    }
}
