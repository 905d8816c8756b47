//! Servers that are started in a way of their own: whether they serve at all, their log, and what
//! they leave behind when they end.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Ended, PATIENCE, Process, Server, latchd};

/// The time between two looks at a state that gives no sign when it changes.
const GLANCE: Duration = Duration::from_millis(2);

/// The result of a start.
pub enum Start {
    /// It serves: the process, and the line that says where.
    Serves(Process, String),
    /// It ended by itself.
    Ended(Ended),
}

/// Starts a latchd that may serve or may refuse to.
pub fn try_start(command: Command) -> Start {
    let mut process = Process::spawn(command);
    let mut lines = Vec::new();
    match process.next_lines(&mut lines, |line| line.contains("listening on ")) {
        true => Start::Serves(process, lines.pop().expect("the line that was found")),
        false => Start::Ended(process.end(lines)),
    }
}

/// Starts a latchd that must serve; the addresses are those of its log line, in that order.
#[track_caller]
pub fn start(command: Command) -> (Process, Vec<SocketAddr>) {
    match try_start(command) {
        Start::Serves(process, line) => (process, addresses_in(&line)),
        Start::Ended(ended) => panic!("it was to serve, but ended: {}", ended.stderr),
    }
}

/// Starts a latchd that must refuse to serve, and returns its output.
#[track_caller]
pub fn refused(command: Command) -> Ended {
    match try_start(command) {
        Start::Serves(_, line) => panic!("it was to refuse, but serves: {line}"),
        Start::Ended(ended) => ended,
    }
}

/// A latchd that works in `folder`, not started yet.
pub fn latchd_in(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = latchd();
    command.current_dir(folder.path()).args(arguments);
    command
}

/// The addresses in the line that a server logs at its start.
#[track_caller]
pub fn addresses_in(line: &str) -> Vec<SocketAddr> {
    let addresses = listening_on(line).into_iter();
    addresses.map(|(address, _)| address).collect()
}

/// The same, and whether it listens there with TLS.
#[track_caller]
pub fn listening_on(line: &str) -> Vec<(SocketAddr, bool)> {
    let (_, rest) = line.split_once("listening on ").expect("the line says it");
    let (list, _) = rest
        .split_once(", storing in ")
        .expect("and where it stores");
    let address = |text: &str| {
        let with_tls = text.strip_suffix(" (TLS)");
        let address = with_tls.unwrap_or(text).parse();
        let address = address.unwrap_or_else(|_| panic!("no addresses in {line:?}"));
        (address, with_tls.is_some())
    };
    list.split(" and ").map(address).collect()
}

/// A port that was free just now, for servers with a given port.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Polls until there is a result. For states without events: files, and other processes.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match look() {
            Some(seen) => return seen,
            None => thread::sleep(GLANCE),
        }
    }
    panic!("not in time: {what}");
}

impl Process {
    /// Appends lines of the log up to one that is `last`; false if the log ends before.
    pub fn next_lines(&mut self, seen: &mut Vec<String>, last: impl Fn(&str) -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    seen.push(line);
                    if last(&seen[seen.len() - 1]) {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("no end in time; the log:\n{seen:?}"),
            }
        }
    }

    /// Returns the rest of the log when the process has ended, which it must do by itself.
    pub fn rest_of_log(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.next_lines(&mut lines, |_| false);
        lines
    }

    /// Waits for the end of a process whose log is over.
    fn end(&mut self, lines: Vec<String>) -> Ended {
        Ended {
            code: self.wait().code(),
            stdout: String::new(),
            stderr: lines.join("\n"),
        }
    }
}

impl Server {
    /// Returns the log after the start when the process has ended, which it must do by itself.
    pub fn rest_of_log(&mut self) -> Vec<String> {
        self.process.rest_of_log()
    }
}
