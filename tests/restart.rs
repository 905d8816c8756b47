//! State that survives a restart, for each way to end and each way to sync: order, fences, and the last facts
//! about resources that are members no longer.

use crate::support::{Client, Server, StoreKind};

/// Talks `before`, ends the server in every way that promises to keep all, and talks `after`.
#[track_caller]
fn survives(before: &[(&str, &str)], after: &[(&str, &str)]) {
    survives_and_goes_on(0, before, after);
}

/// The same where `after` gives fences: `#1` is the next one, and `#2` the one after it. After a kill they
/// skip a thousand, as the last commit may be lost with it.
#[track_caller]
fn survives_and_goes_on(last_fence: u64, before: &[(&str, &str)], after: &[(&str, &str)]) {
    for (sync, killed) in [
        ("always", true),
        ("always", false),
        ("never", false),
        ("interval", false),
    ] {
        let mut server = Server::start_with(StoreKind::File, &["--sync", sync]);
        talk(&mut server.connect(), before);
        if killed {
            server.kill();
        } else {
            assert_eq!(server.terminate().code(), Some(0));
        }
        server.restart();
        let last_fence = if killed { 1000 } else { last_fence };
        let fence = |number: u64| (last_fence + number).to_string();
        let mut client = server.connect();
        for (request, answer) in after {
            let answer = answer.replace("#1", &fence(1)).replace("#2", &fence(2));
            assert_eq!(client.ask(request), answer, "{request}");
        }
    }
}

#[track_caller]
fn talk(client: &mut Client, lines: &[(&str, &str)]) {
    for (request, answer) in lines {
        assert_eq!(client.ask(request), *answer, "{request}");
    }
}

#[test]
fn the_order_of_lending_survives() {
    survives(
        &[
            (
                r#"POST /pool {"A":["1","2","3","4"]}"#,
                r#"200 {"A":["1","2","3","4"]}"#,
            ),
            ("POST /pool/A/lock", "200 4"),
            ("POST /pool/A/lock", "200 3"),
            ("POST /pool/A/lock/1", "200 1"),
            ("DELETE /pool/A/lock/3", "200"),
            ("DELETE /pool/A/lock/4", "200"),
            ("DELETE /pool/A/lock/1", "200"),
        ],
        &[
            ("POST /pool/A/lock", "200 2"),
            ("POST /pool/A/lock", "200 3"),
            ("DELETE /pool/A/lock/2", "200"),
            ("POST /pool/A/lock?n=3", "200 4\t1\t2"),
        ],
    );
}

