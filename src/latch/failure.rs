//! Failures, with messages for people and codes for scripts.

use crate::client::{ClientError, ClientResponse, Request};
pub(super) use crate::contract::Cause;
use crate::contract::{REFUSALS, RefusalRow};

use super::text::clean;

/// The exit code of a subcommand, which may be other than 0 without an error.
pub(super) type ExitResult = Result<u8, Failure>;

/// The effect that a failed request may have had on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// None: there was no connection.
    NotAsked,
    /// None: the server refused it.
    Refused,
    /// Unknown: the answer was lost, or is not latchd's.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// A short, stable code, such as the server's.
    pub(super) code: String,
    /// A sentence fit for a terminal.
    pub(super) message: String,
    pub(super) effect: Effect,
}

impl Failure {
    pub(super) fn new(cause: Cause, code: &str, message: impl Into<String>) -> Failure {
        Failure {
            cause,
            code: code.to_owned(),
            message: message.into(),
            effect: Effect::Refused,
        }
    }

    /// The failure of a request that could not be sent, or got no answer.
    pub(super) fn of_client(error: &ClientError, url: &impl ToString) -> Failure {
        let mut message = format!("{}: {error}", url.to_string());
        if matches!(error, ClientError::Unreachable(_)) {
            message.push_str(" (LATCH_URL or --url says where the server is)");
        }
        let (cause, code, effect) = match error {
            ClientError::Tls(_) => (Cause::Failed, "TLS failed", Effect::NotAsked),
            ClientError::Unreachable(_) => (Cause::Unreachable, "unreachable", Effect::NotAsked),
            ClientError::Unanswered(_) => (Cause::Unreachable, "unreachable", Effect::Unknown),
        };
        Failure {
            effect,
            ..Failure::new(cause, code, message)
        }
    }

    /// The failure that an answer other than 200 describes.
    pub(super) fn of_answer(answer: &ClientResponse) -> Failure {
        let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = match &*body.code {
            "" => clean(&answer.reason),
            code => clean(code),
        };
        let cause = cause_of(answer.status, &code);
        let message = match (cause, &*body.message) {
            (Cause::Failed, "") => format!("the server answered {} {code}", answer.status),
            (_, "") => code.clone(),
            (_, message) => format!("{}: {}", code.replace('_', " "), clean(message)),
        };
        let message = match cause {
            Cause::NotAllowed => format!("{message} (latch sends the key in LATCH_KEY)"),
            _ => message,
        };
        Failure {
            effect: effect_of(answer.status, &code),
            ..Failure::new(cause, &code, message)
        }
    }

    /// The failure to understand an answer with status 200.
    pub(super) fn not_understood(what: &str) -> Failure {
        let message = format!("the server's answer is not understood: {what}");
        Failure {
            effect: Effect::Unknown,
            ..Failure::new(Cause::Failed, "strange answer", message)
        }
    }

    /// Adjusts the failure to `request`: if a change may have been made, the cause is not a
    /// refusal.
    pub(super) fn of_request(self, request: &Request) -> Failure {
        match self.effect {
            Effect::Unknown if !request.is_read() => Failure {
                cause: Cause::Unreachable,
                ..self
            },
            _ => self,
        }
    }

    /// Returns whether the same request may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.cause, Cause::Unreachable | Cause::Busy)
    }

    /// Appends `what` to the message.
    pub(super) fn with_note(self, what: &str) -> Failure {
        Failure {
            message: format!("{}; {what}", self.message),
            ..self
        }
    }

    /// Explains "busy" to a client that was ready to wait for `wait_s` seconds.
    pub(super) fn while_queued(self, wait_s: u32) -> Failure {
        let message = match (&*self.code, wait_s) {
            ("busy", 0) => "busy: every matching resource is held".to_owned(),
            ("busy", _) => format!("busy: nothing became free within {wait_s} s"),
            _ => return self,
        };
        Failure { message, ..self }
    }

    /// Puts `what` before the message.
    pub(super) fn prefixed(mut self, what: &str) -> Failure {
        self.message = format!("{}: {}", clean(what), self.message);
        self
    }
}

