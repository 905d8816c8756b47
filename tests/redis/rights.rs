//! Rights that Redis' user has, and loses while a latchd runs: nothing is lost by it, nothing is lent
//! twice, and all works when they are back.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::support::launch::latchd_in;
use crate::support::redis::Logged;

/// The commands that scripts use on pools.
const COMMANDS: [&str; 18] = [
    "hset",
    "zadd",
    "zrem",
    "hdel",
    "set",
    "unlink",
    "hget",
    "hmget",
    "hgetall",
    "hlen",
    "hexists",
    "zcard",
    "zscore",
    "zrange",
    "zrangebyscore",
    "zrangebylex",
    "strlen",
    "publish",
];

const MEMBERS: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];

/// A user with all rights, until the test takes one away.
fn with_user(redis: &RedisServer) -> String {
    redis.order(&["ACL", "SETUSER", "bob", "on", ">word", "~*", "&*", "+@all"]);
    format!("redis://bob:word@127.0.0.1:{}", redis.port)
}

/// The locks that clients know of: the fence of each id.
type HeldFences = BTreeMap<String, u64>;

/// Notes a grant; no held resource may be granted once more.
#[track_caller]
fn note_granted(held: &mut HeldFences, answer: &str, request: &str) {
    let Some(leases) = answer.strip_prefix("200 ") else {
        assert!([DOWN, "409 busy"].contains(&answer), "{request}: {answer}");
        return;
    };
    for lease in leases.split('\t') {
        let (fence, id) = grant(&format!("200 {lease}"));
        let before = held.insert(id, fence);
        assert_eq!(before, None, "{request}: {answer} is held already");
    }
}

/// Sends all of these in one go, so that they leave for Redis together.
fn ask_together(client: &mut Client, requests: &[String]) -> Vec<String> {
    client.send(requests.concat());
    requests.iter().map(|_| client.read_line()).collect()
}

/// All members are free, and each can be lent once.
#[track_caller]
fn expect_all_lendable(client: &mut Client, what: &str) {
    await_answer(client, "GET /pool/A/lock", "200");
    assert_eq!(client.ask("GET /pool"), "200 8 0 0 A", "{what}");
    let mut ids: Vec<String> = Vec::new();
    let mut last_fence = 0;
    for _ in MEMBERS {
        let (fence, id) = grant(&client.ask("POST /pool/A/lock?lease"));
        assert!(fence > last_fence, "{what}: {fence} after {last_fence}");
        last_fence = fence;
        ids.push(id);
    }
    ids.sort_unstable();
    assert_eq!(ids, MEMBERS, "{what}");
    assert_eq!(client.ask("POST /pool/A/lock"), "409 busy", "{what}");
    assert_eq!(client.ask("DELETE /pool/A/lock"), "200 8", "{what}");
}

