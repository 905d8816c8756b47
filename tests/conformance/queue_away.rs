//! The queue and absent owners: the resources reserved for them, and the service of others
//! meanwhile.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const KEPT: &str = "while an owner is away, only what it wants and could take now is kept for it";
const REST: &str = "everybody behind it is served with the rest";
const OVERTAKES: &str = "An acquire without `wait` never overtakes a waiter.";
const SEVERAL: &str =
    "A waiter for K resources of any kind holds the line for all behind it until K are free";
const A: &str = "POST /pool/A/lock?owner=a&wait=60";
const A_THREE: &str = "POST /pool/A/lock?owner=a&wait=60&n=3";
const B: &str = "POST /pool/A/lock?owner=b&wait=60";
const ANYONE: &str = "POST /pool/A/lock?wait=60";
const ACQUIRE: &str = "POST /pool/A/lock";

pub fn rows() -> Vec<Row> {
    let mut rows = served_with_the_rest();
    rows.extend(kept());
    rows.extend(several());
    rows.extend(back());
    rows.extend(members());
    rows
}

/// A pool of four, all held, and an owner at the head of its line that is away.
fn away(name: &str, promise: &'static str, waiting: &str) -> Row {
    row(name, promise)
        .given(SEED)
        .given("POST /pool/A/lock?n=4")
        .waits(waiting, 1)
        .hang_up()
}

