//! The queue: its waiters, and the order in which they are served.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const FIRST: &str = "Strictly first come, first served in each pool";
const OVERTAKES: &str = "An acquire without `wait` never overtakes a waiter.";
const CAN_USE: &str = "A freed resource goes to the first waiter that can use it.";
const SEVERAL: &str =
    "A waiter for K resources of any kind holds the line for all behind it until K are free";
const NAMED: &str = "one for a named resource reserves only that one";
const WAIT: &str = "`wait=S`: wait up to S seconds for a resource";
const ALL: &str = r#"POST /pool {"A":["1"]}"#;
const ACQUIRE: &str = "POST /pool/A/lock";
const WAITING: &str = "POST /pool/A/lock?wait=60";

pub fn rows() -> Vec<Row> {
    let mut rows = waiting();
    rows.extend(order());
    rows.extend(several());
    rows.extend(named());
    rows.extend(freed());
    rows.extend(limits());
    rows
}

/// A pool of one, which is held.
fn one_held(name: &str, promise: &'static str) -> Row {
    row(name, promise).given(ALL).given(ACQUIRE)
}

fn waiting() -> Vec<Row> {
    vec![
        one_held("a waiter gets what is released", WAIT)
            .waits(WAITING, 1)
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1")
            .check("GET /pool", "200 1 1 0 A")
            .check("GET /pool/A/lock", "200 2 - 1"),
        one_held("a waiter over HTTP, to the byte", WAIT)
            .send(bare(WAITING))
            .queued(1)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .at_once(ok("1")),
        one_held("a waiter in JSON", "`lease`: answer with lease lines")
            .send(json(&format!("{WAITING}&lease&ttl=60&owner=ci-42")))
            .queued(1)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .expect(json_ok(
                r#"{"id":"1","fence":2,"ttl":60,"owner":"ci-42","age":0}"#,
            )),
        one_held("a waiter with a lease line", "Lease line: `FENCE TTL ID`")
            .waits("POST /pool/A/lock?lease&wait=60&ttl=60", 1)
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 2 60 1"),
        row("what is free is had at once", WAIT)
            .given(SEED)
            .line(WAITING, "200 4")
            .line("POST /pool/A/lock/1?wait=60", "200 1")
            .line("POST /pool/A/lock?n=2&wait=60", "200 3\t2")
            .check("GET /pool", "200 4 4 0 A"),
        row(
            "what can never be had is refused at once",
            "422 `only N resources`: the pool could never satisfy this",
        )
        .given(SEED)
        .line("POST /pool/A/lock?n=5&wait=60", "422 only 4 resources")
        .line("POST /pool/A/lock/9?wait=60", "404 no resource")
        .line("POST /pool/B/lock?wait=60", "404 no pool")
        .check("GET /pool", "200 4 0 0 A"),
        one_held(
            "the pool says how many wait",
            "`RESOURCES HELD WAITING NAME`",
        )
        .waits(WAITING, 1)
        .on(1)
        .waits("POST /pool/A/lock/1?wait=60", 2)
        .on(2)
        .line("GET /pool", "200 1 1 2 A")
        .ask(
            json("GET /pool"),
            json_ok(r#"{"A":{"resources":1,"held":1,"waiting":2,"free":0}}"#),
        )
        .line("DELETE /pool/A/lock/1", "200")
        .on(0)
        .hears("200 1")
        .check("DELETE /pool/A/lock/1", "200")
        .on(1)
        .hears("200 1")
        .check("GET /pool", "200 1 1 0 A"),
        one_held("the time to wait ends", WAIT)
            .mark()
            .line("POST /pool/A/lock?wait=1", "409 busy")
            .not_before(990)
            .check("GET /pool", "200 1 1 0 A")
            .line("DELETE /pool/A/lock/1", "200")
            .check("GET /pool", "200 1 0 0 A"),
        one_held("the server caps the time to wait", "capped at `--max-wait`")
            .server(&["--max-wait=1"])
            .mark()
            .line("POST /pool/A/lock?wait=31536000", "409 busy")
            .not_before(990),
    ]
}

fn order() -> Vec<Row> {
    vec![
        one_held("first come, first served", FIRST)
            .waits(WAITING, 1)
            .on(1)
            .waits(WAITING, 2)
            .on(2)
            .waits(WAITING, 3)
            .check("DELETE /pool/A/lock/1", "200")
            .silence()
            .on(1)
            .silence()
            .on(0)
            .hears("200 1")
            .check("DELETE /pool/A/lock/1", "200")
            .on(2)
            .silence()
            .on(1)
            .hears("200 1")
            .check("DELETE /pool/A/lock/1", "200")
            .on(2)
            .hears("200 1"),
        row("the line of one pool holds up no other", "in each pool")
            .given(r#"POST /pool {"A":["1"],"B":["x","y"]}"#)
            .given(ACQUIRE)
            .waits(WAITING, 1)
            .on(1)
            .line("POST /pool/B/lock", "200 y")
            .line("POST /pool/B/lock?wait=60", "200 x")
            .line("DELETE /pool/B/lock", "200 2")
            .on(0)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1"),
        row("none overtakes a waiter for several", OVERTAKES)
            .given(SEED)
            .given("POST /pool/A/lock?n=3")
            .waits("POST /pool/A/lock?n=2&wait=60", 1)
            .on(1)
            .line(ACQUIRE, "409 busy")
            .line("POST /pool/A/lock/1", "409 busy")
            .line("POST /pool/A/lock?wait=0", "409 busy")
            .line("DELETE /pool/A/lock/4", "200")
            .on(0)
            .hears("200 1\t4"),
        one_held("none overtakes in the same breath", OVERTAKES)
            .waits(WAITING, 1)
            .on(1)
            .ask(
                "DELETE /pool/A/lock/1\nPOST /pool/A/lock\n",
                "200\n409 busy\n",
            )
            .on(0)
            .hears("200 1"),
    ]
}

fn several() -> Vec<Row> {
    let held = |name: &str| {
        row(name, SEVERAL)
            .given(SEED)
            .given("POST /pool/A/lock?n=4")
    };
    vec![
        held("all or none, when all are free")
            .waits("POST /pool/A/lock?n=3&wait=60&lease", 1)
            .check("DELETE /pool/A/lock/2", "200")
            .check("DELETE /pool/A/lock/4", "200")
            .silence()
            .check("GET /pool", "200 4 2 1 A")
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 2 - 2\t2 - 4\t2 - 1"),
        held("those behind wait too")
            .waits("POST /pool/A/lock?n=2&wait=60", 1)
            .on(1)
            .waits(WAITING, 2)
            .on(2)
            .waits("POST /pool/A/lock/3?wait=60", 3)
            .check("DELETE /pool/A/lock/3", "200")
            .silence()
            .on(1)
            .silence()
            .check("GET /pool", "200 4 3 3 A")
            .check("DELETE /pool/A/lock/1", "200")
            .on(0)
            .hears("200 3\t1")
            .on(1)
            .silence()
            .check("DELETE /pool/A/lock/4", "200")
            .hears("200 4")
            .check("DELETE /pool/A/lock/3", "200")
            .on(2)
            .hears("200 3"),
        held("those behind go on when the first leaves")
            .waits("POST /pool/A/lock?n=3&wait=60", 1)
            .on(1)
            .waits(WAITING, 2)
            .on(2)
            .waits(WAITING, 3)
            .check("DELETE /pool/A/lock/3", "200")
            .check("DELETE /pool/A/lock/1", "200")
            .silence()
            .on(0)
            .hang_up()
            .on(1)
            .hears("200 3")
            .on(2)
            .hears("200 1")
            .check("GET /pool", "200 4 4 0 A"),
        held("those behind go on when the time of the first ends")
            .mark()
            .send("POST /pool/A/lock?n=3&wait=1\n")
            .on(1)
            .send(WAITING.to_string() + "\n")
            .check("DELETE /pool/A/lock/3", "200")
            .hears("200 3")
            .not_before(990)
            .on(0)
            .hears("409 busy"),
    ]
}

fn named() -> Vec<Row> {
    let held = |name: &str, promise| {
        row(name, promise)
            .given(SEED)
            .given("POST /pool/A/lock/1")
            .given("POST /pool/A/lock/2")
    };
    let one = "POST /pool/A/lock/1?wait=60";
    vec![
        held("others are lent past a waiter for a certain one", NAMED)
            .waits(one, 1)
            .on(1)
            .line(ACQUIRE, "200 4")
            .line(WAITING, "200 3")
            .line(ACQUIRE, "409 busy")
            .line("DELETE /pool/A/lock/2", "200")
            .line("POST /pool/A/lock/2", "200 2")
            .on(0)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1"),
        held("a reserved resource goes to its waiter", NAMED)
            .given("POST /pool/A/lock?n=2")
            .waits(one, 1)
            .on(1)
            .waits(WAITING, 2)
            .check("DELETE /pool/A/lock/1", "200")
            .silence()
            .on(0)
            .hears("200 1")
            .check("DELETE /pool/A/lock/3", "200")
            .on(1)
            .hears("200 3"),
        held("a waiter for any is served before it", CAN_USE)
            .given("POST /pool/A/lock?n=2")
            .waits(WAITING, 1)
            .on(1)
            .waits(one, 2)
            .check("DELETE /pool/A/lock/1", "200")
            .silence()
            .on(0)
            .hears("200 1")
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .hears("200 1"),
        held(
            "the second of the queue gets what the first cannot use",
            CAN_USE,
        )
        .waits(one, 1)
        .on(1)
        .waits("POST /pool/A/lock/2?wait=60", 2)
        .check("DELETE /pool/A/lock/2", "200")
        .hears("200 2")
        .on(0)
        .silence()
        .check("DELETE /pool/A/lock/1", "200")
        .hears("200 1"),
        held("two wait for the same, in turn", FIRST)
            .waits(one, 1)
            .on(1)
            .waits(one, 2)
            .check("DELETE /pool/A/lock/1", "200")
            .silence()
            .on(0)
            .hears("200 1")
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .hears("200 1"),
    ]
}

/// Every way in which a resource becomes free serves the line.
fn freed() -> Vec<Row> {
    let staged = |name: &str| {
        row(name, CAN_USE)
            .given(SEED)
            .given("POST /pool/A/lock?n=4&owner=x")
            .waits(WAITING, 1)
            .on(1)
            .waits("POST /pool/A/lock?n=3&wait=60", 2)
            .on(2)
    };
    let served = |row: Row| {
        row.on(0)
            .hears("200 4")
            .on(1)
            .hears("200 3\t2\t1")
            .check("GET /pool", "200 4 4 0 A")
            .check("GET /pool/A/lock", "200 2 - 4\t3 - 3\t3 - 2\t3 - 1")
    };
    vec![
        served(staged("the purge serves the line").line("DELETE /pool/A/lock", "200 4")),
        served(
            staged("releasing what an owner holds serves the line")
                .line("DELETE /pool/A/lock?owner=x", "200 4"),
        ),
        served(
            staged("releasing what is old serves the line")
                .line("DELETE /pool/A/lock?older=0", "200 4"),
        ),
        staged("a release with force serves the line")
            .line("DELETE /pool/A/lock/2?force", "200")
            .on(0)
            .hears("200 2")
            .on(1)
            .hang_up()
            .queued(0),
        row("an expiry serves the line", CAN_USE)
            .given(SEED)
            .mark()
            .given("POST /pool/A/lock?n=4&ttl=1")
            .line(
                "POST /pool/A/lock?n=4&wait=60&lease",
                "200 2 - 4\t2 - 3\t2 - 2\t2 - 1",
            )
            .not_before(1000),
    ]
}

fn limits() -> Vec<Row> {
    let full = "503 `queue full`";
    vec![
        one_held("a full line", full)
            .server(&["--max-waiters=1"])
            .waits(WAITING, 1)
            .on(1)
            .line(WAITING, "503 queue full")
            .line("POST /pool/A/lock/1?wait=60", "503 queue full")
            .ask(bare(WAITING), fails("503 queue full"))
            .ask(json(WAITING), json_fails("503 queue full"))
            .line(ACQUIRE, "409 busy")
            .on(0)
            .silence()
            .hang_up()
            .queued(0)
            .waits(WAITING, 1)
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1"),
        one_held("no line at all", full)
            .server(&["--max-waiters=0"])
            .line(WAITING, "503 queue full")
            .line("POST /pool/A/lock?wait=0", "409 busy")
            .line("DELETE /pool/A/lock/1", "200")
            .line(WAITING, "200 1"),
        row("what is free needs no place in a full line", full)
            .server(&["--max-waiters=1"])
            .given(r#"POST /pool {"A":["1"],"B":["x"]}"#)
            .given(ACQUIRE)
            .waits(WAITING, 1)
            .on(1)
            .line("POST /pool/B/lock?wait=60", "200 x")
            .on(0)
            .hang_up()
            .queued(0),
    ]
}
