//! Redis loses data, in whole or in part, and no fence is given twice: by no server, whether it saw the earlier
//! fences or not.

use std::collections::HashSet;

use super::*;
use crate::metrics::scrape;
use crate::support::redis::DURABLE;

/// All fences of grants in pool A.
#[derive(Default)]
struct Fences(HashSet<u64>);

impl Fences {
    /// Takes and gives back a lock through this server, several times.
    #[track_caller]
    fn lend(&mut self, server: &Server, times: usize) {
        let mut client = server.connect();
        await_service(&mut client);
        for _ in 0..times {
            let (fence, id) = grant(&client.ask("POST /pool/A/lock?lease"));
            assert!(self.0.insert(fence), "{fence} is given twice: {:?}", self.0);
            let highest = self.0.iter().max();
            assert_eq!(highest, Some(&fence), "fences rise");
            let release = format!("DELETE /pool/A/lock/{id}?fence={fence}");
            assert_eq!(client.ask(&release), "200");
        }
    }
}

fn histories(server: &Server) -> f64 {
    scrape(server.address).value("latchd_redis_histories_total", &[])
}

/// The connections stay, and the second server has seen less than the first one.
#[test]
fn no_fence_is_given_twice_though_redis_is_emptied() {
    let redis = RedisServer::start();
    let servers = [serve(&redis), serve(&redis)];
    let mut fences = Fences::default();
    drop(with_pool(&servers[0], &["1", "2"]));
    fences.lend(&servers[1], 2);
    fences.lend(&servers[0], 3);
    for round in 1..=2 {
        redis.order(&["FLUSHALL"]);
        drop(with_pool(&servers[1], &["1", "2"]));
        fences.lend(&servers[1], 3);
        fences.lend(&servers[0], 3);
        assert_eq!(histories(&servers[1]), f64::from(round));
        fences.lend(&servers[1], 1);
    }
    // A removal through the first server leaves its mark, though the list is empty.
    assert_eq!(servers[0].connect().ask("DELETE /pool/A"), "200");
    drop(with_pool(&servers[1], &["1", "2"]));
    fences.lend(&servers[1], 1);
}

/// The pool is listed and not there: so a seed finds it if Redis is emptied between its listing and its members.
#[test]
fn no_fence_is_given_twice_though_a_pool_is_lost_behind_its_listing() {
    let redis = RedisServer::start();
    let (first, second) = (serve(&redis), serve(&redis));
    let mut fences = Fences::default();
    drop(with_pool(&first, &["1"]));
    fences.lend(&second, 1);
    fences.lend(&first, 4);
    redis.order(&["DEL", "t:{A}", "t:{A}:members", "t:{A}:free"]);
    drop(with_pool(&second, &["1"]));
    fences.lend(&second, 1);
}

/// As if both were evicted. A new server knows only the history, which says that fences are above 0.
#[test]
fn no_fence_is_given_twice_though_the_list_and_a_pool_are_lost() {
    let redis = RedisServer::start();
    let mut fences = Fences::default();
    let first = serve(&redis);
    drop(with_pool(&first, &["1"]));
    fences.lend(&first, 3);
    drop(first);
    redis.order(&["DEL", "t:index", "t:{A}", "t:{A}:members", "t:{A}:free"]);
    assert_eq!(redis.ask(&["EXISTS", "t:history"]), "1");
    let second = serve(&redis);
    drop(with_pool(&second, &["1"]));
    fences.lend(&second, 3);
}

/// An append-only file that is older than the last grants, which only the first server has seen.
#[test]
fn no_fence_is_given_twice_though_redis_comes_back_with_an_older_file() {
    let mut redis = RedisServer::start_with(&DURABLE);
    let servers = [serve(&redis), serve(&redis)];
    let mut fences = Fences::default();
    drop(with_pool(&servers[0], &["1", "2"]));
    fences.lend(&servers[1], 2);
    redis.keep_file();
    for round in 1..=2 {
        fences.lend(&servers[0], 3);
        redis.kill();
        redis.bring_file_back();
        redis.resume();
        fences.lend(&servers[1], 3);
        fences.lend(&servers[0], 2);
        let seen = servers.each_ref().map(histories);
        assert_eq!(seen, [f64::from(round); 2], "each counts each once");
    }
}

/// No server is left that saw the fences of before.
#[test]
fn no_fence_is_given_twice_though_redis_and_all_servers_forget() {
    let mut redis = RedisServer::start_new(&[]);
    let mut fences = Fences::default();
    for _ in 0..2 {
        let server = serve(&redis);
        let mut client = server.connect();
        assert_eq!(client.ask("PUT /pool/A [1]"), r#"200 ["1"]"#);
        fences.lend(&server, 3);
        drop(server);
        redis.kill();
        redis.resume();
    }
    let above_all = fences.0.iter().max() < Some(&(1 << 53));
    assert!(above_all, "a double holds each of them: {:?}", fences.0);
}

/// A connection that was lost is no new history.
#[test]
fn fences_go_on_by_one_though_a_connection_is_lost() {
    let redis = RedisServer::start_new(&[]);
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1"]);
    let (fence, _) = grant(&client.ask("POST /pool/A/lock?lease"));
    assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
    redis.cut_all();
    let answer = eventually("the store is back", || {
        Some(client.ask("POST /pool/A/lock?lease")).filter(|answer| answer != DOWN)
    });
    assert_eq!(grant(&answer).0, fence + 1);
    assert_eq!(histories(&server), 0.0);
}
