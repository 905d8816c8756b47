//! Decisions about pools and locks where the contract is silent; docs/http-api.md lists them. Those
//! about the bytes of requests are in `decisions_http`.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

pub fn rows() -> Vec<Row> {
    let mut rows = creating();
    rows.extend(order());
    rows.extend(listing());
    rows.extend(former_members());
    rows.extend(counts());
    rows.extend(json_bodies());
    rows.extend(needless_bodies());
    rows
}

fn needless_bodies() -> Vec<Row> {
    let ignored = "A body where none is needed is ignored: some devices cannot post without one.";
    let refused = "One that looks like parameters is refused: they have their effect in the query.";
    let lock = "POST /pool/A/lock";
    vec![
        row("a needless body", ignored)
            .given(SEED)
            .ask(body(lock, "1024"), ok("4"))
            .ask(body(lock, "{}"), ok("3"))
            .line("POST /pool/A/lock/2 x y", "200 2"),
        row("parameters in a body", refused)
            .given(SEED)
            .ask(body(lock, "n=2"), fails("400 bad …"))
            .ask(body(lock, "{\"n\":2}"), fails("400 bad …"))
            .ask(body("POST /pool/A/lock/4", "lease=1"), fails("400 bad …"))
            .line("GET /pool/A/lock", "200"),
    ]
}

