//! Redis' clock is set while locks are held and clients wait: no lease ends early by it, and each waiter keeps its
//! place.

use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::metrics::scrape;
use crate::support::launch::latchd_in;
use crate::support::redis::Logged;

const HOUR_MS: i64 = 3_600_000;

/// Within this time a server that has died is out of every line: with a look of the others.
const LAPSE: Duration = Duration::from_secs(8);

/// Waits until all servers have seen this number of jumps. A waiter gives a sign of life, and with that reads the
/// clock.
#[track_caller]
fn await_jumps(servers: &[&Server], expected: f64) {
    for server in servers {
        eventually("the jump is seen", || {
            let seen = scrape(server.address).value("latchd_redis_clock_jumps_total", &[]);
            assert!(seen <= expected, "{seen} jumps are seen");
            (seen == expected).then_some(())
        });
    }
}

/// The rest of the only lease, in seconds.
#[track_caller]
fn seconds_left(client: &mut Client) -> u64 {
    let listed = client.ask("GET /pool/A/lock");
    let ttl = listed.split(' ').nth(2).and_then(|ttl| ttl.parse().ok());
    ttl.unwrap_or_else(|| panic!("it is held: {listed}"))
}

/// Waiters of two servers, in turns, behind a holder with a lease of a minute.
struct Stage {
    redis: RedisServer,
    servers: [Server; 2],
    holder: Client,
    line: Vec<Client>,
}

impl Stage {
    fn new() -> Stage {
        let redis = RedisServer::start_on_a_clock(&[]);
        let servers = [serve(&redis), serve(&redis)];
        let mut holder = with_pool(&servers[0], &["only"]);
        let held = holder.ask("POST /pool/A/lock?lease&ttl=60");
        assert_eq!(held, "200 1 60 only");
        let line = (0..4).map(|ahead| park(&servers[ahead % 2], WAIT, ahead));
        Stage {
            line: line.collect(),
            redis,
            servers,
            holder,
        }
    }

    /// The clock is set: the lease continues, and so does the queue.
    #[track_caller]
    fn jump(&mut self, ahead_ms: i64, jumps: f64) {
        let before = seconds_left(&mut self.holder);
        let set = Instant::now();
        self.redis.set_clock_ahead(ahead_ms);
        let [one, other] = &self.servers;
        await_jumps(&[one, other], jumps);
        let after = seconds_left(&mut self.holder);
        let gone = set.elapsed().as_secs() + 2;
        assert!(
            (before.saturating_sub(gone)..=before + 2).contains(&after),
            "{before} s are left, and {after} s after {ahead_ms} ms"
        );
        assert_eq!(self.holder.ask("GET /pool"), "200 1 1 4 A");
        self.line.iter_mut().for_each(expect_silence);
    }

    #[track_caller]
    fn pass_through(mut self) {
        assert_eq!(self.holder.ask("DELETE /pool/A/lock/only"), "200");
        let mut fence = 1;
        for place in 0..4 {
            let granted = grant(&self.line[place].read_line());
            assert!(granted.0 > fence, "{granted:?} comes after {fence}");
            fence = granted.0;
            self.line[place + 1..].iter_mut().for_each(expect_silence);
            let release = format!("DELETE /pool/A/lock/only?fence={fence}");
            assert_eq!(self.line[place].ask(&release), "200");
        }
    }
}

#[test]
fn a_clock_that_is_set_forward_ends_no_lease_and_takes_no_place() {
    let mut stage = Stage::new();
    stage.jump(8_000, 1.0);
    stage.jump(HOUR_MS, 2.0);
    stage.pass_through();
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let mut stage = Stage::new();
    stage.jump(-HOUR_MS, 1.0);
    stage.jump(0, 2.0);
    stage.pass_through();
}

/// A lock is taken through one server before that one has seen the jump.
#[test]
fn a_lease_that_begins_with_the_jump_has_its_full_time() {
    let redis = RedisServer::start_on_a_clock(&[]);
    let server = serve(&redis);
    let mut client = with_pool(&server, &["1", "2", "3"]);
    for (ahead_ms, granted) in [
        (HOUR_MS, "200 1 60 3"),
        (-HOUR_MS, "200 2 60 2"),
        (0, "200 3 60 1"),
    ] {
        redis.set_clock_ahead(ahead_ms);
        assert_eq!(client.ask("POST /pool/A/lock?lease&ttl=60"), granted);
    }
    // By another server, which has not seen how the clock stood before.
    let listed = serve(&redis).connect().ask("GET /pool/A/lock");
    let left: Vec<u64> = listed
        .split(['\t', ' '])
        .skip(2)
        .step_by(3)
        .map(|ttl| ttl.parse().expect("a ttl"))
        .collect();
    assert!(
        left.len() == 3 && left.iter().all(|left| (40..=61).contains(left)),
        "{listed}"
    );
    assert_eq!(
        scrape(server.address).value("latchd_redis_clock_jumps_total", &[]),
        3.0
    );
}

