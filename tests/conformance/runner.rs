//! Runs the rows: a few at a time, each with a server of its own.
//!
//! Nothing here sleeps, except between two polls, and where a row expects silence on Redis. The server
//! is one loop, and bytes sent over loopback have arrived when the send returns. So when it has
//! answered two pings on another connection, it has read all earlier input, and has written its
//! answers. `Talk::settle` says which of this holds if the answers come from Redis.

use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::expected::matches;
use super::secured::Dialer;
use super::table::{Row, RowStep};
use super::wire::Connection;
use crate::support::{Server, StoreKind, wait_until_told};

/// Rows that are under way at the same time. They mostly wait, for a process or for a sync.
const WORKERS: usize = 3;

/// Longer than any change takes that a row waits for.
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);

/// The time between two looks at a state that is to change.
const GLANCE: Duration = Duration::from_millis(2);

/// The time that a message takes from Redis to the server, and an answer back: far more, in fact.
const MESSAGE_TIME: Duration = Duration::from_millis(5);

/// The segments in which a row's requests are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    AsWritten,
    /// One byte a segment; of long texts a few more.
    Bytes,
}

/// Talks all rows through on each store, and panics with all that went wrong.
#[track_caller]
pub fn run(rows: Vec<Row>) {
    run_on(&chosen_stores(), rows, Cut::AsWritten, &Dialer::Plain);
}

/// The store that `LATCHD_ROWS_ON` names, as `memory`, `file` or `redis`; all of them if it is not set.
fn chosen_stores() -> Vec<StoreKind> {
    let Ok(name) = std::env::var("LATCHD_ROWS_ON") else {
        return StoreKind::ALL.into();
    };
    let mut stores = StoreKind::ALL.to_vec();
    stores.retain(|store| format!("{store:?}").to_lowercase() == name);
    assert!(!stores.is_empty(), "LATCHD_ROWS_ON={name} names no store");
    stores
}

