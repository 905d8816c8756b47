//! Display of keys, and the rules that hold beside a key's role.

use super::{NO_KEY, NOT_ALLOWED, WRONG_KEY, basic, bearer, serve};
use crate::support::launch::latchd_in;
use crate::support::{Server, StoreKind, run_command};

const ROOT: &str = "secret-of-root-0123";
const READER: &str = "secret-of-reader-01";
const KEYS: &str = "root secret-of-root-0123 admin *\nreader secret-of-reader-01 read A\n";
const SEED: &str = r#"{"A":["1","2"],"B":["3"]}"#;

fn seeded() -> Server {
    let server = serve(KEYS, &[]);
    let answer = server
        .connect()
        .ask(&format!("key={ROOT} POST /pool {SEED}"));
    assert_eq!(answer, format!("200 {SEED}"));
    server
}

#[test]
fn each_request_of_a_connection_is_judged_by_its_own_key() {
    let server = seeded();
    let mut client = server.connect();
    let get = |field: &str| format!("GET /pool/A HTTP/1.1\r\n{field}\r\n\r\n");
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n1\n2";
    client.send(
        [
            &*get(&bearer(ROOT)),
            &get("Host: h"),
            &format!("POST /pool/A/lock HTTP/1.1\r\n{}\r\n\r\n", bearer(READER)),
            &get(&basic("reader", READER)),
            "GET /pool/A\n",
            &format!("key={READER} GET /pool/A\n"),
            &format!("key={READER} POST /pool/A/lock\n"),
            &format!("key={ROOT} POST /pool/A/lock\n"),
            &get(&basic("reader", ROOT)),
            "GET /ping\n",
        ]
        .concat(),
    );
    client.expect(ok);
    client.expect(NO_KEY);
    client.expect(NOT_ALLOWED);
    client.expect(ok);
    client.expect("401 no key\n200 1\t2\n403 not allowed\n200 2\n");
    client.expect(WRONG_KEY);
    client.expect("200 pong\n");
}

#[test]
fn lists_in_one_piece_are_cut_down_each_for_its_own_key() {
    let server = seeded();
    let mut client = server.connect();
    let lines = [READER, ROOT, "unknown", READER].map(|key| format!("key={key} GET /pool\n"));
    client.send(lines.concat() + "GET /ping\n");
    client.expect("200 2 0 0 A\n200 2 0 0 A\t1 0 0 B\n401 wrong key\n200 2 0 0 A\n200 pong\n");
}

#[test]
fn a_part_of_the_pools_is_limited_and_added_up_by_itself() {
    let server = serve(
        &format!("{KEYS}ci secret-of-ci-012345 use B*\nci secret-of-ci-012345 read C\n"),
        &[],
    );
    let mut client = server.connect();
    let seed = r#"{"A":["1"],"B":["2","3"],"B2":["4"],"C":["5"],"D":["6"]}"#;
    client.ask(&format!("key={ROOT} POST /pool {seed}"));
    client.ask(&format!("key={ROOT} POST /pool/B2/lock"));
    client.ask(&format!("key={ROOT} POST /pool/D/lock"));
    for (key, query, answer) in [
        ("secret-of-ci-012345", "?limit=2", "200 2 0 0 B\t1 1 0 B2"),
        (
            "secret-of-ci-012345",
            "?limit=9",
            "200 2 0 0 B\t1 1 0 B2\t1 0 0 C",
        ),
        ("secret-of-ci-012345", "?contains=2&limit=1", "200 1 1 0 B2"),
        ("secret-of-ci-012345", "?contains=D", "200"),
        ("secret-of-ci-012345", "?sum", "200 3 4 1 0 3"),
        ("secret-of-ci-012345", "?sum&contains=b", "200 2 3 1 0 2"),
        ("secret-of-ci-012345", "?sum&contains=D", "200 0 0 0 0 0"),
        (READER, "?sum", "200 1 1 0 0 1"),
        (ROOT, "?limit=1", "200 1 0 0 A"),
        (ROOT, "?sum", "200 5 6 2 0 4"),
        ("unknown", "?sum", "401 wrong key"),
    ] {
        assert_eq!(
            client.ask(&format!("key={key} GET /pool{query}")),
            answer,
            "{key} {query}"
        );
    }
}

