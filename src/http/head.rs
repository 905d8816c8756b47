//! The head of a request: one line, or a request line with header fields.

use std::mem::MaybeUninit;
use std::str;

use memchr::{memchr, memchr_iter, memrchr};

use super::fields::FieldsRead;
use super::version::LineForm;
use super::{
    Credentials, HttpError, Limits, MAX_HEADER_FIELDS, Media, Method, Rejected, Style, Wire,
};

/// How far a head has come.
#[derive(Debug)]
pub enum Progress<'a> {
    /// More bytes are needed.
    Partial(Scan),
    /// It is whole.
    Whole(Head<'a>),
}

/// What is known of a head that is not whole, so that nobody can make the same bytes be searched
/// again and again by sending one at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// No line end from here on was there yet.
    from: usize,
    /// The request line is whole, and it is HTTP.
    in_fields: bool,
}

/// A whole head.
#[derive(Debug)]
pub struct Head<'a> {
    /// What is to be done.
    pub method: Method,
    /// Path and query as they came, of an absolute form only these, without the base path for JSON.
    pub target: &'a str,
    /// What it shows to say who asks.
    pub credentials: Credentials<'a>,
    /// Its bytes, if a browser has left marks on it: see [`BrowserFields`](super::BrowserFields).
    pub browser: Option<&'a [u8]>,
    /// How to answer.
    pub style: Style,
    /// The type of its body.
    pub media: Media,
    /// How long it is, in bytes, with its line ends.
    pub length: usize,
    /// The body that is part of the head: that of a one-line request.
    pub inline_body: &'a [u8],
    /// How the length of the body that follows is found.
    pub body: BodyLength,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// How the length of a body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes; 0 if nothing says that there is a body.
    Fixed(usize),
    /// In chunks, up to the last one.
    Chunked,
}

/// Telnet's "interpret as command": the byte that a command begins with (RFC 854).
const IAC: u8 = 0xff;

/// Returns how many bytes at the start of `input` lie between two requests and are skipped. These
/// are blank lines, and telnet's commands where `previous`, the form of the last request, is not
/// HTTP. After a one-line request they are also the header lines that some devices send behind it,
/// and what terminals and files leave there: NUL, 0x1A and carriage returns.
#[inline]
pub fn skip_between(input: &[u8], previous: Option<Wire>, limits: &Limits) -> usize {
    match input.first() {
        // As nearly all that is HTTP begins.
        Some(b'A'..=b'Z') if previous != Some(Wire::Line) => 0,
        _ => skip_some(input, previous, limits),
    }
}

fn skip_some(input: &[u8], previous: Option<Wire>, limits: &Limits) -> usize {
    let after_line = previous == Some(Wire::Line);
    let mut skipped = 0;
    loop {
        let rest = &input[skipped..];
        match rest {
            [b'\n', ..] => skipped += 1,
            [b'\r', b'\n', ..] => skipped += 2,
            [0 | 0x1a | b'\r', ..] if after_line => skipped += 1,
            // WILL, WONT, DO and DONT name an option; the others stand alone, but for the one (0xfa)
            // that begins a negotiation, which comes only to a server that takes part in it.
            [IAC, 0xfb..=0xfe, _, ..] if after_line || previous.is_none() => skipped += 3,
            [IAC, 0xf0..=0xf9, ..] if after_line || previous.is_none() => skipped += 2,
            _ if after_line => match memchr(b'\n', &rest[..rest.len().min(limits.head_bytes)]) {
                Some(end) if is_skippable(&rest[..end]) => {
                    skipped += end + 1;
                }
                _ => return skipped,
            },
            _ => return skipped,
        }
    }
}

/// Whether a line is blank or has the form `Name: value`.
fn is_skippable(line: &[u8]) -> bool {
    if line.trim_ascii().is_empty() {
        return true;
    }
    let name = line
        .iter()
        .position(|&b| b == b':')
        .map(|colon| &line[..colon]);
    name.is_some_and(|name| {
        !name.is_empty()
            && name
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b))
    })
}

