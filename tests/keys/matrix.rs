//! Every route with every role, for the right pool and the wrong one, with an unknown key and
//! without one, shown in every way.

use latchd::contract::{self, ROUTES, Role, Route};

use super::{NO_KEY, NOT_ALLOWED, WRONG_KEY, basic, bearer, serve};
use crate::support::{Client, Server};

/// The right that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Nothing,
    Read,
    Use,
    Admin,
    /// Admin of all pools.
    Root,
}

/// Keys of each role for pools whose names begin with A, and for those that begin with B.
const KEYS: &str = "\
    root    secret-of-root           admin *\n\
    reader  secret-of-reader         read  A*\n\
    user    secret-of-user           use   A*\n\
    admin   secret-of-admin          admin A*\n\
    reader2 secret-of-reader-of-B    read  B*\n\
    user2   secret-of-user-of-B      use   B*\n\
    admin2  secret-of-admin-of-B     admin B*\n";

/// The callers: name, secret, the highest right, and whether it is for A.
const CALLERS: [(&str, &str, Needs, bool); 9] = [
    ("root", "secret-of-root", Needs::Root, true),
    ("reader", "secret-of-reader", Needs::Read, true),
    ("user", "secret-of-user", Needs::Use, true),
    ("admin", "secret-of-admin", Needs::Admin, true),
    ("reader2", "secret-of-reader-of-B", Needs::Read, false),
    ("user2", "secret-of-user-of-B", Needs::Use, false),
    ("admin2", "secret-of-admin-of-B", Needs::Admin, false),
    // An unknown name; and no key at all.
    ("nobody", "secret-of-nobody", Needs::Nothing, false),
    ("", "", Needs::Nothing, false),
];

