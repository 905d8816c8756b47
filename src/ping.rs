//! The health check, `latchd --ping URL`: asks a latchd whether it lives. An image of nothing but
//! this one file has neither a shell nor curl to do it with.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::time::{Duration, Instant};
use std::{fmt, str};

use crate::client::{ClientResponseError, Connection, Peer, Trust, Url, is_tls_alert};

/// Who answers later than this is as good as dead to its clients.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// More of an answer than its status line ever takes.
const STATUS_LINE_BYTES: u64 = 256;

/// Whom to ask, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Peer);

impl Target {
    /// Reads `http://HOST:PORT[/PATH]`, `HOST:PORT[/PATH]` or `https://HOST[:PORT][/PATH]`, and whom to
    /// trust there.
    pub fn parse(url: &str, trust: Trust<'_>) -> Result<Target, String> {
        let url = Url::parse(url)?;
        let url = match url.path() {
            "" => url.with_path("/ping"),
            _ => url,
        };
        Peer::new(url, trust).map(Target)
    }

    /// Whether it is asked with TLS.
    pub fn has_tls(&self) -> bool {
        self.0.url().has_tls()
    }

    /// Asks, and waits two seconds at most, also for the name to be found. What is wrong is one line.
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

    /// The first line of the answer, or what there is of it.
    fn ask(&self) -> io::Result<Vec<u8>> {
        let mut connection = Connection::open(&self.0, Instant::now() + TIME_LIMIT)?;
        // In one piece: a server that reads the first of several may think the rest a stranger.
        connection.write_all(self.request().as_bytes())?;
        let mut line = Vec::new();
        let mut answer = BufReader::new(connection.take(STATUS_LINE_BYTES));
        match answer.read_until(b'\n', &mut line) {
            // With TLS this is an end that was not said. What is cut off is no answer.
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

/// Whether the first line of an answer says that it lives: for fuzz targets.
#[cfg(fuzzing)]
pub fn fuzz_is_ok(line: &[u8]) -> bool {
    is_ok(line)
}

/// Whether a status line says 200, whatever its words.
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
