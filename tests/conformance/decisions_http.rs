//! Decisions about the bytes of requests where the contract is silent; docs/http-api.md lists them.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

pub fn rows() -> Vec<Row> {
    let mut rows = answers();
    rows.extend(paths());
    rows.extend(methods());
    rows.extend(broken_requests());
    rows.extend(unfinished_lines());
    rows
}

fn answers() -> Vec<Row> {
    let version = "The status line always says HTTP/1.1.";
    let types = "Plain text Content-Type is `text/plain; charset=utf-8`, JSON `application/json`.";
    let empty = "A one-line answer with an empty body is `200\\n` (no trailing space).";
    let open = "Semantic errors keep the connection open.";
    vec![
        row("1.0 is answered as 1.1", version)
            .ask(
                "GET /ping HTTP/1.0\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npong",
            )
            .end(),
        row("the type of plain text", types)
            .ask(with("GET /ping", "Accept: */*"), plain_ok("pong")),
        row("the type of JSON", types).ask(
            with("GET /ping", "Accept: application/json"),
            json_ok(r#"{"result":"pong"}"#),
        ),
        row("empty one-line answers", empty)
            .ask("GET /pool\n", "200\n")
            .ask("POST /pool {\"A\":[\"1\"]}\n", "200 {\"A\":[\"1\"]}\n")
            .ask("GET /pool/A/lock\n", "200\n")
            .ask("POST /pool/A/lock\n", "200 1\n")
            .ask("DELETE /pool/A/lock/1\n", "200\n")
            .ask("DELETE /pool/A\n", "200\n"),
        row("one-line failures", "One-line errors: `404 no pool\\n`.")
            .given(SEED)
            .ask("POST /pool/B/lock\n", "404 no pool\n")
            .ask("POST /pool/A/lock/9\n", "404 no resource\n")
            .ask("DELETE /pool/A/lock/1\n", "404 not held\n")
            .ask("GET /nowhere\n", "404 no route\n")
            .ask("PATCH /ping\n", "405 bad method\n")
            .ask("POST /pool/A/lock?n=5\n", "422 only 4 resources\n"),
        row("failures that keep the connection", open)
            .given(SEED)
            .ask(bare("GET /nowhere"), fails("404 no route"))
            .ask(
                bare("PATCH /ping"),
                fails("405 bad method").header("Allow", has(&["GET"])),
            )
            .ask(bare("POST /pool/A/lock?n=5"), fails("422 only 4 resources"))
            .ask(bare("POST /pool/A/lock?n=x"), fails("400 bad …"))
            .ask(bare("POST /pool/%zz/lock"), fails("400 bad …"))
            .ask(body("POST /pool/A", "[null]"), fails("400 bad …"))
            .lends(&["4"])
            .ask(bare("POST /pool/A/lock/4"), fails("409 busy")),
    ]
}

fn paths() -> Vec<Row> {
    let empty = "A trailing slash / an empty segment is 400: `DELETE /pool/A/lock/` with an empty \
                 shell variable must never purge.";
    let untouched = |row: Row| {
        row.check("GET /pool", "200 4 2 0 A")
            .check("GET /pool/A/lock", "200 1 - 4\t2 - 3")
    };
    let lines = [
        "DELETE /pool/A/lock/",
        "POST /pool/A/lock/",
        "GET /pool/A/lock/",
        "POST /pool/A/lock/?_method=DELETE",
        "DELETE /pool/A/lock//",
        "DELETE /pool/A//lock",
        "DELETE /pool/A/",
        "DELETE /pool//A",
        "DELETE /pool//lock",
        "POST /pool//lock",
        "GET /pool/",
        "GET //pool",
        "GET /ping/",
        "GET //",
    ];
    let mut rows: Vec<Row> = lines
        .iter()
        .map(|line| {
            untouched(
                row(*line, empty)
                    .given(SEED)
                    .given("POST /pool/A/lock")
                    .given("POST /pool/A/lock")
                    .ask(bare(line), fails("400 bad …"))
                    .line(*line, "400 bad …"),
            )
        })
        .collect();
    rows.push(
        row("a body to an empty name", empty)
            .ask(body("POST /pool/", r#"["1"]"#), fails("400 bad …"))
            .ask(body("PUT /pool/", r#"{"A":["1"]}"#), fails("400 bad …"))
            .check("GET /pool", "200"),
    );
    rows
}

fn methods() -> Vec<Row> {
    let only_post = "`_method` on anything but POST is 400.";
    let refused = |line: &str| {
        row(line, only_post)
            .given(SEED)
            .given("POST /pool/A/lock")
            .ask(bare(line), fails("400 bad …"))
            .line(line, "400 bad …")
            .check("GET /pool", "200 4 1 0 A")
    };
    vec![
        refused("GET /pool/A/lock/4?_method=DELETE"),
        refused("GET /pool/A?_method=DELETE"),
        refused("DELETE /pool/A/lock/4?_method=DELETE"),
        refused("DELETE /pool/A?_method=PUT"),
        refused("POST /pool/A/lock/4?_method=GET"),
        refused("POST /pool/A/lock/4?_method=PATCH"),
        refused("POST /pool/A/lock/4?_method="),
        refused("POST /pool/A/lock/4?_method"),
        refused("POST /pool/A/lock/4?_method=DELETE&_method=DELETE"),
        refused("POST /pool/A/lock/4?_method=DELETE&x=1"),
        refused("POST /pool/A/lock?_method=DELETE&n=1"),
        row("a body with _method on PUT", only_post)
            .given(SEED)
            .ask(body("PUT /pool/A?_method=PUT", "[9]"), fails("400 bad …"))
            .check("GET /pool/A", "200 1\t2\t3\t4"),
    ]
}

fn broken_requests() -> Vec<Row> {
    let framing = "Errors of framing close the connection after the answer.";
    let line = "A one-line request whose first line is not METHOD SP /PATH: 400 and close.";
    let mut rows = vec![
        row("a header without colon", framing)
            .given(SEED)
            .breaks("POST /pool/A/lock HTTP/1.1\r\nHost h\r\n\r\n", "400 bad …")
            .check("GET /pool/A/lock", "200"),
        row("a header without name", framing)
            .breaks("GET /ping HTTP/1.1\r\n: h\r\n\r\n", "400 bad …"),
        row("a header name with a space", framing)
            .breaks("GET /ping HTTP/1.1\r\nHost : h\r\n\r\n", "400 bad …"),
        row("a header with a zero byte", framing)
            .breaks("GET /ping HTTP/1.1\r\nHost: \0\r\n\r\n", "400 bad …"),
        row("nothing is done behind a broken request", framing)
            .given(SEED)
            .breaks(
                "GET /ping HTTP/1.1\r\nHost h\r\n\r\nPOST /pool/A/lock HTTP/1.1\r\n\r\n",
                "400 bad …",
            )
            .check("GET /pool/A/lock", "200"),
        row("what came before a broken request is answered", framing)
            .given(SEED)
            .send(bare("POST /pool/A/lock") + "POST /pool/A/lock\nGET /ping HTTP/1.1\r\n:\r\n\r\n")
            .expect(ok("4") + "200 3\n")
            .expect(fails_and_closes("400 bad …"))
            .end(),
    ];
    let nonsense = [
        "hello\n",
        "GET\n",
        "GET \n",
        "GET ping\n",
        "/ping\n",
        "GET  /ping\n",
        "hello world\r\n\r\n",
        "G\u{1}T /ping\n",
        "\0\n",
        "{\"A\":[\"1\"]}\n",
        "\u{16}\u{3}\u{1}\u{2}\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
    ];
    rows.extend(nonsense.iter().map(|text| {
        row(format!("{text:?} is no request"), line)
            .given(SEED)
            .breaks_in_either_form(text, "400 bad …")
            .connect()
            .breaks_in_either_form(text.to_string() + "POST /pool/A/lock\n", "400 bad …")
            .check("GET /pool/A/lock", "200")
    }));
    rows
}

fn unfinished_lines() -> Vec<Row> {
    let promise = "A line at the FIN that has no line end is not executed: a cut `DELETE \
                   /pool/A/lock` must never purge.";
    let cuts = [
        "DELETE /pool/A/lock",
        "DELETE /pool/A/lock/4",
        "DELETE /pool/A",
        "DELETE /pool/A/lock HTTP/1.1",
        "DELETE /pool/A/lock HTTP/1.1\r\nHost: h",
        "DELETE /pool/A/lock HTTP/1.1\nHost: h\nX: y",
        "PUT /pool/A [1]",
        "POST /pool/A/lock",
        "POST /pool/A/lock HTTP/1.1\r",
        "POST /pool/A/lock HTTP/1.1\r\nHost: h\r",
    ];
    let mut rows: Vec<Row> = cuts
        .iter()
        .map(|text| {
            row(format!("{text:?} and FIN"), promise)
                .given(SEED)
                .given("POST /pool/A/lock")
                .send(text)
                .half_close()
                .end_without_success()
                .check("GET /pool/A", "200 1\t2\t3\t4")
                .check("GET /pool/A/lock", "200 1 - 4")
        })
        .collect();
    rows.push(
        row("what came before an unfinished line is answered", promise)
            .given(SEED)
            .given("POST /pool/A/lock")
            .send("POST /pool/A/lock\nGET /ping HTTP/1.1\r\n\r\nDELETE /pool/A/lo")
            .expect("200 3\n".to_string() + &ok("pong"))
            .half_close()
            .end_without_success()
            .check("GET /pool/A/lock", "200 1 - 4\t2 - 3"),
    );
    rows
}
