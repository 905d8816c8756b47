//! Seeds that are much work, over sockets: other clients are served meanwhile, and none sees half of
//! one. A seed is applied completely or not at all, also if its client or the server goes.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;

use crate::support::launch::eventually;
use crate::support::{Client, Server, StoreKind};

const STORES: [StoreKind; 2] = [StoreKind::Memory, StoreKind::File];

/// A million, or what is as much for a server that checks its whole state after each step.
const MANY_IDS: usize = if cfg!(debug_assertions) {
    40_000
} else {
    1_000_000
};
const MANY_POOLS: usize = MANY_IDS / 20;

/// A server with a pool `Z` of two resources, which no seed changes.
fn start(store: StoreKind) -> Server {
    let server = Server::start_with(
        store,
        &["--max-resources", "10000000", "--max-pools", "1000000"],
    );
    let mut client = server.connect();
    assert_eq!(client.ask(r#"POST /pool/Z ["1","2"]"#), r#"200 ["1","2"]"#);
    server
}

fn ids(from: usize, to: usize) -> String {
    let ids: Vec<String> = (from..to).map(|number| format!("{number:07}")).collect();
    serde_json::json!(ids).to_string()
}

fn pools(name: &str, count: usize) -> String {
    let pools = (0..count).map(|number| format!(r#""{name} {number:06}":["a","{number}"]"#));
    format!("{{{}}}", pools.collect::<Vec<_>>().join(","))
}

/// A client whose request for a seed has arrived but for its last byte.
struct Seeder {
    client: Client,
    last: [u8; 1],
}

impl Seeder {
    fn new(server: &Server, method: &str, path: &str, body: &str) -> Seeder {
        let mut client = server.connect();
        let (most, last) = body.split_at(body.len() - 1);
        let length = body.len();
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{most}"
        ));
        // As each tick reads some of it, all is read after this many.
        let mut other = server.connect();
        for _ in 0..10 + length / 32_768 {
            assert_eq!(other.ask("GET /ping"), "200 pong");
        }
        Seeder {
            client,
            last: [last.as_bytes()[0]],
        }
    }

    fn send_the_rest(&mut self) {
        self.client.send(self.last);
    }

    fn is_answered(&self) -> bool {
        let stream = &self.client.stream;
        stream.set_nonblocking(true).expect("a socket");
        let looked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).expect("a socket");
        match looked {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("the seed is not answered: {error}"),
        }
    }

    fn expect(&mut self, body: &str) {
        let length = body.len();
        self.client.expect(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\
             Content-Type: application/json\r\n\r\n{body}"
        ));
    }
}

fn expect_members(server: &Server, pool: &str, json: &str) {
    let mut client = server.connect();
    client.send(format!(
        "GET /pool/{pool} HTTP/1.0\r\nAccept: application/json\r\n\r\n"
    ));
    let answer = String::from_utf8(client.read_to_end()).expect("text");
    assert!(answer.ends_with(&format!("\r\n\r\n{json}")), "{pool}");
}

/// Locks and releases in the other pool. Each is one tick of the server at least.
fn use_other_pool(client: &mut Client) {
    let id = client.ask("POST /pool/Z/lock");
    let id = id.strip_prefix("200 ").expect("one is free").to_owned();
    assert_eq!(client.ask(&format!("DELETE /pool/Z/lock/{id}")), "200");
}

/// The number of requests served until the seed is answered.
fn served_meanwhile(server: &Server, seeder: &mut Seeder) -> usize {
    let mut other = server.connect();
    seeder.send_the_rest();
    let mut count = 0;
    while !seeder.is_answered() {
        use_other_pool(&mut other);
        count += 1;
    }
    count
}

/// The number of tries to see others served. On a busy machine a seed may be answered before another
/// client runs at all. A server that applies a seed in one tick would fail them all.
const MAX_TRIES: usize = 40;

