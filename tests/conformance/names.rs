//! Names of pools and resources: their characters, and their form in a path.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const STEPS: &str = "pool and resource names have no segment `.` or `..` between slashes";
const NAMES: &str =
    "Pool, resource and owner names: 1 to 128 bytes of UTF-8, no control characters.";
const DECODED: &str = "Path segments are percent-decoded (`%2F` is a slash inside a name)";

pub fn rows() -> Vec<Row> {
    let mut rows = good();
    rows.extend(encoded());
    rows.extend(bad());
    rows.extend(lengths());
    rows
}

/// A pool and a resource of this name, through every answer that shows them.
fn name(what: &str, raw: &str, path: &str) -> Row {
    let quoted = serde_json::Value::from(raw).to_string();
    row(format!("a name with {what}"), NAMES)
        .ask(
            body("POST /pool", &format!("{{{quoted}:[{quoted}]}}")),
            ok(&format!("{{{quoted}:[{quoted}]}}")),
        )
        .ask(bare(&format!("POST /pool/{path}/lock")), ok(raw))
        .line(format!("GET /pool/{path}/lock"), format!("200 1 - {raw}"))
        .ask(
            json(&format!("GET /pool/{path}/lock/{path}")),
            json_ok(&lease(raw, 1)),
        )
        .ask(bare("GET /pool"), ok(&format!("1 1 0 {raw}")))
        .ask(
            json("GET /pool"),
            json_ok(&format!(
                r#"{{{quoted}:{{"resources":1,"held":1,"waiting":0,"free":0}}}}"#
            )),
        )
        .ask(bare(&format!("DELETE /pool/{path}/lock/{path}")), ok(""))
        .line(
            format!("POST /pool/{path}/lock/{path}"),
            format!("200 {raw}"),
        )
        .ask(
            json(&format!("GET /pool/{path}")),
            json_ok(&format!("[{quoted}]")),
        )
        .line(
            // A line that ends in quotes is refused.
            match raw.ends_with('"') {
                true => format!("PUT /pool/{path} [{quoted}]"),
                false => format!("PUT /pool/{path} {raw}"),
            },
            format!("200 [{quoted}]"),
        )
        .ask(bare(&format!("DELETE /pool/{path}")), ok(""))
        .check("GET /pool", "200")
}

