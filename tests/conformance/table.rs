//! The form of a row: requests and expected answers, step by step.

use std::fmt;

use super::expected::Expected;
use crate::support::StoreKind;

/// One promise and the conversation that shows it.
pub struct Row {
    pub name: String,
    pub promise: &'static str,
    pub arguments: Vec<&'static str>,
    pub steps: Vec<RowStep>,
    /// Only for stores that keep their state when the process is killed.
    pub durable: bool,
    /// The only store that the promise is about; `None` for all stores.
    pub only: Option<StoreKind>,
    /// The answer depends on what arrives together, or all is cut already: `split` leaves it.
    pub kept_whole: bool,
}

pub enum RowStep {
    /// Says a one-line request on a connection beside the row's own, and compares the answer.
    Aside(String, String),
    Send(Vec<u8>),
    /// Sends pieces that the server reads one by one, and gets no answer before the last is out.
    Pieces(Vec<Vec<u8>>),
    /// Sends pieces that the server reads one by one, and may answer one by one.
    Cuts(Vec<Vec<u8>>),
    Expect(Expected),
    /// The bytes must be there in one read, as they are when they left in one write.
    AtOnce(Vec<u8>),
    /// The server says nothing although it has seen all that was sent.
    Silence,
    HalfClose,
    /// The server has closed its side, without a reset and without a further byte.
    End,
    /// The server closes its side; an answer before that, if any, reports an error.
    EndWithoutSuccess,
    /// Continues with a new connection; the one before stays open.
    Connect,
    /// Closes the connection at once, and continues with a new one.
    HangUp,
    /// SIGKILL, and a new process on the same store.
    Restart,
    /// Continues with the connection of this number, counted from 0; a missing one is opened.
    On(usize),
    /// Says a one-line request beside it again and again, until this is the answer.
    Until(String, String),
    /// Polls pool A on another connection, until this many clients are queued.
    Queued(usize),
    /// Notes the time.
    Mark,
    /// This many milliseconds have gone since the note, or more.
    NotBefore(u64),
    /// A signal to the process, by its name.
    Signal(&'static str),
}

pub fn row(name: impl Into<String>, promise: &'static str) -> Row {
    Row {
        name: name.into(),
        promise,
        arguments: Vec::new(),
        steps: Vec::new(),
        durable: false,
        only: None,
        kept_whole: false,
    }
}

impl Row {
    /// Starts the server with further arguments.
    pub fn server(mut self, arguments: &[&'static str]) -> Row {
        self.arguments = arguments.to_vec();
        self
    }

    pub fn durable(mut self) -> Row {
        self.durable = true;
        self
    }

    pub fn only(mut self, store: StoreKind) -> Row {
        self.only = Some(store);
        self
    }

    pub fn kept_whole(mut self) -> Row {
        self.kept_whole = true;
        self
    }

    /// Sets the stage: a one-line request on another connection, which must succeed.
    pub fn given(self, request: impl Into<String>) -> Row {
        self.step(RowStep::Aside(request.into(), "200…".into()))
    }

    /// Checks the outcome: a one-line request on another connection, and its answer.
    pub fn check(self, request: impl Into<String>, answer: impl Into<String>) -> Row {
        self.step(RowStep::Aside(request.into(), answer.into()))
    }

    pub fn send(self, bytes: impl AsRef<[u8]>) -> Row {
        self.step(RowStep::Send(bytes.as_ref().to_vec()))
    }

    /// Sends pieces, each of which the server has read before the next leaves.
    pub fn pieces<T: AsRef<[u8]>>(self, pieces: &[T]) -> Row {
        let pieces = pieces.iter().map(|piece| piece.as_ref().to_vec()).collect();
        self.step(RowStep::Pieces(pieces))
    }

    /// Sends byte by byte, each of which the server has read before the next leaves.
    pub fn bytes(self, bytes: impl AsRef<[u8]>) -> Row {
        let pieces: Vec<&[u8]> = bytes.as_ref().chunks(1).collect();
        self.pieces(&pieces)
    }

    /// Says the same once for every place where it can be cut in two, on one connection.
    pub fn every_cut(mut self, request: impl AsRef<[u8]>, answer: &str) -> Row {
        self.kept_whole = true;
        let request = request.as_ref();
        for cut in 1..request.len() {
            self = self.pieces(&[&request[..cut], &request[cut..]]);
            self = self.expect(answer);
        }
        self
    }

    /// Says the same, which may be several requests, once for every two places where it can be cut
    /// in three, on one connection.
    pub fn every_two_cuts(mut self, requests: impl AsRef<[u8]>, answers: &str) -> Row {
        self.kept_whole = true;
        let requests = requests.as_ref();
        for first in 1..requests.len() {
            for second in first..requests.len() {
                let (head, tail) = requests.split_at(second);
                let pieces = [&head[..first], &head[first..], tail];
                let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
                self = self.step(RowStep::Cuts(pieces)).expect(answers);
            }
        }
        self
    }

    pub fn expect(self, expected: impl Into<Expected>) -> Row {
        self.step(RowStep::Expect(expected.into()))
    }

    pub fn at_once(self, bytes: impl AsRef<[u8]>) -> Row {
        self.step(RowStep::AtOnce(bytes.as_ref().to_vec()))
    }

    /// Sends a request and compares the answer.
    pub fn ask(self, request: impl AsRef<[u8]>, expected: impl Into<Expected>) -> Row {
        self.send(request).expect(expected)
    }

    /// Sends a one-line request and compares the answer; both are written without the line feed.
    pub fn line(self, request: impl Into<String>, answer: impl Into<String>) -> Row {
        self.send(request.into() + "\n")
            .expect(Expected::Line(answer.into()))
    }

    /// Acquires from pool A again and again, and gets these.
    pub fn lends(mut self, ids: &[&str]) -> Row {
        for id in ids {
            self = self.line("POST /pool/A/lock", format!("200 {id}"));
        }
        self
    }

    /// Sends bytes that break the framing: the answer says why, and the connection ends.
    pub fn breaks(self, request: impl AsRef<[u8]>, status: &str) -> Row {
        self.ask(request, super::request::fails_and_closes(status))
            .end()
    }

    /// As `breaks`, for a request from which the form of the answer cannot be known.
    pub fn breaks_in_either_form(self, request: impl AsRef<[u8]>, status: &str) -> Row {
        self.ask(request, Expected::EitherForm(status.into())).end()
    }

    pub fn silence(self) -> Row {
        self.step(RowStep::Silence)
    }

    pub fn half_close(self) -> Row {
        self.step(RowStep::HalfClose)
    }

    pub fn end(self) -> Row {
        self.step(RowStep::End)
    }

    pub fn end_without_success(self) -> Row {
        self.step(RowStep::EndWithoutSuccess)
    }

    pub fn connect(self) -> Row {
        self.step(RowStep::Connect)
    }

    pub fn hang_up(self) -> Row {
        self.step(RowStep::HangUp)
    }

    pub fn restart(self) -> Row {
        self.step(RowStep::Restart)
    }

    /// Continues with the connection of this number. The row starts on 0.
    pub fn on(self, number: usize) -> Row {
        self.step(RowStep::On(number))
    }

    /// Says a one-line request on another connection until this is the answer.
    pub fn until(self, request: impl Into<String>, answer: impl Into<String>) -> Row {
        self.step(RowStep::Until(request.into(), answer.into()))
    }

    /// Polls the pools on another connection until this many clients are queued for pool A.
    pub fn queued(self, count: usize) -> Row {
        self.step(RowStep::Queued(count))
    }

    /// Sends a one-line request that gets no answer yet: this many clients are queued then.
    pub fn waits(self, request: impl Into<String>, count: usize) -> Row {
        self.send(request.into() + "\n").queued(count).silence()
    }

    /// Compares the one-line answer that has been waited for.
    pub fn hears(self, answer: impl Into<String>) -> Row {
        self.expect(Expected::Line(answer.into()))
    }

    /// Stops the server. It sees nothing of the following steps before `thaw`, and then all of it at
    /// once.
    pub fn freeze(self) -> Row {
        self.step(RowStep::Signal("STOP"))
    }

    pub fn thaw(self) -> Row {
        self.step(RowStep::Signal("CONT"))
    }

    /// Asks the process to stop.
    pub fn terminate(self) -> Row {
        self.step(RowStep::Signal("TERM"))
    }

    pub fn mark(self) -> Row {
        self.step(RowStep::Mark)
    }

    /// Not earlier after `mark` than this. Where a time is only roughly right, as with a wait, rows
    /// leave 10 ms. A row with real seconds is not also sent byte by byte.
    pub fn not_before(self, milliseconds: u64) -> Row {
        self.kept_whole().step(RowStep::NotBefore(milliseconds))
    }

    fn step(mut self, step: RowStep) -> Row {
        self.steps.push(step);
        self
    }
}

impl fmt::Display for RowStep {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RowStep::Aside(request, _) => write!(f, "beside it, {request:?}"),
            RowStep::Send(bytes) => write!(f, "send \"{}\"", bytes.escape_ascii()),
            RowStep::Pieces(pieces) | RowStep::Cuts(pieces) => {
                let pieces: Vec<String> = pieces
                    .iter()
                    .map(|p| p.escape_ascii().to_string())
                    .collect();
                write!(f, "send in pieces \"{}\"", pieces.join("|"))
            }
            RowStep::Expect(_) => write!(f, "expect an answer"),
            RowStep::AtOnce(_) => write!(f, "expect an answer in one read"),
            RowStep::Silence => write!(f, "expect silence"),
            RowStep::HalfClose => write!(f, "half-close"),
            RowStep::End => write!(f, "expect the end"),
            RowStep::EndWithoutSuccess => write!(f, "expect the end, and no success"),
            RowStep::Connect => write!(f, "connect again"),
            RowStep::HangUp => write!(f, "hang up"),
            RowStep::Restart => write!(f, "kill and restart"),
            RowStep::On(number) => write!(f, "go on with connection {number}"),
            RowStep::Until(request, _) => write!(f, "beside it, {request:?} until it is so"),
            RowStep::Queued(count) => write!(f, "wait until {count} are queued"),
            RowStep::Mark => write!(f, "note the time"),
            RowStep::NotBefore(time) => write!(f, "{time} ms later"),
            RowStep::Signal(name) => write!(f, "SIG{name}"),
        }
    }
}
