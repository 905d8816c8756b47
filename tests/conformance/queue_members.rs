//! The queue while members come and go.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const TOLD: &str = "A waiter that the pool can no longer satisfy (it shrank, or was removed) is told \
                    so at once: 422, or 404.";
const REMOVED: &str =
    "`DELETE /pool/A` removes the pool with its locks; its waiters get 404 `no pool`";
const NEW: &str = "new ids become free; a freed resource goes to the first waiter that can use it";
const WAITING: &str = "POST /pool/A/lock?wait=60";

pub fn rows() -> Vec<Row> {
    let mut rows = growing();
    rows.extend(shrinking());
    rows.extend(removing());
    rows
}

/// The four of the seed, all held.
fn all_held(name: &str, promise: &'static str) -> Row {
    row(name, promise)
        .given(SEED)
        .given("POST /pool/A/lock?n=4")
}

fn growing() -> Vec<Row> {
    vec![
        all_held("a new member goes to the first of the queue", NEW)
            .waits(WAITING, 1)
            .check("POST /pool/A 5", r#"200 ["1","2","3","4","5"]"#)
            .hears("200 5"),
        all_held("new members serve the line in the order of lending", NEW)
            .waits(WAITING, 1)
            .on(1)
            .waits("POST /pool/A/lock?n=2&wait=60", 2)
            .check(
                r#"POST /pool {"A":["5","6","7","8"]}"#,
                r#"200 {"A":["1","2","3","4","5","6","7","8"]}"#,
            )
            .hears("200 7\t6")
            .on(0)
            .hears("200 8")
            .line("POST /pool/A/lock", "200 5"),
        all_held("members that are set serve the line", NEW)
            .waits(WAITING, 1)
            .check(r#"PUT /pool/A ["1","9"]"#, r#"200 ["1","9"]"#)
            .hears("200 9"),
        all_held("members that are set in several pools", NEW)
            .waits(WAITING, 1)
            .check(
                r#"PUT /pool {"A":["9"],"B":["x"]}"#,
                r#"200 {"A":["9"],"B":["x"]}"#,
            )
            .hears("200 9"),
        row("adding what is there serves no waiter", NEW)
            .given(SEED)
            .given("POST /pool/A/lock?n=4")
            .waits(WAITING, 1)
            .check("POST /pool/A 4", r#"200 ["1","2","3","4"]"#)
            .silence()
            .check("DELETE /pool/A/lock/4", "200")
            .hears("200 4"),
    ]
}

fn shrinking() -> Vec<Row> {
    vec![
        all_held("a waiter for more than are left", TOLD)
            .waits("POST /pool/A/lock?n=3&wait=60", 1)
            .check("PUT /pool/A [1,2,3]", r#"200 ["1","2","3"]"#)
            .silence()
            .check("PUT /pool/A [1,2]", r#"200 ["1","2"]"#)
            .hears("422 only 2 resources")
            .check("GET /pool", "200 2 4 0 A"),
        all_held("a waiter over HTTP for more than are left", TOLD)
            .send(bare("POST /pool/A/lock?n=3&wait=60"))
            .queued(1)
            .check("PUT /pool/A [1,2]", r#"200 ["1","2"]"#)
            .expect(fails("422 only 2 resources")),
        all_held("a waiter in JSON for more than are left", TOLD)
            .send(json("POST /pool/A/lock?n=3&wait=60"))
            .queued(1)
            .check("PUT /pool/A [1,2]", r#"200 ["1","2"]"#)
            .expect(json_fails("422 only 2 resources")),
        all_held("a waiter for one that is no member any more", TOLD)
            .waits("POST /pool/A/lock/4?wait=60", 1)
            .on(1)
            .waits("POST /pool/A/lock/1?wait=60", 2)
            .check("PUT /pool/A [1,2,3]", r#"200 ["1","2","3"]"#)
            .on(0)
            .hears("404 no resource")
            .on(1)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1"),
        all_held("a waiter of an emptied pool", TOLD)
            .waits(WAITING, 1)
            .check("PUT /pool/A []", "200 []")
            .hears("422 only 0 resources"),
        all_held("those behind a dismissed waiter move up", TOLD)
            .waits("POST /pool/A/lock?n=4&wait=60", 1)
            .on(1)
            .waits(WAITING, 2)
            .check("DELETE /pool/A/lock/1", "200")
            .silence()
            .check("PUT /pool/A [1,2,3]", r#"200 ["1","2","3"]"#)
            .hears("200 1")
            .on(0)
            .hears("422 only 3 resources"),
        all_held(
            "a former member is lent to no waiter",
            "a held id that is no longer named is lent to nobody again and vanishes when it is \
             released or expires",
        )
        .waits(WAITING, 1)
        .given("PUT /pool/A [1]")
        .check("DELETE /pool/A/lock/4", "200")
        .silence()
        .check("GET /pool", "200 1 3 1 A")
        .check("DELETE /pool/A/lock/1", "200")
        .hears("200 1"),
        row(
            "a former member with a lease goes when that ends",
            "… vanishes when it is released or expires",
        )
        .given(SEED)
        .mark()
        .given("POST /pool/A/lock?ttl=1")
        .given("PUT /pool/A [1]")
        .check("GET /pool", "200 1 1 0 A")
        .until("GET /pool", "200 1 0 0 A")
        .not_before(1000)
        .line("GET /pool/A/lock/4", "404 no resource")
        .line("POST /pool/A/lock", "200 1")
        .line("POST /pool/A/lock", "409 busy"),
    ]
}

fn removing() -> Vec<Row> {
    vec![
        all_held("the waiters of a removed pool", REMOVED)
            .waits(WAITING, 1)
            .on(1)
            .send(bare("POST /pool/A/lock?n=2&wait=60"))
            .queued(2)
            .on(2)
            .send(json("POST /pool/A/lock/3?wait=60"))
            .queued(3)
            .check("DELETE /pool/A", "200")
            .expect(json_fails("404 no pool"))
            .on(1)
            .expect(fails("404 no pool"))
            .on(0)
            .hears("404 no pool")
            .given(SEED)
            .check("GET /pool", "200 4 0 0 A"),
        all_held("the waiters of another pool stay", REMOVED)
            .given("POST /pool/B x")
            .given("POST /pool/B/lock")
            .waits(WAITING, 1)
            .check("DELETE /pool/B", "200")
            .silence()
            .check("DELETE /pool/A/lock/2", "200")
            .hears("200 2"),
        all_held("an owner that is away finds its place gone", REMOVED)
            .waits("POST /pool/A/lock?wait=60&owner=a", 1)
            .hang_up()
            .given("DELETE /pool/A")
            .line("POST /pool/A/lock?wait=60&owner=a", "404 no pool")
            .given(SEED)
            .check("GET /pool", "200 4 0 0 A")
            .line("POST /pool/A/lock", "200 4"),
    ]
}
