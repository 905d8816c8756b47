//! A request whose head is there and whose body is still coming.

use std::mem;

use memchr::{memchr, memchr_iter};

use super::Settings;
use super::minimum_rate::MinimumRate;
use crate::api::{self, Access, BodyReader};
use crate::http::{
    BodyLength, Chunked, Credentials, Decoded, Head, HttpError, Limits, Rejected, Style,
};
use crate::keys::{AuthFailure, Caller};
use crate::time::Time;

/// The longest end of a line: a carriage return and a line feed.
const LINE_END_BYTES: usize = 2;

#[derive(Debug)]
pub(super) struct PartialRequest {
    head: Vec<u8>,
    style: Style,
    /// Why the key of its client is not known, where one is needed.
    auth_failure: Option<AuthFailure>,
    /// Nothing is kept of its body, as it will not count.
    is_dropped: bool,
    body: BodyReader,
    remaining: Remaining,
    expects_continue: bool,
    pub(super) minimum_rate: MinimumRate,
    /// How many bytes have come of it, those included that are only around chunks.
    received: usize,
}

#[derive(Debug)]
enum Remaining {
    /// So many bytes are missing.
    Fixed(usize),
    Chunked(Chunked),
    /// The body of a one-line request is all there, and is so long that it is read in pieces: so
    /// many bytes are left of it, and so many end the line behind it.
    Line(usize, usize),
    /// All up to the end of the line is dropped.
    Dropped,
}

/// Returns a line that is read as one that begins with `start`, whatever body follows in that. The body is
/// one letter, since without one `HTTP /1` would be misspelt HTTP.
pub(super) fn line_of_start(start: &[u8]) -> Vec<u8> {
    [start, b"x\n"].concat()
}

impl PartialRequest {
    /// `head` is what `bytes` were read as; its body is still to come.
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

    /// `head` is what the whole line `bytes` was read as; its body is read in pieces. Answers also
    /// how many bytes come before the body.
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

    /// `head` is what `line` was read as. What still comes of the line is dropped.
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

    /// How much has come of it that is kept, about.
    pub(super) fn kept_bytes(&self) -> usize {
        if self.is_dropped { 0 } else { self.received }
    }

    /// How much memory it holds, in bytes, and at least what has come of it that counts.
    pub(super) fn charged_bytes(&self) -> usize {
        let capacity = self.head.capacity() + self.body.capacity_bytes();
        self.kept_bytes().max(capacity)
    }

    /// The style of its answer.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Takes what there is of the body.
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
                // All of it at once: there is a cost to each piece, and a chunk may be a byte.
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

    /// Why the key of its client was not known when it began, where one is needed.
    pub(super) fn auth_failure(&self) -> Option<AuthFailure> {
        self.auth_failure
    }

    /// The whole request: its head, and what has read its body.
    pub(super) fn into_parts(self) -> (Vec<u8>, BodyReader) {
        (self.head, self.body)
    }

    /// Whether the client is to be told, now, to go on. True at most once.
    pub(super) fn take_expectation(&mut self) -> bool {
        mem::take(&mut self.expects_continue) && self.received == 0
    }
}
