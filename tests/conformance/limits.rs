//! Limits: a request that is too large is refused as soon as that shows, and ends the connection.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const WORDS: &str = "413, 414, 431: `body too large`, `path too long`, `headers too large`";
const VERSIONS: &str = "501, 505: `bad encoding`, `bad version`";

pub fn rows() -> Vec<Row> {
    let mut rows = bodies();
    rows.extend(heads());
    rows.extend(versions());
    rows
}

fn bodies() -> Vec<Row> {
    let chunked = |chunks: &str| with("POST /pool/A", "Transfer-Encoding: chunked") + chunks;
    let too_large = "413 body too large";
    // Blank lines in a list of ids count for nothing but the limit.
    let largest = "5".to_string() + &"\n".repeat(1_048_575);
    vec![
        row("a body of the largest size", WORDS)
            .server(&["--max-body", "16"])
            .ask(
                body("POST /pool/A", "0123456789abcdef"),
                ok(r#"["0123456789abcdef"]"#),
            ),
        row("a body that is larger by a byte", WORDS)
            .server(&["--max-body", "16"])
            .breaks(body("POST /pool/A", "0123456789abcdefg"), too_large)
            .check("GET /pool", "200"),
        row("in JSON", WORDS)
            .server(&["--max-body", "16"])
            .ask(
                json_body("POST /pool/A", "0123456789abcdefg"),
                json_fails(too_large).header("Connection", "close"),
            )
            .end(),
        row("the length that is announced is enough", WORDS).breaks(
            "POST /pool HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n",
            too_large,
        ),
        row("a length beyond all numbers that are used here", WORDS).breaks(
            "POST /pool HTTP/1.1\r\nContent-Length: 9999999999999999\r\n\r\n",
            too_large,
        ),
        row("a mebibyte, the default", WORDS).ask(body("POST /pool/A", &largest), ok(r#"["5"]"#)),
        row("a chunked body of the largest size", WORDS)
            .server(&["--max-body", "16"])
            .ask(
                chunked("8\r\n01234567\r\n8\r\n89abcdef\r\n0\r\n\r\n"),
                ok(r#"["0123456789abcdef"]"#),
            ),
        row("a chunked body that is larger by a byte", WORDS)
            .server(&["--max-body", "16"])
            .breaks(
                chunked("8\r\n01234567\r\n8\r\n89abcdef\r\n1\r\ng\r\n0\r\n\r\n"),
                too_large,
            )
            .check("GET /pool", "200"),
        row("a chunk that announces too much", WORDS)
            .server(&["--max-body", "16"])
            .breaks(chunked("11\r\n"), too_large),
        row("a chunk of a gigabyte", WORDS).breaks(chunked("40000000\r\n"), too_large),
        row("trailers that do not end", WORDS)
            .breaks(
                chunked("1\r\n5\r\n0\r\n") + &"X: y\r\n".repeat(20_000),
                "4…",
            )
            .check("GET /pool", "200"),
        row("a chunk extension that does not end", WORDS)
            .breaks(chunked("1;") + &"x".repeat(100_000), "4…"),
        row("JSON of any depth", "400 `bad …`")
            .ask(
                body("POST /pool/A", &"[".repeat(100_000)),
                fails("400 bad …"),
            )
            .ask(
                body("POST /pool", &"{\"A\":".repeat(10_000)),
                fails("400 bad …"),
            ),
        row("the limit is for each body", WORDS)
            .server(&["--max-body", "16"])
            .ask(
                body("PUT /pool/A", "0123456789abcdef").repeat(4),
                ok(r#"["0123456789abcdef"]"#).repeat(4),
            ),
        row("nothing is done behind a body that is too large", WORDS)
            .server(&["--max-body", "16"])
            .given("POST /pool/A 1")
            .breaks(
                body("POST /pool/A", "POST /pool/A/lock\nPOST /pool/A/lock\n"),
                too_large,
            )
            .check("GET /pool/A/lock", "200"),
    ]
}

fn heads() -> Vec<Row> {
    let header = |length: usize| format!("X-Long: {}", "x".repeat(length));
    let headers = |count: usize| {
        let headers: Vec<String> = (1..=count).map(|n| format!("X-{n}: y")).collect();
        headers.join("\r\n")
    };
    let line = |length: usize| format!("GET /ping?x={}", "x".repeat(length));
    vec![
        row("long headers", WORDS).ask(with("GET /ping", &header(7_000)), ok("pong")),
        row("headers that are too long", WORDS)
            .breaks(with("GET /ping", &header(9_000)), "431 headers too large"),
        row("headers that are too long together", WORDS).breaks(
            with("GET /ping", &vec![header(900); 10].join("\r\n")),
            "431 headers too large",
        ),
        row("headers that do not end", WORDS).breaks(
            format!("GET /ping HTTP/1.1\r\n{}", header(100_000)),
            "431 headers too large",
        ),
        row("64 headers", WORDS).ask(with("GET /ping", &headers(64)), ok("pong")),
        row("65 headers", WORDS).breaks(with("GET /ping", &headers(65)), "431 headers too large"),
        row("nothing is done with headers that are too long", WORDS)
            .given(SEED)
            .breaks(
                with("POST /pool/A/lock", &header(9_000)),
                "431 headers too large",
            )
            .check("GET /pool/A/lock", "200"),
        row("a long path", WORDS).ask(bare(&line(7_000)), fails("400 bad …")),
        row("a path that is too long", WORDS).breaks(bare(&line(9_000)), "414 path too long"),
        // Before such a line has ended, one cannot know which form it has; and however it is cut,
        // the same bytes must come out: so always those of HTTP.
        row("a line that is too long", WORDS).breaks(line(9_000) + "\n", "414 path too long"),
        row("a line that is too long, and ends later", WORDS)
            .breaks(line(9_000), "414 path too long"),
        row("a line that does not end", WORDS).breaks(line(100_000), "414 path too long"),
        row(
            "blank lines count for nothing",
            "blank lines before a request",
        )
        .ask("\r\n".repeat(50_000) + &bare("GET /ping"), ok("pong"))
        .ask("\r\n".repeat(50_000) + "GET /ping\n", "200 pong\n"),
        row("a long line", WORDS)
            .line(
                format!("POST /pool/A [\"{}\"]", "x\",\"".repeat(1_500)),
                r#"400 bad …"#,
            )
            .line(
                format!("POST /pool/A [\"{}y\"]", "x\",\"".repeat(1_500)),
                r#"200 ["x","y"]"#,
            ),
    ]
}

fn versions() -> Vec<Row> {
    ["2.0", "3.0"]
        .iter()
        .map(|version| {
            row(format!("HTTP/{version}"), VERSIONS)
                .given(SEED)
                .breaks(
                    format!("POST /pool/A/lock HTTP/{version}\r\n\r\n"),
                    "505 bad version",
                )
                .check("GET /pool/A/lock", "200")
        })
        .collect()
}
