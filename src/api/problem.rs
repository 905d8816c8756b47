//! All errors of requests, with status, reason and message.

use std::borrow::Cow;

use super::{BodyError, BrowserProblem, MethodOverride};
use crate::command::{NameError, Refusal};
use crate::contract::parameters::METHOD;
use crate::contract::{Parameter, RefusalId, RefusalRow, Route};
use crate::http::{HttpError, TargetError};
use crate::keys::{AuthFailure, Role};

/// The reason why a request is not answered with 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The bytes are not a request of HTTP.
    Http(HttpError),
    /// The path or the query cannot be decoded.
    Target(TargetError),
    /// A name in the path is malformed.
    Name(NameError),
    /// The body is not of the form that this request takes.
    Body(BodyError),
    /// The path does not exist.
    NoRoute,
    /// The path does not have this method.
    BadMethod(Route),
    /// The request has no such parameter.
    UnknownParameter {
        /// Its name, cut to what is safe to repeat.
        name: Box<str>,
        /// The parameters that the request has.
        known: &'static [&'static Parameter],
    },
    /// The named parameter needs a value of this form.
    BadValue(&'static str, Cow<'static, str>),
    /// Keys are required, and the request has none.
    NoKey,
    /// The request has a key that the server does not know.
    WrongKey,
    /// Too many wrong keys came from the address of the caller.
    TooManyWrongKeys,
    /// A browser sent the request, and it is refused.
    Browser(BrowserProblem),
    /// `_method` does not count in this request, or on this server.
    NoMethodOverride(MethodOverride),
    /// The key does not have this role in the pool.
    NotAllowed(Role),
    /// The store refused.
    Refused(Refusal),
    /// The server is stopping.
    Stopping,
    /// Requests and answers of other clients fill the memory for both.
    NoMemory,
}

