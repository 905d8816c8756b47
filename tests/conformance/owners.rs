//! Owners: acquires that may be repeated, and locks that are protected.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const SAME: &str = "while it holds a lock in this pool, asking again returns the same lock with \
                    the same fence";
const REARMS: &str = "and re-arms its ttl (the given one, else its last)";
const ONE_LINE: &str = "So one request, repeated, acquires, renews and recovers after a reboot or \
                        a lost answer.";
const HOLDS: &str =
    "Asking for another count, or for a resource that it does not hold: 409 `owner holds N`";
const NAMES: &str = "owner names: 1 to 128 bytes of UTF-8, no control characters";
const WANTS: &str = "A lock taken with an owner wants the same `owner` (else 409 `not yours`), or \
                     `force`.";
const OPTIMISTIC: &str =
    "A lock taken without owner can be renewed and released by anyone who knows the resource";
const FREE: &str = "Releasing what is free: 404 `not held`; with `owner`, 200";
const RENEWS: &str = "`PUT /pool/A/lock?owner=N` renews all that the owner holds there";
const MATCHES: &str =
    "`DELETE /pool/A/lock` releases every lock that matches `owner=`, `older=SECONDS`";

pub fn rows() -> Vec<Row> {
    let mut rows = asking_again();
    rows.extend(asking_for_more());
    rows.extend(names());
    rows.extend(protected());
    rows.extend(renewing_all());
    rows.extend(releasing_all());
    rows
}

