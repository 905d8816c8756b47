//! Lending: the choice of resource and client, the order, the fences, and the ends of locks.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

pub fn rows() -> Vec<Row> {
    let mut rows = order();
    rows.extend(holding());
    rows.extend(several());
    rows.extend(fences());
    rows.extend(listing());
    rows
}

fn order() -> Vec<Row> {
    vec![
        row(
            "the last named is lent first",
            "the example `{\"A\":[\"1\",\"2\",\"3\",\"4\"]}` lends 4, then 3, 2, 1",
        )
        .given(SEED)
        .lends(&["4", "3", "2", "1"])
        .line("POST /pool/A/lock", "409 busy"),
        row(
            "a released resource goes to the back",
            "a released resource goes to the back, so that wear is even",
        )
        .given(SEED)
        .lends(&["4"])
        .line("DELETE /pool/A/lock/4", "200")
        .lends(&["3", "2", "1", "4"])
        .line("POST /pool/A/lock", "409 busy"),
        row(
            "released resources queue in the order of their release",
            "a released resource goes to the back",
        )
        .given(SEED)
        .lends(&["4", "3", "2"])
        .line("DELETE /pool/A/lock/3", "200")
        .line("DELETE /pool/A/lock/2", "200")
        .line("DELETE /pool/A/lock/4", "200")
        .lends(&["1", "3", "2", "4"]),
        row(
            "one lent and released again and again goes round",
            "a released resource goes to the back, so that wear is even",
        )
        .given(r#"POST /pool {"A":["1","2","3"]}"#)
        .lends(&["3"])
        .line("DELETE /pool/A/lock/3", "200")
        .lends(&["2"])
        .line("DELETE /pool/A/lock/2", "200")
        .lends(&["1"])
        .line("DELETE /pool/A/lock/1", "200")
        .lends(&["3"])
        .line("DELETE /pool/A/lock/3", "200")
        .lends(&["2", "1", "3"]),
        row(
            "a named acquire leaves the order of the others",
            "`POST /pool/A/lock/4` acquires that resource",
        )
        .given(SEED)
        .line("POST /pool/A/lock/3", "200 3")
        .lends(&["4", "2", "1"]),
        row(
            "a resource acquired by name goes to the back as well",
            "a released resource goes to the back",
        )
        .given(SEED)
        .line("POST /pool/A/lock/4", "200 4")
        .line("DELETE /pool/A/lock/4", "200")
        .lends(&["3", "2", "1", "4"]),
    ]
}

fn holding() -> Vec<Row> {
    vec![
        row(
            "one holder at a time",
            "latchd lends out resources from named pools, one holder at a time",
        )
        .given(r#"POST /pool {"A":["1"]}"#)
        .line("POST /pool/A/lock", "200 1")
        .line("POST /pool/A/lock", "409 busy")
        .line("POST /pool/A/lock/1", "409 busy")
        .connect()
        .line("POST /pool/A/lock", "409 busy")
        .line("POST /pool/A/lock/1", "409 busy"),
        row(
            "what was released can be had again",
            "lock: … held until released or expired",
        )
        .given(r#"POST /pool {"A":["1"]}"#)
        .lends(&["1"])
        .line("DELETE /pool/A/lock/1", "200")
        .lends(&["1"])
        .line("DELETE /pool/A/lock/1", "200")
        .line("POST /pool/A/lock/1", "200 1"),
        row(
            "a lock outlives its connection",
            "without [a ttl] a lock is held until released",
        )
        .given(SEED)
        .ask(bare("POST /pool/A/lock"), ok("4"))
        .hang_up()
        .line("GET /pool/A/lock", "200 1 - 4")
        .line("POST /pool/A/lock/4", "409 busy"),
        row(
            "anyone can release a lock without owner",
            "A lock taken without owner can be … released by anyone who knows the resource",
        )
        .given(SEED)
        .lends(&["4"])
        .connect()
        .line("DELETE /pool/A/lock/4", "200")
        .check("GET /pool/A/lock", "200"),
        row(
            "what is free cannot be released",
            "Releasing what is free: 404 `not held`",
        )
        .given(SEED)
        .lends(&["4"])
        .line("DELETE /pool/A/lock/3", "404 not held")
        .line("DELETE /pool/A/lock/4", "200")
        .line("DELETE /pool/A/lock/4", "404 not held")
        .lends(&["3", "2", "1", "4"]),
        row(
            "pools do not share ids",
            "resource: an id, a string; … one or more resources of one pool",
        )
        .given(r#"POST /pool {"A":["1"],"B":["1"]}"#)
        .line("POST /pool/A/lock/1", "200 1")
        .line("POST /pool/B/lock/1", "200 1")
        .line("DELETE /pool/A/lock/1", "200")
        .line("POST /pool/B/lock", "409 busy")
        .line("POST /pool/A/lock", "200 1"),
        row(
            "the purge frees all, of this pool only",
            "`DELETE /pool/A/lock` releases every lock of the pool …; with neither, all",
        )
        .given(r#"POST /pool {"A":["1","2","3","4"],"B":["x"]}"#)
        .lends(&["4"])
        .line("POST /pool/A/lock?n=2", "200 3\t2")
        .line("POST /pool/B/lock", "200 x")
        .line("DELETE /pool/A/lock", "200 3")
        .line("GET /pool", "200 4 0 0 A\t1 1 0 B")
        .line("DELETE /pool/A/lock", "200 0"),
        row(
            "removing a pool frees what it held",
            "`DELETE /pool/A` removes the pool with its locks",
        )
        .given(SEED)
        .lends(&["4", "3"])
        .line("DELETE /pool/A", "200")
        .line("POST /pool/A/lock", "404 no pool")
        .line("DELETE /pool/A/lock/4", "404 no pool")
        .given(SEED)
        .line("DELETE /pool/A/lock/4", "404 not held")
        .lends(&["4", "3"]),
    ]
}

fn several() -> Vec<Row> {
    vec![
        row(
            "several resources, a line each",
            "An answer about several resources (`n=2`) has a line or an array element each.",
        )
        .given(SEED)
        .ask(bare("POST /pool/A/lock?n=2"), ok("4\n3"))
        .ask(json("POST /pool/A/lock?n=2"), json_ok(r#"["2","1"]"#))
        .line("POST /pool/A/lock?n=2", "409 busy"),
        row("all of them", "`n=K`: K resources, all or none")
            .given(SEED)
            .ask(bare("POST /pool/A/lock?n=4"), ok("4\n3\n2\n1"))
            .check("GET /pool", "200 4 4 0 A"),
        row("or none", "`n=K`: K resources, all or none")
            .given(SEED)
            .lends(&["4", "3"])
            .ask(bare("POST /pool/A/lock?n=3"), fails("409 busy"))
            .check("GET /pool", "200 4 2 0 A")
            .lends(&["2", "1"]),
        row(
            "more than there are",
            "422 `only N resources`: the pool could never satisfy this",
        )
        .given(SEED)
        .ask(
            "POST /pool/A/lock?n=5 HTTP/1.1\r\n\r\n",
            "HTTP/1.1 422 only 4 resources\r\nContent-Length: 16\r\n\r\nonly 4 resources",
        )
        .lends(&["4"])
        .line("POST /pool/A/lock?n=5", "422 only 4 resources")
        .line("POST /pool/A/lock?n=4", "409 busy")
        .check("GET /pool", "200 4 1 0 A"),
        row(
            "one of several is released",
            "Releasing one resource of a grant of several leaves the others held.",
        )
        .given(SEED)
        .line("POST /pool/A/lock?n=3", "200 4\t3\t2")
        .line("DELETE /pool/A/lock/3", "200")
        .line("GET /pool/A/lock", "200 1 - 4\t1 - 2")
        .line("DELETE /pool/A/lock/3", "404 not held")
        .line("POST /pool/A/lock/2", "409 busy")
        .lends(&["1", "3"]),
    ]
}

fn fences() -> Vec<Row> {
    vec![
        row(
            "acquire answers with a lease line",
            "`lease`: answer with lease lines; `FENCE TTL ID`, … `-` where there is none",
        )
        .given(SEED)
        .ask(bare("POST /pool/A/lock?lease"), ok("1 - 4"))
        .ask(bare("POST /pool/A/lock/1?lease"), ok("2 - 1")),
        row(
            "acquire answers with a lease object",
            "Lease object: …; ttl and owner are null where there is none",
        )
        .given(SEED)
        .ask(json("POST /pool/A/lock?lease"), json_ok(&lease("4", 1)))
        .ask(json("POST /pool/A/lock/1?lease"), json_ok(&lease("1", 2))),
        row(
            "a grant of several has one fence",
            "a grant of several resources has one fence",
        )
        .given(SEED)
        .ask(bare("POST /pool/A/lock?n=2&lease"), ok("1 - 4\n1 - 3"))
        .ask(
            json("POST /pool/A/lock?lease&n=2"),
            json_ok(&format!("[{},{}]", lease("2", 2), lease("1", 2))),
        ),
        row(
            "fences rise with each grant",
            "fence: the number of a grant: strictly increasing within a pool",
        )
        .given(r#"POST /pool {"A":["1"]}"#)
        .line("POST /pool/A/lock?lease", "200 1 - 1")
        .line("DELETE /pool/A/lock/1", "200")
        .line("POST /pool/A/lock?lease", "200 2 - 1")
        .line("DELETE /pool/A/lock", "200 1")
        .line("POST /pool/A/lock/1?lease", "200 3 - 1"),
        row(
            "fences rise across removal and re-creation",
            "strictly increasing within a pool, also across … deletion and re-creation of the pool",
        )
        .given(SEED)
        .line("POST /pool/A/lock?lease", "200 1 - 4")
        .line("DELETE /pool/A", "200")
        .given(SEED)
        .line("POST /pool/A/lock?lease", "200 2 - 4")
        .line("DELETE /pool/A", "200")
        .given("PUT /pool/A x")
        .line("POST /pool/A/lock?lease", "200 3 - x"),
        row(
            "each pool counts for itself",
            "fence: … strictly increasing within a pool",
        )
        .given(r#"POST /pool {"A":["1","2"],"B":["x"]}"#)
        .line("POST /pool/A/lock?lease", "200 1 - 2")
        .line("POST /pool/A/lock?lease", "200 2 - 1")
        .line("POST /pool/B/lock?lease", "200 1 - x"),
    ]
}

fn listing() -> Vec<Row> {
    vec![
        row(
            "the listing follows what happens",
            "`GET /pool/A/lock` lists the locks: a lease line each",
        )
        .given(SEED)
        .line("GET /pool/A/lock", "200")
        .lends(&["4", "3"])
        .line("GET /pool/A/lock", "200 1 - 4\t2 - 3")
        .line("DELETE /pool/A/lock/4", "200")
        .line("GET /pool/A/lock", "200 2 - 3")
        .line("POST /pool/A/lock?n=2", "200 2\t1")
        .line("GET /pool/A/lock", "200 2 - 3\t3 - 2\t3 - 1"),
        row("one lock of several", "`GET /pool/A/lock/4` shows one lock")
            .given(SEED)
            .line("POST /pool/A/lock?n=2", "200 4\t3")
            .ask(bare("GET /pool/A/lock/3"), ok("1 - 3"))
            .ask(json("GET /pool/A/lock/4"), json_ok(&lease("4", 1))),
        row(
            "the list of pools counts what is held",
            "`GET /pool`: `RESOURCES HELD WAITING NAME`",
        )
        .given(SEED)
        .line("GET /pool", "200 4 0 0 A")
        .line("POST /pool/A/lock?n=3", "200 4\t3\t2")
        .line("GET /pool", "200 4 3 0 A")
        .line("DELETE /pool/A/lock/2", "200")
        .line("GET /pool", "200 4 2 0 A"),
        row("looking changes nothing", "A GET never changes anything.")
            .given(SEED)
            .lends(&["4"])
            .line("GET /pool", "200 4 1 0 A")
            .line("GET /pool/A", "200 1\t2\t3\t4")
            .line("GET /pool/A/lock", "200 1 - 4")
            .line("GET /pool/A/lock/4", "200 1 - 4")
            .line("GET /pool/A/lock/3", "404 not held")
            .line("GET /pool", "200 4 1 0 A")
            .lends(&["3", "2", "1"]),
    ]
}
