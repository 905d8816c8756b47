//! The base path `/json`: answers for clients that are generated from the description and send no Accept.

use super::expected::Expected;
use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const ALWAYS: &str = "Under `/json` every answer is JSON, whatever Accept says";
const LEASES: &str = "Under `/json` an acquire and a renewal are answered with an array of leases";
const SAME: &str = "Under `/json` there is each path that there is without it";

pub fn rows() -> Vec<Row> {
    let mut rows = forms();
    rows.extend(leases());
    rows.extend(paths());
    rows.extend(failures());
    rows
}

fn leases_of(leases: &[String]) -> String {
    format!("[{}]", leases.join(","))
}

fn forms() -> Vec<Row> {
    let accepts = [
        "Host: h",
        "Accept: */*",
        "Accept: text/plain",
        "Accept: text/html,application/xhtml+xml,*/*;q=0.8",
        "Accept: application/json;q=0",
        "Accept: application/json",
    ];
    let mut rows: Vec<Row> = Vec::new();
    rows.extend(accepts.iter().map(|headers| {
        row(format!("{headers:?} gets JSON"), ALWAYS)
            .given(SEED)
            .ask(
                with("POST /json/pool/A/lock", headers),
                json_ok(&leases_of(&[lease("4", 1)])),
            )
            .ask(
                with("POST /json/pool/A/lock/4", headers),
                json_fails("409 busy"),
            )
            .ask(
                with("DELETE /json/pool/A/lock/4", headers),
                json_ok(r#""""#),
            )
    }));
    rows.push(
        row("each request of a connection for itself", ALWAYS)
            .given(SEED)
            .ask(bare("POST /pool/A/lock"), ok("4"))
            .ask(
                bare("POST /json/pool/A/lock"),
                json_ok(&leases_of(&[lease("3", 2)])),
            )
            .line("POST /pool/A/lock", "200 2")
            .line(
                "POST /json/pool/A/lock",
                format!("200 {}", leases_of(&[lease("1", 4)])),
            )
            .line("DELETE /json/pool/A/lock", "200 4")
            .ask(bare("POST /pool/A/lock"), ok("4")),
    );
    rows
}

fn leases() -> Vec<Row> {
    let renewed = r#"[{"id":"4","fence":1,"ttl":~60,"owner":"o","age":~9}]"#;
    vec![
        row("one, a certain one, several", LEASES)
            .given(SEED)
            .ask(
                bare("POST /json/pool/A/lock/2"),
                json_ok(&leases_of(&[lease("2", 1)])),
            )
            .ask(
                bare("POST /json/pool/A/lock?n=2"),
                json_ok(&leases_of(&[lease("4", 2), lease("3", 2)])),
            )
            .ask(
                bare("POST /json/pool/A/lock?n=1&lease"),
                json_ok(&leases_of(&[lease("1", 3)])),
            ),
        row("renewals", LEASES)
            .given(SEED)
            .line("POST /pool/A/lock?owner=o&ttl=60", "200 4")
            .ask(
                bare("PUT /json/pool/A/lock/4?owner=o&ttl=60"),
                json_ok(renewed),
            )
            .ask(
                bare("PUT /json/pool/A/lock?owner=o&ttl=60"),
                json_ok(renewed),
            )
            .ask(
                bare("POST /json/pool/A/lock/4?_method=PUT&owner=o&ttl=60"),
                json_ok(renewed),
            )
            .ask(
                bare("POST /json/pool/A/lock?owner=o&ttl=60"),
                json_ok(renewed),
            ),
        row("after a wait", LEASES)
            .given(SEED)
            .line("POST /pool/A/lock?n=4", "200 4\t3\t2\t1")
            .waits("POST /json/pool/A/lock?wait=60", 1)
            .check("DELETE /pool/A/lock/2", "200")
            .hears(format!("200 {}", leases_of(&[lease("2", 2)]))),
        row("ids are strings", LEASES)
            .ask(body("PUT /json/pool/A", "[7]"), json_ok(r#"["7"]"#))
            .ask(
                bare("POST /json/pool/A/lock"),
                json_ok(&leases_of(&[lease("7", 1)])),
            ),
    ]
}

fn paths() -> Vec<Row> {
    let version = concat!(r#"{"message":"latchd "#, env!("CARGO_PKG_VERSION"), r#""}"#);
    let shown = |body: &str| json_ok(body).optional("Cache-Control");
    vec![
        row("the server itself", SAME)
            .ask(bare("GET /json"), shown(version))
            .ask(
                with("GET /json/", "Accept: text/html,application/xhtml+xml"),
                shown(version),
            )
            .ask(bare("GET /json/ping"), shown(r#"{"result":"pong"}"#))
            .ask(bare("GET /json/health"), shown(r#"{"result":"ok"}"#))
            .ask(bare("GET /json/ready"), shown(r#"{"result":"ready"}"#))
            .ask(
                bare("GET http://h:1/json/ping"),
                shown(r#"{"result":"pong"}"#),
            ),
        row("pools and locks", SAME)
            .ask(
                body("POST /json/pool", r#"{"A":["1","2"]}"#),
                json_ok(r#"{"A":["1","2"]}"#),
            )
            .ask(
                body("POST /json/pool/A", "3\n4"),
                json_ok(r#"["1","2","3","4"]"#),
            )
            .line("POST /pool/A/lock", "200 4")
            .ask(
                bare("GET /json/pool"),
                shown(r#"{"A":{"resources":4,"held":1,"waiting":0,"free":3}}"#),
            )
            .ask(bare("GET /json/pool/A"), shown(r#"["1","2","3","4"]"#))
            .ask(
                bare("GET /json/pool/A/lock"),
                shown(&leases_of(&[lease("4", 1)])),
            )
            .ask(bare("GET /json/pool/A/lock/4"), shown(&lease("4", 1)))
            .ask(bare("GET /json/pool/A/queue"), shown("[]"))
            .ask(bare("DELETE /json/pool/A/lock"), json_ok("1"))
            .ask(bare("DELETE /json/pool/A"), json_ok(r#""""#)),
    ]
}

fn failures() -> Vec<Row> {
    let closing = |status: &str| json_fails(status).header("Connection", "close");
    let chunked = "POST /json/pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    let long = "x".repeat(9000);
    vec![
        row("what is no path of its own", SAME)
            .ask(bare("GET /json/nope"), json_fails("404 no route").optional("Cache-Control"))
            .ask(bare("GET /json/json/ping"), json_fails("404 no route").optional("Cache-Control"))
            .ask(bare("GET /jsonping"), fails("404 no route"))
            .ask(bare("GET /JSON/ping"), fails("404 no route"))
            .ask(bare("GET /%6Ason/ping"), fails("404 no route"))
            .line("GET /json/pool/", r#"400 {"code":"bad…"#),
        row("bad requests change nothing", ALWAYS)
            .ask(bare("POST /json?x=1"), json_fails("405 bad method").header("Allow", has(&["GET"])))
            .ask(bare("POST /json/pool/A/lock?tll=1"), json_fails("400 bad parameter…"))
            .ask(body("POST /json/pool", "{"), json_fails("400 bad…"))
            .check("GET /pool", "200"),
        row("one line that cannot be read", ALWAYS)
            .send("BAD! /json/ping\n")
            .expect(Expected::Line(r#"400 {"code":"bad…"#.into()))
            .end(),
        row("a body that is too large", ALWAYS)
            .ask(
                "POST /json/pool HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n",
                closing("413 body too large"),
            )
            .end(),
        row("a malformed chunk", ALWAYS)
            .ask(chunked, closing("400 bad chunk"))
            .end(),
        row("two lengths", ALWAYS)
            .ask(
                "POST /json/pool HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                closing("400 bad length"),
            )
            .end(),
        row("a malformed header", ALWAYS)
            .ask(with("GET /json/ping", "a b"), closing("400 bad header"))
            .end(),
        row("a header that is too large", ALWAYS)
            .ask(
                with("GET /json/ping", &format!("X: {long}")),
                closing("431 headers too large"),
            )
            .end(),
        row("a path that is too long", ALWAYS)
            .ask(bare(&format!("GET /json/pool/{long}")), closing("414 path too long"))
            .end(),
        row("a version that is not known", ALWAYS)
            .ask("GET /json/ping HTTP/3.0\r\n\r\n", closing("505 bad version"))
            .end(),
    ]
}