/// No server is left that knows how the clock stood, and the dead one's sign of life is an hour ahead.
#[test]
fn a_server_that_died_before_the_clock_was_set_back_leaves_the_queue() {
    let redis = RedisServer::start_on_a_clock(&[]);
    let mut lost = serve(&redis);
    let mut holder = with_pool(&lost, &["only"]);
    assert_eq!(holder.ask("POST /pool/A/lock?lease"), "200 1 - only");
    let _first = park(&lost, WAIT, 0);
    lost.kill();
    redis.set_clock_ahead(-HOUR_MS);
    let server = serve(&redis);
    let mut second = park(&server, WAIT, 1);
    let released = Instant::now();
    assert_eq!(server.connect().ask("DELETE /pool/A/lock/only"), "200");
    grant(&second.read_line());
    let time = released.elapsed();
    assert!(time < LAPSE, "served after {time:?}");
}

/// The sum of the jumps is lost with all else, and a server that has seen none of them connects.
#[test]
fn a_jump_is_known_after_redis_was_emptied() {
    let redis = RedisServer::start_on_a_clock(&[]);
    let server = serve(&redis);
    let mut client = with_pool(&server, &["only"]);
    redis.set_clock_ahead(HOUR_MS);
    assert_eq!(
        client.ask("POST /pool/A/lock?lease&ttl=60"),
        "200 1 60 only"
    );
    redis.order(&["FLUSHALL"]);
    drop(with_pool(&server, &["only"]));
    let held = client.ask("POST /pool/A/lock?lease&ttl=60");
    let (fence, _) = grant(&held);
    let second = serve(&redis);
    let mut other = second.connect();
    assert!((40..=60).contains(&seconds_left(&mut other)));
    assert_eq!(other.ask("POST /pool/A/lock"), "409 busy");
    assert_eq!(
        client.ask(&format!("DELETE /pool/A/lock/only?fence={fence}")),
        "200"
    );
}

/// A server that knows of no jump connects before the one that has seen it reads the clock again.
#[test]
fn a_sum_that_is_lost_is_written_again() {
    let redis = RedisServer::start_on_a_clock(&[]);
    let server = serve(&redis);
    let mut client = with_pool(&server, &["only"]);
    redis.set_clock_ahead(HOUR_MS);
    assert_eq!(
        client.ask("POST /pool/A/lock?lease&ttl=60"),
        "200 1 60 only"
    );
    let sum = || redis.ask(&["HGET", "t:history", "jumps"]).parse::<i64>();
    assert!(sum().is_ok_and(|sum| sum > HOUR_MS - 2_000));
    redis.order(&["DEL", "t:history"]);
    let _other = serve(&redis);
    eventually("the sum is there again", || {
        (sum().ok()? > HOUR_MS - 2_000).then_some(())
    });
    assert!((20..=60).contains(&seconds_left(&mut client)));
}

/// No client asks for anything, and none waits.
#[test]
fn an_idle_server_sees_a_jump() {
    let redis = RedisServer::start_on_a_clock(&[]);
    let servers = [serve(&redis), serve(&redis)];
    for server in &servers {
        await_service(&mut server.connect());
    }
    redis.set_clock_ahead(HOUR_MS);
    await_jumps(&[&servers[0], &servers[1]], 1.0);
}

#[test]
fn a_clock_that_differs_and_one_that_jumps_are_warned_of() {
    let redis = RedisServer::start_on_a_clock(&[]);
    redis.set_clock_ahead(30_500);
    let folder = TempDir::new().expect("a folder");
    let url = redis.url();
    let arguments = [
        &["--listen", "127.0.0.1:0", "--store", &url],
        &ARGUMENTS[..],
    ]
    .concat();
    let mut latchd = Logged::start(latchd_in(&folder, &arguments));
    latchd.wait_for(|line| {
        line.contains("WARN") && line.contains("its clock is 30 s ahead of this machine's")
    });
    let mut client = Client::connect(latchd.address);
    await_answer(&mut client, "POST /pool/A 1", r#"200 ["1"]"#);
    redis.set_clock_ahead(-HOUR_MS);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
    latchd.wait_for(|line| {
        line.contains("WARN") && line.contains("has jumped 3630.") && line.contains("s back")
    });
}
