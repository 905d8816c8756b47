//! `GET /dump`: all that a store knows, to the byte.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const DUMPED: &str =
    "docs/http-api.md: `GET /dump` writes all pools with their locks, one JSON object a line";
const STREAMED: &str = "docs/http-api.md: a dump has no Content-Length: it comes in chunks, and to HTTP/1.0 it ends with the connection";

const FIRST: &str = concat!(
    r#"{"latchd":""#,
    env!("CARGO_PKG_VERSION"),
    r#"","dump":1}"#
);

/// The lines between the first and the last, and that one.
fn dump(pools: &[&str], last: &str) -> String {
    let lines = [&[FIRST][..], pools, &[last]].concat();
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The answer over HTTP/1.1, in one chunk. `~60` stands for two digits, as in the expected text.
fn chunked(text: &str) -> String {
    let length = text.len() - text.matches('~').count();
    format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-ndjson\r\n\r\n\
         {length:x}\r\n{text}\r\n0\r\n\r\n"
    )
}

/// The answer to a one-line request.
fn line_of(text: &str) -> String {
    format!("200 {}", text.trim_end().replace('\n', "\t"))
}

fn lock(id: &str, fence: u32, ttl: &str, owner: &str, lease: &str) -> String {
    format!(
        r#"{{"id":"{id}","fence":{fence},"ttl":{ttl},"owner":{owner},"age":~9,"lease":{lease}}}"#
    )
}

fn pool(name: &str, fence: u32, lists: [&str; 3]) -> String {
    let [members, free, locks] = lists;
    format!(
        r#"{{"pool":"{name}","fence":{fence},"members":[{members}],"free":[{free}],"locks":[{locks}]}}"#
    )
}

fn counts(pools: u32, members: u32, locks: u32, retired_fence: u32) -> String {
    format!(
        r#"{{"pools":{pools},"members":{members},"locks":{locks},"retired_fence":{retired_fence}}}"#
    )
}

const NOTHING: [&str; 3] = ["", "", ""];
const DUMP: &str = "GET /dump";

pub fn rows() -> Vec<Row> {
    let mut rows = forms();
    rows.extend(states());
    rows.extend(restores());
    rows
}

fn forms() -> Vec<Row> {
    let empty = dump(&[], &counts(0, 0, 0, 0));
    let one = dump(
        &[&pool(
            "A",
            0,
            [r#""1","2","3","4""#, r#""4","3","2","1""#, ""],
        )],
        &counts(1, 4, 0, 0),
    );
    let head =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-ndjson\r\n";
    let old = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n{one}"
    );
    vec![
        row("a dump of an empty store", DUMPED)
            .ask(bare(DUMP), chunked(&empty))
            .line(DUMP, line_of(&empty)),
        row(
            "a dump over HTTP/1.1, and what is asked behind it",
            STREAMED,
        )
        .given(SEED)
        .send(bare(DUMP) + &bare("POST /pool/A/lock"))
        .expect(chunked(&one) + &ok("4")),
        row("a dump whatever Accept says", STREAMED)
            .given(SEED)
            .ask(
                json(DUMP),
                chunked(&one).replacen("\r\n\r\n", "\r\nCache-Control: no-store\r\n\r\n", 1),
            ),
        row("the head of a dump", STREAMED)
            .given(SEED)
            .ask(bare("HEAD /dump"), format!("{head}\r\n"))
            .ask(bare("GET /ping"), ok("pong")),
        row("a dump whose connection is closed behind it", STREAMED)
            .given(SEED)
            .ask(
                with(DUMP, "Connection: close"),
                chunked(&one).replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1),
            )
            .end(),
        row("a dump over HTTP/1.0", STREAMED)
            .given(SEED)
            .ask("GET /dump HTTP/1.0\r\n\r\n", &*old)
            .end(),
        row(
            "a dump over HTTP/1.0 ends with the connection all the same",
            STREAMED,
        )
        .given(SEED)
        .ask(
            "GET /dump HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            &*old,
        )
        .end(),
        row("a dump in one line", STREAMED)
            .given(SEED)
            .line(DUMP, line_of(&one))
            .line("HEAD /dump", "200")
            .line("GET /ping", "200 pong"),
        row("a dump takes no parameter", DUMPED)
            .ask(bare("GET /dump?x"), fails("400 bad parameter x"))
            .line("GET /dump/A", "404 no route"),
    ]
}

