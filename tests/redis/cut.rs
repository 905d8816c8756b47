//! Connections to Redis that are cut again and again while requests are in flight: a client that was
//! granted a resource is its only holder, and a grant without an answer is undone in the end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::support::redis::let_pass;

const IDS: [&str; 3] = ["1", "2", "3"];

/// The state by the clients' answers, by the place of a resource in `IDS`.
#[derive(Default)]
struct Board {
    held: [AtomicBool; IDS.len()],
    fences: [AtomicU64; IDS.len()],
    granted: AtomicUsize,
    refused: AtomicUsize,
}

impl Board {
    #[track_caller]
    fn put(&self, answer: &str) -> (u64, usize) {
        let (fence, id) = grant(answer);
        let place = IDS.iter().position(|known| *known == id).expect("a member");
        let held = self.held[place].swap(true, Ordering::SeqCst);
        assert!(!held, "{id} is lent twice, the second time under {fence}");
        let before = self.fences[place].swap(fence, Ordering::SeqCst);
        assert!(before < fence, "fence {fence} of {id} comes after {before}");
        self.granted.fetch_add(1, Ordering::Relaxed);
        (fence, place)
    }

    fn take(&self, place: usize) {
        self.held[place].store(false, Ordering::SeqCst);
    }
}

/// Locks and releases until it is stopped. An answer that the contract does not know fails the test.
fn work(address: SocketAddr, parameters: &str, board: &Board, stop: &AtomicBool) {
    let mut client = Client::connect(address);
    while !stop.load(Ordering::Relaxed) {
        let answer = client.ask(&format!("POST /pool/A/lock?lease{parameters}"));
        if answer == DOWN {
            board.refused.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        if answer == "409 busy" {
            continue;
        }
        let (fence, place) = board.put(&answer);
        board.take(place);
        // It is this client's until an answer denies that, or it asks under an old fence.
        loop {
            let answer = client.ask(&format!("DELETE /pool/A/lock/{}?fence={fence}", IDS[place]));
            match &*answer {
                "200" | "404 not held" | "409 stale" => break,
                DOWN => thread::sleep(Duration::from_millis(1)),
                _ => panic!("{answer}"),
            }
        }
    }
}

/// Stops the others, also if this one ends by failing.
struct StopAtTheEnd<'a>(&'a AtomicBool);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[track_caller]
fn harass(servers: &[&Server], harm: impl Fn()) {
    let mut observer = with_pool(servers[0], &IDS);
    let (board, stop) = (Board::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        let _stop = StopAtTheEnd(&stop);
        for number in 0..8 {
            let address = servers[number % servers.len()].address;
            let parameters = match number / 2 % 2 {
                0 => "",
                _ => "&wait=5",
            };
            let (board, stop) = (&board, &stop);
            scope.spawn(move || work(address, parameters, board, stop));
        }
        for _ in 0..12 {
            let before = board.granted.load(Ordering::Relaxed);
            harm();
            // The next time when they are at work again.
            eventually("a waiter is served", || {
                (board.granted.load(Ordering::Relaxed) > before + 8).then_some(())
            });
        }
    });
    await_service(&mut observer);
    await_answer(&mut observer, "GET /pool", "200 3 0 0 A");
    let (granted, refused) = (board.granted.into_inner(), board.refused.into_inner());
    eprintln!("{granted} granted, {refused} refused");
    let highest = board
        .fences
        .iter()
        .map(|fence| fence.load(Ordering::Relaxed));
    let (fence, _) = grant(&observer.ask("POST /pool/A/lock?lease"));
    assert!(Some(fence) > highest.max(), "fences go on rising");
}

#[test]
fn nothing_is_lent_twice_or_lost_while_connections_are_cut() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    harass(&[&server], || redis.cut_all());
}

#[test]
fn nothing_is_lent_twice_or_lost_while_the_connections_of_two_servers_are_cut() {
    let redis = RedisServer::start();
    let (one, other) = (serve(&redis), serve(&redis));
    harass(&[&one, &other], || redis.cut_all());
}

#[test]
fn nothing_is_lent_twice_or_lost_while_redis_stands_still_now_and_then() {
    let redis = RedisServer::start();
    let (one, other) = (serve(&redis), serve(&redis));
    harass(&[&one, &other], || {
        redis.freeze();
        let_pass(TIMEOUT + Duration::from_millis(300));
        redis.thaw();
    });
}

/// A resource becomes free while the waiter's server is not connected.
#[test]
fn a_waiter_is_served_although_the_message_was_cut_off() {
    let redis = RedisServer::start();
    let other = serve(&redis);
    let mut holder = with_pool(&other, &["only"]);
    let of_other = redis.connections();
    let one = serve(&redis);
    await_service(&mut one.connect());
    for _ in 0..5 {
        let (fence, _) = grant(&holder.ask("POST /pool/A/lock?lease"));
        let mut waiter = park(&one, WAIT, 0);
        let mut of_one = redis.connections();
        of_one.retain(|number| !of_other.contains(number));
        assert!(!of_one.is_empty());
        redis.cut(&of_one);
        let release = format!("DELETE /pool/A/lock/only?fence={fence}");
        assert_eq!(holder.ask(&release), "200");
        let (fence, _) = grant(&waiter.read_line());
        let release = format!("DELETE /pool/A/lock/only?fence={fence}");
        assert_eq!(holder.ask(&release), "200");
    }
}

/// The release itself is cut off, or its answer, and is repeated.
#[test]
fn a_waiter_is_served_although_the_release_was_cut_off() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    for _ in 0..20 {
        let (fence, _) = grant(&holder.ask("POST /pool/A/lock?lease"));
        let mut waiter = park(&server, WAIT, 0);
        holder.send(format!("DELETE /pool/A/lock/only?fence={fence}\n"));
        redis.cut_all();
        let mut answer = holder.read_line();
        while answer == DOWN {
            answer = holder.ask(&format!("DELETE /pool/A/lock/only?fence={fence}"));
        }
        assert!(
            ["200", "404 not held", "409 stale"].contains(&&*answer),
            "{answer}"
        );
        let (fence, _) = grant(&waiter.read_line());
        await_service(&mut holder);
        let release = format!("DELETE /pool/A/lock/only?fence={fence}");
        assert_eq!(holder.ask(&release), "200");
    }
}

/// Every connection is cut while a client waits, and it keeps its place in the queue.
#[test]
fn a_waiter_keeps_its_place_while_connections_are_cut() {
    let redis = RedisServer::start();
    let server = serve(&redis);
    let mut holder = with_pool(&server, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let mut line = Vec::new();
    for ahead in 0..4 {
        line.push(park(&server, WAIT, ahead));
        redis.cut_all();
        await_service(&mut holder);
        await_line_of(&mut holder, ahead + 1);
    }
    line.iter_mut().for_each(expect_silence);
    assert_eq!(holder.ask("DELETE /pool/A/lock/only?fence=1"), "200");
    pass_through(&mut line, 1);
}
