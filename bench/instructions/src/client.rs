//! A lock and its release through session and store, a tick for each.

use latchd::keys::Keys;

use crate::ticks::Ticks;
use crate::{Measured, Step};

pub const MEASURED: &[Measured] = &[
    ("lock and release: bare HTTP", || {
        lock_and_release("", " HTTP/1.1\r\n\r\n", 1)
    }),
    // The hash of the secret is counted without a processor's instructions for it.
    ("lock and release: key as Bearer", || {
        let field = " HTTP/1.1\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\n\r\n";
        lock_and_release("", field, 1)
    }),
    ("lock and release: curl, JSON", || {
        lock_and_release("", CURL, 1)
    }),
    ("lock and release: one line", || {
        lock_and_release("", "\n", 1)
    }),
    ("lock and release: owner and ttl", || {
        lock_and_release("?owner=greenhouse-7&ttl=90", " HTTP/1.1\r\n\r\n", 1)
    }),
    ("16 locks and releases in one piece", || {
        lock_and_release("", " HTTP/1.1\r\n\r\n", 16)
    }),
];

const CURL: &str = " HTTP/1.1\r\n\
    Host: 127.0.0.1:8081\r\nUser-Agent: curl/8.5.0\r\nAccept: application/json\r\n\r\n";

const RESOURCES: usize = 64;

/// Builds a step of `at_once` locks and their releases. A `query` that is not empty begins with the
/// owner; `end` follows each path.
fn lock_and_release(query: &str, end: &str, at_once: usize) -> Step {
    let owner = query.split('&').next().unwrap_or_default();
    let lock = format!("POST /pool/A/lock{query}{end}").repeat(at_once);
    let releases: Vec<String> = (0..RESOURCES / at_once)
        .map(|round| {
            let places = round * at_once..(round + 1) * at_once;
            places
                // The last named is granted first, then the one before it, and round again.
                .map(|place| format!("DELETE /pool/A/lock/{}{owner}{end}", RESOURCES - place))
                .collect()
        })
        .collect();
    let keys = end.contains("Authorization").then(keys);
    let mut ticks = Ticks::with_keys(1, RESOURCES, keys);
    Box::new(move |step| {
        for request in [&lock, &releases[step % releases.len()]] {
            let answer = ticks.ask(0, request.as_bytes());
            let status = answer.strip_prefix(b"HTTP/1.1 ").unwrap_or(answer);
            assert!(status.starts_with(b"200"));
        }
    })
}

/// Returns a hundred keys, one of which is shown.
fn keys() -> Keys {
    let others = (0..99).map(|number| format!("key{number} secret-of-key-{number} use *\n"));
    let others: String = others.collect();
    let file = others + "known 0123456789abcdef0123456789abcdef use A*\n";
    Keys::parse(file.as_bytes()).expect("these are good")
}
