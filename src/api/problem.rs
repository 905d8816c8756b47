//! All errors of requests, with status, reason and message.

use std::borrow::Cow;

use super::{BodyError, BrowserProblem, MethodOverride};
use crate::command::{NameError, Refusal};
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
    /// The path has only these other methods.
    BadMethod(&'static str),
    /// The request has no such parameter.
    UnknownParameter {
        /// Its name, cut to what is safe to repeat.
        name: Box<str>,
        /// The parameters that the request has.
        known: &'static str,
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
    pub(super) fn unknown_parameter(name: &str, known: &'static str) -> Problem {
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

    /// Returns the error of a caller without a valid key.
    pub(super) fn of_auth_failure(failure: AuthFailure) -> Problem {
        match failure {
            AuthFailure::NoKey => Problem::NoKey,
            AuthFailure::WrongKey => Problem::WrongKey,
            AuthFailure::Unchecked => Problem::TooManyWrongKeys,
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        match self {
            Problem::Http(HttpError::BodyTooLarge) => 413,
            Problem::Http(HttpError::PathTooLong) => 414,
            Problem::Http(HttpError::HeadersTooLarge) => 431,
            Problem::Http(HttpError::BadEncoding) => 501,
            Problem::Http(HttpError::BadVersion) => 505,
            Problem::Http(_) => 400,
            Problem::Target(_) | Problem::Name(_) | Problem::Body(_) => 400,
            Problem::UnknownParameter { .. } | Problem::BadValue(..) => 400,
            Problem::NoMethodOverride(_) => 400,
            Problem::NoKey | Problem::WrongKey | Problem::TooManyWrongKeys => 401,
            Problem::NotAllowed(_) | Problem::Browser(_) => 403,
            Problem::Stopping | Problem::NoMemory => 503,
            Problem::NoRoute => 404,
            Problem::BadMethod(_) => 405,
            Problem::Refused(refusal) => match refusal {
                Refusal::NoPool | Refusal::NoResource | Refusal::NotHeld => 404,
                Refusal::Busy | Refusal::NotYours | Refusal::Stale | Refusal::OwnerHolds(_) => 409,
                Refusal::OnlyResources(_) => 422,
                Refusal::NotEmpty => 409,
                Refusal::StoreDown | Refusal::QueueFull => 503,
                Refusal::TooManyPools | Refusal::TooManyResources => 503,
            },
        }
    }

    /// The reason phrase, which is also the plain body.
    pub fn reason(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Problem::Http(error) => match error {
                HttpError::BadRequest | HttpError::MisspeltVersion => "bad request",
                HttpError::SeveralHosts => "bad host",
                HttpError::BadHeader => "bad header",
                HttpError::BadLength => "bad length",
                HttpError::BadChunk => "bad chunk",
                HttpError::BadVersion => "bad version",
                HttpError::BadEncoding => "bad encoding",
                HttpError::BodyTooLarge => "body too large",
                HttpError::PathTooLong => "path too long",
                HttpError::HeadersTooLarge => "headers too large",
            },
            Problem::Target(TargetError::Escape) => "bad escape",
            Problem::Target(TargetError::Utf8) => "bad UTF-8",
            Problem::Target(TargetError::EmptySegment) => "bad path",
            Problem::Name(_) => "bad name",
            Problem::Body(error) => error.reason(),
            Problem::NoKey => "no key",
            Problem::WrongKey => "wrong key",
            Problem::TooManyWrongKeys => "too many wrong keys",
            Problem::NotAllowed(_) => "not allowed",
            Problem::Browser(BrowserProblem::OtherOrigin) => "other origin",
            Problem::Browser(BrowserProblem::UnknownHost) => "unknown host",
            Problem::NoMethodOverride(_) => "bad parameter _method",
            Problem::Stopping => "stopping",
            Problem::NoMemory => "no memory",
            Problem::NoRoute => "no route",
            Problem::BadMethod(_) => "bad method",
            Problem::UnknownParameter { name, .. } if name.is_empty() => "bad parameter",
            Problem::UnknownParameter { name, .. } => {
                return format!("bad parameter {name}").into();
            }
            Problem::BadValue(name, _) => return format!("bad value of {name}").into(),
            Problem::Refused(refusal) => match refusal {
                Refusal::NoPool => "no pool",
                Refusal::NoResource => "no resource",
                Refusal::NotHeld => "not held",
                Refusal::Busy => "busy",
                Refusal::NotYours => "not yours",
                Refusal::Stale => "stale",
                Refusal::OwnerHolds(count) => return format!("owner holds {count}").into(),
                Refusal::NotEmpty => "not empty",
                Refusal::QueueFull => "queue full",
                Refusal::TooManyPools => "too many pools",
                Refusal::TooManyResources => "too many resources",
                Refusal::OnlyResources(count) => {
                    return format!("only {}", resources(*count)).into();
                }
                Refusal::StoreDown => "store down",
            },
        })
    }

    /// The code in JSON: the reason, unless that varies. The varying part is a field of its own,
    /// see `detail`.
    pub(super) fn code(&self) -> Cow<'static, str> {
        match self {
            Problem::UnknownParameter { .. } | Problem::NoMethodOverride(_) => {
                "bad parameter".into()
            }
            Problem::BadValue(..) => "bad value".into(),
            Problem::Refused(Refusal::OwnerHolds(_)) => "owner_holds".into(),
            Problem::Refused(Refusal::OnlyResources(_)) => "too_few".into(),
            _ => self.reason(),
        }
    }

    /// Returns the varying part of the reason, with its name in JSON.
    pub(super) fn detail(&self) -> Option<(&'static str, Detail<'_>)> {
        match self {
            Problem::UnknownParameter { name, .. } if name.is_empty() => None,
            Problem::UnknownParameter { name, .. } => Some(("parameter", Detail::Text(name))),
            Problem::BadValue(name, _) => Some(("parameter", Detail::Text(name))),
            Problem::NoMethodOverride(_) => Some(("parameter", Detail::Text("_method"))),
            Problem::Refused(Refusal::OwnerHolds(count)) => Some(("holds", Detail::Count(*count))),
            Problem::Refused(Refusal::OnlyResources(count)) => {
                Some(("resources", Detail::Count(*count)))
            }
            _ => None,
        }
    }

    /// Returns a sentence that says what is wrong and what is right.
    pub fn message(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Problem::Http(error) => match error {
                HttpError::BadRequest => "malformed request line; expected METHOD /PATH HTTP/1.1",
                HttpError::MisspeltVersion => {
                    "the request line ends in a misspelt version; expected METHOD /PATH HTTP/1.1. \
                     An id that looks like a version goes into JSON: [\"rack/2\"]"
                }
                HttpError::SeveralHosts => "several Host fields; expected one",
                HttpError::BadHeader => "malformed header field; expected NAME: VALUE",
                HttpError::BadLength => {
                    "the length of the body is ambiguous; expected one Content-Length, or chunked"
                }
                HttpError::BadChunk => "malformed chunk of the body; see RFC 9112 section 7.1",
                HttpError::BadVersion => "unknown version; expected HTTP/1.1 or HTTP/1.0",
                HttpError::BadEncoding => "unknown transfer coding; expected chunked",
                HttpError::BodyTooLarge => "the body is longer than --max-body allows",
                HttpError::PathTooLong => "the request line is longer than 8 KiB",
                HttpError::HeadersTooLarge => {
                    "the header block is longer than 8 KiB or has over 64 fields"
                }
            },
            Problem::Target(TargetError::Escape) => {
                "a per cent sign must be followed by two hexadecimal digits"
            }
            Problem::Target(TargetError::Utf8) => "escaped bytes must be UTF-8",
            Problem::Target(TargetError::EmptySegment) => {
                "a part of the path between slashes is empty"
            }
            Problem::Name(error) => return error.to_string().into(),
            Problem::Body(error) => return error.to_string().into(),
            Problem::NoKey => {
                "a key is needed: Authorization: Bearer SECRET, or Basic with the secret as password"
            }
            Problem::TooManyWrongKeys => {
                "too many wrong keys have come from this address (--max-wrong-keys), and this one has not \
                 worked from there within a day; try again in a minute"
            }
            Problem::WrongKey => {
                "the server knows no such key; expected Authorization: Bearer SECRET, or Basic with \
                 the name of the key or nothing as user, and the secret as password"
            }
            Problem::NotAllowed(role) => {
                return format!("the key must have the role {} in this pool", role.name()).into();
            }
            Problem::Browser(BrowserProblem::OtherOrigin) => {
                "pages of this origin may change nothing here; --cors ORIGIN allows an origin"
            }
            Problem::Browser(BrowserProblem::UnknownHost) => {
                "browsers may not use the server by this name; --host NAME allows a name"
            }
            Problem::NoMethodOverride(MethodOverride::Off) => {
                "_method is off here (--no-method-override); send the method itself"
            }
            Problem::NoMethodOverride(_) => "a page may not use _method; send the method itself",
            Problem::Stopping => "the server stops; try again later",
            Problem::NoMemory => {
                "the buffers of the server are full (--max-buffers); try again later"
            }
            Problem::NoRoute => "there is nothing at this path; see /pool",
            Problem::BadMethod(methods) => return format!("this path takes {methods}").into(),
            Problem::UnknownParameter { name, known } => {
                return format!("parameter {name:?} is not known here; known: {known}").into();
            }
            Problem::BadValue(name, right) => {
                return format!("parameter {name} has a bad value; expected {right}, once").into();
            }
            Problem::Refused(refusal) => match refusal {
                Refusal::NoPool => "there is no pool of this name; POST /pool makes one",
                Refusal::NoResource => "the pool has no such resource",
                Refusal::NotHeld => "this resource is not held",
                Refusal::Busy => {
                    "every matching resource is held; try again later, or wait with wait=S"
                }
                Refusal::NotYours => "the lock has another owner; expected that owner, or force",
                Refusal::Stale => "the lock has another fence: it was lent again since",
                Refusal::OwnerHolds(count) => {
                    return format!(
                        "this owner holds {count} here, and not what this request asks for"
                    )
                    .into();
                }
                Refusal::NotEmpty => "there are pools already; a dump goes into an empty store",
                Refusal::QueueFull => {
                    "the queue is full, here or for this address; try again later"
                }
                Refusal::TooManyPools => "the limit on pools is reached (--max-pools)",
                Refusal::TooManyResources => {
                    "the limit on resources is reached (--max-resources, --max-pool-resources)"
                }
                Refusal::OnlyResources(count) => {
                    return format!(
                        "the pool has {}, and can never lend more",
                        resources(*count)
                    )
                    .into();
                }
                Refusal::StoreDown => {
                    "the store cannot be written; the server tries again by itself"
                }
            },
        })
    }
}

/// The varying part of a reason.
pub(super) enum Detail<'a> {
    Text(&'a str),
    Count(usize),
}

/// Returns a number of resources, with the noun in singular or plural.
fn resources(count: usize) -> String {
    match count {
        1 => "1 resource".into(),
        _ => format!("{count} resources"),
    }
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
