//! Redis has carried out a batch, and the server lost the reply. The client gets `store down`; at
//! the reconnect the server finds out the effects, and undoes them or hands them to a client that
//! still waits.

use super::gate::Gate;
use super::*;

struct Stage {
    redis: RedisServer,
    gate: Gate,
    server: Server,
    client: Client,
}

impl Stage {
    fn new(ids: &[&str]) -> Stage {
        let redis = RedisServer::durable();
        let gate = Gate::before(&redis);
        let server = serve_at(&gate.url(), &[]);
        let client = with_pool(&server, ids);
        Stage {
            redis,
            gate,
            server,
            client,
        }
    }

    /// Waits until Redis shows this many held resources of a pool.
    #[track_caller]
    fn await_held(&self, pool: &str, count: usize) {
        let key = format!("t:{{{pool}}}:held");
        eventually("Redis has done it", || {
            (self.redis.ask(&["HLEN", &key]) == count.to_string()).then_some(())
        });
    }

    /// Sends a request, and gets `store down` although this many are held then.
    #[track_caller]
    fn ask_in_vain(&mut self, request: &str, held: usize) {
        let mut asking = self.server.connect();
        self.gate.shut();
        asking.send(format!("{request}\n"));
        self.await_held("A", held);
        assert_eq!(asking.read_line(), DOWN, "{request}");
    }
}

#[test]
fn a_grant_that_was_not_heard_is_undone() {
    let mut stage = Stage::new(&["1", "2", "3"]);
    assert_eq!(stage.client.ask("POST /pool/A/lock?lease"), "200 1 - 3");
    for (request, held) in [
        ("POST /pool/A/lock", 2),
        ("POST /pool/A/lock?n=2", 3),
        ("POST /pool/A/lock/1", 2),
        ("POST /pool/A/lock?ttl=600", 2),
    ] {
        stage.ask_in_vain(request, held);
        stage.gate.open();
        await_answer(&mut stage.client, "GET /pool/A/lock", "200 1 - 3");
    }
    assert_eq!(stage.client.ask("GET /pool"), "200 3 1 0 A");
    let (fence, _) = grant(&stage.client.ask("POST /pool/A/lock?lease"));
    assert_eq!(fence, 6, "four were granted in vain");
}

