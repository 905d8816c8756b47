//! Query parameters: one that a route does not know is refused, before anything is done.

use std::collections::BTreeSet;

use latchd::contract::parameters::METHOD;
use latchd::contract::{ROUTES, Route};

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
    rows.extend(of_others());
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

/// Each operation of the contract: method and path, whether a query has begun, the body that it needs, and the names
/// of its parameters.
fn operations() -> Vec<(String, &'static str, BTreeSet<&'static str>)> {
    let mut operations = Vec::new();
    for row in &ROUTES {
        for (method, operation) in row.operations() {
            let path = row.pattern.replace("{pool}", "A").replace("{id}", "4");
            let mut line = format!("{method} {path}?");
            let needed = operation
                .parameters
                .iter()
                .filter(|known| known.is_required);
            needed.for_each(|needed| line += &format!("{}=o&", needed.name));
            let text = match (method, row.route) {
                ("POST" | "PUT", Route::Pools) => r#"{"A":["x"]}"#,
                ("POST" | "PUT", Route::Pool) => r#"["x"]"#,
                ("PUT", Route::Dump) => DUMP,
                _ => "",
            };
            let known = operation.parameters.iter().map(|known| known.name);
            let override_name = (method == "POST").then_some(METHOD.name);
            operations.push((line, text, known.chain(override_name).collect()));
        }
    }
    operations
}

/// It has several lines, so no request in one line has it.
const DUMP: &str = concat!(
    "{\"latchd\":\"0.1.0\",\"dump\":1}\n",
    "{\"pools\":0,\"members\":0,\"locks\":0,\"retired_fence\":0}\n",
);

fn unknown() -> Vec<Row> {
    let refused = |(line, text, _): (String, &str, _)| {
        let bad = "400 bad …";
        let mut row = staged(format!("an unknown parameter of {line}"))
            .ask(body(&format!("{line}color=red"), text), fails(bad))
            .ask(json_body(&format!("{line}tll=60"), text), json_fails(bad));
        if text != DUMP {
            row = row
                .line(format!("{line}x {text}").trim_end(), bad)
                .line(format!("{line}Lease {text}").trim_end(), bad);
        }
        untouched(row)
    };
    operations().into_iter().map(refused).collect()
}

/// Each operation refuses each parameter that only others have.
fn of_others() -> Vec<Row> {
    let parameters = operations().into_iter().flat_map(|(_, _, known)| known);
    let all: BTreeSet<&str> = parameters.collect();
    assert!(all.len() > 10, "they are found: {all:?}");
    let refused = |(line, text, known): (String, &str, BTreeSet<&'static str>)| {
        let mut row = staged(format!("parameters of other requests: {line}"));
        for name in all.difference(&known) {
            let bad = format!("400 bad parameter {name}");
            row = row.ask(body(&format!("{line}{name}=1"), text), fails(&bad));
            if text != DUMP {
                row = row.line(format!("{line}{name} {text}").trim_end(), bad);
            }
        }
        untouched(row)
    };
    operations().into_iter().map(refused).collect()
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
    acquires
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
        .collect()
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