#[test]
fn a_right_that_is_taken_away_loses_nothing_and_lends_nothing_twice() {
    let redis = RedisServer::start();
    let server = serve_at(&with_user(&redis), &[]);
    let mut client = with_pool(&server, &MEMBERS);
    for command in COMMANDS {
        let mut held = HeldFences::new();
        for request in ["POST /pool/A/lock?lease", "POST /pool/A/lock?lease&ttl=600"] {
            let answer = client.ask(request);
            note_granted(&mut held, &answer, request);
        }
        let pair = client.ask("POST /pool/A/lock?lease&n=2");
        note_granted(&mut held, &pair, command);
        let ids: Vec<String> = held.keys().cloned().collect();

        redis.order(&["ACL", "SETUSER", "bob", &format!("-{command}")]);
        // Each kind alone, and then all kinds in one batch.
        for together in [false, true] {
            let mut requests: Vec<String> = [
                "POST /pool/A/lock?lease",
                "POST /pool/A/lock?lease&ttl=600",
                "POST /pool/A/lock?lease&n=2",
                "POST /pool/A/lock?lease&owner=o&ttl=600",
            ]
            .map(|request| format!("{request}\n"))
            .into();
            let id = &ids[usize::from(together)];
            requests.push(format!("PUT /pool/A/lock/{id}?ttl=700\n"));
            requests.push(format!("DELETE /pool/A/lock/{id}\n"));
            let answers = match together {
                true => ask_together(&mut client, &requests),
                false => (requests.iter())
                    .flat_map(|request| ask_together(&mut client, std::slice::from_ref(request)))
                    .collect(),
            };
            for (request, answer) in requests.iter().zip(&answers) {
                let what = format!("without {command}: {request}");
                match request.split(['/', ' ']).next() {
                    Some("POST") if request.contains("owner") => {}
                    Some("POST") => note_granted(&mut held, answer, &what),
                    Some("DELETE") if *answer == "200" => drop(held.remove(id)),
                    _ => assert!(["200", DOWN, "404 not held"].contains(&&**answer), "{what}"),
                }
            }
        }
        // Members come and go, and all that is held is released.
        for request in [
            "PUT /pool/A [1,2,3]",
            "PUT /pool/A [8,7,6,5,4,3,2,1]",
            "DELETE /pool/A/lock?owner=o",
        ] {
            let answer = client.ask(request);
            assert!(
                answer == DOWN || answer.starts_with("200"),
                "without {command}: {request}: {answer}"
            );
        }

        redis.order(&["ACL", "SETUSER", "bob", &format!("+{command}")]);
        let what = format!("after {command}");
        await_service(&mut client);
        let list = r#"200 ["1","2","3","4","5","6","7","8"]"#;
        await_answer(&mut client, "PUT /pool/A [1,2,3,4,5,6,7,8]", list);
        // The lock of an answered grant is there, with its own fence.
        for (id, fence) in &held {
            let answer = client.ask(&format!("GET /pool/A/lock/{id}"));
            let was_given_back = answer == "404 not held" && ids[..2].contains(id);
            if !was_given_back {
                assert_eq!(grant(&answer), (*fence, id.clone()), "{what}");
                let release = format!("DELETE /pool/A/lock/{id}?fence={fence}");
                assert_eq!(client.ask(&release), "200", "{what}");
            }
        }
        let by_owner = client.ask("DELETE /pool/A/lock?owner=o");
        assert!(["200 0", "200 1"].contains(&&*by_owner), "{what}");
        // A grant without an answer is undone without a purge.
        expect_all_lendable(&mut client, &what);
    }
}

#[test]
fn a_waiter_is_served_when_the_right_is_back() {
    let redis = RedisServer::start();
    let server = serve_at(&with_user(&redis), &[]);
    let mut holder = with_pool(&server, &["only"]);
    let mut fence = grant(&holder.ask("POST /pool/A/lock?lease")).0;
    for command in COMMANDS {
        let mut line: Vec<Client> = (0..3).map(|ahead| park(&server, WAIT, ahead)).collect();
        redis.order(&["ACL", "SETUSER", "bob", &format!("-{command}")]);
        let released = holder.ask("DELETE /pool/A/lock/only");
        assert!(["200", DOWN].contains(&&*released), "{command}: {released}");
        let late = holder.ask("POST /pool/A/lock");
        assert!(["409 busy", DOWN].contains(&&*late), "{command}: {late}");
        redis.order(&["ACL", "SETUSER", "bob", &format!("+{command}")]);
        await_service(&mut holder);
        if released == DOWN {
            let release = format!("DELETE /pool/A/lock/only?fence={fence}");
            let answer = holder.ask(&release);
            let is_done = ["200", "404 not held", "409 stale"].contains(&&*answer);
            assert!(is_done, "{command}: {answer}");
        }
        fence = pass_through(&mut line, fence);
        fence = {
            let (next, id) = grant(&holder.ask("POST /pool/A/lock?lease"));
            assert!(next > fence && id == "only", "{command}");
            next
        };
    }
}

