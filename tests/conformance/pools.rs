//! Several pools at once: some of them, and their sums.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const THREE: &str = r#"POST /pool {"lab-1":["1","2"],"Lab-2":["x"],"b":["1","2","3"]}"#;
const LISTED: &str =
    "`contains=TEXT`: pools whose names contain TEXT; `limit=N`: the first N by name.";
const SUMMED: &str =
    "`sum`: instead of a list the counts of all, POOLS RESOURCES HELD WAITING FREE.";

pub fn rows() -> Vec<Row> {
    let mut rows = free();
    rows.extend(some_of_them());
    rows.extend(sums());
    rows.extend(refused());
    rows
}

fn staged(name: &str, promise: &'static str) -> Row {
    row(name, promise)
        .given(THREE)
        .given("POST /pool/b/lock?n=2")
}

fn free() -> Vec<Row> {
    let promise = "`free`: the members that can be lent now.";
    let told = |counts: &str| json_ok(&format!(r#"{{"A":{{{counts}}}}}"#));
    vec![
        row(
            "a held member that is one no longer takes no free one away",
            promise,
        )
        .given(r#"POST /pool {"A":["b","a"]}"#)
        .given("POST /pool/A/lock/a")
        .line(r#"PUT /pool/A ["b","c"]"#, r#"200 ["b","c"]"#)
        .ask(
            json("GET /pool"),
            told(r#""resources":2,"held":1,"waiting":0,"free":2"#),
        )
        .line("GET /pool", "200 2 1 0 A")
        .line("GET /pool?sum", "200 1 2 1 0 2")
        .line("POST /pool/A/lock?n=2", "200 c\tb")
        .ask(
            json("GET /pool"),
            told(r#""resources":2,"held":3,"waiting":0,"free":0"#),
        ),
        row("a pool without members has none free", promise)
            .given(r#"POST /pool {"A":["1"]}"#)
            .given("POST /pool/A/lock")
            .given(r#"PUT /pool {"A":[]}"#)
            .ask(
                json("GET /pool"),
                told(r#""resources":0,"held":1,"waiting":0,"free":0"#),
            ),
    ]
}

fn some_of_them() -> Vec<Row> {
    vec![
        staged("pools by a part of their names", LISTED)
            .line("GET /pool?contains=LAB", "200 1 0 0 Lab-2\t2 0 0 lab-1")
            .line("GET /pool?contains=-1", "200 2 0 0 lab-1")
            .line("GET /pool?contains=none", "200")
            .ask(bare("GET /pool?contains=none"), ok(""))
            .ask(json("GET /pool?contains=none"), json_ok("{}"))
            .ask(
                json("GET /pool?contains=B&limit=1"),
                json_ok(r#"{"Lab-2":{"resources":1,"held":0,"waiting":0,"free":1}}"#),
            )
            .line("GET /pool?contains=l%61b-1", "200 2 0 0 lab-1"),
        staged("the first pools by name", LISTED)
            .line("GET /pool?limit=1", "200 1 0 0 Lab-2")
            .line("GET /pool?limit=2", "200 1 0 0 Lab-2\t3 2 0 b")
            .line("GET /pool?limit=3", "200 1 0 0 Lab-2\t3 2 0 b\t2 0 0 lab-1")
            .line(
                "GET /pool?limit=999999999",
                "200 1 0 0 Lab-2\t3 2 0 b\t2 0 0 lab-1",
            )
            .ask(
                bare("GET /pool?limit=2"),
                ok(&lines(&["1 0 0 Lab-2", "3 2 0 b"])),
            )
            .line("DELETE /pool/Lab-2", "200")
            .line("GET /pool?limit=1", "200 3 2 0 b"),
    ]
}

fn sums() -> Vec<Row> {
    vec![
        staged("the counts of all pools", SUMMED)
            .line("GET /pool?sum", "200 3 6 2 0 4")
            .line("GET /pool?sum=1", "200 3 6 2 0 4")
            .ask(bare("GET /pool?sum"), ok("3 6 2 0 4"))
            .ask(
                json("GET /pool?sum=true"),
                json_ok(r#"{"pools":3,"resources":6,"held":2,"waiting":0,"free":4}"#),
            )
            .line("GET /pool?sum&contains=lab", "200 2 3 0 0 3"),
        row("the counts of no pools", SUMMED)
            .line("GET /pool?sum", "200 0 0 0 0 0")
            .line("GET /pool?limit=1", "200"),
    ]
}

fn refused() -> Vec<Row> {
    let promise = "All are optional query parameters. An unknown or malformed one is 400.";
    let queries = [
        "contains=",
        "contains",
        "contains=%0A",
        "contains=a&contains=b",
        "limit=0",
        "limit=",
        "limit=x",
        "limit=-1",
        "limit=1000000000",
        "limit=1&limit=1",
        "sum=0",
        "sum&sum",
        "sum&limit=1",
        "Limit=1",
    ];
    let mut row = staged("parameters of a list that are none", promise);
    for query in queries {
        row = row
            .line(format!("GET /pool?{query}"), "400 bad …")
            .ask(json(&format!("GET /pool?{query}")), json_fails("400 bad …"));
    }
    let long = format!("GET /pool?contains={}", "x".repeat(129));
    let elsewhere = [
        r#"POST /pool?limit=1 {"C":["1"]}"#,
        r#"PUT /pool?sum {"b":[]}"#,
        "GET /pool/b?limit=1",
        "GET /pool/b/lock?limit=1",
    ];
    for line in elsewhere.into_iter().chain([&*long]) {
        row = row.line(line, "400 bad …");
    }
    vec![row.line("GET /pool?sum", "200 3 6 2 0 4")]
}
