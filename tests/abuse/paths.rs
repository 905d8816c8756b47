//! Tricks with paths: a path means its text, part by part. Nothing is resolved, folded or cut off,
//! so that no path reaches the target of another.

use super::{Siege, exchange};

/// A target, asked with DELETE so that it would do harm, and the answer.
const TARGETS: &[(&str, &str)] = &[
    ("/pool/B/../A", "404 no route"),
    ("/pool/./A", "404 no route"),
    ("/pool/A/.", "404 no route"),
    ("/pool/A/..", "404 no route"),
    ("/../pool/A", "404 no route"),
    ("/pool/..", "400 bad name"),
    ("/pool/%2e%2e", "400 bad name"),
    ("/pool/%2e%2e%2fpool%2fA", "400 bad name"),
    ("/pool/B%2f..%2fA", "400 bad name"),
    ("/pool/%2541", "404 no pool"),
    ("/%70ool/A", "404 no route"),
    ("/pool%2fA", "404 no route"),
    ("/%2fpool/A", "404 no route"),
    ("/pool/A%20", "404 no pool"),
    ("/pool/a", "404 no pool"),
    ("/POOL/A", "404 no route"),
    ("/pool;x/A", "404 no route"),
    ("/pool/A;x=y", "404 no pool"),
    ("/pool/\\..\\A", "404 no pool"),
    ("/pool\\A", "404 no route"),
    ("//pool/A", "400 bad path"),
    ("/pool//A", "400 bad path"),
    ("/pool/A/", "400 bad path"),
    ("/pool/", "400 bad path"),
    ("//", "400 bad path"),
    ("/pool/A%00", "400 bad name"),
    ("/pool/%00A", "400 bad name"),
    ("/pool/A%0a", "400 bad name"),
    ("/pool/A%0d%0aX:%20y", "400 bad name"),
    ("/pool/%7f", "400 bad name"),
    ("/pool/%c2%85", "400 bad name"),
    ("/%00/A", "404 no route"),
    // Overlong forms of `.`, `/` and A, a surrogate, and a number beyond Unicode.
    ("/pool/%c0%ae%c0%ae", "400 bad UTF-8"),
    ("/pool%c0%afA", "400 bad UTF-8"),
    ("/pool/%c1%81", "400 bad UTF-8"),
    ("/pool/%e0%80%81", "400 bad UTF-8"),
    ("/pool/%ed%a0%80", "400 bad UTF-8"),
    ("/pool/%f4%90%80%80", "400 bad UTF-8"),
    ("/pool/%ff", "400 bad UTF-8"),
    ("/pool/%", "400 bad escape"),
    ("/pool/%4", "400 bad escape"),
    ("/pool/%u0041", "400 bad escape"),
    ("/pool/%+1", "400 bad escape"),
    ("/pool/%-1", "400 bad escape"),
    // A fragment never leaves a client that knows what it is; here it is part of the name.
    ("/pool/A#x", "404 no pool"),
    ("/pool#/A", "404 no route"),
    // Queries. A request with a misspelt parameter is not carried out.
    ("/pool/A?x", "400 bad parameter x"),
    ("/pool/A?%00", "400 bad parameter"),
    ("/pool/A?x%0d%0aY:%20z", "400 bad parameter"),
    ("/pool/A?%ff", "400 bad UTF-8"),
    ("/pool/A?%c0%80", "400 bad UTF-8"),
    ("/pool/A?x=%zz", "400 bad escape"),
    ("/pool/A?owner=o&owner=o", "400 bad parameter owner"),
    // The absolute form: only http, and only with a host.
    ("http://h/pool/B", "404 no pool"),
    ("http://user:pass@h:1/pool/B", "404 no pool"),
    ("http://pool/A", "404 no route"),
    ("HTTP://h//pool/A", "400 bad path"),
    ("http://h", "405 bad method"),
];

/// Malformed targets: the connection ends.
const NO_TARGETS: &[&str] = &[
    "pool/A",
    "A",
    "h:1/pool/A",
    "ftp://h/pool/A",
    "file:///pool/A",
    "://h/pool/A",
    "http:/pool/A",
    "http:pool/A",
    "http:///pool/A",
    "http://h?/pool/A",
    "http://h#/pool/A",
    "http://h?x=http://h/pool/A",
    "*/pool/A",
];

#[test]
fn a_path_means_what_stands_in_it() {
    let siege = Siege::lay(&[]);
    let mut problems = Vec::new();
    for (target, wanted) in TARGETS {
        let words = &wanted[4..];
        let request = format!("DELETE {target} HTTP/1.1\r\n\r\nDELETE {target}\nGET /ping\n");
        let answer = exchange(siege.connect(), request.as_bytes());
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let ends = format!("\r\n\r\n{words}{wanted}\n200 pong\n");
        if !answer.starts_with(&format!("HTTP/1.1 {wanted}\r\n")) || !answer.ends_with(&ends) {
            problems.push(format!("{target}: {answer:?}, not {wanted}"));
        }
    }
    for target in NO_TARGETS {
        for (version, wanted) in [
            (
                " HTTP/1.1\r\n\r\n",
                "HTTP/1.1 400 bad request\r\nContent-Length: 11\r\nConnection: close\r\n\r\nbad request",
            ),
            ("\n", "400 bad request\n"),
        ] {
            let request = format!("DELETE {target}{version}DELETE /pool/A\n");
            let answer = exchange(siege.connect(), request.as_bytes());
            if answer != wanted.as_bytes() {
                problems.push(format!(
                    "{target}: {}, not {wanted:?}",
                    answer.escape_ascii()
                ));
            }
        }
    }
    assert!(
        problems.is_empty(),
        "{} fail:\n{}",
        problems.len(),
        problems.join("\n")
    );
    siege.lift("tricks with paths", 4 << 20);
}