#[test]
fn the_order_of_members_survives() {
    survives(
        &[
            (
                r#"POST /pool {"A":["z","a","m"]}"#,
                r#"200 {"A":["z","a","m"]}"#,
            ),
            (
                r#"POST /pool/A ["10","9"]"#,
                r#"200 ["z","a","m","10","9"]"#,
            ),
            (r#"PUT /pool/A ["9","b","z"]"#, r#"200 ["9","b","z"]"#),
        ],
        &[
            ("GET /pool/A", "200 9\tb\tz"),
            (r#"POST /pool/A ["a"]"#, r#"200 ["9","b","z","a"]"#),
        ],
    );
}

#[test]
fn a_removed_pool_stays_removed_and_its_fences_go_on_rising() {
    survives_and_goes_on(
        2,
        &[
            (
                r#"POST /pool {"A":["1"],"B":["x"]}"#,
                r#"200 {"A":["1"],"B":["x"]}"#,
            ),
            ("POST /pool/A/lock?lease", "200 1 - 1"),
            ("DELETE /pool/A/lock/1", "200"),
            ("POST /pool/A/lock?lease", "200 2 - 1"),
            ("DELETE /pool/A", "200"),
        ],
        &[
            ("GET /pool", "200 1 0 0 B"),
            ("POST /pool/A/lock", "404 no pool"),
            (r#"POST /pool/A ["1"]"#, r#"200 ["1"]"#),
            ("POST /pool/A/lock?lease", "200 #1 - 1"),
            ("DELETE /pool/A", "200"),
            (r#"POST /pool/A ["1"]"#, r#"200 ["1"]"#),
            ("POST /pool/A/lock?lease", "200 #2 - 1"),
        ],
    );
}

#[test]
fn a_pool_made_again_before_the_restart_keeps_its_fences() {
    survives_and_goes_on(
        1,
        &[
            (r#"POST /pool/A ["1"]"#, r#"200 ["1"]"#),
            ("POST /pool/A/lock?lease", "200 1 - 1"),
            ("DELETE /pool/A", "200"),
            (r#"POST /pool/A ["1","2"]"#, r#"200 ["1","2"]"#),
        ],
        &[
            ("GET /pool/A/lock", "200"),
            ("POST /pool/A/lock?lease", "200 #1 - 2"),
        ],
    );
}

#[test]
fn a_grant_of_several_keeps_its_one_fence() {
    survives_and_goes_on(
        2,
        &[
            (
                r#"POST /pool/A ["1","2","3","4"]"#,
                r#"200 ["1","2","3","4"]"#,
            ),
            ("POST /pool/A/lock?lease", "200 1 - 4"),
            ("POST /pool/A/lock?n=2&lease", "200 2 - 3\t2 - 2"),
        ],
        &[
            ("GET /pool/A/lock", "200 1 - 4\t2 - 3\t2 - 2"),
            ("DELETE /pool/A/lock/3", "200"),
            ("GET /pool/A/lock", "200 1 - 4\t2 - 2"),
            ("POST /pool/A/lock?n=2&lease", "200 #1 - 1\t#1 - 3"),
        ],
    );
}

#[test]
fn a_held_resource_that_was_dropped_vanishes_when_it_is_released_after_the_restart() {
    survives(
        &[
            (r#"POST /pool/A ["1","2"]"#, r#"200 ["1","2"]"#),
            ("POST /pool/A/lock", "200 2"),
            (r#"PUT /pool/A ["1"]"#, r#"200 ["1"]"#),
        ],
        &[
            ("GET /pool/A/lock/2", "200 1 - 2"),
            ("POST /pool/A/lock", "200 1"),
            ("POST /pool/A/lock", "409 busy"),
            ("DELETE /pool/A/lock/2", "200"),
            ("GET /pool", "200 1 1 0 A"),
            ("POST /pool/A/lock", "409 busy"),
            ("POST /pool/A/lock/2", "404 no resource"),
        ],
    );
}

#[test]
fn a_held_resource_that_was_dropped_and_named_again_is_not_lent_twice() {
    survives(
        &[
            (r#"POST /pool/A ["1","2"]"#, r#"200 ["1","2"]"#),
            ("POST /pool/A/lock", "200 2"),
            (r#"PUT /pool/A ["1"]"#, r#"200 ["1"]"#),
        ],
        &[
            (r#"POST /pool/A ["2"]"#, r#"200 ["1","2"]"#),
            ("POST /pool/A/lock", "200 1"),
            ("POST /pool/A/lock", "409 busy"),
            ("DELETE /pool/A/lock/2", "200"),
            ("POST /pool/A/lock", "200 2"),
        ],
    );
}

#[test]
fn names_of_all_kinds_survive() {
    let names = r#"{"my pool":["a b","\"q\"","x/y","é","日本"],"é/è":["1"]}"#;
    let lent = format!("POST /pool {names}");
    survives(
        &[
            (&lent, &format!("200 {names}")),
            ("POST /pool/my%20pool/lock/x%2Fy", "200 x/y"),
            ("POST /pool/%C3%A9%2F%C3%A8/lock", "200 1"),
        ],
        &[
            ("GET /pool", "200 5 1 0 my pool\t1 1 0 é/è"),
            ("GET /pool/my+pool", "404 no pool"),
            ("GET /pool/my%20pool", "200 a b\t\"q\"\tx/y\té\t日本"),
            ("GET /pool/my%20pool/lock", "200 1 - x/y"),
            ("DELETE /pool/%C3%A9%2F%C3%A8/lock/1", "200"),
        ],
    );
}

#[test]
fn a_thousand_locks_survive_many_restarts() {
    let mut server = Server::start(StoreKind::File);
    let ids: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let answer = server
        .connect()
        .ask(&format!("POST /pool/A {}", serde_json::json!(ids)));
    assert!(answer.starts_with("200 "), "{answer}");
    for round in 0..5 {
        let grant = server.connect().ask("POST /pool/A/lock?n=200&lease");
        let lease = grant
            .strip_prefix("200 ")
            .and_then(|leases| leases.split('\t').next());
        let highest = 1000 - 1 - 200 * round;
        assert_eq!(lease, Some(&*format!("{} - {highest}", 1000 * round + 1)));
        server.kill();
        server.restart();
        let held = 200 * (round + 1);
        assert_eq!(
            server.connect().ask("GET /pool"),
            format!("200 1000 {held} 0 A")
        );
    }
    assert_eq!(server.connect().ask("DELETE /pool/A/lock"), "200 1000");
}
