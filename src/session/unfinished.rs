//! A request whose head is there and whose body is still coming.

use std::mem;

use crate::http::{
    self, BodyLength, Chunked, Decoded, Head, Limits, Progress, Rejected, Scan, Style,
};

#[derive(Debug)]
pub(super) struct Unfinished {
    head: Vec<u8>,
    style: Style,
    body: Vec<u8>,
    rest: Rest,
    expects_continue: bool,
}

#[derive(Debug)]
enum Rest {
    /// So many bytes are missing.
    Fixed(usize),
    Chunked(Chunked),
}

impl Unfinished {
    /// `head` is what `bytes` were read as.
    pub(super) fn new(head: &Head<'_>, bytes: &[u8]) -> Unfinished {
        Unfinished {
            head: bytes.to_vec(),
            style: head.style,
            body: Vec::new(),
            rest: match head.body {
                BodyLength::Fixed(length) => Rest::Fixed(length),
                BodyLength::Chunked => Rest::Chunked(Chunked::default()),
            },
            expects_continue: head.expects_continue,
        }
    }

    /// Takes what there is of the body.
    pub(super) fn receive(&mut self, input: &[u8], limits: &Limits) -> Result<Decoded, Rejected> {
        match &mut self.rest {
            Rest::Fixed(missing) => {
                let used = input.len().min(*missing);
                self.body.extend_from_slice(&input[..used]);
                *missing -= used;
                Ok(Decoded {
                    used,
                    whole: *missing == 0,
                })
            }
            Rest::Chunked(chunked) => {
                let decoded = chunked.decode(input, &mut self.body, limits.body_bytes);
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

    /// The whole request. Reading the head once more is cheaper than to keep it taken apart.
    pub(super) fn request(&self, limits: &Limits) -> (Head<'_>, &[u8]) {
        match http::read_head(&self.head, Scan::default(), limits) {
            Ok(Progress::Whole(head)) => (head, &self.body),
            _ => unreachable!("a head that was whole stays whole"),
        }
    }

    /// Whether the client is to be told, now, to go on. True at most once.
    pub(super) fn take_expectation(&mut self) -> bool {
        mem::take(&mut self.expects_continue) && self.body.is_empty()
    }
}
