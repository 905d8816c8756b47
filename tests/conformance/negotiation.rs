//! Plain text or JSON, by the header Accept.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const JSON: &str = "`Accept: application/json` (q>0, and not ranked below text/plain) gets JSON.";
const PLAIN: &str = "Everything else gets plain text: the bare id, no quotes, no newline.";

pub fn rows() -> Vec<Row> {
    let to_json = [
        "Accept: application/json",
        "accept: application/json",
        "ACCEPT:application/json",
        "Accept: Application/JSON",
        "Accept: application/json, */*",
        "Accept: application/json, text/plain, */*",
        "Accept: text/plain, application/json",
        "Accept: application/json;q=0.1",
        "Accept: application/json; q=0.001",
        "Accept: application/json;charset=utf-8",
        "Accept: text/plain;q=0.5, application/json",
        "Accept: text/plain;q=0.5,application/json;q=0.5",
        "Accept: text/plain;q=0, application/json;q=0.1",
        "Accept: text/html, application/json;q=0.9",
        "Accept: text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8",
        "Accept: text/html\r\nAccept: application/json",
    ];
    let to_plain = [
        "Accept: */*",
        "Accept: text/plain",
        "Accept: text/*",
        "Accept: application/*",
        "Accept: text/html",
        "Accept: application/xml",
        "Accept: application/jsonp",
        "Accept: application/problem+json",
        "Accept: text/json",
        "Accept: application/json;q=0",
        "Accept: application/json;q=0.000",
        "Accept: application/json; q=0, */*",
        "Accept: application/json;q=0.5, text/plain",
        "Accept: application/json;q=0.8, text/plain;q=0.9",
        "Accept: text/plain, application/json;q=0.999",
        "Accept: application/json;q=0.5\r\nAccept: text/plain",
    ];
    let mut rows: Vec<Row> = Vec::new();
    rows.extend(to_json.iter().map(|headers| {
        row(format!("{headers:?} gets JSON"), JSON)
            .given(SEED)
            .ask(with("POST /pool/A/lock", headers), json_ok(r#""4""#))
            .ask(with("POST /pool/A/lock/4", headers), json_fails("409 busy"))
    }));
    rows.extend(to_plain.iter().map(|headers| {
        let busy = plain_fails("409 busy");
        row(format!("{headers:?} gets plain text"), PLAIN)
            .given(SEED)
            .ask(with("POST /pool/A/lock", headers), plain_ok("4"))
            .ask(with("POST /pool/A/lock/4", headers), busy)
    }));
    rows.extend(others());
    rows
}

fn others() -> Vec<Row> {
    vec![
        row(
            "no Accept, no Content-Type",
            "`Content-Type` if the request carried Accept",
        )
        .given(SEED)
        .ask(bare("POST /pool/A/lock"), ok("4"))
        .ask(
            with("POST /pool/A/lock", "Content-Type: application/json"),
            ok("3"),
        )
        .ask(bare("POST /pool/A/lock/4"), fails("409 busy")),
        row("each request of a connection for itself", PLAIN)
            .given(SEED)
            .ask(json("POST /pool/A/lock"), json_ok(r#""4""#))
            .ask(bare("POST /pool/A/lock"), ok("3"))
            .line("POST /pool/A/lock", "200 2")
            .ask(json("POST /pool/A/lock"), json_ok(r#""1""#)),
        row(
            "an empty answer has a type too",
            "`Content-Type` if the request carried Accept",
        )
        .given(SEED)
        .lends(&["4"])
        .ask(with("DELETE /pool/A/lock/4", "Accept: */*"), plain_ok("")),
        row("lists in plain text", PLAIN)
            .given(SEED)
            .ask(with("GET /pool/A", "Accept: */*"), plain_ok("1\n2\n3\n4"))
            .ask(
                with("POST /pool/A/lock?n=2&lease", "Accept: */*"),
                plain_ok("1 - 4\n1 - 3"),
            ),
        row(
            "members come as JSON to all, and say so",
            "`Content-Type` if the body is JSON",
        )
        .ask(
            "PUT /pool/A HTTP/1.1\r\nContent-Length: 5\r\n\r\n[\"5\"]",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: application/json\r\n\r\n[\"5\"]",
        )
        .ask(
            "POST /pool HTTP/1.0\r\nContent-Length: 9\r\n\r\n{\"B\":[1]}",
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: application/json\r\n\
             Connection: close\r\n\r\n{\"B\":[\"1\"]}",
        )
        .end()
        .connect()
        .line("DELETE /pool/A", "200")
        .line("DELETE /pool/B", "200")
        .ask(
            "POST /pool/A HTTP/1.1\r\nAccept: text/plain\r\nContent-Length: 3\r\n\r\n[1]",
            answer(r#"["1"]"#),
        )
        .ask(
            "PUT /pool HTTP/1.1\r\nAccept: */*\r\nContent-Length: 9\r\n\r\n{\"A\":[2]}",
            answer(r#"{"A":["2"]}"#),
        ),
    ]
}
