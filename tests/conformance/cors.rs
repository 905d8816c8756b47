//! CORS: what a page in a browser may do.

use super::expected::{Answer, Value};
use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const CORS: &str =
    "`OPTIONS` and a request with `Origin` get CORS headers (`--cors ORIGIN`, default `*`";
const NONE: &str = "`--cors ORIGIN`, default `*`, `none` turns it off";
const ORIGIN: &str = "Access-Control-Allow-Origin";

fn preflight(line: &str) -> String {
    with(
        line,
        "Origin: https://page.example\r\nAccess-Control-Request-Method: DELETE\r\n\
         Access-Control-Request-Headers: content-type",
    )
}

/// What OPTIONS answers about a path.
fn options(origin: &'static str, methods: &[&'static str]) -> Answer {
    answer("")
        .header("Allow", has(methods))
        .header(ORIGIN, origin)
        .header("Access-Control-Allow-Methods", has(methods))
        .header(
            "Access-Control-Allow-Headers",
            Value::HasOrStar(vec!["Content-Type"]),
        )
        .header("Access-Control-Max-Age", Value::Number)
}

pub fn rows() -> Vec<Row> {
    let from_page = "Origin: https://page.example";
    vec![
        row("an answer to a page", CORS)
            .given(SEED)
            .ask(
                with("POST /pool/A/lock", from_page),
                answer("4").header(ORIGIN, "*"),
            )
            .ask(
                with(
                    "POST /pool/A/lock",
                    &format!("{from_page}\r\nAccept: application/json"),
                ),
                json_ok(r#""3""#).header(ORIGIN, "*"),
            )
            .ask(
                with("DELETE /pool/A/lock/4", "origin: null"),
                answer("").header(ORIGIN, "*"),
            ),
        row("a failure to a page", CORS)
            .ask(
                with("POST /pool/A/lock", from_page),
                fails("404 no pool").header(ORIGIN, "*"),
            )
            .ask(
                with("POST /pool/A/lock?x", from_page),
                fails("400 bad …").header(ORIGIN, "*"),
            ),
        row("405 to a page", CORS).ask(
            with("PATCH /pool", from_page),
            fails("405 bad method")
                .header(ORIGIN, "*")
                .header("Allow", has(&["GET", "POST", "PUT"])),
        ),
        row(
            "nothing to who did not ask",
            "CORS headers if the request carried Origin",
        )
        .ask(bare("GET /ping"), ok("pong")),
        row("preflight", CORS)
            .ask(
                preflight("OPTIONS /pool/A/lock/4?lease&n=1"),
                options("*", &["GET", "POST", "DELETE"]),
            )
            .ask(
                preflight("OPTIONS /pool/A/lock"),
                options("*", &["GET", "POST", "DELETE"]),
            )
            .ask(preflight("OPTIONS /pool/A/queue"), options("*", &["GET"]))
            .ask(
                preflight("OPTIONS /pool/A"),
                options("*", &["GET", "POST", "PUT", "DELETE"]),
            )
            .ask(
                preflight("OPTIONS /pool"),
                options("*", &["GET", "POST", "PUT"]),
            ),
        row("OPTIONS without Origin", CORS)
            .ask(bare("OPTIONS /ping"), options("*", &["GET"]))
            .ask(bare("options /"), options("*", &["GET"])),
        row("OPTIONS changes nothing and asks for nothing", CORS)
            .given(SEED)
            .ask(bare("OPTIONS /pool/A/lock"), options("*", &["POST"]))
            .ask(bare("OPTIONS /pool/B"), options("*", &["POST"]))
            .check("GET /pool", "200 4 0 0 A"),
        row("OPTIONS of nothing", "404 `no route`")
            .ask(bare("OPTIONS /nowhere"), fails("404 no route")),
        row("another origin", CORS)
            .server(&["--cors", "https://x.example"])
            .ask(
                with("GET /ping", from_page),
                answer("pong").header(ORIGIN, "https://x.example"),
            )
            .ask(
                preflight("OPTIONS /ping"),
                options("https://x.example", &["GET"]),
            )
            .ask(bare("GET /ping"), ok("pong")),
        row("no CORS at all", NONE)
            .server(&["--cors", "none"])
            .ask(with("GET /ping", from_page), ok("pong"))
            .ask(with("GET /nowhere", from_page), fails("404 no route"))
            .ask(
                preflight("OPTIONS /ping"),
                answer("").header("Allow", has(&["GET"])),
            ),
        row("an explicit star", NONE).server(&["--cors", "*"]).ask(
            with("GET /ping", from_page),
            answer("pong").header(ORIGIN, "*"),
        ),
    ]
}