impl Problem {
    /// Returns the error of an unknown parameter. A reason phrase repeats `name`, which comes from
    /// a client: only if that is safe.
    pub(super) fn unknown_parameter(name: &str, known: &'static [&'static Parameter]) -> Problem {
        let harmless = name.len() <= 32
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        let name = if harmless {
            name.into()
        } else {
            Box::default()
        };
        Problem::UnknownParameter { name, known }
    }

    /// Returns the error of a value that is not of the form of its parameter.
    pub(super) fn bad_value(parameter: &'static Parameter) -> Problem {
        Problem::BadValue(parameter.name, parameter.expected())
    }

    /// Returns the error of a caller without a valid key.
    pub(super) fn of_auth_failure(failure: AuthFailure) -> Problem {
        match failure {
            AuthFailure::NoKey => Problem::NoKey,
            AuthFailure::WrongKey => Problem::WrongKey,
            AuthFailure::Unchecked => Problem::TooManyWrongKeys,
        }
    }

    /// Returns its row in the contract.
    pub(super) fn row(&self) -> &'static RefusalRow {
        let id = match self {
            Problem::Refused(refusal) => refusal.id(),
            Problem::Http(error) => match error {
                HttpError::BadRequest => RefusalId::BadRequest,
                HttpError::MisspeltVersion => RefusalId::MisspeltVersion,
                HttpError::SeveralHosts => RefusalId::SeveralHosts,
                HttpError::BadHeader => RefusalId::BadHeader,
                HttpError::BadLength => RefusalId::BadLength,
                HttpError::BadChunk => RefusalId::BadChunk,
                HttpError::BadVersion => RefusalId::BadVersion,
                HttpError::BadEncoding => RefusalId::BadEncoding,
                HttpError::BodyTooLarge => RefusalId::BodyTooLarge,
                HttpError::PathTooLong => RefusalId::PathTooLong,
                HttpError::HeadersTooLarge => RefusalId::HeadersTooLarge,
            },
            Problem::Target(TargetError::Escape) => RefusalId::BadEscape,
            Problem::Target(TargetError::Utf8) => RefusalId::BadUtf8,
            Problem::Target(TargetError::EmptySegment) => RefusalId::BadPath,
            Problem::Name(_) => RefusalId::BadName,
            Problem::Body(error) => error.id(),
            Problem::NoKey => RefusalId::NoKey,
            Problem::WrongKey => RefusalId::WrongKey,
            Problem::TooManyWrongKeys => RefusalId::TooManyWrongKeys,
            Problem::NotAllowed(_) => RefusalId::NotAllowed,
            Problem::Browser(BrowserProblem::OtherOrigin) => RefusalId::OtherOrigin,
            Problem::Browser(BrowserProblem::UnknownHost) => RefusalId::UnknownHost,
            Problem::NoMethodOverride(MethodOverride::Off) => RefusalId::MethodOverrideOff,
            Problem::NoMethodOverride(_) => RefusalId::MethodOverrideOfPage,
            Problem::Stopping => RefusalId::Stopping,
            Problem::NoMemory => RefusalId::NoMemory,
            Problem::NoRoute => RefusalId::NoRoute,
            Problem::BadMethod(_) => RefusalId::BadMethod,
            Problem::UnknownParameter { name, .. } if name.is_empty() => {
                RefusalId::UnnamedParameter
            }
            Problem::UnknownParameter { .. } => RefusalId::UnknownParameter,
            Problem::BadValue(..) => RefusalId::BadValue,
        };
        id.row()
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.row().status
    }

    /// The reason phrase, which is also the plain body.
    pub fn reason(&self) -> Cow<'static, str> {
        let words = self.row().words;
        match self.detail() {
            None => words.into(),
            Some((_, Detail::Text(text))) => fill(words, &[text]).into(),
            Some((_, Detail::Count(count))) => fill(words, &[&self.in_words(count)]).into(),
        }
    }

    /// The code in JSON: the reason, unless that varies. The varying part is a field of its own,
    /// see `detail`.
    pub(super) fn code(&self) -> &'static str {
        self.row().code
    }

    /// Returns the varying part of the reason, with its name in JSON.
    pub(super) fn detail(&self) -> Option<(&'static str, Detail<'_>)> {
        let field = self.row().field?;
        let detail = match self {
            Problem::UnknownParameter { name, .. } => Detail::Text(name),
            Problem::BadValue(name, _) => Detail::Text(name),
            Problem::NoMethodOverride(_) => Detail::Text(METHOD.name),
            Problem::Refused(refusal) => Detail::Count(refusal.count()?),
            _ => return None,
        };
        Some((field, detail))
    }

    /// Returns a sentence that says what is wrong and what is right.
    pub fn message(&self) -> Cow<'static, str> {
        let message = self.row().message;
        match self {
            Problem::Name(error) => error.to_string(),
            Problem::Body(error) => error.to_string(),
            Problem::NotAllowed(role) => fill(message, &[role.name()]),
            Problem::BadMethod(route) => fill(message, &[route.allow()]),
            Problem::UnknownParameter { name, known } => {
                let known: Vec<&str> = known.iter().map(|known| known.name).collect();
                let known = if known.is_empty() {
                    "none".into()
                } else {
                    known.join(", ")
                };
                fill(message, &[&format!("{name:?}"), &known])
            }
            Problem::BadValue(name, right) => fill(message, &[name, right]),
            Problem::Refused(refusal) if let Some(count) = refusal.count() => {
                fill(message, &[&self.in_words(count)])
            }
            _ => return message.into(),
        }
        .into()
    }

    /// Returns the number in its words: that of resources with the noun, in singular or plural.
    fn in_words(&self, count: usize) -> String {
        match (self, count) {
            (Problem::Refused(Refusal::OnlyResources(_)), 1) => "1 resource".into(),
            (Problem::Refused(Refusal::OnlyResources(_)), _) => format!("{count} resources"),
            _ => count.to_string(),
        }
    }
}

/// Returns a template of the contract with these texts for each `{}`.
fn fill(template: &str, texts: &[&str]) -> String {
    let mut parts = template.split("{}");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for (part, text) in parts.zip(texts) {
        filled.push_str(text);
        filled.push_str(part);
    }
    filled
}

/// The varying part of a reason.
pub(super) enum Detail<'a> {
    Text(&'a str),
    Count(usize),
}

impl From<TargetError> for Problem {
    fn from(error: TargetError) -> Problem {
        Problem::Target(error)
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Problem {
        Problem::Name(error)
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Problem {
        Problem::Body(error)
    }
}
