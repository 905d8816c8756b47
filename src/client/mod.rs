//! A client of a latchd: one request on one connection, with or without TLS, and one answer by a deadline.
//!
//! It knows HTTP as far as a latchd speaks it: `Content-Length`, no chunks, no redirects. It neither knows the meaning
//! of a request nor repeats it.

mod answer;
mod connection;
mod peer;
mod request;
mod secured;
mod socket;
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

/// A secret that a server may require. Debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Parses a key: printable ASCII without spaces, as it travels in a header field. `None` for other text.
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

/// A server and the key for it.
#[derive(Clone, Debug)]
pub struct Client {
    /// The server; its API is below the path of its URL.
    pub peer: Peer,
    /// The key, if the server requires one.
    pub key: Option<Key>,
}

/// The error of a request.
#[derive(Debug)]
pub enum ClientError {
    /// There was no connection: no request was sent.
    Unreachable(io::Error),
    /// The server has TLS where none was expected, or the reverse, or its certificate is not accepted. The request had
    /// no effect, and repeating it is useless.
    Tls(String),
    /// The request was sent, and may have had an effect.
    Unanswered(ClientResponseError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A time-out in TLS has a message of its own.
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
    /// Sends a request, and waits at most `limit` for the complete answer.
    pub fn ask(&self, request: &Request, limit: Duration) -> Result<ClientResponse, ClientError> {
        let deadline = Instant::now() + limit;
        let mut connection = Connection::open(&self.peer, deadline).map_err(unmet)?;
        let key = self.key.as_ref().map(|key| &*key.0);
        let sent = connection.write_all(&request.to_bytes(self.peer.url(), key));
        // A server that has not read all may have answered all the same: that the body is too large.
        match (ClientResponse::read(&mut connection), sent) {
            (Ok(answer), _) => Ok(answer),
            (Err(ClientResponseError::Tls), _) => {
                Err(ClientError::Tls(ClientResponseError::Tls.to_string()))
            }
            (Err(_), Err(error)) => Err(ClientError::Unanswered(ClientResponseError::Io(error))),
            (Err(error), Ok(())) => Err(ClientError::Unanswered(error)),
        }
    }

    /// Sends a request, and passes each line of an answer with status 200 to `take` as it arrives, without its line
    /// feed. Each next piece must arrive within `limit`. The rest without a line feed becomes the body of the returned
    /// answer.
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
