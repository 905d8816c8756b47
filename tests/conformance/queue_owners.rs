//! The queue and owners: places that outlive a connection, and one place for each owner.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const KEEPS: &str = "one with an owner keeps its place for `--queue-grace` (10 s) and takes it up \
                     by asking again";
const NEWER: &str = "Two waiting requests of one owner in one pool: the newer takes the place over, \
                     the older is answered 409 `busy`.";
const UNDONE: &str = "… undone at once, unless it has an owner: that one comes back for it.";
const A: &str = "POST /pool/A/lock?owner=a&wait=60";
const B: &str = "POST /pool/A/lock?owner=b&wait=60";
const ANYONE: &str = "POST /pool/A/lock?wait=60";

pub fn rows() -> Vec<Row> {
    let mut rows = away();
    rows.extend(grace());
    rows.extend(twice());
    rows
}

/// A pool of one, which is held.
fn one_held(name: &str, promise: &'static str) -> Row {
    row(name, promise)
        .given(r#"POST /pool {"A":["1"]}"#)
        .given("POST /pool/A/lock")
}

fn away() -> Vec<Row> {
    vec![
        one_held(
            "a request that does not wait leaves the one that does alone",
            NEWER,
        )
        .waits(A, 1)
        .on(1)
        .line("POST /pool/A/lock?owner=a", "409 busy")
        .on(0)
        .silence()
        .check("DELETE /pool/A/lock/1", "200")
        .hears("200 1"),
        one_held("an owner takes its place up again", KEEPS)
            .waits(A, 1)
            .on(1)
            .waits(ANYONE, 2)
            .on(0)
            .hang_up()
            .waits(A, 2)
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1")
            .on(1)
            .silence()
            .check("DELETE /pool/A/lock/1?owner=a", "200")
            .hears("200 1"),
        // Unread bytes in a socket that is closed make the system send RST, not FIN.
        one_held("an owner takes its place up after a reset", KEEPS)
            .send(format!("GET /ping\n{A}\n"))
            .queued(1)
            .on(1)
            .waits(ANYONE, 2)
            .on(0)
            .hang_up()
            .waits(A, 2)
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1")
            .on(1)
            .hang_up()
            .queued(0),
        one_held("an owner comes back when its turn has come", KEEPS)
            .waits(A, 1)
            .on(1)
            .waits(ANYONE, 2)
            .on(0)
            .hang_up()
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .silence()
            .on(0)
            .line(format!("{A}&lease"), "200 2 - 1")
            .on(1)
            .silence()
            .check("GET /pool", "200 1 1 1 A")
            .check("DELETE /pool/A/lock/1?owner=a", "200")
            .hears("200 1"),
        one_held("two owners keep their order", KEEPS)
            .waits(A, 1)
            .on(1)
            .waits(B, 2)
            .hang_up()
            .on(0)
            .hang_up()
            .on(1)
            .waits(B, 2)
            .on(0)
            .waits(A, 2)
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1")
            .on(1)
            .silence()
            .check("DELETE /pool/A/lock/1?owner=a", "200")
            .hears("200 1"),
        row("an owner that waits for several keeps its place", KEEPS)
            .given(SEED)
            .given("POST /pool/A/lock?n=4")
            .waits("POST /pool/A/lock?n=2&owner=a&wait=60", 1)
            .on(1)
            .waits(ANYONE, 2)
            .on(0)
            .hang_up()
            .on(1)
            .queued(2)
            .on(0)
            .waits("POST /pool/A/lock?n=2&owner=a&wait=60", 2)
            .check("DELETE /pool/A/lock/3", "200")
            .on(1)
            .silence()
            .check("DELETE /pool/A/lock/2", "200")
            .on(0)
            .hears("200 3\t2")
            .on(1)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1"),
        row(
            "an owner that waits for a certain one keeps its place",
            KEEPS,
        )
        .given(SEED)
        .given("POST /pool/A/lock?n=4")
        .waits("POST /pool/A/lock/1?owner=a&wait=60", 1)
        .hang_up()
        .on(1)
        .line("DELETE /pool/A/lock/1", "200")
        .line("DELETE /pool/A/lock/2", "200")
        .line("POST /pool/A/lock/1", "409 busy")
        .line("POST /pool/A/lock", "200 2")
        .line("POST /pool/A/lock", "409 busy")
        .on(0)
        .line("POST /pool/A/lock/1?owner=a", "200 1"),
        one_held("a grant that was given stays with its owner", UNDONE)
            .waits(A, 1)
            .check("DELETE /pool/A/lock/1", "200")
            .hang_up()
            .line(format!("{A}&lease"), "200 2 - 1"),
        one_held("a waiting owner is not a holder", KEEPS)
            .waits(A, 1)
            .on(1)
            .line("PUT /pool/A/lock?owner=a", "404 not held")
            .line("DELETE /pool/A/lock?owner=a", "200 0")
            .queued(1)
            .line("DELETE /pool/A/lock/1", "200")
            .on(0)
            .hears("200 1"),
    ]
}

fn grace() -> Vec<Row> {
    vec![
        one_held("the grace ends, and the next is served", KEEPS)
            .server(&["--queue-grace=1"])
            .waits(A, 1)
            .on(1)
            .waits(ANYONE, 2)
            .on(0)
            .mark()
            .hang_up()
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .hears("200 1")
            .not_before(990)
            .check("GET /pool", "200 1 1 0 A"),
        one_held("the grace ends, and the place is gone", KEEPS)
            .server(&["--queue-grace=1"])
            .waits(A, 1)
            .on(1)
            .waits(ANYONE, 2)
            .on(0)
            .mark()
            .hang_up()
            .queued(1)
            .not_before(990)
            .waits(A, 2)
            .check("DELETE /pool/A/lock/1", "200")
            .silence()
            .on(1)
            .hears("200 1")
            .check("DELETE /pool/A/lock/1", "200")
            .on(0)
            .hears("200 1"),
        one_held("without grace an owner leaves at once", KEEPS)
            .server(&["--queue-grace=0"])
            .waits(A, 1)
            .on(1)
            .waits(ANYONE, 2)
            .on(0)
            .hang_up()
            .queued(1)
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .hears("200 1"),
        one_held("an owner that has come back needs no grace", KEEPS)
            .server(&["--queue-grace=1"])
            .waits(A, 1)
            .hang_up()
            .mark()
            .line("POST /pool/A/lock?owner=a&wait=2", "409 busy")
            .not_before(1990),
    ]
}

fn twice() -> Vec<Row> {
    vec![
        one_held("the newer takes the place over", NEWER)
            .waits(A, 1)
            .on(1)
            .waits(ANYONE, 2)
            .on(2)
            .waits(A, 2)
            .on(0)
            .hears("409 busy")
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .silence()
            .on(2)
            .hears("200 1")
            .check("DELETE /pool/A/lock/1?owner=a", "200")
            .on(1)
            .hears("200 1"),
        one_held("the newer takes the place over, over HTTP", NEWER)
            .send(bare(A))
            .queued(1)
            .on(1)
            .send(bare(A))
            .on(0)
            .expect(fails("409 busy"))
            .queued(1)
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .expect(ok("1")),
        one_held("each owner has a place", NEWER)
            .waits(A, 1)
            .on(1)
            .waits(B, 2)
            .on(0)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1")
            .check("DELETE /pool/A/lock/1?owner=a", "200")
            .on(1)
            .hears("200 1"),
        row("an owner may wait in two pools", NEWER)
            .given(r#"POST /pool {"A":["1"],"B":["x"]}"#)
            .given("POST /pool/A/lock")
            .given("POST /pool/B/lock")
            .waits(A, 1)
            .on(1)
            .send("POST /pool/B/lock?owner=a&wait=60\n")
            .until("GET /pool", "200 1 1 1 A\t1 1 1 B")
            .silence()
            .on(0)
            .silence()
            .check("DELETE /pool/B/lock/x", "200")
            .on(1)
            .hears("200 x")
            .check("DELETE /pool/A/lock/1", "200")
            .on(0)
            .hears("200 1"),
        one_held("taking a place over needs none in a full line", NEWER)
            .server(&["--max-waiters=1"])
            .waits(A, 1)
            .on(1)
            .waits(A, 1)
            .on(0)
            .hears("409 busy")
            .line(B, "503 queue full")
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .hears("200 1"),
    ]
}
