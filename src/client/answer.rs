//! An answer, parsed as its bytes arrive.

use std::fmt;
use std::io::{self, Read};

use httparse::{EMPTY_HEADER, Status};

/// The maximum bytes of a header block. A well-behaved server sends less.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;
/// The maximum bytes of a body: a list of millions of locks.
const MAX_BODY_BYTES: u64 = 1 << 30;

/// The answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientResponse {
    /// The status code.
    pub status: u16,
    /// The reason phrase. It is untrusted, and may have any characters.
    pub reason: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The error of a request whose connection was made.
#[derive(Debug)]
pub enum ClientResponseError {
    /// The connection failed, or the deadline has passed.
    Io(io::Error),
    /// The connection ended before the answer did.
    Cut,
    /// The server speaks TLS, and was asked without it.
    Tls,
    /// The bytes are no answer of a latchd, for this reason.
    Strange(&'static str),
}

impl fmt::Display for ClientResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientResponseError::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                f.write_str("no answer in time")
            }
            ClientResponseError::Io(error) => error.fmt(f),
            ClientResponseError::Cut => f.write_str("the connection ended before the answer did"),
            ClientResponseError::Tls => f.write_str("it speaks TLS; wanted https://"),
            ClientResponseError::Strange(what) => write!(f, "this is no latchd: {what}"),
        }
    }
}

struct Head {
    status: u16,
    reason: String,
    /// `None` if the body lasts until the connection ends.
    body_bytes: Option<u64>,
}

impl ClientResponse {
    /// Reads one complete answer.
    pub(super) fn read(from: &mut impl Read) -> Result<ClientResponse, ClientResponseError> {
        let (answer, length) = ClientResponse::read_head(from)?;
        answer.read_rest(from, length)
    }

    /// Reads the rest of an answer whose body has the length that `read_head` returned.
    pub(super) fn read_rest(
        self,
        from: &mut impl Read,
        length: Option<u64>,
    ) -> Result<ClientResponse, ClientResponseError> {
        let body = read_body(from, self.body, length)?;
        Ok(ClientResponse { body, ..self })
    }

    /// Reads the head of an answer, and perhaps a part of its body. Returns also the length of the body; `None` if it
    /// ends with the connection.
    pub(super) fn read_head(
        from: &mut impl Read,
    ) -> Result<(ClientResponse, Option<u64>), ClientResponseError> {
        let mut bytes = Vec::new();
        let (head, head_bytes) = loop {
            if let Some(found) = parse_head(&bytes)? {
                break found;
            }
            if bytes.len() > MAX_HEAD_BYTES {
                return Err(ClientResponseError::Strange("its header block is too long"));
            }
            if read_some(from, &mut bytes)? == 0 {
                return Err(ClientResponseError::Cut);
            }
        };
        let answer = ClientResponse {
            status: head.status,
            reason: head.reason,
            body: bytes.split_off(head_bytes),
        };
        Ok((answer, head.body_bytes))
    }
}

pub(super) fn read_some(
    from: &mut impl Read,
    bytes: &mut Vec<u8>,
) -> Result<usize, ClientResponseError> {
    let mut piece = [0; 4096];
    loop {
        match from.read(&mut piece) {
            Ok(count) => {
                bytes.extend_from_slice(&piece[..count]);
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(ClientResponseError::Cut);
            }
            Err(error) => return Err(ClientResponseError::Io(error)),
        }
    }
}

/// Returns the head and its length in bytes; `None` if it is incomplete.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, ClientResponseError> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let head_bytes = match response.parse(bytes) {
        Ok(Status::Complete(head_bytes)) => head_bytes,
        Ok(Status::Partial) => return Ok(None),
        Err(_) if is_tls_alert(bytes) => return Err(ClientResponseError::Tls),
        Err(_) => return Err(ClientResponseError::Strange("what it says is not HTTP")),
    };
    let named = |name: &'static str| {
        let fields = response.headers.iter();
        fields.filter(move |field| field.name.eq_ignore_ascii_case(name))
    };
    if named("Transfer-Encoding").next().is_some() {
        return Err(ClientResponseError::Strange("it answers in chunks"));
    }
    let mut body_bytes = None;
    for field in named("Content-Length") {
        let length = std::str::from_utf8(field.value).ok();
        let length = length.and_then(|digits| digits.trim().parse().ok());
        let length = length.filter(|length| *length <= MAX_BODY_BYTES);
        if length.is_none() || body_bytes.is_some_and(|known| Some(known) != length) {
            return Err(ClientResponseError::Strange(
                "the length of its answer is not clear",
            ));
        }
        body_bytes = length;
    }
    let head = Head {
        status: response.code.unwrap_or_default(),
        reason: response.reason.unwrap_or_default().to_owned(),
        body_bytes,
    };
    Ok(Some((head, head_bytes)))
}

/// Returns whether the bytes begin with an alert, which a server with TLS sends to a client without it (RFC 8446, 5.1).
pub fn is_tls_alert(bytes: &[u8]) -> bool {
    bytes.first() == Some(&21)
}

/// Reads a body, of which `body` has arrived already.
fn read_body(
    from: &mut impl Read,
    mut body: Vec<u8>,
    length: Option<u64>,
) -> Result<Vec<u8>, ClientResponseError> {
    let wanted = length.unwrap_or(MAX_BODY_BYTES) as usize;
    while body.len() < wanted {
        if read_some(from, &mut body)? == 0 {
            break;
        }
    }
    match length {
        Some(_) if body.len() < wanted => Err(ClientResponseError::Cut),
        Some(_) => {
            body.truncate(wanted);
            Ok(body)
        }
        None => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientResponse, ClientResponseError};

    fn read(bytes: &[u8]) -> Result<ClientResponse, ClientResponseError> {
        let whole = ClientResponse::read(&mut &*bytes);
        // Byte by byte the result must be the same.
        let mut pieces = Pieces(bytes);
        let pieced = ClientResponse::read(&mut pieces);
        assert_eq!(format!("{whole:?}"), format!("{pieced:?}"));
        whole
    }

    struct Pieces<'a>(&'a [u8]);

    impl std::io::Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.len().min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn a_whole_answer_is_read() {
        let answer = read(b"HTTP/1.1 409 busy\r\nContent-Length: 4\r\n\r\nbusymore");
        let answer = answer.expect("it is whole");
        assert_eq!((answer.status, &*answer.reason), (409, "busy"));
        assert_eq!(answer.body, b"busy");
        let answer = read(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").expect("it is whole");
        assert_eq!(answer.body, b"until the end");
    }

    #[test]
    fn what_is_none_is_named() {
        for (bytes, words) in [
            (&b""[..], "ended before"),
            (b"HTTP/1.1 200 OK\r\nContent-Le", "ended before"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
                "ended before",
            ),
            (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
            (b"\x15\x03\x03\0\x02\x02\x32", "speaks TLS; wanted https://"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "not clear"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
                "not clear",
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                "not clear",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "in chunks",
            ),
        ] {
            let problem = read(bytes).expect_err("this is no answer").to_string();
            assert!(
                problem.contains(words),
                "{:?}: {problem}",
                bytes.escape_ascii()
            );
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(20_000));
        let problem = ClientResponse::read(&mut endless.as_bytes()).expect_err("it never ends");
        assert!(problem.to_string().contains("too long"), "{problem}");
    }
}
