//! Redis answers with an error: it is a replica, full, still loading, or has a foreign value under a
//! key. The client gets `503 store down`, nothing is half done, and all works once it is over.

use super::*;
use crate::support::redis::DURABLE;

#[test]
fn a_replica_is_down_until_it_is_master() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 2");
    // That address has no listener, so nothing of its own is lost.
    redis.order(&["REPLICAOF", "127.0.0.1", "1"]);
    expect_down(&mut client, "POST /pool/A/lock");
    expect_down(&mut client, "DELETE /pool/A/lock/2");
    expect_down(&mut client, "POST /pool/A 3");
    expect_ping(&mut client);
    redis.order(&["REPLICAOF", "NO", "ONE"]);
    await_service(&mut client);
    await_answer(&mut client, "GET /pool/A/lock", "200 1 - 2");
    // Reads may work again before writes do.
    eventually("it lends again", || {
        let answer = client.ask("POST /pool/A/lock?lease");
        if answer == DOWN {
            return None;
        }
        let (fence, id) = grant(&answer);
        assert_eq!((fence > 1, &*id), (true, "1"));
        Some(())
    });
    assert_eq!(client.ask("DELETE /pool/A/lock/2"), "200");
}

#[test]
fn a_waiter_stays_queued_while_redis_is_a_replica() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let mut line: Vec<Client> = (0..3).map(|ahead| park(&server, WAIT, ahead)).collect();
    redis.order(&["REPLICAOF", "127.0.0.1", "1"]);
    expect_down(&mut holder, "DELETE /pool/A/lock/only");
    line.iter_mut().for_each(expect_silence);
    redis.order(&["REPLICAOF", "NO", "ONE"]);
    await_answer(&mut holder, "DELETE /pool/A/lock/only", "200");
    pass_through(&mut line, 1);
}

/// It has become a replica of another that knows nothing of all this.
#[test]
fn a_server_that_is_a_replica_from_the_start() {
    let redis = RedisServer::start_new(&["--replicaof", "127.0.0.1", "1"]);
    let server = serve(&redis);
    let mut client = server.connect();
    expect_down(&mut client, "POST /pool/A 1");
    expect_ping(&mut client);
    redis.order(&["REPLICAOF", "NO", "ONE"]);
    await_answer(&mut client, "POST /pool/A 1", r#"200 ["1"]"#);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
}

/// A change that only moves data from one key to another may still succeed, such as a grant. A
/// refused one changes nothing at all.
#[test]
fn a_full_redis_loses_nothing() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3", "4", "5", "6"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 6");
    assert_eq!(client.ask("POST /pool/A/lock?lease&owner=a"), "200 2 - 5");
    redis.order(&["CONFIG", "SET", "maxmemory", "1"]);
    let mut held = 2;
    for (request, change) in [
        ("POST /pool/A/lock", 1),
        ("POST /pool/A/lock?n=2&owner=b", 2),
        ("POST /pool/A/lock/1?ttl=500", 1),
        ("DELETE /pool/A/lock/6", -1),
        ("DELETE /pool/A/lock/5?owner=a", -1),
        ("POST /pool/A/lock?owner=a", 1),
    ] {
        let before = redis.contents("t:{A}");
        let answer = client.ask(request);
        eprintln!("while Redis is full: {request}: {answer}");
        match answer == DOWN {
            true => assert_eq!(redis.contents("t:{A}"), before, "{request}"),
            false => {
                assert!(answer.starts_with("200"), "{request}: {answer}");
                held += change;
            }
        }
    }
    expect_ping(&mut client);
    redis.order(&["CONFIG", "SET", "maxmemory", "0"]);
    await_service(&mut client);
    await_answer(&mut client, "GET /pool", &format!("200 6 {held} 0 A"));
    for _ in held..6 {
        assert!(grant(&client.ask("POST /pool/A/lock?lease")).0 > 2);
    }
    assert_eq!(client.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(client.ask("POST /pool/B x"), r#"200 ["x"]"#);
}

#[test]
fn a_full_redis_takes_in_nothing_new() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3", "4"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 4");
    redis.order(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = redis.contents("t:{");
    for request in ["POST /pool/B x", "POST /pool/A 5", "PUT /pool/A [5,6]"] {
        expect_down(&mut client, request);
        assert_eq!(redis.contents("t:{"), before, "{request}");
    }
    redis.order(&["CONFIG", "SET", "maxmemory", "0"]);
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool"), "200 4 1 0 A");
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 2 - 3");
}

#[test]
fn a_waiter_stays_queued_while_redis_is_full() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let mut line: Vec<Client> = (0..3).map(|ahead| park(&server, WAIT, ahead)).collect();
    redis.order(&["CONFIG", "SET", "maxmemory", "1"]);
    let released = holder.ask("DELETE /pool/A/lock/only?fence=1");
    assert!(["200", DOWN].contains(&&*released), "{released}");
    line.iter_mut().skip(1).for_each(expect_silence);
    redis.order(&["CONFIG", "SET", "maxmemory", "0"]);
    await_service(&mut holder);
    if released == DOWN {
        await_answer(&mut holder, "DELETE /pool/A/lock/only?fence=1", "200");
    }
    pass_through(&mut line, 1);
}