fn served_with_the_rest() -> Vec<Row> {
    vec![
        row("those behind an absent owner are served", REST)
            .given(r#"POST /pool {"A":["1","2","3","4","5"]}"#)
            .given("POST /pool/A/lock?n=5")
            .waits(A, 1)
            .on(1)
            .waits(ANYONE, 2)
            .on(2)
            .waits(ANYONE, 3)
            .on(0)
            .hang_up()
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .silence()
            .check("DELETE /pool/A/lock/2", "200")
            .hears("200 1")
            .on(2)
            .silence()
            .check("DELETE /pool/A/lock/3", "200")
            .hears("200 2")
            .check("GET /pool", "200 5 4 1 A")
            .on(0)
            .line(format!("{A}&lease"), "200 4 - 3"),
        away("a newcomer gets what is not kept", OVERTAKES, A)
            .on(1)
            .line("DELETE /pool/A/lock/1", "200")
            .line(ACQUIRE, "409 busy")
            .line("POST /pool/A/lock/1", "409 busy")
            .line("DELETE /pool/A/lock/2", "200")
            .line("POST /pool/A/lock?n=2", "409 busy")
            .line(ACQUIRE, "200 1")
            .line(ACQUIRE, "409 busy")
            .on(0)
            .line(A, "200 2"),
        away("a newcomer may say which of the rest", OVERTAKES, A)
            .on(1)
            .line("DELETE /pool/A/lock/1", "200")
            .line("DELETE /pool/A/lock/2", "200")
            .line("POST /pool/A/lock/2", "200 2")
            .line("POST /pool/A/lock/1", "409 busy")
            .on(0)
            .line(A, "200 1"),
        away("a waiter for a certain one gets it of the rest", REST, A)
            .on(1)
            .waits("POST /pool/A/lock/1?wait=60", 2)
            .check("DELETE /pool/A/lock/1", "200")
            .silence()
            .check("DELETE /pool/A/lock/2", "200")
            .hears("200 1")
            .on(0)
            .line(A, "200 2"),
    ]
}

fn kept() -> Vec<Row> {
    vec![
        away("nothing is kept where it is too little", KEPT, A_THREE)
            .on(1)
            .line("DELETE /pool/A/lock/1", "200")
            .line("DELETE /pool/A/lock/2", "200")
            .line(ACQUIRE, "200 1")
            .line(ACQUIRE, "200 2")
            .on(0)
            .line("POST /pool/A/lock?owner=a&n=3", "409 busy"),
        away("several are kept once they are free", KEPT, A_THREE)
            .on(1)
            .line("DELETE /pool/A/lock/1", "200")
            .line("DELETE /pool/A/lock/2", "200")
            .line("DELETE /pool/A/lock/3", "200")
            .line(ACQUIRE, "409 busy")
            .line("DELETE /pool/A/lock/4", "200")
            .line(ACQUIRE, "200 1")
            .line(ACQUIRE, "409 busy")
            .on(0)
            .line(A_THREE, "200 2\t3\t4"),
        away(
            "a certain one is kept alone",
            KEPT,
            "POST /pool/A/lock/2?owner=a&wait=60",
        )
        .on(1)
        .waits(ANYONE, 2)
        .check("DELETE /pool/A/lock/2", "200")
        .silence()
        .check("DELETE /pool/A/lock/1", "200")
        .hears("200 1")
        .check("GET /pool", "200 4 3 1 A")
        .on(0)
        .line("POST /pool/A/lock/2?owner=a", "200 2"),
        row("what is kept goes on when the grace ends", KEPT)
            .server(&["--queue-grace=1"])
            .given(SEED)
            .given("POST /pool/A/lock?n=4")
            .waits(A, 1)
            .mark()
            .hang_up()
            .on(1)
            .line("DELETE /pool/A/lock/1", "200")
            .line(ANYONE, "200 1")
            .not_before(990)
            .check("GET /pool", "200 4 4 0 A"),
    ]
}

fn several() -> Vec<Row> {
    vec![
        away("each of several absent owners keeps its own", KEPT, A)
            .on(1)
            .waits(B, 2)
            .hang_up()
            .on(2)
            .waits(ANYONE, 3)
            .check("DELETE /pool/A/lock/1", "200")
            .check("DELETE /pool/A/lock/2", "200")
            .silence()
            .check("DELETE /pool/A/lock/3", "200")
            .hears("200 1")
            .on(1)
            .line(B, "200 2")
            .on(0)
            .line(A, "200 3"),
        away("the absent owner in front goes before", KEPT, A_THREE)
            .on(1)
            .waits(B, 2)
            .hang_up()
            .check("DELETE /pool/A/lock/1", "200")
            .check("DELETE /pool/A/lock/2", "200")
            .check("DELETE /pool/A/lock/3", "200")
            .line("POST /pool/A/lock?owner=b", "409 busy")
            .on(0)
            .line(A_THREE, "200 1\t2\t3"),
        away(
            "a waiter that is there and wants several holds the queue",
            SEVERAL,
            A,
        )
        .on(1)
        .waits("POST /pool/A/lock?wait=60&n=2", 2)
        .on(2)
        .waits(B, 3)
        .hang_up()
        .check("DELETE /pool/A/lock/1", "200")
        .check("DELETE /pool/A/lock/2", "200")
        .line(ACQUIRE, "409 busy")
        .line("POST /pool/A/lock?owner=b", "409 busy")
        .check("DELETE /pool/A/lock/3", "200")
        .on(1)
        .hears("200 1\t2")
        .on(0)
        .line(A, "200 3"),
    ]
}

fn back() -> Vec<Row> {
    vec![
        row("those behind are served as soon as it is away", REST)
            .given(SEED)
            .given("POST /pool/A/lock?n=4")
            .waits(A_THREE, 1)
            .on(1)
            .waits(ANYONE, 2)
            .check("DELETE /pool/A/lock/3", "200")
            .silence()
            .on(0)
            .hang_up()
            .on(1)
            .hears("200 3"),
        away(
            "an owner that is back holds the line again",
            SEVERAL,
            A_THREE,
        )
        .on(1)
        .line("DELETE /pool/A/lock/1", "200")
        .on(0)
        .waits(A_THREE, 1)
        .on(1)
        .line(ACQUIRE, "409 busy")
        .line("DELETE /pool/A/lock/2", "200")
        .line("DELETE /pool/A/lock/3", "200")
        .on(0)
        .hears("200 1\t2\t3"),
        away("an owner that is back may want less", KEPT, A_THREE)
            .on(1)
            .line("DELETE /pool/A/lock/1", "200")
            .on(0)
            .line(A, "200 1"),
        away("to ask without waiting keeps the place", KEPT, A_THREE)
            .on(1)
            .waits(ANYONE, 2)
            .on(0)
            .line("POST /pool/A/lock?owner=a&n=2", "409 busy")
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .hears("200 1")
            .check("DELETE /pool/A/lock/2", "200")
            .check("DELETE /pool/A/lock/3", "200")
            .line(ACQUIRE, "409 busy")
            .on(0)
            .line("POST /pool/A/lock?owner=a&n=2", "200 2\t3"),
    ]
}

fn members() -> Vec<Row> {
    vec![
        away("a new member is kept as well", KEPT, A)
            .on(1)
            .waits(ANYONE, 2)
            .check(r#"POST /pool/A ["5"]"#, r#"200 ["1","2","3","4","5"]"#)
            .silence()
            .check(r#"POST /pool/A ["6"]"#, r#"200 ["1","2","3","4","5","6"]"#)
            .hears("200 6")
            .on(0)
            .line(A, "200 5"),
        away("a kept resource that is no member any more", KEPT, A)
            .on(1)
            .line("DELETE /pool/A/lock/1", "200")
            .line(r#"PUT /pool/A ["2","3","4"]"#, r#"200 ["2","3","4"]"#)
            .line("DELETE /pool/A/lock/2", "200")
            .line(ACQUIRE, "409 busy")
            .line("DELETE /pool/A/lock/3", "200")
            .line(ACQUIRE, "200 2")
            .on(0)
            .line(A, "200 3"),
        away(
            "an absent owner that wants more than there is",
            KEPT,
            A_THREE,
        )
        .on(1)
        .line(r#"PUT /pool/A ["1","2"]"#, r#"200 ["1","2"]"#)
        .queued(0)
        .line("DELETE /pool/A/lock/1", "200")
        .line(ACQUIRE, "200 1"),
    ]
}