/// In the pool A 1 is held, 2 is held by the owner o, and 3 is free.
const REQUESTS: &[(Needs, &str, &str)] = &[
    (Needs::Nothing, "GET /", ""),
    (Needs::Nothing, "HEAD /", ""),
    (Needs::Nothing, "GET /ping", ""),
    (Needs::Nothing, "HEAD /ping", ""),
    (Needs::Nothing, "GET /health", ""),
    (Needs::Nothing, "GET /ready", ""),
    (Needs::Nothing, "GET /openapi.json", ""),
    (Needs::Nothing, "OPTIONS /", ""),
    (Needs::Nothing, "OPTIONS /metrics", ""),
    (Needs::Nothing, "OPTIONS /pool", ""),
    (Needs::Nothing, "OPTIONS /pool/A", ""),
    (Needs::Nothing, "OPTIONS /pool/A/lock", ""),
    (Needs::Nothing, "OPTIONS /pool/A/lock/1", ""),
    (Needs::Nothing, "OPTIONS /pool/A/queue", ""),
    (Needs::Nothing, "OPTIONS /dump", ""),
    (Needs::Read, "GET /pool/A", ""),
    (Needs::Read, "HEAD /pool/A", ""),
    (Needs::Read, "GET /pool/%41", ""),
    (Needs::Read, "GET /pool/A/lock", ""),
    (Needs::Read, "HEAD /pool/A/lock", ""),
    (Needs::Read, "GET /pool/A/lock/1", ""),
    (Needs::Read, "HEAD /pool/A/lock/1", ""),
    (Needs::Read, "GET /pool/A/queue", ""),
    (Needs::Read, "HEAD /pool/A/queue", ""),
    (Needs::Read, "GET /pool/%41/queue", ""),
    (Needs::Use, "POST /pool/A/lock", ""),
    (Needs::Use, "POST /pool/%41/lock", ""),
    (
        Needs::Use,
        "POST /pool/A/lock?owner=p&ttl=9&wait=1&lease",
        "",
    ),
    (Needs::Use, "POST /pool/A/lock/3", ""),
    (Needs::Use, "PUT /pool/A/lock/1", ""),
    (Needs::Use, "PUT /pool/A/lock?owner=o", ""),
    (Needs::Use, "POST /pool/A/lock/1?_method=PUT", ""),
    (Needs::Use, "POST /pool/A/lock?_method=PUT&owner=o", ""),
    (Needs::Use, "DELETE /pool/A/lock/1", ""),
    (Needs::Use, "DELETE /pool/A/lock/2?owner=o", ""),
    (Needs::Use, "POST /pool/A/lock/1?_method=DELETE", ""),
    (Needs::Use, "DELETE /pool/A/lock?owner=o", ""),
    (Needs::Use, "DELETE /pool/A/lock?owner=o&older=0", ""),
    (Needs::Use, "POST /pool/A/lock?_method=DELETE&owner=o", ""),
    (Needs::Admin, "DELETE /pool/A/lock/2?force", ""),
    (Needs::Admin, "DELETE /pool/A/lock/1?force=true", ""),
    (Needs::Admin, "DELETE /pool/A/lock/2?owner=o&force", ""),
    (
        Needs::Admin,
        "POST /pool/A/lock/2?_method=DELETE&force=1",
        "",
    ),
    (Needs::Admin, "DELETE /pool/A/lock", ""),
    (Needs::Admin, "DELETE /pool/A/lock?older=0", ""),
    (Needs::Admin, "POST /pool/A/lock?_method=DELETE", ""),
    (Needs::Admin, "POST /pool/A", r#"["4"]"#),
    (Needs::Admin, "POST /pool/A", "4"),
    (Needs::Admin, "PUT /pool/A", r#"["4"]"#),
    (Needs::Admin, "POST /pool/A?_method=PUT", "4"),
    (Needs::Admin, "POST /pool/A3", "4"),
    (Needs::Admin, "DELETE /pool/A", ""),
    (Needs::Admin, "POST /pool/A?_method=DELETE", ""),
    (Needs::Admin, "POST /pool", r#"{"A":["4"]}"#),
    (Needs::Admin, "POST /pool", r#"{"A":["4"],"A2":["1"]}"#),
    (Needs::Admin, "PUT /pool", r#"{"A":["4"]}"#),
    (Needs::Admin, "PUT /pool", r#"{"\u0041":["4"]}"#),
    (
        Needs::Admin,
        "POST /pool?_method=PUT",
        r#"{"A2":["4"],"A":[]}"#,
    ),
    (Needs::Root, "GET /dump", ""),
    (Needs::Root, "HEAD /dump", ""),
];

/// A request in one line has no room for it.
const DUMP: &str = concat!(
    r#"{"latchd":"0.1.0","dump":1}"#,
    "\n",
    r#"{"pool":"A","fence":7,"members":["1"],"free":["1"],"locks":[]}"#,
    "\n",
    r#"{"pools":1,"members":1,"locks":0,"retired_fence":0}"#,
    "\n",
);

#[test]
fn every_route_wants_its_role_in_its_pool() {
    let mut world = World::new();
    let mut checked = 0;
    for &(needs, line, body) in REQUESTS {
        for (name, secret, role, is_for_a) in CALLERS {
            let verdict = match needs {
                Needs::Nothing => Verdict::Allowed,
                _ if role == Needs::Nothing => Verdict::NoKey,
                _ if is_for_a && role >= needs => Verdict::Allowed,
                _ => Verdict::NotAllowed,
            };
            for way in ways(name, secret) {
                world.check(line, body, &way, verdict);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, REQUESTS.len() * (8 * 4 + 2));
}

/// Returns the rights that the rows about a request of the contract have, in order. `None` if it has a test of its
/// own: it depends on more than one key and one pool.
fn rights(route: Route, needs: contract::Needs) -> Option<&'static [Needs]> {
    let of = |role| match role {
        Role::Read => &[Needs::Read],
        Role::Use => &[Needs::Use],
        Role::Admin => &[Needs::Admin],
    };
    match needs {
        contract::Needs::Nothing => Some(&[Needs::Nothing]),
        contract::Needs::InPool(role) => Some(of(role)),
        contract::Needs::UseOrForce | contract::Needs::UseOfOwner => {
            Some(&[Needs::Use, Needs::Admin])
        }
        contract::Needs::AdminOfBody => Some(&[Needs::Admin]),
        contract::Needs::InAll(Role::Admin) => Some(&[Needs::Root]),
        contract::Needs::AnyKey => {
            assert_eq!(
                route,
                Route::Pools,
                "a_list_of_pools_shows_those_that_the_key_is_for"
            );
            None
        }
        contract::Needs::InAll(_) => {
            assert_eq!(route, Route::Metrics, "tests/keys/access.rs");
            None
        }
    }
}

#[test]
fn the_rows_have_every_request_of_the_contract_with_its_right() {
    for row in &ROUTES {
        for (method, operation) in row.operations() {
            let path = row.pattern.replace("{pool}", "A");
            let paths = ["1", "2", "3"].map(|id| path.replace("{id}", id));
            let is_of = |line: &str| {
                let (named, target) = line.split_once(' ').expect("METHOD PATH");
                let is_meant = !target.contains("_method");
                let path = target.split('?').next().unwrap_or_default();
                named == method && is_meant && paths.iter().any(|known| known == path)
            };
            let mut tested: Vec<Needs> = REQUESTS
                .iter()
                .filter(|(_, line, _)| is_of(line))
                .map(|&(needs, ..)| needs)
                .collect();
            tested.sort_unstable();
            tested.dedup();
            // A restore has no row: it needs a store without pools.
            if let Some(rights) = rights(row.route, operation.needs)
                && (row.route, method) != (Route::Dump, "PUT")
            {
                assert_eq!(tested, rights, "{method} {path}");
            }
        }
    }
}

/// The base path for JSON is no way round a key.
#[test]
fn under_the_base_path_for_json_every_route_wants_the_same() {
    let mut world = World::new();
    for &(needs, line, body) in REQUESTS {
        let line = line.replacen(" /", " /json/", 1);
        for (_, secret, role, is_for_a) in CALLERS {
            let status = match needs {
                Needs::Nothing => "200",
                _ if role == Needs::Nothing => "401",
                _ if is_for_a && role >= needs => "200",
                _ => "403",
            };
            let field = bearer(secret);
            let key = match secret {
                "" => String::new(),
                secret => format!("key={secret} "),
            };
            for (start, way) in [
                ("HTTP/1.1 ", Way::Http(field + "\r\nConnection: close")),
                ("", Way::Line(key)),
            ] {
                world.prepare();
                let before = world.state();
                let mut client = world.server.connect();
                client.send(way.request(&line, body));
                client.half_close();
                let answer = String::from_utf8(client.read_to_end()).expect("it is UTF-8");
                let is_as_wanted = answer.starts_with(&format!("{start}{status}"));
                assert!(is_as_wanted, "{line} {way:?}: {answer:?}");
                if status != "200" {
                    assert_eq!(world.state(), before, "{line} {way:?}");
                }
            }
        }
    }
}

#[test]
fn a_seed_of_several_pools_wants_admin_in_each_of_them() {
    let mut world = World::new();
    let bodies = [
        r#"{"A":["4"],"B":["8"]}"#,
        r#"{"B":["8"],"A":["4"]}"#,
        r#"{"A":["4"],"C":["8"]}"#,
        r#"{"C":["8"]}"#,
    ];
    for line in ["POST /pool", "PUT /pool", "POST /pool?_method=PUT"] {
        for body in bodies {
            for (name, secret, role, _) in CALLERS {
                let verdict = match name {
                    "root" => Verdict::Allowed,
                    _ if role == Needs::Nothing => Verdict::NoKey,
                    _ => Verdict::NotAllowed,
                };
                for way in ways(name, secret) {
                    world.check(line, body, &way, verdict);
                }
            }
        }
    }
}

/// It is only for a store without pools, so that it has no row above.
#[test]
fn a_restore_wants_admin_of_all_pools() {
    let mut world = World::new();
    for line in ["PUT /dump", "POST /dump?_method=PUT", "PUT /json/dump"] {
        for (name, secret, role, _) in CALLERS {
            for way in ways(name, secret) {
                world.remove_pools();
                let mut client = world.server.connect();
                client.send(way.request(line, if way.is_line() { "" } else { DUMP }));
                let (status, pools) = match (role, way.is_line()) {
                    (Needs::Nothing, _) => ("401", "200"),
                    (Needs::Root, false) => ("200", "200 1 0 0 A"),
                    (Needs::Root, true) => ("400", "200"),
                    _ => ("403", "200"),
                };
                client.half_close();
                let answer = String::from_utf8(client.read_to_end()).expect("it is UTF-8");
                let start = if way.is_line() { "" } else { "HTTP/1.1 " };
                let is_as_wanted = answer.starts_with(&format!("{start}{status}"));
                assert!(is_as_wanted, "{line} {way:?}: {answer:?}");
                assert_eq!(world.ask("GET /pool"), pools, "{line} {way:?}");
            }
        }
    }
}

#[test]
fn an_empty_seed_wants_admin_somewhere() {
    let mut world = World::new();
    for (name, secret, role, _) in CALLERS {
        let verdict = match role {
            Needs::Nothing => Verdict::NoKey,
            Needs::Admin | Needs::Root => Verdict::Allowed,
            Needs::Read | Needs::Use => Verdict::NotAllowed,
        };
        for way in ways(name, secret) {
            world.check("POST /pool", "{}", &way, verdict);
        }
    }
}

#[test]
fn a_list_of_pools_shows_those_that_the_key_is_for() {
    let mut world = World::new();
    world.prepare();
    for (name, secret, role, is_for_a) in CALLERS {
        let shown = match (name, is_for_a) {
            ("root", _) => "3 2 0 A\n1 0 0 B",
            (_, true) => "3 2 0 A",
            (_, false) => "1 0 0 B",
        };
        for way in ways(name, secret) {
            let expected = match (&way, role) {
                (_, Needs::Nothing) => expected(&way, Verdict::NoKey, false).to_owned(),
                (Way::Line(_), _) => format!("200 {}\n", shown.replace('\n', "\t")),
                (Way::Http(_), _) => ok(shown),
            };
            let mut client = world.server.connect();
            client.send(way.request("GET /pool", ""));
            client.expect(&expected);
        }
    }
    let json = format!("Accept: application/json\r\n{}", bearer("secret-of-reader"));
    let mut client = world.server.connect();
    client.send(format!("GET /pool HTTP/1.1\r\n{json}\r\n\r\n"));
    client.expect(
        "HTTP/1.1 200 OK\r\nContent-Length: 65\r\nContent-Type: application/json\r\n\
         Cache-Control: no-store\r\n\r\n\
         {\"A\":{\"resources\":3,\"held\":2,\"waiting\":0,\"free\":1,\"role\":\"read\"}}",
    );
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    NoKey,
    NotAllowed,
}

/// The ways to show a key.
#[derive(Debug)]
enum Way {
    /// By this header field.
    Http(String),
    /// By this start of a line.
    Line(String),
}

/// All ways to show a key; of none, with and without HTTP.
fn ways(name: &str, secret: &str) -> Vec<Way> {
    if secret.is_empty() {
        return vec![Way::Http("X-None: x".into()), Way::Line(String::new())];
    }
    vec![
        Way::Http(bearer(secret)),
        Way::Http(basic(name, secret)),
        Way::Http(basic("", secret)),
        Way::Line(format!("key={secret} ")),
    ]
}

impl Way {
    fn is_line(&self) -> bool {
        matches!(self, Way::Line(_))
    }

    /// Whether it shows a key, right or wrong.
    fn shows_a_key(&self) -> bool {
        !matches!(self, Way::Http(field) if field == "X-None: x")
            && !matches!(self, Way::Line(start) if start.is_empty())
    }

    fn request(&self, line: &str, body: &str) -> String {
        let length = body.len();
        match self {
            Way::Http(field) => {
                format!("{line} HTTP/1.1\r\n{field}\r\nContent-Length: {length}\r\n\r\n{body}")
            }
            Way::Line(start) if body.is_empty() => format!("{start}{line}\n"),
            Way::Line(start) => format!("{start}{line} {body}\n"),
        }
    }
}

struct World {
    server: Server,
    root: Client,
}

impl World {
    fn new() -> World {
        let server = serve(KEYS, &["--max-wrong-keys", "0"]);
        let root = server.connect();
        World { server, root }
    }

    fn ask(&mut self, line: &str) -> String {
        self.root.ask(&format!("key=secret-of-root {line}"))
    }

    fn remove_pools(&mut self) {
        for pool in ["A", "A2", "A3", "B", "C"] {
            self.ask(&format!("DELETE /pool/{pool}"));
        }
    }

    /// Brings the pools into the state that `REQUESTS` expects.
    fn prepare(&mut self) {
        self.remove_pools();
        for line in [
            r#"POST /pool {"A":["1","2","3"],"B":["9"]}"#,
            "POST /pool/A/lock/1",
            "POST /pool/A/lock/2?owner=o",
        ] {
            let answer = self.ask(line);
            assert!(answer.starts_with("200"), "{line}: {answer}");
        }
    }

    /// All that can be seen.
    fn state(&mut self) -> Vec<String> {
        let lines = [
            "GET /pool",
            "GET /pool/A",
            "GET /pool/A/lock",
            "GET /pool/B/lock",
        ];
        lines.map(|line| self.ask(line)).to_vec()
    }

    #[track_caller]
    fn check(&mut self, line: &str, body: &str, way: &Way, verdict: Verdict) {
        self.prepare();
        let before = self.state();
        let mut client = self.server.connect();
        client.send(way.request(line, body));
        client.expect(expected(way, verdict, line.starts_with("HEAD")));
        if verdict != Verdict::Allowed {
            assert_eq!(
                self.state(),
                before,
                "{line} {body} {way:?} changed something"
            );
            // The server has sent nothing else, and the connection stays open.
            client.send("GET /ping\n");
            client.expect("200 pong\n");
        }
    }
}

/// The whole answer if it is a refusal, else its start. That to HEAD ends before the body.
fn expected(way: &Way, verdict: Verdict, to_head: bool) -> &'static str {
    match (way, verdict, to_head) {
        (Way::Http(_), Verdict::Allowed, _) => "HTTP/1.1 200 OK\r\n",
        (Way::Line(_), Verdict::Allowed, _) => "200",
        (Way::Http(_), Verdict::NoKey, false) if way.shows_a_key() => WRONG_KEY,
        (Way::Http(_), Verdict::NoKey, false) => NO_KEY,
        (Way::Line(_), Verdict::NoKey, false) if way.shows_a_key() => "401 wrong key\n",
        (Way::Line(_), Verdict::NoKey, false) => "401 no key\n",
        (Way::Line(_), Verdict::NoKey, true) => "401\n",
        (Way::Http(_), Verdict::NotAllowed, false) => NOT_ALLOWED,
        (Way::Line(_), Verdict::NotAllowed, false) => "403 not allowed\n",
        (Way::Line(_), Verdict::NotAllowed, true) => "403\n",
        (Way::Http(_), Verdict::NoKey, true) if way.shows_a_key() => {
            without(WRONG_KEY, "wrong key")
        }
        (Way::Http(_), Verdict::NoKey, true) => without(NO_KEY, "no key"),
        (Way::Http(_), Verdict::NotAllowed, true) => without(NOT_ALLOWED, "not allowed"),
    }
}

fn without(answer: &'static str, body: &str) -> &'static str {
    answer.strip_suffix(body).expect("it ends with its body")
}