#[track_caller]
pub fn run_on(stores: &[StoreKind], rows: Vec<Row>, cut: Cut, dialer: &Dialer) {
    let mut names = HashSet::new();
    for row in &rows {
        assert!(names.insert(&row.name), "two rows are named {:?}", row.name);
    }
    let jobs: Vec<(StoreKind, &Row)> = stores
        .iter()
        .flat_map(|&store| rows.iter().map(move |row| (store, row)))
        .filter(|(store, row)| store.is_durable() || !row.durable)
        .filter(|(store, row)| row.only.is_none_or(|only| only == *store))
        .collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(&(store, row)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = catch_unwind(AssertUnwindSafe(|| converse(store, row, cut, dialer)));
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

fn converse(store: StoreKind, row: &Row, cut: Cut, dialer: &Dialer) -> Result<(), String> {
    let server = dialer.start(store, &row.arguments);
    let aside = Connection::open(&server);
    let connections = vec![dialer.open(&server)];
    let mut talk = Talk {
        store,
        dialer,
        server,
        aside,
        connections,
        current: 0,
        marked: Instant::now(),
        frozen: false,
        cut,
    };
    for (place, step) in row.steps.iter().enumerate() {
        let result = talk.take(step);
        result.map_err(|problem| format!("step {}: {step}\n  {problem}", place + 1))?;
    }
    let result = talk.connections.iter_mut().try_for_each(Connection::finish);
    result.map_err(|problem| format!("after the last step:\n  {problem}"))
}

struct Talk<'a> {
    store: StoreKind,
    /// Opens the row's connections.
    dialer: &'a Dialer,
    server: Server,
    aside: Connection,
    connections: Vec<Connection>,
    /// The index of the current connection.
    current: usize,
    marked: Instant,
    /// The process has been stopped (SIGSTOP).
    frozen: bool,
    cut: Cut,
}

impl Talk<'_> {
    fn take(&mut self, step: &RowStep) -> Result<(), String> {
        match step {
            RowStep::Aside(request, answer) => self.aside.ask(request, answer),
            RowStep::Send(bytes) if self.cut == Cut::Bytes => {
                let size = 1 + bytes.len() / 500;
                bytes.chunks(size).try_for_each(|c| self.current().send(c))
            }
            RowStep::Send(bytes) => self.current().send(bytes),
            RowStep::Pieces(pieces) => {
                for (place, piece) in pieces.iter().enumerate() {
                    if place > 0 {
                        self.hear_nothing()?;
                    }
                    self.current().send(piece)?;
                }
                Ok(())
            }
            RowStep::Cuts(pieces) => {
                for piece in pieces {
                    self.current().send(piece)?;
                    self.settle()?;
                }
                Ok(())
            }
            RowStep::Expect(expected) => self.current().expect(expected),
            RowStep::AtOnce(bytes) => self.current().at_once(bytes),
            RowStep::Silence => {
                if self.store == StoreKind::Redis {
                    self.settle()?;
                    thread::sleep(MESSAGE_TIME);
                }
                self.hear_nothing()
            }
            RowStep::HalfClose => self.current().half_close(),
            RowStep::End => self.current().end(),
            RowStep::EndWithoutSuccess => self.current().end_without_success(),
            RowStep::Connect => self.go_on_with(self.connections.len()),
            RowStep::On(number) => self.go_on_with(*number),
            RowStep::HangUp => {
                let connection = self.connections.remove(self.current);
                let (server, client) = (connection.server(), connection.address());
                drop(connection);
                // The next step must not overtake the end of this connection.
                wait_until_told(server, client);
                let next = self.dialer.open(&self.server);
                self.connections.insert(self.current, next);
                if self.frozen {
                    return Ok(());
                }
                self.settle()
            }
            RowStep::Restart => {
                self.server.kill();
                self.server.restart();
                self.aside = Connection::open(&self.server);
                self.connections = vec![self.dialer.open(&self.server)];
                self.current = 0;
                Ok(())
            }
            RowStep::Until(request, answer) => self.until(request, |line| matches(answer, line)),
            RowStep::Queued(count) => self.until("GET /pool", |line| queued_for_a(line) == *count),
            RowStep::Mark => {
                self.marked = Instant::now();
                Ok(())
            }
            RowStep::NotBefore(least) => match self.marked.elapsed().as_millis() {
                gone if gone >= u128::from(*least) => Ok(()),
                gone => Err(format!("it is {gone} ms later")),
            },
            RowStep::Signal(name) => {
                self.server.signal(name);
                self.frozen = *name == "STOP";
                Ok(())
            }
        }
    }

    fn current(&mut self) -> &mut Connection {
        &mut self.connections[self.current]
    }

    fn go_on_with(&mut self, number: usize) -> Result<(), String> {
        while self.connections.len() <= number {
            self.connections.push(self.dialer.open(&self.server));
        }
        self.current = number;
        Ok(())
    }

    /// Asks again and again until the answer is right.
    fn until(&mut self, request: &str, right: impl Fn(&str) -> bool) -> Result<(), String> {
        let end = Instant::now() + CHANGE_PATIENCE;
        loop {
            let line = self.aside.ask_freely(request)?;
            if right(&line) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("the last answer was {line:?}"));
            }
            thread::sleep(GLANCE);
        }
    }

    /// Checks that the server has read all that was sent, and has not answered.
    fn hear_nothing(&mut self) -> Result<(), String> {
        self.settle()?;
        self.current().hear_nothing()
    }

    /// Waits until the server has read all that was sent, and has answered as far as it can.
    ///
    /// Two pings make that certain if the store is within the server. If it is Redis, they make it
    /// certain that the server has read all input, and has passed on its commands. Redis answers a
    /// connection in order. So when a listing has come back that was requested behind all that, the
    /// server has the replies to all that as well, and behind a second listing it has also written
    /// them.
    ///
    /// One thing stays uncertain: notices of Redis on the other connection, such as a resource that
    /// became free, upon which the server asks for it on behalf of a waiter. Redis sends such a notice
    /// when it answers the release. So the server very likely has it, and has asked, before the second
    /// listing is requested. Where a row expects silence, a moment for such notices is added: a row can
    /// be wrong there only by missing that a server answers late, never by failing.
    fn settle(&mut self) -> Result<(), String> {
        self.aside.ask("GET /ping", "200 pong")?;
        self.aside.ask("GET /ping", "200 pong")?;
        if self.store == StoreKind::Redis {
            self.aside.ask("GET /pool", "200…")?;
            self.aside.ask("GET /pool", "200…")?;
        }
        Ok(())
    }
}

/// The third number of pool A in the list of pools.
fn queued_for_a(line: &str) -> usize {
    let pools = line.strip_prefix("200 ").unwrap_or_default();
    let pool = pools.split('\t').find(|pool| pool.ends_with(" A"));
    let waiting = pool.and_then(|pool| pool.split(' ').nth(2)?.parse().ok());
    waiting.unwrap_or(usize::MAX)
}
