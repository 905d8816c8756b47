//! kill -9 under load: every answered change is there again after a restart, and nothing is lent
//! twice. `LATCHD_FULL=1` makes it 50 rounds of 5.

use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::ledger::{Board, Ledger, POOLS, compare, read_lease};
use crate::support::{Client, PATIENCE, Server, StoreKind};

const CLIENTS: usize = 4;
const ROUNDS: usize = 5;
const ROUNDS_IN_FULL: usize = 50;

#[test]
fn what_was_answered_survives_kill_9_with_sync_always() {
    let full = env::var("LATCHD_FULL").is_ok_and(|value| value == "1");
    survive_kills("always", if full { ROUNDS_IN_FULL } else { ROUNDS });
}

#[test]
fn what_was_answered_survives_kill_9_with_sync_never() {
    survive_kills("never", ROUNDS);
}

fn survive_kills(sync: &str, rounds: usize) {
    let seed = env::var("LATCHD_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("kill -9 with --sync {sync}: LATCHD_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let mut server = Server::start_with(StoreKind::File, &["--sync", sync]);
    seed_pools(&mut server.connect());
    let mut ledgers: Vec<Ledger> = (0..CLIENTS).map(|_| Ledger::default()).collect();
    let mut board = Board::default();
    for round in 1..=rounds {
        let answers = random.usize(20..600);
        eprintln!("round {round}: killed after {answers} answers");
        let rest = Duration::from_micros(random.u64(..3000));
        ledgers = work_until_killed(&mut server, ledgers, &board, &mut random, answers, rest);
        server.restart();
        board = Board::default();
        ledgers = check(&mut server.connect(), &ledgers, &board, &mut random);
    }
}

fn seed_pools(client: &mut Client) {
    for (pool, size) in POOLS {
        let ids = serde_json::json!((1..=size).collect::<Vec<usize>>());
        assert!(
            client
                .ask(&format!("POST /pool/{pool} {ids}"))
                .starts_with("200 ")
        );
    }
}

/// Lets all clients work, and kills the server a moment after this many answers.
fn work_until_killed(
    server: &mut Server,
    ledgers: Vec<Ledger>,
    board: &Board,
    random: &mut Rng,
    answers: usize,
    rest: Duration,
) -> Vec<Ledger> {
    let (sender, enough) = channel();
    let counter = AtomicUsize::new(answers);
    let address = server.address;
    thread::scope(|scope| {
        let clients: Vec<_> = ledgers
            .into_iter()
            .map(|ledger| {
                let mut worker = Worker {
                    ledger,
                    board,
                    counter: &counter,
                    enough: sender.clone(),
                };
                let random = random.fork();
                scope.spawn(move || {
                    worker.work(address, random);
                    worker.ledger
                })
            })
            .collect();
        let reached = enough.recv_timeout(PATIENCE);
        // Waits for no event: the moment of the kill is to be any.
        thread::sleep(rest);
        server.kill();
        let ledgers = clients
            .into_iter()
            .map(|client| client.join().expect("a client's checks hold"));
        let ledgers = ledgers.collect();
        reached.expect("the server answers");
        ledgers
    })
}

struct Worker<'a> {
    ledger: Ledger,
    board: &'a Board,
    /// Answers that are still to come before the kill.
    counter: &'a AtomicUsize,
    enough: Sender<()>,
}

impl Worker<'_> {
    /// Locks and releases over one connection until it breaks.
    fn work(&mut self, address: SocketAddr, mut random: Rng) {
        let mut stream = Client::connect(address).stream;
        let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
        loop {
            let requests = self.ledger.next_requests(&mut random, self.board);
            let texts = requests
                .iter()
                .map(|r| format!("{} HTTP/1.1\r\n\r\n", r.target()));
            let sent = stream.write_all(texts.collect::<String>().as_bytes());
            let mut broken = sent.is_err();
            for request in &requests {
                match read_answer(&mut answers) {
                    Ok((status, body)) if !broken => {
                        self.ledger.note_answer(request, &status, &body, self.board);
                        if self.counter.fetch_sub(1, Ordering::Relaxed) == 1 {
                            self.enough.send(()).expect("the test waits");
                        }
                    }
                    _ => {
                        broken = true;
                        self.ledger.note_doubt(request);
                    }
                }
            }
            if broken {
                return;
            }
        }
    }
}

