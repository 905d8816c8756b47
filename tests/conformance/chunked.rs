//! Chunked bodies: with extensions and trailers, cut anywhere, and broken ones.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const CHUNKED: &str = "HTTP/1.1 and 1.0, keep-alive and pipelining, chunked bodies";
const WHOLE: &str = "A body is taken whole or not at all.";
const ENCODING: &str = "501 `bad encoding`";

/// `PUT /pool/A` with a chunked body, whose chunks are given to the byte.
fn chunked(chunks: &str) -> String {
    with("PUT /pool/A", "Transfer-Encoding: chunked") + chunks
}

pub fn rows() -> Vec<Row> {
    let mut rows = good();
    rows.extend(broken());
    rows.extend(encodings());
    rows
}

fn good() -> Vec<Row> {
    let answer = ok(r#"["1","2"]"#);
    vec![
        row("one chunk", CHUNKED).ask(
            "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Type: application/json\r\n\r\n[\"1\",\"2\"]",
        ),
        row("several chunks", CHUNKED).ask(
            chunked("1\r\n[\r\n3\r\n1,2\r\n1\r\n]\r\n0\r\n\r\n"),
            answer.as_str(),
        ),
        row("a chunk a byte", CHUNKED).ask(
            chunked("1\r\n[\r\n1\r\n1\r\n1\r\n,\r\n1\r\n2\r\n1\r\n]\r\n0\r\n\r\n"),
            answer.as_str(),
        ),
        row("sizes in both cases, with leading zeros", CHUNKED)
            .ask(chunked("a\r\n[ 1 , 2  ]\r\n0\r\n\r\n"), answer.as_str())
            .ask(chunked("A\r\n[ 1 , 2  ]\r\n0\r\n\r\n"), answer.as_str())
            .ask(chunked("0005\r\n[1,2]\r\n000\r\n\r\n"), answer.as_str())
            .ask(
                chunked("10\r\n[  1  ,  2     ]\r\n0\r\n\r\n"),
                answer.as_str(),
            ),
        row("extensions", CHUNKED)
            .ask(chunked("5;a=b\r\n[1,2]\r\n0;last\r\n\r\n"), answer.as_str())
            .ask(
                chunked("5;x;y=\"z w\"\r\n[1,2]\r\n0\r\n\r\n"),
                answer.as_str(),
            )
            .ask(
                chunked("5 ; x = y\t;z=\"\\\"\"\r\n[1,2]\r\n0 ;a\r\n\r\n"),
                answer.as_str(),
            ),
        row("trailers", CHUNKED)
            .ask(
                chunked("5\r\n[1,2]\r\n0\r\nX-Sum: 1\r\n\r\n"),
                answer.as_str(),
            )
            .ask(
                chunked("5\r\n[1,2]\r\n0\r\nX-Sum: 1\r\nY: z\r\n\r\n"),
                answer.as_str(),
            ),
        row("CR and LF within a chunk are data", CHUNKED)
            .ask(chunked("9\r\n[1,\r\n\r\n2]\r\n0\r\n\r\n"), answer.as_str()),
        row("the name of the coding in any case", CHUNKED).ask(
            with("PUT /pool/A", "transfer-encoding: Chunked") + "5\r\n[1,2]\r\n0\r\n\r\n",
            answer.as_str(),
        ),
        row("an empty chunked body is no body", CHUNKED)
            .given(SEED)
            .ask(
                with("POST /pool/A/lock", "Transfer-Encoding: chunked") + "0\r\n\r\n",
                ok("4"),
            ),
        row("junk CRLF after a chunked body", "junk CRLF after a body")
            .ask(chunked("5\r\n[1,2]\r\n0\r\n\r\n\r\n\r\n"), answer.as_str())
            .line("POST /pool/A/lock", "200 2"),
        row("a pipeline of chunked bodies", CHUNKED).ask(
            chunked("5\r\n[1,2]\r\n0\r\n\r\n").repeat(16) + "POST /pool/A/lock\n",
            answer.repeat(16) + "200 2\n",
        ),
        row(
            "nothing is said before the body is whole",
            "Nothing may be sent before …",
        )
        .bytes(chunked("2;x=y\r\n[1\r\n3\r\n,2]\r\n0\r\nA: b\r\n\r\n"))
        .expect(answer.as_str()),
        row("cut anywhere", CHUNKED).every_cut(chunked("5\r\n[1,2]\r\n0\r\n\r\n"), &answer),
        row("cut anywhere, with all that chunks may have", CHUNKED).every_cut(
            chunked("02;a=\"b\"\r\n[1\r\n3\r\n,2]\r\n0;c\r\nA: b\r\nC: d\r\n\r\n"),
            &answer,
        ),
        row("each chunk in a segment", CHUNKED)
            .pieces(&[
                "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "2\r\n[1\r\n",
                "3\r\n,2]\r\n",
                "0\r\n\r\n",
            ])
            .expect(answer.as_str()),
        row("a body that is not looked at, cut anywhere", CHUNKED).every_two_cuts(
            "GET /ping HTTP/1.1\nTransfer-Encoding:chunked\n\n1;x\r\n5\r\n0\r\nA:b\r\n\r\n",
            &ok("pong"),
        ),
    ]
}

fn broken() -> Vec<Row> {
    let broken = [
        ("a size without digits", "x\r\n[1,2]\r\n0\r\n\r\n"),
        ("a negative size", "-5\r\n[1,2]\r\n0\r\n\r\n"),
        ("a size with a sign", "+5\r\n[1,2]\r\n0\r\n\r\n"),
        ("a size with a prefix", "0x5\r\n[1,2]\r\n0\r\n\r\n"),
        ("no size", "\r\n[1,2]\r\n0\r\n\r\n"),
        ("a blank behind a size", "5 \r\n[1,2]\r\n0\r\n\r\n"),
        ("a tab behind a size", "5\t\r\n[1,2]\r\n0\r\n\r\n"),
        ("an extension without a name", "5;\r\n[1,2]\r\n0\r\n\r\n"),
        (
            "a last extension without a name",
            "5;a;\r\n[1,2]\r\n0\r\n\r\n",
        ),
        ("an extension without a value", "5;a=\r\n[1,2]\r\n0\r\n\r\n"),
        ("a blank behind an extension", "5;a \r\n[1,2]\r\n0\r\n\r\n"),
        ("quotes that do not end", "5;a=\"b\r\n[1,2]\r\n0\r\n\r\n"),
        ("two words in an extension", "5;a b\r\n[1,2]\r\n0\r\n\r\n"),
        ("a blank behind the last size", "5\r\n[1,2]\r\n0 \r\n\r\n"),
        (
            "a chunk that is longer than its size",
            "4\r\n[1,2]\r\n0\r\n\r\n",
        ),
        ("no line end after a chunk", "5\r\n[1,2]0\r\n\r\n"),
    ];
    broken
        .iter()
        .map(|(what, chunks)| {
            row(format!("broken: {what}"), WHOLE)
                .given(SEED)
                .breaks(chunked(chunks) + "DELETE /pool/A\n", "400 bad …")
                .check("GET /pool/A", "200 1\t2\t3\t4")
        })
        .collect()
}

fn encodings() -> Vec<Row> {
    ["gzip", "gzip, chunked", "deflate"]
        .iter()
        .map(|encoding| {
            row(format!("a body in {encoding:?}"), ENCODING)
                .given(SEED)
                .breaks(
                    with("PUT /pool/A", &format!("Transfer-Encoding: {encoding}"))
                        + "5\r\n[1,2]\r\n0\r\n\r\n",
                    "501 bad encoding",
                )
                .check("GET /pool/A", "200 1\t2\t3\t4")
        })
        .collect()
}
