//! Talks the rows through: a few at a time, each with a server of its own.
//!
//! Nothing here sleeps. The server is one loop, and what is sent over loopback is there when the
//! send returns: so when it has answered two pings on another connection, it has read all that was
//! sent before, and what it had to say to that has left.

use std::any::Any;
use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::table::{Answer, Expected, Row, Step, matches};
use crate::support::{Client, Server, StoreKind};

/// Rows that are under way at the same time. They mostly wait, for a process or for a sync.
const WORKERS: usize = 3;

/// Longer than any answer takes; many rows may fail at once, and each waits this long.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// How what a row sends is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    AsWritten,
    /// One byte a segment; of long texts a few more.
    Bytes,
}

/// Talks all rows through on each store, and panics with all that went wrong.
#[track_caller]
pub fn run(rows: Vec<Row>) {
    run_on(&StoreKind::ALL, rows, Cut::AsWritten);
}

#[track_caller]
pub fn run_on(stores: &[StoreKind], rows: Vec<Row>, cut: Cut) {
    let mut names = HashSet::new();
    for row in &rows {
        assert!(names.insert(&row.name), "two rows are named {:?}", row.name);
    }
    let jobs: Vec<(StoreKind, &Row)> = stores
        .iter()
        .flat_map(|&store| rows.iter().map(move |row| (store, row)))
        .filter(|(store, row)| store.is_durable() || !row.durable)
        .collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(&(store, row)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = catch_unwind(AssertUnwindSafe(|| converse(store, row, cut)));
            if let Err(problem) = outcome.unwrap_or_else(|panic| Err(panic_message(&*panic))) {
                let report = format!(
                    "{} ({store:?})\n  promise: {}\n  {problem}\n",
                    row.name, row.promise
                );
                failures.lock().expect("no worker panics").push(report);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().expect("no worker panics");
    assert!(
        failures.is_empty(),
        "{} of {} rows failed\n\n{}",
        failures.len(),
        jobs.len(),
        failures.join("\n")
    );
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panicked").to_string()
}

fn converse(store: StoreKind, row: &Row, cut: Cut) -> Result<(), String> {
    let server = Server::start_with(store, &row.arguments);
    let aside = server.connect();
    let connections = vec![Connection::open(&server)];
    let mut talk = Talk {
        server,
        aside,
        connections,
        cut,
    };
    for (place, step) in row.steps.iter().enumerate() {
        let result = talk.take(step);
        result.map_err(|problem| format!("step {}: {step}\n  {problem}", place + 1))?;
    }
    let result = talk.connections.iter_mut().try_for_each(Connection::finish);
    result.map_err(|problem| format!("after the last step:\n  {problem}"))
}

struct Talk {
    server: Server,
    aside: Client,
    /// The last one is the one that talks.
    connections: Vec<Connection>,
    cut: Cut,
}

impl Talk {
    fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Aside(request, answer) => {
                let line = self.aside.ask(request);
                compare_line(answer, &line)
            }
            Step::Send(bytes) if self.cut == Cut::Bytes => {
                let size = 1 + bytes.len() / 500;
                bytes.chunks(size).try_for_each(|c| self.current().send(c))
            }
            Step::Send(bytes) => self.current().send(bytes),
            Step::Pieces(pieces) => {
                for (place, piece) in pieces.iter().enumerate() {
                    if place > 0 {
                        self.hear_nothing()?;
                    }
                    self.current().send(piece)?;
                }
                Ok(())
            }
            Step::Expect(expected) => self.current().expect(expected),
            Step::AtOnce(bytes) => self.current().at_once(bytes),
            Step::Silence => self.hear_nothing(),
            Step::HalfClose => self.current().half_close(),
            Step::End => self.current().end(),
            Step::EndWithoutSuccess => self.current().end_without_success(),
            Step::Connect => {
                self.connections.push(Connection::open(&self.server));
                Ok(())
            }
            Step::HangUp => {
                self.connections.pop();
                self.connections.push(Connection::open(&self.server));
                Ok(())
            }
            Step::Restart => {
                self.server.kill();
                self.server.restart();
                self.aside = self.server.connect();
                self.connections = vec![Connection::open(&self.server)];
                Ok(())
            }
        }
    }

    fn current(&mut self) -> &mut Connection {
        self.connections.last_mut().expect("there is always one")
    }

    /// The server has seen all that was sent, and has said nothing.
    fn hear_nothing(&mut self) -> Result<(), String> {
        for _ in 0..2 {
            compare_line("200 pong", &self.aside.ask("GET /ping"))?;
        }
        self.current().hear_nothing()
    }
}

/// One of the row's connections, and what has come in on it and not yet been looked at.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    half_closed: bool,
    ended: bool,
}

impl Connection {
    fn open(server: &Server) -> Connection {
        let stream = server.connect().stream;
        let patience = stream.set_read_timeout(Some(ANSWER_PATIENCE));
        patience.expect("a read time-out");
        Connection {
            stream,
            received: Vec::new(),
            half_closed: false,
            ended: false,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let result = self.stream.write_all(bytes);
        result.map_err(|error| format!("the server does not take the bytes: {error}"))
    }

    fn half_close(&mut self) -> Result<(), String> {
        self.half_closed = true;
        let result = self.stream.shutdown(Shutdown::Write);
        result.map_err(|error| format!("the sending side does not close: {error}"))
    }

    /// Reads what there is; false at the end.
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

    fn expect(&mut self, expected: &Expected) -> Result<(), String> {
        match expected {
            Expected::Bytes(bytes) => self.expect_bytes(bytes),
            Expected::Answer(answer) => self.expect_answer(answer),
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
            let so_far = hide_age(&self.received);
            if so_far != hide_age(expected)[..so_far.len()] {
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

    fn at_once(&mut self, expected: &[u8]) -> Result<(), String> {
        if self.received.is_empty() && !self.read()? {
            return Err(differ("the server closed early", expected, b""));
        }
        if self.received != expected {
            return Err(differ("not in one read", expected, &self.received));
        }
        self.received.clear();
        Ok(())
    }

    fn expect_answer(&mut self, answer: &Answer) -> Result<(), String> {
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
        String::from_utf8(hide_age(&body)).map_err(|_| "the body is not UTF-8".into())
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

    fn hear_nothing(&mut self) -> Result<(), String> {
        self.stream.set_nonblocking(true).expect("non-blocking");
        let result = match self.stream.read(&mut [0; 1024]) {
            Ok(0) => Err("the server closed where it should wait".into()),
            Ok(_) => Err("the server spoke before the request was whole".into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(format!("the connection broke: {error}")),
        };
        self.stream.set_nonblocking(false).expect("blocking");
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

    fn end(&mut self) -> Result<(), String> {
        self.read_to_end()?;
        match self.received.is_empty() {
            true => Ok(()),
            false => Err(self.cut_short("more came before the end")),
        }
    }

    fn end_without_success(&mut self) -> Result<(), String> {
        self.read_to_end()?;
        let text = String::from_utf8_lossy(&self.received);
        let refused = text.starts_with("HTTP/1.1 400 bad ") || text.starts_with("400 bad ");
        match self.received.is_empty() || refused {
            true => Ok(()),
            false => Err(self.cut_short("this was to be refused, or dropped without a word")),
        }
    }

    /// Nothing more has come, and the connection is in the state that the row left it in.
    fn finish(&mut self) -> Result<(), String> {
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
    let shown = hide_age(received.as_bytes());
    match matches(expected, &String::from_utf8_lossy(&shown)) {
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

/// As much of it as helps to see what is wrong.
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
