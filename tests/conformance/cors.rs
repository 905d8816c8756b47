//! CORS: the rights of a page in a browser.

use super::expected::{ExpectedAnswer, Value};
use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const CORS: &str = "`OPTIONS` and a request with `Origin` get CORS headers (`--cors ORIGIN`)";
const OWN: &str = "the default is the server's own origin, `*` has to be said";
const NONE: &str = "`none` turns it off";
const STAR: &[&str] = &["--cors", "*"];
const ORIGIN: &str = "Access-Control-Allow-Origin";

fn preflight(line: &str) -> String {
    with(
        line,
        "Origin: https://page.example\r\nAccess-Control-Request-Method: DELETE\r\n\
         Access-Control-Request-Headers: content-type",
    )
}

/// The expected answer to OPTIONS of a path.
fn options(origin: &'static str, methods: &[&'static str]) -> ExpectedAnswer {
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

/// The same, to a page.
fn preflighted(origin: &'static str, methods: &[&'static str]) -> ExpectedAnswer {
    isolated(options(origin, methods))
}

pub fn rows() -> Vec<Row> {
    let from_page = "Origin: https://page.example";
    let from_own = "Host: h:8081\r\nOrigin: https://h:8081";
    vec![
        row("an answer to a page", CORS)
            .server(STAR)
            .given(SEED)
            .ask(
                with("POST /pool/A/lock", from_page),
                isolated(answer("4")).header(ORIGIN, "*"),
            )
            .ask(
                with(
                    "POST /pool/A/lock",
                    &format!("{from_page}\r\nAccept: application/json"),
                ),
                isolated(json_ok(r#""3""#)).header(ORIGIN, "*"),
            )
            .ask(
                with("DELETE /pool/A/lock/4", "origin: null"),
                isolated(answer("")).header(ORIGIN, "*"),
            ),
        row("a failure to a page", CORS)
            .server(STAR)
            .ask(
                with("POST /pool/A/lock", from_page),
                isolated(fails("404 no pool")).header(ORIGIN, "*"),
            )
            .ask(
                with("POST /pool/A/lock?x", from_page),
                isolated(fails("400 bad …")).header(ORIGIN, "*"),
            ),
        row("405 to a page", CORS).server(STAR).ask(
            with("PATCH /pool", from_page),
            isolated(fails("405 bad method"))
                .header(ORIGIN, "*")
                .header("Allow", has(&["GET", "POST", "PUT"])),
        ),
        row(
            "nothing to a client that did not ask",
            "CORS headers if the request carried Origin",
        )
        .server(STAR)
        .ask(bare("GET /ping"), ok("pong")),
        row("preflight", CORS)
            .server(STAR)
            .ask(
                preflight("OPTIONS /pool/A/lock/4?lease&n=1"),
                preflighted("*", &["GET", "POST", "DELETE"]),
            )
            .ask(
                preflight("OPTIONS /pool/A/lock"),
                preflighted("*", &["GET", "POST", "DELETE"]),
            )
            .ask(
                preflight("OPTIONS /pool/A/queue"),
                preflighted("*", &["GET"]),
            )
            .ask(
                preflight("OPTIONS /pool/A"),
                preflighted("*", &["GET", "POST", "PUT", "DELETE"]),
            )
            .ask(
                preflight("OPTIONS /pool"),
                preflighted("*", &["GET", "POST", "PUT"]),
            ),
        row("OPTIONS without Origin", CORS)
            .server(STAR)
            .ask(bare("OPTIONS /ping"), options("*", &["GET"]))
            .ask(bare("options /"), options("*", &["GET"])),
        row("OPTIONS changes nothing and asks for nothing", CORS)
            .server(STAR)
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
                isolated(answer("pong")).header(ORIGIN, "https://x.example"),
            )
            .ask(
                preflight("OPTIONS /ping"),
                preflighted("https://x.example", &["GET"]),
            )
            .ask(bare("GET /ping"), ok("pong")),
        row("an origin as people write it", CORS)
            .server(&["--cors", "HTTPS://X.example:443/"])
            .given(SEED)
            .ask(
                with("POST /pool/A/lock", "Origin: https://x.example"),
                isolated(answer("4")).header(ORIGIN, "https://x.example"),
            ),
        row("the page of the server itself", OWN)
            .given(SEED)
            .ask(
                with("POST /pool/A/lock", from_own),
                isolated(answer("4")).header(ORIGIN, "https://h:8081"),
            )
            .ask(
                with(
                    "OPTIONS /pool/A",
                    &format!("{from_own}\r\nAccess-Control-Request-Method: PUT"),
                ),
                preflighted("https://h:8081", &["GET", "PUT"]),
            ),
        row("a page of another origin by default", OWN)
            .ask(with("GET /ping", from_page), isolated(answer("pong")))
            .ask(
                preflight("OPTIONS /ping"),
                isolated(answer("")).header("Allow", has(&["GET"])),
            )
            .ask(
                bare("OPTIONS /ping"),
                answer("").header("Allow", has(&["GET"])),
            ),
        row("no CORS at all", NONE)
            .server(&["--cors", "none"])
            .ask(with("GET /ping", from_page), isolated(answer("pong")))
            .ask(with("GET /ping", from_own), isolated(answer("pong")))
            .ask(
                with("GET /nowhere", from_page),
                isolated(fails("404 no route")),
            )
            .ask(
                preflight("OPTIONS /ping"),
                isolated(answer("")).header("Allow", has(&["GET"])),
            ),
    ]
}
