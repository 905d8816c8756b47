//! The list of waiters: `GET /pool/A/queue`.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const TOLD: &str =
    "docs/http-api.md: `GET /pool/A/queue` lists who waits, from the front: AGE LEFT N OWNER";
const OF_A: &str = "GET /pool/A/queue";
const NOT_THERE: &str =
    "docs/http-api.md: of an owner who is away it says so, and how long its place is kept";

pub fn rows() -> Vec<Row> {
    let mut rows = forms();
    rows.extend(places());
    rows.extend(away());
    // The remaining waiters leave, so that no answer is outstanding.
    let leave = |row: Row| (0..3).fold(row, |row, number| row.on(number).hang_up());
    rows.into_iter().map(leave).collect()
}

/// A pool of two, which are held.
fn two_held(name: &str, promise: &'static str) -> Row {
    row(name, promise)
        .given(r#"POST /pool {"A":["1","b 2"]}"#)
        .given("POST /pool/A/lock?n=2")
}

fn forms() -> Vec<Row> {
    let object = |owner, n, id, left| {
        format!(r#"{{"owner":{owner},"n":{n},"id":{id},"age":~9,"left":{left},"lost":false}}"#)
    };
    let in_json = [
        object(r#""ci 42""#, 2, "null", "~60"),
        object("null", 1, r#""b 2""#, "~30"),
        object(r#""-""#, 1, "null", "~90"),
    ];
    vec![
        two_held("an empty queue", TOLD)
            .ask(bare(OF_A), ok(""))
            .ask(json(OF_A), json_ok("[]"))
            .line(OF_A, "200")
            .ask(bare("HEAD /pool/A/queue"), ok("")),
        two_held("waiters are listed in the order of the queue", TOLD)
            .waits("POST /pool/A/lock?n=2&owner=ci+42&wait=60", 1)
            .on(1)
            .waits("POST /pool/A/lock/b%202?wait=30", 2)
            .on(2)
            .waits("POST /pool/A/lock?owner=-&wait=90", 3)
            .on(3)
            .line(OF_A, "200 ~9 ~60 2 ci 42\t~9 ~30 1 -\t~9 ~90 1 -")
            .ask(
                with(OF_A, "Accept: text/plain"),
                plain_ok("~9 ~60 2 ci 42\n~9 ~30 1 -\n~9 ~90 1 -"),
            )
            .ask(json(OF_A), json_ok(&format!("[{}]", in_json.join(","))))
            .line(
                "get /pool/%41/queue",
                "200 ~9 ~60 2 ci 42\t~9 ~30 1 -\t~9 ~90 1 -",
            )
            .line("HEAD /pool/A/queue", "200"),
        two_held("one waiter is a list, too", TOLD)
            .waits("POST /pool/A/lock?wait=60", 1)
            .on(1)
            .ask(
                json(OF_A),
                json_ok(&format!("[{}]", object("null", 1, "null", "~60"))),
            ),
        two_held("a wait is told as it is capped", TOLD)
            .server(&["--max-wait=100"])
            .waits("POST /pool/A/lock?wait=5000", 1)
            .on(1)
            .line(OF_A, "200 ~9 ~100 1 -"),
        two_held("names are told as they are", TOLD)
            .waits(
                "POST /pool/A/lock?owner=%22%3Cb%3E%5C%F0%9F%94%92&wait=60",
                1,
            )
            .on(1)
            .line(OF_A, "200 ~9 ~60 1 \"<b>\\\u{1f512}")
            .ask(
                json(OF_A),
                json_ok(&format!(
                    "[{}]",
                    object("\"\\\"<b>\\\\\u{1f512}\"", 1, "null", "~60")
                )),
            ),
    ]
}

fn places() -> Vec<Row> {
    vec![
        two_held("a served waiter is queued no longer", TOLD)
            .waits("POST /pool/A/lock?owner=a&wait=60", 1)
            .on(1)
            .waits("POST /pool/A/lock?owner=b&wait=60", 2)
            .check("DELETE /pool/A/lock/1", "200")
            .on(0)
            .hears("200 1")
            .line(OF_A, "200 ~9 ~60 1 b"),
        two_held("a line is of its pool alone", TOLD)
            .given(r#"POST /pool {"B":["x"]}"#)
            .waits("POST /pool/A/lock?wait=60", 1)
            .on(1)
            .line("GET /pool/B/queue", "200"),
        // It has waited as long as before; the newer request decides its resources and its wait.
        two_held("an owner that asks again keeps its age", TOLD)
            .mark()
            .waits("POST /pool/A/lock?owner=a&wait=60", 1)
            .until(OF_A, "200 ~10 ~59 1 a")
            .on(1)
            .send("POST /pool/A/lock/1?owner=a&wait=200\n")
            .on(0)
            .hears("409 busy")
            .line(OF_A, "200 ~10 ~200 1 a")
            .not_before(990),
    ]
}

fn away() -> Vec<Row> {
    let lost = |owner: &str| {
        format!(r#"[{{"owner":"{owner}","n":2,"id":null,"age":~9,"left":~10,"lost":true}}]"#)
    };
    vec![
        two_held("an owner that is away", NOT_THERE)
            .waits("POST /pool/A/lock?owner=a&n=2&wait=60", 1)
            .hang_up()
            .line(OF_A, "200 ~9 ~10 2 a")
            .ask(json(OF_A), json_ok(&lost("a")))
            .waits("POST /pool/A/lock?owner=a&n=2&wait=60", 1)
            .on(1)
            .line(OF_A, "200 ~9 ~60 2 a"),
        two_held("a waiter without an owner is gone", NOT_THERE)
            .waits("POST /pool/A/lock?wait=60", 1)
            .hang_up()
            .queued(0)
            .line(OF_A, "200"),
    ]
}
