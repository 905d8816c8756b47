//! State that survives SIGKILL, in a store that keeps it.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};
use crate::support::StoreKind;

#[test]
fn rows_hold() {
    run(rows().into_iter().map(Row::durable).collect());
}

const ANSWERED: &str =
    "An answer is never sent before what it says is as durable as the store promises.";
const FENCE: &str =
    "strictly increasing within a pool, also across restart, deletion and re-creation";

pub fn rows() -> Vec<Row> {
    let mut rows = state();
    rows.extend(fences());
    rows
}

fn state() -> Vec<Row> {
    vec![
        row("an answered grant", ANSWERED)
            .given(SEED)
            .lends(&["4", "3"])
            .restart()
            .line("GET /pool/A/lock", "200 1 - 4\t2 - 3")
            .line("POST /pool/A/lock/4", "409 busy")
            .lends(&["2", "1"])
            .line("POST /pool/A/lock", "409 busy"),
        row("an answered grant of several", ANSWERED)
            .given(SEED)
            .line("POST /pool/A/lock?n=3", "200 4\t3\t2")
            .restart()
            .line("GET /pool/A/lock", "200 1 - 4\t1 - 3\t1 - 2"),
        row("an answered release", ANSWERED)
            .given(r#"POST /pool {"A":["1"]}"#)
            .lends(&["1"])
            .line("DELETE /pool/A/lock/1", "200")
            .restart()
            .line("GET /pool/A/lock", "200")
            .lends(&["1"]),
        row("an answered purge", ANSWERED)
            .given(SEED)
            .line("POST /pool/A/lock?n=3", "200 4\t3\t2")
            .line("DELETE /pool/A/lock", "200 3")
            .restart()
            .line("GET /pool", "200 4 0 0 A"),
        row(
            "members, in their order",
            "lists the members, in seeding order",
        )
        .given(r#"POST /pool {"A":["2","1"],"B":["x"],"my pool":["é"]}"#)
        .given("POST /pool/A 10")
        .restart()
        .line("GET /pool/A", "200 2\t1\t10")
        .line("GET /pool", "200 3 0 0 A\t1 0 0 B\t1 0 0 my pool"),
        row(
            "the order of lending",
            "a released resource goes to the back, so that wear is even",
        )
        .given(SEED)
        .lends(&["4", "3"])
        .line("DELETE /pool/A/lock/3", "200")
        .restart()
        .line("DELETE /pool/A/lock/4", "200")
        .lends(&["2", "1", "3", "4"]),
        row(
            "members that were set while some were held",
            "a held id that is no longer named …",
        )
        .given(r#"POST /pool {"A":["1","2"]}"#)
        .lends(&["2"])
        .line("PUT /pool/A [\"1\"]", r#"200 ["1"]"#)
        .restart()
        .line("GET /pool/A", "200 1")
        .line("GET /pool/A/lock", "200 1 - 2")
        .line("DELETE /pool/A/lock/2", "200")
        .lends(&["1"])
        .line("POST /pool/A/lock", "409 busy"),
        row(
            "a removal",
            "`DELETE /pool/A` removes the pool with its locks",
        )
        .given(SEED)
        .lends(&["4"])
        .line("DELETE /pool/A", "200")
        .restart()
        .line("GET /pool", "200")
        .line("POST /pool/A/lock", "404 no pool"),
    ]
}

/// After a kill, fences continue above all that a lost commit may have given.
fn fences() -> Vec<Row> {
    let stores = [
        ("fences rise across a restart", StoreKind::Redis, [2, 3]),
        (
            "fences of a file rise across a restart",
            StoreKind::File,
            [1001, 2001],
        ),
    ];
    let rows = stores.map(|(name, store, [second, third])| {
        row(name, FENCE)
            .only(store)
            .given(r#"POST /pool {"A":["1"]}"#)
            .line("POST /pool/A/lock?lease", "200 1 - 1")
            .line("DELETE /pool/A/lock/1", "200")
            .restart()
            .line("POST /pool/A/lock?lease", format!("200 {second} - 1"))
            .restart()
            .line("DELETE /pool/A/lock/1", "200")
            .line("POST /pool/A/lock?lease", format!("200 {third} - 1"))
    });
    let stores = [
        (
            "fences rise across removal, restart and re-creation",
            StoreKind::Redis,
            [2, 3],
        ),
        (
            "fences of a file rise across removal, restart and re-creation",
            StoreKind::File,
            [1001, 3001],
        ),
    ];
    let re_created = stores.map(|(name, store, [second, third])| {
        row(name, FENCE)
            .only(store)
            .given(SEED)
            .line("POST /pool/A/lock?lease", "200 1 - 4")
            .line("DELETE /pool/A", "200")
            .restart()
            .given(SEED)
            .line("POST /pool/A/lock?lease", format!("200 {second} - 4"))
            .restart()
            .line("DELETE /pool/A", "200")
            .given(SEED)
            .restart()
            .line("POST /pool/A/lock?lease", format!("200 {third} - 4"))
    });
    rows.into_iter().chain(re_created).collect()
}
