//! The head of a request: a one-line request, or a request line with header fields. The module's parent has the order
//! of the calls.

use std::mem::MaybeUninit;
use std::str;

use memchr::{memchr, memchr_iter, memrchr};

use super::fields::FieldsRead;
use super::version::LineForm;
use super::{
    BodyLength, Credentials, HttpError, Limits, MAX_HEADER_FIELDS, Media, Method, Rejected, Style,
    Wire,
};

/// The result of [`read_head`].
#[derive(Debug)]
pub enum Progress<'a> {
    /// More bytes are needed.
    Partial(Scan),
    /// The head is complete.
    Whole(Head<'a>),
}

/// The state of an incomplete head: so a client that sends single bytes cannot make the same bytes be searched again
/// and again. The default is for a new head.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    /// The search for the next line end starts at this index.
    from: usize,
    /// The request line is complete, and is HTTP.
    in_fields: bool,
}

/// A complete head.
#[derive(Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: Method,
    /// Path and query as received, also of a target in absolute form, without the base path for JSON.
    pub target: &'a str,
    /// The credentials of the client, not checked yet.
    pub credentials: Credentials<'a>,
    /// Its bytes if it has header fields of a browser: see [`BrowserFields`](super::BrowserFields).
    pub browser: Option<&'a [u8]>,
    /// The style of the answer.
    pub style: Style,
    /// The type of the body.
    pub media: Media,
    /// Its length in bytes, line ends included: the caller drops that many.
    pub length: usize,
    /// The body within the head: that of a one-line request. Else empty.
    pub inline_body: &'a [u8],
    /// The length of the body after the head.
    pub body: BodyLength,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Telnet's "interpret as command": the first byte of a command (RFC 854).
const IAC: u8 = 0xff;

/// Returns how many bytes at the start of `input` lie between two requests: drop them. These are blank lines, and
/// telnet's commands where `previous`, the form of the last request, is not HTTP. After a one-line request they are
/// also header lines that some devices send after it, and bytes that terminals and files leave there: NUL, 0x1A and
/// carriage returns.
#[inline]
pub fn skip_between(input: &[u8], previous: Option<Wire>, limits: &Limits) -> usize {
    match input.first() {
        // The usual start of an HTTP request.
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
            // WILL, WONT, DO and DONT name an option; other commands are single, except the start of a negotiation
            // (0xfa), which comes only to a server that takes part in it.
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

/// Returns whether a line is blank or has the form `Name: value`.
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

/// Parses the head at the start of `input`.
///
/// `scan` is the default for a new head. After `Partial`, call it again with the same bytes and further ones, and with
/// the returned scan. A call without further bytes returns `Partial` again.
///
/// # Errors
///
/// `Rejected` if the bytes are no request or exceed `limits`, also before the head is complete.
///
/// # Panics
///
/// It may panic if `scan` comes from another head: the caller must reset it when it drops bytes.
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
            // A space in the path makes httparse report a wrong version, which would be misleading.
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

/// Completes and parses a header block that the end of the stream has cut off. Returns `None` unless its last line is
/// complete: a cut `DELETE /pool/A/lock` might have gone on. Call it once, with all bytes that are left.
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

/// Returns the rejection of `input`, which begins with the request line as far as it came.
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

/// Returns whether the target of an unreadable request line is under the base path for JSON.
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

/// Checks an incomplete head against the limits.
fn check_unfinished(input: &[u8], scan: Scan, limits: &Limits) -> Result<(), Rejected> {
    if scan.in_fields && input.len() > limits.head_bytes {
        return Err(reject(HttpError::HeadersTooLarge, Wire::Http11, input));
    }
    check_length(input, input.len(), limits)
}

/// Checks the length of a first line, complete or not, so that the pieces in which it came make no difference. Only the
/// body of a one-line request may make it longer than a head.
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

/// Returns the number of spaces in a one-line request before its body.
fn spaces_before_body(line: &[u8]) -> usize {
    if line.starts_with(KEY) { 3 } else { 2 }
}

/// Returns the index of the body of a one-line request that is longer than a head: so it can be judged before its body
/// is complete. `None` for all other input, and if `scan` shows that an earlier call has seen as much.
pub fn find_long_body(input: &[u8], scan: Scan, limits: &Limits) -> Option<usize> {
    let most = limits.head_bytes;
    if input.len() <= most || scan.from > most || memchr(b'\n', &input[..=most]).is_some() {
        return None;
    }
    let start = &input[..most];
    let space = memchr_iter(b' ', start).nth(spaces_before_body(start) - 1)?;
    Some(space + 1)
}

/// The start of a one-line request with a secret.
const KEY: &[u8] = b"key=";

/// Parses a one-line request with a secret: `key=SECRET METHOD PATH[ BODY]`.
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
    // The secret counts as part of the path.
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

/// Parses a one-line request: `METHOD PATH[ BODY]`.
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
    // Other parsers take some of these for spaces, or for the end of the line.
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

/// Parses an HTTP head whose first line is complete and not too long.
fn read_http<'a>(input: &'a [u8], limits: &Limits) -> Result<Progress<'a>, Rejected> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADER_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    // Only complete lines are parsed, so that the pieces in which they came make no difference.
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

/// Returns an HTTP head without fields: the smallest devices and the fastest clients send it.
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

/// Splits a target into the host that it names and its path and query. `http://host/path` is split before the slash
/// (RFC 9112 section 3.2.2). `*` stands for the server as a whole, as in `OPTIONS *`.
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
    // The host ends at any of these (RFC 3986 section 3.2). If a query follows it, there is no path, even if the query
    // contains a slash.
    match rest.find(['/', '?', '#']) {
        Some(0) => None,
        Some(end) if rest[end..].starts_with('/') => Some((Some(&rest[..end]), &rest[end..])),
        Some(_) => None,
        None => (!rest.is_empty()).then_some((Some(rest), "/")),
    }
}

/// Returns the rest of a target under the base path for JSON. All later steps treat that rest like the same target
/// without the base path, so only this function knows it.
#[inline]
fn below_json_base(target: &str) -> Option<&str> {
    // The second byte rules it out for nearly all requests.
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