/// A list takes ten slices, and all other clients are served between them.
#[test]
fn a_long_list_is_matched_with_many_patterns_in_slices() {
    let patterns: String = (0..98)
        .map(|number| format!("ci secret-of-ci-012345 read *-{number:02}-*x\n"))
        .collect();
    let keys = format!(
        "{KEYS}{patterns}ci secret-of-ci-012345 use p1999*\nci secret-of-ci-012345 read *7\n"
    );
    let server = serve(&keys, &[]);
    let mut client = server.connect();
    let pools: Vec<String> = (10_000..20_000)
        .map(|number| format!("\"p{number}\":[\"1\"]"))
        .collect();
    client.send(format!("key={ROOT} POST /pool {{{}}}\n", pools.join(",")));
    assert!(client.read_line().starts_with("200 "));
    let mut expected: Vec<String> = (10_000..20_000)
        .filter(|number| number % 10 == 7 || number / 10 == 1999)
        .map(|number| format!("1 0 0 p{number}"))
        .collect();
    let mut other = server.connect();
    client.send(
        "key=secret-of-ci-012345 GET /pool\nkey=secret-of-ci-012345 GET /pool?sum\n\
         key=secret-of-ci-012345 GET /pool?limit=2\nGET /ping\n",
    );
    assert_eq!(other.ask("GET /ping"), "200 pong");
    assert_eq!(client.read_line(), format!("200 {}", expected.join("\t")));
    assert_eq!(client.read_line(), "200 1009 1009 0 0 1009");
    expected.truncate(2);
    assert_eq!(client.read_line(), format!("200 {}", expected.join("\t")));
    assert_eq!(client.read_line(), "200 pong");
}

