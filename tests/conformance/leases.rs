//! Leases: locks that end by themselves, and how they are renewed.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};
use crate::support::StoreKind;

#[test]
fn rows_hold() {
    run(rows());
}

const TTL: &str = "`ttl=S`: lease of S seconds, 1 to 31536000";
const DEFAULT: &str = "absent: the server's `--default-ttl`, which is none";
const MALFORMED: &str =
    "An unknown or malformed one is 400: a typo must not make a lock that never ends.";
const LINE: &str = "Lease line: `FENCE TTL ID`, the ttl in seconds left, `-` where there is none";
const EXPIRES: &str = "held until released or expired; expiry is never early";
const RENEWS: &str = "`PUT /pool/A/lock/4` renews; answer: empty";
const GRANT: &str = "Renewing one renews the grant.";
const ANYONE: &str = "A lock taken without owner can be renewed … by anyone who knows the resource";

pub fn rows() -> Vec<Row> {
    let mut rows = shown();
    rows.extend(defaults());
    rows.extend(bounds());
    rows.extend(expiring());
    rows.extend(renewing());
    rows.extend(elsewhere());
    rows
}

/// A lease object with a ttl; the age is compared as if it were 0.
fn leased(id: &str, fence: u64, ttl: &str) -> String {
    format!(r#"{{"id":"{id}","fence":{fence},"ttl":{ttl},"owner":null,"age":0}}"#)
}

fn shown() -> Vec<Row> {
    vec![
        row("a lease line", LINE)
            .given(SEED)
            .ask(bare("POST /pool/A/lock?ttl=60&lease"), ok("1 60 4"))
            .line("POST /pool/A/lock/2?lease&ttl=600", "200 2 600 2")
            .line("POST /pool/A/lock?n=2&ttl=60&lease", "200 3 60 3\t3 60 1"),
        row(
            "a lease object",
            "Lease object: …; ttl is null where there is none",
        )
        .given(SEED)
        .ask(
            json("POST /pool/A/lock?ttl=60&lease"),
            json_ok(&leased("4", 1, "60")),
        )
        .ask(json("GET /pool/A/lock/4"), json_ok(&leased("4", 1, "~60")))
        .ask(
            json("POST /pool/A/lock?ttl=60&lease&n=2"),
            json_ok(&format!(
                "[{},{}]",
                leased("3", 2, "60"),
                leased("2", 2, "60")
            )),
        ),
        row("without `lease` the answer is the id", TTL)
            .given(SEED)
            .ask(bare("POST /pool/A/lock?ttl=60"), ok("4"))
            .ask(json("POST /pool/A/lock?ttl=60"), json_ok(r#""3""#))
            .line("POST /pool/A/lock/1?ttl=60", "200 1"),
        row("the listing shows the seconds left", LINE)
            .given(SEED)
            .given("POST /pool/A/lock?ttl=60")
            .given("POST /pool/A/lock")
            .given("POST /pool/A/lock?ttl=31536000")
            .line("GET /pool/A/lock", "200 1 ~60 4\t2 - 3\t3 ~31536000 2")
            .line("GET /pool/A/lock/4", "200 1 ~60 4")
            .line("GET /pool/A/lock/3", "200 2 - 3"),
    ]
}

fn defaults() -> Vec<Row> {
    vec![
        row("without a ttl and a default there is no end", DEFAULT)
            .given(SEED)
            .line("POST /pool/A/lock?lease", "200 1 - 4"),
        row("the default of the server", DEFAULT)
            .server(&["--default-ttl=60"])
            .given(SEED)
            .line("POST /pool/A/lock?lease", "200 1 60 4")
            .line("POST /pool/A/lock/1?lease", "200 2 60 1")
            .line("POST /pool/A/lock?lease&ttl=600", "200 3 600 3")
            .line("PUT /pool/A/lock/3?lease", "200 3 600 3")
            .line("PUT /pool/A/lock/1?lease", "200 2 60 1"),
        row("the default of the server comes to an end", DEFAULT)
            .server(&["--default-ttl=1"])
            .given(r#"POST /pool {"A":["1"]}"#)
            .mark()
            .line("POST /pool/A/lock", "200 1")
            .line("POST /pool/A/lock?wait=60", "200 1")
            .not_before(1000),
    ]
}

fn bounds() -> Vec<Row> {
    let malformed = [
        "ttl=0",
        "ttl=31536001",
        "ttl=",
        "ttl",
        "ttl=x",
        "ttl=-1",
        "ttl=1.5",
        "ttl=60s",
        "ttl=+60",
        "ttl=%2060",
        "ttl=99999999999999999999",
        "ttl=4294967297",
        "ttl=60&ttl=60",
        "TTL=60",
        "tll=60",
        "ttl=60&color=red",
        "wait=",
        "wait",
        "wait=x",
        "wait=-1",
        "wait=1.5",
        "wait=1&wait=1",
        "Wait=1",
    ];
    let mut rows: Vec<Row> = malformed
        .iter()
        .map(|query| {
            row(format!("?{query}"), MALFORMED)
                .given(SEED)
                .given("POST /pool/A/lock")
                .ask(
                    bare(&format!("POST /pool/A/lock?{query}")),
                    fails("400 bad …"),
                )
                .line(format!("POST /pool/A/lock/1?{query}"), "400 bad …")
                .line(format!("PUT /pool/A/lock/4?{query}"), "400 bad …")
                .line(format!("PUT /pool/A/lock?owner=x&{query}"), "400 bad …")
                .check("GET /pool/A/lock", "200 1 - 4")
        })
        .collect();
    rows.push(
        row("the shortest and the longest lease", TTL)
            .given(SEED)
            .line("POST /pool/A/lock?ttl=31536000&lease", "200 1 31536000 4")
            .line("POST /pool/A/lock?ttl=1&lease", "200 2 1 3")
            .line("PUT /pool/A/lock/4?ttl=1&lease", "200 1 1 4")
            .kept_whole(),
    );
    rows
}

fn expiring() -> Vec<Row> {
    let one = r#"POST /pool {"A":["1"]}"#;
    vec![
        row("a lease ends, and not early", EXPIRES)
            .given(one)
            .mark()
            .line("POST /pool/A/lock?ttl=1", "200 1")
            .line("POST /pool/A/lock/1", "409 busy")
            .line("POST /pool/A/lock?wait=3&lease", "200 2 - 1")
            .not_before(1000),
        row("what has ended is free, and goes to the back", EXPIRES)
            .given(SEED)
            .mark()
            .line("POST /pool/A/lock?n=2&ttl=1", "200 4\t3")
            .line("POST /pool/A/lock?ttl=60", "200 2")
            .until("GET /pool", "200 4 1 0 A")
            .not_before(1000)
            .line("GET /pool/A/lock", "200 2 ~60 2")
            .line("GET /pool/A/lock/4", "404 not held")
            .line("PUT /pool/A/lock/4", "404 not held")
            .line("PUT /pool/A/lock/4?ttl=60", "404 not held")
            .line("DELETE /pool/A/lock/4", "404 not held")
            .lends(&["1", "4", "3"]),
        row("the end of a lease does not end the next lock", EXPIRES)
            .given(one)
            .line("POST /pool/A/lock?ttl=1", "200 1")
            .line("DELETE /pool/A/lock/1", "200")
            .line("POST /pool/A/lock", "200 1")
            .mark()
            .line("POST /pool/A/lock?wait=2", "409 busy")
            .not_before(1990),
        row("a renewal puts the end off", RENEWS)
            .given(one)
            .line("POST /pool/A/lock?ttl=1", "200 1")
            .mark()
            .line("PUT /pool/A/lock/1?ttl=2", "200")
            .line("POST /pool/A/lock?wait=9", "200 1")
            .not_before(2000),
        row("a renewal may bring the end nearer", RENEWS)
            .given(one)
            .line("POST /pool/A/lock", "200 1")
            .mark()
            .line("PUT /pool/A/lock/1?ttl=1", "200")
            .line("POST /pool/A/lock?wait=9", "200 1")
            .not_before(1000),
    ]
}

fn renewing() -> Vec<Row> {
    vec![
        row("a renewal, to the byte", RENEWS)
            .given(SEED)
            .given("POST /pool/A/lock?ttl=60")
            .ask(bare("PUT /pool/A/lock/4"), ok(""))
            .ask(json("PUT /pool/A/lock/4"), json_ok(r#""""#))
            .ask("PUT /pool/A/lock/4\n", "200\n")
            .check("GET /pool/A/lock", "200 1 ~60 4"),
        row("a renewal with another ttl", "Renew takes `ttl`, …")
            .given(SEED)
            .given("POST /pool/A/lock?ttl=60")
            .line("PUT /pool/A/lock/4?ttl=600", "200")
            .check("GET /pool/A/lock", "200 1 ~600 4"),
        row("a renewal gives a lock an end", "Renew takes `ttl`, …")
            .given(SEED)
            .given("POST /pool/A/lock")
            .line("PUT /pool/A/lock/4", "200")
            .check("GET /pool/A/lock", "200 1 - 4")
            .line("PUT /pool/A/lock/4?ttl=60", "200")
            .check("GET /pool/A/lock", "200 1 ~60 4"),
        row("a renewal answers with its lease", "Renew takes …, `lease`")
            .given(SEED)
            .given("POST /pool/A/lock?ttl=60")
            .ask(bare("PUT /pool/A/lock/4?lease"), ok("1 60 4"))
            .ask(bare("PUT /pool/A/lock/4?lease&ttl=600"), ok("1 600 4"))
            .ask(
                json("PUT /pool/A/lock/4?lease&ttl=60"),
                json_ok(&leased("4", 1, "60")),
            ),
        row("renewing one of several renews the grant", GRANT)
            .given(SEED)
            .given("POST /pool/A/lock?n=3&ttl=60")
            .given("POST /pool/A/lock?ttl=60")
            .line("PUT /pool/A/lock/3?ttl=6000", "200")
            .check(
                "GET /pool/A/lock",
                "200 1 ~6000 4\t1 ~6000 3\t1 ~6000 2\t2 ~60 1",
            )
            .line("DELETE /pool/A/lock/3", "200")
            .line("PUT /pool/A/lock/2?ttl=600", "200")
            .check("GET /pool/A/lock", "200 1 ~600 4\t1 ~600 2\t2 ~60 1"),
        row("a renewal is no grant", RENEWS)
            .given(SEED)
            .lends(&["4", "3"])
            .line("PUT /pool/A/lock/4?ttl=60&lease", "200 1 60 4")
            .line("DELETE /pool/A/lock/3", "200")
            .line("POST /pool/A/lock?lease", "200 3 - 2"),
        row("anyone may renew", ANYONE)
            .given(SEED)
            .lends(&["4"])
            .hang_up()
            .line("PUT /pool/A/lock/4?ttl=60&lease", "200 1 60 4"),
        row("a former member is renewed while it is held", RENEWS)
            .given(SEED)
            .lends(&["4"])
            .given("PUT /pool/A [1]")
            .line("PUT /pool/A/lock/4?ttl=60&lease", "200 1 60 4"),
        row("a renewal in a pool that is not", "404 `no pool`")
            .ask(bare("PUT /pool/A/lock/4"), fails("404 no pool"))
            .ask(json("PUT /pool/A/lock/4"), json_fails("404 no pool"))
            .line("PUT /pool/A/lock?owner=a", "404 no pool"),
        row(
            "`_method=PUT` renews",
            "`_method=PUT` on a POST stands for that method",
        )
        .given(SEED)
        .lends(&["4"])
        .line("POST /pool/A/lock/4?_method=PUT&ttl=60&lease", "200 1 60 4")
        .line("POST /pool/A/lock?_method=PUT&owner=a", "404 not held"),
        row(
            "leases are answered as they are stored",
            "An answer is never sent before what it says is as durable as the store promises.",
        )
        .durable()
        .given(SEED)
        .line("POST /pool/A/lock?ttl=60", "200 4")
        .line("POST /pool/A/lock?ttl=60&owner=a", "200 3")
        .line("PUT /pool/A/lock/4?ttl=600", "200")
        .restart()
        .line("GET /pool/A/lock", "200 1 ~600 4\t2 ~60 3")
        .line("DELETE /pool/A/lock/3", "409 not yours")
        .line("PUT /pool/A/lock/4?lease", "200 1 600 4")
        .line("POST /pool/A/lock?owner=a&lease", "200 2 60 3")
        .kept_whole(),
        row(
            "after a restart a lease has its full ttl once more",
            "After a restart of the file store every lease gets its full ttl once more.",
        )
        .only(StoreKind::File)
        .given(r#"POST /pool {"A":["1"],"B":["x"]}"#)
        .given("POST /pool/B/lock")
        .line("POST /pool/A/lock?ttl=2", "200 1")
        .line("POST /pool/B/lock?wait=1", "409 busy")
        .mark()
        .restart()
        .line("POST /pool/A/lock?wait=9", "200 1")
        .not_before(2000),
    ]
}

/// Parameters that a route does not take.
fn elsewhere() -> Vec<Row> {
    [
        "POST /pool/A/lock?fence=1",
        "POST /pool/A/lock?force",
        "POST /pool/A/lock?older=0",
        "POST /pool/A/lock/1?fence=1",
        "PUT /pool/A/lock/4?wait=1",
        "PUT /pool/A/lock/4?n=1",
        "PUT /pool/A/lock/4?force",
        "PUT /pool/A/lock/4?older=0",
        "PUT /pool/A/lock/4?color=red",
        "PUT /pool/A/lock?owner=a&n=1",
        "PUT /pool/A/lock?owner=a&wait=1",
        "PUT /pool/A/lock?owner=a&color=red",
        "DELETE /pool/A/lock/4?ttl=60",
        "DELETE /pool/A/lock/4?wait=1",
        "DELETE /pool/A/lock/4?older=0",
        "DELETE /pool/A/lock/4?color=red",
        "DELETE /pool/A/lock?ttl=60",
        "DELETE /pool/A/lock?wait=1",
        "DELETE /pool/A/lock?fence=1",
        "DELETE /pool/A/lock?force",
        "DELETE /pool/A?owner=a",
        "GET /pool/A/lock?owner=a",
        "GET /pool/A/lock/4?owner=a",
        "GET /pool/A/lock?ttl=60",
    ]
    .iter()
    .map(|line| {
        row(format!("a parameter of another route: {line}"), MALFORMED)
            .given(SEED)
            .given("POST /pool/A/lock?owner=a")
            .ask(bare(line), fails("400 bad …"))
            .line(*line, "400 bad …")
            .check("GET /pool/A/lock", "200 1 - 4")
    })
    .collect()
}
