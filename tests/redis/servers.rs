//! Several servers on one Redis are as one, whichever of them a client asks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Two servers, and a connection to each; pool A has these members.
fn pair(redis: &RedisServer, ids: &[&str]) -> ([Server; 2], [Client; 2]) {
    let servers = [serve(redis), serve(redis)];
    let first = with_pool(&servers[0], ids);
    let second = servers[1].connect();
    (servers, [first, second])
}

#[test]
fn a_lock_of_one_server_is_a_lock_of_the_other() {
    let redis = RedisServer::start();
    let (_servers, [mut one, mut other]) = pair(&redis, &["1", "2"]);
    assert_eq!(other.ask("GET /pool/A"), "200 1\t2");
    assert_eq!(
        one.ask("POST /pool/A/lock?lease&owner=a&ttl=60"),
        "200 1 60 2"
    );
    assert_eq!(other.ask("POST /pool/A/lock/2"), "409 busy");
    assert_eq!(other.ask("POST /pool/A/lock?lease"), "200 2 - 1");
    assert_eq!(one.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(other.ask("GET /pool"), "200 2 2 0 A");
    // An owner is the same one everywhere.
    let again = other.ask("POST /pool/A/lock?lease&owner=a&ttl=60");
    assert_eq!(again, "200 1 60 2");
    assert_eq!(other.ask("PUT /pool/A/lock/2?owner=b"), "409 not yours");
    assert_eq!(
        other.ask("PUT /pool/A/lock/2?owner=a&ttl=90&lease"),
        "200 1 90 2"
    );
    assert_eq!(other.ask("DELETE /pool/A/lock/2?owner=a"), "200");
    assert_eq!(one.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(one.ask("DELETE /pool/A/lock/2"), "404 not held");
    assert_eq!(other.ask("POST /pool/A 3"), r#"200 ["1","2","3"]"#);
    assert_eq!(one.ask("POST /pool/A/lock?lease"), "200 3 - 3");
    assert_eq!(other.ask("DELETE /pool/A"), "200");
    assert_eq!(one.ask("POST /pool/A/lock"), "404 no pool");
}

#[test]
fn a_release_on_one_server_wakes_waiters_on_the_other() {
    const ROUNDS: usize = 30;
    let redis = RedisServer::start();
    let (servers, [mut one, mut other]) = pair(&redis, &["only"]);
    assert_eq!(one.ask("POST /pool/A/lock"), "200 only");
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let mut waiter = park(&servers[0], WAIT, 0);
            let released = Instant::now();
            assert_eq!(other.ask("DELETE /pool/A/lock/only"), "200");
            grant(&waiter.read_line());
            released.elapsed()
        })
        .collect();
    times.sort_unstable();
    let median = times[ROUNDS / 2];
    eprintln!("from a release to the lock on the other server: {times:?}");
    assert!(median < Duration::from_millis(50), "{times:?}");
}

#[test]
fn the_queue_is_one_across_servers() {
    let redis = RedisServer::start();
    let (servers, [mut one, mut other]) = pair(&redis, &["only"]);
    assert_eq!(one.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let mut line: Vec<Client> = (0..8)
        .map(|ahead| park(&servers[ahead % 2], WAIT, ahead))
        .collect();
    assert_eq!(one.ask("GET /pool"), "200 1 1 8 A");
    assert_eq!(other.ask("GET /pool"), "200 1 1 8 A");
    assert_eq!(other.ask("DELETE /pool/A/lock/only"), "200");
    for (place, fence) in (0..8).zip(2..) {
        assert_eq!(line[place].read_line(), format!("200 {fence} - only"));
        // A client that does not wait comes right behind the release, on either server.
        let releasing = match place / 2 % 2 {
            0 => &mut one,
            _ => &mut other,
        };
        releasing.send("DELETE /pool/A/lock/only\nPOST /pool/A/lock\n");
        assert_eq!(releasing.read_line(), "200");
        let taken = releasing.read_line();
        match place {
            7 => assert_eq!(taken, "200 only", "the queue is empty"),
            _ => assert_eq!(taken, "409 busy", "a waiter is queued"),
        }
    }
    assert_eq!(one.ask("GET /pool"), "200 1 1 0 A");
}

#[test]
fn a_waiter_for_several_holds_the_queue_on_both_servers() {
    let redis = RedisServer::start();
    let (servers, [mut one, mut other]) = pair(&redis, &["1", "2"]);
    assert_eq!(one.ask("POST /pool/A/lock?n=2"), "200 2\t1");
    let mut both = park(&servers[0], "POST /pool/A/lock?n=2&wait=60", 0);
    let mut any = park(&servers[1], "POST /pool/A/lock?wait=60", 1);
    let mut named = park(&servers[1], "POST /pool/A/lock/1?wait=60", 2);
    assert_eq!(other.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(other.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(one.ask("POST /pool/A/lock/1"), "409 busy");
    for waiter in [&mut both, &mut any, &mut named] {
        expect_silence(waiter);
    }
    assert_eq!(one.ask("DELETE /pool/A/lock/2"), "200");
    assert_eq!(both.read_line().len(), "200 2\t1".len());
    assert_eq!(other.ask("DELETE /pool/A/lock/2"), "200");
    assert_eq!(any.read_line(), "200 2");
    expect_silence(&mut named);
    assert_eq!(one.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(named.read_line(), "200 1");
}

#[test]
fn a_client_that_hangs_up_leaves_the_queue_of_all_servers() {
    let redis = RedisServer::start();
    let (servers, [mut one, mut other]) = pair(&redis, &["only"]);
    assert_eq!(one.ask("POST /pool/A/lock"), "200 only");
    let leaves = park(&servers[0], WAIT, 0);
    let mut stays = park(&servers[1], WAIT, 1);
    drop(leaves);
    await_line_of(&mut other, 1);
    let released = Instant::now();
    assert_eq!(other.ask("DELETE /pool/A/lock/only"), "200");
    grant(&stays.read_line());
    let time = released.elapsed();
    assert!(time < MARGIN, "told after {time:?}");
    assert_eq!(one.ask("GET /pool"), "200 1 1 0 A");
}

/// It leaves where all behind it can be served at once, and they are on the other server.
#[test]
fn a_client_that_hangs_up_lets_those_of_another_server_move_up() {
    let redis = RedisServer::start();
    let (servers, [mut one, _other]) = pair(&redis, &["1", "2"]);
    assert_eq!(one.ask("POST /pool/A/lock"), "200 2");
    let both = park(&servers[0], "POST /pool/A/lock?n=2&wait=60", 0);
    let mut any = park(&servers[1], "POST /pool/A/lock?wait=60", 1);
    expect_silence(&mut any);
    let left = Instant::now();
    drop(both);
    assert_eq!(any.read_line(), "200 1");
    let time = left.elapsed();
    assert!(time < MARGIN, "told after {time:?}");
}

#[test]
fn an_owner_s_place_moves_from_one_server_to_the_other() {
    let redis = RedisServer::start();
    let (servers, [mut one, mut other]) = pair(&redis, &["only"]);
    assert_eq!(one.ask("POST /pool/A/lock"), "200 only");
    let asking = "POST /pool/A/lock?wait=60&owner=a";
    let mut older = park(&servers[0], asking, 0);
    let mut behind = park(&servers[0], WAIT, 1);
    let mut newer = servers[1].connect();
    newer.send(format!("{asking}\n"));
    assert_eq!(older.read_line(), "409 busy");
    await_line_of(&mut other, 2);
    // And back again.
    let mut newest = servers[0].connect();
    newest.send(format!("{asking}\n"));
    assert_eq!(newer.read_line(), "409 busy");
    assert_eq!(other.ask("DELETE /pool/A/lock/only"), "200");
    assert_eq!(newest.read_line(), "200 only");
    expect_silence(&mut behind);
    assert_eq!(other.ask("DELETE /pool/A/lock/only?owner=a"), "200");
    grant(&behind.read_line());
}

#[test]
fn an_owner_that_is_away_holds_up_neither_server() {
    let redis = RedisServer::start();
    let (servers, [mut one, mut other]) = pair(&redis, &["1", "2", "3"]);
    assert_eq!(one.ask("POST /pool/A/lock?n=3"), "200 3\t2\t1");
    let away = park(&servers[0], "POST /pool/A/lock?owner=a&n=2&wait=60", 0);
    let mut behind = park(&servers[1], WAIT, 1);
    let mut last = park(&servers[0], WAIT, 2);
    assert_eq!(other.ask("DELETE /pool/A/lock/1"), "200");
    expect_silence(&mut behind);
    // It was two that it could not have yet: now the other server's client has its turn.
    drop(away);
    assert_eq!(behind.read_line(), "200 2 - 1");
    assert_eq!(one.ask("DELETE /pool/A/lock/2"), "200");
    assert_eq!(last.read_line(), "200 3 - 2");
    for id in ["1", "2"] {
        assert_eq!(other.ask(&format!("DELETE /pool/A/lock/{id}")), "200");
    }
    // Two are reserved; of three, one is left for a newcomer.
    assert_eq!(one.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(other.ask("POST /pool/A/lock/1"), "409 busy");
    assert_eq!(one.ask("DELETE /pool/A/lock/3"), "200");
    assert_eq!(other.ask("POST /pool/A/lock/2"), "200 2");
    assert_eq!(one.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(other.ask("GET /pool"), "200 3 1 1 A");
    let back = other.ask("POST /pool/A/lock?owner=a&n=2");
    assert_eq!(back, "200 1\t3");
}

#[test]
fn an_owner_that_was_cut_off_finds_its_place_on_the_other_server() {
    let redis = RedisServer::start();
    let (servers, [mut one, mut other]) = pair(&redis, &["only"]);
    assert_eq!(one.ask("POST /pool/A/lock"), "200 only");
    let asking = "POST /pool/A/lock?wait=60&owner=a";
    let cut_off = park(&servers[0], asking, 0);
    let mut behind = park(&servers[0], WAIT, 1);
    drop(cut_off);
    let mut back = servers[1].connect();
    back.send(format!("{asking}\n"));
    expect_ping(&mut other);
    await_line_of(&mut other, 2);
    assert_eq!(other.ask("DELETE /pool/A/lock/only"), "200");
    assert_eq!(back.read_line(), "200 only");
    expect_silence(&mut behind);
}

#[test]
fn a_waiter_is_told_what_becomes_of_the_pool_on_the_other_server() {
    let redis = RedisServer::start();
    let (servers, [mut one, mut other]) = pair(&redis, &["1", "2", "3"]);
    assert_eq!(one.ask("POST /pool/A/lock?n=3"), "200 3\t2\t1");
    let mut three = park(&servers[0], "POST /pool/A/lock?n=3&wait=60", 0);
    let mut named = park(&servers[0], "POST /pool/A/lock/3?wait=60", 1);
    let mut any = park(&servers[0], "POST /pool/A/lock?wait=60", 2);
    let told = Instant::now();
    assert_eq!(other.ask("PUT /pool/A [1,2]"), r#"200 ["1","2"]"#);
    assert_eq!(three.read_line(), "422 only 2 resources");
    assert_eq!(named.read_line(), "404 no resource");
    expect_silence(&mut any);
    assert_eq!(other.ask("POST /pool/A 4"), r#"200 ["1","2","4"]"#);
    assert_eq!(any.read_line(), "200 4");
    let mut any = park(&servers[0], "POST /pool/A/lock?wait=60", 0);
    assert_eq!(other.ask("DELETE /pool/A"), "200");
    assert_eq!(any.read_line(), "404 no pool");
    let time = told.elapsed();
    assert!(time < Duration::from_secs(1), "all of it takes {time:?}");
}

#[test]
fn the_end_of_a_lease_wakes_waiters_on_another_server() {
    let redis = RedisServer::start();
    let (servers, [_one, mut other]) = pair(&redis, &["only"]);
    for server in &servers {
        let taken = Instant::now();
        assert_eq!(other.ask("POST /pool/A/lock?ttl=1"), "200 only");
        let mut waiter = park(server, WAIT, 0);
        grant(&waiter.read_line());
        let time = taken.elapsed();
        let about = Duration::from_secs(1)..Duration::from_millis(2200);
        assert!(about.contains(&time), "a lease of 1 s ends after {time:?}");
        assert_eq!(other.ask("DELETE /pool/A/lock/only"), "200");
    }
}

/// The lease is set by the renewal of another server, and the waiter's server knows the old one.
#[test]
fn a_lease_that_another_server_renews_or_shortens() {
    let redis = RedisServer::start();
    let (servers, [mut one, mut other]) = pair(&redis, &["only"]);
    assert_eq!(one.ask("POST /pool/A/lock?ttl=1&lease"), "200 1 1 only");
    let mut waiter = park(&servers[0], WAIT, 0);
    let renewed = Instant::now();
    assert_eq!(other.ask("PUT /pool/A/lock/only?ttl=3"), "200");
    grant(&waiter.read_line());
    let time = renewed.elapsed();
    let about = Duration::from_secs(3)..Duration::from_millis(4200);
    assert!(
        about.contains(&time),
        "renewed for 3 s, and over after {time:?}"
    );
    let mut next = park(&servers[1], WAIT, 0);
    let shortened = Instant::now();
    assert_eq!(one.ask("PUT /pool/A/lock/only?ttl=1"), "200");
    grant(&next.read_line());
    let time = shortened.elapsed();
    assert!(time < Duration::from_millis(2200), "over after {time:?}");
}

/// Many clients at once on both servers, and three resources for all.
#[test]
fn a_crowd_on_two_servers_is_lent_nothing_twice() {
    let redis = RedisServer::start();
    let (servers, [mut one, _other]) = pair(&redis, &["1", "2", "3"]);
    let held: [AtomicBool; 3] = Default::default();
    let highest: [AtomicU64; 3] = Default::default();
    thread::scope(|scope| {
        for number in 0..16 {
            let address = servers[number % 2].address;
            let (held, highest) = (&held, &highest);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..25 {
                    let (fence, id) = grant(&client.ask(WAIT));
                    let place = id.parse::<usize>().expect("a number") - 1;
                    assert!(
                        !held[place].swap(true, Ordering::SeqCst),
                        "{id} is lent twice"
                    );
                    let before = highest[place].swap(fence, Ordering::SeqCst);
                    assert!(before < fence, "{fence} comes after {before}");
                    held[place].store(false, Ordering::SeqCst);
                    let release = format!("DELETE /pool/A/lock/{id}?fence={fence}");
                    assert_eq!(client.ask(&release), "200");
                }
            });
        }
    });
    assert_eq!(one.ask("GET /pool"), "200 3 0 0 A");
    assert!(grant(&one.ask("POST /pool/A/lock?lease")).0 > 400);
}
