//! HTTP as it really comes: cut anywhere, piled up, with the line ends and headers of all kinds.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const LINE_ENDS: &str = "bare LF or mixed line ends, …, blank lines before a request, junk CRLF \
                         after a body";
const PIPELINING: &str = "HTTP/1.1 and 1.0, keep-alive and pipelining";
const WHOLE: &str = "Nothing may be sent before the request is whole";
const LINE: &str = "a request line without version is a whole request";
const LENGTHS: &str = "Both Content-Length and Transfer-Encoding: 400 and close.";

pub fn rows() -> Vec<Row> {
    let mut rows = line_ends();
    rows.extend(targets());
    rows.extend(pipelines());
    rows.extend(cuts());
    rows.extend(bodies());
    rows.extend(lengths());
    rows
}

fn line_ends() -> Vec<Row> {
    vec![
        row("bare LF", LINE_ENDS)
            .given(SEED)
            .ask("POST /pool/A/lock HTTP/1.1\n\n", ok("4"))
            .ask("POST /pool/A/lock HTTP/1.1\nHost: h\n\n", ok("3")),
        row("bare LF before a body", LINE_ENDS).ask(
            "POST /pool/A HTTP/1.1\nHost: h\nContent-Length: 3\n\n[1]",
            ok(r#"["1"]"#),
        ),
        row("mixed line ends", LINE_ENDS)
            .given(SEED)
            .ask("POST /pool/A/lock HTTP/1.1\r\nHost: h\nX: y\r\n\n", ok("4"))
            .ask("POST /pool/A/lock HTTP/1.1\nHost: h\r\nX: y\n\r\n", ok("3")),
        row("blank lines before a request", LINE_ENDS)
            .given(SEED)
            .ask("\r\nPOST /pool/A/lock HTTP/1.1\r\n\r\n", ok("4"))
            .ask("\r\n\r\n\r\nPOST /pool/A/lock HTTP/1.1\r\n\r\n", ok("3"))
            .ask("\n\nPOST /pool/A/lock HTTP/1.1\r\n\r\n", ok("2")),
        row("junk CRLF after a body", LINE_ENDS)
            .ask(
                "POST /pool/A HTTP/1.1\r\nContent-Length: 1\r\n\r\n1\r\n\r\n\r\n",
                ok(r#"["1"]"#),
            )
            .ask("POST /pool/A/lock HTTP/1.1\r\n\r\n", ok("1")),
        row("blank lines are no requests", LINE_ENDS)
            .send("\r\n\r\n\n\n\r\n")
            .silence(),
        row(
            "header names in any case, values with white space or none",
            LINE_ENDS,
        )
        .ask(
            "POST /pool/A HTTP/1.1\r\ncontent-length: 1\r\n\r\n1",
            ok(r#"["1"]"#),
        )
        .ask(
            "PUT /pool/A HTTP/1.1\r\nCONTENT-LENGTH:1\r\n\r\n2",
            ok(r#"["2"]"#),
        )
        .ask(
            "PUT /pool/A HTTP/1.1\r\nContent-Length: \t 1 \t\r\n\r\n3",
            ok(r#"["3"]"#),
        ),
        row("headers with any bytes of other encodings", LINE_ENDS)
            .send("GET /ping HTTP/1.1\r\nX-Name: caf")
            .send(b"\xe9\r\nX-Empty:\r\n\r\n")
            .expect(ok("pong")),
    ]
}

fn targets() -> Vec<Row> {
    vec![
        row("no Host", "missing Host").ask("GET /ping HTTP/1.1\r\n\r\n", ok("pong")),
        row("any Host", "missing Host")
            .ask(with("GET /ping", "Host: example.com:8081"), ok("pong"))
            .ask(with("GET /ping", "Host:"), ok("pong")),
        row("two hosts are one too many", "two Host fields are 400")
            .given(SEED)
            .breaks(
                with("DELETE /pool/A", "Host: h\r\nX: y\r\nHost: h") + "DELETE /pool/A\n",
                "400 bad host",
            )
            .connect()
            .breaks(
                with(
                    "POST /pool/A/lock",
                    "host: a\r\nHOST: b\r\nContent-Length: 3",
                ) + "[1]",
                "400 bad host",
            )
            .check("GET /pool", "200 4 0 0 A"),
        row("absolute form", "absolute-form targets")
            .given(SEED)
            .ask(
                "POST http://h/pool/A/lock HTTP/1.1\r\nHost: h\r\n\r\n",
                ok("4"),
            )
            .ask(
                "POST http://h:8081/pool/A/lock?lease HTTP/1.1\r\n\r\n",
                ok("2 - 3"),
            )
            .ask(
                "GET http://other.example/ping HTTP/1.0\r\n\r\n",
                closes("pong"),
            )
            .end(),
        row("absolute form of the root", "absolute-form targets")
            .ask(
                "GET http://h/ HTTP/1.1\r\n\r\n",
                ok(concat!("latchd ", env!("CARGO_PKG_VERSION"))),
            )
            .ask(
                "GET http://h HTTP/1.1\r\n\r\n",
                ok(concat!("latchd ", env!("CARGO_PKG_VERSION"))),
            ),
        row("absolute form of nothing", "absolute-form targets").ask(
            "GET http://h/nowhere HTTP/1.1\r\n\r\n",
            fails("404 no route"),
        ),
    ]
}

fn pipelines() -> Vec<Row> {
    let ids: Vec<String> = (1..=16).map(|id| id.to_string()).collect();
    let lent: String = ids.iter().rev().map(|id| ok(id)).collect();
    vec![
        row("sixteen requests in one write", PIPELINING)
            .given(format!("POST /pool/A [{}]", ids.join(",")))
            .ask(bare("POST /pool/A/lock").repeat(16), lent)
            .line("POST /pool/A/lock", "409 busy"),
        row("sixteen requests with bodies in one write", PIPELINING).ask(
            body("PUT /pool/A", "[1]").repeat(16),
            ok(r#"["1"]"#).repeat(16),
        ),
        row("a session in one write", PIPELINING)
            .send(
                body("POST /pool", r#"{"A":["1","2"]}"#)
                    + &bare("POST /pool/A/lock")
                    + &bare("POST /pool/A/lock")
                    + &bare("POST /pool/A/lock")
                    + &bare("DELETE /pool/A/lock/2")
                    + &bare("GET /pool/A/lock")
                    + &bare("DELETE /pool/A")
                    + &bare("POST /pool/A/lock"),
            )
            .expect(ok(r#"{"A":["1","2"]}"#) + &ok("2") + &ok("1"))
            .expect(fails("409 busy"))
            .expect(ok("") + &ok("2 - 1") + &ok(""))
            .expect(fails("404 no pool")),
        row("a failure amid a pipeline", PIPELINING)
            .send(bare("GET /nowhere") + &bare("GET /ping?x") + &bare("GET /ping"))
            .expect(fails("404 no route"))
            .expect(fails("400 bad …"))
            .expect(ok("pong")),
        row("answers keep the order of the requests", PIPELINING)
            .given(SEED)
            .send(bare("GET /pool/A") + &bare("POST /pool/A/lock") + &bare("GET /ping"))
            .expect(ok("1\n2\n3\n4") + &ok("4") + &ok("pong")),
        row("a request and half of the next", PIPELINING)
            .given(SEED)
            .send("POST /pool/A/lock HTTP/1.1\r\n\r\nPOST /pool/A/lo")
            .expect(ok("4"))
            .silence()
            .send("ck HTTP/1.1\r\n\r\n")
            .expect(ok("3")),
        row("more in one write than a buffer holds", PIPELINING)
            .ask(bare("GET /ping").repeat(2000), ok("pong").repeat(2000)),
    ]
}

fn cuts() -> Vec<Row> {
    vec![
        row("byte by byte", WHOLE)
            .given(SEED)
            .bytes("POST /pool/A/lock HTTP/1.1\r\n\r\n")
            .expect(ok("4"))
            .bytes("\r\nPOST /pool/A/lock HTTP/1.1\nHost: h\n\n")
            .expect(ok("3")),
        row("byte by byte with a body", WHOLE)
            .bytes("POST /pool/A HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n[\"1\",2]")
            .expect(ok(r#"["1","2"]"#)),
        row("cut anywhere", WHOLE)
            .every_cut("GET http://h/ping HTTP/1.1\r\nHost: h\r\n\r\n", &ok("pong")),
        row("cut anywhere with bare LF", WHOLE)
            .every_cut("\nGET /ping HTTP/1.1\nHost: h\n\n", &ok("pong")),
        row("cut anywhere with a body", WHOLE).every_cut(
            "\r\nPUT /pool/A HTTP/1.1\r\nContent-Length: 5\r\n\r\n[1,2]",
            &ok(r#"["1","2"]"#),
        ),
        row("a body long after its head", WHOLE)
            .pieces(&[
                "PUT /pool/A HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
                "[1",
                ",2]",
            ])
            .expect(ok(r#"["1","2"]"#)),
        row("the end of one request with all of the next", PIPELINING)
            .given(SEED)
            .pieces(&["POST /pool/A/lock HTT"])
            .silence()
            .send("P/1.1\r\n\r\nPOST /pool/A/lock HTTP/1.1\r\n\r\nPOST /pool/A/lock\n")
            .expect(ok("4") + &ok("3") + "200 2\n"),
        row("both forms in a pipeline, cut anywhere", PIPELINING).every_two_cuts(
            "GET /ping HTTP/1.1\r\nA: b\r\n\r\n\nGET /ping\n",
            &(ok("pong") + "200 pong\n"),
        ),
        row("bodies in a pipeline, cut anywhere", PIPELINING).every_two_cuts(
            "GET /x HTTP/1.1\nContent-Length:2\n\n{}GET /ping\n",
            "HTTP/1.1 404 no route\r\nContent-Length: 8\r\n\r\nno route200 pong\n",
        ),
    ]
}

fn bodies() -> Vec<Row> {
    vec![
        row(
            "POST without length",
            "POST without Content-Length has no body; it is not 411.",
        )
        .given(SEED)
        .ask("POST /pool/A/lock HTTP/1.1\r\nHost: h\r\n\r\n", ok("4"))
        .ask(
            "POST /pool/A/lock HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            ok("3"),
        ),
        row(
            "a body where none is needed is read and forgotten",
            PIPELINING,
        )
        .given(SEED)
        .ask(
            body("GET /ping", "GET /nowhere HTTP/1.1\r\n\r\n"),
            ok("pong"),
        )
        .ask(body("DELETE /pool/A/lock", "{}"), ok("0"))
        .ask(body("GET /nowhere", "{}"), fails("404 no route"))
        .ask(body("PATCH /nowhere", "{}"), fails("404 no route")),
        row("a space in a path does not make the rest a body", LINE)
            .given(SEED)
            .send("POST /pool/my pool/lock HTTP/1.1\r\nHost: h\r\n\r\n")
            .end_without_success()
            .check("GET /pool", "200 4 0 0 A"),
        row("a body that looks like a request is a body", PIPELINING).ask(
            body("POST /pool/A", "GET /ping HTTP/1.1\r\n\r\n"),
            ok(r#"["GET /ping HTTP/1.1"]"#),
        ),
    ]
}

fn lengths() -> Vec<Row> {
    let bad = [
        "Content-Length: x",
        "Content-Length: -1",
        "Content-Length: +3",
        "Content-Length: 3x",
        "Content-Length: 0x3",
        "Content-Length: 1 2",
        "Content-Length:",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
    ];
    let mut rows: Vec<Row> = bad
        .iter()
        .map(|headers| {
            row(
                format!("a length without digits: {headers:?}"),
                "bad header: 400 and close",
            )
            .breaks(with("POST /pool/A", headers) + "[1]", "400 bad …")
            .check("GET /pool", "200")
        })
        .collect();
    rows.push(
        row("both lengths", LENGTHS)
            .breaks(
                "POST /pool/A HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\n[1]\r\n0\r\n\r\n",
                "400 bad …",
            )
            .check("GET /pool", "200"),
    );
    rows.push(
        row("both lengths the other way round", LENGTHS)
            .breaks(
                "POST /pool/A HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 13\r\n\r\n\
                 3\r\n[1]\r\n0\r\n\r\n",
                "400 bad …",
            )
            .check("GET /pool", "200"),
    );
    rows.push(
        row("nothing is done behind both lengths", LENGTHS)
            .given(SEED)
            .breaks(
                "POST /ping HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n\
                 0\r\n\r\nPOST /pool/A/lock HTTP/1.1\r\n\r\n",
                "400 bad …",
            )
            .check("GET /pool/A/lock", "200"),
    );
    rows
}