/// Redis has a long file to load, and says so to each request meanwhile.
#[test]
fn a_redis_that_is_loading_is_down() {
    let mut redis = RedisServer::start_with(&DURABLE);
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 2");
    let fill = "for i = 1, 20000 do redis.call('SET', 'x' .. i, i) end";
    redis.order(&["EVAL", fill, "0"]);
    redis.kill();
    redis.resume_slowly(["--key-load-delay", "100"]);
    eventually("it is loading", || {
        let reply = redis.try_ask(&["PING"]).ok()?;
        assert!(
            reply.starts_with("-LOADING"),
            "too fast to be seen: {reply}"
        );
        Some(())
    });
    let (mut refused, mut seen) = (0, 0);
    while redis
        .try_ask(&["PING"])
        .expect("a reply")
        .starts_with("-LOADING")
    {
        seen += 1;
        if client.ask("POST /pool/A/lock/2") == DOWN {
            refused += 1;
        }
        expect_ping(&mut client);
    }
    assert!(seen > 2 && refused >= seen - 1, "{refused} of {seen}");
    await_service(&mut client);
    assert_eq!(client.ask("GET /pool/A/lock"), "200 1 - 2");
    let (fence, id) = grant(&client.ask("POST /pool/A/lock?lease"));
    assert_eq!((fence > 1, &*id), (true, "1"));
}

#[test]
fn another_type_under_a_key_of_a_pool_changes_nothing() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3", "4"]);
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 4");
    assert_eq!(client.ask("POST /pool/A/lock?lease&owner=a"), "200 2 - 3");
    assert_eq!(client.ask("POST /pool/B x"), r#"200 ["x"]"#);
    let whole = redis.contents("t:{A}");
    let (acquire, release) = ("POST /pool/A/lock", "DELETE /pool/A/lock/4");
    for (key, requests) in [
        ("t:{A}", vec![acquire, release, "PUT /pool/A [7]"]),
        ("t:{A}:free", vec![acquire, release, "PUT /pool/A [7]"]),
        ("t:{A}:held", vec![acquire, release, "GET /pool/A/lock"]),
        ("t:{A}:members", vec!["GET /pool/A", "PUT /pool/A [7]"]),
    ] {
        redis.order(&["RENAME", key, "aside"]);
        redis.order(&["SET", key, "a string"]);
        let broken = redis.contents("t:{A}");
        for request in requests {
            expect_down(&mut client, request);
            assert_eq!(redis.contents("t:{A}"), broken, "{request} with {key}");
        }
        // The other pools are as they were.
        await_answer(&mut client, "GET /pool/B", "200 x");
        redis.order(&["DEL", key]);
        redis.order(&["RENAME", "aside", key]);
        await_service(&mut client);
        assert_eq!(redis.contents("t:{A}"), whole, "with {key}");
        assert_eq!(client.ask("GET /pool/A/lock"), "200 1 - 4\t2 - 3");
    }
    assert_eq!(client.ask("GET /pool/A"), "200 1\t2\t3\t4");
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 3 - 2");
    assert_eq!(client.ask(release), "200");
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 4 - 1");
    assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 5 - 4");
}

#[test]
fn no_client_notices_that_the_scripts_are_gone() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2"]);
    for round in 0..10 {
        redis.order(&["SCRIPT", "FLUSH"]);
        let id = ["2", "1"][round % 2];
        assert_eq!(client.ask("POST /pool/A/lock"), format!("200 {id}"));
        redis.order(&["SCRIPT", "FLUSH"]);
        assert_eq!(client.ask(&format!("PUT /pool/A/lock/{id}?ttl=60")), "200");
        redis.order(&["SCRIPT", "FLUSH"]);
        assert_eq!(client.ask(&format!("DELETE /pool/A/lock/{id}")), "200");
        redis.order(&["SCRIPT", "FLUSH"]);
        assert_eq!(client.ask("GET /pool"), "200 2 0 0 A");
    }
    for request in [
        "POST /pool/A 3",
        "GET /pool/A",
        "GET /pool/A/lock",
        "DELETE /pool/A/lock",
    ] {
        redis.order(&["SCRIPT", "FLUSH"]);
        let answer = client.ask(request);
        assert!(answer.starts_with("200"), "{request}: {answer}");
    }
}

#[test]
fn a_waiter_does_not_notice_that_the_scripts_are_gone() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    redis.order(&["SCRIPT", "FLUSH"]);
    let mut line: Vec<Client> = (0..3).map(|ahead| park(&server, WAIT, ahead)).collect();
    redis.order(&["SCRIPT", "FLUSH"]);
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    pass_through(&mut line, 1);
}

/// Requests behind one another on a connection, whose script is not known to Redis any more: all are
/// carried out, in their order, once.
#[test]
fn a_pipeline_does_not_notice_that_the_scripts_are_gone() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3"]);
    for round in 0..10 {
        redis.order(&["SCRIPT", "FLUSH"]);
        let first = 3 * round + 1;
        client.send(
            "POST /pool/A/lock/1?lease\nPOST /pool/A/lock/2?lease\nPOST /pool/A/lock/3?lease\n\
             POST /pool/A/lock\nDELETE /pool/A/lock/1\nDELETE /pool/A/lock\nGET /pool\n",
        );
        client.expect(format!(
            "200 {first} - 1\n200 {} - 2\n200 {} - 3\n409 busy\n200\n200 2\n200 3 0 0 A\n",
            first + 1,
            first + 2
        ));
    }
}
