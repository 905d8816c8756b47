//! Request lines whose version is misspelt: HTTP that a guess must not take for one line and a body.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const MISSPELT: &str = "a request line whose last word looks like a version … is a misspelt HTTP \
                        request, never the body of a one-line request: 400, nothing done";

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for version in [
        "HTTP1.1",
        "HTTP 1.1",
        "HTTP",
        "HTTP/1.1.",
        "HTTP-1.1",
        "HTTP_1.1",
        "HTTP\\1.1",
        "HTTP/ 1.1",
        "HTTP /1.1",
        "HTTP / 1.1",
        "HTTPS/1.1",
        "HTTP1",
        "HTTPx",
        "http1.1",
        "Http 1.1",
        "http_1",
        "HTP/1.1",
        "TTP/1.0",
        "RTSP/1.0",
        "x/2",
    ] {
        // The body would empty the pool if it were taken.
        for (line, rest) in [
            ("PUT /pool/A", "Host: h\r\nContent-Length: 5\r\n\r\n[\"5\"]"),
            ("POST /pool/A/lock", "Host: h\r\n\r\n"),
            ("GET /ping", "\r\n"),
            ("DELETE /pool/A", ""),
        ] {
            rows.push(
                row(format!("{line} {version}"), MISSPELT)
                    .given(SEED)
                    .breaks(format!("{line} {version}\r\n{rest}"), "400 bad request")
                    .check("GET /pool", "200 4 0 0 A"),
            );
        }
    }
    rows.push(
        row("behind a key, and behind a line", MISSPELT)
            .given(SEED)
            .line("GET /ping", "200 pong")
            .breaks("key=x PUT /pool/A 1 2 HTTP-1.1\n", "400 bad request")
            .check("GET /pool/A", "200 1\t2\t3\t4"),
    );
    rows.extend(bodies_that_are_none());
    rows
}

/// Bodies that end in a word that is near an HTTP version.
fn bodies_that_are_none() -> Vec<Row> {
    let bodies = [
        "1.1",
        "rack-2",
        "rack/2b",
        "a2/1",
        "http-proxy",
        "my-http 1",
        "/1",
        "2/1",
        "https",
        "v1.1",
        "xhttp 1.1",
    ];
    let mut rows: Vec<Row> = bodies
        .iter()
        .map(|id| {
            row(format!("an id of one line: {id}"), MISSPELT)
                .line(format!("PUT /pool/A {id}"), format!("200 [\"{id}\"]"))
        })
        .collect();
    rows.push(row("in JSON any id will do", MISSPELT).line(
        r#"PUT /pool/A ["HTTP/1.1","HTTP 1.1","rack/2"]"#,
        r#"200 ["HTTP/1.1","HTTP 1.1","rack/2"]"#,
    ));
    rows
}
