//! Each request of the contract's table, with its plain and its JSON answer.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub fn rows() -> Vec<Row> {
    let mut rows = server();
    rows.extend(pools());
    rows.extend(pool());
    rows.extend(locks());
    rows
}

fn server() -> Vec<Row> {
    let version = format!("latchd {VERSION}");
    vec![
        row(
            "the server names itself",
            "`GET /` names the server: `latchd VERSION`, `{\"message\":\"latchd VERSION\"}`",
        )
        .ask(bare("GET /"), ok(&version))
        .ask(
            json("GET /"),
            json_ok(&format!(r#"{{"message":"{version}"}}"#)),
        )
        .line("GET /", format!("200 {version}")),
        row(
            "ping",
            "`GET /ping`, liveness: `pong`, `{\"result\":\"pong\"}`",
        )
        .ask(
            "GET /ping HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong",
        )
        .ask(json("GET /ping"), json_ok(r#"{"result":"pong"}"#))
        .line("GET /ping", "200 pong"),
        row(
            "words of routes are taken as they are",
            "words of routes are taken unescaped only",
        )
        .given(SEED)
        .line("GET /%6detrics", "404 no route")
        .line("GET /pin%67", "404 no route")
        .line("GET /%70ool", "404 no route")
        .line("DELETE /poo%6C/A", "404 no route")
        .line("POST /pool/A/loc%6b", "404 no route")
        .line("DELETE /pool/A/loc%6b/4", "404 no route")
        .line("GET /pool/A/%71ueue", "404 no route")
        .line("GET /openapi%2ejson", "404 no route")
        .check("GET /pool/%41", "200 1\t2\t3\t4"),
    ]
}

fn pools() -> Vec<Row> {
    vec![
        row(
            "no pools yet",
            "`GET /pool` lists pools: a line a pool, or an object",
        )
        .ask(bare("GET /pool"), ok(""))
        .ask(json("GET /pool"), json_ok("{}")),
        row(
            "pools are listed with their numbers",
            "`GET /pool`: `RESOURCES HELD WAITING NAME`, `{\"A\":{\"resources\":4,\"held\":1,…`",
        )
        .given(r#"POST /pool {"A":["1","2","3","4"],"B":["x"]}"#)
        .given("POST /pool/A/lock")
        .ask(
            bare("GET /pool"),
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n4 1 0 A\n1 0 0 B",
        )
        .ask(
            json("GET /pool"),
            json_ok(
                "{\"A\":{\"resources\":4,\"held\":1,\"waiting\":0,\"free\":3},\
                 \"B\":{\"resources\":1,\"held\":0,\"waiting\":0,\"free\":1}}",
            ),
        ),
        row(
            "the seed example",
            "`POST /pool` adds resources, creating pools; the answer has the same JSON shape",
        )
        .ask(
            body("POST /pool", r#"{"A":["1","2","3","4"]}"#),
            ok(r#"{"A":["1","2","3","4"]}"#),
        )
        .ask(bare("POST /pool/A/lock"), ok("4"))
        .ask(bare("POST /pool/A/lock"), ok("3"))
        .ask(bare("DELETE /pool/A/lock/4"), ok("")),
        row(
            "several pools in one body",
            "`POST /pool`, body `{\"A\":[\"1\",\"2\"],\"B\":[\"x\"]}`",
        )
        .ask(
            body("POST /pool", r#"{"A":["1","2"],"B":["x"]}"#),
            ok(r#"{"A":["1","2"],"B":["x"]}"#),
        )
        .ask(bare("GET /pool/A"), ok("1\n2"))
        .ask(bare("GET /pool/B"), ok("x")),
        row(
            "several pools in one body, JSON",
            "`POST /pool`: the JSON answer is the same",
        )
        .ask(
            json_body("POST /pool", r#"{"A":["1","2"],"B":["x"]}"#),
            json_ok(r#"{"A":["1","2"],"B":["x"]}"#),
        ),
        row(
            "adding answers with all members of the named pools",
            "`POST /pool`: each named pool's members now",
        )
        .given(r#"POST /pool {"A":["1","2"],"B":["x"]}"#)
        .ask(
            body("POST /pool", r#"{"A":["5"]}"#),
            ok(r#"{"A":["1","2","5"]}"#),
        )
        .ask(bare("GET /pool/B"), ok("x")),
        row(
            "members of several pools are set",
            "`PUT /pool`, same body, sets the members of each named pool",
        )
        .given(r#"POST /pool {"A":["1","2"],"B":["x"],"C":["c"]}"#)
        .ask(
            body("PUT /pool", r#"{"A":["3"],"B":["x","y"]}"#),
            ok(r#"{"A":["3"],"B":["x","y"]}"#),
        )
        .ask(
            json_body("PUT /pool", r#"{"A":["3"]}"#),
            json_ok(r#"{"A":["3"]}"#),
        )
        .check("GET /pool", "200 1 0 0 A\t2 0 0 B\t1 0 0 C"),
    ]
}

fn pool() -> Vec<Row> {
    vec![
        row(
            "members are listed",
            "`GET /pool/A` lists the members, in seeding order: an id a line, or `[\"1\",\"2\"]`",
        )
        .given(r#"POST /pool {"A":["2","1","10"]}"#)
        .ask(bare("GET /pool/A"), ok(&lines(&["2", "1", "10"])))
        .ask(json("GET /pool/A"), json_ok(r#"["2","1","10"]"#)),
        row(
            "members are added",
            "`POST /pool/A`, body `[\"5\"]`, adds members: JSON array of the members now",
        )
        .given(SEED)
        .ask(
            body("POST /pool/A", r#"["5"]"#),
            ok(r#"["1","2","3","4","5"]"#),
        )
        .ask(
            json_body("POST /pool/A", r#"["6"]"#),
            json_ok(r#"["1","2","3","4","5","6"]"#),
        ),
        row(
            "members are set",
            "`PUT /pool/A`, body `[\"1\",\"2\"]`, sets the members",
        )
        .given(SEED)
        .ask(body("PUT /pool/A", r#"["1","2"]"#), ok(r#"["1","2"]"#))
        .ask(
            json_body("PUT /pool/A", r#"["2","7"]"#),
            json_ok(r#"["2","7"]"#),
        )
        .ask(bare("GET /pool/A"), ok("2\n7")),
        row(
            "a pool is removed",
            "`DELETE /pool/A` removes the pool with its locks; answer empty",
        )
        .given(SEED)
        .given("POST /pool/A/lock")
        .ask(bare("DELETE /pool/A"), ok(""))
        .check("GET /pool", "200")
        .check("GET /pool/A/lock", "404 no pool")
        .given(SEED)
        .check("GET /pool/A/lock", "200")
        .lends(&["4", "3", "2", "1"]),
        row("a pool is removed, JSON", "`DELETE /pool/A`: `\"\"`")
            .given(SEED)
            .ask(json("DELETE /pool/A"), json_ok(r#""""#))
            .check("GET /pool", "200"),
    ]
}

fn locks() -> Vec<Row> {
    vec![
        row(
            "acquire",
            "`POST /pool/A/lock` acquires: the id, `\"4\"` in JSON",
        )
        .given(SEED)
        .ask(
            "POST /pool/A/lock HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4",
        )
        .ask(json("POST /pool/A/lock"), json_ok(r#""3""#)),
        row(
            "acquire that resource",
            "`POST /pool/A/lock/4` acquires that resource: `4`, `\"4\"` in JSON",
        )
        .given(SEED)
        .ask(bare("POST /pool/A/lock/4"), ok("4"))
        .ask(json("POST /pool/A/lock/1"), json_ok(r#""1""#))
        .lends(&["3", "2"]),
        row(
            "release",
            "`DELETE /pool/A/lock/4` releases: empty, `\"\"` in JSON",
        )
        .given(SEED)
        .lends(&["4", "3"])
        .ask(
            "DELETE /pool/A/lock/4 HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        )
        .ask(json("DELETE /pool/A/lock/3"), json_ok(r#""""#))
        .check("GET /pool", "200 4 0 0 A"),
        row(
            "purge",
            "`DELETE /pool/A/lock` …; with neither, all (the purge): how many were released",
        )
        .given(SEED)
        .lends(&["4", "3"])
        .ask(bare("DELETE /pool/A/lock"), ok("2"))
        .check("GET /pool", "200 4 0 0 A")
        .ask(bare("DELETE /pool/A/lock"), ok("0")),
        row("purge, JSON", "`DELETE /pool/A/lock`: the number")
            .given(SEED)
            .lends(&["4", "3"])
            .ask(json("DELETE /pool/A/lock"), json_ok("2"))
            .ask(json("DELETE /pool/A/lock"), json_ok("0")),
        row(
            "locks are listed",
            "`GET /pool/A/lock` lists the locks: a lease line each, or an array of lease objects",
        )
        .given(SEED)
        .ask(bare("GET /pool/A/lock"), ok(""))
        .ask(json("GET /pool/A/lock"), json_ok("[]"))
        .lends(&["4", "3"])
        .ask(
            bare("GET /pool/A/lock"),
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n1 - 4\n2 - 3",
        )
        .ask(
            json("GET /pool/A/lock"),
            json_ok(&format!("[{},{}]", lease("4", 1), lease("3", 2))),
        ),
        row(
            "one lock is shown",
            "`GET /pool/A/lock/4` shows one lock: its lease line, or the lease object",
        )
        .given(SEED)
        .lends(&["4", "3"])
        .ask(bare("GET /pool/A/lock/3"), ok("2 - 3"))
        .ask(json("GET /pool/A/lock/3"), json_ok(&lease("3", 2))),
        row(
            "a lease object, spelled out",
            "`{\"id\":\"4\",\"fence\":17,…}`; ttl and owner are null where there is none",
        )
        .given(SEED)
        .ask(
            json("POST /pool/A/lock?lease"),
            json_ok(r#"{"id":"4","fence":1,"ttl":null,"owner":null,"age":0}"#),
        ),
    ]
}
