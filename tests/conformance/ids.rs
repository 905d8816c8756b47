//! Bodies of ids as programs and shells leave them: a byte order mark, blanks, quotes, another type.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const MARK: &str = "A byte order mark in front of it is skipped, in lines and in JSON";
const NO_IDS: &str = "multipart/form-data is 400; so is a body under a JSON type that is no JSON \
                      array or object, a bare JSON scalar";
const QUOTES: &str = "a line that begins or ends with a quote character as shells leave it";
const BLANKS: &str = "Blanks around an id are trimmed.";

pub fn rows() -> Vec<Row> {
    let mut rows = taken();
    rows.extend(refused());
    rows
}

/// `PUT /pool/A` with this type and body.
fn put(kind: &str, body: &str) -> String {
    let length = body.len();
    let fields = format!("Content-Type: {kind}\r\nContent-Length: {length}");
    with("PUT /pool/A", &fields) + body
}

fn taken() -> Vec<Row> {
    let members = ok(r#"["1","2"]"#);
    vec![
        row("a byte order mark", MARK)
            .ask(
                body("PUT /pool/A", "\u{feff}[\"1\",\"2\"]"),
                members.as_str(),
            )
            .ask(body("PUT /pool/A", "\u{feff}1\r\n2\r\n"), members.as_str())
            .ask(put("application/json", "\u{feff}[1,2]"), members.as_str())
            .ask(
                body("POST /pool", "\u{feff}{\"B\":[1]}"),
                ok(r#"{"B":["1"]}"#),
            )
            .line("PUT /pool/B \u{feff}[5]", "200 [\"5\"]")
            .every_cut(body("PUT /pool/A", "\u{feff}1\n2"), &members),
        row("nothing but a byte order mark", MARK)
            .given(SEED)
            .ask(
                body("PUT /pool/A", "\u{feff}"),
                fails("400 bad body: empty"),
            )
            .check("GET /pool", "200 4 0 0 A"),
        row("blanks around ids", BLANKS)
            .ask(body("PUT /pool/A", " 1\t\r\n\t 2 \n  \n"), members.as_str())
            .ask(put("text/plain", "1 \n 1\n2\n 2"), members.as_str())
            .line("PUT /pool/A   1 ", r#"200 ["1"]"#)
            .line("POST /pool/A/lock/1", "200 1"),
        row("blanks within an id stay", BLANKS)
            .ask(body("PUT /pool/A", " a  b \n"), ok(r#"["a  b"]"#)),
        row("JSON under any type", "JSON whatever its Content-Type says")
            .ask(put("text/plain", "[1,2]"), members.as_str())
            .ask(
                put("application/x-www-form-urlencoded", "[1,2]"),
                members.as_str(),
            )
            .ask(put("application/octet-stream", "[1,2]"), members.as_str())
            .ask(
                put("application/json; charset=utf-8", "[1,2]"),
                members.as_str(),
            )
            .ask(
                put("application/vnd.api+json", " \n[1,2]"),
                members.as_str(),
            ),
        row(
            "numbers are ids without a JSON type",
            "any other body … is one id a line",
        )
        .ask(put("text/plain", "5"), ok(r#"["5"]"#))
        .ask(body("PUT /pool/A", "1.5"), ok(r#"["1.5"]"#))
        .ask(body("PUT /pool/A", "null\nvoid"), ok(r#"["null","void"]"#)),
        row("quotes within a line", QUOTES)
            .ask(
                body("PUT /pool/A", "it's\na \"b\" c"),
                ok(r#"["it's","a \"b\" c"]"#),
            )
            .ask(body("PUT /pool/A", r#"["'1'"]"#), ok(r#"["'1'"]"#)),
        row(
            "any type where no body is needed",
            "A body is ignored where none is needed",
        )
        .given(SEED)
        .ask(
            with(
                "POST /pool/A/lock",
                "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5",
            ) + "--x--",
            ok("4"),
        )
        .ask(
            with(
                "POST /pool/A/lock",
                "Content-Type: application/json\r\nContent-Length: 4",
            ) + "null",
            ok("3"),
        ),
    ]
}

fn refused() -> Vec<Row> {
    let form = "--x\r\nContent-Disposition: form-data; name=\"ids\"\r\n\r\n[1]\r\n--x--\r\n";
    let multipart = "multipart/form-data; boundary=x";
    let length = form.len();
    let json = [
        "5",
        "\"5\"",
        "null",
        "true",
        "-1",
        "1.5",
        "x",
        "1\n2",
        "'[1]'",
        "\u{a0}[1]",
    ];
    let quoted = [
        "'[\"1\",\"2\"]'",
        "\"1\"",
        "'1",
        "1'",
        "1\n\"2\"\n",
        "\"[1]",
        "\u{2018}1\u{2019}",
        "\u{201c}1\u{201d}",
        " '1' ",
    ];
    let stays = |name: String, promise| row(name, promise).given(SEED);
    let mut rows = vec![
        stays("multipart, of one pool".into(), NO_IDS)
            .ask(put(multipart, form), fails("400 bad body: multipart"))
            .ask(
                put("Multipart/Form-Data;boundary=x", "[1]"),
                fails("400 bad body: multipart"),
            )
            .ask(put("multipart/mixed", ""), fails("400 bad body: multipart"))
            .check("GET /pool/A", "200 1\t2\t3\t4"),
        stays("multipart, of pools, and in chunks".into(), NO_IDS)
            .ask(
                with(
                    "POST /pool",
                    &format!("Content-Type: {multipart}\r\nContent-Length: {length}"),
                ) + form,
                fails("400 bad body: multipart"),
            )
            .ask(
                with(
                    "POST /pool/A",
                    &format!("Content-Type: {multipart}\r\nTransfer-Encoding: chunked"),
                ) + "3\r\n--x\r\n1\r\n\n\r\n0\r\n\r\n",
                fails("400 bad body: multipart"),
            )
            .check("GET /pool", "200 4 0 0 A"),
    ];
    rows.extend(json.iter().map(|body| {
        stays(format!("a JSON type, and {body:?}"), NO_IDS)
            .ask(put("application/json", body), fails("400 bad JSON"))
            .ask(put("application/x+json;a=b", body), fails("400 bad JSON"))
            .check("GET /pool/A", "200 1\t2\t3\t4")
    }));
    rows.extend(["null", "true", "false\r\n"].iter().map(|scalar| {
        stays(format!("a bare {scalar:?}"), NO_IDS)
            .ask(body("PUT /pool/A", scalar), fails("400 bad body: not ids"))
            .line(
                format!("PUT /pool/A {}", scalar.trim()),
                "400 bad body: not ids",
            )
            .check("GET /pool/A", "200 1\t2\t3\t4")
    }));
    rows.extend(quoted.iter().map(|text| {
        stays(format!("quotes: {text:?}"), QUOTES)
            .ask(body("PUT /pool/A", text), fails("400 bad id: quotes"))
            .ask(body("POST /pool/A", text), fails("400 bad id: quotes"))
            .check("GET /pool/A", "200 1\t2\t3\t4")
    }));
    rows
}
