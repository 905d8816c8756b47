//! Requests that a page makes a browser send: changes from other origins, and host names of attackers.

use super::expected::ExpectedAnswer;
use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const CHANGE: &str = "a change from another origin is `403 other origin` and does nothing";
const HOST: &str = "a browser that names an unknown host is `403 unknown host`";
const METHOD: &str = "`_method` is not taken from a request with an `Origin`";
const OTHERS: &str = "Devices and curl send neither field and notice nothing";

pub fn rows() -> Vec<Row> {
    let mut rows = changes();
    rows.extend(hosts());
    rows
}

/// Every change there is, on `h:8081`, with these further fields.
fn each_change(fields: &str) -> impl Iterator<Item = String> {
    let fields = format!("Host: h:8081\r\n{fields}");
    [
        "POST /pool",
        "PUT /pool",
        "POST /pool/A",
        "PUT /pool/A",
        "DELETE /pool/A",
        "POST /pool/A/lock",
        "PUT /pool/A/lock?owner=o",
        "DELETE /pool/A/lock",
        "POST /pool/A/lock/3",
        "PUT /pool/A/lock/4",
        "DELETE /pool/A/lock/4?force",
        "POST /pool/A/lock/4?_method=DELETE",
        "POST /pool/A?_method=PUT",
    ]
    .into_iter()
    .map(move |line| {
        let length = if line.contains("/lock") { 0 } else { 2 };
        let body = if line.ends_with("/pool") { "{}" } else { "[]" };
        let fields = format!("{fields}\r\nContent-Length: {length}");
        with(line, &fields) + &body[..length]
    })
}

fn refused(what: &str, fields: &str) -> Row {
    let mut row = row(format!("changes of {what}"), CHANGE)
        .given(SEED)
        .given("POST /pool/A/lock?owner=o");
    for request in each_change(fields) {
        row = row.ask(request, isolated(fails("403 other origin")));
    }
    row.ask(
        with("GET /pool", &format!("Host: h:8081\r\n{fields}")),
        isolated(answer("4 1 0 A")),
    )
    .check("GET /pool/A/lock", "200 1 - 4")
}

/// The rows are replayed with TLS too, where the server's own page is of https. Without TLS a proxy may have it.
fn changes() -> Vec<Row> {
    let unknown = |fields: &str| with("DELETE /pool/A", fields);
    vec![
        refused("another origin", "Origin: https://page.example"),
        refused("another port", "Origin: http://h:8082"),
        refused("no port", "Origin: http://h"),
        refused("a page in a sandbox", "Origin: null"),
        refused(
            "two origins",
            "Origin: http://h:8081\r\nOrigin: http://h:8081",
        ),
        refused("another site", "Sec-Fetch-Site: cross-site"),
        refused("the same site", "sec-fetch-site: same-site"),
        refused(
            "another site that names the own origin",
            "Origin: http://h:8081\r\nSec-Fetch-Site: cross-site",
        ),
        row("a change from a page of a request without Host", CHANGE)
            .given(SEED)
            .ask(
                unknown("Origin: http://h"),
                isolated(fails("403 other origin")),
            )
            .check("GET /pool", "200 4 0 0 A"),
        row("a body from another origin is not kept", CHANGE)
            .given(SEED)
            .pieces(&[
                "PUT /pool/A HTTP/1.1\r\nOrigin: null\r\nContent-Length: 5\r\n\r\n",
                "[1,",
                "2]",
            ])
            .expect(isolated(fails("403 other origin")))
            .ask(bare("GET /pool/A"), ok(&lines(&["1", "2", "3", "4"]))),
        row("a change of the server's own page", CHANGE)
            .given(SEED)
            .ask(
                with(
                    "DELETE /pool/A",
                    "Host: H:8443\r\nOrigin: https://h:8443\r\nSec-Fetch-Site: same-origin",
                ),
                isolated(answer("")).header("Access-Control-Allow-Origin", "https://h:8443"),
            ),
        row("a change from behind a proxy with TLS", CHANGE)
            .given(SEED)
            .ask(
                with("DELETE /pool/A", "Host: h\r\nOrigin: https://h"),
                isolated(answer("")).header("Access-Control-Allow-Origin", "https://h"),
            ),
        row("a change that the browser makes by itself", CHANGE)
            .given(SEED)
            .ask(
                with("DELETE /pool/A", "Host: h\r\nSec-Fetch-Site: none"),
                isolated(answer("")),
            ),
        row("a change from the origin of --cors", CHANGE)
            .server(&["--cors", "https://x.example"])
            .given(SEED)
            .ask(
                with("POST /pool/A/lock", "Host: h\r\nOrigin: https://y.example"),
                isolated(fails("403 other origin"))
                    .header("Access-Control-Allow-Origin", "https://x.example"),
            )
            .ask(
                with(
                    "POST /pool/A/lock",
                    "Host: h\r\nOrigin: https://x.example\r\nSec-Fetch-Site: cross-site",
                ),
                isolated(answer("4")).header("Access-Control-Allow-Origin", "https://x.example"),
            ),
        row("a page that says _method", METHOD)
            .given(SEED)
            .ask(
                with(
                    "POST /pool/A?_method=DELETE",
                    "Host: h\r\nOrigin: https://h\r\nAccept: application/json",
                ),
                isolated(json_fails("400 bad parameter _method"))
                    .header("Access-Control-Allow-Origin", "https://h"),
            )
            .check("GET /pool", "200 4 0 0 A"),
        row("a device that says _method", METHOD).given(SEED).ask(
            with("POST /pool/A?_method=DELETE", "Host: a.example"),
            ok(""),
        ),
        row(
            "a page of another site where there are no keys but --cors none",
            CHANGE,
        )
        .server(&["--cors", "none"])
        .given(SEED)
        .ask(
            unknown("Origin: https://x.example"),
            isolated(fails("403 other origin")),
        )
        .check("GET /pool", "200 4 0 0 A"),
    ]
}