/// Reads the head at the start of `input`, of which `scan` tells what an earlier call has seen.
pub fn read_head<'a>(
    input: &'a [u8],
    scan: Scan,
    limits: &Limits,
) -> Result<Progress<'a>, Rejected> {
    let Some(end) = memchr(b'\n', &input[scan.from..]).map(|found| scan.from + found) else {
        check_unfinished(input, scan, limits)?;
        return Ok(Progress::Partial(Scan {
            from: input.len(),
            ..scan
        }));
    };
    if scan.in_fields {
        return read_http(input, limits);
    }
    check_length(input, end, limits)?;
    let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
    let form = LineForm::of(line);
    if form == LineForm::Http {
        if end > limits.head_bytes {
            return Err(reject(HttpError::PathTooLong, Wire::Http11, input));
        }
        return read_http(input, limits).map_err(|rejected| match has_two_spaces(line) {
            true => rejected,
            // A space in the path makes httparse see a wrong version, which would be misleading.
            false => reject(HttpError::BadRequest, Wire::Http11, input),
        });
    }
    let line = line.trim_ascii_end();
    if form == LineForm::Misspelt {
        return Err(reject(HttpError::MisspeltVersion, Wire::Http11, input));
    }
    if line.starts_with(KEY) {
        let head = read_line_with_key(line, end + 1, limits);
        return head
            .map(Progress::Whole)
            .map_err(|error| reject(error, Wire::Line, input));
    }
    let head = read_line(line, end + 1, limits);
    head.map(Progress::Whole)
        .map_err(|error| reject(error, Wire::Line, input))
}

/// Reads a header block that the end of the stream has cut off. Only a block whose last line is
/// whole counts: a cut `DELETE /pool/A/lock` might have gone on.
pub fn read_head_at_end<'a>(completed: &'a mut Vec<u8>, limits: &Limits) -> Option<Head<'a>> {
    if completed.last() != Some(&b'\n') {
        return None;
    }
    completed.extend_from_slice(b"\r\n");
    match read_head(completed, Scan::default(), limits) {
        Ok(Progress::Whole(head)) => Some(head),
        _ => None,
    }
}

/// `input` begins with the request line, or with as much of it as has come.
#[cold]
fn reject(error: HttpError, wire: Wire, input: &[u8]) -> Rejected {
    let style = match names_json_base(input) {
        true => Style::plain(wire).under_json_base(Method::Other),
        false => Style::plain(wire),
    };
    Rejected {
        error,
        style: Style {
            closes: true,
            ..style
        },
    }
}

/// Whether the target of a request line that cannot be read is under the base path for JSON.
fn names_json_base(input: &[u8]) -> bool {
    let mut words = input.split(|&b| matches!(b, b' ' | b'\r' | b'\n'));
    let target = match input.starts_with(KEY) {
        true => words.nth(2),
        false => words.nth(1),
    };
    let target = target.and_then(|word| str::from_utf8(word).ok());
    target
        .and_then(split_host)
        .is_some_and(|(_, target)| below_json_base(target).is_some())
}

fn has_two_spaces(line: &[u8]) -> bool {
    line.iter().filter(|&&b| b == b' ').count() == 2
}

/// Checks a head whose last line has not ended against the limits.
fn check_unfinished(input: &[u8], scan: Scan, limits: &Limits) -> Result<(), Rejected> {
    if scan.in_fields && input.len() > limits.head_bytes {
        return Err(reject(HttpError::HeadersTooLarge, Wire::Http11, input));
    }
    check_length(input, input.len(), limits)
}

/// Checks the length of a first line, ended or not, in such a way that it makes no difference in
/// how many pieces it came. Only the body of a one-line request may make it longer than a head.
#[inline]
fn check_length(input: &[u8], length: usize, limits: &Limits) -> Result<(), Rejected> {
    if length <= limits.head_bytes {
        return Ok(());
    }
    let start = &input[..limits.head_bytes];
    let spaces = spaces_before_body(start);
    if start.iter().filter(|&&byte| byte == b' ').count() < spaces {
        return Err(reject(HttpError::PathTooLong, Wire::Http11, input));
    }
    if length > limits.head_bytes + limits.body_bytes + spaces {
        return Err(reject(HttpError::BodyTooLarge, Wire::Line, input));
    }
    Ok(())
}

