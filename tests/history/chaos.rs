//! The processes of a campaign, and everything that is done to them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::call::{Disturbance, SECOND, Time};
use super::wire::{Clock, ServerAddress, ServerAddresses};
use crate::redis::gate::Gate;
use crate::support::redis::RedisServer;
use crate::support::{Server, signal};

/// `--redis-timeout`, in seconds.
pub const REDIS_TIMEOUT_S: u64 = 1;

/// A server that Redis has not heard for five seconds counts as dead, and its waiters leave the queue. A
/// shorter fault must not cost a waiter its place.
const HARMLESS: Time = 2 * SECOND;

/// The longest delay of a piece of a reply from Redis on a slow link, in milliseconds.
const MAX_DELAY_MS: u64 = 60;

/// Redis' clock is off by an hour at most.
const MAX_AHEAD_MS: i64 = 3_600_000;

/// A campaign that lasts longer has time for longer faults.
const LONG: Duration = Duration::from_secs(12);

/// The store of the servers of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    Redis,
    /// One server on a file.
    File,
}

/// A Redis, and the gate between it and the servers.
struct SharedRedis {
    redis: RedisServer,
    gate: Gate,
}

/// latchd processes on one Redis, or one on a file.
pub struct Cluster<'a> {
    shared: Option<SharedRedis>,
    pub disturbances: Vec<Disturbance>,
    /// The faults and repairs, with their times.
    pub log: Vec<(Time, String)>,
    pub(super) servers: Vec<(Server, usize)>,
    /// The number of processes started so far.
    started: &'a AtomicUsize,
    pub(super) clock: Clock,
    addresses: &'a ServerAddresses,
}

