//! A client of a latchd: one request, one connection, with TLS or without it, one answer, all by a
//! deadline.
//!
//! It knows HTTP as far as a latchd speaks it: `Content-Length`, no chunks, no redirects. It does
//! not know what is asked, nor whether to ask again.

mod answer;
mod connection;
mod peer;
mod request;
mod secured;
mod url;
mod zone;

use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

pub use answer::{ClientResponse, ClientResponseError, is_tls_alert};
pub use connection::Connection;
pub use peer::{Peer, Trust, system_roots};
pub use request::Request;
pub use url::Url;
pub use zone::parse_with_zone;

/// A secret that a server may want to see. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A key is printable ASCII without spaces, as it travels in a header field.
    pub fn parse(text: &str) -> Option<Key> {
        let fit = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fit.then(|| Key(text.to_owned()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

/// Whom to ask.
#[derive(Clone, Debug)]
pub struct Client {
    /// The server; its API is below the path of its URL.
    pub peer: Peer,
    /// What the server may want to see.
    pub key: Option<Key>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// There was no connection: nothing has been asked.
    Unreachable(io::Error),
    /// There is somebody, but with TLS where none was wanted, or without it, or with a certificate that
    /// is not accepted: nothing has been done, and to ask again is of no use.
    Tls(String),
    /// It was asked, and may have been done.
    Unanswered(ClientResponseError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // TLS has words of its own.
            ClientError::Unreachable(error)
                if error.kind() == io::ErrorKind::TimedOut && error.get_ref().is_none() =>
            {
                f.write_str("no connection in time")
            }
            ClientError::Unreachable(error) => error.fmt(f),
            ClientError::Tls(problem) => f.write_str(problem),
            ClientError::Unanswered(error) => error.fmt(f),
        }
    }
}

impl Client {
    /// Asks, and waits for the whole answer for at most `limit`.
    pub fn ask(&self, request: &Request, limit: Duration) -> Result<ClientResponse, ClientError> {
        let deadline = Instant::now() + limit;
        let mut connection = Connection::open(&self.peer, deadline).map_err(unmet)?;
        let key = self.key.as_ref().map(|key| &*key.0);
        let sent = connection.write_all(&request.to_bytes(self.peer.url(), key));
        // Who has not read it all may have answered nevertheless: that the body is too large.
        match (ClientResponse::read(&mut connection), sent) {
            (Ok(answer), _) => Ok(answer),
            (Err(ClientResponseError::Tls), _) => {
                Err(ClientError::Tls(ClientResponseError::Tls.to_string()))
            }
            (Err(_), Err(error)) => Err(ClientError::Unanswered(ClientResponseError::Io(error))),
            (Err(error), Ok(())) => Err(ClientError::Unanswered(error)),
        }
    }

    /// Asks, and hands over the lines of an answer that is 200 as they come, without their line feeds. The next piece
    /// has to come within `limit`. What is left at the end without a line feed is the body of the answer.
    pub fn ask_for_lines(
        &self,
        request: &Request,
        limit: Duration,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ClientResponse, ClientError> {
        let lost = |error| match error {
            ClientResponseError::Tls => ClientError::Tls(ClientResponseError::Tls.to_string()),
            error => ClientError::Unanswered(error),
        };
        let deadline = || Instant::now() + limit;
        let mut connection = Connection::open(&self.peer, deadline()).map_err(unmet)?;
        let key = self.key.as_ref().map(|key| &*key.0);
        let bytes = request.to_bytes(self.peer.url(), key);
        let sent = connection.write_all(&bytes);
        sent.map_err(|error| lost(ClientResponseError::Io(error)))?;
        let (mut answer, length) = ClientResponse::read_head(&mut connection).map_err(lost)?;
        if answer.status != 200 || length.is_some() {
            return answer.read_rest(&mut connection, length).map_err(lost);
        }
        let mut scanned = 0;
        loop {
            let (mut start, bytes) = (0, &answer.body);
            while let Some(at) = memchr::memchr(b'\n', &bytes[scanned..]) {
                let end = scanned + at;
                if take(&bytes[start..end]).is_break() {
                    return Ok(answer);
                }
                (start, scanned) = (end + 1, end + 1);
            }
            answer.body.drain(..start);
            scanned = answer.body.len();
            connection.set_deadline(deadline());
            if answer::read_some(&mut connection, &mut answer.body).map_err(lost)? == 0 {
                return Ok(answer);
            }
        }
    }
}

fn unmet(error: io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::InvalidData => ClientError::Tls(error.to_string()),
        _ => ClientError::Unreachable(error),
    }
}