/// As scripts of older versions left it when Redis stopped them.
#[test]
fn a_member_in_no_set_is_found_and_lent_again() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3"]);
    redis.order(&["ZREM", "t:{A}:free", "3", "2"]);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
    assert_eq!(client.ask("POST /pool/A/lock?n=2"), "200 2\t3");
    assert_eq!(client.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(client.ask("DELETE /pool/A/lock"), "200 3");

    // It is hidden by a held one that is no member any longer: setting the members finds it.
    assert_eq!(client.ask("POST /pool/A/lock/1"), "200 1");
    assert_eq!(client.ask("PUT /pool/A [2,3]"), r#"200 ["2","3"]"#);
    redis.order(&["ZREM", "t:{A}:free", "3"]);
    assert_eq!(client.ask("POST /pool/A/lock/3"), "409 busy");
    assert_eq!(client.ask("PUT /pool/A [2,3]"), r#"200 ["2","3"]"#);
    assert_eq!(client.ask("POST /pool/A/lock/3"), "200 3");
}

/// As Redis leaves it when it stops a release.
#[test]
fn what_is_free_and_held_is_held() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3"]);
    assert_eq!(client.ask("POST /pool/A/lock/1?ttl=600"), "200 1");
    for request in [
        "POST /pool/A/lock",
        "POST /pool/A/lock?ttl=9",
        "POST /pool/A/lock?n=2",
        "POST /pool/A/lock?n=3&wait=1",
        "POST /pool/A/lock/1",
    ] {
        redis.order(&["ZADD", "t:{A}:free", "-100", "1"]);
        let answer = client.ask(request);
        assert!(!answer.contains('1'), "{request}: {answer}");
        if answer.starts_with("200") {
            for id in answer.split(['\t', ' ']).skip(1) {
                assert_eq!(client.ask(&format!("DELETE /pool/A/lock/{id}")), "200");
            }
        }
    }
    redis.order(&["ZADD", "t:{A}:free", "-100", "1"]);
    assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(client.ask("POST /pool/A/lock?n=3"), "200 3\t2\t1");
}

/// The rights that `docs/redis.md` gives to a user of latchd's own.
fn documented_rights() -> Vec<&'static str> {
    let document = include_str!("../../docs/redis.md");
    let start = "ACL SETUSER latchd on >PASSWORD ";
    let at = document.find(start).expect("it names the rights") + start.len();
    let rights = document[at..].split("```").next().unwrap_or_default();
    rights.split_whitespace().collect()
}

fn start_as_latchd(redis: &RedisServer, rights: &[&str]) -> Logged {
    redis.order(&["ACL", "DELUSER", "latchd"]);
    redis.order(&[&["ACL", "SETUSER", "latchd", "on", ">word"], rights].concat());
    let store = format!("redis://latchd:word@127.0.0.1:{}", redis.port);
    let folder = TempDir::new().expect("a folder");
    let arguments = ["--listen", "127.0.0.1:0", "--store", &store];
    Logged::start(latchd_in(&folder, &arguments))
}

