//! Clients on a bad network: they ask, wait, lose their connections and their memory, and come
//! again.

use std::cell::RefMut;

use latchd::command::{Command, PoolQuery, Reply};
use latchd::pool::Rules;

use super::operations::Source;
use super::server::{Arrival, Break, Pipe, Server, pool_name};
use super::shrink::{self, Failure, caught};
use super::wire::{Asked, What};

const IDS: [&str; 4] = ["1", "2", "3", "4"];
const OWNERS: [Option<&str>; 6] = [Some("anna"), Some("bert"), Some("carl"), None, None, None];
pub const STEPS: usize = 150;
/// So many steps, and then all comes to rest.
const PHASE: usize = 50;

struct Client {
    owner: Option<&'static str>,
    /// Slot and id of its connection.
    connection: Option<(usize, u64)>,
    half_closed: bool,
    /// The locks that it knows of: pool, resource, fence.
    held: Vec<(&'static str, String, u64)>,
}

struct World {
    server: Server,
    clients: Vec<Client>,
    source: fastrand::Rng,
    log: Vec<String>,
}

/// Runs these steps of one seed, against a server that may be broken.
pub fn run(seed: u64, steps: &[usize], broken: Option<Break>) -> Result<(), Failure> {
    let mut source = fastrand::Rng::with_seed(seed);
    let rules = Rules {
        queue_grace_ms: source.one_of(&[10_000, 1_500]),
        max_waiters: source.one_of(&[100_000, 3]),
        ..Rules::default()
    };
    let clients = OWNERS.map(|owner| Client {
        owner,
        connection: None,
        half_closed: false,
        held: Vec::new(),
    });
    let mut world = World {
        server: Server::new(rules, broken),
        clients: clients.into(),
        source,
        log: Vec::new(),
    };
    caught(|| world.live(seed, steps)).map_err(|difference| Failure {
        difference,
        log: world.log,
    })
}

impl World {
    fn live(&mut self, seed: u64, steps: &[usize]) -> Result<(), String> {
        self.act(0, |world| world.send_members(0, "POST", "A", 3))?;
        self.act(0, |world| world.send_members(0, "POST", "B", 2))?;
        for phase in 0..STEPS / PHASE {
            for &step in steps.iter().filter(|&&step| step / PHASE == phase) {
                self.source = shrink::numbers(seed, step);
                let client = self.source.below(self.clients.len() as u32) as usize;
                self.act(client, |world| world.step(client))?;
                if self.source.one_in(2) {
                    let pause_ms = self.source.one_of(&[1, 50, 300, 1_000, 2_500]);
                    self.server
                        .pass(self.server.now + u64::from(self.source.below(pause_ms)))?;
                }
                self.check_locks()?;
            }
            self.settle()?;
        }
        Ok(())
    }

    fn act(&mut self, client: usize, act: impl FnOnce(&mut World)) -> Result<(), String> {
        self.listen(client);
        if self.clients[client].connection.is_none() {
            self.clients[client].connection = Some(self.server.connect());
            self.clients[client].half_closed = false;
        }
        act(self);
        self.server.tick()
    }

    fn log(&mut self, client: usize, what: &str) {
        let connection = self.clients[client].connection.unwrap_or_default();
        let now = self.server.now;
        self.log
            .push(format!("{now} client {client} {connection:?}: {what}"));
    }

    fn pipe_of(&self, client: usize) -> Option<RefMut<'_, Pipe>> {
        let (slot, id) = self.clients[client].connection?;
        self.server.pipe(slot).filter(|pipe| pipe.id == id)
    }

    /// The client reads its answers.
    fn listen(&mut self, client: usize) {
        let Some(mut pipe) = self.pipe_of(client) else {
            self.clients[client].connection = None;
            return;
        };
        let (closed, answers) = (pipe.closed, std::mem::take(&mut pipe.answers));
        drop(pipe);
        for (asked, answer) in answers {
            let leases = asked.check(&answer).unwrap_or_default();
            let held = leases
                .into_iter()
                .map(|(id, fence)| (asked.pool, id, fence));
            self.clients[client].held.extend(held);
        }
        if closed && !self.clients[client].half_closed {
            self.half_close(client);
        }
    }

