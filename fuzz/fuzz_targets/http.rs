//! Any bytes: reading a head, a chunked body and a target never panics, respects its limits, and has
//! the same result in whatever pieces the bytes arrive.

#![no_main]

use arbitrary::Arbitrary;
use latchd::api::{self, Access, ListenerRole};
use latchd::http::{
    self, Chunked, Credentials, Head, HttpError, Limits, Progress, Request, Scan, Wire,
};
use latchd::keys::Caller;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    head_bytes: 512,
    body_bytes: 512,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// The bytes of each piece, in a cycle.
    pieces: [u8; 3],
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let bytes = input.bytes;
    let skipped = http::skip_between(bytes, Some(Wire::Line), &LIMITS);
    assert!(skipped <= bytes.len());
    assert_eq!(head_in_pieces(&input), head_in_one(bytes));
    if let Ok(Progress::Whole(head)) = http::read_head(bytes, Scan::default(), &LIMITS) {
        assert!(head.length <= bytes.len());
        assert!(head.target.starts_with('/'));
        let rest = &bytes[head.length..];
        for body in [head.inline_body, rest] {
            // The text of any result has been checked, so that an answer can contain it.
            let request = Request {
                method: head.method,
                target: head.target,
                media: head.media,
                body,
            };
            api::route(
                &request,
                &Access::new(ListenerRole::All, Caller::AuthDisabled),
            );
        }
    }
    let whole = body_in(&[bytes]);
    let pieces: Vec<&[u8]> = Pieces {
        rest: bytes,
        sizes: input.pieces,
        next: 0,
    }
    .collect();
    assert_eq!(body_in(&pieces), whole);
    if let Ok((body, used, _)) = whole {
        assert!(used <= bytes.len());
        assert!(body.len() <= LIMITS.body_bytes && body.len() <= used);
    }
});

/// A head as text, and its length; `None` if it is incomplete.
type Read = Result<Option<(String, usize)>, HttpError>;

fn head_in_one(bytes: &[u8]) -> Read {
    match http::read_head(bytes, Scan::default(), &LIMITS) {
        Ok(Progress::Whole(head)) => Ok(Some((describe(&head), head.length))),
        Ok(Progress::Partial(_)) => Ok(None),
        Err(rejected) => Err(rejected.error),
    }
}

fn head_in_pieces(input: &Input<'_>) -> Read {
    let (mut scan, mut length) = (Scan::default(), 0);
    for piece in (Pieces {
        rest: input.bytes,
        sizes: input.pieces,
        next: 0,
    }) {
        length += piece.len();
        match http::read_head(&input.bytes[..length], scan, &LIMITS) {
            Ok(Progress::Whole(head)) => return Ok(Some((describe(&head), head.length))),
            Ok(Progress::Partial(further)) => scan = further,
            Err(rejected) => return Err(rejected.error),
        }
    }
    Ok(None)
}

/// Formats a head with its credentials, which `Debug` leaves out.
fn describe(head: &Head<'_>) -> String {
    let shown = match head.credentials {
        Credentials::Field(shown) | Credentials::Word(shown) => shown.escape_ascii().to_string(),
        Credentials::None | Credentials::Several => String::new(),
    };
    format!("{head:?} {shown}")
}

/// Returns the body, the input bytes that belong to it, and whether it is complete.
fn body_in(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), HttpError> {
    let (mut chunked, mut body, mut used) = (Chunked::default(), Vec::new(), 0);
    for piece in pieces {
        let decoded = chunked.decode(piece, LIMITS.body_bytes, |data| {
            body.extend_from_slice(data)
        })?;
        used += decoded.used;
        if decoded.whole {
            return Ok((body, used, true));
        }
        assert_eq!(
            decoded.used,
            piece.len(),
            "what is not whole takes all there is"
        );
    }
    Ok((body, used, false))
}

struct Pieces<'a> {
    rest: &'a [u8],
    sizes: [u8; 3],
    next: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let size = usize::from(self.sizes[self.next % 3]).clamp(1, self.rest.len());
        self.next += 1;
        let (piece, rest) = self.rest.split_at(size);
        self.rest = rest;
        Some(piece)
    }
}