/// The body of an answer other than 200.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: String,
    message: String,
}

/// Returns the cause that the contract has for an answer, or that of its status alone: other words come from a
/// proxy, which may know the server again later.
fn cause_of(status: u16, code: &str) -> Cause {
    let mut rows = REFUSALS.iter();
    let row = rows.find(|row| row.status == status && row.code == code);
    row.map_or(Cause::of_status(status), |row| row.cause)
}

/// Returns the effect of a request by its answer. From status 500 on only latchd's own words tell that nothing was
/// done: a proxy has other words, and does not know.
fn effect_of(status: u16, code: &str) -> Effect {
    let words = code.replace('_', " ");
    let is_own = |row: &RefusalRow| row.status >= 500 && row.words == words;
    match status {
        200..=299 | 408 => Effect::Unknown,
        500.. if !REFUSALS.iter().any(is_own) => Effect::Unknown,
        _ => Effect::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, reason: &str, body: &str) -> Failure {
        Failure::of_answer(&ClientResponse {
            status,
            reason: reason.into(),
            body: body.into(),
        })
    }

    #[test]
    fn answers_have_causes() {
        for (status, code, cause) in [
            (401, "no key", Cause::NotAllowed),
            (403, "not allowed", Cause::NotAllowed),
            (404, "no pool", Cause::NotFound),
            (404, "not held", Cause::NotFound),
            (404, "no route", Cause::Failed),
            (409, "busy", Cause::Busy),
            (409, "not yours", Cause::NotYours),
            (409, "stale", Cause::NotYours),
            (409, "owner_holds", Cause::NotYours),
            (422, "too_few", Cause::Failed),
            (502, "Bad Gateway", Cause::Unreachable),
            (503, "store down", Cause::Unreachable),
            (503, "queue full", Cause::Busy),
        ] {
            let body = format!(r#"{{"code":"{code}","message":"m"}}"#);
            let body = of(status, code, &body);
            assert_eq!((body.cause, &*body.code), (cause, code), "{status} {code}");
            assert_eq!(of(status, code, "<html>").cause, cause, "{status} {code}");
        }
    }

    #[test]
    fn only_latchds_own_words_say_that_nothing_was_done() {
        for (status, reason, body, effect) in [
            (409, "busy", "busy", Effect::Refused),
            (404, "Not Found", "<html>", Effect::Refused),
            (429, "Too Many Requests", "", Effect::Refused),
            (503, "stopping", "stopping", Effect::Refused),
            (
                503,
                "x",
                r#"{"code":"store_down","message":"m"}"#,
                Effect::Refused,
            ),
            (503, "Service Unavailable", "<html>", Effect::Unknown),
            (408, "Request Timeout", "", Effect::Unknown),
            (500, "Internal Server Error", "", Effect::Unknown),
            (502, "Bad Gateway", "", Effect::Unknown),
            (
                504,
                "Gateway Timeout",
                r#"{"message":"m"}"#,
                Effect::Unknown,
            ),
            (202, "Accepted", "", Effect::Unknown),
        ] {
            let failure = of(status, reason, body);
            assert_eq!(failure.effect, effect, "{status} {reason}");
            let change = failure.clone().of_request(&Request::new("POST", &["pool"]));
            if effect == Effect::Unknown {
                assert_eq!(change.cause, Cause::Unreachable, "{status} {reason}");
            }
            let read = failure.clone().of_request(&Request::new("GET", &["pool"]));
            assert_eq!(read, failure);
        }
    }

    #[test]
    fn what_is_said_is_fit_for_a_terminal() {
        let failure = of(400, "x", r#"{"code":"\u001b[31m","message":"a\nb\u0007"}"#);
        assert!(!failure.message.contains(char::is_control), "{failure:?}");
        assert!(!failure.code.contains(char::is_control), "{failure:?}");
        let failure = of(400, "bad\u{9b}", "");
        assert!(!failure.message.contains(char::is_control), "{failure:?}");
    }
}