#[test]
fn others_are_served_while_a_pool_of_many_is_seeded() {
    for store in STORES {
        let is_served = || {
            let server = start(store);
            let body = ids(0, MANY_IDS);
            let mut seeder = Seeder::new(&server, "POST", "/pool/A", &body);
            let count = served_meanwhile(&server, &mut seeder);
            seeder.expect(&body);
            let mut client = server.connect();
            let last: Vec<String> = (1..4).map(|n| format!("{:07}", MANY_IDS - n)).collect();
            let lent = client.ask("POST /pool/A/lock?n=3");
            assert_eq!(lent, format!("200 {}", last.join("\t")));
            count >= 3
        };
        assert!((0..MAX_TRIES).any(|_| is_served()), "{store:?}");
    }
}

#[test]
fn others_are_served_while_many_pools_are_seeded() {
    for store in STORES {
        let is_served = || {
            let server = start(store);
            let body = pools("many", MANY_POOLS);
            let mut seeder = Seeder::new(&server, "POST", "/pool", &body);
            let count = served_meanwhile(&server, &mut seeder);
            seeder.expect(&body);
            expect_members(&server, "many%20000007", r#"["a","7"]"#);
            count >= 3
        };
        assert!((0..MAX_TRIES).any(|_| is_served()), "{store:?}");
    }
}

/// A client that asks for one of the pools, or for all, sees nothing of a seed or all of it.
#[test]
fn no_client_sees_half_of_a_seed() {
    for store in STORES {
        let server = start(store);
        let first = "half%20000000";
        let last = format!("half%20{:06}", MANY_POOLS - 1);
        let mut seeder = Seeder::new(&server, "POST", "/pool", &pools("half", MANY_POOLS));
        let mut other = server.connect();
        seeder.send_the_rest();
        let mut is_there = false;
        while !is_there {
            let listed = other.ask("GET /pool");
            let count = listed.matches("half").count();
            assert!([0, MANY_POOLS].contains(&count), "{count} of {MANY_POOLS}");
            is_there = other.ask(&format!("GET /pool/{first}")) == "200 a\t0";
            let seen = other.ask(&format!("POST /pool/{last}/lock"));
            assert!(!is_there || seen.starts_with("200 "), "{seen}");
        }
        seeder.expect(&pools("half", MANY_POOLS));
    }
}

#[test]
fn a_seed_survives_kill_9_whole_or_not_at_all() {
    let mut server = start(StoreKind::File);
    let all = MANY_POOLS / 2;
    let (mut whole, mut none) = (0, 0);
    for round in 0..8 {
        let name = format!("killed {round}");
        let mut seeder = Seeder::new(&server, "POST", "/pool", &pools(&name, all));
        let mut other = server.connect();
        let held = other.ask("POST /pool/Z/lock?lease");
        assert!(held.starts_with("200 "), "{held}");
        seeder.send_the_rest();
        for _ in 0..round * 3 {
            other.ask("GET /ping");
        }
        let is_answered = seeder.is_answered();
        server.kill();
        server.restart();
        let mut client = server.connect();
        let listed = client.ask("GET /pool");
        let count = listed.matches(&name).count();
        assert!([0, all].contains(&count), "{count} of {all}");
        assert!(!is_answered || count > 0, "what was answered is there");
        if count > 0 {
            whole += 1;
            let last = all - 1;
            let path = format!("killed%20{round}%20{last:06}");
            expect_members(&server, &path, &format!(r#"["a","{last}"]"#));
            let lent = client.ask(&format!("POST /pool/{path}/lock?n=2"));
            assert_eq!(lent, format!("200 {last}\ta"));
        } else {
            none += 1;
        }
        // Locks granted meanwhile are still held, under their fences.
        let still_held = client.ask("GET /pool/Z/lock");
        assert_eq!(still_held, held);
        assert_eq!(client.ask("DELETE /pool/Z/lock"), "200 1");
    }
    assert!(whole > 0 && none > 0, "{whole} whole, {none} not there");
}

#[test]
fn a_seed_goes_on_without_its_client() {
    for store in STORES {
        let server = start(store);
        let body = ids(0, MANY_IDS);
        let mut seeder = Seeder::new(&server, "POST", "/pool/A", &body);
        seeder.send_the_rest();
        drop(seeder);
        let mut client = server.connect();
        eventually("the pool is there", || {
            let listed = client.ask("GET /pool");
            listed.contains(&format!("{MANY_IDS} 0 0 A")).then_some(())
        });
        expect_members(&server, "A", &body);
    }
}

/// They are applied one after the other, and each answer lists the members at its end.
#[test]
fn two_seeds_of_one_pool_do_not_mix() {
    for store in STORES {
        let server = start(store);
        let (low, high) = (ids(0, MANY_IDS), ids(MANY_IDS / 2, MANY_IDS * 3 / 2));
        let mut first = Seeder::new(&server, "POST", "/pool/A", &low);
        let mut second = Seeder::new(&server, "PUT", "/pool/A", &high);
        first.send_the_rest();
        // A later seed waits, and works on the result of the first one.
        let mut other = server.connect();
        assert_eq!(other.ask("GET /ping"), "200 pong");
        second.send_the_rest();
        first.expect(&low);
        second.expect(&high);
        expect_members(&server, "A", &high);
    }
}

#[test]
fn a_seed_that_is_under_way_is_answered_before_the_server_stops() {
    for store in STORES {
        let mut server = start(store);
        let body = ids(0, MANY_IDS);
        let mut seeder = Seeder::new(&server, "POST", "/pool/A", &body);
        let mut other = server.connect();
        seeder.send_the_rest();
        assert_eq!(other.ask("GET /ping"), "200 pong");
        server.signal("TERM");
        let mut answer = String::new();
        seeder
            .client
            .stream
            .read_to_string(&mut answer)
            .expect("an answer and the end");
        assert!(
            answer.ends_with(&body),
            "{}",
            &answer[..answer.len().min(200)]
        );
        assert!(server.wait().success());
        if store.is_durable() {
            server.restart();
            expect_members(&server, "A", &body);
        }
    }
}

/// Waiters are served as soon as the seed is complete, in order, and before newcomers.
#[test]
fn waiters_are_served_by_a_seed() {
    for store in STORES {
        let server = start(store);
        let mut client = server.connect();
        assert_eq!(client.ask(r#"POST /pool/A ["x"]"#), r#"200 ["x"]"#);
        assert_eq!(client.ask("POST /pool/A/lock"), "200 x");
        let mut waiters: Vec<Client> = (1..=3)
            .map(|waiting| {
                let mut waiter = server.connect();
                waiter.send("POST /pool/A/lock?wait=60\n");
                eventually("it is queued", || {
                    let listed = client.ask("GET /pool");
                    listed.contains(&format!("1 1 {waiting} A")).then_some(())
                });
                waiter
            })
            .collect();
        let gone = waiters.remove(1);
        let mut seeder = Seeder::new(&server, "POST", "/pool/A", &ids(0, MANY_IDS));
        seeder.send_the_rest();
        gone.stream.shutdown(Shutdown::Both).expect("a socket");
        let mut late = server.connect();
        let lent = eventually("it is lent something", || {
            let answer = late.ask("POST /pool/A/lock");
            answer.strip_prefix("200 ").map(str::to_owned)
        });
        let mut served: Vec<String> = waiters.iter_mut().map(Client::read_line).collect();
        served.push(format!("200 {lent}"));
        let order = |served: &[String]| served.windows(2).all(|pair| pair[0] > pair[1]);
        assert!(order(&served), "{served:?}");
        let last = MANY_IDS - 1;
        assert_eq!(served[0], format!("200 {last:07}"), "{store:?}");
    }
}
