//! One connection of a row: sending, and comparing the received bytes with the expected ones.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::expected::{Expected, ExpectedAnswer, matches};
use crate::support::Server;

/// Longer than any answer takes; many rows may fail at once, and each waits this long.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// While an answer comes in, this much of its start is compared, so as to fail without waiting.
const PREVIEW: usize = 1000;

/// The transport of a connection.
pub trait Stream: Read + Write {
    fn socket(&self) -> &TcpStream;

    /// Ends the sending side; answers can still be read.
    fn end_sending(&mut self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }

    fn end_sending(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// With TLS the end is a TLS alert, which TCP does not know. If the server sends no alert, a read fails.
#[cfg(feature = "tls")]
impl Stream for crate::support::tls::TlsStream {
    fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn end_sending(&mut self) -> io::Result<()> {
        self.close_notify()
    }
}

/// One of the row's connections, and its received bytes that were not compared yet.
pub struct Connection {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    half_closed: bool,
    ended: bool,
}

impl Connection {
    /// The client's end.
    pub fn address(&self) -> SocketAddr {
        self.stream
            .socket()
            .local_addr()
            .expect("an open socket has an address")
    }

    /// The server's end.
    pub fn server(&self) -> SocketAddr {
        self.stream
            .socket()
            .peer_addr()
            .expect("a connected socket has an address")
    }

    pub fn open(server: &Server) -> Connection {
        Connection::on(server.connect().stream)
    }

    pub fn on(stream: impl Stream + 'static) -> Connection {
        let patience = stream.socket().set_read_timeout(Some(ANSWER_PATIENCE));
        patience.expect("a read time-out");
        Connection {
            stream: Box::new(stream),
            received: Vec::new(),
            half_closed: false,
            ended: false,
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let result = self.stream.write_all(bytes);
        result.map_err(|error| format!("the server does not take the bytes: {error}"))
    }

    pub fn half_close(&mut self) -> Result<(), String> {
        self.half_closed = true;
        let result = self.stream.end_sending();
        result.map_err(|error| format!("the sending side does not close: {error}"))
    }

    /// Says a one-line request and compares the answer, both without the line feed.
    pub fn ask(&mut self, request: &str, answer: &str) -> Result<(), String> {
        let received = self.ask_freely(request)?;
        compare_line(answer, &received)
    }

    /// Says a one-line request and returns the answer.
    pub fn ask_freely(&mut self, request: &str) -> Result<String, String> {
        self.send(format!("{request}\n").as_bytes())?;
        self.read_line()
    }

    /// Reads the available bytes; false at the end.
    fn read(&mut self) -> Result<bool, String> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err("no more came in time".into());
                }
                Err(error) => return Err(format!("the connection broke: {error}")),
            }
        }
    }

    pub fn expect(&mut self, expected: &Expected) -> Result<(), String> {
        match expected {
            Expected::Bytes(bytes) => self.expect_bytes(bytes),
            Expected::ExpectedAnswer(answer) => self.expect_answer(answer),
            Expected::Line(line) => {
                let received = self.read_line()?;
                compare_line(line, &received)
            }
            Expected::EitherForm(status) => {
                let received = self.read_line()?;
                match received.strip_prefix("HTTP/1.1 ") {
                    None => compare_line(status, &received),
                    Some(_) => {
                        self.received.splice(..0, (received + "\n").into_bytes());
                        let answer = super::request::fails(status).optional("Connection");
                        self.expect_answer(&answer)
                    }
                }
            }
        }
    }

    fn expect_bytes(&mut self, expected: &[u8]) -> Result<(), String> {
        let mut problem = "other bytes came";
        while self.received.len() < expected.len() {
            let start = self.received.len().min(PREVIEW);
            if hide_age(&self.received[..start]) != hide_age(&expected[..start]) {
                break;
            }
            match self.read() {
                Ok(true) => {}
                Ok(false) => {
                    problem = "the server closed early";
                    break;
                }
                Err(error) => return Err(differ(&error, expected, &self.received)),
            }
        }
        let length = expected.len().min(self.received.len());
        if hide_age(&self.received[..length]) != hide_age(expected) {
            return Err(differ(problem, expected, &self.received));
        }
        self.received.drain(..length);
        Ok(())
    }

    pub fn at_once(&mut self, expected: &[u8]) -> Result<(), String> {
        if self.received.is_empty() && !self.read()? {
            return Err(differ("the server closed early", expected, b""));
        }
        if self.received != expected {
            return Err(differ("not in one read", expected, &self.received));
        }
        self.received.clear();
        Ok(())
    }

    fn expect_answer(&mut self, answer: &ExpectedAnswer) -> Result<(), String> {
        let head = self.read_head()?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.ok_or_else(|| format!("not a status line at the start of {head:?}"))?;
        let headers: Option<Vec<(&str, &str)>> = lines.map(|line| line.split_once(": ")).collect();
        let headers = headers.ok_or_else(|| format!("not `Name: value` in {head:?}"))?;
        let length = headers.iter().find(|(name, _)| *name == "Content-Length");
        let length = length.and_then(|(_, value)| value.parse().ok());
        let length = length.ok_or_else(|| format!("no Content-Length in {head:?}"))?;
        let body = self.read_body(length)?;
        let result = answer.compare(status, &headers, &body);
        result.map_err(|problem| format!("{problem}\n  received: {head:?} and {body:?}"))
    }

    /// Reads up to the blank line, which is not returned.
    fn read_head(&mut self) -> Result<String, String> {
        let end = |bytes: &[u8]| bytes.windows(4).position(|window| window == b"\r\n\r\n");
        while end(&self.received).is_none() {
            if !self.read().map_err(|error| self.cut_short(&error))? {
                return Err(self.cut_short("the server closed early"));
            }
        }
        let length = end(&self.received).expect("it was just found");
        let head = String::from_utf8_lossy(&self.received[..length]).into_owned();
        self.received.drain(..length + 4);
        Ok(head)
    }

    fn read_body(&mut self, length: usize) -> Result<String, String> {
        while self.received.len() < length {
            if !self.read().map_err(|error| self.cut_short(&error))? {
                return Err(self.cut_short("the server closed early"));
            }
        }
        let body: Vec<u8> = self.received.drain(..length).collect();
        String::from_utf8(body).map_err(|_| "the body is not UTF-8".into())
    }

    fn read_line(&mut self) -> Result<String, String> {
        while !self.received.contains(&b'\n') {
            if !self.read().map_err(|error| self.cut_short(&error))? {
                return Err(self.cut_short("the server closed early"));
            }
        }
        let length = self.received.iter().position(|byte| *byte == b'\n');
        let length = length.expect("it was just found");
        let line = String::from_utf8_lossy(&self.received[..length]).into_owned();
        self.received.drain(..=length);
        Ok(line)
    }

    fn cut_short(&self, problem: &str) -> String {
        format!("{problem}\n  received: \"{}\"", short(&self.received))
    }

    pub fn hear_nothing(&mut self) -> Result<(), String> {
        self.stream
            .socket()
            .set_nonblocking(true)
            .expect("non-blocking");
        let result = match self.stream.read(&mut [0; 1024]) {
            Ok(0) => Err("the server closed where it should wait".into()),
            Ok(_) => Err("the server spoke before the request was whole".into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(format!("the connection broke: {error}")),
        };
        self.stream
            .socket()
            .set_nonblocking(false)
            .expect("blocking");
        match self.received.is_empty() {
            true => result,
            false => Err(self.cut_short("more came than was expected")),
        }
    }

    fn read_to_end(&mut self) -> Result<(), String> {
        while self.read().map_err(|error| self.cut_short(&error))? {}
        self.ended = true;
        Ok(())
    }

    pub fn end(&mut self) -> Result<(), String> {
        self.read_to_end()?;
        match self.received.is_empty() {
            true => Ok(()),
            false => Err(self.cut_short("more came before the end")),
        }
    }

    pub fn end_without_success(&mut self) -> Result<(), String> {
        self.read_to_end()?;
        let text = String::from_utf8_lossy(&self.received);
        let refused = text
            .strip_prefix("HTTP/1.1 ")
            .unwrap_or(&text)
            .starts_with(['4', '5']);
        match self.received.is_empty() || refused {
            true => Ok(()),
            false => Err(self.cut_short("this was to be refused, or dropped without a word")),
        }
    }

    /// Nothing more has come, and the connection is in the state that the row left it in.
    pub fn finish(&mut self) -> Result<(), String> {
        if self.ended {
            return Ok(());
        }
        if self.half_closed {
            return self.end();
        }
        self.send(b"GET /ping\n")?;
        self.expect_bytes(b"200 pong\n")?;
        self.hear_nothing()
    }
}

fn compare_line(expected: &str, received: &str) -> Result<(), String> {
    match matches(expected, received) {
        true => Ok(()),
        false => Err(differ(
            "another line",
            expected.as_bytes(),
            received.as_bytes(),
        )),
    }
}

fn differ(problem: &str, expected: &[u8], received: &[u8]) -> String {
    let (expected, received) = (short(expected), short(received));
    format!("{problem}\n  expected: \"{expected}\"\n  received: \"{received}\"")
}

/// Shortens the bytes for a message.
fn short(bytes: &[u8]) -> String {
    match bytes.len() {
        0..1000 => bytes.escape_ascii().to_string(),
        length => format!("{}… ({length} bytes)", bytes[..1000].escape_ascii()),
    }
}

/// Replaces the age in lease objects, some few seconds, by 0.
fn hide_age(bytes: &[u8]) -> Vec<u8> {
    const KEY: &[u8] = br#""age":"#;
    let mut bytes = bytes.to_vec();
    for digit in KEY.len()..bytes.len() {
        if bytes[..digit].ends_with(KEY) && bytes[digit].is_ascii_digit() {
            bytes[digit] = b'0';
        }
    }
    bytes
}
