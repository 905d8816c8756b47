//! Answers to bytes: as few as possible, for clients with a buffer of 64 bytes.

use super::{Format, Sender, Style, Wire};

/// The interim response that asks a client for the body that it announced (RFC 9110 section 10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// An answer, before it gets its wire form.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: &'a str,
    /// The body. Only a plain list has line feeds, between its lines.
    pub body: &'a [u8],
    /// The header fields beside those of its style.
    pub fields: Fields,
}

/// Header fields that depend on the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// None.
    None,
    /// `Allow`, with the methods that the path has.
    Allow(&'static str),
    /// The methods for `Allow` and for a browser's preflight: the answer to OPTIONS.
    Options(&'static str),
    /// `WWW-Authenticate`, with the schemes for showing a key.
    Challenge,
    /// `Content-Type` of Prometheus' text format, where the style names a type.
    Metrics,
    /// `Content-Type` of JSON, for any style: the body is JSON for every client.
    Json,
    /// `Content-Type` of lines of JSON, for any style.
    JsonLines,
    /// The fields of a document.
    Document(&'static Document),
}

/// The header fields of a constant document.
#[derive(Debug, PartialEq, Eq)]
pub struct Document {
    /// Its type, for any style.
    pub content_type: &'static str,
    /// Further header fields, by name and value.
    pub fields: &'static [(&'static str, &'static str)],
}

/// Header fields that the operator configures, the same for all answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SiteFields<'a> {
    /// The value of `Server`; `None` omits the field.
    pub server: Option<&'a str>,
    /// The value of `Access-Control-Allow-Origin`; `None` omits all CORS fields.
    pub cors: Option<&'a str>,
}

/// Appends an answer to `out`.
pub fn write_response(
    out: &mut Vec<u8>,
    style: Style,
    answer: &Response<'_>,
    site: SiteFields<'_>,
) {
    write_head(out, style, answer, site);
    let start = out.len();
    if !style.omits_body {
        out.extend_from_slice(answer.body);
    }
    if style.wire == Wire::Line {
        fit_body(style, &mut out[start..]);
        out.push(b'\n');
    }
}

/// Appends the bytes before the body of an answer. After it, append the body by `fit_body`, unless the style omits it,
/// and `end_of_response`.
#[inline(always)]
pub fn write_head(out: &mut Vec<u8>, style: Style, answer: &Response<'_>, site: SiteFields<'_>) {
    match style.wire {
        Wire::Line => {
            write_number(out, answer.status.into());
            if !answer.body.is_empty() && !style.omits_body {
                out.push(b' ');
            }
        }
        Wire::Http10 | Wire::Http11 => write_http_head(out, style, answer, site),
    }
}

/// Gives a part of a body its wire form: in a one-line answer, a list has tabs instead of line feeds.
pub fn fit_body(style: Style, part: &mut [u8]) {
    if style.wire == Wire::Line {
        for byte in part.iter_mut().filter(|byte| **byte == b'\n') {
            *byte = b'\t';
        }
    }
}

/// Returns the bytes after the body of an answer.
pub fn end_of_response(style: Style) -> &'static [u8] {
    match style.wire {
        Wire::Line => b"\n",
        Wire::Http10 | Wire::Http11 => b"",
    }
}

/// Appends the bytes before a body of unknown length. After it, call `write_chunk` for each chunk, and
/// `write_last_chunk` once. For HTTP/1.0, the end of the connection ends the body.
pub fn write_stream_head(out: &mut Vec<u8>, style: Style, fields: Fields, site: SiteFields<'_>) {
    if style.wire == Wire::Line {
        return out.extend_from_slice(if style.omits_body { b"200" } else { b"200 " });
    }
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    if style.wire == Wire::Http11 {
        write_field(out, "Transfer-Encoding", "chunked");
    }
    write_type(out, style, fields);
    if style.closes {
        write_field(out, "Connection", "close");
    }
    let answer = Response {
        status: 200,
        reason: "OK",
        body: b"",
        fields,
    };
    write_site(out, style, &answer, site);
    out.extend_from_slice(b"\r\n");
}

