//! `Expect: 100-continue`: an interim answer once the head is whole, if the body is not there yet.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const EXPECT: &str = "`Expect: 100-continue`";
const BEFORE: &str = "Nothing may be sent before the request is whole";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

pub fn rows() -> Vec<Row> {
    let head = "PUT /pool/A HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let chunked =
        "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    let answer = ok(r#"["1","2"]"#);
    vec![
        row("a head, the interim answer, a body", EXPECT)
            .ask(head, CONTINUE)
            .ask("[1,2]", answer.as_str()),
        row("a chunked body", EXPECT)
            .ask(chunked, CONTINUE)
            .ask("5\r\n[1,2]\r\n0\r\n\r\n", answer.as_str()),
        row("in any case", EXPECT)
            .ask(
                head.replace("100-continue", "100-Continue")
                    .replace("Expect", "expect"),
                CONTINUE,
            )
            .ask("[1,2]", answer.as_str()),
        row("once only", EXPECT)
            .ask(head, CONTINUE)
            .silence()
            .pieces(&["[1", ",", "2]"])
            .expect(answer.as_str()),
        row("once only, in chunks", EXPECT)
            .ask(chunked, CONTINUE)
            .pieces(&["2\r\n[1\r\n", "3\r\n,2]\r\n", "0\r\n", "\r\n"])
            .expect(answer.as_str()),
        row("nothing before the head is whole", BEFORE)
            .bytes(head)
            .expect(CONTINUE)
            .bytes("[1,2]")
            .expect(answer.as_str()),
        row("again with each request", EXPECT)
            .ask(head, CONTINUE)
            .ask("[1,2]", answer.as_str())
            .ask(head, CONTINUE)
            .ask("[1,2]", answer.as_str()),
        row("not where the body is there already", EXPECT)
            .ask(format!("{head}[1,2]"), answer.as_str())
            .kept_whole(),
        row("not where no body comes", EXPECT)
            .given(SEED)
            .ask(with("POST /pool/A/lock", "Expect: 100-continue"), ok("4"))
            .ask(
                with(
                    "POST /pool/A/lock",
                    "Expect: 100-continue\r\nContent-Length: 0",
                ),
                ok("3"),
            ),
        row("not in 1.0", EXPECT)
            .send(head.replace("HTTP/1.1", "HTTP/1.0"))
            .silence()
            .ask("[1,2]", closes(r#"["1","2"]"#))
            .end(),
        row("not where the body is too large", "413 `body too large`")
            .server(&["--max-body", "4"])
            .breaks(head, "413 body too large")
            .check("GET /pool", "200"),
        row("behind another request", EXPECT)
            .send(bare("GET /ping") + head)
            .expect(ok("pong") + CONTINUE)
            .ask("[1,2]", answer.as_str()),
        row("before another request", EXPECT)
            .ask(head, CONTINUE)
            .ask("[1,2]GET /ping\n", answer.clone() + "200 pong\n"),
        row("with close", EXPECT)
            .ask(
                head.replace("Expect", "Connection: close\r\nExpect"),
                CONTINUE,
            )
            .ask(
                "[1,2]",
                super::request::answer(r#"["1","2"]"#).header("Connection", "close"),
            )
            .end(),
        row(
            "a body that never comes changes nothing",
            "A body is taken whole or not at all.",
        )
        .given(SEED)
        .ask(head, CONTINUE)
        .send("[1,")
        .half_close()
        .end_without_success()
        .check("GET /pool/A", "200 1\t2\t3\t4"),
    ]
}