fn owned(id: &str, fence: u64, ttl: &str, owner: &str) -> String {
    format!(r#"{{"id":"{id}","fence":{fence},"ttl":{ttl},"owner":"{owner}","age":0}}"#)
}

fn asking_again() -> Vec<Row> {
    vec![
        row("asking again gives the same lock", SAME)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 4")
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 4")
            .ask(bare("POST /pool/A/lock?owner=a"), ok("4"))
            .ask(
                json("POST /pool/A/lock?owner=a&lease"),
                json_ok(&owned("4", 1, "null", "a")),
            )
            .check("GET /pool", "200 4 1 0 A"),
        row("asking again for several", SAME)
            .given(SEED)
            .line("POST /pool/A/lock?n=2&owner=a&lease", "200 1 - 4\t1 - 3")
            .line("POST /pool/A/lock?n=2&owner=a&lease", "200 1 - 4\t1 - 3")
            .check("GET /pool", "200 4 2 0 A"),
        row("asking again by name", SAME)
            .given(SEED)
            .line("POST /pool/A/lock/2?owner=a&lease", "200 1 - 2")
            .line("POST /pool/A/lock/2?owner=a&lease", "200 1 - 2")
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 2"),
        row("asking again when all are held", SAME)
            .given(r#"POST /pool {"A":["1"]}"#)
            .line("POST /pool/A/lock?owner=a", "200 1")
            .hang_up()
            .line("POST /pool/A/lock?owner=b", "409 busy")
            .line("POST /pool/A/lock?owner=a", "200 1")
            .line("POST /pool/A/lock?owner=a&wait=60", "200 1"),
        row("asking again past a line", SAME)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a", "200 4")
            .on(1)
            .waits("POST /pool/A/lock?n=4&wait=60", 1)
            .on(0)
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 4")
            .line("DELETE /pool/A/lock/4?owner=a", "200")
            .on(1)
            .hears("200 3\t2\t1\t4"),
        row("asking again with a ttl", REARMS)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 4")
            .line("POST /pool/A/lock?owner=a&lease&ttl=60", "200 1 60 4")
            .line("POST /pool/A/lock?owner=a&lease&ttl=600", "200 1 600 4")
            .line("POST /pool/A/lock?owner=a&lease", "200 1 600 4")
            .check("GET /pool/A/lock", "200 1 ~600 4"),
        row("asking again re-arms all of a grant", REARMS)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a&n=2&ttl=60", "200 4\t3")
            .line("POST /pool/A/lock?owner=a&n=2&ttl=600", "200 4\t3")
            .check("GET /pool/A/lock", "200 1 ~600 4\t1 ~600 3"),
        row("asking again after a reboot", ONE_LINE)
            .durable()
            .given(SEED)
            .line("POST /pool/A/lock?owner=a&ttl=60&lease", "200 1 60 4")
            .hang_up()
            .line("POST /pool/A/lock?owner=a&ttl=60&lease", "200 1 60 4")
            .restart()
            .line("POST /pool/A/lock?owner=a&ttl=60&lease", "200 1 60 4"),
        row("asking again after the lease has ended", ONE_LINE)
            .given(SEED)
            .mark()
            .line("POST /pool/A/lock?owner=a&ttl=1&lease", "200 1 1 4")
            .until("GET /pool", "200 4 0 0 A")
            .not_before(1000)
            .line("POST /pool/A/lock?owner=a&ttl=60&lease", "200 2 60 3"),
        row("asking again puts the end off", REARMS)
            .given(r#"POST /pool {"A":["1"]}"#)
            .line("POST /pool/A/lock?owner=a&ttl=1", "200 1")
            .mark()
            .line("POST /pool/A/lock?owner=a&ttl=2", "200 1")
            .on(1)
            .line("POST /pool/A/lock?owner=b&wait=9&lease", "200 2 - 1")
            .not_before(2000),
        row("after a release the owner gets another lock", SAME)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 4")
            .line("DELETE /pool/A/lock/4?owner=a", "200")
            .line("POST /pool/A/lock?owner=a&lease", "200 2 - 3"),
        row("an owner keeps what is no member any more", SAME)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 4")
            .given("PUT /pool/A [1]")
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 4"),
        row(
            "each pool and each owner for itself",
            "while it holds a lock in this pool",
        )
        .given(r#"POST /pool {"A":["1","2"],"B":["x"]}"#)
        .line("POST /pool/A/lock?owner=a", "200 2")
        .line("POST /pool/A/lock?owner=b", "200 1")
        .line("POST /pool/B/lock?owner=a", "200 x")
        .line("POST /pool/A/lock?owner=a", "200 2")
        .line("POST /pool/A/lock?owner=A", "409 busy"),
    ]
}

fn asking_for_more() -> Vec<Row> {
    vec![
        row("another count", HOLDS)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a", "200 4")
            .line("POST /pool/A/lock?owner=a&n=2", "409 owner holds 1")
            .line("POST /pool/A/lock?owner=a&n=2&wait=60", "409 owner holds 1")
            .ask(
                bare("POST /pool/A/lock?owner=a&n=2"),
                fails("409 owner holds 1"),
            )
            .check("GET /pool/A/lock", "200 1 - 4"),
        row("a smaller count", HOLDS)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a&n=3", "200 4\t3\t2")
            .line("POST /pool/A/lock?owner=a", "409 owner holds 3")
            .line("POST /pool/A/lock?owner=a&n=2", "409 owner holds 3")
            .line("POST /pool/A/lock/1?owner=a", "409 owner holds 3"),
        row("what is left of a grant counts", HOLDS)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a&n=2", "200 4\t3")
            .line("DELETE /pool/A/lock/4?owner=a", "200")
            .line("POST /pool/A/lock?owner=a&n=2", "409 owner holds 1")
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 3"),
        row("another resource", HOLDS)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a", "200 4")
            .line("POST /pool/A/lock/3?owner=a", "409 owner holds 1")
            .line("POST /pool/A/lock/3?owner=a&wait=60", "409 owner holds 1")
            .ask(
                bare("POST /pool/A/lock/3?owner=a"),
                fails("409 owner holds 1"),
            )
            .check("GET /pool/A/lock", "200 1 - 4"),
    ]
}

fn names() -> Vec<Row> {
    let long = "x".repeat(128);
    let mut rows = vec![
        row("owners are decoded", "in the query `+` is a space too")
            .given(SEED)
            .line("POST /pool/A/lock?owner=my+%C3%A9%2F%26", "200 4")
            .line("POST /pool/A/lock?owner=my%20é%2f%26", "200 4")
            .ask(
                json("GET /pool/A/lock/4"),
                json_ok(&owned("4", 1, "null", "my é/&")),
            ),
        row("the longest owner", NAMES)
            .given(SEED)
            .line(format!("POST /pool/A/lock?owner={long}"), "200 4")
            .line(format!("POST /pool/A/lock?owner={long}x"), "400 bad …")
            .line(format!("DELETE /pool/A/lock/4?owner={long}x"), "400 bad …")
            .line(format!("DELETE /pool/A/lock/4?owner={long}"), "200"),
    ];
    let bad = [
        "owner=",
        "owner",
        "owner=%00",
        "owner=%0A",
        "owner=a%7F",
        "owner=%C2%85",
        "owner=%FF",
        "owner=a&owner=a",
        "owner=a&owner=b",
        "Owner=a",
    ];
    rows.extend(bad.iter().map(|query| {
        row(format!("?{query}"), NAMES)
            .given(SEED)
            .given("POST /pool/A/lock")
            .line(format!("POST /pool/A/lock?{query}"), "400 bad …")
            .line(format!("POST /pool/A/lock/1?{query}"), "400 bad …")
            .line(format!("PUT /pool/A/lock/4?{query}"), "400 bad …")
            .line(format!("PUT /pool/A/lock?{query}"), "400 bad …")
            .line(format!("DELETE /pool/A/lock/4?{query}"), "400 bad …")
            .line(format!("DELETE /pool/A/lock?{query}"), "400 bad …")
            .check("GET /pool/A/lock", "200 1 - 4")
    }));
    rows
}

fn protected() -> Vec<Row> {
    let held = |name: &str, promise| {
        row(name, promise)
            .given(SEED)
            .given("POST /pool/A/lock?owner=a")
    };
    vec![
        held("a release wants the owner", WANTS)
            .line("DELETE /pool/A/lock/4", "409 not yours")
            .line("DELETE /pool/A/lock/4?owner=b", "409 not yours")
            .ask(bare("DELETE /pool/A/lock/4"), fails("409 not yours"))
            .ask(json("DELETE /pool/A/lock/4"), json_fails("409 not yours"))
            .check("GET /pool/A/lock", "200 1 - 4")
            .ask(bare("DELETE /pool/A/lock/4?owner=a"), ok(""))
            .check("GET /pool/A/lock", "200"),
        held("a release with force", WANTS)
            .line("DELETE /pool/A/lock/4?force", "200")
            .check("GET /pool/A/lock", "200"),
        held("a release with force of another owner", WANTS)
            .line("DELETE /pool/A/lock/4?owner=b&force", "200")
            .check("GET /pool/A/lock", "200"),
        held("a renewal wants the owner", WANTS)
            .line("PUT /pool/A/lock/4?ttl=60", "409 not yours")
            .line("PUT /pool/A/lock/4?ttl=60&owner=b", "409 not yours")
            .ask(bare("PUT /pool/A/lock/4"), fails("409 not yours"))
            .check("GET /pool/A/lock", "200 1 - 4")
            .line("PUT /pool/A/lock/4?ttl=60&owner=a", "200")
            .check("GET /pool/A/lock", "200 1 ~60 4"),
        row("without owner anyone may", OPTIMISTIC)
            .given(SEED)
            .lends(&["4", "3"])
            .line("PUT /pool/A/lock/4?owner=b&ttl=60&lease", "200 1 60 4")
            .line("DELETE /pool/A/lock/4?owner=b", "200")
            .line("DELETE /pool/A/lock/3?force", "200")
            .check("GET /pool/A/lock", "200"),
        held("what is free is not held", FREE)
            .line("DELETE /pool/A/lock/3", "404 not held")
            .line("DELETE /pool/A/lock/3?force", "404 not held")
            .line("DELETE /pool/A/lock/3?owner=a", "200")
            .line("DELETE /pool/A/lock/4?owner=a", "200")
            .line("DELETE /pool/A/lock/4?owner=a", "200")
            .ask(bare("DELETE /pool/A/lock/4?owner=a"), ok(""))
            .line("DELETE /pool/A/lock/4", "404 not held")
            .line("DELETE /pool/B/lock/4?owner=a", "404 no pool"),
        row("one of several is released", "… leaves the others held")
            .given(SEED)
            .line("POST /pool/A/lock?n=2&owner=a", "200 4\t3")
            .line("DELETE /pool/A/lock/3?owner=b", "409 not yours")
            .line("DELETE /pool/A/lock/3?owner=a", "200")
            .line("GET /pool/A/lock", "200 1 - 4"),
    ]
}

fn renewing_all() -> Vec<Row> {
    let held = |name: &str| {
        row(name, RENEWS)
            .given(SEED)
            .given("POST /pool/A/lock?owner=a&n=2&ttl=60")
            .given("POST /pool/A/lock?owner=b&ttl=60")
    };
    vec![
        held("all of an owner, to the byte")
            .ask(bare("PUT /pool/A/lock?owner=a"), ok(""))
            .ask(json("PUT /pool/A/lock?owner=a"), json_ok(r#""""#))
            .line("PUT /pool/A/lock?owner=a&ttl=600", "200")
            .check("GET /pool/A/lock", "200 1 ~600 4\t1 ~600 3\t2 ~60 2"),
        held("all of an owner, with leases")
            .ask(bare("PUT /pool/A/lock?owner=a&lease"), ok("1 60 4\n1 60 3"))
            .line("PUT /pool/A/lock?owner=b&lease&ttl=600", "200 2 600 2")
            .ask(
                json("PUT /pool/A/lock?owner=b&lease"),
                json_ok(&format!("[{}]", owned("2", 2, "600", "b"))),
            ),
        held("nothing of an owner")
            .ask(bare("PUT /pool/A/lock?owner=c"), fails("404 not held"))
            .line("PUT /pool/A/lock?owner=c&lease&ttl=5", "404 not held"),
    ]
}

fn releasing_all() -> Vec<Row> {
    let held = |name: &str| {
        row(name, MATCHES)
            .given(SEED)
            .given("POST /pool/A/lock?owner=a&n=2")
            .given("POST /pool/A/lock?owner=b")
            .given("POST /pool/A/lock")
    };
    vec![
        held("all of an owner are released")
            .ask(bare("DELETE /pool/A/lock?owner=a"), ok("2"))
            .ask(json("DELETE /pool/A/lock?owner=a"), json_ok("0"))
            .line("DELETE /pool/A/lock?owner=c", "200 0")
            .check("GET /pool/A/lock", "200 2 - 2\t3 - 1")
            .ask(json("DELETE /pool/A/lock?owner=b"), json_ok("1")),
        held("the purge asks for no owner")
            .ask(bare("DELETE /pool/A/lock"), ok("4"))
            .check("GET /pool", "200 4 0 0 A"),
        held("what is younger stays")
            .line("DELETE /pool/A/lock?older=3600", "200 0")
            .line("DELETE /pool/A/lock?older=3600&owner=a", "200 0")
            .check("GET /pool", "200 4 4 0 A")
            .line("DELETE /pool/A/lock?owner=b&older=0", "200 1")
            .line("DELETE /pool/A/lock?older=0", "200 3"),
        row("what is old enough goes", MATCHES)
            .given(SEED)
            .mark()
            .given("POST /pool/A/lock?owner=a")
            .until("DELETE /pool/A/lock?older=1", "200 1")
            .not_before(990),
    ]
}
