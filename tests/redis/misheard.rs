//! Foreign replies in the place of an answer, for each kind of request: the client gets `store down`, or
//! the right answer, and succeeds when it asks again.

use std::thread;

use super::liar::{Harm, Liar};
use super::*;

/// A request; the number of replies that it takes, one after the other; and its possible answers, the
/// first time and when it is repeated. FENCE is that of the only lock.
const REQUESTS: &[(&str, usize, &[&str])] = &[
    ("GET /pool", 2, &["200 3 1 0 A"]),
    ("GET /pool/A", 1, &["200 1\t2\t3"]),
    ("GET /pool/A/lock", 1, &["200 FENCE - 3"]),
    ("GET /pool/A/lock/3", 1, &["200 FENCE - 3"]),
    ("GET /ready", 1, &["200 ready"]),
    ("POST /pool/B [9]", 2, &[r#"200 ["9"]"#]),
    ("PUT /pool/A [1,2,3]", 2, &[r#"200 ["1","2","3"]"#]),
    (
        r#"POST /pool {"B":["x"],"C":["y"]}"#,
        2,
        &[r#"200 {"B":["x"],"C":["y"]}"#],
    ),
    ("POST /pool/A/lock/1?owner=o", 1, &["200 1"]),
    ("PUT /pool/A/lock/3?ttl=60", 1, &["200"]),
    (
        "DELETE /pool/A/lock/3?fence=FENCE",
        1,
        &["200", "404 not held"],
    ),
    ("DELETE /pool/A/lock", 1, &["200 1", "200 0"]),
    ("DELETE /pool/A", 1, &["200", "404 no pool"]),
];

/// Replies that scripts and commands give, though none of them to any of these requests.
const ANSWERS: &[&str] = &[
    "+OK\r\n",
    "*1\r\n:1\r\n",
    "*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
    "*3\r\n:1\r\n:0\r\n*0\r\n",
    "*4\r\n:1\r\n:0\r\n*0\r\n$1\r\n-\r\n",
];

#[test]
fn whatever_is_asked_what_is_no_answer_does_no_harm() {
    let redis = RedisServer::start();
    thread::scope(|scope| {
        let threads: Vec<_> = REQUESTS
            .iter()
            .map(|request| (request.0, scope.spawn(|| mishear(&redis, request))))
            .collect();
        let failed: Vec<&str> = threads
            .into_iter()
            .filter_map(|(what, thread)| thread.join().is_err().then_some(what))
            .collect();
        assert_eq!(failed, Vec::<&str>::new());
    });
}

/// On a server of its own, with each answer in the place of each right one, and before it.
fn mishear(redis: &RedisServer, &(request, answers, right): &(&str, usize, &[&str])) {
    let liar = Liar::before(redis);
    let prefix = format!("{}:", request.replace(' ', "_"));
    let arguments = ["--redis-timeout", "1", "--redis-prefix", &prefix];
    let server = Server::start_at(&liar.url(), &arguments);
    let mut client = server.connect();
    for passes in 0..answers {
        for answer in ANSWERS {
            for harm in [Harm::Replaced, Harm::Preceded] {
                let fence = restore(&mut client).to_string();
                let request = request.replace("FENCE", &fence);
                let right: Vec<String> = right
                    .iter()
                    .map(|right| right.replace("FENCE", &fence))
                    .collect();
                liar.order_after(passes, harm(answer.as_bytes().to_vec()));
                let mut first = client.ask(&request);
                if request == "GET /ready" {
                    // An earlier reply of Redis counts for a second.
                    first = eventually("Redis is asked", || {
                        let answer = client.ask(&request);
                        liar.has_obeyed().then_some(answer)
                    });
                }
                assert!(
                    first == DOWN || right.contains(&first),
                    "{request} is answered {first:?}, after {answer:?}"
                );
                assert!(
                    liar.has_obeyed(),
                    "{request} is answered without {answer:?}"
                );
                let again = served(&mut client, &request);
                assert!(
                    right.contains(&again),
                    "{request} is answered {again:?} when it is repeated, after {answer:?}"
                );
            }
        }
    }
}

/// Makes pool A, of three resources, of which 3 is held under the fence that is answered.
#[track_caller]
fn restore(client: &mut Client) -> u64 {
    for pool in ["A", "B", "C"] {
        let removed = served(client, &format!("DELETE /pool/{pool}"));
        assert!(["200", "404 no pool"].contains(&&*removed), "{removed}");
    }
    assert_eq!(
        served(client, "PUT /pool/A [1,2,3]"),
        r#"200 ["1","2","3"]"#
    );
    let (fence, id) = grant(&served(client, "POST /pool/A/lock?lease"));
    assert_eq!(id, "3");
    fence
}

/// Asks until a store answers. None of these requests does harm when it is repeated.
#[track_caller]
fn served(client: &mut Client, request: &str) -> String {
    eventually("the store serves", || {
        Some(client.ask(request)).filter(|answer| answer != DOWN)
    })
}