/// The status and the body of one answer.
fn read_answer(answers: &mut BufReader<impl Read>) -> io::Result<(String, String)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        answers.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some("") => break,
            Some(line) => head.push(line.to_owned()),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    let status = head[0]
        .strip_prefix("HTTP/1.1 ")
        .expect("a status line")
        .to_owned();
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length
        .and_then(|digits| digits.parse().ok())
        .expect("a length");
    let mut body = vec![0; length];
    answers.read_exact(&mut body)?;
    Ok((status, String::from_utf8(body).expect("UTF-8")))
}

/// Compares the server with the ledgers, and hands its locks to the clients of the next round.
fn check(client: &mut Client, ledgers: &[Ledger], board: &Board, random: &mut Rng) -> Vec<Ledger> {
    let mut next: Vec<Ledger> = (0..CLIENTS).map(|_| Ledger::default()).collect();
    for (pool, &(name, size)) in POOLS.iter().enumerate() {
        let members = (1..=size)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join("\t");
        assert_eq!(
            client.ask(&format!("GET /pool/{name}")),
            format!("200 {members}")
        );
        let mut locks = list_locks(client, name);
        let highest = compare(ledgers, pool, &locks);

        if locks.len() == size {
            let id = locks.keys().next().expect("a pool is not empty").clone();
            assert_eq!(client.ask(&format!("DELETE /pool/{name}/lock/{id}")), "200");
            locks.remove(&id);
        }
        let answer = client.ask(&format!("POST /pool/{name}/lock?lease"));
        let (fence, id) = read_lease(answer.strip_prefix("200 ").expect("one is free"));
        assert!(
            fence > highest,
            "fence {fence} in {name} after {highest} was seen"
        );
        assert!(!locks.contains_key(id), "{id} in {name} is lent twice");
        locks.insert(id.to_owned(), fence);
        assert_eq!(list_locks(client, name), locks);

        for (id, fence) in locks {
            next[random.usize(..CLIENTS)].adopt((pool, id), fence, board);
        }
    }
    next
}

/// The fence of each held resource of a pool.
fn list_locks(client: &mut Client, pool: &str) -> HashMap<String, u64> {
    let answer = client.ask(&format!("GET /pool/{pool}/lock"));
    let (status, leases) = answer.split_once(' ').unwrap_or((&answer, ""));
    assert_eq!(status, "200");
    let leases = leases
        .split('\t')
        .filter(|lease| !lease.is_empty())
        .map(read_lease);
    leases.map(|(fence, id)| (id.to_owned(), fence)).collect()
}

/// The load lasts until the second is over, so that no pause lets the store catch up.
#[test]
fn what_is_older_than_a_second_survives_kill_9_with_sync_interval() {
    let mut server = Server::start_with(StoreKind::File, &["--sync", "interval"]);
    let mut client = server.connect();
    seed_pools(&mut client);
    assert_eq!(
        client.ask("POST /pool/A/lock?n=2&lease"),
        "200 1 - 4\t1 - 3"
    );
    assert_eq!(client.ask("DELETE /pool/A/lock/3"), "200");
    let answered = Instant::now();
    while answered.elapsed() < Duration::from_millis(1300) {
        let id = client.ask("POST /pool/B/lock").split_off(4);
        assert_eq!(client.ask(&format!("DELETE /pool/B/lock/{id}")), "200");
    }
    server.kill();
    server.restart();
    let mut client = server.connect();
    assert_eq!(client.ask("GET /pool/A/lock"), "200 1 - 4");
    let lease = client.ask("POST /pool/A/lock?lease");
    let (fence, id) = read_lease(lease.strip_prefix("200 ").expect("one is free"));
    assert_eq!(id, "2", "the store goes on");
    assert!(
        fence > 1 << 24,
        "fences that may have been given in the lost second are left out: {fence}"
    );
    assert_eq!(client.ask("GET /pool/C"), "200 1\t2\t3");
}

/// A second after the last change nothing is left to be lost, without any further request.
#[test]
fn an_idle_second_is_enough_with_sync_interval() {
    let mut server = Server::start_with(StoreKind::File, &["--sync", "interval"]);
    let mut client = server.connect();
    seed_pools(&mut client);
    assert_eq!(client.ask("POST /pool/C/lock?lease"), "200 1 - 3");
    // The promise is one in real time.
    thread::sleep(Duration::from_millis(1300));
    server.kill();
    server.restart();
    assert_eq!(server.connect().ask("GET /pool/C/lock"), "200 1 - 3");
}
