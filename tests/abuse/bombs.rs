//! Bodies that are built to cost much: deep, long, doubled, half a character, very many.

use super::{MEBIBYTE, Siege, exchange};

/// Bodies that are costly to parse, each with a label.
fn bombs() -> Vec<(&'static str, String)> {
    let depth = 100_000;
    let digits = "9".repeat(1_000_000);
    let pools: Vec<String> = (0..90_000).map(|n| format!("\"{n:05}\":[]")).collect();
    let ids: Vec<String> = (0..110_000).map(|n| format!("\"{n:06}\"")).collect();
    vec![
        ("arrays in arrays", "[".repeat(depth)),
        ("and their ends", "[".repeat(depth) + &"]".repeat(depth)),
        ("objects in objects", "{\"A\":".repeat(depth)),
        ("both", "{\"A\":[".repeat(depth)),
        (
            "arrays as ids",
            format!("{{\"A\":{}{}}}", "[".repeat(depth), "]".repeat(depth)),
        ),
        (
            "a number with a million digits",
            format!("{{\"A\":[{digits}]}}"),
        ),
        ("as a name", format!("{{{digits}:[]}}")),
        ("a long fraction", format!("{{\"A\":[0.{digits}]}}")),
        ("a large exponent", "{\"A\":[1e999999999]}".into()),
        ("no number", "{\"A\":[NaN]}".into()),
        ("a sign without a number", "{\"A\":[-]}".into()),
        (
            "a string of a megabyte",
            format!("{{\"A\":[\"{}\"]}}", "x".repeat(1_000_000)),
        ),
        (
            "a name of a megabyte",
            format!("{{\"{}\":[]}}", "x".repeat(1_000_000)),
        ),
        (
            "escapes of a megabyte",
            format!("{{\"A\":[\"{}\"]}}", "\\u0041".repeat(170_000)),
        ),
        (
            "a string without end",
            format!("{{\"A\":[\"{}", "x".repeat(1_000_000)),
        ),
        ("a pool twice", "{\"A\":[\"9\"],\"A\":[]}".into()),
        (
            "a pool twice, once with escapes",
            "{\"A\":[\"9\"],\"\\u0041\":[]}".into(),
        ),
        ("a lone high surrogate", "{\"A\":[\"\\ud800\"]}".into()),
        ("a lone low surrogate", "{\"A\":[\"\\udc00\"]}".into()),
        (
            "surrogates the wrong way round",
            "{\"A\":[\"\\udc00\\ud800\"]}".into(),
        ),
        ("a surrogate in a name", "{\"\\ud83d\":[]}".into()),
        ("a control character", "{\"A\":[\"a\u{1}\"]}".into()),
        (
            "an escaped control character",
            "{\"A\":[\"\\u0000\"]}".into(),
        ),
        ("an unknown escape", "{\"A\":[\"\\x41\"]}".into()),
        (
            "very many pools, and one thing wrong",
            format!("{{{},\"A\":[],\"A\":[]}}", pools.join(",")),
        ),
        (
            "very many ids, and one thing wrong",
            format!("{{\"A\":[{},\"\"]}}", ids.join(",")),
        ),
        ("commas", format!("{{\"A\":[{}]}}", ",".repeat(1_000_000))),
        (
            "white space, and nothing",
            format!("{{{}", " ".repeat(1_000_000)),
        ),
        ("more behind it", "{\"A\":[]}{}".into()),
        (
            "two marks of the byte order",
            "\u{feff}\u{feff}{\"A\":[]}".into(),
        ),
    ]
}

#[test]
fn a_body_that_is_built_to_cost_much_is_refused_as_a_whole() {
    let siege = Siege::lay(&[]);
    let mut problems = Vec::new();
    for (what, body) in bombs() {
        for method in ["POST", "PUT"] {
            let head = format!(
                "{method} /pool HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let answer = exchange(siege.connect(), (head + &body + "GET /ping\n").as_bytes());
            let answer = String::from_utf8_lossy(&answer);
            // The framing of the request was clear, so the connection stays open.
            let wanted = "HTTP/1.1 400 bad JSON\r\nContent-Length: 8\r\n\r\nbad JSON200 pong\n";
            if answer != wanted {
                let start: String = answer.chars().take(200).collect();
                problems.push(format!("{method} of {what}: {start:?}"));
            }
        }
    }
    // Invalid UTF-8 has an answer of its own.
    for bytes in [
        &b"{\"A\":[\"\xed\xa0\x80\"]}"[..],
        b"{\"\xc1\x81\":[]}",
        b"[\"\xff\"]",
    ] {
        let head = format!(
            "PUT /pool HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        let answer = exchange(siege.connect(), &[head.as_bytes(), bytes].concat());
        let wanted =
            "HTTP/1.1 400 bad body: not UTF-8\r\nContent-Length: 19\r\n\r\nbad body: not UTF-8";
        if answer != wanted.as_bytes() {
            problems.push(format!(
                "{}: {}",
                bytes.escape_ascii(),
                answer.escape_ascii()
            ));
        }
    }
    assert!(
        problems.is_empty(),
        "{} fail:\n{}",
        problems.len(),
        problems.join("\n")
    );
    // A body of a mebibyte, and the values that the parser builds before it finds a fault.
    siege.lift("bombs of JSON", 32 * MEBIBYTE);
}