fn browser(host: &str) -> String {
    with(
        "GET /pool",
        &format!("Host: {host}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)"),
    )
}

fn hosts() -> Vec<Row> {
    let unknown = || -> ExpectedAnswer { isolated(fails("403 unknown host")) };
    let known = || -> ExpectedAnswer { isolated(answer("4 0 0 A")) };
    let mut each_mark = row("each mark of a browser", HOST).given(SEED);
    for mark in [
        "Origin: http://evil.example",
        "Referer: http://evil.example/",
        "Sec-Fetch-Mode: cors",
        "sec-fetch-dest: image",
        "User-Agent: Mozilla/5.0",
    ] {
        let fields = format!("Host: evil.example:8081\r\n{mark}");
        each_mark = each_mark.ask(with("GET /pool", &fields), unknown());
    }
    let mut known_hosts = row("hosts that no other site can own", HOST).given(SEED);
    for host in [
        "127.0.0.1:8081",
        "[::1]:8081",
        "192.0.2.7",
        "localhost:8081",
        "nas",
        "nas.local",
        "nas.lan:8081",
        "latchd.internal",
        "nas.home.arpa",
    ] {
        known_hosts = known_hosts.ask(browser(host), known());
    }
    vec![
        each_mark,
        known_hosts,
        row("a browser that keeps its marks to itself", HOST)
            .given(SEED)
            .ask(
                with(
                    "GET /pool",
                    "Host: evil.example\r\nUser-Agent: x\r\nAccept-Language: de",
                ),
                fails("403 unknown host"),
            ),
        row("names that look like known ones", HOST)
            .ask(browser("127.0.0.1.evil.example"), unknown())
            .ask(browser("local.example"), unknown())
            .ask(browser("localhost.evil.example:80"), unknown())
            .ask(browser("x@localhost"), unknown())
            .ask(browser(""), unknown()),
        row("whatever it asks for", HOST)
            .given(SEED)
            .ask(
                with("GET /", "Host: evil.example\r\nSec-Fetch-Mode: cors"),
                unknown(),
            )
            .ask(
                with("OPTIONS /pool", "Host: evil.example\r\nOrigin: null"),
                unknown(),
            )
            .ask(
                with(
                    "DELETE /pool/A",
                    "Host: evil.example\r\nOrigin: http://evil.example",
                ),
                unknown(),
            )
            .ask(
                with("GET /nowhere", "Host: evil.example\r\nReferer: x"),
                unknown(),
            )
            .check("GET /pool", "200 4 0 0 A"),
        row("the host of the target counts", HOST)
            .given(SEED)
            .ask(
                with(
                    "GET http://evil.example/pool",
                    "Host: localhost\r\nReferer: x",
                ),
                unknown(),
            )
            .ask(
                with(
                    "GET http://localhost:8081/pool",
                    "Host: evil.example\r\nReferer: x",
                ),
                known(),
            ),
        row("a name that was given", HOST)
            .server(&["--host", "locks.example", "--host", "Locks.Test"])
            .given(SEED)
            .ask(browser("locks.example:8081"), known())
            .ask(browser("LOCKS.TEST."), known())
            .ask(browser("sub.locks.example"), unknown()),
        row("other clients are not asked", OTHERS)
            .given(SEED)
            .ask(
                with("GET /pool", "Host: evil.example\r\nUser-Agent: curl/8.5.0"),
                ok("4 0 0 A"),
            )
            .ask(
                with("DELETE http://evil.example/pool/A", "Host: evil.example"),
                ok(""),
            ),
    ]
}
