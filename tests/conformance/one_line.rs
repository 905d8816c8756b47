//! One-line requests: a request line without version is a whole request, and its answer is a line.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const WHOLE: &str = "a request line without version is a whole request: `METHOD PATH[ BODY]` LF";
const ANSWER: &str = "Its answer is one line: `STATUS BODY` LF, such as `200 4` or `409 busy`";
const TABS: &str = "several values are separated by tabs";
const BOTH: &str = "The connection stays open and both forms may follow each other on it.";
const SKIPPED: &str = "Blank lines, and lines of the form `Name: value`, between such requests are \
                       skipped.";

pub fn rows() -> Vec<Row> {
    let mut rows = requests();
    rows.extend(conversations());
    rows.extend(skipped());
    rows.extend(terminals());
    rows.extend(errors());
    rows
}

fn requests() -> Vec<Row> {
    vec![
        row("a lock, to the byte", ANSWER)
            .given(r#"POST /pool {"A":["4"]}"#)
            .ask("POST /pool/A/lock\n", "200 4\n")
            .ask("POST /pool/A/lock\n", "409 busy\n")
            .ask("GET /pool/B\n", "404 no pool\n"),
        row("a line may end with CRLF", WHOLE)
            .given(SEED)
            .ask("POST /pool/A/lock\r\n", "200 4\n")
            .ask("POST /pool/A/lock/3\r\n", "200 3\n"),
        row("the seed example in lines", WHOLE)
            .ask(
                "POST /pool {\"A\":[\"1\",\"2\",\"3\",\"4\"]}\n",
                "200 {\"A\":[\"1\",\"2\",\"3\",\"4\"]}\n",
            )
            .ask("POST /pool/A/lock\n", "200 4\n")
            .ask("POST /pool/A/lock\n", "200 3\n")
            .ask("DELETE /pool/A/lock\n", "200 2\n"),
        row("a JSON body", WHOLE)
            .ask("POST /pool/A [\"1\", \"2 3\"]\n", "200 [\"1\",\"2 3\"]\n")
            .ask("PUT /pool {\"A\": [7]}\r\n", "200 {\"A\":[\"7\"]}\n"),
        row(
            "a body of one id",
            "any other body of `POST /pool/A` … is one id a line",
        )
        .ask("POST /pool/A 5\n", "200 [\"5\"]\n")
        .ask("PUT /pool/A 6\r\n", "200 [\"6\"]\n"),
        row("the body is the rest of the line", WHOLE)
            .ask("POST /pool/A my two words\n", "200 [\"my two words\"]\n")
            .ask("POST /pool/A/lock\n", "200 my two words\n"),
        row("several values", TABS)
            .given(SEED)
            .given("POST /pool/B x")
            .ask("POST /pool/A/lock?n=2\n", "200 4\t3\n")
            .ask("POST /pool/A/lock?n=2&lease\n", "200 2 - 2\t2 - 1\n")
            .ask("GET /pool\n", "200 4 4 0 A\t1 0 0 B\n")
            .ask("GET /pool/A\n", "200 1\t2\t3\t4\n")
            .ask("GET /pool/A/lock\n", "200 1 - 4\t1 - 3\t2 - 2\t2 - 1\n")
            .ask("GET /pool/A/lock/2\n", "200 2 - 2\n"),
    ]
}

fn conversations() -> Vec<Row> {
    let sixteen = |text: &str| text.repeat(16);
    vec![
        row("the connection stays open", BOTH)
            .given(SEED)
            .lends(&["4", "3"])
            .line("DELETE /pool/A/lock/4", "200")
            .line("DELETE /pool/A/lock/4", "404 not held")
            .line("GET /ping?x", "400 bad …")
            .line("PATCH /ping", "405 bad method")
            .lends(&["2", "1", "4"]),
        row("both forms by turns", BOTH)
            .given(SEED)
            .ask("POST /pool/A/lock\n", "200 4\n")
            .ask(bare("POST /pool/A/lock"), ok("3"))
            .ask("POST /pool/A/lock\n", "200 2\n")
            .ask(json("POST /pool/A/lock"), json_ok(r#""1""#))
            .ask("POST /pool/A/lock\n", "409 busy\n")
            .ask(body("PUT /pool/A", "5"), ok(r#"["5"]"#))
            .ask("POST /pool/A/lock\n", "200 5\n"),
        row("sixteen lines in one write", "keep-alive and pipelining")
            .ask(sixteen("GET /ping\n"), sixteen("200 pong\n"))
            .ask(sixteen("GET /ping\r\n\r\n"), sixteen("200 pong\n")),
        row("a session in one write", BOTH).ask(
            "POST /pool/A [1,2,3]\nPOST /pool/A/lock\nPOST /pool/A/lock?lease\n\
                 DELETE /pool/A/lock/3\nDELETE /pool/A/lock/3\nGET /pool\nDELETE /pool/A\n\
                 POST /pool/A/lock\n",
            "200 [\"1\",\"2\",\"3\"]\n200 3\n200 2 - 2\n200\n404 not held\n200 3 1 0 A\n200\n\
                 404 no pool\n",
        ),
        row("both forms in one write", BOTH)
            .given(SEED)
            .send("POST /pool/A/lock\nPOST /pool/A/lock HTTP/1.1\r\n\r\nDELETE /pool/A/lock/4\n")
            .send("GET /pool/A/lock/3 HTTP/1.1\r\nHost: h\r\n\r\n\r\nPOST /pool/A/lock\r\n")
            .expect("200 4\n".to_string() + &ok("3") + "200\n" + &ok("2 - 3") + "200 2\n"),
        row(
            "nothing is said before the line is whole",
            "Nothing may be sent before …",
        )
        .given(SEED)
        .bytes("POST /pool/A/lock\n")
        .expect("200 4\n")
        .bytes("POST /pool/A [\"5\"]\r\n")
        .expect("200 [\"1\",\"2\",\"3\",\"4\",\"5\"]\n"),
        row("a line cut anywhere", WHOLE)
            .given(SEED)
            .every_cut("PUT /pool/A [\"5\",6]\r\n", "200 [\"5\",\"6\"]\n"),
    ]
}

const LEFT: &str = "Between one-line requests NUL, 0x1A, CR and telnet's IAC triples are skipped.";

/// Bytes that terminals, telnet clients and files leave between lines.
fn terminals() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, left) in [
        ("NUL", &b"\0"[..]),
        ("0x1A, the end of a file", b"\x1a"),
        ("CR", b"\r"),
        ("CR NUL", b"\r\0"),
        ("WILL", b"\xff\xfb\x1f"),
        ("WONT of a line feed", b"\xff\xfc\n"),
        ("DO", b"\xff\xfd\x03"),
        ("DONT", b"\xff\xfe\x01"),
        ("an interrupt and DO", b"\xff\xf4\xff\xfd\x06"),
        ("all of them", b"\xff\xfb\x1f\r\n\0\x1a\xff\xfd\x03\r"),
    ] {
        let lock = b"POST /pool/A/lock\r\n";
        let then = |rest: &[u8]| [left, rest].concat();
        rows.push(
            row(format!("between lines: {what}"), LEFT)
                .given(SEED)
                .ask(lock, "200 4\n")
                .ask([&then(lock)[..], &then(lock)].concat(), "200 3\n200 2\n")
                .ask(then(b"X: y\r\nGET /ping HTTP/1.1\r\n\r\n"), ok("pong")),
        );
        rows.push(
            row(format!("behind the last line: {what}"), LEFT)
                .ask(b"GET /ping\n", "200 pong\n")
                .send(left)
                .half_close()
                .end(),
        );
    }
    rows.push(
        row("LF CR ends lines, too", LEFT)
            .given(SEED)
            .ask(
                "POST /pool/A/lock\n\rPOST /pool/A/lock\n\r",
                "200 4\n200 3\n",
            )
            .ask("GET /pool/A/lock/4\n\r\n\r", "200 1 - 4\n"),
    );
    rows.push(row("a telnet client begins with what it can do", LEFT).ask(
        b"\xff\xfb\x1f\xff\xfb\x20\xff\xfd\x03GET /ping\r\n",
        "200 pong\n",
    ));
    rows.push(row("between lines, cut anywhere", LEFT).every_two_cuts(
        b"GET /ping\n\xff\xfd\x03\0\r\nGET /ping\n",
        "200 pong\n200 pong\n",
    ));
    for left in [&b"\0"[..], b"\x1a", b"\r", b"\xff\xfd\x03"] {
        rows.push(
            row(format!("not behind HTTP: {}", left.escape_ascii()), LEFT)
                .given(SEED)
                .ask(bare("POST /pool/A/lock"), ok("4"))
                .breaks([left, b"POST /pool/A/lock\n"].concat(), "400 bad request")
                .check("GET /pool", "200 4 1 0 A"),
        );
    }
    rows
}

const HTTP_FORM: &str = "An error after an HTTP request has HTTP form.";

fn errors() -> Vec<Row> {
    let bad =
        "HTTP/1.1 400 bad request\r\nContent-Length: 11\r\nConnection: close\r\n\r\nbad request";
    vec![
        row("a body that is longer than was said", HTTP_FORM)
            .ask(
                "PUT /pool/A HTTP/1.1\r\nContent-Length: 3\r\n\r\n[1], 2]\n",
                ok(r#"["1"]"#) + bad,
            )
            .end(),
        row("a body that was not said", HTTP_FORM)
            .given(SEED)
            .ask(bare("POST /pool/A/lock") + "{\"ttl\": 5}\n", ok("4") + bad)
            .end(),
        row("an error behind a line is a line", HTTP_FORM)
            .ask("GET /ping\n{}\n", "200 pong\n400 bad request\n")
            .end(),
        row(
            "a long body behind what would be misspelt HTTP alone",
            WHOLE,
        )
        .ask(
            format!("HTTP /1 {}\nGET /ping\n", "x".repeat(100_000)),
            "404 no route\n200 pong\n",
        ),
        row("an answer to a line is a line", BOTH)
            .ask(bare("GET /ping"), ok("pong"))
            .ask(
                "GET /nowhere\nGET /ping?x=1\n",
                "404 no route\n400 bad parameter x\n",
            ),
    ]
}

fn skipped() -> Vec<Row> {
    vec![
        row("blank lines before, between and after", SKIPPED)
            .given(SEED)
            .ask("\n\r\nPOST /pool/A/lock\n\n\r\n\n", "200 4\n")
            .ask("\r\n\r\nPOST /pool/A/lock\r\n\r\n", "200 3\n"),
        row("headers after a line", SKIPPED)
            .given(SEED)
            .ask(
                "POST /pool/A/lock\r\nHost: h\r\nUser-Agent: x\r\n\r\n",
                "200 4\n",
            )
            .ask("POST /pool/A/lock\nHost: h\n\n", "200 3\n")
            .ask(
                "POST /pool/A/lock\r\nAccept: application/json\r\n\r\n",
                "200 2\n",
            ),
        row("headers after each of several lines", SKIPPED)
            .given(SEED)
            .ask(
                "POST /pool/A/lock\r\nHost: h\r\n\r\nPOST /pool/A/lock\r\nHost: h\r\n\r\n",
                "200 4\n200 3\n",
            ),
        row("Content-Length after a line announces nothing", SKIPPED)
            .given(SEED)
            .ask(
                "POST /pool/A/lock\r\nContent-Length: 18\r\n\r\nPOST /pool/A/lock\r\n",
                "200 4\n200 3\n",
            ),
        row("headers before HTTP", SKIPPED)
            .given(SEED)
            .ask("POST /pool/A/lock\r\nHost: h\r\n", "200 4\n")
            .ask(
                "X-Y: z\r\nPOST /pool/A/lock HTTP/1.1\r\nHost: h\r\n\r\n",
                ok("3"),
            ),
        row("headers after a line, cut anywhere", SKIPPED).every_two_cuts(
            "\nGET /ping\r\nA-b: c\r\n\r\nGET /ping\n",
            "200 pong\n200 pong\n",
        ),
    ]
}
