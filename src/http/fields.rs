//! The header fields of a request that latchd uses, and their effects.

use super::{
    BodyLength, Credentials, Format, HttpError, Limits, Media, Method, Sender, Style, Wire, accept,
};

/// The header fields that latchd uses.
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
    has_origin: bool,
    /// A field that only a browser sends, or a program that poses as one.
    from_browser: bool,
    /// Accept-Language, which each browser sends, and some other programs do. In some browsers it is the only
    /// field that a page cannot remove from a GET to its own origin.
    has_language: bool,
    accept: Option<accept::Preference>,
    /// A browser navigates here: a person reads the answer.
    navigates: bool,
    hosts: usize,
    pub(super) media: Media,
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
            has_origin: false,
            from_browser: false,
            has_language: false,
            accept: None,
            navigates: false,
            hosts: 0,
            media: Media::Other,
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
            4 if is("Host") => self.hosts += 1,
            12 if is("Content-Type") => self.media = self.media.max(media_of(value)),
            14 if is("Sec-Fetch-Mode") => {
                self.from_browser = true;
                self.navigates |= value == b"navigate";
            }
            6 if is("Accept") => self.accept.get_or_insert_default().read(value),
            6 if is("Origin") => {
                self.has_origin = true;
                self.from_browser = true;
            }
            7 if is("Referer") => self.from_browser = true,
            10 if value.starts_with(b"Mozilla/") && is("User-Agent") => self.from_browser = true,
            15 if is("Accept-Language") => self.has_language = true,
            13 if is("Authorization") => {
                self.credentials = match self.credentials {
                    Credentials::None => Credentials::Field(value),
                    _ => Credentials::Several,
                };
            }
            _ if is_fetch_metadata(name) => self.from_browser = true,
            _ => {}
        }
    }

    /// Returns whether there are fields of a browser.
    pub(super) fn has_browser_fields(&self) -> bool {
        self.from_browser || self.has_language
    }

    pub(super) fn style(&self) -> Style {
        let persists = match self.wire {
            Wire::Http10 => self.keep_alive && !self.close,
            Wire::Http11 | Wire::Line => !self.close,
        };
        let format = match &self.accept {
            None => Format::Plain,
            Some(accept) => accept.format(),
        };
        Style {
            wire: self.wire,
            format: match format {
                Format::Plain if self.navigates => Format::Html,
                format => format,
            },
            names_type: self.accept.is_some(),
            forbids_caching: (self.accept.is_some() || self.navigates)
                && matches!(self.method, Method::Get | Method::Head),
            as_leases: false,
            sender: match (self.from_browser, self.has_origin) {
                (false, _) => Sender::Program,
                (true, false) => Sender::Browser,
                (true, true) => Sender::Page,
            },
            omits_body: self.method == Method::Head,
            closes: !persists,
        }
    }

    /// Returns the length of the body (RFC 9112 section 6.3), but stricter: refuses all that two readers
    /// could understand differently.
    pub(super) fn body_length(&self, limits: &Limits) -> Result<BodyLength, HttpError> {
        if self.hosts > 1 {
            return Err(HttpError::SeveralHosts);
        }
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

/// Returns whether a field is one of a browser's `Sec-Fetch-…`.
fn is_fetch_metadata(name: &str) -> bool {
    const PREFIX: &[u8] = b"Sec-Fetch-";
    let start = name.as_bytes().get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Returns the type that a Content-Type field names, without its parameters.
fn media_of(value: &[u8]) -> Media {
    let name = value.split(|&b| b == b';').next().unwrap_or_default();
    let name = name.trim_ascii();
    let starts =
        |with: &[u8]| name.len() >= with.len() && name[..with.len()].eq_ignore_ascii_case(with);
    let ends = |with: &[u8]| {
        let rest = name.len().checked_sub(with.len()).map(|at| &name[at..]);
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(with))
    };
    if starts(b"multipart/") {
        Media::Multipart
    } else if ends(b"/json") || ends(b"+json") {
        Media::Json
    } else {
        Media::Other
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