/// The number of spaces in a one-line request before its body.
fn spaces_before_body(line: &[u8]) -> usize {
    if line.starts_with(KEY) { 3 } else { 2 }
}

/// Returns where the body begins of a one-line request that is longer than a head, so that it can be judged
/// before all of its body is there. `None` for anything else, and where `scan` says that an earlier call has
/// seen as much.
pub fn find_long_body(input: &[u8], scan: Scan, limits: &Limits) -> Option<usize> {
    let most = limits.head_bytes;
    if input.len() <= most || scan.from > most || memchr(b'\n', &input[..=most]).is_some() {
        return None;
    }
    let start = &input[..most];
    let space = memchr_iter(b' ', start).nth(spaces_before_body(start) - 1)?;
    Some(space + 1)
}

/// What a one-line request begins with if it shows a secret.
const KEY: &[u8] = b"key=";

/// Reads a one-line request that shows a secret: `key=SECRET METHOD PATH[ BODY]`.
#[cold]
fn read_line_with_key<'a>(
    line: &'a [u8],
    length: usize,
    limits: &Limits,
) -> Result<Head<'a>, HttpError> {
    let rest = &line[KEY.len()..];
    let end = memchr(b' ', rest).unwrap_or(rest.len());
    let (secret, line) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    if secret.iter().any(u8::is_ascii_control) {
        return Err(HttpError::BadRequest);
    }
    // It counts as a part of the path does.
    let head_bytes = limits.head_bytes.checked_sub(KEY.len() + secret.len());
    let limits = Limits {
        head_bytes: head_bytes.ok_or(HttpError::PathTooLong)?,
        ..*limits
    };
    let head = read_line(line, length, &limits)?;
    Ok(Head {
        credentials: Credentials::Word(secret),
        ..head
    })
}

/// Reads a one-line request: `METHOD PATH[ BODY]`.
#[inline(always)]
fn read_line<'a>(line: &'a [u8], length: usize, limits: &Limits) -> Result<Head<'a>, HttpError> {
    let mut words = line.splitn(3, |&b| b == b' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let inline_body = words.next().unwrap_or_default();
    if method.len() + target.len() > limits.head_bytes {
        return Err(HttpError::PathTooLong);
    }
    if inline_body.len() > limits.body_bytes {
        return Err(HttpError::BodyTooLarge);
    }
    if method.is_empty() || !method.iter().all(u8::is_ascii_alphabetic) {
        return Err(HttpError::BadRequest);
    }
    // Others take some of these for spaces, or for the end of the line.
    if target.iter().any(u8::is_ascii_control) {
        return Err(HttpError::BadRequest);
    }
    let target = str::from_utf8(target).map_err(|_| HttpError::BadRequest)?;
    let method = Method::parse(method);
    let (_, mut target) = split_host(target).ok_or(HttpError::BadRequest)?;
    let mut style = Style::plain(Wire::Line);
    if let Some(below_base) = below_json_base(target) {
        (target, style) = (below_base, style.under_json_base(method));
    }
    style.omits_body = method == Method::Head;
    Ok(Head {
        method,
        target,
        credentials: Credentials::None,
        browser: None,
        style,
        media: Media::Other,
        length,
        inline_body,
        body: BodyLength::Fixed(0),
        expects_continue: false,
    })
}

