//! Failures: the status, the words, and that they leave the connection open and the pools alone.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const WORDS: &str = "A failure's reason phrase and its plain body are the same short words";

pub fn rows() -> Vec<Row> {
    let mut rows = spelled_out();
    rows.extend(codes());
    rows.extend(every_failure());
    rows
}

fn spelled_out() -> Vec<Row> {
    vec![
        row("busy, to the byte", "`HTTP/1.1 409 busy`")
            .given(r#"POST /pool {"A":["1"]}"#)
            .lends(&["1"])
            .ask(
                "POST /pool/A/lock HTTP/1.1\r\n\r\n",
                "HTTP/1.1 409 busy\r\nContent-Length: 4\r\n\r\nbusy",
            )
            .line("POST /pool/A/lock", "409 busy"),
        row("no pool, to the byte", WORDS).ask(
            "POST /pool/A/lock HTTP/1.1\r\n\r\n",
            "HTTP/1.1 404 no pool\r\nContent-Length: 7\r\n\r\nno pool",
        ),
        row(
            "bad, followed by what is wrong",
            "400 `bad …`: what is wrong, in a few words",
        )
        .ask(bare("GET /ping?x=1"), fails("400 bad …"))
        .ask(json("GET /ping?x=1"), json_fails("400 bad …"))
        .line("GET /ping?x=1", "400 bad …"),
        row(
            "a failure that ends the connection",
            "`Connection` if it departs from …",
        )
        .given(r#"POST /pool {"A":["1"]}"#)
        .ask(
            with("DELETE /pool/A/lock/1", "Connection: close"),
            fails_and_closes("404 not held"),
        )
        .end(),
        row(
            "plain text that was asked for",
            "`Content-Type` if the request carried Accept",
        )
        .ask(
            with("GET /pool/A", "Accept: text/plain"),
            plain_fails("404 no pool"),
        ),
        row(
            "the code in JSON",
            r#"JSON: `{"code":"busy","message":"…"}`"#,
        )
        .given(r#"POST /pool {"A":["1"]}"#)
        .lends(&["1"])
        .ask(json("POST /pool/A/lock"), json_fails("409 busy"))
        .ask(json("POST /pool/A/lock/2"), json_fails("404 no resource")),
    ]
}

const CODES: &str = "JSON: a code that stays the same, and a field of its own for what varies";

/// Bodies in JSON, to the byte: programs compare the codes.
fn codes() -> Vec<Row> {
    let code = |line: &str, status: &str, body: &str| {
        let length = body.len();
        let no_store = match line.starts_with("GET") {
            true => "Cache-Control: no-store\r\n",
            false => "",
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\
             Content-Type: application/json\r\n{no_store}\r\n{body}"
        );
        row(format!("the code of {status}, from {line}"), CODES)
            .given(r#"POST /pool {"A":["1"],"B":["1","2","3"]}"#)
            .given("POST /pool/B/lock?n=2&owner=o")
            .ask(json(line), answer)
    };
    vec![
        code(
            "POST /pool/A/lock?n=3",
            "422 only 1 resource",
            r#"{"code":"too_few","resources":1,"message":"the pool has 1 resource, and can never lend more"}"#,
        ),
        code(
            "POST /pool/B/lock?n=4",
            "422 only 3 resources",
            r#"{"code":"too_few","resources":3,"message":"the pool has 3 resources, and can never lend more"}"#,
        ),
        code(
            "POST /pool/B/lock?owner=o",
            "409 owner holds 2",
            r#"{"code":"owner_holds","holds":2,"message":"this owner holds 2 here, and not what this request asks for"}"#,
        ),
        code(
            "GET /ping?tll=5",
            "400 bad parameter tll",
            r#"{"code":"bad parameter","parameter":"tll","message":"parameter \"tll\" is not known here; known: none"}"#,
        ),
        code(
            "POST /pool/A/lock?ttl=x",
            "400 bad value of ttl",
            r#"{"code":"bad value","parameter":"ttl","message":"parameter ttl has a bad value; expected a whole number from 1 to 31536000, once"}"#,
        ),
        code(
            "POST /pool/A/lock?owner=",
            "400 bad value of owner",
            r#"{"code":"bad value","parameter":"owner","message":"parameter owner has a bad value; expected a name of 1 to 128 bytes of UTF-8 without control characters, once"}"#,
        ),
        row("a pool of nothing", CODES)
            .given("POST /pool/A []")
            .line("POST /pool/A/lock?n=2", "422 only 0 resources"),
    ]
}

/// Each request twice in every form: it fails the same again, so it left nothing behind.
fn every_failure() -> Vec<Row> {
    let failures = [
        ("GET /pool/X", "404 no pool"),
        ("DELETE /pool/X", "404 no pool"),
        ("POST /pool/X/lock", "404 no pool"),
        ("POST /pool/X/lock/1", "404 no pool"),
        ("GET /pool/X/lock", "404 no pool"),
        ("GET /pool/X/lock/1", "404 no pool"),
        ("GET /pool/X/queue", "404 no pool"),
        ("DELETE /pool/X/lock", "404 no pool"),
        ("DELETE /pool/X/lock/1", "404 no pool"),
        ("POST /pool/X/lock?n=2", "404 no pool"),
        ("POST /pool/a/lock", "404 no pool"),
        ("POST /pool/A/lock/9", "404 no resource"),
        ("GET /pool/A/lock/9", "404 no resource"),
        ("GET /pool/A/lock/1", "404 not held"),
        ("DELETE /pool/A/lock/1", "404 not held"),
        ("POST /pool/A/lock/4", "409 busy"),
        ("POST /pool/A/lock?n=4", "409 busy"),
        ("POST /pool/A/lock?n=5", "422 only 4 resources"),
        ("POST /pool/A/lock?n=1000", "422 only 4 resources"),
        ("GET /nowhere", "404 no route"),
        ("POST /lock", "404 no route"),
        ("GET /pools", "404 no route"),
        ("GET /pool/A/locks", "404 no route"),
        ("GET /pool/A/queue/1", "404 no route"),
        ("POST /pool/A/lock/4/5", "404 no route"),
        ("DELETE /pool/A/lock/4/renew", "404 no route"),
        ("BREW /coffee", "404 no route"),
    ];
    let fails_thrice = |(line, status): &(&str, &str)| {
        row(format!("{line}: {status}"), WORDS)
            .given(SEED)
            .given("POST /pool/A/lock")
            .ask(bare(line), fails(status))
            .ask(json(line), json_fails(status))
            .line(*line, *status)
            .ask(bare(line), fails(status))
            .check("GET /pool", "200 4 1 0 A")
            .check("GET /pool/A/lock", "200 1 - 4")
    };
    failures.iter().map(fails_thrice).collect()
}