fn good() -> Vec<Row> {
    vec![
        name("spaces", "my pool", "my%20pool"),
        name("quotes", r#"a "b""#, "a%20%22b%22"),
        name("an apostrophe", "it's", "it's"),
        name("a slash", "a/b", "a%2Fb"),
        name("only a slash", "/", "%2f"),
        name("a backslash", r"a\b", "a%5Cb"),
        name("a percent sign", "50%", "50%25"),
        name("what looks like an escape", "a%2Fb", "a%252Fb"),
        name("a plus", "a+b", "a+b"),
        name("an encoded plus", "a+b", "a%2Bb"),
        name("signs that end a path", "a?b#c&d=e", "a%3Fb%23c%26d%3De"),
        name("an umlaut, encoded", "Büro", "B%C3%BCro"),
        name("signs of four bytes", "🔒 1", "%F0%9F%94%92%201"),
        name("other scripts", "プール", "%E3%83%97%E3%83%BC%E3%83%AB"),
        name("a colon and a comma", "a:b,c", "a:b,c"),
        name("the word lock", "lock", "lock"),
        name("the word pool", "pool", "pool"),
        name("marks of JSON", "x{[]}", "x%7B%5B%5D%7D"),
    ]
}

fn encoded() -> Vec<Row> {
    vec![
        row("any sign may be encoded", DECODED)
            .given(SEED)
            .ask(bare("GET /pool/%41"), ok("1\n2\n3\n4"))
            .ask(bare("POST /pool/%41/lock/%34"), ok("4")),
        row(
            "a plus in a path is a plus",
            "in the query `+` is a space too",
        )
        .given(r#"POST /pool {"a+b":["1"],"a b":["2"]}"#)
        .ask(bare("POST /pool/a+b/lock"), ok("1"))
        .ask(bare("POST /pool/a%20b/lock"), ok("2")),
        row("a slash in a name is not one in the path", DECODED)
            .given(r#"POST /pool {"A":["1"],"A/lock":["x"]}"#)
            .ask(bare("POST /pool/A%2Flock/lock"), ok("x"))
            .check("GET /pool", "200 1 0 0 A\t1 1 0 A/lock"),
        row("UTF-8 may stand in a path as it is", NAMES)
            .given(r#"POST /pool {"Büro":["日"]}"#)
            .ask(bare("POST /pool/Büro/lock"), ok("日"))
            .line("DELETE /pool/Büro/lock/日", "200")
            .check("GET /pool", "200 1 0 0 Büro"),
        row("escapes in JSON are the signs themselves", NAMES)
            .line(
                r#"POST /pool {"B\u00fcro":["\ud83d\udd12","a\/b"]}"#,
                r#"200 {"Büro":["🔒","a/b"]}"#,
            )
            .line("POST /pool/B%C3%BCro/lock/a%2Fb", "200 a/b"),
        row("names differ in case", NAMES)
            .given(r#"POST /pool {"a":["x","X"],"A":["1"]}"#)
            .line("POST /pool/a/lock/X", "200 X")
            .line("POST /pool/a/lock/x", "200 x")
            .line("POST /pool/A/lock/x", "404 no resource"),
        row(
            "the id is the rest of the lease line",
            "the rest of the line is the id",
        )
        .given(r#"POST /pool {"A":["a - b"]}"#)
        .line("POST /pool/A/lock?lease", "200 1 - a - b"),
        row("an id of digits is no number", "resource: an id, a string")
            .given(r#"POST /pool {"A":["01","1"]}"#)
            .line("POST /pool/A/lock/01", "200 01")
            .line("POST /pool/A/lock/1", "200 1"),
    ]
}

fn bad() -> Vec<Row> {
    let mut rows = Vec::new();
    let segments = [
        ("a line feed", "a%0Ab"),
        ("a tab", "a%09b"),
        ("a zero byte", "%00"),
        ("the last control character of ASCII", "%7F"),
        ("a control character beyond ASCII", "a%C2%85b"),
        ("bytes that are not UTF-8", "%FF"),
        ("half a character", "a%C3"),
        ("a surrogate", "%ED%A0%80"),
        ("an escape that is cut off", "a%4"),
        ("an escape without digits", "a%zzb"),
        ("a bare percent sign", "100%"),
    ];
    for (what, path) in segments {
        let bad = "400 bad …";
        rows.push(
            row(format!("not in a name: {what}"), NAMES)
                .given(SEED)
                .ask(body(&format!("POST /pool/{path}"), "x"), fails(bad))
                .ask(bare(&format!("GET /pool/{path}")), fails(bad))
                .ask(bare(&format!("POST /pool/{path}/lock")), fails(bad))
                .line(format!("DELETE /pool/{path}"), bad)
                .line(format!("POST /pool/A/lock/{path}"), bad)
                .line(format!("DELETE /pool/A/lock/{path}"), bad)
                .check("GET /pool", "200 4 0 0 A"),
        );
    }
    for (what, escape) in [
        ("a line feed", r"\n"),
        ("a zero byte", r"\u0000"),
        ("a delete", r"\u007f"),
        ("a control character beyond ASCII", r"\u0085"),
    ] {
        rows.push(
            row(format!("not in a name of a JSON body: {what}"), NAMES)
                .line(format!("POST /pool {{\"a{escape}\":[\"1\"]}}"), "400 bad …")
                .line(format!("POST /pool {{\"A\":[\"a{escape}\"]}}"), "400 bad …")
                .line(format!("PUT /pool/A [\"a{escape}\"]"), "400 bad …")
                .check("GET /pool", "200"),
        );
    }
    rows
}

fn lengths() -> Vec<Row> {
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    let longest_utf8 = "é".repeat(64);
    let too_long_utf8 = "é".repeat(65);
    let escaped = |text: &str, times: usize| text.repeat(times);
    vec![
        name("128 bytes", &longest, &longest),
        name("128 bytes, encoded", &longest, &escaped("%78", 128)),
        name(
            "64 signs of two bytes",
            &longest_utf8,
            &escaped("%C3%A9", 64),
        ),
        row("129 bytes are too many in a path", NAMES)
            .given(SEED)
            .line(format!("POST /pool/{too_long} x"), "400 bad …")
            .line(format!("GET /pool/{too_long}"), "400 bad …")
            .line(format!("POST /pool/A/lock/{too_long}"), "400 bad …")
            .line(format!("POST /pool/{} x", escaped("%78", 129)), "400 bad …")
            .check("GET /pool", "200 4 0 0 A"),
        row("129 bytes are too many in a body", NAMES)
            .line(
                format!("POST /pool {{\"{too_long}\":[\"1\"]}}"),
                "400 bad …",
            )
            .line(
                format!("POST /pool {{\"A\":[\"{too_long}\"]}}"),
                "400 bad …",
            )
            .line(format!("PUT /pool/A {too_long}"), "400 bad …")
            .check("GET /pool", "200"),
        row("bytes are counted, not characters", NAMES)
            .line(
                format!("POST /pool/{} x", escaped("%C3%A9", 65)),
                "400 bad …",
            )
            .line(
                format!("POST /pool {{\"A\":[\"{too_long_utf8}\"]}}"),
                "400 bad …",
            )
            .line(
                format!("POST /pool/A {longest_utf8}"),
                format!("200 [\"{longest_utf8}\"]"),
            ),
        row("no name is a step of a path", STEPS)
            .line(r#"POST /pool {"..":["1"]}"#, "400 bad name")
            .line(r#"PUT /pool {"A":["1"],"x/./y":["1"]}"#, "400 bad name")
            .line(r#"POST /pool {"A":["1","../../B/lock/x"]}"#, "400 bad name")
            .line(r#"POST /pool/A ["."]"#, "400 bad name")
            .line("PUT /pool/A ..", "400 bad name")
            .line("POST /pool/.. 1", "400 bad name")
            .line("PUT /pool/%2E%2e 1", "400 bad name")
            .line("GET /pool/..", "400 bad name")
            .line("GET /pool/../lock", "400 bad name")
            .line("GET /pool/../queue", "400 bad name")
            .line("DELETE /pool/..", "400 bad name")
            .line("DELETE /pool/../lock", "400 bad name")
            .ask(json("DELETE /pool/B%2F..%2FA"), json_fails("400 bad name"))
            .check("GET /pool", "200"),
        row("no id is a step of a path", STEPS)
            .given(SEED)
            .line("POST /pool/A/lock/..", "400 bad name")
            .line("PUT /pool/A/lock/%2e", "400 bad name")
            .line("GET /pool/A/lock/..", "400 bad name")
            .line("DELETE /pool/A/lock/..%2F..%2FB%2Flock%2Fx", "400 bad name")
            .line("POST /pool/A/lock/..?_method=DELETE", "400 bad name")
            .check("GET /pool", "200 4 0 0 A"),
        row("dots that are no step", STEPS)
            .given(r#"POST /pool {"...":["10.0.0.1","a..b","..x/.y"]}"#)
            .line("POST /pool/.../lock/10.0.0.1", "200 10.0.0.1")
            .line("POST /pool/%2E../lock/..x%2F.y?owner=..", "200 ..x/.y")
            .line("GET /pool/...", "200 10.0.0.1\ta..b\t..x/.y"),
        row("no byte is too few in a body", NAMES)
            .line(r#"POST /pool {"":["1"]}"#, "400 bad …")
            .line(r#"POST /pool {"A":[""]}"#, "400 bad …")
            .line(r#"POST /pool/A [""]"#, "400 bad …")
            .check("GET /pool", "200"),
    ]
}
