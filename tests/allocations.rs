//! A warm server allocates nothing for a lock and its release. Requests that cost more are listed here too,
//! as exact numbers with their reasons.
//!
//! It is a binary of its own, because a counting allocator serves the whole process. The counts are what
//! one thread allocates in 1,000 rounds, after a warm-up. That needs a release build: a debug build checks
//! the whole engine after each command, and allocates for it. `tests/run` sees to it.

#![allow(
    unreachable_pub,
    reason = "the modules of a test binary have no other user"
)]

#[path = "support/ticks.rs"]
mod ticks;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use allocation_counter::measure;
use latchd::command::{Command, PoolName, ResourceId, Seed, Ticket};
use latchd::keys::Keys;
use latchd::pool::{Engine, Rules};
use latchd::server::{Clock, Options, Server};
use latchd::session::Settings;
use latchd::store::EmbeddedStore;
use latchd::time::Time;
use rustix::process::{Signal, getpid, kill_process};
use ticks::Ticks;

/// Long enough for every map to have purged its removed entries more than once.
const WARM_UP: usize = 500;
const ROUNDS: usize = 1000;
const RESOURCES: usize = 64;

/// The rest of a request behind method and path: of a device that sends only the necessary, of one that
/// wants JSON, of curl, and of a raw socket.
const BARE: &str = " HTTP/1.1\r\n\r\n";
const JSON: &str = " HTTP/1.1\r\nAccept: application/json\r\n\r\n";
const CURL: &str =
    " HTTP/1.1\r\nHost: 127.0.0.1:8081\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";
const LINE: &str = "\n";

