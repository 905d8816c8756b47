//! Expected answers: to the byte, or with free parts, and their comparison.

use std::fmt;

/// The seconds that may pass between a grant and a request for it, on a busy machine.
const SLOWNESS: u64 = 9;

pub enum Expected {
    Bytes(Vec<u8>),
    ExpectedAnswer(ExpectedAnswer),
    /// A one-line answer, without its line feed; `…` at the end stands for anything.
    Line(String),
    /// A failure in either form, where the request has not shown which form it is.
    EitherForm(String),
}

/// An answer whose headers may come in any order. Exactly these and Content-Length must be there.
pub struct ExpectedAnswer {
    pub status: String,
    pub headers: Vec<(&'static str, Value)>,
    pub optional: Vec<&'static str>,
    pub body: Body,
}

pub enum Value {
    Is(&'static str),
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

impl ExpectedAnswer {
    pub fn new(status: &str, body: Body) -> ExpectedAnswer {
        ExpectedAnswer {
            status: status.into(),
            headers: Vec::new(),
            optional: Vec::new(),
            body,
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<Value>) -> ExpectedAnswer {
        self.headers.push((name, value.into()));
        self
    }

    /// The type that depends on Accept. The answer to a GET also has `Cache-Control: no-store`;
    /// `caching` tests where it must be and where not.
    pub fn typed(self, value: &'static str) -> ExpectedAnswer {
        self.header("Content-Type", value).optional("Cache-Control")
    }

    /// A header that may be there or not, where both are right.
    pub fn optional(mut self, name: &'static str) -> ExpectedAnswer {
        self.optional.push(name);
        self
    }

    /// Compares an answer with this one; the error says what is wrong.
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
            if *name == "Cache-Control" && headers[place].1 != "no-store" {
                return Err(format!("Cache-Control is {:?}", headers[place].1));
            }
            if headers[..place].iter().any(|(earlier, _)| earlier == name) {
                return Err(format!("header {name} comes twice"));
            }
        }
        let reason = status.split_once(' ').map_or("", |(_, reason)| reason);
        match &self.body {
            Body::Is(expected) if about(expected, body) == body => Ok(()),
            Body::Is(expected) => Err(format!("the body is {body:?}, not {expected:?}")),
            Body::Reason if body == reason => Ok(()),
            Body::Reason => Err(format!("the body is {body:?}, not the reason phrase")),
            Body::JsonError => compare_json_error(reason, body),
        }
    }
}

/// The code is the reason phrase, but for the details in it: these are a member of their own.
fn compare_json_error(reason: &str, body: &str) -> Result<(), String> {
    let error: serde_json::Value =
        serde_json::from_str(body).map_err(|e| format!("{e}: {body:?}"))?;
    let message = error["message"].as_str().unwrap_or_default();
    if message.is_empty() {
        return Err(format!("no message in {body:?}"));
    }
    let rest = |before: &str| reason.strip_prefix(before);
    let (code, detail) = if let Some(count) = rest("owner holds ") {
        ("owner_holds", format!(r#""holds":{count},"#))
    } else if let Some(words) = rest("only ") {
        let count = words.split(' ').next().unwrap_or_default();
        ("too_few", format!(r#""resources":{count},"#))
    } else if let Some(name) = rest("bad parameter ") {
        ("bad parameter", format!(r#""parameter":"{name}","#))
    } else if let Some(name) = rest("bad value of ") {
        ("bad value", format!(r#""parameter":"{name}","#))
    } else {
        (reason, String::new())
    };
    let message = serde_json::Value::from(message);
    let right = format!(r#"{{"code":"{code}",{detail}"message":{message}}}"#);
    if right != body {
        return Err(format!("the body is {body:?}, not {right:?}"));
    }
    Ok(())
}

/// The expected text, where `~60` stands for 60 and for the seconds before, as a ttl runs down: it is
/// replaced by the text's own value, if that is one of them. An age of 0 stands for `~9`.
fn about(expected: &str, text: &str) -> String {
    let expected = expected.replace(r#""age":0"#, r#""age":~9"#);
    let mut exact = String::new();
    let mut rest = &*expected;
    while let Some((before, after)) = rest.split_once('~') {
        exact.push_str(before);
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let (most, tail) = after.split_at(digits(after));
        let there = text.get(exact.len()..).unwrap_or_default();
        let there = &there[..digits(there)];
        let near = match (most.parse::<u64>(), there.parse::<u64>()) {
            (Ok(most), Ok(there)) => (most.saturating_sub(SLOWNESS)..=most).contains(&there),
            _ => false,
        };
        exact.push_str(if near { there } else { most });
        rest = tail;
    }
    exact + rest
}

/// Whether a text is as expected, where a final `…` in `expected` matches any text.
pub fn matches(expected: &str, text: &str) -> bool {
    let expected = &*about(expected, text);
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
            Value::Has(words) => write!(f, "a list with {words:?}"),
            Value::HasOrStar(words) => write!(f, "* or a list with {words:?}"),
            Value::Number => write!(f, "a number"),
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

impl From<ExpectedAnswer> for Expected {
    fn from(answer: ExpectedAnswer) -> Expected {
        Expected::ExpectedAnswer(answer)
    }
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Value {
        Value::Is(value)
    }
}
