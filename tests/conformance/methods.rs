//! Methods: their case, `_method`, HEAD and OPTIONS, and the ones that a path does not have.

use latchd::contract::ROUTES;

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const CASE: &str = "any case of the method";
const METHOD: &str = "`_method=DELETE` or `_method=PUT` on a POST stands for that method";
const GET: &str = "A GET never changes anything.";
const BAD_METHOD: &str = "405 `bad method`; `Allow` on 405";

pub fn rows() -> Vec<Row> {
    let mut rows = case();
    rows.extend(underscore_method());
    rows.extend(head());
    rows.extend(not_allowed());
    rows
}

fn case() -> Vec<Row> {
    vec![
        row("methods in lower case", CASE)
            .ask(
                body("post /pool/A", "[1,2,3,4]"),
                ok(r#"["1","2","3","4"]"#),
            )
            .ask(bare("post /pool/A/lock"), ok("4"))
            .ask(bare("get /pool/A/lock"), ok("1 - 4"))
            .ask(bare("delete /pool/A/lock/4"), ok(""))
            .ask(body("put /pool/A", "[1]"), ok(r#"["1"]"#)),
        row("methods in mixed case", CASE)
            .given(SEED)
            .ask(bare("Post /pool/A/lock"), ok("4"))
            .ask(bare("gEt /pool/A/lock"), ok("1 - 4"))
            .ask(bare("Delete /pool/A/lock/4"), ok("")),
        row("methods in any case, one line", CASE)
            .given(SEED)
            .line("post /pool/A/lock", "200 4")
            .line("Get /pool/A/lock", "200 1 - 4")
            .line("delete /pool/A/lock/4", "200"),
        row("HEAD in lower case", CASE).ask(
            bare("head /ping"),
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        ),
    ]
}

fn underscore_method() -> Vec<Row> {
    vec![
        row("POST releases with _method=DELETE", METHOD)
            .given(SEED)
            .lends(&["4", "3"])
            .ask(bare("POST /pool/A/lock/4?_method=DELETE"), ok(""))
            .line("POST /pool/A/lock/3?_method=DELETE", "200")
            .ask(
                json("POST /pool/A/lock/3?_method=DELETE"),
                json_fails("404 not held"),
            )
            .check("GET /pool/A/lock", "200"),
        row("POST purges with _method=DELETE", METHOD)
            .given(SEED)
            .lends(&["4", "3"])
            .ask(bare("POST /pool/A/lock?_method=DELETE"), ok("2")),
        row("POST removes a pool with _method=DELETE", METHOD)
            .given(SEED)
            .ask(bare("POST /pool/A?_method=DELETE"), ok(""))
            .check("GET /pool", "200"),
        row("POST sets members with _method=PUT", METHOD)
            .given(SEED)
            .ask(body("POST /pool/A?_method=PUT", "[1]"), ok(r#"["1"]"#))
            .ask(
                body("POST /pool?_method=PUT", r#"{"A":["2"]}"#),
                ok(r#"{"A":["2"]}"#),
            )
            .check("GET /pool/A", "200 2"),
        row("no _method where it is turned off", METHOD)
            .server(&["--no-method-override"])
            .given(SEED)
            .ask(
                bare("POST /pool/A?_method=DELETE"),
                fails("400 bad parameter _method"),
            )
            .line(
                "POST /pool/A/lock?%5Fmethod=DELETE",
                "400 bad parameter _method",
            )
            .line("POST /pool?_method=PUT {}", "400 bad parameter _method")
            .line("POST /pool/A/lock", "200 4")
            .check("GET /pool", "200 4 1 0 A"),
        row("a GET with _method is refused", GET)
            .given(SEED)
            .lends(&["4"])
            .ask(
                bare("GET /pool/A/lock/4?_method=DELETE"),
                fails("400 bad …"),
            )
            .ask(bare("GET /pool/A/lock?_method=DELETE"), fails("400 bad …"))
            .ask(bare("GET /pool/A?_method=DELETE"), fails("400 bad …"))
            .ask(body("GET /pool/A?_method=PUT", "[9]"), fails("400 bad …"))
            .line("GET /pool/A/lock?_method=DELETE", "400 bad …")
            .check("GET /pool", "200 4 1 0 A"),
    ]
}

fn head() -> Vec<Row> {
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    vec![
        row("HEAD is GET without the body", "`Content-Length: N` always")
            .given(SEED)
            .lends(&["4", "3"])
            .ask(bare("HEAD /ping"), head(4))
            .ask(bare("HEAD /"), head(7 + env!("CARGO_PKG_VERSION").len()))
            .ask(bare("HEAD /pool"), head(7))
            .ask(bare("HEAD /pool/A"), head(7))
            .ask(bare("HEAD /pool/A/lock"), head(11))
            .ask(bare("HEAD /pool/A/lock/3"), head(5)),
        row("HEAD of what is not there", "`Content-Length: N` always")
            .ask(
                bare("HEAD /pool/A"),
                "HTTP/1.1 404 no pool\r\nContent-Length: 7\r\n\r\n",
            )
            .ask(
                bare("HEAD /nowhere"),
                "HTTP/1.1 404 no route\r\nContent-Length: 8\r\n\r\n",
            ),
        row("HEAD amid a pipeline", "keep-alive and pipelining")
            .send(bare("GET /ping") + &bare("HEAD /ping") + &bare("GET /ping"))
            .expect(ok("pong") + &head(4) + &ok("pong")),
    ]
}

fn not_allowed() -> Vec<Row> {
    let mut rows = Vec::new();
    for route in &ROUTES {
        let path = route.pattern.replace("{pool}", "A").replace("{id}", "4");
        let allowed: Vec<&str> = route.operations().map(|(method, _)| method).collect();
        let allowed = &*allowed;
        let methods = ["POST", "PUT", "DELETE", "PATCH", "BREW"];
        for method in methods.iter().filter(|method| !allowed.contains(method)) {
            let line = format!("{method} {path}");
            rows.push(
                row(format!("{line} is not there"), BAD_METHOD)
                    .given(SEED)
                    .given("POST /pool/A/lock")
                    .ask(
                        bare(&line),
                        fails("405 bad method").header("Allow", has(allowed)),
                    )
                    .ask(
                        json(&line),
                        json_fails("405 bad method").header("Allow", has(allowed)),
                    )
                    .line(line, "405 bad method")
                    .check("GET /pool", "200 4 1 0 A"),
            );
        }
    }
    rows.push(
        row("_method is not there either", BAD_METHOD)
            .ask(
                bare("POST /ping?_method=DELETE"),
                fails("405 bad method").header("Allow", has(&["GET"])),
            )
            .line("POST /pool?_method=DELETE", "405 bad method"),
    );
    rows
}
