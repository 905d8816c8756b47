//! Half-close: a client that has sent all and only reads, and one that broke off.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const NO_ABORT: &str = "FIN after a request is no abort: the answer is still sent.";
const ENDS_HEAD: &str = "FIN ends an unfinished header block that is otherwise well formed.";
const CUT: &str = "A body is taken whole or not at all.";

pub fn rows() -> Vec<Row> {
    let mut rows = said_all();
    rows.extend(broke_off());
    rows
}

fn said_all() -> Vec<Row> {
    let pong = || answer("pong").optional("Connection");
    vec![
        row("FIN after a request", NO_ABORT)
            .given(SEED)
            .send("POST /pool/A/lock HTTP/1.1\r\n\r\n")
            .half_close()
            .expect(ok("4"))
            .end()
            .check("GET /pool/A/lock", "200 1 - 4"),
        row("FIN after a line", NO_ABORT)
            .given(SEED)
            .send("POST /pool/A/lock\n")
            .half_close()
            .expect("200 4\n")
            .end()
            .check("GET /pool/A/lock", "200 1 - 4"),
        row("FIN after a body", NO_ABORT)
            .send(body("POST /pool/A", "[1,2]"))
            .half_close()
            .expect(ok(r#"["1","2"]"#))
            .end(),
        row("FIN after a chunked body", NO_ABORT)
            .send("POST /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n5\r\n0\r\n\r\n")
            .half_close()
            .expect(ok(r#"["5"]"#))
            .end(),
        row("FIN after a pipeline", NO_ABORT)
            .given(SEED)
            .send(bare("POST /pool/A/lock").repeat(3) + "POST /pool/A/lock\n")
            .half_close()
            .expect(ok("4") + &ok("3") + &ok("2") + "200 1\n")
            .end(),
        row("FIN after a failure", NO_ABORT)
            .send(bare("GET /nowhere"))
            .half_close()
            .expect(fails("404 no route"))
            .end(),
        row("FIN after a request that has been answered", NO_ABORT)
            .ask(bare("GET /ping"), ok("pong"))
            .half_close()
            .end(),
        row("FIN after a long pipeline", NO_ABORT)
            .send(bare("GET /ping").repeat(500))
            .half_close()
            .expect(ok("pong").repeat(500))
            .end(),
        row("FIN instead of the blank line", ENDS_HEAD)
            .send("GET /ping HTTP/1.1\nHost: h\n")
            .half_close()
            .expect(pong())
            .end(),
        row("FIN instead of the blank line, after CRLF", ENDS_HEAD)
            .given(SEED)
            .send("POST /pool/A/lock HTTP/1.1\r\nHost: h\r\n")
            .half_close()
            .expect(answer("4").optional("Connection"))
            .end()
            .check("GET /pool/A/lock", "200 1 - 4"),
        row("FIN after a request line", ENDS_HEAD)
            .send("GET /ping HTTP/1.1\r\n")
            .half_close()
            .expect(pong())
            .end(),
        row("FIN after a request line of 1.0", ENDS_HEAD)
            .send("GET /ping HTTP/1.0\n")
            .half_close()
            .expect(pong())
            .end(),
        row("FIN behind a pipeline ends the last head", ENDS_HEAD)
            .send(bare("GET /ping") + "GET /ping HTTP/1.1\nHost: h\n")
            .half_close()
            .expect(ok("pong"))
            .expect(pong())
            .end(),
        row("FIN instead of the blank line, in JSON", ENDS_HEAD)
            .send("GET /ping HTTP/1.1\nAccept: application/json\n")
            .half_close()
            .expect(json_ok(r#"{"result":"pong"}"#).optional("Connection"))
            .end(),
    ]
}

fn broke_off() -> Vec<Row> {
    let mut rows = vec![
        row(
            "FIN without a word",
            "A silent socket is closed without a word.",
        )
        .half_close()
        .end(),
        row(
            "FIN after blank lines",
            "A silent socket is closed without a word.",
        )
        .send("\r\n\r\n")
        .half_close()
        .end(),
    ];
    let chunked = "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cut = [
        (
            "before a body",
            "PUT /pool/A HTTP/1.1\r\nContent-Length: 5\r\n\r\n".to_string(),
        ),
        (
            "within a body",
            "PUT /pool/A HTTP/1.1\r\nContent-Length: 7\r\n\r\n[1,2]".into(),
        ),
        (
            "before the blank line before a body",
            "PUT /pool/A HTTP/1.1\nContent-Length: 5\n".into(),
        ),
        (
            "within a list of lines",
            "PUT /pool/A HTTP/1.1\r\nContent-Length: 9\r\n\r\n1\n2\n".into(),
        ),
        ("before a chunk", chunked.into()),
        ("within a chunk size", format!("{chunked}5")),
        ("within a chunk", format!("{chunked}5\r\n[1,2]")),
        ("between chunks", format!("{chunked}5\r\n[1,2]\r\n")),
        ("within the last chunk", format!("{chunked}5\r\n[1,2]\r\n0")),
    ];
    rows.extend(cut.iter().map(|(what, bytes)| {
        row(format!("FIN {what}"), CUT)
            .given(SEED)
            .send(bytes)
            .half_close()
            .end_without_success()
            .check("GET /pool/A", "200 1\t2\t3\t4")
    }));
    rows
}
