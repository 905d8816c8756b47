//! The health check, `latchd --ping URL`: asks a latchd whether it lives. An image of nothing but
//! this one file has neither a shell nor curl to do it with.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv6Addr, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;
use std::{fmt, str, thread};

/// Who answers later than this is as good as dead to its clients.
const PATIENCE: Duration = Duration::from_secs(2);
/// More of an answer than its status line ever takes.
const STATUS_LINE_BYTES: u64 = 256;

/// Whom to ask, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// Reads `http://HOST:PORT[/PATH]` or `HOST:PORT[/PATH]`.
    pub fn parse(url: &str) -> Result<Target, &'static str> {
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("there is something else than printable ASCII in it");
        }
        let rest = match url.split_once("://") {
            None => url,
            Some(("http", rest)) => rest,
            Some(("https", _)) => return Err("TLS is not built yet; wanted http://HOST:PORT"),
            Some(_) => return Err("wanted http://HOST:PORT or HOST:PORT"),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("there are no users and no passwords; wanted http://HOST:PORT");
        }
        if path.contains('#') || path.starts_with('?') {
            return Err("behind the port there may only be a path; wanted http://HOST:PORT/ping");
        }
        let (host, port) = authority
            .rsplit_once(':')
            .ok_or("the port is missing; wanted http://HOST:PORT")?;
        Ok(Target {
            host: parse_host(host)?.to_owned(),
            port: parse_port(port)?,
            path: if path.is_empty() { "/ping" } else { path }.to_owned(),
        })
    }

    /// Asks, and waits two seconds at most, also for the name to be found. What is wrong is one line.
    pub fn ping(&self) -> Result<(), String> {
        // A thread, because looking up a name has no time-out of its own. It ends with the process.
        let (sender, answer) = channel();
        let target = self.clone();
        thread::spawn(move || sender.send(target.ask()));
        let problem = match answer.recv_timeout(PATIENCE) {
            Ok(Ok(line)) if is_ok(&line) => return Ok(()),
            Ok(Ok(line)) if line.is_empty() => "it closed the connection without an answer".into(),
            Ok(Ok(line)) => format!("it answered {:?}", String::from_utf8_lossy(&line)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        Err(format!("{self}: {problem}"))
    }

    /// The first line of the answer.
    fn ask(&self) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect((&*self.host, self.port))?;
        // In one piece: a server that reads the first of several may think the rest a stranger.
        stream.write_all(self.request().as_bytes())?;
        let mut line = Vec::new();
        BufReader::new(stream.take(STATUS_LINE_BYTES)).read_until(b'\n', &mut line)?;
        line.truncate(line.trim_ascii_end().len());
        Ok(line)
    }

    fn request(&self) -> String {
        let place = Place(self);
        let path = &self.path;
        format!("GET {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", Place(self), self.path)
    }
}

/// The host and port as a URL has them.
struct Place<'a>(&'a Target);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { host, port, .. } = self.0;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

fn parse_host(host: &str) -> Result<&str, &'static str> {
    if let Some(inside) = host.strip_prefix('[') {
        return inside
            .strip_suffix(']')
            .filter(|address| address.parse::<Ipv6Addr>().is_ok())
            .ok_or("wanted an IPv6 address in the brackets, such as [::1]");
    }
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match host {
        "" => Err("the host is missing; wanted http://HOST:PORT"),
        _ if host.contains(':') => Err("an IPv6 address is in brackets, such as [::1]"),
        _ if host.bytes().all(fit) => Ok(host),
        _ => Err("the host is neither a name nor an address"),
    }
}

fn parse_port(port: &str) -> Result<u16, &'static str> {
    // Rust's own parsing takes a plus sign, too.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse()
        .ok()
        .filter(|port| digits && *port > 0)
        .ok_or("the port is wrong; wanted 1 to 65535")
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
    use super::{Target, is_ok};

    #[test]
    fn a_good_url_is_read() {
        for (url, shown) in [
            ("127.0.0.1:8081", "http://127.0.0.1:8081/ping"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/ping"),
            (
                "http://lock_s-1.example:1",
                "http://lock_s-1.example:1/ping",
            ),
            ("http://[::1]:65535", "http://[::1]:65535/ping"),
            ("[::1]:80/", "http://[::1]:80/"),
            ("h:80/pool/A?owner=x", "http://h:80/pool/A?owner=x"),
        ] {
            let target = Target::parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!(target.to_string(), shown, "{url}");
        }
    }

    #[test]
    fn a_wrong_url_is_refused_with_what_is_wrong() {
        for (url, why) in [
            ("", "the port is missing"),
            ("8081", "the port is missing"),
            ("http://localhost", "the port is missing"),
            ("http://localhost/ping", "the port is missing"),
            (":8081", "the host is missing"),
            ("http://:8081", "the host is missing"),
            ("h:", "the port is wrong"),
            ("h:0", "the port is wrong"),
            ("h:+1", "the port is wrong"),
            ("h:65536", "the port is wrong"),
            ("https://h:1", "TLS"),
            ("redis://h:1", "wanted http://"),
            ("http://u:p@h:1", "no passwords"),
            ("h:1#a", "only be a path"),
            ("h:1?a", "only be a path"),
            ("h:1/a b", "printable"),
            ("h:1/a\r\nX: y", "printable"),
            ("::1:80", "in brackets"),
            ("[::1:80", "in the brackets"),
            ("[h]:80", "in the brackets"),
            ("h!:80", "neither a name"),
        ] {
            let refused = Target::parse(url).expect_err(url);
            assert!(refused.contains(why), "{url}: {refused}");
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
