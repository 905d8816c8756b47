//! Query parameters: one that a route does not know is refused, before anything is done.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const TYPO: &str =
    "An unknown or malformed one is 400: a typo must not make a lock that never ends.";

pub fn rows() -> Vec<Row> {
    let mut rows = unknown();
    rows.extend(malformed());
    rows.extend(meant());
    rows
}

/// A pool whose 4 and 3 are held.
fn staged(name: String) -> Row {
    row(name, TYPO)
        .given(SEED)
        .given("POST /pool/A/lock")
        .given("POST /pool/A/lock")
}

fn untouched(row: Row) -> Row {
    row.check("GET /pool", "200 4 2 0 A")
        .check("GET /pool/A", "200 1\t2\t3\t4")
        .check("GET /pool/A/lock", "200 1 - 4\t2 - 3")
}

fn unknown() -> Vec<Row> {
    let routes = [
        ("GET /", ""),
        ("GET /ping", ""),
        ("GET /pool", ""),
        ("POST /pool", r#"{"B":["x"]}"#),
        ("PUT /pool", r#"{"A":["x"]}"#),
        ("GET /pool/A", ""),
        ("POST /pool/A", r#"["x"]"#),
        ("PUT /pool/A", r#"["x"]"#),
        ("DELETE /pool/A", ""),
        ("POST /pool/A/lock", ""),
        ("GET /pool/A/lock", ""),
        ("GET /pool/A/queue", ""),
        ("GET /dump", ""),
        ("DELETE /pool/A/lock", ""),
        ("POST /pool/A/lock/1", ""),
        ("GET /pool/A/lock/4", ""),
        ("DELETE /pool/A/lock/4", ""),
    ];
    let refused = |route: &str, text: &str| {
        let bad = "400 bad …";
        let row = staged(format!("an unknown parameter of {route}"))
            .ask(body(&format!("{route}?color=red"), text), fails(bad))
            .ask(json_body(&format!("{route}?tll=60"), text), json_fails(bad))
            .line(format!("{route}?x {text}").trim_end(), bad)
            .line(format!("{route}?Lease {text}").trim_end(), bad);
        untouched(row)
    };
    routes
        .iter()
        .map(|(route, text)| refused(route, text))
        .collect()
}

fn malformed() -> Vec<Row> {
    let acquires = [
        "n=",
        "n",
        "n=x",
        "n=-1",
        "n=1.5",
        "n=+1",
        "n=1x",
        "n=%201",
        "n=0x1",
        "n=1&n=1",
        "n=1&n=2",
        "lease&lease",
        "n=1&color=red",
        "N=1",
        "LEASE",
        "n%zz=1",
        "n=%zz",
        "n=%FF",
    ];
    let mut rows: Vec<Row> = acquires
        .iter()
        .map(|query| {
            let row = staged(format!("acquire with ?{query}"))
                .ask(
                    bare(&format!("POST /pool/A/lock?{query}")),
                    fails("400 bad …"),
                )
                .line(format!("POST /pool/A/lock/1?{query}"), "400 bad …");
            untouched(row)
        })
        .collect();
    let elsewhere = [
        "DELETE /pool/A/lock?n=1",
        "DELETE /pool/A/lock?lease",
        "DELETE /pool/A/lock/4?n=1",
        "DELETE /pool/A/lock/4?lease",
        "DELETE /pool/A?lease",
        "GET /pool/A/lock?n=1",
        "GET /pool/A/lock/4?lease",
        "GET /pool/A/queue?owner=a",
        "GET /ping?lease",
    ];
    rows.extend(elsewhere.iter().map(|line| {
        let row = staged(format!("a parameter of another route: {line}"))
            .ask(bare(line), fails("400 bad …"))
            .line(*line, "400 bad …");
        untouched(row)
    }));
    rows
}

fn meant() -> Vec<Row> {
    vec![
        row(
            "parameters in any order",
            "All are optional query parameters.",
        )
        .given(SEED)
        .line("POST /pool/A/lock?n=2&lease", "200 1 - 4\t1 - 3")
        .line("POST /pool/A/lock?lease&n=2", "200 2 - 2\t2 - 1"),
        row(
            "parameters may be encoded",
            "Path segments are percent-decoded …; in the query",
        )
        .given(SEED)
        .line("POST /pool/A/lock?%6E=%32", "200 4\t3")
        .line("POST /pool/A/lock?l%65ase", "200 2 - 2"),
    ]
}