fn creating() -> Vec<Row> {
    let creates = "`POST /pool/A` and `PUT /pool/A` create the pool if it is missing.";
    let empty = "A body of members must not be empty: 400 (an empty set is `[]`).";
    let mut rows = vec![
        row("POST creates a pool", creates)
            .ask(body("POST /pool/A", r#"["1","2"]"#), ok(r#"["1","2"]"#))
            .lends(&["2", "1"]),
        row("PUT creates a pool", creates)
            .ask(body("PUT /pool/A", r#"["1","2"]"#), ok(r#"["1","2"]"#))
            .lends(&["2", "1"]),
        row("PUT of several creates pools", creates)
            .ask(body("PUT /pool", r#"{"A":["1"]}"#), ok(r#"{"A":["1"]}"#))
            .lends(&["1"]),
        row("an empty set makes an empty pool", empty)
            .line("POST /pool/A []", "200 []")
            .line("PUT /pool {\"B\":[]}", "200 {\"B\":[]}")
            .line("GET /pool", "200 0 0 0 A\t0 0 0 B")
            .line("GET /pool/A", "200")
            .ask(json("GET /pool/A"), json_ok("[]")),
        row("an empty set adds nothing and removes all", empty)
            .given(SEED)
            .line("POST /pool/A []", r#"200 ["1","2","3","4"]"#)
            .line("PUT /pool/A []", "200 []")
            .line("GET /pool", "200 0 0 0 A"),
        row(
            "blank lines in a list of ids",
            "Blank lines in a line body are skipped.",
        )
        .ask(body("POST /pool/A", "\n1\n\n\r\n2\n\n"), ok(r#"["1","2"]"#)),
    ];
    rows.extend(
        ["POST /pool", "PUT /pool", "POST /pool/A", "PUT /pool/A"].map(|line| {
            row(format!("{line} without a body"), empty)
                .given(SEED)
                .ask(bare(line), fails("400 bad …"))
                .ask(body(line, ""), fails("400 bad …"))
                .ask(
                    with(line, "Transfer-Encoding: chunked") + "0\r\n\r\n",
                    fails("400 bad …"),
                )
                .line(line, "400 bad …")
                .check("GET /pool/A", "200 1\t2\t3\t4")
        }),
    );
    rows
}

fn order() -> Vec<Row> {
    let new = "New members are lent before all that are free already, the last named first.";
    let kept = "Kept free ids keep their place in the order of lending, new ones go before them.";
    vec![
        row("seeding in parts gives the order of seeding at once", new)
            .given(r#"POST /pool {"A":["1","2"]}"#)
            .given(r#"POST /pool/A ["3","4"]"#)
            .lends(&["4", "3", "2", "1"]),
        row("seeding one by one too", new)
            .given("POST /pool/A 1")
            .given("POST /pool/A 2")
            .given("POST /pool/A 3")
            .lends(&["3", "2", "1"]),
        row("new members go before what was released", new)
            .given(SEED)
            .lends(&["4"])
            .line("DELETE /pool/A/lock/4", "200")
            .line(
                "POST /pool/A [\"5\",\"6\"]",
                r#"200 ["1","2","3","4","5","6"]"#,
            )
            .lends(&["6", "5", "3", "2", "1", "4"]),
        row("kept ids keep their place", kept)
            .given(SEED)
            .line("PUT /pool/A [\"4\",\"2\",\"1\"]", r#"200 ["4","2","1"]"#)
            .lends(&["4", "2", "1"]),
        row("kept ids keep a place that a release gave them", kept)
            .given(SEED)
            .lends(&["4"])
            .line("DELETE /pool/A/lock/4", "200")
            .line(
                "PUT /pool/A [\"1\",\"2\",\"3\",\"4\"]",
                r#"200 ["1","2","3","4"]"#,
            )
            .lends(&["3", "2", "1", "4"]),
        row("new ids go before kept ones", kept)
            .given(SEED)
            .line(
                "PUT /pool/A [\"8\",\"1\",\"9\",\"3\"]",
                r#"200 ["8","1","9","3"]"#,
            )
            .lends(&["9", "8", "3", "1"])
            .line("POST /pool/A/lock", "409 busy"),
        row(
            "a kept id that is held goes to the back when it is released",
            kept,
        )
        .given(SEED)
        .lends(&["4"])
        .line("PUT /pool/A [\"4\",\"5\",\"1\"]", r#"200 ["4","5","1"]"#)
        .line("DELETE /pool/A/lock/4", "200")
        .lends(&["5", "1", "4"]),
        row("an id that left and came back is new", new)
            .given(SEED)
            .line("PUT /pool/A [\"2\",\"3\",\"4\"]", r#"200 ["2","3","4"]"#)
            .line("POST /pool/A [\"1\"]", r#"200 ["2","3","4","1"]"#)
            .lends(&["1", "4", "3", "2"]),
    ]
}

fn listing() -> Vec<Row> {
    let pools = "`GET /pool` is sorted by pool name (bytes).";
    let locks = "`GET /pool/A/lock` is sorted by fence, then in the order of the grant.";
    let members = "PUT lists members in the order named by the PUT.";
    vec![
        row("pools sorted by the bytes of their names", pools)
            .given(r#"POST /pool {"b":[],"a":[],"B":[],"é":[],"10":[],"9":[],"a b":[]}"#)
            .line(
                "GET /pool",
                "200 0 0 0 10\t0 0 0 9\t0 0 0 B\t0 0 0 a\t0 0 0 a b\t0 0 0 b\t0 0 0 é",
            )
            .ask(
                bare("GET /pool"),
                ok("0 0 0 10\n0 0 0 9\n0 0 0 B\n0 0 0 a\n0 0 0 a b\n0 0 0 b\n0 0 0 é"),
            ),
        row("pools sorted in JSON", pools)
            .given(r#"POST /pool {"b":[],"a":[]}"#)
            .ask(
                json("GET /pool"),
                json_ok(
                    "{\"a\":{\"resources\":0,\"held\":0,\"waiting\":0,\"free\":0},\
                     \"b\":{\"resources\":0,\"held\":0,\"waiting\":0,\"free\":0}}",
                ),
            ),
        row("locks sorted by fence", locks)
            .given(SEED)
            .line("POST /pool/A/lock/2", "200 2")
            .line("POST /pool/A/lock/4", "200 4")
            .line("POST /pool/A/lock/1", "200 1")
            .line("DELETE /pool/A/lock/4", "200")
            .line("POST /pool/A/lock?n=2", "200 3\t4")
            .line("GET /pool/A/lock", "200 1 - 2\t3 - 1\t4 - 3\t4 - 4"),
        row("members in the order of the PUT", members)
            .given(SEED)
            .line("PUT /pool/A [\"3\",\"9\",\"1\"]", r#"200 ["3","9","1"]"#)
            .line("GET /pool/A", "200 3\t9\t1"),
    ]
}

fn former_members() -> Vec<Row> {
    let held =
        "HELD counts every held resource, also one no longer a member; RESOURCES members only.";
    let acquire = "A named acquire of an id that is not a member: 404 `no resource`.";
    let show = "X not held: 404 `not held` if it is a member, 404 `no resource` if not.";
    let release = "DELETE answers 404 `not held` for a member that is free and for an unknown id.";
    let staged = |name: &str, promise| {
        row(name, promise)
            .given(SEED)
            .given("POST /pool/A/lock")
            .given(r#"PUT /pool/A ["1"]"#)
    };
    vec![
        staged("a former member counts as held", held)
            .line("GET /pool", "200 1 1 0 A")
            .lends(&["1"])
            .line("GET /pool", "200 1 2 0 A")
            .ask(
                json("GET /pool"),
                json_ok(r#"{"A":{"resources":1,"held":2,"waiting":0,"free":0}}"#),
            ),
        staged("a former member cannot be acquired", acquire)
            .line("POST /pool/A/lock/4", "404 no resource")
            .line("DELETE /pool/A/lock/4", "200")
            .line("POST /pool/A/lock/4", "404 no resource"),
        staged("a former member is shown while it is held", show)
            .line("GET /pool/A/lock/4", "200 1 - 4")
            .line("DELETE /pool/A/lock/4", "200")
            .line("GET /pool/A/lock/4", "404 no resource"),
        staged("a former member is released once", release)
            .line("DELETE /pool/A/lock/4", "200")
            .line("DELETE /pool/A/lock/4", "404 not held"),
        row("showing what is not held", show)
            .given(SEED)
            .line("GET /pool/A/lock/4", "404 not held")
            .line("GET /pool/A/lock/9", "404 no resource"),
        row("releasing what is unknown", release)
            .given(SEED)
            .line("DELETE /pool/A/lock/4", "404 not held")
            .line("DELETE /pool/A/lock/9", "404 not held"),
    ]
}

fn counts() -> Vec<Row> {
    let only = "Acquire where n exceeds the members: 422 `only N resources`.";
    let zero = "n=0 or malformed n: 400. n with a named resource: only n=1.";
    let one = "n=1 given explicitly answers like no n at all.";
    vec![
        row("an empty pool", only)
            .given("POST /pool/A []")
            .ask(bare("POST /pool/A/lock"), fails("422 only 0 resources"))
            .line("POST /pool/A/lock", "422 only 0 resources")
            .line("POST /pool/A/lock?n=2", "422 only 0 resources")
            .line("POST /pool/A/lock/1", "404 no resource"),
        row("a pool of one", only)
            .given("POST /pool/A 1")
            .ask(bare("POST /pool/A/lock?n=2"), fails("422 only 1 resource"))
            .line("POST /pool/A/lock?n=2", "422 only 1 resource"),
        row("former members do not count", only)
            .given(SEED)
            .lends(&["4", "3"])
            .given("PUT /pool/A [1,2]")
            .line("POST /pool/A/lock?n=3", "422 only 2 resources")
            .line("POST /pool/A/lock?n=2", "200 2\t1"),
        row("an emptied pool", only)
            .given(SEED)
            .lends(&["4"])
            .given("PUT /pool/A []")
            .line("POST /pool/A/lock", "422 only 0 resources")
            .line("GET /pool/A/lock", "200 1 - 4"),
        row("n=0", zero)
            .given(SEED)
            .ask(bare("POST /pool/A/lock?n=0"), fails("400 bad …"))
            .line("POST /pool/A/lock/4?n=0", "400 bad …")
            .check("GET /pool/A/lock", "200"),
        row("n with a named resource", zero)
            .given(SEED)
            .line("POST /pool/A/lock/4?n=2", "400 bad …")
            .line("GET /pool/A/lock", "200")
            .line("POST /pool/A/lock/4?n=1", "200 4"),
        row("n=1", one)
            .given(SEED)
            .ask(bare("POST /pool/A/lock?n=1"), ok("4"))
            .ask(json("POST /pool/A/lock?n=1"), json_ok(r#""3""#))
            .ask(json("POST /pool/A/lock?n=1&lease"), json_ok(&lease("2", 3))),
        row(
            "n=2 and leases",
            "With `lease`, the JSON answer is a lease object (array for n>1).",
        )
        .given(SEED)
        .ask(
            json("POST /pool/A/lock?n=2&lease"),
            json_ok(&format!("[{},{}]", lease("4", 1), lease("3", 1))),
        ),
        row(
            "the first fences",
            "A fresh pool's first grant has fence 1, next 2.",
        )
        .given(SEED)
        .line("POST /pool/A/lock?lease", "200 1 - 4")
        .line("POST /pool/A/lock?lease&n=2", "200 2 - 3\t2 - 2")
        .line("POST /pool/A/lock/1?lease", "200 3 - 1"),
    ]
}

fn json_bodies() -> Vec<Row> {
    let promise =
        "JSON with a pool named twice, non-array values, floats, null, nested arrays: 400.";
    let bad = |target: &str, text: &str| {
        row(format!("{text} to {target}"), promise)
            .given(SEED)
            .line(format!("POST {target} {text}"), "400 bad …")
            .line(format!("PUT {target} {text}"), "400 bad …")
            .check("GET /pool", "200 4 0 0 A")
            .check("GET /pool/A", "200 1\t2\t3\t4")
    };
    let of_pools = [
        r#"{"A":["5"],"A":["6"]}"#,
        r#"{"B":["5"],"A":["6"],"B":["5"]}"#,
        r#"{"B":["5"],"\u0042":["6"]}"#,
        r#"{"A":["5"],"B":null}"#,
        r#"{"A":["5"],"B":1}"#,
        r#"{"A":["5"],"B":[1.5]}"#,
        r#"{"A":["5"],"B":[1.0]}"#,
        r#"{"A":["5"],"B":[1e3]}"#,
        r#"{"A":["5"],"B":[null]}"#,
        r#"{"A":["5"],"B":[["x"]]}"#,
    ];
    let of_one = [
        r#"["5",1.5]"#,
        r#"["5",null]"#,
        r#"["5",["6"]]"#,
        r#"["5",false]"#,
    ];
    let mut rows: Vec<Row> = of_pools.iter().map(|text| bad("/pool", text)).collect();
    rows.extend(of_one.iter().map(|text| bad("/pool/A", text)));
    rows
}
