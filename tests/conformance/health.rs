//! Whether the server is well: `/health` of the process, `/ready` of the store too. The metrics are
//! tested in `metrics`.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const HEALTH: &str =
    "docs/http-api.md: `GET /health`, is the process well: `ok`, `{\"result\":\"ok\"}`";
const READY: &str =
    "docs/http-api.md: `GET /ready`, does the store answer: `ready`, `{\"result\":\"ready\"}`";

pub fn rows() -> Vec<Row> {
    vec![
        row("health", HEALTH)
            .ask(bare("GET /health"), ok("ok"))
            .ask(json("GET /health"), json_ok(r#"{"result":"ok"}"#))
            .line("GET /health", "200 ok"),
        row("ready", READY)
            .until("GET /ready", "200 ready")
            .ask(bare("GET /ready"), ok("ready"))
            .ask(json("GET /ready"), json_ok(r#"{"result":"ready"}"#))
            .line("GET /ready", "200 ready"),
        row("ready in its turn among other requests", READY)
            .given(r#"POST /pool {"A":["1"]}"#)
            .send("POST /pool/A/lock\nGET /ready\nDELETE /pool/A/lock/1\nGET /health\n")
            .hears("200 1")
            .hears("200 ready")
            .hears("200")
            .hears("200 ok"),
        row("both are paths like any other", HEALTH)
            .until("GET /ready", "200 ready")
            .line("POST /health", "405 bad method")
            .line("DELETE /ready", "405 bad method")
            .line("GET /health?x=1", "400 bad parameter x")
            .line("GET /ready/", "400 bad path")
            .line("GET /health/x", "404 no route")
            .ask(
                bare("HEAD /ready"),
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            ),
        // Earlier requests are still answered before it stops.
        row(
            "not ready once it is told to stop",
            "docs/http-api.md: `/ready` is `503 stopping` while the server comes to its end",
        )
        .kept_whole()
        .freeze()
        .terminate()
        .send("GET /ready\nGET /health\n")
        .thaw()
        .hears("503 stopping")
        .hears("200 ok")
        .end(),
    ]
}
