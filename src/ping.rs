//! The health check, `latchd --ping URL`: asks a latchd whether it lives. An image with only this binary has
//! no shell and no curl for it.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::time::{Duration, Instant};
use std::{fmt, str};

use crate::client::{ClientResponseError, Connection, Peer, Trust, Url, is_tls_alert};

/// The time limit: a server that answers later is as good as dead for its clients.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// More bytes than any status line has.
const STATUS_LINE_BYTES: u64 = 256;

/// The server and the path to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Peer);

impl Target {
    /// Parses `http://HOST:PORT[/PATH]`, `HOST:PORT[/PATH]` or `https://HOST[:PORT][/PATH]`. The path
    /// defaults to `/ping`. An error is one line.
    pub fn parse(url: &str, trust: Trust<'_>) -> Result<Target, String> {
        let url = Url::parse(url)?;
        let url = match url.path() {
            "" => url.with_path("/ping"),
            _ => url,
        };
        Peer::new(url, trust).map(Target)
    }

    /// Returns whether it is asked with TLS.
    pub fn has_tls(&self) -> bool {
        self.0.url().has_tls()
    }

    /// Asks, and waits at most two seconds, the lookup of the name included. An error is one line.
    pub fn ping(&self) -> Result<(), String> {
        let problem = match self.ask() {
            Ok(line) if is_ok(&line) => return Ok(()),
            Ok(line) if line.is_empty() => "it closed the connection without an answer".into(),
            Ok(line) if is_tls_alert(&line) => ClientResponseError::Tls.to_string(),
            Ok(line) => format!("it answered {:?}", String::from_utf8_lossy(&line)),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                format!("no answer within {} s", TIME_LIMIT.as_secs())
            }
            Err(error) => error.to_string(),
        };
        Err(format!("{self}: {problem}"))
    }

    /// Returns the first line of the answer, as far as it came.
    fn ask(&self) -> io::Result<Vec<u8>> {
        let mut connection = Connection::open(&self.0, Instant::now() + TIME_LIMIT)?;
        // In one piece: a server may misread a request of which only a part has arrived.
        connection.write_all(self.request().as_bytes())?;
        let mut line = Vec::new();
        let mut answer = BufReader::new(connection.take(STATUS_LINE_BYTES));
        match answer.read_until(b'\n', &mut line) {
            // An unauthenticated end of TLS: a truncated answer does not count.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => line.clear(),
            read => drop(read?),
        }
        line.truncate(line.trim_ascii_end().len());
        Ok(line)
    }

    fn request(&self) -> String {
        let (path, host) = (self.0.url().path(), self.0.url().authority());
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.url().fmt(f)
    }
}

/// Returns whether a status line says that the server lives: for fuzz targets.
#[cfg(fuzzing)]
pub fn fuzz_is_ok(line: &[u8]) -> bool {
    is_ok(line)
}

/// Returns whether a status line says 200, with any reason phrase.
fn is_ok(line: &[u8]) -> bool {
    let words = str::from_utf8(line).ok().and_then(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?))
    });
    words.is_some_and(|(version, status)| version.starts_with("HTTP/1.") && status == "200")
}

#[cfg(test)]
mod tests {
    use super::{Target, Trust, is_ok};

    #[test]
    fn without_a_path_it_asks_for_ping() {
        for (url, shown) in [
            ("127.0.0.1:8081", "http://127.0.0.1:8081/ping"),
            ("[::1]:80/", "http://[::1]:80/"),
            ("h:80/pool/A?owner=x", "http://h:80/pool/A?owner=x"),
        ] {
            let target = Target::parse(url, Trust::System { instead: "" });
            let target = target.unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!(target.to_string(), shown, "{url}");
        }
    }

    #[test]
    fn only_200_is_well() {
        assert!(is_ok(b"HTTP/1.1 200 OK"));
        assert!(is_ok(b"HTTP/1.0 200"));
        for line in [
            "",
            "200 pong",
            "HTTP/1.1",
            "HTTP/1.1 503 busy",
            "HTTP/1.1 2000",
            "x 200",
        ] {
            assert!(!is_ok(line.as_bytes()), "{line}");
        }
    }
}