    fn step(&mut self, client: usize) {
        if self.clients[client].half_closed {
            return;
        }
        match self.source.below(40) {
            0 => self.half_close(client),
            1..4 => self.cut(client, false, 2_000),
            4..6 => self.cut(client, true, 2_000),
            6..9 => {
                let window = self.source.below(80) as usize;
                self.log(client, &format!("takes {window} bytes from now on"));
                if let Some(mut pipe) = self.pipe_of(client) {
                    pipe.window = window;
                }
            }
            9..11 => {
                self.log(client, "takes all");
                if let Some(mut pipe) = self.pipe_of(client) {
                    pipe.window = usize::MAX;
                }
            }
            11 => {
                let method = self.source.one_of(&["POST", "PUT"]);
                let pool = self.source.one_of(&["A", "B"]);
                let count = 1 + self.source.below(4) as usize;
                self.send_members(client, method, pool, count);
            }
            12 => self.purge(client),
            13 => {
                // A switch fails.
                (0..self.clients.len()).for_each(|client| self.cut(client, false, 0));
            }
            _ => {
                for _ in 0..=self.source.below(3) {
                    self.send_request(client);
                }
                if self.source.one_in(12) {
                    self.half_close(client);
                }
            }
        }
    }

    fn half_close(&mut self, client: usize) {
        self.log(client, "half-closes");
        self.clients[client].half_closed = true;
        let delay_ms = u64::from(self.source.below(50));
        self.put_on_wire(client, Arrival::End, delay_ms);
    }

    /// The connection is lost, perhaps with the bytes on their way. A client that has rebooted has
    /// lost its memory, too.
    fn cut(&mut self, client: usize, reboots: bool, within_ms: u32) {
        self.log(client, if reboots { "reboots" } else { "is cut off" });
        let lost = self.source.one_in(2);
        let delay_ms = u64::from(self.source.below(within_ms.max(1)));
        if let Some(mut pipe) = self.pipe_of(client) {
            if lost {
                pipe.arriving.clear();
            }
            pipe.window = 0;
        }
        self.put_on_wire(client, Arrival::Reset, delay_ms);
        self.clients[client].connection = None;
        if reboots {
            self.clients[client].held.clear();
        }
    }

    fn put_on_wire(&mut self, client: usize, arrival: Arrival, delay_ms: u64) {
        let now = self.server.now;
        if let Some(mut pipe) = self.pipe_of(client) {
            let last = pipe.arriving.back().map_or(now, |(at, _)| *at);
            pipe.arriving.push_back((last.max(now) + delay_ms, arrival));
        }
    }

    fn send(&mut self, client: usize, pool: &'static str, what: What, words: [&str; 3]) {
        let line = self.source.one_in(2);
        let asked = Asked { pool, what, line };
        let [method, path, body] = words;
        let bytes = asked.bytes(method, path, body);
        self.log(
            client,
            &format!("{} {words:?}", if line { "line" } else { "HTTP" }),
        );
        if let Some(mut pipe) = self.pipe_of(client) {
            pipe.asked.push_back(asked);
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let all = rest.len();
            let count = match self.source.below(3) {
                0 => 1 + self.source.below(all as u32) as usize,
                _ => all,
            };
            let delay_ms = self.source.one_of(&[0, 0, 1, 40]);
            self.put_on_wire(client, Arrival::Bytes(rest[..count].to_vec()), delay_ms);
            rest = &rest[count..];
        }
    }

    fn send_members(&mut self, client: usize, method: &str, pool: &'static str, count: usize) {
        let body = format!("{:?}", &IDS[..count]).replace(' ', "");
        self.send(
            client,
            pool,
            What::Members,
            [method, &format!("/pool/{pool}"), &body],
        );
    }

