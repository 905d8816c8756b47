//! The queue and connections: waiters that go away, half-close, pipeline, or are removed.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const LEAVES: &str = "A waiter whose connection closes (FIN or RST) leaves the queue at once";
const HALF: &str = "A half-closed waiter is answered 409 `busy` and closed.";
const UNDONE: &str =
    "A grant whose answer cannot be written is undone at once, unless it has an owner";
const BEHIND: &str = "Pipelined requests behind a waiting one are not carried out before it.";
const WAITING: &str = "POST /pool/A/lock?wait=60";

pub fn rows() -> Vec<Row> {
    let mut rows = closed();
    rows.extend(half_closed());
    rows.extend(undone());
    rows.extend(pipelined());
    rows.extend(stopping());
    rows
}

/// A pool of one, which is held.
fn one_held(name: &str, promise: &'static str) -> Row {
    row(name, promise)
        .given(r#"POST /pool {"A":["1"]}"#)
        .given("POST /pool/A/lock")
}

fn closed() -> Vec<Row> {
    vec![
        one_held("a waiter that closes leaves", LEAVES)
            .waits(WAITING, 1)
            .hang_up()
            .queued(0)
            .check("DELETE /pool/A/lock/1", "200")
            .check("GET /pool", "200 1 0 0 A")
            .line("POST /pool/A/lock?lease", "200 2 - 1"),
        one_held("a waiter over HTTP that closes leaves", LEAVES)
            .send(bare(WAITING))
            .queued(1)
            .hang_up()
            .queued(0),
        // Unread bytes in a socket that is closed make the system send RST, not FIN.
        one_held("a waiter that resets leaves", LEAVES)
            .send(format!("GET /ping\n{WAITING}\n"))
            .queued(1)
            .hang_up()
            .queued(0)
            .check("DELETE /pool/A/lock/1", "200")
            .check("GET /pool", "200 1 0 0 A"),
        one_held("those behind a waiter that leaves move up", LEAVES)
            .waits(WAITING, 1)
            .on(1)
            .waits(WAITING, 2)
            .on(2)
            .waits(WAITING, 3)
            .on(1)
            .hang_up()
            .queued(2)
            .check("DELETE /pool/A/lock/1", "200")
            .on(0)
            .hears("200 1")
            .on(2)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1"),
        one_held("a waiter that closes behind a request leaves", LEAVES)
            .waits(format!("{WAITING}\nGET /ping"), 1)
            .hang_up()
            .queued(0),
    ]
}

fn half_closed() -> Vec<Row> {
    let busy = || fails("409 busy").optional("Connection");
    vec![
        one_held("a half-closed waiter", HALF)
            .waits(WAITING, 1)
            .half_close()
            .hears("409 busy")
            .end()
            .check("GET /pool", "200 1 1 0 A"),
        one_held("a half-closed waiter over HTTP", HALF)
            .send(bare(WAITING))
            .queued(1)
            .half_close()
            .expect(busy())
            .end()
            .check("GET /pool", "200 1 1 0 A"),
        one_held("a waiter that half-closes at once", HALF)
            .send(bare(WAITING))
            .half_close()
            .expect(busy())
            .end()
            .check("GET /pool", "200 1 1 0 A"),
        one_held("a half-closed waiter behind a request", HALF)
            .send(format!("GET /ping\n{WAITING}\n"))
            .half_close()
            .hears("200 pong")
            .hears("409 busy")
            .end(),
        one_held("a half-closed waiter is passed over", HALF)
            .waits(WAITING, 1)
            .on(1)
            .waits(WAITING, 2)
            .on(0)
            .half_close()
            .hears("409 busy")
            .end()
            .check("DELETE /pool/A/lock/1", "200")
            .on(1)
            .hears("200 1"),
        row(
            "what is free is had before the half-close",
            "FIN after a request is no abort: the answer is still sent.",
        )
        .given(SEED)
        .send("POST /pool/A/lock?wait=60\n")
        .half_close()
        .hears("200 4")
        .end()
        .check("GET /pool/A/lock", "200 1 - 4"),
    ]
}

/// The server finds at the same moment that the waiter has gone and that its turn has come.
///
/// Unread bytes in a socket that is closed make the system send RST, so that the answer to the
/// waiter cannot be written any more.
fn undone() -> Vec<Row> {
    let resets = |name: &str, waiting: &str| {
        one_held(name, UNDONE)
            .send(format!("GET /ping\n{waiting}\n"))
            .queued(1)
    };
    let late = |row: Row, other: usize| {
        row.kept_whole()
            .on(other)
            .freeze()
            .send("DELETE /pool/A/lock/1\n")
            .on(0)
            .hang_up()
            .thaw()
            .on(other)
            .hears("200")
    };
    vec![
        one_held("a waiter that closes just after the release", LEAVES)
            .waits(WAITING, 1)
            .on(1)
            .freeze()
            .send("DELETE /pool/A/lock/1\n")
            .on(0)
            .hang_up()
            .thaw()
            .on(1)
            .hears("200")
            .check("GET /pool", "200 1 0 0 A"),
        // Clients that connect while the server is stopped are accepted together.
        one_held("a waiter that closes before a newcomer releases", LEAVES)
            .waits(WAITING, 1)
            .freeze()
            .hang_up()
            .on(1)
            .send("DELETE /pool/A/lock/1\n")
            .thaw()
            .hears("200")
            .check("GET /pool", "200 1 0 0 A"),
        one_held(
            "a newcomer that waits and closes before another releases",
            LEAVES,
        )
        .freeze()
        .on(1)
        .send(format!("{WAITING}\n"))
        .hang_up()
        .on(2)
        .send("DELETE /pool/A/lock/1\n")
        .thaw()
        .hears("200")
        .check("GET /pool", "200 1 0 0 A"),
        one_held("a waiter that closes just before its turn", LEAVES)
            .waits(WAITING, 1)
            .on(1)
            .waits(WAITING, 2)
            .freeze()
            .on(0)
            .hang_up()
            .on(2)
            .send("DELETE /pool/A/lock/1\n")
            .thaw()
            .hears("200")
            .on(1)
            .hears("200 1")
            .check("GET /pool", "200 1 1 0 A"),
        late(
            resets("a grant for a client that has gone is undone", WAITING),
            1,
        )
        .until("GET /pool", "200 1 0 0 A")
        .line("POST /pool/A/lock", "200 1"),
        late(
            resets(
                "a grant for a client that has gone goes to the next",
                WAITING,
            )
            .on(1)
            .waits(WAITING, 2),
            2,
        )
        .on(1)
        .hears("200 1")
        .check("GET /pool", "200 1 1 0 A"),
        late(
            resets(
                "an owner comes back for its grant",
                "POST /pool/A/lock?wait=60&owner=a",
            ),
            1,
        )
        .line("POST /pool/A/lock", "409 busy")
        .on(2)
        .line("POST /pool/A/lock?owner=a", "200 1"),
    ]
}

fn pipelined() -> Vec<Row> {
    vec![
        one_held("requests behind a waiting one", BEHIND)
            .waits(format!("{WAITING}\nPOST /pool/B x\nGET /pool"), 1)
            .check("GET /pool/B", "404 no pool")
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1")
            .hears(r#"200 ["x"]"#)
            .hears("200 1 1 0 A\t1 0 0 B"),
        one_held("requests behind a waiting one over HTTP", BEHIND)
            .send(bare(WAITING) + &bare("DELETE /pool/A/lock/1") + &bare("GET /ping"))
            .queued(1)
            .silence()
            .check("GET /pool/A/lock", "200 1 - 1")
            .check("DELETE /pool/A/lock/1", "200")
            .expect(ok("1") + &ok("") + &ok("pong"))
            .check("GET /pool", "200 1 0 0 A"),
        one_held("two waits on one connection", BEHIND)
            .waits(format!("{WAITING}\n{WAITING}"), 1)
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1")
            .queued(1)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1"),
        one_held("a connection serves on after a wait", BEHIND)
            .waits(WAITING, 1)
            .check("DELETE /pool/A/lock/1", "200")
            .hears("200 1")
            .ask(bare("DELETE /pool/A/lock/1"), ok(""))
            .line(WAITING, "200 1"),
        one_held("HTTP/1.0 may wait as well", "HTTP/1.1 and 1.0")
            .send(format!("{WAITING} HTTP/1.0\r\n\r\n"))
            .queued(1)
            .silence()
            .check("DELETE /pool/A/lock/1", "200")
            .expect(answer("1").optional("Connection"))
            .end()
            .check("GET /pool/A/lock", "200 2 - 1"),
    ]
}

fn stopping() -> Vec<Row> {
    vec![
        one_held("waiters are told that the server stops", "503: `stopping`")
            .waits(WAITING, 1)
            .on(1)
            .send(bare(WAITING))
            .queued(2)
            .on(2)
            .send(json(&format!("{WAITING}&owner=a")))
            .queued(3)
            .terminate()
            .expect(json_fails("503 stopping").optional("Connection"))
            .end()
            .on(0)
            .hears("503 stopping")
            .end()
            .on(1)
            .expect(fails("503 stopping").optional("Connection"))
            .end(),
    ]
}