#[test]
fn a_list_in_json_tells_what_the_key_may_do() {
    let keys = format!("{KEYS}ci secret-of-ci-012345 use B\nci secret-of-ci-012345 read *\n");
    let server = serve(&keys, &[]);
    let mut client = server.connect();
    client.ask(&format!("key={ROOT} POST /pool {SEED}"));
    let a = |role: &str| format!(r#""A":{{"resources":2,"held":0,"waiting":0,"free":2{role}}}"#);
    let b = |role: &str| format!(r#""B":{{"resources":1,"held":0,"waiting":0,"free":1{role}}}"#);
    let role = |role: &str| format!(r#","role":"{role}""#);
    for (key, body) in [
        (
            ROOT,
            format!("{{{},{}}}", a(&role("admin")), b(&role("admin"))),
        ),
        (
            "secret-of-ci-012345",
            format!("{{{},{}}}", a(&role("read")), b(&role("use"))),
        ),
        (READER, format!("{{{}}}", a(&role("read")))),
    ] {
        let field = bearer(key);
        client.send(format!(
            "GET /pool HTTP/1.1\r\nAccept: application/json\r\n{field}\r\n\r\n"
        ));
        let length = body.len();
        client.expect(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Type: application/json\r\n\
             Cache-Control: no-store\r\n\r\n{body}"
        ));
    }
    // Without keys there are no roles.
    let server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    client.ask(&format!("POST /pool {SEED}"));
    client.send("GET /pool HTTP/1.1\r\nAccept: application/json\r\n\r\n");
    let body = format!("{{{},{}}}", a(""), b(""));
    let length = body.len();
    client.expect(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Type: application/json\r\n\
             Cache-Control: no-store\r\n\r\n{body}"
    ));
}

#[test]
fn a_key_in_the_address_is_not_taken() {
    let server = seeded();
    let mut client = server.connect();
    for target in [
        format!("/pool/A?key={ROOT}"),
        format!("/pool/A?access_token={ROOT}"),
        format!("http://root:{ROOT}@h/pool/A"),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\n\r\n"));
        client.expect(NO_KEY);
    }
}

#[test]
fn two_keys_at_once_are_none() {
    let server = seeded();
    let mut client = server.connect();
    let field = bearer(ROOT);
    client.send(format!(
        "GET /pool/A HTTP/1.1\r\n{field}\r\n{field}\r\n\r\n"
    ));
    client.expect(WRONG_KEY);
    // A comma makes no list of them, either.
    client.send(format!(
        "GET /pool/A HTTP/1.1\r\n{field}, Bearer {ROOT}\r\n\r\n"
    ));
    client.expect(WRONG_KEY);
    client.send(format!("key={ROOT} key={ROOT} GET /pool/A\n"));
    client.expect(
        "HTTP/1.1 400 bad request\r\nContent-Length: 11\r\nConnection: close\r\n\r\nbad request",
    );
    client.expect_end();
}

#[test]
fn the_key_of_a_line_comes_first_and_is_a_word_of_its_own() {
    let server = seeded();
    for wrong in [
        format!("key={ROOT}\n"),
        format!("key={ROOT} \n"),
        format!("key={ROOT}  GET /pool/A\n"),
        format!("key=\t{ROOT} GET /pool/A\n"),
        format!("KEY={ROOT} GET /pool/A\n"),
        format!("GET key={ROOT} /pool/A\n"),
    ] {
        let mut client = server.connect();
        client.send(&wrong);
        let answer = client.read_to_end();
        assert!(answer.starts_with(b"400 bad request\n"), "{wrong}");
        assert!(
            !String::from_utf8_lossy(&answer).contains("secret"),
            "{wrong}"
        );
    }
    let mut client = server.connect();
    client.send(format!(
        "key= GET /pool/A\nkey=x GET /ping\nkey={ROOT} GET /nowhere\nkey={ROOT} HEAD /pool/A\r\n"
    ));
    client.expect("401 no key\n200 pong\n404 no route\n200\n");
    // Between two lines a header line is skipped, but not one with a key.
    client.send(format!("X: y\nkey={READER} GET /pool/A\n"));
    client.expect("200 1\t2\n");
}

#[test]
fn a_body_may_follow_a_key_in_a_line() {
    let server = seeded();
    let mut client = server.connect();
    client.send(format!(
        "key={ROOT} PUT /pool/A [\"a b\", \"key=c d\"]\nkey={READER} GET /pool/A\n"
    ));
    client.expect("200 [\"a b\",\"key=c d\"]\n200 a b\tkey=c d\n");
    // One so long that it is read in pieces.
    let ids: Vec<String> = (0..20_000).map(|id| format!("\"{id}\"")).collect();
    let body = format!("[{}]", ids.join(","));
    client.send(format!(
        "key={ROOT} PUT /pool/A {body}\nkey={READER} PUT /pool/A {body}\n"
    ));
    client.expect(format!("200 {body}\n403 not allowed\n"));
}

#[test]
fn what_is_wrong_with_a_request_is_told_to_those_with_a_key() {
    let server = seeded();
    let mut client = server.connect();
    for (line, stranger, reader) in [
        ("GET /nowhere", "404 no route", "404 no route"),
        ("GET /pool/%zz", "400 bad escape", "400 bad escape"),
        ("DELETE /ping", "405 bad method", "405 bad method"),
        ("PATCH /pool/A", "401 no key", "405 bad method"),
        (
            "POST /pool/A/lock?tll=9",
            "401 no key",
            "400 bad parameter tll",
        ),
        ("POST /pool {", "401 no key", "400 bad JSON"),
        // The answer does not reveal whether there is such a pool.
        ("GET /pool/C", "401 no key", "403 not allowed"),
        ("GET /pool/A/lock/9", "401 no key", "404 no resource"),
    ] {
        assert_eq!(client.ask(line), stranger, "{line}");
        assert_eq!(
            client.ask(&format!("key={READER} {line}")),
            reader,
            "{line}"
        );
    }
}

#[test]
fn the_message_says_what_would_be_right() {
    let server = seeded();
    let mut client = server.connect();
    let json = "Accept: application/json";
    let ask = |field: &str, line: &str| format!("{line} HTTP/1.1\r\n{json}\r\n{field}\r\n\r\n");
    client.send(ask(&bearer(READER), "DELETE /pool/A/lock"));
    let body =
        r#"{"code":"not allowed","message":"the key must have the role admin in this pool"}"#;
    let length = body.len();
    client.expect(format!(
        "HTTP/1.1 403 not allowed\r\nContent-Length: {length}\r\nContent-Type: application/json\r\n\r\n{body}"
    ));
    client.send(ask("X: y", "DELETE /pool/A/lock"));
    client.expect("HTTP/1.1 401 no key\r\nContent-Length: ");
}

#[test]
fn a_key_that_is_missing_is_told_from_one_that_is_wrong() {
    let server = seeded();
    let mut client = server.connect();
    for missing in [
        "X: y",
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: basic ",
    ] {
        client.send(format!("GET /pool/A HTTP/1.1\r\n{missing}\r\n\r\n"));
        client.expect(NO_KEY);
    }
    for wrong in [
        "Authorization: Bearer x",
        "Authorization: x",
        "Authorization: Basic Og==",
    ] {
        client.send(format!("GET /pool/A HTTP/1.1\r\n{wrong}\r\n\r\n"));
        client.expect(WRONG_KEY);
    }
    // No part of a body that comes later is kept, and the answer is the same.
    let put = |field: &str| format!("PUT /pool/A HTTP/1.1\r\n{field}\r\nContent-Length: 3\r\n\r\n");
    for (field, answer) in [("X: y", NO_KEY), ("Authorization: Bearer x", WRONG_KEY)] {
        client.send(put(field));
        client.send("[1]");
        client.expect(answer);
    }
    assert_eq!(client.ask("key=x GET /pool/A"), "401 wrong key");
}

#[test]
fn a_page_in_a_browser_learns_that_it_needs_a_key() {
    let server = seeded();
    let mut client = server.connect();
    let origin = "Host: h\r\nOrigin: http://h";
    let isolation =
        "X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n";
    client.send(format!("OPTIONS /pool/A HTTP/1.1\r\n{origin}\r\n\r\n"));
    client.expect(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\n\
         Access-Control-Allow-Origin: http://h\r\n\
         Access-Control-Allow-Methods: GET, HEAD, POST, PUT, DELETE, OPTIONS\r\n\
         Access-Control-Allow-Headers: Accept, Authorization, Content-Type\r\n\
         Access-Control-Max-Age: 86400\r\n{isolation}\r\n"
    ));
    client.send(format!("GET /pool/A HTTP/1.1\r\n{origin}\r\n\r\n"));
    let fields = "WWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic realm=\"latchd\"\r\n\
                  Access-Control-Allow-Origin: http://h\r\n";
    client.expect(format!(
        "HTTP/1.1 401 no key\r\nContent-Length: 6\r\n{fields}{isolation}\r\nno key"
    ));
}