    fn purge(&mut self, client: usize) {
        let pool = self.source.one_of(&["A", "B"]);
        if self.source.one_in(4) {
            let path = format!("/pool/{pool}");
            self.send(client, pool, What::RemovePool, ["DELETE", &path, ""]);
            return self.send_members(client, "POST", pool, 3);
        }
        let older = self.source.one_of(&["", "?older=2", "?owner=anna"]);
        let path = format!("/pool/{pool}/lock{older}");
        self.send(client, pool, What::ReleaseAll, ["DELETE", &path, ""]);
    }

    fn send_request(&mut self, client: usize) {
        let pool = self.source.one_of(&["A", "A", "B"]);
        let owner = self.clients[client].owner;
        let owner = owner.map_or(String::new(), |owner| format!("&owner={owner}"));
        let ttl = self.source.one_of(&["", "&ttl=1", "&ttl=2", "&ttl=5"]);
        let wait = self.source.one_of(&["", "&wait=1", "&wait=3", "&wait=5"]);
        let held = self.clients[client].held.len() as u32;
        match self.source.below(14) {
            0 => self.send(client, pool, What::Ping, ["GET", "/ping", ""]),
            1 => self.send(client, pool, What::Nowhere, ["GET", "/nowhere", ""]),
            2..7 => {
                let count = self.source.one_of(&[1, 1, 1, 2]);
                let path = format!("/pool/{pool}/lock?lease&n={count}{owner}{ttl}{wait}");
                self.send(client, pool, What::Any(count), ["POST", &path, ""]);
            }
            7 | 8 => {
                let id = self.source.one_of(&IDS);
                let path = format!("/pool/{pool}/lock/{id}?lease{owner}{ttl}{wait}");
                self.send(client, pool, What::Named(id), ["POST", &path, ""]);
            }
            9 if held > 0 => {
                let at = self.source.below(held) as usize;
                let (pool, id, fence) = self.clients[client].held[at].clone();
                let path = format!("/pool/{pool}/lock/{id}?lease&fence={fence}{owner}{ttl}");
                self.send(client, pool, What::Renew, ["PUT", &path, ""]);
            }
            _ if held > 0 => {
                let at = self.source.below(held) as usize;
                let (pool, id, fence) = self.clients[client].held.remove(at);
                let path = format!("/pool/{pool}/lock/{id}?fence={fence}{owner}");
                self.send(client, pool, What::Release, ["DELETE", &path, ""]);
            }
            _ if !owner.is_empty() => {
                let path = format!("/pool/{pool}/lock?{}", &owner[1..]);
                self.send(client, pool, What::ReleaseAll, ["DELETE", &path, ""]);
            }
            _ => self.send(client, pool, What::Ping, ["GET", "/ping", ""]),
        }
    }

    /// Lets everything come to rest, and checks the remaining state.
    fn settle(&mut self) -> Result<(), String> {
        for client in 0..self.clients.len() {
            if let Some(mut pipe) = self.pipe_of(client) {
                pipe.window = usize::MAX;
            }
        }
        for _ in 0..40 {
            self.server.pass(self.server.now + 1_000)?;
        }
        (0..self.clients.len()).for_each(|client| self.listen(client));
        for pipe in self.server.pipes() {
            if !pipe.asked.is_empty() {
                return Err(format!("not answered: {:?}", pipe.asked));
            }
        }
        if self.server.has_unsent_output() {
            return Err("an answer is not sent".into());
        }
        let Some(Reply::Pools(pools)) = self.server.ask(Command::ListPools(PoolQuery::ALL)) else {
            return Err("no list of pools".into());
        };
        if pools.iter().any(|pool| pool.waiting > 0) {
            return Err(format!("a waiter waits for ever: {pools:?}"));
        }
        self.check_locks()
    }

    /// Checks that each lock will end. An answer on its way counts as received.
    fn check_locks(&mut self) -> Result<(), String> {
        if self.server.has_unsent_output() {
            return Ok(());
        }
        for pool in ["A", "B"] {
            if let Some(Reply::Leases(leases)) =
                self.server.ask(Command::ListLocks(pool_name(pool)))
            {
                for lease in &leases {
                    self.server
                        .witness
                        .ledger(|ledger| ledger.knows_holder(pool, lease))?;
                }
            }
        }
        Ok(())
    }
}
