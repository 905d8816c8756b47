//! Limits on counts: of pools, of resources, of waiters in queues. A refused request has changed
//! nothing, and a request that adds nothing is never refused.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};
use crate::support::StoreKind;

#[test]
fn rows_hold() {
    run(rows());
}

const POOLS: &str = "503 too many pools";
const RESOURCES: &str = "503 too many resources";
const FULL: &str = "503 queue full";

pub fn rows() -> Vec<Row> {
    let mut rows = pools();
    rows.extend(resources_of_a_pool());
    rows.extend(resources_in_all());
    rows.extend(lines());
    rows
}

fn pools() -> Vec<Row> {
    let most = "A bound on the number of pools.";
    vec![
        row("one pool more than there may be", most)
            .server(&["--max-pools=2"])
            .line(
                r#"POST /pool {"A":["1"],"B":["1"]}"#,
                r#"200 {"A":["1"],"B":["1"]}"#,
            )
            .line(r#"POST /pool/C ["1"]"#, POOLS)
            .line("PUT /pool/C 1", POOLS)
            .ask(json_body("POST /pool", r#"{"C":[]}"#), json_fails(POOLS))
            .ask(body("PUT /pool", r#"{"C":[]}"#), fails(POOLS))
            .line("GET /pool", "200 1 0 0 A\t1 0 0 B"),
        row("a body is taken whole or not at all", most)
            .server(&["--max-pools=2"])
            .given(r#"POST /pool/A ["1"]"#)
            .line(r#"POST /pool {"A":["2"],"B":["1"],"C":["1"]}"#, POOLS)
            .line(r#"PUT /pool {"A":[],"B":["1"],"C":["1"]}"#, POOLS)
            .line("GET /pool", "200 1 0 0 A")
            .line(
                r#"POST /pool {"A":["2"],"B":["1"]}"#,
                r#"200 {"A":["1","2"],"B":["1"]}"#,
            ),
        row(
            "those that are there may change, and make room when they go",
            most,
        )
        .server(&["--max-pools=1"])
        .given(r#"POST /pool/A ["1"]"#)
        .line(r#"POST /pool/A ["2"]"#, r#"200 ["1","2"]"#)
        .line(r#"PUT /pool {"A":["3"]}"#, r#"200 {"A":["3"]}"#)
        .line("POST /pool/B 1", POOLS)
        .line("DELETE /pool/A", "200")
        .line("POST /pool/B 1", r#"200 ["1"]"#)
        .line("POST /pool/A 1", POOLS),
    ]
}

fn resources_of_a_pool() -> Vec<Row> {
    let most = "A bound on the resources of a pool.";
    vec![
        row("one resource more than a pool may have", most)
            .server(&["--max-pool-resources=3"])
            .line(
                r#"POST /pool/A ["1","2","2","1","3"]"#,
                r#"200 ["1","2","3"]"#,
            )
            .line(r#"POST /pool/A ["4"]"#, RESOURCES)
            .line(r#"POST /pool/A ["1","2","3"]"#, r#"200 ["1","2","3"]"#)
            .line(r#"PUT /pool/A ["1","2","3","4"]"#, RESOURCES)
            .ask(
                json_body("PUT /pool/A", r#"["5","6","7","8"]"#),
                json_fails(RESOURCES),
            )
            .line(r#"PUT /pool/A ["5","6","7","7"]"#, r#"200 ["5","6","7"]"#)
            .line("GET /pool/A", "200 5\t6\t7"),
        row("of several pools all get their members, or none", most)
            .server(&["--max-pool-resources=3"])
            .given(r#"POST /pool/A ["1"]"#)
            .line(r#"POST /pool {"A":["2"],"B":["1","2","3","4"]}"#, RESOURCES)
            .line(r#"PUT /pool {"B":["1"],"A":["1","2","3","4"]}"#, RESOURCES)
            .line("GET /pool", "200 1 0 0 A"),
        row("a pool that was refused counts for nothing", most)
            .server(&["--max-pool-resources=1", "--max-pools=1"])
            .line(r#"POST /pool/A ["1","2"]"#, RESOURCES)
            .line(r#"POST /pool/B ["1","2"]"#, RESOURCES)
            .line(r#"POST /pool/C ["1"]"#, r#"200 ["1"]"#)
            .line(r#"POST /pool/A ["1"]"#, POOLS),
        row("what is held and no member does not count", most)
            .server(&["--max-pool-resources=2"])
            .given(r#"POST /pool/A ["1","2"]"#)
            .line("POST /pool/A/lock?n=2", "200 2\t1")
            .line(r#"PUT /pool/A ["3","4"]"#, r#"200 ["3","4"]"#)
            .line("GET /pool", "200 2 2 0 A")
            .line(r#"POST /pool/A ["1"]"#, RESOURCES),
    ]
}

/// A Redis does not know it.
fn resources_in_all() -> Vec<Row> {
    let most = "A bound on the resources of all pools together.";
    let stores = [StoreKind::Memory, StoreKind::File];
    let rows = stores.map(|store| {
        vec![
            row(
                format!("one resource more than there may be, {store:?}"),
                most,
            )
            .only(store)
            .server(&["--max-resources=3"])
            .given(r#"POST /pool {"A":["1"],"B":["1","2"]}"#)
            .line(r#"POST /pool/A ["2"]"#, RESOURCES)
            .line(r#"POST /pool/C ["1"]"#, RESOURCES)
            .line("POST /pool/C []", "200 []")
            .line(
                r#"POST /pool {"A":["1"],"B":["2"]}"#,
                r#"200 {"A":["1"],"B":["1","2"]}"#,
            )
            .line(
                r#"PUT /pool {"A":[],"B":["5","6","7"]}"#,
                r#"200 {"A":[],"B":["5","6","7"]}"#,
            )
            .line("DELETE /pool/B", "200")
            .line(r#"POST /pool/A ["1","2","3"]"#, r#"200 ["1","2","3"]"#),
            row(
                format!("what is held counts until it is released, {store:?}"),
                most,
            )
            .only(store)
            .server(&["--max-resources=2"])
            .given(r#"POST /pool/A ["1","2"]"#)
            .line("POST /pool/A/lock", "200 2")
            .line(r#"PUT /pool/A ["3","4"]"#, RESOURCES)
            .line("GET /pool/A", "200 1\t2")
            .line(r#"PUT /pool/A ["3"]"#, r#"200 ["3"]"#)
            .line("DELETE /pool/A/lock/2", "200")
            .line(r#"PUT /pool/A ["3","4"]"#, r#"200 ["3","4"]"#),
        ]
    });
    rows.into_iter().flatten().collect()
}

const WAITING: &str = "POST /pool/A/lock?wait=60";

fn one_held(name: &str, promise: &'static str) -> Row {
    row(name, promise)
        .given(r#"POST /pool {"A":["1"]}"#)
        .given("POST /pool/A/lock")
}

fn lines() -> Vec<Row> {
    let line = "A bound on the waiters of a pool.";
    let address = "A bound on the waiters of one address.";
    vec![
        one_held("a full line of one pool", line)
            .server(&["--max-pool-waiters=1"])
            .given(r#"POST /pool/B ["x"]"#)
            .given("POST /pool/B/lock")
            .waits(WAITING, 1)
            .on(1)
            .line(WAITING, FULL)
            .on(2)
            .line("POST /pool/A/lock/1?wait=60&owner=o", FULL)
            .line("POST /pool/B/lock?wait=1", "409 busy")
            .on(0)
            .hang_up()
            .queued(0),
        one_held("too many of one address", address)
            .server(&["--max-address-waiters=1"])
            .given(r#"POST /pool/B ["x","y"]"#)
            .waits(WAITING, 1)
            .on(1)
            .line(WAITING, FULL)
            .ask(json(WAITING), json_fails(FULL))
            // A free resource needs no place in the queue.
            .line("POST /pool/B/lock?wait=60&owner=o", "200 y")
            .line("POST /pool/B/lock?wait=60&owner=o", "200 y")
            .check("DELETE /pool/A/lock/1", "200")
            .on(0)
            .hears("200 1")
            .waits(WAITING, 1)
            .hang_up()
            .queued(0)
            .on(1)
            .waits(WAITING, 1)
            .hang_up()
            .queued(0),
        one_held("a place that is kept for its owner is its own", address)
            .server(&["--max-address-waiters=1"])
            .waits("POST /pool/A/lock?wait=60&owner=o", 1)
            .hang_up()
            .on(1)
            .waits("POST /pool/A/lock?wait=60&owner=o", 1)
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1"),
    ]
}
