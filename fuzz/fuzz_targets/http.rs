//! Any bytes: reading a head, a chunked body, a target and a JSON body never panics, and what is
//! read keeps its promises.

#![no_main]

use latchd::api;
use latchd::http::{self, Chunked, Limits, Progress, Request, Scan};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { head_bytes: 512, body_bytes: 512 };

fuzz_target!(|input: &[u8]| {
    assert!(http::skip_between(input, true, &LIMITS) <= input.len());
    if let Ok(Progress::Whole(head)) = http::read_head(input, Scan::default(), &LIMITS) {
        assert!(head.length <= input.len());
        assert!(head.target.starts_with('/'));
        let rest = &input[head.length..];
        for body in [head.inline_body, rest] {
            // Whatever it leads to has been checked, so that it can be said in an answer.
            api::route(&Request { method: head.method, target: head.target, body });
        }
    }
    let mut body = Vec::new();
    if let Ok(decoded) = Chunked::default().decode(input, &mut body, LIMITS.body_bytes) {
        assert!(decoded.used <= input.len());
        assert!(body.len() <= LIMITS.body_bytes);
    }
    let _ = api::read_seed(input);
});
