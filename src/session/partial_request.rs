//! A request with a complete head whose body is still arriving. The body may come slowly and pause for a while, but not
//! for ever.

use std::mem;

use memchr::{memchr, memchr_iter};

use super::Settings;
use crate::api::{self, Access, BodyReader};
use crate::http::{
    BodyLength, Chunked, Credentials, Decoded, Head, HttpError, Limits, Rejected, Style,
};
use crate::keys::{AuthFailure, Caller};
use crate::time::Time;

/// The longest line end: a carriage return and a line feed.
const LINE_END_BYTES: usize = 2;

#[derive(Debug)]
pub(super) struct PartialRequest {
    head: Vec<u8>,
    style: Style,
    /// Why the client is unauthenticated; `None` if it is not, or if it needs no key.
    auth_failure: Option<AuthFailure>,
    /// The body does not count, so it is dropped.
    is_dropped: bool,
    body: BodyReader,
    remaining: Remaining,
    expects_continue: bool,
    pub(super) minimum_rate: MinimumRate,
    /// Bytes received of the body, chunk framing included.
    received: usize,
}

#[derive(Debug)]
enum Remaining {
    /// The number of bytes that are missing.
    Fixed(usize),
    Chunked(Chunked),
    /// The complete body of a one-line request that is so long that it is read in pieces: the bytes left of
    /// the body, and the bytes of the line end after it.
    Line(usize, usize),
    /// Everything up to the end of the line is dropped.
    Dropped,
}

/// Returns a complete line for a one-line request that begins with `start`. Its body is one letter: without
/// one, `HTTP /1` would be misspelt HTTP.
pub(super) fn line_of_start(start: &[u8]) -> Vec<u8> {
    [start, b"x\n"].concat()
}

impl PartialRequest {
    /// Takes the `head` that `bytes` were parsed to. Its body is still to come.
    pub(super) fn new(
        head: &Head<'_>,
        bytes: &[u8],
        access: &Access<'_>,
        minimum_rate: MinimumRate,
    ) -> PartialRequest {
        let remaining = match head.body {
            BodyLength::Fixed(length) => Remaining::Fixed(length),
            BodyLength::Chunked => Remaining::Chunked(Chunked::default()),
        };
        PartialRequest::with_remaining(head, bytes.to_vec(), remaining, access, minimum_rate)
    }

    /// Takes the `head` that the complete line `bytes` was parsed to. Its body is read in pieces. Returns
    /// also the number of bytes before the body.
    pub(super) fn from_line(
        head: &Head<'_>,
        bytes: &[u8],
        access: &Access<'_>,
        minimum_rate: MinimumRate,
    ) -> (PartialRequest, usize) {
        let spaces_before = match head.credentials {
            Credentials::Word(_) => 2,
            _ => 1,
        };
        let last_space = memchr_iter(b' ', bytes).nth(spaces_before);
        let start = last_space.expect("a body comes behind method and path") + 1;
        let line = line_of_start(&bytes[..start]);
        let length = head.inline_body.len();
        let remaining = Remaining::Line(length, bytes.len() - start - length);
        (
            PartialRequest::with_remaining(head, line, remaining, access, minimum_rate),
            start,
        )
    }

    /// Takes the `head` that `line` was parsed to. The rest of the line is dropped as it arrives.
    pub(super) fn from_dropped_line(
        head: &Head<'_>,
        line: &[u8],
        access: &Access<'_>,
        minimum_rate: MinimumRate,
    ) -> PartialRequest {
        PartialRequest::with_remaining(
            head,
            line.to_vec(),
            Remaining::Dropped,
            access,
            minimum_rate,
        )
    }

    fn with_remaining(
        head: &Head<'_>,
        bytes: Vec<u8>,
        remaining: Remaining,
        access: &Access<'_>,
        minimum_rate: MinimumRate,
    ) -> PartialRequest {
        PartialRequest {
            head: bytes,
            style: head.style,
            auth_failure: match access.caller {
                Caller::Unauthenticated(auth_failure) => Some(auth_failure),
                Caller::AuthDisabled | Caller::Authenticated(_) => None,
            },
            is_dropped: access.ignores_body(),
            body: api::body_reader(head.method, head.target, head.media, access),
            remaining,
            expects_continue: head.expects_continue,
            minimum_rate,
            received: 0,
        }
    }

