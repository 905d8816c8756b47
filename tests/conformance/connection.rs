//! Keep-alive and close, by version and by header.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const DEPARTS: &str = "`Connection: close` on every answer after which the server closes";
const KEEP: &str = "HTTP/1.1 and 1.0, keep-alive and pipelining";

pub fn rows() -> Vec<Row> {
    let pong = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";
    let closing = || answer("pong").header("Connection", "close");
    let keeping = || answer("pong").header("Connection", "keep-alive");
    vec![
        row("1.1 stays open", KEEP)
            .ask("GET /ping HTTP/1.1\r\n\r\n", pong)
            .ask("GET /ping HTTP/1.1\r\n\r\n", pong)
            .ask("GET /ping HTTP/1.1\r\n\r\n", pong),
        row(
            "1.1 with keep-alive stays open, and says nothing of it",
            DEPARTS,
        )
        .ask(with("GET /ping", "Connection: keep-alive"), pong)
        .ask(with("GET /ping", "Connection: Keep-Alive"), pong),
        row("1.1 with close", "honour `Connection: close` at once")
            .ask(with("GET /ping", "Connection: close"), closing())
            .end(),
        row("close in any case", DEPARTS)
            .ask(with("GET /ping", "connection: CLOSE"), closing())
            .end(),
        row("close in a list", DEPARTS)
            .ask(with("GET /ping", "Connection: TE, close"), closing())
            .end(),
        row("close in a header of its own", DEPARTS)
            .ask(
                with("GET /ping", "Connection: TE\r\nConnection: close"),
                closing(),
            )
            .end(),
        row("a word that contains close is another word", DEPARTS)
            .ask(with("GET /ping", "Connection: closed, x-close"), pong),
        row("1.0 closes, and says so", "to HTTP/1.0 clients too")
            .ask(
                "GET /ping HTTP/1.0\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npong",
            )
            .end(),
        row("1.0 with close", DEPARTS)
            .ask("GET /ping HTTP/1.0\r\nConnection: close\r\n\r\n", closing())
            .end(),
        row("1.0 with keep-alive stays open, and says so", DEPARTS)
            .ask(
                "GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                keeping(),
            )
            .ask(
                "GET /ping HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
                keeping(),
            )
            .ask("GET /ping HTTP/1.0\r\n\r\n", closing())
            .end(),
        row("the default of each request's version", DEPARTS)
            .ask(
                "GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                keeping(),
            )
            .ask("GET /ping HTTP/1.1\r\n\r\n", pong)
            .ask(with("GET /ping", "Connection: close"), closing())
            .end(),
        row("1.0 does all that 1.1 does", KEEP)
            .ask(
                "POST /pool/A HTTP/1.0\r\nContent-Length: 5\r\n\r\n[1,2]",
                closes(r#"["1","2"]"#),
            )
            .end()
            .connect()
            .ask("POST /pool/A/lock HTTP/1.0\r\n\r\n", closes("2"))
            .end(),
        row("a failure keeps the connection", KEEP)
            .ask(bare("GET /pool/A"), fails("404 no pool"))
            .ask(bare("GET /nowhere"), fails("404 no route"))
            .ask(bare("GET /ping?x"), fails("400 bad …"))
            .ask("GET /ping HTTP/1.1\r\n\r\n", pong),
        row("a failure in 1.0 closes", DEPARTS)
            .ask(
                "GET /pool/A HTTP/1.0\r\n\r\n",
                fails_and_closes("404 no pool"),
            )
            .end(),
        row(
            "nothing is done after a close",
            "honour `Connection: close` at once",
        )
        .given(SEED)
        .send(with("POST /pool/A/lock", "Connection: close"))
        .send(bare("POST /pool/A/lock"))
        .expect(answer("4").header("Connection", "close"))
        .end()
        .check("GET /pool/A/lock", "200 1 - 4")
        .kept_whole(),
        row(
            "nothing in the same write is done after a close",
            "`Connection: close` at once",
        )
        .given(SEED)
        .send(with("POST /pool/A/lock", "Connection: close") + "POST /pool/A/lock\n")
        .expect(answer("4").header("Connection", "close"))
        .end()
        .check("GET /pool/A/lock", "200 1 - 4"),
        row(
            "what is unread when the server closes eats no answer",
            "so that no RST eats the answer",
        )
        .send(with("GET /ping", "Connection: close") + &"GET /ping\n".repeat(5000))
        .expect(closing())
        .end(),
        row("close after a body", "honour `Connection: close` at once")
            .ask(
                "POST /pool/A HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\n[1]",
                answer(r#"["1"]"#).header("Connection", "close"),
            )
            .end(),
        row("connections do not disturb one another", KEEP)
            .given(SEED)
            .ask("GET /ping HTTP/1.1\r\n\r\n", pong)
            .send("POST /pool/A/lock HT")
            .hang_up()
            .ask("GET /ping HTTP/1.1\r\n\r\n", pong)
            .connect()
            .ask("GET /ping HTTP/1.1\r\n\r\n", pong)
            .check("GET /pool/A/lock", "200"),
    ]
}
