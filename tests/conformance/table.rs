//! The form of a row: what is said, and what must be heard, step by step.

use std::fmt;

/// One promise and the conversation that shows it.
pub struct Row {
    pub name: String,
    pub promise: &'static str,
    pub arguments: Vec<&'static str>,
    pub steps: Vec<Step>,
    /// Only for stores that keep what they know when the process is killed.
    pub durable: bool,
    /// The answer depends on what arrives together, or all is cut already: `split` leaves it.
    pub kept_whole: bool,
}

pub enum Step {
    /// Says a one-line request on a connection beside the row's own, and compares the answer.
    Aside(String, String),
    Send(Vec<u8>),
    /// Sends pieces that the server reads one by one, and hears nothing before the last is out.
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
    /// The server closes its side; what it says before that, if anything, is a failure.
    EndWithoutSuccess,
    /// Goes on with a new connection; the one before stays open.
    Connect,
    /// Closes the connection at once, and goes on with a new one.
    HangUp,
    /// SIGKILL, and a new process on the same store.
    Restart,
}

pub enum Expected {
    Bytes(Vec<u8>),
    Answer(Answer),
    /// A one-line answer, without its line feed; `…` at the end stands for anything.
    Line(String),
    /// A failure in either form, where the request has not shown which form it is.
    EitherForm(String),
}

