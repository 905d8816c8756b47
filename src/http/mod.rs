//! Bytes to requests, answers to bytes. Pure: it knows no pool, no store and no socket.
//!
//! Two forms are parsed on the same connection: HTTP/1.0 and 1.1 messages (RFC 9110, RFC 9112), and one-line
//! requests, `[key=SECRET ]METHOD PATH[ BODY]` and a line feed, for clients to which HTTP is too much.
//! Parsing is lenient where devices are sloppy, and strict where a guess could be used to smuggle a request.
//!
//! A caller parses a request in these steps:
//!
//! 1. [`skip_between`] returns the bytes between two requests. Drop them, and call it again until it returns
//!    0.
//! 2. [`read_head`] parses a head. On `Partial`, wait for more bytes and pass the returned [`Scan`] with
//!    them; on `Whole`, drop `length` bytes and forget the scan.
//! 3. [`Head::body`] says how long the body after the head is. [`Chunked`] decodes it if it is chunked.
//! 4. At the end of the stream, [`read_head_at_end`] parses a head without its blank line.
//!
//! After an error the connection is out of step: answer in the style of [`Rejected`] and close it. The pieces
//! in which bytes arrive make no difference to the result.

mod accept;
mod answer;
mod browser;
mod chunked;
mod credentials;
mod fields;
mod head;
mod target;
mod version;

pub use crate::contract::Method;
pub use answer::{
    CONTINUE, Document, Fields, Response, SiteFields, end_of_response, fit_body, write_chunk,
    write_head, write_last_chunk, write_response, write_stream_head,
};
pub use browser::BrowserFields;
pub use chunked::{Chunked, Decoded};
pub use credentials::Credentials;
pub use head::{Head, Progress, Scan, find_long_body, read_head, read_head_at_end, skip_between};
pub use target::{Parameters, TargetError, decode_segments, split_path, split_target};

/// The length of a body (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// A number of bytes; 0 if no field announces a body.
    Fixed(usize),
    /// In chunks, to the last one.
    Chunked,
}

/// One complete request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method of the request line.
    pub method: Method,
    /// Path and query as received, not decoded, without the base path for JSON.
    pub target: &'a str,
    /// The type in its Content-Type.
    pub media: Media,
    /// Its body; may be empty.
    pub body: &'a [u8],
}

/// The type of a body, as far as it decides how the body is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Media {
    /// Any other type, or none: the body itself shows whether it is JSON.
    #[default]
    Other,
    /// JSON: `application/json`, `text/json` or a type that ends in `+json`.
    Json,
    /// `multipart/…`: the parts of a form, which no request accepts.
    Multipart,
}

impl Method {
    /// Parses a method in any case: some devices write `post`.
    pub fn parse(name: &[u8]) -> Method {
        // The usual spelling, without a look at each letter.
        match name {
            b"POST" => return Method::Post,
            b"DELETE" => return Method::Delete,
            b"GET" => return Method::Get,
            _ => {}
        }
        const NAMES: [(&[u8], Method); 6] = [
            (b"POST", Method::Post),
            (b"DELETE", Method::Delete),
            (b"GET", Method::Get),
            (b"PUT", Method::Put),
            (b"HEAD", Method::Head),
            (b"OPTIONS", Method::Options),
        ];
        let known = NAMES
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        known.map_or(Method::Other, |&(_, method)| method)
    }
}

/// The style of the answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The wire form of the answer.
    pub wire: Wire,
    /// The format of its body.
    pub format: Format,
    /// The request carried Accept: the answer names its type.
    pub names_type: bool,
    /// The request was a GET or HEAD that carried Accept: no cache may keep the answer.
    pub forbids_caching: bool,
    /// The request came under the base path for JSON: an acquire or a renewal is answered with an array of
    /// lease objects.
    pub as_leases: bool,
    /// The kind of program that sent the request.
    pub sender: Sender,
    /// The request was a HEAD: the answer omits its body.
    pub omits_body: bool,
    /// The connection closes after this answer.
    pub closes: bool,
}

impl Style {
    /// Returns the style of an answer to unreadable input.
    pub const fn plain(wire: Wire) -> Style {
        Style {
            wire,
            format: Format::Plain,
            names_type: false,
            forbids_caching: false,
            as_leases: false,
            sender: Sender::Program,
            omits_body: false,
            closes: false,
        }
    }

    /// Returns the style of an answer under the base path for JSON, for any Accept.
    #[cold]
    fn under_json_base(self, method: Method) -> Style {
        Style {
            format: Format::Json,
            names_type: true,
            forbids_caching: matches!(method, Method::Get | Method::Head),
            as_leases: true,
            ..self
        }
    }
}

/// The kind of program that sent a request, as far as it decides the fields of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A program that sends no header field of a browser.
    Program,
    /// A browser: the answer restricts its use by pages of other sites.
    Browser,
    /// A browser that names the origin of a page: the answer carries CORS fields, too.
    Page,
}

/// The format of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Plain,
    /// JSON.
    Json,
    /// HTML, and plain text where there is none.
    Html,
}

/// The wire form of a request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// One line.
    Line,
    /// HTTP/1.0: the connection closes by default.
    Http10,
    /// HTTP/1.1: the connection persists by default.
    Http11,
}

/// The size limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum bytes of a header block, and of method, path and query of a one-line request.
    pub head_bytes: usize,
    /// The maximum bytes of a body.
    pub body_bytes: usize,
}

/// The maximum number of header fields of a request.
pub const MAX_HEADER_FIELDS: usize = 64;

/// The error in bytes that are not a request. After any of these the connection is out of step, and is
/// closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The request line is malformed.
    BadRequest,
    /// The request line ends in a misspelt version: it is neither HTTP nor a one-line request.
    MisspeltVersion,
    /// A header field is malformed.
    BadHeader,
    /// There is more than one Host field.
    SeveralHosts,
    /// The length of the body is ambiguous or malformed.
    BadLength,
    /// A chunk of the body is malformed.
    BadChunk,
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    BadVersion,
    /// A transfer coding other than chunked.
    BadEncoding,
    /// The body is longer than `Limits::body_bytes`.
    BodyTooLarge,
    /// The request line is longer than `Limits::head_bytes`.
    PathTooLong,
    /// The header block is longer than `Limits::head_bytes`, or has too many fields.
    HeadersTooLarge,
}

/// Bytes that are not a request, and the style of the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The error.
    pub error: HttpError,
    /// The style of the answer; it always closes the connection.
    pub style: Style,
}