impl<'a> Cluster<'a> {
    pub fn start(
        ground: Ground,
        count: usize,
        clock: Clock,
        addresses: &'a ServerAddresses,
        started: &'a AtomicUsize,
    ) -> Cluster<'a> {
        let shared = (ground == Ground::Redis).then(|| {
            let redis = RedisServer::durable_on_a_clock();
            let gate = Gate::before(&redis);
            SharedRedis { redis, gate }
        });
        let timeout = REDIS_TIMEOUT_S.to_string();
        let start = |_| {
            let server = match &shared {
                Some(shared) => {
                    let arguments = ["--redis-timeout", &timeout, "--queue-grace", "1"];
                    Server::start_at(&shared.gate.url(), &arguments)
                }
                None => Server::start_on_a_disk_that_fills(&["--queue-grace", "1"]),
            };
            (server, started.fetch_add(1, Ordering::Relaxed))
        };
        let servers = (0..count).map(start).collect();
        let cluster = Cluster {
            servers,
            shared,
            disturbances: Vec::new(),
            log: Vec::new(),
            started,
            clock,
            addresses,
        };
        cluster.open_doors();
        cluster
    }

    /// Does one harm after the other, and mends all of them.
    pub fn suffer(&mut self, duration: Duration, random: &mut Rng) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            // Now and then long enough to recover from all faults.
            let calm_ms = if random.u8(..8) == 0 { 1_200 } else { 200 };
            thread::sleep(Duration::from_millis(random.u64(10..calm_ms)));
            match random.u8(..22) {
                0..9 => self.cut_clients(random),
                12..15 => self.kill_server(random),
                15 => self.freeze_server(random, 800),
                // Longer than it may be silent without being thought dead.
                16 if duration > LONG => self.freeze_server(random, 8_000),
                16 => self.freeze_server(random, 300),
                _ if self.shared.is_none() => self.hurt_file(random),
                9..12 => self.cut_redis(random),
                17 => self.hold_up_redis(random),
                18 => self.limit_redis(random),
                19 => self.set_clock(random),
                20 => self.slow_link(random),
                _ => {
                    let with_server = random.bool();
                    self.kill_redis(random, with_server);
                }
            }
        }
    }

    /// The Redis that all servers share.
    pub fn redis(&self) -> &RedisServer {
        let shared = self.shared.as_ref();
        &shared.expect("this campaign is on a Redis").redis
    }

    fn cut_clients(&mut self, random: &mut Rng) {
        let count = random.usize(1..4);
        self.note(format!("{count} clients are cut off"));
        (0..count).for_each(|_| self.addresses.cut_one(random));
    }

    fn cut_redis(&mut self, random: &mut Rng) {
        let from = self.clock.now();
        match random.choice(["normal", "pubsub", "scripts"]) {
            Some("scripts") => {
                self.note("Redis forgets all scripts".into());
                self.redis().order(&["SCRIPT", "FLUSH"]);
            }
            kind => {
                let kind = kind.expect("there are some to choose from");
                self.note(format!("all {kind} connections to Redis are cut"));
                self.redis().cut_connections(kind);
            }
        }
        self.mended(None, from);
    }

    fn kill_server(&mut self, random: &mut Rng) {
        let at = random.usize(..self.servers.len());
        self.kill(at);
        rest(random, 100);
        self.restart(at);
    }

    pub(super) fn kill(&mut self, at: usize) {
        let from = self.clock.now();
        let (server, number) = &mut self.servers[at];
        let number = *number;
        server.kill();
        self.note(format!("server {number} is killed"));
        self.disturbances.push(Disturbance {
            server: Some(number),
            from,
            until: self.clock.now() + 5 * SECOND,
            costs_places: true,
        });
    }

    /// As a new process, at a new address.
    pub(super) fn restart(&mut self, at: usize) {
        let (server, number) = &mut self.servers[at];
        server.restart();
        *number = self.started.fetch_add(1, Ordering::Relaxed);
        let number = *number;
        self.note(format!("server {number} is started"));
        self.open_doors();
    }

    fn freeze_server(&mut self, random: &mut Rng, most_ms: u64) {
        let at = random.usize(..self.servers.len());
        let (server, number) = &self.servers[at];
        let (pid, number) = (server.pid(), *number);
        let from = self.clock.now();
        self.note(format!("server {number} is stopped"));
        signal(pid, "STOP");
        rest(random, most_ms);
        signal(pid, "CONT");
        self.mended(Some(number), from);
    }

    /// Freezes Redis, or delays its replies.
    fn hold_up_redis(&mut self, random: &mut Rng) {
        let from = self.clock.now();
        let is_stopped = random.bool();
        let shared = self.shared.as_ref();
        let SharedRedis { redis, gate } = shared.expect("this campaign is on a Redis");
        match is_stopped {
            true => redis.freeze(),
            false => gate.shut(),
        }
        // Longer or shorter than a server waits for it.
        rest(random, 1_500 * REDIS_TIMEOUT_S);
        match is_stopped {
            true => redis.thaw(),
            false => gate.open(),
        }
        let what = match is_stopped {
            true => "Redis is stopped",
            false => "the link stands still",
        };
        self.log.push((from, what.into()));
        self.mended(None, from);
    }

    /// Delays each piece of Redis' replies, for a while.
    fn slow_link(&mut self, random: &mut Rng) {
        let from = self.clock.now();
        let delay_ms = random.u64(1..=MAX_DELAY_MS);
        self.note(format!("the link takes {delay_ms} ms"));
        let shared = self.shared.as_ref();
        let gate = &shared.expect("this campaign is on a Redis").gate;
        gate.delay(delay_ms);
        rest(random, 1_500);
        gate.delay(0);
        self.mended(None, from);
    }

    /// Redis' clock is set, forward or back.
    fn set_clock(&mut self, random: &mut Rng) {
        let from = self.clock.now();
        let ahead_ms = random.i64(-MAX_AHEAD_MS..=MAX_AHEAD_MS) / 10_i64.pow(random.u32(..4));
        self.note(format!("Redis' clock is set to {ahead_ms} ms"));
        self.redis().set_clock_ahead(ahead_ms);
        self.mended(None, from);
    }

    /// Redis has no memory left, or takes away the right to carry out scripts.
    fn limit_redis(&mut self, random: &mut Rng) {
        let from = self.clock.now();
        let (what, limit, end): (_, &[&str], &[&str]) = match random.bool() {
            true => (
                "Redis is full",
                &["CONFIG", "SET", "maxmemory", "1"],
                &["CONFIG", "SET", "maxmemory", "0"],
            ),
            false => (
                "rights are taken away",
                &["ACL", "SETUSER", "default", "-evalsha"],
                &["ACL", "SETUSER", "default", "+@all"],
            ),
        };
        self.note(what.into());
        self.redis().order(limit);
        rest(random, 500);
        self.redis().order(end);
        self.mended(None, from);
    }

    /// Kills Redis, perhaps together with a server, and starts both again.
    fn kill_redis(&mut self, random: &mut Rng, with_server: bool) {
        let from = self.clock.now();
        self.note("Redis is killed".into());
        if let Some(shared) = &mut self.shared {
            shared.redis.kill();
        }
        let victim = with_server.then(|| random.usize(..self.servers.len()));
        if let Some(at) = victim {
            self.kill(at);
        }
        rest(random, 300);
        if let Some(shared) = &mut self.shared {
            shared.redis.resume();
        }
        self.mended(None, from);
        if let Some(at) = victim {
            self.restart(at);
        }
    }

    /// Notes that a server, or Redis, runs again that has stood still since `from`.
    fn mended(&mut self, server: Option<usize>, from: Time) {
        let now = self.clock.now();
        let who = server.map_or("Redis".into(), |number| format!("server {number}"));
        self.note(format!("{who} goes on"));
        self.disturbances.push(Disturbance {
            server,
            from,
            until: now + SECOND,
            costs_places: now - from > HARMLESS,
        });
    }

    /// A store works again that was down since `from`: it has lost its queues, and leases restart.
    pub(super) fn recovered(&mut self, from: Time) {
        self.note("the store goes on".into());
        let now = self.clock.now();
        // The store is retried after a second. Earlier facts about a lease no longer say when it ends.
        for (until, costs_places) in [(now + 2 * SECOND, true), (now + 5 * SECOND, false)] {
            self.disturbances.push(Disturbance {
                server: None,
                from,
                until,
                costs_places,
            });
        }
    }

    /// All processes end in good order: none of them has failed on the way.
    pub fn end(&mut self) -> Result<(), String> {
        for (server, number) in &mut self.servers {
            let status = server.terminate();
            if !status.success() {
                let log = server.rest_of_log().join("\n");
                return Err(format!("server {number} ends with {status}:\n{log}"));
            }
        }
        Ok(())
    }

    /// Describes the faults, a pool's queue in Redis, and the logs of the servers, which it ends for
    /// that.
    pub fn in_words(&mut self, pool: &str) -> String {
        let log = self
            .log
            .iter()
            .map(|(at, what)| format!("{at:>10} {what}\n"));
        let mut text: String = log.collect();
        if let Some(shared) = &self.shared {
            text.push_str(&line_in(&shared.redis, pool));
        }
        for (server, number) in &mut self.servers {
            server.terminate();
            let lines = server.rest_of_log().join("\n  ");
            text.push_str(&format!("server {number}:\n  {lines}\n"));
        }
        text
    }

    fn open_doors(&self) {
        let target = |(server, number): &(Server, usize)| ServerAddress {
            address: server.address,
            server: *number,
        };
        self.addresses
            .set(self.servers.iter().map(target).collect());
    }

    pub(super) fn note(&mut self, what: String) {
        self.log.push((self.clock.now(), what));
    }
}

/// Describes a pool's queue in Redis.
fn line_in(redis: &RedisServer, pool: &str) -> String {
    let mut text = String::new();
    let commands: [(&str, &[&str]); 4] = [
        ("HGETALL", &["waiters"]),
        ("ZRANGE", &["servers", "0", "-1", "WITHSCORES"]),
        ("ZRANGE", &["absent", "0", "-1", "WITHSCORES"]),
        ("HGETALL", &["held"]),
    ];
    for (command, words) in commands {
        let key = format!("pool:{{{pool}}}:{}", words[0]);
        let command = [&[command, &*key], &words[1..]].concat();
        text.push_str(&format!("{command:?}: {:?}\n", redis.ask(&command)));
    }
    text + &format!("TIME: {:?}\n", redis.ask(&["TIME"]))
}

pub(super) fn rest(random: &mut Rng, most_ms: u64) {
    thread::sleep(Duration::from_millis(random.u64(..most_ms)));
}