/// An answer whose headers may come in any order. Exactly these and Content-Length must be there.
pub struct Answer {
    pub status: String,
    pub headers: Vec<(&'static str, Value)>,
    pub optional: Vec<&'static str>,
    pub body: Body,
}

pub enum Value {
    Is(&'static str),
    OneOf(Vec<&'static str>),
    Has(Vec<&'static str>),
    HasOrStar(Vec<&'static str>),
    Number,
}

pub enum Body {
    Is(String),
    /// The body is the reason phrase.
    Reason,
    JsonError,
}

pub fn row(name: impl Into<String>, promise: &'static str) -> Row {
    Row {
        name: name.into(),
        promise,
        arguments: Vec::new(),
        steps: Vec::new(),
        durable: false,
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

    pub fn kept_whole(mut self) -> Row {
        self.kept_whole = true;
        self
    }

    /// Sets the stage: a one-line request on another connection, which must succeed.
    pub fn given(self, request: impl Into<String>) -> Row {
        self.step(Step::Aside(request.into(), "200…".into()))
    }

    /// Looks at the outcome: a one-line request on another connection, and its answer.
    pub fn check(self, request: impl Into<String>, answer: impl Into<String>) -> Row {
        self.step(Step::Aside(request.into(), answer.into()))
    }

    pub fn send(self, bytes: impl AsRef<[u8]>) -> Row {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Sends pieces, each of which the server has read before the next leaves.
    pub fn pieces<T: AsRef<[u8]>>(self, pieces: &[T]) -> Row {
        let pieces = pieces.iter().map(|piece| piece.as_ref().to_vec()).collect();
        self.step(Step::Pieces(pieces))
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
                self = self.step(Step::Cuts(pieces)).expect(answers);
            }
        }
        self
    }

    pub fn expect(self, expected: impl Into<Expected>) -> Row {
        self.step(Step::Expect(expected.into()))
    }

    pub fn at_once(self, bytes: impl AsRef<[u8]>) -> Row {
        self.step(Step::AtOnce(bytes.as_ref().to_vec()))
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

    /// Sends something that breaks the framing: the answer says why, and the connection ends.
    pub fn breaks(self, request: impl AsRef<[u8]>, status: &str) -> Row {
        self.ask(request, super::request::fails_and_closes(status))
            .end()
    }

    /// As `breaks`, for a request from which the form of the answer cannot be known.
    pub fn breaks_in_either_form(self, request: impl AsRef<[u8]>, status: &str) -> Row {
        self.ask(request, Expected::EitherForm(status.into())).end()
    }

    pub fn silence(self) -> Row {
        self.step(Step::Silence)
    }

    pub fn half_close(self) -> Row {
        self.step(Step::HalfClose)
    }

    pub fn end(self) -> Row {
        self.step(Step::End)
    }

    pub fn end_without_success(self) -> Row {
        self.step(Step::EndWithoutSuccess)
    }

    pub fn connect(self) -> Row {
        self.step(Step::Connect)
    }

    pub fn hang_up(self) -> Row {
        self.step(Step::HangUp)
    }

    pub fn restart(self) -> Row {
        self.step(Step::Restart)
    }

    fn step(mut self, step: Step) -> Row {
        self.steps.push(step);
        self
    }
}

impl Answer {
    pub fn new(status: &str, body: Body) -> Answer {
        Answer {
            status: status.into(),
            headers: Vec::new(),
            optional: Vec::new(),
            body,
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<Value>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// A header that may be there or not, where both are right.
    pub fn optional(mut self, name: &'static str) -> Answer {
        self.optional.push(name);
        self
    }

    /// What is wrong with this answer, if anything.
    pub fn compare(
        &self,
        status: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(), String> {
        if !matches(&self.status, status) {
            return Err(format!("the status is {status:?}, not {:?}", self.status));
        }
        for (name, expected) in &self.headers {
            let value = headers.iter().find(|(given, _)| given == name);
            let (_, value) = value.ok_or_else(|| format!("there is no header {name}"))?;
            if !expected.holds(value) {
                return Err(format!("{name} is {value:?}, not {expected:?}"));
            }
        }
        for (place, (name, _)) in headers.iter().enumerate() {
            let known = *name == "Content-Length"
                || self.optional.contains(name)
                || self.headers.iter().any(|(expected, _)| expected == name);
            if !known {
                return Err(format!("header {name} has no business here"));
            }
            if headers[..place].iter().any(|(earlier, _)| earlier == name) {
                return Err(format!("header {name} comes twice"));
            }
        }
        let reason = status.split_once(' ').map_or("", |(_, reason)| reason);
        match &self.body {
            Body::Is(expected) if expected == body => Ok(()),
            Body::Is(expected) => Err(format!("the body is {body:?}, not {expected:?}")),
            Body::Reason if body == reason => Ok(()),
            Body::Reason => Err(format!("the body is {body:?}, not the reason phrase")),
            Body::JsonError => compare_json_error(status, reason, body),
        }
    }
}

/// The code is the reason phrase; where that one tells details, the code may be its beginning.
fn compare_json_error(status: &str, reason: &str, body: &str) -> Result<(), String> {
    let error: serde_json::Value =
        serde_json::from_str(body).map_err(|e| format!("{e}: {body:?}"))?;
    let compact = error.to_string();
    let code = error["code"].as_str().unwrap_or_default();
    let detailed = status.starts_with("400") || status.starts_with("422");
    let right = code == reason || (detailed && !code.is_empty() && reason.starts_with(code));
    if !right {
        return Err(format!("the code is {:?}, not {reason:?}", error["code"]));
    }
    if error["message"].as_str().unwrap_or_default().is_empty() {
        return Err(format!("no message in {body:?}"));
    }
    if error.as_object().map_or(0, |members| members.len()) != 2 || compact != body {
        return Err(format!("not a compact code and message: {body:?}"));
    }
    Ok(())
}

/// Whether a text is as expected, where `…` at the end of what is expected stands for anything.
pub fn matches(expected: &str, text: &str) -> bool {
    match expected.strip_suffix('…') {
        Some(beginning) => text.starts_with(beginning),
        None => text == expected,
    }
}

impl Value {
    fn holds(&self, value: &str) -> bool {
        let listed = |word: &&str| {
            value
                .split(',')
                .any(|w| w.trim().eq_ignore_ascii_case(word))
        };
        match self {
            Value::Is(expected) => value == *expected,
            Value::OneOf(expected) => expected.contains(&value),
            Value::Has(words) => words.iter().all(listed),
            Value::HasOrStar(words) => value == "*" || words.iter().all(listed),
            Value::Number => !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Value::Is(expected) => write!(f, "{expected:?}"),
            Value::OneOf(expected) => write!(f, "one of {expected:?}"),
            Value::Has(words) => write!(f, "a list with {words:?}"),
            Value::HasOrStar(words) => write!(f, "* or a list with {words:?}"),
            Value::Number => write!(f, "a number"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Step::Aside(request, _) => write!(f, "beside it, {request:?}"),
            Step::Send(bytes) => write!(f, "send \"{}\"", bytes.escape_ascii()),
            Step::Pieces(pieces) | Step::Cuts(pieces) => {
                let pieces: Vec<String> = pieces
                    .iter()
                    .map(|p| p.escape_ascii().to_string())
                    .collect();
                write!(f, "send in pieces \"{}\"", pieces.join("|"))
            }
            Step::Expect(_) => write!(f, "expect an answer"),
            Step::AtOnce(_) => write!(f, "expect an answer in one read"),
            Step::Silence => write!(f, "expect silence"),
            Step::HalfClose => write!(f, "half-close"),
            Step::End => write!(f, "expect the end"),
            Step::EndWithoutSuccess => write!(f, "expect the end, and no success"),
            Step::Connect => write!(f, "connect again"),
            Step::HangUp => write!(f, "hang up"),
            Step::Restart => write!(f, "kill and restart"),
        }
    }
}

impl From<&str> for Expected {
    fn from(bytes: &str) -> Expected {
        Expected::Bytes(bytes.into())
    }
}

impl From<String> for Expected {
    fn from(bytes: String) -> Expected {
        Expected::Bytes(bytes.into())
    }
}

impl From<Answer> for Expected {
    fn from(answer: Answer) -> Expected {
        Expected::Answer(answer)
    }
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Value {
        Value::Is(value)
    }
}
