//! Smuggling: where two readers could see the end of a request in different places, the server
//! answers one error and closes. The bytes behind it are never carried out.

use super::{Siege, exchange};

/// A harmful request in both forms, which the server must never read as a request.
const BEHIND: &str =
    "DELETE /pool/A HTTP/1.1\r\nHost: h\r\n\r\nDELETE /pool/A\nDELETE /pool/N HTTP/1.1\r\n\r\n";

/// Lines between the request line and the blank line, with a body, and how that is refused.
const FIELDS: &[(&str, &str, &str)] = &[
    // Two lengths.
    (
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
        "400 bad length",
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "0\r\n\r\n",
        "400 bad length",
    ),
    (
        "Content-Length: 0\r\nTransfer-Encoding: identity",
        "",
        "400 bad length",
    ),
    (
        "Content-Length: 3\r\nContent-Length: 3",
        "[1]",
        "400 bad length",
    ),
    (
        "Content-Length: 0\r\nContent-Length: 3",
        "[1]",
        "400 bad length",
    ),
    (
        "Content-Length: 3\r\ncontent-length: 0",
        "[1]",
        "400 bad length",
    ),
    ("Content-Length: 3, 3", "[1]", "400 bad length"),
    ("Content-Length: 3,", "[1]", "400 bad length"),
    // Malformed lengths.
    ("Content-Length:", "", "400 bad length"),
    ("Content-Length: +3", "[1]", "400 bad length"),
    ("Content-Length: -3", "[1]", "400 bad length"),
    ("Content-Length: -0", "", "400 bad length"),
    ("Content-Length: 3 0", "[1]", "400 bad length"),
    ("Content-Length: 0x3", "[1]", "400 bad length"),
    ("Content-Length: 3h", "[1]", "400 bad length"),
    ("Content-Length: 3.0", "[1]", "400 bad length"),
    ("Content-Length: 3e0", "[1]", "400 bad length"),
    ("Content-Length: \"3\"", "[1]", "400 bad length"),
    ("Content-Length: 3;", "[1]", "400 bad length"),
    ("Content-Length: \u{ff13}", "[1]", "400 bad length"),
    (
        "Content-Length: 00000000000000000003",
        "[1]",
        "400 bad length",
    ),
    (
        "Content-Length: 18446744073709551619",
        "[1]",
        "400 bad length",
    ),
    (
        "Content-Length: 9223372036854775807",
        "[1]",
        "413 body too large",
    ),
    ("Content-Length: 4294967299", "[1]", "413 body too large"),
    // Malformed fields.
    ("Content-Length : 3", "[1]", "400 bad header"),
    ("Transfer-Encoding : chunked", "0\r\n\r\n", "400 bad header"),
    (
        "Transfer-Encoding\t: chunked",
        "0\r\n\r\n",
        "400 bad header",
    ),
    (" Content-Length: 3", "[1]", "400 bad header"),
    (
        "\tTransfer-Encoding: chunked",
        "0\r\n\r\n",
        "400 bad header",
    ),
    ("X: y\r\n Content-Length: 3", "[1]", "400 bad header"),
    (
        "X: y\r\n\tTransfer-Encoding: chunked",
        "0\r\n\r\n",
        "400 bad header",
    ),
    (
        "Transfer-Encoding:\r\n chunked",
        "0\r\n\r\n",
        "400 bad header",
    ),
    ("Content-Length:\r\n 3", "[1]", "400 bad header"),
    ("X: a\rContent-Length: 3", "[1]", "400 bad header"),
    ("X: a\r\rContent-Length: 3", "[1]", "400 bad header"),
    ("X\r: a", "", "400 bad header"),
    ("Content-Length: 3\r", "[1]", "400 bad header"),
    ("X: a\0b", "", "400 bad header"),
    ("Content-Length: 3\0", "[1]", "400 bad header"),
    ("X\0: a", "", "400 bad header"),
    ("\0Content-Length: 3", "[1]", "400 bad header"),
    ("Content-Length\0: 3", "[1]", "400 bad header"),
    (
        "Transfer-Encoding: \u{b}chunked",
        "0\r\n\r\n",
        "400 bad header",
    ),
    (
        "Transfer-Encoding: chunked\u{7f}",
        "0\r\n\r\n",
        "400 bad header",
    ),
    (": 3", "", "400 bad header"),
    ("Content-Length", "", "400 bad header"),
    ("Content-Length 3", "[1]", "400 bad header"),
    ("Content Length: 3", "[1]", "400 bad header"),
    ("X: y\r\nGET /ping HTTP/1.1", "", "400 bad header"),
    // Transfer codings other than exactly chunked.
    ("Transfer-Encoding:", "0\r\n\r\n", "501 bad encoding"),
    (
        "Transfer-Encoding: xchunked",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: chunkedx",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: chunked, chunked",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: chunked,",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: ,chunked",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: chunked;q=1",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: \"chunked\"",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    ("Transfer-Encoding: identity", "", "501 bad encoding"),
    (
        "Transfer-Encoding: gzip, chunked",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: chunked, identity",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
    (
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
        "501 bad encoding",
    ),
];

/// Malformed chunks in place of a body.
const CHUNKS: &[(&str, &str)] = &[
    ("-1\r\n[\r\n0\r\n\r\n", "400 bad chunk"),
    ("+3\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    (" 3\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("0x3\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3h\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3_0\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    (";x\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3\r[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3\0\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3;a\0b\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    // Which of the two is the size?
    ("3 4\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3\t0\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    // Is the line at its end?
    ("3;x\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3;\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3 \n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3;x\r;y\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    // Data that is longer or shorter than the chunk's size.
    ("2\r\n[1]\r\n0\r\n\r\n", "400 bad chunk"),
    ("3\r\n[1]0\r\n\r\n", "400 bad chunk"),
    ("3\r\n[1]\r0\r\n\r\n", "400 bad chunk"),
    ("3\r\n[1] \r\n0\r\n\r\n", "400 bad chunk"),
    // Sizes beyond every number.
    ("100000000\r\n[1]\r\n0\r\n\r\n", "413 body too large"),
    (
        "10000000000000003\r\n[1]\r\n0\r\n\r\n",
        "413 body too large",
    ),
    ("fffffffffffffffd\r\n[1]\r\n0\r\n\r\n", "413 body too large"),
    // Trailers that are no fields: are they the next request?
    (
        "3\r\n[1]\r\n0\r\nDELETE /pool/A HTTP/1.1\r\n\r\n",
        "400 bad chunk",
    ),
    ("3\r\n[1]\r\n0\r\n: y\r\n\r\n", "400 bad chunk"),
    ("3\r\n[1]\r\n0\r\nX : y\r\n\r\n", "400 bad chunk"),
    ("3\r\n[1]\r\n0\r\nX: y\r\n z\r\n\r\n", "400 bad chunk"),
    ("3\r\n[1]\r\n0\r\nX: y\rZ: z\r\n\r\n", "400 bad chunk"),
    ("3\r\n[1]\r\n0\r\nX: y\r\r\n\r\n", "400 bad chunk"),
    ("3\r\n[1]\r\n0\r\nX: \0\r\n\r\n", "400 bad chunk"),
    ("3\r\n[1]\r\n0\r\n\rX\r\n\r\n", "400 bad chunk"),
];

/// Whole requests up to their blank line.
const REQUESTS: &[(&str, &str)] = &[
    (
        "POST /pool/A HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 bad length",
    ),
    (
        "POST /pool/A HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 bad length",
    ),
    ("GET /ping HTTP/1.1 \r\n\r\n", "400 bad request"),
    ("GET  /ping HTTP/1.1\r\n\r\n", "400 bad request"),
    (" GET /ping HTTP/1.1\r\n\r\n", "400 bad request"),
    ("GET /ping  HTTP/1.1\r\n\r\n", "400 bad request"),
    ("GET /pi ng HTTP/1.1\r\n\r\n", "400 bad request"),
    ("GET /ping HTTP/1.1 HTTP/1.1\r\n\r\n", "400 bad request"),
    ("GET /ping\u{b}HTTP/1.1\r\n\r\n", "400 bad request"),
    ("GET /ping HTTP/1.1\r\r\n\r\n", "400 bad request"),
    ("GET /ping\0 HTTP/1.1\r\n\r\n", "400 bad request"),
    ("G\0T /ping HTTP/1.1\r\n\r\n", "400 bad request"),
    ("GET /ping HTTP/1.10\r\n\r\n", "400 bad request"),
    ("GET /ping HTTP/1.2\r\n\r\n", "505 bad version"),
    ("GET /ping HTTP/0.9\r\n\r\n", "505 bad version"),
    ("GET /ping http/1.1\r\n\r\n", "505 bad version"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 bad version"),
    ("\u{feff}GET /ping HTTP/1.1\r\n\r\n", "400 bad request"),
];

#[test]
fn what_could_be_read_in_two_ways_is_refused_and_ends_the_connection() {
    let siege = Siege::lay(&[]);
    let mut problems = Vec::new();
    let mut check = |request: String, refusal: &str| {
        let answer = exchange(siege.connect(), (request.clone() + BEHIND).as_bytes());
        let answer = String::from_utf8_lossy(&answer);
        if !is_last_answer(&answer, refusal) {
            problems.push(format!(
                "{request:?}\n  wanted {refusal}, was answered {answer:?}"
            ));
        }
        let pools = siege.connect().ask("GET /pool/A");
        if pools != "200 1\t2\t3\t4" {
            problems.push(format!(
                "{request:?}\n  carried out what stands behind: {pools}"
            ));
        }
    };
    for (fields, body, refusal) in FIELDS {
        check(
            format!("POST /pool/A/lock HTTP/1.1\r\n{fields}\r\n\r\n{body}"),
            refusal,
        );
        check(
            format!("GET /ping HTTP/1.1\r\nHost: h\r\n{fields}\r\nX: y\r\n\r\n{body}"),
            refusal,
        );
    }
    for (chunks, refusal) in CHUNKS {
        check(
            format!("GET /ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
            refusal,
        );
    }
    for (request, refusal) in REQUESTS {
        check((*request).to_owned(), refusal);
    }
    assert!(
        problems.is_empty(),
        "{} fail:\n{}",
        problems.len(),
        problems.join("\n")
    );
    siege.lift("smuggling", 4 << 20);
}

/// Whether there is this one answer, in either form, and nothing behind it.
fn is_last_answer(answer: &str, refusal: &str) -> bool {
    let words = &refusal[4..];
    let http = format!(
        "HTTP/1.1 {refusal}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}",
        words.len()
    );
    answer == http || answer == format!("{refusal}\n")
}