#[test]
fn grants_of_several_pools_that_were_not_heard_are_undone() {
    let mut stage = Stage::new(&["1"]);
    let pools = ["B", "C", "D", "E"];
    for pool in pools {
        let seeded = stage.client.ask(&format!("POST /pool/{pool} 1"));
        assert_eq!(seeded, r#"200 ["1"]"#);
    }
    stage.gate.shut();
    let mut asking = pools.map(|_| stage.server.connect());
    for (client, pool) in asking.iter_mut().zip(pools) {
        client.send(format!("POST /pool/{pool}/lock\n"));
    }
    for (client, pool) in asking.iter_mut().zip(pools) {
        stage.await_held(pool, 1);
        assert_eq!(client.read_line(), DOWN);
    }
    stage.gate.open();
    let all_free = "200 1 0 0 A\t1 0 0 B\t1 0 0 C\t1 0 0 D\t1 0 0 E";
    await_answer(&mut stage.client, "GET /pool", all_free);
}

#[test]
fn a_grant_that_was_not_heard_is_undone_although_redis_was_restarted() {
    let mut stage = Stage::new(&["1"]);
    stage.ask_in_vain("POST /pool/A/lock", 1);
    stage.redis.kill();
    stage.redis.resume();
    stage.gate.open();
    await_answer(&mut stage.client, "GET /pool", "200 1 0 0 A");
}

#[test]
fn an_owner_s_grant_that_was_not_heard_is_kept_for_it() {
    let mut stage = Stage::new(&["1", "2"]);
    stage.ask_in_vain("POST /pool/A/lock?owner=a", 1);
    stage.gate.open();
    await_service(&mut stage.client);
    assert_eq!(stage.client.ask("POST /pool/A/lock/2"), "409 busy");
    let again = stage.client.ask("POST /pool/A/lock?owner=a&lease");
    assert_eq!(again, "200 1 - 2");
    assert_eq!(stage.client.ask("GET /pool"), "200 2 1 0 A");
}

#[test]
fn a_release_that_was_not_heard_serves_waiters() {
    let mut stage = Stage::new(&["only"]);
    assert_eq!(stage.client.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let mut line: Vec<Client> = (0..3)
        .map(|ahead| park(&stage.server, WAIT, ahead))
        .collect();
    let mut releasing = stage.server.connect();
    stage.gate.shut();
    releasing.send("DELETE /pool/A/lock/only?fence=1\n");
    assert_eq!(releasing.read_line(), DOWN);
    line.iter_mut().for_each(expect_silence);
    stage.gate.open();
    pass_through(&mut line, 1);
    assert_eq!(stage.client.ask("GET /pool"), "200 1 0 0 A");
}

/// Its turn came while the server had no connection, and it did not wait for that.
#[test]
fn a_client_that_has_gone_when_its_grant_is_heard_holds_nothing() {
    let mut stage = Stage::new(&["only"]);
    assert_eq!(stage.client.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let goes = park(&stage.server, WAIT, 0);
    let mut stays = park(&stage.server, WAIT, 1);
    let mut releasing = stage.server.connect();
    stage.gate.shut();
    releasing.send("DELETE /pool/A/lock/only?fence=1\n");
    assert_eq!(releasing.read_line(), DOWN);
    drop(goes);
    expect_ping(&mut stage.client);
    stage.gate.open();
    let (fence, _) = grant(&stays.read_line());
    await_answer(&mut stage.client, "GET /pool", "200 1 1 0 A");
    let release = format!("DELETE /pool/A/lock/only?fence={fence}");
    assert_eq!(stage.client.ask(&release), "200");
}

/// A place in the queue whose confirmation was lost is no place.
#[test]
fn a_waiter_that_was_not_heard_does_not_stay_queued() {
    let mut stage = Stage::new(&["only"]);
    assert_eq!(stage.client.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let mut waiter = stage.server.connect();
    stage.gate.shut();
    waiter.send(format!("{WAIT}\n"));
    expect_down(&mut stage.client, "GET /pool");
    stage.gate.open();
    await_service(&mut stage.client);
    assert_eq!(stage.client.ask("DELETE /pool/A/lock/only"), "200");
    match waiter.read_line() {
        answer if answer == DOWN => await_answer(&mut stage.client, "GET /pool", "200 1 0 0 A"),
        answer => {
            assert_eq!(grant(&answer).1, "only");
            await_answer(&mut stage.client, "GET /pool", "200 1 1 0 A");
        }
    }
}

/// A late answer must still be true: the lease has ended, or all was released meanwhile.
#[test]
fn a_waiter_is_not_told_of_a_grant_that_is_over() {
    for (request, over) in [
        ("POST /pool/A/lock?wait=60&ttl=1&lease", None),
        (
            "POST /pool/A/lock?wait=60&lease",
            Some("DELETE /pool/A/lock"),
        ),
    ] {
        let stage = Stage::new(&["1"]);
        let other = serve(&stage.redis);
        let mut elsewhere = other.connect();
        await_service(&mut elsewhere);
        let mut waiter = stage.server.connect();
        stage.gate.shut();
        waiter.send(format!("{request}\n"));
        stage.await_held("A", 1);
        if let Some(over) = over {
            assert_eq!(elsewhere.ask(over), "200 1");
        }
        let (fence, _) = grant(&elsewhere.ask("POST /pool/A/lock?lease&wait=10"));
        // The connection that the answer was to come on is given up.
        expect_down(&mut stage.server.connect(), "GET /pool");
        stage.gate.open();
        await_service(&mut stage.server.connect());
        expect_silence(&mut waiter);
        let locks = format!("200 {fence} - 1");
        assert_eq!(elsewhere.ask("GET /pool/A/lock"), locks, "{request}");
        assert_eq!(elsewhere.ask("DELETE /pool/A/lock/1"), "200");
        let (later, _) = grant(&waiter.read_line());
        assert!(later > fence, "{request}: {later} comes after {fence}");
    }
}

/// The newer request of an owner keeps the place, whatever the older one's server has missed.
#[test]
fn an_older_request_does_not_take_the_place_back() {
    let mut stage = Stage::new(&["only"]);
    assert_eq!(stage.client.ask("POST /pool/A/lock"), "200 only");
    let other = serve(&stage.redis);
    let mut elsewhere = other.connect();
    await_service(&mut elsewhere);
    let mut older = stage.server.connect();
    older.send("POST /pool/A/lock?owner=a&wait=60\n");
    await_answer(&mut elsewhere, "GET /pool", "200 1 1 1 A");
    stage.gate.shut();
    let mut newer = other.connect();
    newer.send("POST /pool/A/lock?owner=a&wait=60\n");
    // Its server does not know of it when it gives the connection up.
    expect_down(&mut stage.client, "GET /pool");
    expect_silence(&mut newer);
    stage.gate.open();
    assert_eq!(older.read_line(), "409 busy");
    await_service(&mut stage.client);
    assert_eq!(elsewhere.ask("DELETE /pool/A/lock/only"), "200");
    assert_eq!(newer.read_line(), "200 only");
}

/// A server that gets SIGTERM first undoes grants without an answer.
#[test]
fn a_server_does_not_end_before_it_has_settled() {
    let mut stage = Stage::new(&["1"]);
    stage.ask_in_vain("POST /pool/A/lock", 1);
    stage.server.signal("TERM");
    stage.gate.open();
    assert!(stage.server.wait().success());
    let other = serve(&stage.redis);
    await_answer(&mut other.connect(), "GET /pool", "200 1 0 0 A");
}