/// A user with these rights and no others can do everything.
#[test]
fn the_documented_rights_are_enough() {
    let redis = RedisServer::start();
    let rights = documented_rights();
    assert!(rights.len() > 20, "{rights:?}");
    let mut latchd = start_as_latchd(&redis, &rights);
    latchd.wait_for(|line| line.contains("connected to "));
    let mut client = Client::connect(latchd.address);
    await_service(&mut client);
    let mut waiting = Client::connect(latchd.address);
    for (request, expected) in [
        ("POST /pool {\"A\":[\"1\",\"2\"]}", r#"200 {"A":["1","2"]}"#),
        ("POST /pool/A/lock", "200 2"),
        ("POST /pool/A/lock/1?owner=o&ttl=60", "200 1"),
        ("PUT /pool/A/lock/1?owner=o&ttl=90", "200"),
        ("PUT /pool/A/lock?owner=o", "200"),
        ("POST /pool/A/lock", "409 busy"),
        ("GET /ready", "200 ready"),
    ] {
        assert_eq!(client.ask(request), expected, "{request}");
    }
    waiting.send("POST /pool/A/lock?wait=60\n");
    await_line_of(&mut client, 1);
    assert_eq!(client.ask("DELETE /pool/A/lock/2"), "200");
    assert_eq!(waiting.read_line(), "200 2");
    waiting.send("POST /pool/A/lock/2?wait=60&owner=p\n");
    await_line_of(&mut client, 1);
    assert!(client.ask("GET /pool/A/queue").contains(" p"));
    for (request, expected) in [
        ("PUT /pool/A [1,2,3]", r#"200 ["1","2","3"]"#),
        ("DELETE /pool/A/lock/2?force", "200"),
        ("GET /pool/A", "200 1\t2\t3"),
        ("DELETE /pool/A/lock", "200 2"),
        ("GET /pool", "200 3 0 0 A"),
        ("DELETE /pool/A", "200"),
        ("POST /pool/A 7", r#"200 ["7"]"#),
        ("POST /pool/A/lock", "200 7"),
    ] {
        assert_eq!(client.ask(request), expected, "{request}");
    }
    assert_eq!(waiting.read_line(), "200 2");
    let log = latchd.end();
    let told: Vec<&String> = log.iter().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(told, Vec::<&String>::new());
}

/// Each of them is needed, and the log names the one that is missing.
#[test]
fn each_documented_right_is_missed_by_name() {
    let redis = RedisServer::start();
    let rights = documented_rights();
    for missing in &rights {
        let others: Vec<&str> = rights
            .iter()
            .filter(|right| *right != missing)
            .copied()
            .collect();
        let mut latchd = start_as_latchd(&redis, &others);
        latchd.wait_for(|line| {
            let is_serious = line.contains("ERROR") || line.contains("WARN");
            is_serious && line.split([' ', ';']).any(|word| word == *missing)
        });
    }
}

/// A right that is taken away while a latchd runs is named, too.
#[test]
fn a_right_that_is_taken_away_is_named() {
    let redis = RedisServer::start();
    let mut latchd = start_as_latchd(&redis, &documented_rights());
    let mut client = Client::connect(latchd.address);
    await_service(&mut client);
    assert_eq!(client.ask("POST /pool/A 1"), r#"200 ["1"]"#);
    redis.order(&["ACL", "SETUSER", "latchd", "-hset", "-zrem"]);
    assert_eq!(client.ask("POST /pool/A/lock"), DOWN);
    latchd.wait_for(|line| line.contains("ACL SETUSER latchd +hset +zrem"));
}

/// The counts are right though each set is wrong: 3 is held and free, and 1 is in no set.
#[test]
fn a_lost_member_does_not_hide_one_that_is_free_and_held() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3"]);
    assert_eq!(client.ask("POST /pool/A/lock/3"), "200 3");
    redis.order(&["ZADD", "t:{A}:free", "-100", "3"]);
    redis.order(&["ZREM", "t:{A}:free", "1"]);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 2");
    // Now the counts show that one is lost.
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
    assert_eq!(client.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(client.ask("DELETE /pool/A/lock"), "200 3");
}

/// As older versions could leave it: 3 is in no set, 4 is held and no member, 9 is free and no member.
#[test]
fn what_is_no_member_is_not_lent_and_hides_no_lost_one_for_good() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3", "4"]);
    assert_eq!(client.ask("POST /pool/A/lock/4"), "200 4");
    assert_eq!(client.ask("PUT /pool/A [1,2,3]"), r#"200 ["1","2","3"]"#);
    redis.order(&["ZREM", "t:{A}:free", "3"]);
    assert_eq!(client.ask("DELETE /pool/A/lock/4"), "200");
    let grants = client.ask("POST /pool/A/lock?n=3");
    assert_eq!(grants, "200 2\t1\t3");
    assert_eq!(client.ask("DELETE /pool/A/lock"), "200 3");

    redis.order(&["ZREM", "t:{A}:free", "1"]);
    redis.order(&["ZADD", "t:{A}:free", "-100", "9"]);
    assert_eq!(client.ask("PUT /pool/A [1,2,3]"), r#"200 ["1","2","3"]"#);
    assert_eq!(client.ask("GET /pool"), "200 3 0 0 A");
    let mut lent = [(); 3].map(|()| client.ask("POST /pool/A/lock"));
    lent.sort_unstable();
    assert_eq!(lent, ["200 1", "200 2", "200 3"]);
    assert_eq!(client.ask("POST /pool/A/lock"), "409 busy");
}

/// A release needs no HSET, and an acquire does.
#[test]
fn a_release_is_answered_though_an_acquire_beside_it_is_refused() {
    let redis = RedisServer::start();
    let server = serve_at(&with_user(&redis), &[]);
    let mut client = with_pool(&server, &["1", "2", "3", "4"]);
    for id in ["1", "2"] {
        assert_eq!(
            client.ask(&format!("POST /pool/A/lock/{id}")),
            format!("200 {id}")
        );
    }
    redis.order(&["ACL", "SETUSER", "bob", "-hset"]);
    let requests = [
        "POST /pool/A/lock",
        "DELETE /pool/A/lock/1",
        "POST /pool/A/lock",
        "DELETE /pool/A/lock/2",
    ];
    let answers = ask_together(&mut client, &requests.map(|request| format!("{request}\n")));
    assert_eq!(answers, [DOWN, "200", DOWN, "200"]);
    redis.order(&["ACL", "SETUSER", "bob", "+hset"]);
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool"), "200 4 0 0 A");
}