fn states() -> Vec<Row> {
    let a = pool(
        "A",
        2,
        [
            r#""1","2","3","4""#,
            r#""1","3""#,
            &[
                lock("4", 1, "~60", r#""ci 42""#, "60"),
                lock("2", 2, "null", "null", "null"),
            ]
            .join(","),
        ],
    );
    let b = pool("B", 0, [r#""x y","\"""#, r#""\"","x y""#, ""]);
    let left = pool(
        "A",
        2,
        [
            r#""1","3","9""#,
            r#""9","1","3""#,
            &[
                lock("4", 1, "~60", r#""ci 42""#, "60"),
                lock("2", 2, "null", "null", "null"),
            ]
            .join(","),
        ],
    );
    let several =
        lock("4", 1, "null", "null", "null") + "," + &lock("3", 1, "null", "null", "null");
    let several = pool("A", 1, [r#""1","2","3","4""#, r#""2","1""#, &several]);
    let all = line_of(&dump(&[&several], ""));
    let (until_fence, _) = all
        .split_once(r#","members""#)
        .expect("members follow the fence");
    let until_fence = format!("{until_fence}…");
    let locked = |name: &str| {
        row(name, DUMPED)
            .given(SEED)
            .given("POST /pool/A/lock?owner=ci+42&ttl=60")
            .given("POST /pool/A/lock?n=2")
            .given("DELETE /pool/A/lock/3")
    };
    vec![
        locked("members, the order of lending, and locks are dumped")
            .given(r#"POST /pool {"B":["x y","\""]}"#)
            .line(DUMP, line_of(&dump(&[&a, &b], &counts(2, 6, 2, 0)))),
        locked("what is held and a member no longer is dumped")
            .given(r#"PUT /pool/A ["1","3","9"]"#)
            .line(DUMP, line_of(&dump(&[&left], &counts(1, 3, 2, 0)))),
        row(
            "the locks of a grant stand in the order in which they were lent",
            DUMPED,
        )
        .given(SEED)
        .given("POST /pool/A/lock?n=2")
        .line(DUMP, line_of(&dump(&[&several], &counts(1, 4, 2, 0)))),
        row("an empty pool is dumped", DUMPED)
            .given("PUT /pool/A []")
            .line(
                DUMP,
                line_of(&dump(&[&pool("A", 0, NOTHING)], &counts(1, 0, 0, 0))),
            ),
        row("the fence of a removed pool is dumped", DUMPED)
            .given(SEED)
            .given("POST /pool/A/lock")
            .given("DELETE /pool/A")
            .until(DUMP, line_of(&dump(&[], &counts(0, 0, 0, 1)))),
        row("a dump is the same after a restart", DUMPED)
            .durable()
            .given(SEED)
            .given("POST /pool/A/lock?n=2")
            .line(DUMP, line_of(&dump(&[&several], &counts(1, 4, 2, 0))))
            .restart()
            .line("GET /pool/A/lock", "200 1 - 4\t1 - 3")
            // In a file fences skip ahead after a kill: 1, or 1000.
            .line(DUMP, until_fence),
    ]
}

const RESTORED: &str =
    "docs/http-api.md: `PUT /dump` restores that, where there are no pools: all of it or nothing";

fn restores() -> Vec<Row> {
    let held = lock("2", 7, "null", r#""o""#, "60").replace('~', "");
    let whole = dump(
        &[&pool("A", 7, [r#""1","2""#, r#""1""#, &held])],
        &counts(1, 2, 1, 3),
    );
    let again = lock("2", 7, "~60", r#""o""#, "60").replace("~9", "~18");
    let again = pool("A", 16777223, [r#""1","2""#, r#""1""#, &again]);
    let after = r#"{"pool":"A","fence":16777223,"members":["1","2"],"free":["1"],"locks":[{"id":"2","fence":7,"ttl":…"#;
    vec![
        row("a dump is restored", RESTORED)
            .ask(body("PUT /dump", &whole), ok(""))
            .line(DUMP, format!("200 {FIRST}\t{after}"))
            .line(DUMP, line_of(&dump(&[&again], &counts(1, 2, 1, 16777219))))
            .line("POST /pool/A/lock?owner=o&lease", "200 7 ~60 2")
            .line("POST /pool/A/lock?lease", "200 16777224 - 1"),
        row("a dump into a store with pools is refused", RESTORED)
            .given("PUT /pool/B []")
            .ask(body("PUT /dump", &whole), fails("409 not empty"))
            .ask(json_body("PUT /dump", &whole), json_fails("409 not empty"))
            .line("GET /pool", "200 0 0 0 B"),
        row("what is no whole dump is refused", RESTORED)
            .ask(
                body("PUT /dump", &whole[..whole.len() - 9]),
                fails("400 bad dump"),
            )
            .ask(json_body("PUT /dump", "{}"), json_fails("400 bad dump"))
            .line("PUT /dump", "400 bad dump")
            .line("GET /pool", "200"),
    ]
}