/// Appends a chunk of a streamed body: lines or parts of them. An empty one is omitted, since it would end the body.
pub fn write_chunk(out: &mut Vec<u8>, style: Style, chunk: &[u8]) {
    if chunk.is_empty() || style.omits_body {
        return;
    }
    if style.wire == Wire::Http11 {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
    }
    let start = out.len();
    out.extend_from_slice(chunk);
    fit_body(style, &mut out[start..]);
    if style.wire == Wire::Http11 {
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the last chunk of a streamed body, which ends with a line feed, and the end of the body.
pub fn write_last_chunk(out: &mut Vec<u8>, style: Style, chunk: &[u8]) {
    match style.wire {
        // The line feed ends the answer.
        Wire::Line => {
            write_chunk(out, style, chunk.strip_suffix(b"\n").unwrap_or(chunk));
            out.push(b'\n');
        }
        Wire::Http11 if !style.omits_body => {
            write_chunk(out, style, chunk);
            out.extend_from_slice(b"0\r\n\r\n");
        }
        Wire::Http10 | Wire::Http11 => write_chunk(out, style, chunk),
    }
}

#[inline(always)]
fn write_http_head(out: &mut Vec<u8>, style: Style, answer: &Response<'_>, site: SiteFields<'_>) {
    match (answer.status, answer.reason) {
        // The usual answer, in one piece.
        (200, "OK") => out.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: "),
        (status, reason) => {
            out.extend_from_slice(b"HTTP/1.1 ");
            write_number(out, status.into());
            out.push(b' ');
            out.extend_from_slice(reason.as_bytes());
            out.extend_from_slice(b"\r\nContent-Length: ");
        }
    }
    write_number(out, answer.body.len());
    out.extend_from_slice(b"\r\n");
    if style.names_type || answer.fields != Fields::None {
        write_type(out, style, answer.fields);
    }
    match (style.wire, style.closes) {
        // HTTP/1.0 clients are told, too: the status line says 1.1, where connections stay open by default.
        (_, true) => write_field(out, "Connection", "close"),
        (Wire::Http10, false) => write_field(out, "Connection", "keep-alive"),
        _ => {}
    }
    if answer.fields != Fields::None {
        write_fields(out, answer.fields);
    }
    if site.server.is_some() | site.cors.is_some() | (style.sender != Sender::Program) {
        write_site(out, style, answer, site);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the fields that the operator configures, and those for browsers.
#[inline(never)]
fn write_site(out: &mut Vec<u8>, style: Style, answer: &Response<'_>, site: SiteFields<'_>) {
    if let Some(name) = site.server {
        write_field(out, "Server", name);
    }
    if let Some(origin) = site.cors {
        write_cors(out, style, answer, origin);
    }
    if style.sender != Sender::Program {
        write_isolation(out, answer.fields);
    }
}

/// Writes the type of the body, and that caches may not keep it.
#[inline(never)]
fn write_type(out: &mut Vec<u8>, style: Style, fields: Fields) {
    let content_type = match fields {
        Fields::Document(document) => document.content_type,
        Fields::Json => "application/json",
        Fields::JsonLines => "application/x-ndjson",
        _ if !style.names_type => return,
        Fields::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        _ if style.format == Format::Json => "application/json",
        _ => "text/plain; charset=utf-8",
    };
    write_field(out, "Content-Type", content_type);
    if style.forbids_caching {
        write_field(out, "Cache-Control", "no-store");
    }
}

fn write_fields(out: &mut Vec<u8>, fields: Fields) {
    match fields {
        Fields::None | Fields::Metrics | Fields::Json | Fields::JsonLines => {}
        Fields::Document(document) => {
            for (name, value) in document.fields {
                write_field(out, name, value);
            }
        }
        Fields::Allow(methods) | Fields::Options(methods) => write_field(out, "Allow", methods),
        Fields::Challenge => {
            // One field each: some clients look only at the first word of a field.
            write_field(out, "WWW-Authenticate", "Bearer");
            write_field(out, "WWW-Authenticate", "Basic realm=\"latchd\"");
        }
    }
}

/// Writes the fields that a browser requires before a page may read the answer (Fetch standard, CORS protocol).
fn write_cors(out: &mut Vec<u8>, style: Style, answer: &Response<'_>, origin: &str) {
    let options = matches!(answer.fields, Fields::Options(_));
    if style.sender == Sender::Page || options {
        write_field(out, "Access-Control-Allow-Origin", origin);
    }
    if let Fields::Options(methods) = answer.fields {
        write_field(out, "Access-Control-Allow-Methods", methods);
        write_field(
            out,
            "Access-Control-Allow-Headers",
            "Accept, Authorization, Content-Type",
        );
        write_field(out, "Access-Control-Max-Age", "86400");
    }
}

/// Keeps a browser from running an answer as a script, and from giving it to a page of another site that did not ask by
/// CORS.
#[cold]
fn write_isolation(out: &mut Vec<u8>, fields: Fields) {
    const NO_SNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");
    let says_so =
        matches!(fields, Fields::Document(document) if document.fields.contains(&NO_SNIFF));
    if !says_so {
        write_field(out, NO_SNIFF.0, NO_SNIFF.1);
    }
    write_field(out, "Cross-Origin-Resource-Policy", "same-origin");
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_number(out: &mut Vec<u8>, number: usize) {
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
