//! Acquires of every member of a pool: `n=all`.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const ALL: &str = "`n=all` is every member of the pool";
const WAITS: &str = "it waits until no member is held, and holds up all behind it";
const NOW: &str = "members are counted when it is served";
const AGAIN: &str = "its owner gets the same lock while that holds every member";
const ACQUIRE: &str = "POST /pool/A/lock?n=all";
const WAITING: &str = "POST /pool/A/lock?n=all&wait=60";

pub fn rows() -> Vec<Row> {
    let mut rows = taken();
    rows.extend(waiting());
    rows.extend(changing());
    rows.extend(repeated());
    rows
}

fn taken() -> Vec<Row> {
    vec![
        row("all members are lent under one fence", ALL)
            .given(SEED)
            .line(
                "POST /pool/A/lock?n=all&ttl=60&lease",
                "200 1 60 4\t1 60 3\t1 60 2\t1 60 1",
            )
            .line("POST /pool/A/lock", "409 busy")
            .line("DELETE /pool/A/lock/3", "200")
            .line("POST /pool/A/lock", "200 3"),
        row("one member is a list, too", ALL)
            .given(r#"POST /pool {"A":["1"]}"#)
            .ask(json("POST /pool/A/lock?n=all"), json_ok(r#"["1"]"#)),
        row("a held member refuses it", ALL)
            .given(SEED)
            .given("POST /pool/A/lock")
            .line(ACQUIRE, "409 busy")
            .ask(json(ACQUIRE), json_fails("409 busy"))
            .line("DELETE /pool/A/lock/4", "200")
            .line(ACQUIRE, "200 3\t2\t1\t4"),
        row("a pool without members has none to lend", ALL)
            .given(r#"POST /pool {"A":[]}"#)
            .line(ACQUIRE, "422 only 0 resources")
            .line(WAITING, "422 only 0 resources"),
        row("it has no other form", ALL)
            .given(SEED)
            .line("POST /pool/A/lock?n=ALL", "400 bad …")
            .line("POST /pool/A/lock?n=", "400 bad …")
            .line("POST /pool/A/lock/4?n=all", "400 bad …")
            .check("GET /pool", "200 4 0 0 A"),
    ]
}

fn waiting() -> Vec<Row> {
    vec![
        row("a writer waits for all readers", WAITS)
            .given(r#"POST /pool {"A":["1","2"]}"#)
            .given("POST /pool/A/lock?n=2")
            .waits(WAITING, 1)
            .check("DELETE /pool/A/lock/1", "200")
            .check("POST /pool/A/lock", "409 busy")
            .check("GET /pool/A/queue", "200 ~9 ~60 2 -")
            .check("DELETE /pool/A/lock/2", "200")
            .hears("200 1\t2"),
        row("readers wait behind a writer", WAITS)
            .given(r#"POST /pool {"A":["1","2"]}"#)
            .given("POST /pool/A/lock")
            .waits(WAITING, 1)
            .on(1)
            .waits("POST /pool/A/lock?wait=60", 2)
            .check("DELETE /pool/A/lock/2", "200")
            .on(0)
            .hears("200 1\t2")
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .hears("200 1"),
    ]
}

fn changing() -> Vec<Row> {
    vec![
        row("a member that comes meanwhile is one of all", NOW)
            .given(r#"POST /pool {"A":["1"]}"#)
            .given("POST /pool/A/lock")
            .waits(WAITING, 1)
            .check(r#"POST /pool/A ["2"]"#, r#"200 ["1","2"]"#)
            .check("GET /pool/A/queue", "200 ~9 ~60 2 -")
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 2\t1"),
        row("a held member that leaves is waited for no longer", NOW)
            .given(r#"POST /pool {"A":["1","2"]}"#)
            .given("POST /pool/A/lock/2")
            .waits(WAITING, 1)
            .check(r#"PUT /pool/A ["1"]"#, r#"200 ["1"]"#)
            .hears("200 1"),
        row("once there are no members it can never be served", NOW)
            .given(r#"POST /pool {"A":["1"]}"#)
            .given("POST /pool/A/lock")
            .waits(WAITING, 1)
            .check("PUT /pool/A []", "200 []")
            .hears("422 only 0 resources"),
    ]
}

fn repeated() -> Vec<Row> {
    vec![
        row("an owner that repeats it gets the same lock", AGAIN)
            .given(SEED)
            .line(
                "POST /pool/A/lock?n=all&owner=a&lease",
                "200 1 - 4\t1 - 3\t1 - 2\t1 - 1",
            )
            .line(
                "POST /pool/A/lock?n=all&owner=a&lease",
                "200 1 - 4\t1 - 3\t1 - 2\t1 - 1",
            )
            .line(
                "POST /pool/A/lock?n=4&owner=a&lease",
                "200 1 - 4\t1 - 3\t1 - 2\t1 - 1",
            )
            .line(r#"POST /pool/A ["5"]"#, r#"200 ["1","2","3","4","5"]"#)
            .line("POST /pool/A/lock?n=all&owner=a", "409 owner holds 4"),
        row("an owner that holds some of them does not get all", AGAIN)
            .given(SEED)
            .line("POST /pool/A/lock?n=2&owner=a", "200 4\t3")
            .line("POST /pool/A/lock?n=all&owner=a", "409 owner holds 2")
            .line("POST /pool/A/lock?n=2", "200 2\t1")
            .line("POST /pool/A/lock?n=all&owner=a", "409 owner holds 2"),
        row("an owner that is away keeps its turn for all", AGAIN)
            .given(r#"POST /pool {"A":["1","2"]}"#)
            .given("POST /pool/A/lock?n=2")
            .waits("POST /pool/A/lock?n=all&owner=a&wait=60", 1)
            .hang_up()
            .on(1)
            .until("GET /pool/A/queue", "200 ~9 ~10 2 a")
            .line("DELETE /pool/A/lock/1", "200")
            .line("DELETE /pool/A/lock/2", "200")
            .line("POST /pool/A/lock", "409 busy")
            .line("POST /pool/A/lock?n=all&owner=a", "200 1\t2"),
    ]
}
