//! Adding and setting members: the contents of bodies, and the fate of held resources.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

pub fn rows() -> Vec<Row> {
    let mut rows = adding();
    rows.extend(setting());
    rows.extend(forms_of_body());
    rows.extend(bad_bodies());
    rows
}

const SETTING: &str = "new ids become free, kept ids stay as they are, a held id that is no \
                       longer named is lent to nobody again and vanishes when it is released …";
const NEVER_TWICE: &str = "Never is a held resource lent twice.";

fn adding() -> Vec<Row> {
    vec![
        row(
            "adding keeps the members and their order",
            "`GET /pool/A` lists the members, in seeding order",
        )
        .given(SEED)
        .line(
            "POST /pool/A [\"0\",\"9\"]",
            r#"200 ["1","2","3","4","0","9"]"#,
        )
        .line(
            "POST /pool {\"A\":[\"5\"]}",
            r#"200 {"A":["1","2","3","4","0","9","5"]}"#,
        )
        .line("GET /pool/A", "200 1\t2\t3\t4\t0\t9\t5"),
        row("what is added can be lent", "`POST /pool/A` adds members")
            .given(r#"POST /pool {"A":["1"]}"#)
            .lends(&["1"])
            .line("POST /pool/A/lock", "409 busy")
            .line("POST /pool/A [\"2\"]", r#"200 ["1","2"]"#)
            .lends(&["2"])
            .line("POST /pool/A/lock", "409 busy"),
        row("duplicates within a body", "Duplicates count once.")
            .line(
                r#"POST /pool {"A":["1","2","1","1"]}"#,
                r#"200 {"A":["1","2"]}"#,
            )
            .line(r#"POST /pool/B ["x","x"]"#, r#"200 ["x"]"#)
            .line(r#"PUT /pool/C ["x","y","x"]"#, r#"200 ["x","y"]"#)
            .line("GET /pool", "200 2 0 0 A\t1 0 0 B\t2 0 0 C")
            .lends(&["2", "1"])
            .line("POST /pool/A/lock", "409 busy"),
        row("a duplicate of a member", "Duplicates count once.")
            .given(SEED)
            .line("POST /pool/A [\"2\",\"5\"]", r#"200 ["1","2","3","4","5"]"#)
            .lends(&["5", "4", "3", "2", "1"]),
        row("adding what is held leaves it held", NEVER_TWICE)
            .given(SEED)
            .lends(&["4"])
            .line("POST /pool/A [\"4\"]", r#"200 ["1","2","3","4"]"#)
            .line("POST /pool/A/lock/4", "409 busy")
            .line("GET /pool/A/lock", "200 1 - 4")
            .lends(&["3", "2", "1"])
            .line("POST /pool/A/lock", "409 busy"),
        row("integers are ids", "JSON ids are strings or integers.")
            .line(
                "POST /pool {\"A\":[1,\"2\",30]}",
                r#"200 {"A":["1","2","30"]}"#,
            )
            .line(
                "POST /pool/A [-7,9007199254740993]",
                r#"200 ["1","2","30","-7","9007199254740993"]"#,
            )
            .line("POST /pool/A/lock/-7", "200 -7")
            .line("POST /pool/A/lock/1", "200 1"),
        row(
            "an integer and a string are one id",
            "Duplicates count once.",
        )
        .line(r#"POST /pool/A [1,"1"]"#, r#"200 ["1"]"#),
        row(
            "white space in JSON",
            "A body that starts with `{` or `[` is JSON",
        )
        .ask(
            body("POST /pool", "{ \"A\" :\r\n\t[ \"1\" ,\n 2 ] }\n"),
            ok(r#"{"A":["1","2"]}"#),
        ),
    ]
}

fn setting() -> Vec<Row> {
    vec![
        row("free ids that are not named are gone", SETTING)
            .given(SEED)
            .line("PUT /pool/A [\"1\",\"3\"]", r#"200 ["1","3"]"#)
            .lends(&["3", "1"])
            .line("POST /pool/A/lock", "409 busy"),
        row("new ids become free", SETTING)
            .given(r#"POST /pool {"A":["1"]}"#)
            .lends(&["1"])
            .line("PUT /pool/A [\"1\",\"2\"]", r#"200 ["1","2"]"#)
            .lends(&["2"])
            .line("POST /pool/A/lock", "409 busy"),
        row("kept ids that are held stay held", SETTING)
            .given(SEED)
            .line("POST /pool/A/lock?lease", "200 1 - 4")
            .line("PUT /pool/A [\"4\",\"1\"]", r#"200 ["4","1"]"#)
            .line("GET /pool/A/lock", "200 1 - 4")
            .line("POST /pool/A/lock/4", "409 busy")
            .lends(&["1"])
            .line("POST /pool/A/lock", "409 busy"),
        row(
            "a held id that is not named vanishes when it is released",
            SETTING,
        )
        .given(r#"POST /pool {"A":["1","2"]}"#)
        .lends(&["2"])
        .line("PUT /pool/A [\"1\"]", r#"200 ["1"]"#)
        .line("GET /pool/A", "200 1")
        .line("GET /pool/A/lock", "200 1 - 2")
        .line("DELETE /pool/A/lock/2", "200")
        .line("GET /pool/A/lock", "200")
        .lends(&["1"])
        .line("POST /pool/A/lock", "409 busy"),
        row("a held id that is not named vanishes by the purge", SETTING)
            .given(r#"POST /pool {"A":["1","2"]}"#)
            .lends(&["2"])
            .line("PUT /pool/A [\"1\"]", r#"200 ["1"]"#)
            .line("DELETE /pool/A/lock", "200 1")
            .lends(&["1"])
            .line("POST /pool/A/lock", "409 busy"),
        row("setting several pools follows the same rule", SETTING)
            .given(r#"POST /pool {"A":["1","2"],"B":["x"]}"#)
            .lends(&["2"])
            .line("POST /pool/B/lock", "200 x")
            .line(
                r#"PUT /pool {"A":["1","3"],"B":["y"]}"#,
                r#"200 {"A":["1","3"],"B":["y"]}"#,
            )
            .line("GET /pool/A/lock", "200 1 - 2")
            .line("GET /pool/B/lock", "200 1 - x")
            .line("DELETE /pool/B/lock/x", "200")
            .line("POST /pool/B/lock", "200 y")
            .line("POST /pool/B/lock", "409 busy"),
        row(
            "a held id that is named again is a member again",
            NEVER_TWICE,
        )
        .given(r#"POST /pool {"A":["1","2"]}"#)
        .lends(&["2"])
        .line("PUT /pool/A [\"1\"]", r#"200 ["1"]"#)
        .line("POST /pool/A [\"2\"]", r#"200 ["1","2"]"#)
        .line("POST /pool/A/lock/2", "409 busy")
        .lends(&["1"])
        .line("POST /pool/A/lock", "409 busy")
        .line("DELETE /pool/A/lock/2", "200")
        .lends(&["2"]),
        row("all members are replaced while all are held", NEVER_TWICE)
            .given(r#"POST /pool {"A":["1","2"]}"#)
            .line("POST /pool/A/lock?n=2", "200 2\t1")
            .line("PUT /pool/A [\"3\"]", r#"200 ["3"]"#)
            .line("PUT /pool/A [\"2\",\"1\"]", r#"200 ["2","1"]"#)
            .line("POST /pool/A/lock", "409 busy")
            .line("GET /pool/A/lock", "200 1 - 2\t1 - 1")
            .line("DELETE /pool/A/lock/1", "200")
            .lends(&["1"]),
    ]
}

fn forms_of_body() -> Vec<Row> {
    let json_whatever = "A body that starts with `{` or `[` is JSON whatever its Content-Type says";
    let lines = "any other body of `POST /pool/A` and `PUT /pool/A` is one id a line";
    let typed = |content_type: &str, line: &str, text: &str| {
        let length = text.len();
        let headers = format!("Content-Type: {content_type}\r\nContent-Length: {length}");
        format!("{}{text}", with(line, &headers))
    };
    let form = "application/x-www-form-urlencoded";
    vec![
        row("JSON under a form type", json_whatever)
            .ask(
                typed(form, "POST /pool", r#"{"A":["1"]}"#),
                ok(r#"{"A":["1"]}"#),
            )
            .ask(typed(form, "POST /pool/A", r#"["2"]"#), ok(r#"["1","2"]"#)),
        row("JSON under a text type", json_whatever).ask(
            typed("text/plain", "PUT /pool/A", r#"["2"]"#),
            ok(r#"["2"]"#),
        ),
        row("lines under a form type", lines)
            .ask(typed(form, "POST /pool/A", "5\n6"), ok(r#"["5","6"]"#)),
        row("one line, without its end", lines)
            .ask(body("POST /pool/A", "5"), ok(r#"["5"]"#))
            .ask(
                body("POST /pool/A", "6 and more"),
                ok(r#"["5","6 and more"]"#),
            ),
        row("several lines", lines)
            .ask(
                body("POST /pool/A", "1\n2\n3\n4\n"),
                ok(r#"["1","2","3","4"]"#),
            )
            .lends(&["4", "3"]),
        row("lines with CRLF", lines).ask(body("POST /pool/A", "1\r\n2\r\n"), ok(r#"["1","2"]"#)),
        row("lines set the members", lines)
            .given(SEED)
            .ask(body("PUT /pool/A", "2\n9\n"), ok(r#"["2","9"]"#)),
        row("a line may look like anything", lines)
            .ask(
                body("POST /pool/A", "a \"5\" b\n1,2\nx=y"),
                ok(r#"["a \"5\" b","1,2","x=y"]"#),
            )
            .line("POST /pool/A/lock", "200 x=y"),
        row(
            "the answer to lines is JSON too",
            "adds members: JSON array of the members now",
        )
        .ask(json_body("POST /pool/A", "5"), json_ok(r#"["5"]"#)),
    ]
}

/// Bodies that are wrong somewhere, behind parts that are right: nothing of them may be taken.
fn bad_bodies() -> Vec<Row> {
    let of_pools = [
        r#"{"A":["5"],"B":"x"}"#,
        r#"{"A":["5"],"B":{"x":1}}"#,
        r#"{"A":["5"],"B":[true]}"#,
        r#"{"A":["5"],"":["x"]}"#,
        r#"{"A":["5"],"B":[""]}"#,
        r#"{"A":["5"],"B":["x"]"#,
        r#"{"A":["5"],"B":["x"]},"#,
        r#"{"A":["5"],"B":["x"],}"#,
        r#"{"A":["5"]}{"B":["x"]}"#,
        r#"{"A":["5"],"B":["\u0007"]}"#,
        r#"{"A":["5"],"B":["\ud800"]}"#,
        r#"{A:["5"]}"#,
        r#"["5"]"#,
        "A 5",
    ];
    let of_one = [
        r#"["5",true]"#,
        r#"["5",{}]"#,
        r#"["5",""]"#,
        r#"["5""#,
        r#"["5"] x"#,
        r#"["5",]"#,
        r#"["5","a\nb"]"#,
        r#"{"A":["5"]}"#,
        "5\na\tb",
        "5\na\u{7}b",
        "5\n\u{7f}",
    ];
    let promise = "A body is taken whole or not at all.";
    let bad = |target: &str, text: &str| {
        row(format!("nothing of {text:?} to {target} is taken"), promise)
            .given(SEED)
            .ask(body(&format!("POST {target}"), text), fails("400 bad …"))
            .ask(body(&format!("PUT {target}"), text), fails("400 bad …"))
            .check("GET /pool", "200 4 0 0 A")
            .check("GET /pool/A", "200 1\t2\t3\t4")
    };
    let mut rows: Vec<Row> = of_pools.iter().map(|text| bad("/pool", text)).collect();
    rows.extend(of_one.iter().map(|text| bad("/pool/A", text)));
    let long = "x".repeat(129);
    rows.push(
        row("nothing is taken where one id of many is too long", promise)
            .given(SEED)
            .line(format!("POST /pool/A [\"5\",\"{long}\"]"), "400 bad …")
            .ask(
                body("POST /pool/A", &format!("5\n{long}\n")),
                fails("400 bad …"),
            )
            .line(
                format!("POST /pool {{\"A\":[\"5\"],\"{long}\":[]}}"),
                "400 bad …",
            )
            .check("GET /pool", "200 4 0 0 A"),
    );
    rows.push(
        row("nothing is taken of what is not UTF-8", promise)
            .given(SEED)
            .send("POST /pool/A HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
            .send(b"5\n\xff")
            .expect(fails("400 bad …"))
            .send("POST /pool HTTP/1.1\r\nContent-Length: 21\r\n\r\n{\"A\":[\"5\"],\"B\":[\"")
            .send(b"\xe9\"]}")
            .expect(fails("400 bad …"))
            .check("GET /pool", "200 4 0 0 A"),
    );
    rows
}