/// Reads an HTTP head whose first line is whole and not too long.
fn read_http<'a>(input: &'a [u8], limits: &Limits) -> Result<Progress<'a>, Rejected> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADER_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    // Only whole lines are looked at, so that it makes no difference in how many pieces they came.
    let allowed = &input[..input.len().min(limits.head_bytes)];
    let lines = match allowed.last() {
        Some(b'\n') => allowed,
        _ => &allowed[..memrchr(b'\n', allowed).map_or(0, |end| end + 1)],
    };
    let length = match request.parse_with_uninit_headers(lines, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if allowed.len() == input.len() => {
            return Ok(Progress::Partial(Scan {
                from: input.len(),
                in_fields: true,
            }));
        }
        Ok(httparse::Status::Partial) => {
            return Err(reject(HttpError::HeadersTooLarge, Wire::Http11, input));
        }
        Err(error) => return Err(reject(error.into(), Wire::Http11, input)),
    };
    let wire = if request.version == Some(0) {
        Wire::Http10
    } else {
        Wire::Http11
    };
    let method = Method::parse(request.method.unwrap_or_default().as_bytes());
    let target = split_host(request.path.unwrap_or_default());
    let (_, target) = target.ok_or_else(|| reject(HttpError::BadRequest, wire, input))?;
    let below_base = below_json_base(target);
    if request.headers.is_empty() && below_base.is_none() {
        return Ok(Progress::Whole(bare(method, target, wire, length)));
    }
    let mut fields_read = FieldsRead::new(wire, method);
    for field in request.headers.iter() {
        fields_read.note(field.name, field.value);
    }
    let style = match below_base {
        Some(_) => fields_read.style().under_json_base(method),
        None => fields_read.style(),
    };
    let head = |body| Head {
        method,
        target: below_base.unwrap_or(target),
        credentials: fields_read.credentials,
        browser: fields_read.has_browser_fields().then_some(&lines[..length]),
        style,
        media: fields_read.media,
        length,
        inline_body: &[],
        body,
        expects_continue: fields_read.expects_continue && wire == Wire::Http11,
    };
    let body = fields_read.body_length(limits);
    body.map(|body| Progress::Whole(head(body)))
        .map_err(|error| Rejected {
            error,
            style: Style {
                closes: true,
                ..style
            },
        })
}

/// An HTTP head without fields: what the smallest devices send, and the fastest.
#[inline(always)]
fn bare(method: Method, target: &str, wire: Wire, length: usize) -> Head<'_> {
    Head {
        method,
        target,
        credentials: Credentials::None,
        browser: None,
        style: Style {
            omits_body: method == Method::Head,
            closes: wire == Wire::Http10,
            ..Style::plain(wire)
        },
        media: Media::Other,
        length,
        inline_body: &[],
        body: BodyLength::Fixed(0),
        expects_continue: false,
    }
}

impl From<httparse::Error> for HttpError {
    fn from(error: httparse::Error) -> HttpError {
        match error {
            httparse::Error::HeaderName | httparse::Error::HeaderValue => HttpError::BadHeader,
            httparse::Error::TooManyHeaders => HttpError::HeadersTooLarge,
            httparse::Error::Version => HttpError::BadVersion,
            httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => {
                HttpError::BadRequest
            }
        }
    }
}

/// The host that a target names, and its path and query: of `http://host/path` what stands before and
/// behind the slash (RFC 9112 section 3.2.2). `*` stands for the server as a whole, as in `OPTIONS *`.
pub(super) fn split_host(target: &str) -> Option<(Option<&str>, &str)> {
    if target.starts_with('/') {
        return Some((None, target));
    }
    if target == "*" {
        return Some((None, "/"));
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    // The host ends at any of these (RFC 3986 section 3.2). Where a query follows it there is no
    // path, whatever stands in the query.
    match rest.find(['/', '?', '#']) {
        Some(0) => None,
        Some(end) if rest[end..].starts_with('/') => Some((Some(&rest[..end]), &rest[end..])),
        Some(_) => None,
        None => (!rest.is_empty()).then_some((Some(rest), "/")),
    }
}

/// Returns the rest of a target that is under the base path for JSON. All that follows treats that rest like the
/// same target without the base path, so this is the only place that knows it.
#[inline]
fn below_json_base(target: &str) -> Option<&str> {
    // The second byte tells for nearly all requests that it is not.
    match target.as_bytes() {
        [_, b'j', ..] => strip_json_base(target),
        _ => None,
    }
}

#[cold]
fn strip_json_base(target: &str) -> Option<&str> {
    let rest = target.strip_prefix("/json")?;
    match rest.bytes().next() {
        None => Some("/"),
        Some(b'/' | b'?') => Some(rest),
        Some(_) => None,
    }
}