    /// Returns the approximate number of received bytes that are kept.
    pub(super) fn kept_bytes(&self) -> usize {
        if self.is_dropped { 0 } else { self.received }
    }

    /// Returns the memory that it holds in bytes, but at least the kept bytes.
    pub(super) fn charged_bytes(&self) -> usize {
        let capacity = self.head.capacity() + self.body.capacity_bytes();
        self.kept_bytes().max(capacity)
    }

    /// Returns the style of its answer.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Takes the available bytes of the body, at most to its end.
    pub(super) fn receive(
        &mut self,
        input: &[u8],
        settings: &Settings,
        now: Time,
    ) -> Result<Decoded, Rejected> {
        let decoded = self.decode(input, &settings.limits)?;
        self.received += decoded.used;
        self.minimum_rate.receive(decoded.used, settings, now);
        Ok(decoded)
    }

    fn decode(&mut self, input: &[u8], limits: &Limits) -> Result<Decoded, Rejected> {
        match &mut self.remaining {
            Remaining::Fixed(missing) => {
                let used = input.len().min(*missing);
                self.body.take(&input[..used]);
                *missing -= used;
                Ok(Decoded {
                    used,
                    whole: *missing == 0,
                })
            }
            Remaining::Line(missing, end) => {
                let used = input.len().min(*missing);
                self.body.take(&input[..used]);
                *missing -= used;
                let whole = *missing == 0;
                Ok(Decoded {
                    used: if whole { used + *end } else { used },
                    whole,
                })
            }
            Remaining::Dropped => {
                let end = memchr(b'\n', input);
                let used = end.map_or(input.len(), |end| end + 1);
                if self.received + used > limits.body_bytes + LINE_END_BYTES {
                    let style = Style {
                        closes: true,
                        ..self.style
                    };
                    return Err(Rejected {
                        error: HttpError::BodyTooLarge,
                        style,
                    });
                }
                Ok(Decoded {
                    used,
                    whole: end.is_some(),
                })
            }
            Remaining::Chunked(chunked) => {
                // Collects all data first: each piece has a cost, and a chunk may be one byte.
                let mut data = Vec::new();
                let take = |chunk: &[u8]| data.extend_from_slice(chunk);
                let decoded = chunked.decode(input, limits.body_bytes, take);
                self.body.take(&data);
                decoded.map_err(|error| Rejected {
                    error,
                    style: Style {
                        closes: true,
                        ..self.style
                    },
                })
            }
        }
    }

    /// Returns why the client was unauthenticated when the request began; `None` if it was not.
    pub(super) fn auth_failure(&self) -> Option<AuthFailure> {
        self.auth_failure
    }

    /// Returns the head's bytes, and the reader that has the body.
    pub(super) fn into_parts(self) -> (Vec<u8>, BodyReader) {
        (self.head, self.body)
    }

    /// Returns whether to send `100 Continue` now. True at most once.
    pub(super) fn take_expectation(&mut self) -> bool {
        mem::take(&mut self.expects_continue) && self.received == 0
    }
}

/// The progress of a body against the minimum rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinimumRate {
    begun_at: Time,
    due: Time,
}

impl MinimumRate {
    /// Starts the clock of a body whose head is complete.
    pub(super) fn begin(settings: &Settings, now: Time) -> MinimumRate {
        MinimumRate {
            begun_at: now,
            due: now.after_ms(settings.body_grace_ms),
        }
    }

    /// Extends the due time by what `bytes` earn. Fast bytes never earn a longer pause than the
    /// grace time.
    pub(super) fn receive(&mut self, bytes: usize, settings: &Settings, now: Time) {
        let earned_ms = bytes as u64 * 1000 / u64::from(settings.min_body_rate.get());
        let latest = now.after_ms(settings.body_grace_ms);
        self.due = self.due.after_ms(earned_ms).min(latest);
    }

    /// Returns the time at which the body began.
    pub(super) fn begun_at(&self) -> Time {
        self.begun_at
    }

    /// Returns the time by which more of the body must arrive.
    pub(super) fn due(&self) -> Time {
        self.due
    }
}
