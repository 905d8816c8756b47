//! Decisions about leases, owners and the queue where the contract is silent; docs/http-api.md lists them.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

pub fn rows() -> Vec<Row> {
    let mut rows = leases();
    rows.extend(owners());
    rows.extend(fences());
    rows.extend(waiting());
    rows.extend(places());
    rows.extend(bodies());
    rows
}

/// A pool of one, which is held.
fn one_held(name: &str, promise: &'static str) -> Row {
    row(name, promise)
        .given(r#"POST /pool {"A":["1"]}"#)
        .given("POST /pool/A/lock")
}

fn leases() -> Vec<Row> {
    let down = "The ttl left is rounded down; the answer to the acquire shows the full ttl.";
    let renew = "Renewing what is not held: 404 `not held`.";
    let last = "A renewal without ttl keeps the last length.";
    vec![
        row("the last second is shown as 0", down)
            .given(SEED)
            .line("POST /pool/A/lock?ttl=1&lease", "200 1 1 4")
            .until("GET /pool/A/lock", "200 1 0 4")
            .kept_whole(),
        row("renewing what is free", renew)
            .given(SEED)
            .line("PUT /pool/A/lock/4", "404 not held")
            .line("PUT /pool/A/lock/4?owner=a", "404 not held")
            .line("PUT /pool/A/lock/4?owner=a&ttl=60&lease", "404 not held")
            .ask(bare("PUT /pool/A/lock/4"), fails("404 not held"))
            .ask(json("PUT /pool/A/lock/4"), json_fails("404 not held"))
            .line("PUT /pool/A/lock/9", "404 not held")
            .check("GET /pool", "200 4 0 0 A"),
        row("a renewal keeps the last length", last)
            .given(SEED)
            .given("POST /pool/A/lock?ttl=60")
            .line("PUT /pool/A/lock/4?lease", "200 1 60 4")
            .line("PUT /pool/A/lock/4?ttl=600", "200")
            .line("PUT /pool/A/lock/4?lease", "200 1 600 4"),
        row(
            "all are renewed by owner only",
            "`PUT /pool/A/lock` without owner: 400.",
        )
        .given(SEED)
        .given("POST /pool/A/lock")
        .ask(bare("PUT /pool/A/lock"), fails("400 bad …"))
        .line("PUT /pool/A/lock", "400 bad …")
        .line("PUT /pool/A/lock?ttl=60", "400 bad …")
        .check("GET /pool/A/lock", "200 1 - 4"),
        row(
            "all of one answer as a list",
            "PUT /pool/A/lock?owner= with `lease` gives a list.",
        )
        .given(SEED)
        .given("POST /pool/A/lock?owner=a&ttl=60")
        .ask(
            json("PUT /pool/A/lock?owner=a&lease"),
            json_ok(r#"[{"id":"4","fence":1,"ttl":60,"owner":"a","age":0}]"#),
        )
        .ask(
            json("PUT /pool/A/lock/4?owner=a&lease"),
            json_ok(r#"{"id":"4","fence":1,"ttl":60,"owner":"a","age":0}"#),
        ),
        row(
            "one of several answers with its own lease",
            "A renewal of one resource with `lease` answers a lease line or object.",
        )
        .given(SEED)
        .given("POST /pool/A/lock?n=2&ttl=60")
        .ask(bare("PUT /pool/A/lock/3?lease"), ok("1 60 3"))
        .ask(
            json("PUT /pool/A/lock/3?lease"),
            json_ok(r#"{"id":"3","fence":1,"ttl":60,"owner":null,"age":0}"#),
        ),
    ]
}

fn owners() -> Vec<Row> {
    let release = "Release by an owner of what it does not hold: 200 if free or unknown, 409 \
                   `not yours` if another holds it.";
    let same = "Asking by name for the one resource that the owner holds gives the same lock.";
    let older = "`older=S` is an age of at least S seconds; with owner both must match.";
    let mut rows = vec![
        row("an owner releases what it does not hold", release)
            .given(SEED)
            .given("POST /pool/A/lock?owner=b")
            .line("DELETE /pool/A/lock/3?owner=a", "200")
            .line("DELETE /pool/A/lock/9?owner=a", "200")
            .ask(json("DELETE /pool/A/lock/9?owner=a"), json_ok(r#""""#))
            .line("DELETE /pool/A/lock/4?owner=a", "409 not yours")
            .check("GET /pool/A/lock", "200 1 - 4"),
        row(
            "any owner may release what has none",
            "A lock taken without owner can be released with any owner name given.",
        )
        .given(SEED)
        .lends(&["4"])
        .line("DELETE /pool/A/lock/4?owner=a", "200")
        .check("GET /pool/A/lock", "200"),
        row("the resource that an owner holds, by name", same)
            .given(SEED)
            .line("POST /pool/A/lock?n=1&owner=a&lease", "200 1 - 4")
            .line("POST /pool/A/lock/4?owner=a&lease", "200 1 - 4")
            .line("POST /pool/A/lock/4?owner=a&lease&ttl=60", "200 1 60 4")
            .line("POST /pool/A/lock/3?owner=a", "409 owner holds 1")
            .line("POST /pool/A/lock?owner=a&n=2", "409 owner holds 1")
            .line("POST /pool/A/lock/4?owner=b", "409 busy"),
        row("one of several that an owner holds, by name", same)
            .given(SEED)
            .line("POST /pool/A/lock?n=2&owner=a", "200 4\t3")
            .line("POST /pool/A/lock/4?owner=a", "409 owner holds 2"),
        row("older=0 is all", older)
            .given(SEED)
            .given("POST /pool/A/lock?owner=a")
            .given("POST /pool/A/lock")
            .line("DELETE /pool/A/lock?older=1000", "200 0")
            .line("DELETE /pool/A/lock?older=1000&owner=a", "200 0")
            .line("DELETE /pool/A/lock?older=0&owner=a", "200 1")
            .line("DELETE /pool/A/lock?older=0&owner=a", "200 0")
            .line("DELETE /pool/A/lock?older=0", "200 1"),
        row("a renewal makes no lock younger", older)
            .given(SEED)
            .mark()
            .given("POST /pool/A/lock?owner=a&ttl=60")
            .until("POST /pool/A/lock?owner=a&ttl=60&lease", "200 1 60 4")
            .until("DELETE /pool/A/lock?older=1&owner=a", "200 1")
            .not_before(990),
    ];
    let malformed = [
        "older=",
        "older",
        "older=x",
        "older=-1",
        "older=1.5",
        "older=0&older=0",
    ];
    rows.extend(malformed.iter().map(|query| {
        row(format!("?{query}"), "An unknown or malformed one is 400")
            .given(SEED)
            .given("POST /pool/A/lock")
            .ask(
                bare(&format!("DELETE /pool/A/lock?{query}")),
                fails("400 bad …"),
            )
            .line(format!("DELETE /pool/A/lock?owner=a&{query}"), "400 bad …")
            .check("GET /pool/A/lock", "200 1 - 4")
    }));
    rows
}

fn fences() -> Vec<Row> {
    let order = "A wrong fence is 409 `stale`, after ownership; `force` overrides the owner only.";
    vec![
        row("ownership comes before the fence", order)
            .given(SEED)
            .given("POST /pool/A/lock?owner=a")
            .line("DELETE /pool/A/lock/4?owner=b&fence=9", "409 not yours")
            .line("DELETE /pool/A/lock/4?fence=1", "409 not yours")
            .line("PUT /pool/A/lock/4?owner=b&fence=9", "409 not yours")
            .line("PUT /pool/A/lock/4?fence=1", "409 not yours")
            .check("GET /pool/A/lock", "200 1 - 4"),
        row("force does not override the fence", order)
            .given(SEED)
            .given("POST /pool/A/lock?owner=a")
            .line("DELETE /pool/A/lock/4?force&fence=9", "409 stale")
            .line("DELETE /pool/A/lock/4?owner=b&force&fence=9", "409 stale")
            .check("GET /pool/A/lock", "200 1 - 4")
            .line("DELETE /pool/A/lock/4?force&fence=1", "200"),
        row(
            "force given twice or with a value",
            "An unknown or malformed one is 400",
        )
        .given(SEED)
        .given("POST /pool/A/lock?owner=a")
        .line("DELETE /pool/A/lock/4?force&force", "400 bad …")
        .line("DELETE /pool/A/lock/4?Force", "400 bad …")
        .check("GET /pool/A/lock", "200 1 - 4"),
    ]
}

fn waiting() -> Vec<Row> {
    let zero = "`wait=0` is allowed and means not waiting.";
    let over = "When the wait time is over: 409 `busy`.";
    let half = "A half-closed connection with a waiting request is answered 409 `busy` and closed \
                at once; a request before FIN that does not wait is answered as usual.";
    vec![
        one_held("wait=0 does not wait", zero)
            .line("POST /pool/A/lock?wait=0", "409 busy")
            .line("POST /pool/A/lock/1?wait=0", "409 busy")
            .ask(bare("POST /pool/A/lock?wait=0&owner=a"), fails("409 busy"))
            .line("DELETE /pool/A/lock/1", "200")
            .line("POST /pool/A/lock?wait=0", "200 1"),
        one_held("the wait ends over HTTP and in JSON", over)
            .mark()
            .send(bare("POST /pool/A/lock?wait=1"))
            .on(1)
            .send(json("POST /pool/A/lock?wait=1"))
            .expect(json_fails("409 busy"))
            .on(0)
            .expect(fails("409 busy"))
            .not_before(990),
        one_held("requests before the FIN that do not wait", half)
            .send("GET /ping\nPOST /pool/A/lock\nPOST /pool/A/lock?wait=0\n")
            .half_close()
            .expect("200 pong\n409 busy\n409 busy\n")
            .end(),
        one_held("requests behind a wait are not lost", half)
            .send("POST /pool/A/lock?wait=60\n")
            .queued(1)
            .half_close()
            .hears("409 busy")
            .end(),
    ]
}

fn places() -> Vec<Row> {
    let counted = "WAITING counts also the kept places of owners who are away.";
    let kept = "What an owner who is away and first could take is kept for it; nobody behind it is \
                served past it.";
    let without = "An owner with a place that asks without wait keeps the place, and is answered \
                   busy if it is not its turn.";
    let a = "POST /pool/A/lock?owner=a&wait=60";
    let now = "POST /pool/A/lock?owner=a";
    let anyone = "POST /pool/A/lock?wait=60";
    vec![
        one_held("a kept place is counted", counted)
            .waits(a, 1)
            .hang_up()
            .check("GET /pool", "200 1 1 1 A")
            .check("GET /ping", "200 pong")
            .check("GET /pool", "200 1 1 1 A"),
        one_held("a resource kept for an owner is not lent", kept)
            .waits(a, 1)
            .hang_up()
            .check("GET /ping", "200 pong")
            .on(1)
            .line("DELETE /pool/A/lock/1", "200")
            .line("POST /pool/A/lock", "409 busy")
            .line("POST /pool/A/lock/1", "409 busy")
            .line("POST /pool/A/lock?owner=b", "409 busy")
            .waits(anyone, 2)
            .check("GET /pool", "200 1 0 2 A")
            .on(0)
            .line(now, "200 1")
            .line("DELETE /pool/A/lock/1?owner=a", "200")
            .on(1)
            .hears("200 1"),
        one_held("asking without wait keeps the place", without)
            .waits(a, 1)
            .on(1)
            .waits(anyone, 2)
            .on(0)
            .hang_up()
            .line(now, "409 busy")
            .queued(2)
            .line("POST /pool/A/lock?owner=a&wait=0", "409 busy")
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .silence()
            .on(0)
            .line(now, "200 1")
            .check("DELETE /pool/A/lock/1?owner=a", "200")
            .on(1)
            .hears("200 1"),
        one_held("the second of the queue asks without wait", without)
            .waits(anyone, 1)
            .on(1)
            .waits(a, 2)
            .hang_up()
            .check("DELETE /pool/A/lock/1", "200")
            .line(now, "409 busy")
            .queued(1)
            .on(0)
            .hears("200 1")
            .line("DELETE /pool/A/lock/1", "200")
            .line("POST /pool/A/lock", "409 busy")
            .on(1)
            .line(now, "200 1"),
        one_held(
            "a half-closed owner keeps its place",
            "… closes (FIN or RST) …; one with an owner keeps its place",
        )
        .waits(a, 1)
        .on(1)
        .waits(anyone, 2)
        .on(0)
        .half_close()
        .hears("409 busy")
        .end()
        .queued(2)
        .check("DELETE /pool/A/lock/1", "200")
        .on(1)
        .silence()
        .on(2)
        .line(now, "200 1")
        .line("DELETE /pool/A/lock/1?owner=a", "200")
        .on(1)
        .hears("200 1"),
        one_held(
            "an owner whose wait is over has no place",
            "wait up to S seconds",
        )
        .mark()
        .line("POST /pool/A/lock?owner=a&wait=1", "409 busy")
        .not_before(990)
        .check("GET /pool", "200 1 1 0 A"),
        one_held("an owner without a place gets none without wait", without)
            .line(now, "409 busy")
            .check("GET /pool", "200 1 1 0 A"),
    ]
}

fn bodies() -> Vec<Row> {
    let refused = "A body that looks like parameters is 400 on any lock request: they have their \
                   effect in the query.";
    let lines = [
        "POST /pool/A/lock",
        "POST /pool/A/lock/1",
        "PUT /pool/A/lock/4",
        "PUT /pool/A/lock?owner=a",
        "DELETE /pool/A/lock/4",
        "DELETE /pool/A/lock",
    ];
    lines
        .iter()
        .map(|line| {
            row(format!("parameters in the body of {line}"), refused)
                .given(SEED)
                .given("POST /pool/A/lock")
                .ask(body(line, "ttl=60"), fails("400 bad …"))
                .ask(body(line, r#"{"ttl":60}"#), fails("400 bad …"))
                .ask(json_body(line, r#"{"owner":"a"}"#), json_fails("400 bad …"))
                .ask(body(line, "owner=a&wait=5"), fails("400 bad …"))
                .line(format!("{line} ttl=60"), "400 bad …")
                .check("GET /pool/A/lock", "200 1 - 4")
                .check("GET /pool", "200 4 1 0 A")
        })
        .collect()
}