/// The body of an unauthenticated request does not count, so the server does not ask for it.
#[test]
fn a_stranger_is_never_told_to_go_on() {
    let server = seeded();
    for length in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let ask = |field: &str| {
            format!("PUT /pool/A HTTP/1.1\r\n{field}\r\n{length}\r\nExpect: 100-continue\r\n\r\n")
        };
        for (field, refused) in [("Host: h", NO_KEY), (&*bearer("unknown"), WRONG_KEY)] {
            let refused = refused.replacen("\r\nWWW", "\r\nConnection: close\r\nWWW", 1);
            let mut client = server.connect();
            client.send(ask(field));
            let answer = String::from_utf8(client.read_to_end()).expect("it is UTF-8");
            assert_eq!(answer, refused, "{field}");
        }
        let mut client = server.connect();
        client.send(ask(&bearer(ROOT)));
        client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    }
    // If the body has arrived already, the connection stays open.
    let mut client = server.connect();
    client.send("PUT /pool/A HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n[]");
    client.expect(NO_KEY);
    assert_eq!(client.ask("GET /ping"), "200 pong");
}

#[test]
fn without_keys_a_key_is_not_looked_at() {
    let server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    client.send(format!(
        "key={ROOT} POST /pool {SEED}\nGET /pool/A HTTP/1.1\r\n{}\r\n\r\n",
        bearer("unknown")
    ));
    client.expect(format!(
        "200 {SEED}\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n1\n2"
    ));
}

#[test]
fn a_waiter_is_served_by_its_key() {
    let server = serve(
        "user 0123456789abcdef-u use *\nroot secret-of-root-0123 admin *\n",
        &[],
    );
    let mut holder = server.connect();
    assert_eq!(
        holder.ask(&format!("key={ROOT} POST /pool/A 1")),
        r#"200 ["1"]"#
    );
    assert_eq!(
        holder.ask("key=0123456789abcdef-u POST /pool/A/lock"),
        "200 1"
    );
    let mut waiter = server.connect();
    waiter.send("key=0123456789abcdef-u POST /pool/A/lock?wait=20\nGET /ping\n");
    assert_eq!(
        holder.ask("key=0123456789abcdef-u DELETE /pool/A/lock/1"),
        "200"
    );
    waiter.expect("200 1\n200 pong\n");
}

#[test]
fn an_address_that_others_reach_is_warned_of_where_there_are_no_keys() {
    let folder = tempfile::TempDir::new().expect("a folder");
    super::write_keys(folder.path(), KEYS);
    let check = |arguments: &[&str]| {
        let mut command = latchd_in(&folder, &["--check"]);
        command.args(arguments);
        run_command(command).stdout
    };
    let warning =
        "warning              it listens on an address that others can reach, without --keys";
    for open in [
        "0.0.0.0:1",
        "[::]:1",
        "192.0.2.7:1",
        "127.0.0.1:1,10.0.0.1:1",
    ] {
        assert!(check(&["--listen", open]).contains(warning), "{open}");
        assert!(
            !check(&["--listen", open, "--keys", "keys"]).contains(warning),
            "{open}"
        );
    }
    for own in [
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
        "localhost:1",
    ] {
        assert!(!check(&["--listen", own]).contains("warning"), "{own}");
    }
}
