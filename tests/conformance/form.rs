//! The form of an answer: short, whole, in one write, and nothing in it that means nothing.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const ONE_WRITE: &str = "Headers and body leave in one write.";
const HEADERS: &str = "Headers beyond that only where they mean something";

pub fn rows() -> Vec<Row> {
    let lock = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4";
    assert_eq!(lock.len(), 39);
    vec![
        row(
            "39 bytes",
            "the answer to a bare `POST /pool/A/lock HTTP/1.1` is … 39 bytes",
        )
        .given(SEED)
        .ask("POST /pool/A/lock HTTP/1.1\r\n\r\n", lock),
        row("a Server field only where it is set", HEADERS)
            .server(&["--server-name", "Lock server"])
            .given(SEED)
            .ask(
                "POST /pool/A/lock HTTP/1.1\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nServer: Lock server\r\n\r\n4",
            )
            .ask(
                "GET /pool/B HTTP/1.1\r\n\r\n",
                "HTTP/1.1 404 no pool\r\nContent-Length: 7\r\nServer: Lock server\r\n\r\nno pool",
            )
            .ask(
                "GET /pool/A HTTP/1.1\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nServer: Lock server\r\n\r\n1\n2\n3\n4",
            )
            .line("POST /pool/A/lock", "200 3"),
        row("headers that mean nothing change nothing", HEADERS)
            .given(SEED)
            .ask(
                with(
                    "POST /pool/A/lock",
                    "Host: h\r\nUser-Agent: x\r\nAccept-Encoding: gzip, br\r\n\
                     Accept-Language: de\r\nX-Anything: y\r\nCookie: a=b\r\n\
                     Authorization: Basic eDp5\r\nIf-None-Match: *\r\nRange: bytes=0-1\r\n\
                     Cache-Control: no-cache\r\nUpgrade: h2c\r\n\
                     Content-Type: text/plain; charset=latin1",
                ),
                lock,
            ),
        row("an answer is one write", ONE_WRITE)
            .given(SEED)
            .send("POST /pool/A/lock HTTP/1.1\r\n\r\n")
            .at_once(lock)
            .kept_whole(),
        row("a failure is one write", ONE_WRITE)
            .send("POST /pool/A/lock HTTP/1.1\r\n\r\n")
            .at_once("HTTP/1.1 404 no pool\r\nContent-Length: 7\r\n\r\nno pool")
            .kept_whole(),
        row("a one-line answer is one write", ONE_WRITE)
            .given(SEED)
            .send("POST /pool/A/lock\n")
            .at_once("200 4\n")
            .kept_whole(),
        row("a list is one write", ONE_WRITE)
            .given(SEED)
            .send("GET /pool/A HTTP/1.1\r\n\r\n")
            .at_once("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n1\n2\n3\n4")
            .kept_whole(),
        row("an answer that closes is one write", ONE_WRITE)
            .send("GET /ping HTTP/1.0\r\n\r\n")
            .at_once("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npong")
            .end()
            .kept_whole(),
        row(
            "an empty body has a length",
            "`Content-Length: N` always, in that spelling",
        )
        .given(SEED)
        .lends(&["4"])
        .ask(
            "DELETE /pool/A/lock/4 HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        row("the length counts bytes", "`Content-Length: N` always")
            .given(r#"POST /pool {"A":["日本"]}"#)
            .ask(
                "POST /pool/A/lock HTTP/1.1\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n日本",
            )
            .ask(json("DELETE /pool/A"), json_ok(r#""""#)),
        row("creation is 200 as well", "Success is exactly `200 OK`.")
            .ask(body("POST /pool/A", "[\"1\"]"), ok(r#"["1"]"#)),
        long_list(),
        late_reader(),
    ]
}

/// Enough ids for a list that fills more than one segment and most buffers.
fn many_ids() -> Vec<String> {
    let ids = 0..20_000;
    ids.map(|number| format!("resource {number}")).collect()
}

fn long_list() -> Row {
    let ids = many_ids();
    row(
        "a long answer",
        "`Content-Length: N` always …; never chunked",
    )
    .send(body("PUT /pool/A", &ids.join("\n")))
    .expect(ok(&format!("[\"{}\"]", ids.join("\",\""))))
    .ask(bare("GET /pool/A"), ok(&ids.join("\n")))
    .line("GET /pool/A", format!("200 {}", ids.join("\t")))
    .line("POST /pool/A/lock", "200 resource 19999")
}

/// Twelve long answers pile up, more than the sockets hold, while others are served.
fn late_reader() -> Row {
    let ids = many_ids();
    let list = ok(&ids.join("\n"));
    row(
        "a client that reads late gets all",
        "keep-alive and pipelining",
    )
    .send(body("PUT /pool/A", &ids.join("\n")))
    .expect(ok(&format!("[\"{}\"]", ids.join("\",\""))))
    .send(bare("GET /pool/A").repeat(12) + "GET /ping\n")
    .check("GET /ping", "200 pong")
    .check("GET /pool", "200 20000 0 0 A")
    .expect(list.repeat(12) + "200 pong\n")
}