#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn a_lock_and_its_release_allocate_nothing() {
    for end in [BARE, JSON, CURL, LINE] {
        let cost = cost_of(|round| {
            let id = lent(round);
            vec![
                format!("POST /pool/A/lock{end}"),
                format!("DELETE /pool/A/lock/{id}{end}"),
            ]
        });
        assert_eq!(cost, 0, "{end:?}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn to_show_a_key_allocates_nothing() {
    let file = "ci 0123456789abcdef-ci use A*\nci 0123456789abcdef-ci read B\n";
    let keys = Keys::parse(file.as_bytes()).expect("it is good");
    // ci:0123456789abcdef-ci
    let basic = "Authorization: Basic Y2k6MDEyMzQ1Njc4OWFiY2RlZi1jaQ==";
    let bearer = "Authorization: Bearer 0123456789abcdef-ci";
    let wrong = "Authorization: Bearer 0123456789abcdef-cj";
    let http = |field: &str| format!(" HTTP/1.1\r\n{field}\r\n\r\n");
    for (start, end, status) in [
        ("", http(bearer), "200"),
        ("", http(basic), "200"),
        ("key=0123456789abcdef-ci ", LINE.to_owned(), "200"),
        ("", http(wrong), "401"),
        ("key=0123456789abcdef-cj ", LINE.to_owned(), "401"),
        ("", BARE.to_owned(), "401"),
    ] {
        let mut ticks = Ticks::with_keys(1, RESOURCES, Some(keys.clone()));
        let lock = format!("{start}POST /pool/A/lock{end}");
        let releases: Vec<String> = (0..RESOURCES)
            .map(|place| format!("{start}DELETE /pool/A/lock/{}{end}", lent(place)))
            .collect();
        let cost = allocations_of(|round| {
            for request in [&lock, &releases[round % RESOURCES]] {
                let answer = ticks.ask(0, request.as_bytes());
                let answer = answer.strip_prefix(b"HTTP/1.1 ").unwrap_or(answer);
                assert!(answer.starts_with(status.as_bytes()), "{request:?}");
            }
        });
        assert_eq!(cost, 0, "{start}{end:?}");
    }
    // A refusal for want of rights takes no allocation either: ci may only read B.
    let mut ticks = Ticks::with_keys(1, 1, Some(keys));
    let refused = format!("POST /pool/B/lock{}", http(bearer));
    let cost = allocations_of(|_| {
        assert!(
            ticks
                .ask(0, refused.as_bytes())
                .starts_with(b"HTTP/1.1 403 not allowed")
        );
    });
    assert_eq!(cost, 0);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn sixteen_in_one_piece_allocate_nothing() {
    for end in [BARE, JSON, CURL, LINE] {
        let cost = cost_of(|round| {
            let places = round * 16..round * 16 + 16;
            let release = |place| format!("DELETE /pool/A/lock/{}{end}", lent(place));
            vec![
                format!("POST /pool/A/lock{end}").repeat(16),
                places.map(release).collect(),
            ]
        });
        assert_eq!(cost, 0, "{end:?}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn many_clients_in_one_tick_allocate_nothing() {
    let mut ticks = Ticks::new(RESOURCES, RESOURCES);
    let lock = format!("POST /pool/A/lock{BARE}");
    let releases: Vec<String> = (0..RESOURCES)
        .map(|place| format!("DELETE /pool/A/lock/{}{BARE}", lent(place)))
        .collect();
    let cost = allocations_of(|_| {
        for client in 0..RESOURCES {
            ticks.say(client, lock.as_bytes());
        }
        ticks.finish();
        for (client, release) in releases.iter().enumerate() {
            ticks.say(client, release.as_bytes());
        }
        ticks.finish();
        assert!(ticks.answer(RESOURCES - 1).starts_with(b"HTTP/1.1 200"));
    });
    assert_eq!(cost, 0);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn to_ask_in_vain_allocates_nothing() {
    for (end, cost) in [(BARE, 0), (LINE, 0), (JSON, 0)] {
        let mut ticks = Ticks::new(2, 1);
        ticks.ask(0, b"POST /pool/A/lock\n");
        let lock = format!("POST /pool/A/lock{end}");
        let counted = allocations_of(|_| {
            let answer = ticks.ask(1, lock.as_bytes());
            assert!(answer.windows(3).any(|word| word == b"409"), "it is held");
        });
        assert_eq!(counted, cost, "{end:?}");
    }
}

/// State that the server keeps, or that exceeds the usual space, costs allocations; each line says how
/// many, and for what.
#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn other_locks_allocate_what_they_keep() {
    let expected = [
        (0, "POST lock?ttl=60", "DELETE lock/ID"),
        (0, "POST lock?ttl=60&lease", "DELETE lock/ID"),
        (0, "POST lock", "POST lock/ID?_method=DELETE"),
        (0, "POST lock?owner=a", "DELETE lock/ID?owner=a"),
        // An owner's name of more than 15 bytes, for as long as the lock is held.
        (
            1,
            "POST lock?owner=greenhouse-seven",
            "DELETE lock/ID?owner=greenhouse-seven",
        ),
        // The list of the filter's matches.
        (1, "POST lock?owner=a&ttl=60", "DELETE lock?owner=a"),
        // Three parameters, where there is room for two without.
        (
            1,
            "POST lock?owner=a&ttl=60&lease",
            "DELETE lock/ID?owner=a",
        ),
        (0, "POST lock/ID", "DELETE lock/ID"),
        (0, "POST lock?wait=10", "DELETE lock/ID"),
        // The decoded name: here that of the pool, in both requests.
        (2, "POST %41/lock", "DELETE %41/lock/ID"),
        // Both resources, in the answer, which is also the list to undo if it cannot be sent; to release
        // them all, a list of the grants.
        (2, "POST lock?n=2", "DELETE lock"),
    ];
    let counted = expected.map(|(_, lock, release)| {
        let cost = cost_of(|round| {
            [lock, release]
                .map(|line| in_pool(line).replace("ID", &lent(round).to_string()))
                .to_vec()
        });
        (cost, lock, release)
    });
    assert_eq!(counted, expected);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn to_renew_allocates_nothing() {
    let expected = [
        (0, "POST lock?owner=a"),
        (0, "POST lock?owner=a&ttl=60"),
        (0, "PUT lock?owner=a"),
        (0, "PUT lock/64?owner=a&ttl=60"),
        // Three parameters, where there is room for two without.
        (1, "PUT lock/64?owner=a&ttl=60&fence=1"),
        (0, "GET lock/64"),
    ];
    let counted = expected.map(|(_, line)| {
        let mut ticks = Ticks::new(1, RESOURCES);
        ticks.ask(0, in_pool("POST lock?owner=a&ttl=60").as_bytes());
        let request = in_pool(line);
        let cost = allocations_of(|_| {
            assert!(ticks.ask(0, request.as_bytes()).starts_with(b"200"));
        });
        (cost, line)
    });
    assert_eq!(counted, expected);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn requests_in_pieces_allocate_what_waits_for_the_rest() {
    let cost_of = |pieces: [&str; 2]| {
        let mut ticks = Ticks::new(1, 1);
        allocations_of(|_| {
            ticks.ask(0, pieces[0].as_bytes());
            assert!(
                ticks
                    .ask(0, pieces[1].as_bytes())
                    .starts_with(b"HTTP/1.1 200")
            );
            assert!(ticks.ask(0, b"DELETE /pool/A/lock/1\n").starts_with(b"200"));
        })
    };
    // The first piece, and the same with the second one behind it.
    assert_eq!(cost_of(["POST /pool/A/lo", "ck HTTP/1.1\r\n\r\n"]), 2);
    // The request that is not finished, and its head; of a body that is not needed nothing is kept.
    let head = "POST /pool/A/lock HTTP/1.1\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(cost_of([head, "{}"]), 2);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn the_end_of_a_lease_allocates_nothing() {
    let mut ticks = Ticks::new(1, 1);
    let cost = allocations_of(|_| {
        assert!(
            ticks
                .ask(0, b"POST /pool/A/lock?ttl=1\n")
                .starts_with(b"200")
        );
        // It never ends early.
        ticks.pass(1001);
        ticks.finish();
    });
    assert_eq!(cost, 0);
}

/// Memory that a store in memory keeps for many resources or pools with short names.
#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn many_resources_take_little_memory() {
    const COUNT: usize = 100_000;
    let names = || (0..COUNT).map(|number| format!("name-{number}"));
    let id = |name: String| ResourceId::parse(name).expect("this is an id");
    let pool = |name: String| PoolName::parse(name).expect("this is a name");
    let in_one_pool = || Seed::of(&pool("A".into()), names().map(id).collect());
    let of_many_pools = || {
        let mut seed = Seed::default();
        for name in names() {
            seed.add_pool(&pool(name));
            seed.add_id(&id("1".into()));
        }
        seed
    };
    let bytes_each = |seed: &dyn Fn() -> Seed| {
        let mut engine = Engine::new(Rules::default());
        let counted = measure(|| {
            engine.execute(
                Ticket::new(0, 0),
                Command::AddMembers(seed()),
                Time::default(),
            );
        });
        counted.bytes_current / COUNT as i64
    };
    // 56 for a resource, 80 for a pool, and tables of 2^17 places of 5 bytes.
    assert_eq!(bytes_each(&in_one_pool), 62);
    assert_eq!(bytes_each(&of_many_pools), 149);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn a_hand_over_allocates_nothing() {
    let mut ticks = Ticks::new(2, 1);
    ticks.ask(0, b"POST /pool/A/lock\n");
    let cost = allocations_of(|round| {
        let (holder, waiter) = (round % 2, (round + 1) % 2);
        ticks.ask(waiter, b"POST /pool/A/lock?wait=10\n");
        ticks.ask(holder, b"DELETE /pool/A/lock/1\n");
        assert!(ticks.answer(waiter).starts_with(b"200 1"));
    });
    assert_eq!(cost, 0);
}

/// With its sockets: the allocations of a server from start to end do not grow with the number of requests.
/// The count differs by one or two, as the last events may arrive together.
#[test]
#[cfg_attr(debug_assertions, ignore = "it counts what a release build does")]
fn a_server_with_sockets_allocates_nothing_for_a_request() {
    let (few, many) = (ROUNDS, 3 * ROUNDS);
    let [few, many] = [few, many].map(allocations_of_a_server);
    assert!(many.abs_diff(few) < 10, "{few} and {many} allocations");
}

fn allocations_of_a_server(rounds: usize) -> u64 {
    let options = Options {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        tls: None,
        admin_listen: Vec::new(),
        reuse_port: false,
        settings: Settings::default(),
        keys_file: None,
        max_connections: None,
        max_per_address: None,
        max_address_waiters: None,
        max_requests: 100_000,
        max_wrong_keys: 60,
        drain_ms: 10_000,
        log_dir: None,
    };
    let store = EmbeddedStore::in_memory(Rules::default());
    let bound = Server::bind(options, Clock::start()).expect("a port is free");
    let mut server = bound
        .with_store(Box::new(store))
        .expect("a store in memory");
    let pool = PoolName::parse("A").expect("this is a name");
    let only = ResourceId::parse("1").expect("this is an id");
    let seeded = server.prepare(false, Some(Seed::of(&pool, [only].into_iter().collect())));
    assert_eq!(seeded, Ok(()), "a store in memory takes a seed");
    let (address, _) = server.addresses().expect("it listens")[0];
    let client = thread::spawn(move || {
        let outcome = lock_and_release(address, rounds);
        // Also after a failure: the server serves until it gets a signal.
        kill_process(getpid(), Signal::TERM).expect("a process may signal itself");
        outcome
    });
    let counted = measure(|| assert!(server.run().is_ok_and(|all_is_safe| all_is_safe)));
    let outcome = client.join().expect("the client comes to its end");
    outcome.expect("all is answered");
    counted.count_total
}

fn lock_and_release(address: SocketAddr, rounds: usize) -> io::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut answer = [0; 16];
    for _ in 0..rounds {
        for line in ["POST /pool/A/lock\n", "DELETE /pool/A/lock/1\n"] {
            socket.write_all(line.as_bytes())?;
            let length = socket.read(&mut answer)?;
            if !answer[..length].starts_with(b"200") {
                return Err(io::Error::other(line));
            }
        }
    }
    Ok(())
}

/// `METHOD PATH` within the pool as a line, unless the path names the pool itself.
fn in_pool(line: &str) -> String {
    let folder = if line.contains('%') {
        " /pool/"
    } else {
        " /pool/A/"
    };
    line.replace(' ', folder) + LINE
}

/// The place of the resource that is lent next moves on with each lock, from the last named member
/// to the first.
fn lent(place: usize) -> usize {
    RESOURCES - place % RESOURCES
}

/// The allocations of a round of these requests, each in a tick of its own, all of them granted.
fn cost_of(requests_of: impl Fn(usize) -> Vec<String>) -> usize {
    let mut ticks = Ticks::new(1, RESOURCES);
    // After this many rounds the order of lending is the same as at the start.
    let rounds: Vec<Vec<String>> = (0..RESOURCES).map(requests_of).collect();
    allocations_of(|round| {
        for request in &rounds[round % RESOURCES] {
            let answer = ticks.ask(0, request.as_bytes());
            let status = answer.strip_prefix(b"HTTP/1.1 ").unwrap_or(answer);
            assert!(status.starts_with(b"200"), "{request:?} is granted");
        }
    })
}

/// The allocations of a warm round. It must be the same in all rounds.
fn allocations_of(mut round: impl FnMut(usize)) -> usize {
    (0..WARM_UP).for_each(&mut round);
    let counted = measure(|| (WARM_UP..WARM_UP + ROUNDS).for_each(&mut round));
    assert_eq!(counted.bytes_current, 0, "nothing grows");
    let count = counted.count_total as usize;
    assert_eq!(count % ROUNDS, 0, "each round costs the same: {count}");
    count / ROUNDS
}
