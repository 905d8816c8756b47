//! Caching: caches may keep nothing that was asked for with Accept, as caches and browsers ask.

use super::expected::{Body, ExpectedAnswer};
use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const NO_STORE: &str = "`Cache-Control: no-store` on answers to a GET that carried Accept";

/// Exactly these fields.
fn stored_nowhere(status: &str, body: Body, kind: &'static str) -> ExpectedAnswer {
    ExpectedAnswer::new(status, body)
        .header("Content-Type", kind)
        .header("Cache-Control", "no-store")
}

pub fn rows() -> Vec<Row> {
    let plain = "text/plain; charset=utf-8";
    let json_type = "application/json";
    let text = |body: &str| stored_nowhere("200 OK", Body::Is(body.into()), plain);
    vec![
        row("a GET with Accept, to the byte", NO_STORE)
            .until("GET /ready", "200 ready")
            .ask(
                "GET /ready HTTP/1.1\r\nAccept: */*\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\
                 Cache-Control: no-store\r\n\r\nready",
            ),
        row("every GET with Accept", NO_STORE)
            .given(SEED)
            .ask(with("GET /ping", "Accept: */*"), text("pong"))
            .ask(with("GET /health", "accept: text/plain"), text("ok"))
            .ask(with("GET /pool/A", "Accept: text/html"), text("1\n2\n3\n4"))
            .ask(
                json("GET /pool/A"),
                stored_nowhere("200 OK", Body::Is(r#"["1","2","3","4"]"#.into()), json_type),
            ),
        row("failures, too", NO_STORE)
            .ask(
                with("GET /pool/A", "Accept: */*"),
                stored_nowhere("404 no pool", Body::Reason, plain),
            )
            .ask(
                json("GET /nowhere"),
                stored_nowhere("404 no route", Body::JsonError, json_type),
            ),
        row("HEAD says what GET says", NO_STORE).ask(
            with("HEAD /ping", "Accept: */*"),
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Cache-Control: no-store\r\n\r\n",
        ),
        row(
            "not without Accept, and not where something is changed",
            NO_STORE,
        )
        .given(SEED)
        .ask(bare("GET /ping"), ok("pong"))
        .ask(bare("GET /pool/A"), ok("1\n2\n3\n4"))
        .ask(
            json("POST /pool/A/lock"),
            answer(r#""4""#).header("Content-Type", json_type),
        )
        .ask(
            with("PUT /pool/A/lock/4", "Accept: */*"),
            answer("").header("Content-Type", plain),
        )
        .ask(
            with("DELETE /pool/A/lock/4", "Accept: */*"),
            answer("").header("Content-Type", plain),
        ),
        row(
            "devices with text/html get text",
            "a bare `text/html` comes from devices",
        )
        .ask(
            "GET / HTTP/1.0\r\nAccept: text/html\r\n\r\n",
            text(concat!("latchd ", env!("CARGO_PKG_VERSION"))).header("Connection", "close"),
        )
        .end(),
    ]
}
