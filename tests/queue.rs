//! The queue with real sockets: hundreds of clients, some of which are killed, half-close or come
//! back, and thousands that are parked. Real seconds, as clients feel them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::support::launch::eventually;
use crate::support::{Client, PATIENCE, Server, StoreKind};

const IDS: [&str; 5] = ["1", "2", "3", "4", "5"];
const LEASE: Duration = Duration::from_secs(1);

/// The number of clients of each sort. They come in any order.
const CROWD: [(Sort, usize); 7] = [
    (Sort::Releases, 80),
    (Sort::Owner, 30),
    (Sort::ComesBack, 20),
    (Sort::LeavesTheLine, 20),
    (Sort::LeavesAtRandom, 10),
    (Sort::DiesHolding, 20),
    (Sort::HalfCloses, 20),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// Waits, holds for a moment and releases.
    Releases,
    /// The same with a name, and asks again while it holds.
    Owner,
    /// Waits with a name, is cut off, and asks again on a new connection.
    ComesBack,
    /// Is cut off while it waits, which it surely does.
    LeavesTheLine,
    /// Is cut off at any moment: in the queue, when its turn comes, or when it holds.
    LeavesAtRandom,
    /// Is cut off while it holds a lease of a second.
    DiesHolding,
    /// Closes its sending side while it waits.
    HalfCloses,
}

/// The state of a resource, by the answers that clients got.
#[derive(Clone, Copy, Debug)]
struct Slot {
    fence: u64,
    state: State,
    /// The grant that is noted here, or the next one, was made at this moment or later.
    not_before: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// Until it is released.
    Held,
    /// Until the lease ends: the holder is gone.
    Lapses,
}

/// The state of all resources, by the answers. All clients write on it; a second holder of a
/// resource fails the test.
struct Board {
    slots: Mutex<[Slot; IDS.len()]>,
    fences: Mutex<BTreeSet<u64>>,
}

impl Board {
    fn new() -> Board {
        let slot = Slot {
            fence: 0,
            state: State::Free,
            not_before: Instant::now(),
        };
        Board {
            slots: Mutex::new([slot; IDS.len()]),
            fences: Mutex::new(BTreeSet::new()),
        }
    }

    /// A client has read that it was granted this.
    #[track_caller]
    fn put(&self, lease: &Lease, state: State) {
        let now = Instant::now();
        let first_time = lock(&self.fences).insert(lease.fence);
        assert!(first_time, "{lease:?}: its fence was seen before");
        let slot = &mut lock(&self.slots)[lease.place()];
        if slot.fence > lease.fence && state == State::Lapses {
            // The machine is slow: the lease had ended before this client could read of it.
            return;
        }
        assert!(slot.fence < lease.fence, "{lease:?} comes after {slot:?}");
        match slot.state {
            State::Free => {}
            State::Held => panic!("{lease:?} is lent twice: {slot:?}"),
            State::Lapses => {
                slot.not_before += LEASE;
                let early = slot.not_before.saturating_duration_since(now);
                assert!(early.is_zero(), "{lease:?}: a lease ended {early:?} early");
            }
        }
        slot.fence = lease.fence;
        slot.state = state;
    }

    /// A client is about to release it.
    #[track_caller]
    fn take(&self, lease: &Lease) {
        let slot = &mut lock(&self.slots)[lease.place()];
        assert_eq!((slot.fence, slot.state), (lease.fence, State::Held));
        slot.state = State::Free;
        slot.not_before = Instant::now();
    }
}

/// A client that fails must not hide why behind the failures of the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer to an acquire with `lease`.
#[derive(Debug, PartialEq, Eq)]
struct Lease {
    fence: u64,
    id: String,
}

impl Lease {
    #[track_caller]
    fn parse(answer: &str) -> Lease {
        let fields: Vec<&str> = answer.split(' ').collect();
        match fields[..] {
            ["200", fence, _ttl, id] => Lease {
                fence: fence.parse().expect("a fence is a number"),
                id: id.to_owned(),
            },
            _ => panic!("expected a grant, not {answer:?}"),
        }
    }

    fn place(&self) -> usize {
        let place = IDS.iter().position(|&id| id == self.id);
        place.unwrap_or_else(|| panic!("{self:?} is no member"))
    }
}

/// The counts in the line of `GET /pool` that is about pool A.
#[track_caller]
fn counts(client: &mut Client) -> (usize, usize, usize) {
    let answer = client.ask("GET /pool");
    let fields: Vec<&str> = answer.split(' ').collect();
    let [_, resources, held, waiting, "A"] = fields[..] else {
        panic!("not one pool: {answer:?}");
    };
    let number = |text: &str| text.parse().expect("a count");
    (number(resources), number(held), number(waiting))
}

#[track_caller]
fn await_queue_of(client: &mut Client, expected: usize) {
    eventually("the waiters are queued", || {
        (counts(client).2 == expected).then_some(())
    });
}

#[track_caller]
fn await_calm(client: &mut Client, resources: usize) {
    eventually("nothing is held and the queue is empty", || {
        (counts(client) == (resources, 0, 0)).then_some(())
    });
}

fn with_pool(store: StoreKind, ids: &[&str]) -> Server {
    let server = Server::start(store);
    let answer = server
        .connect()
        .ask(&format!("PUT /pool/A {}", list_of(ids)));
    assert_eq!(answer, format!("200 {}", list_of(ids)));
    server
}

fn list_of(ids: &[&str]) -> String {
    format!("[\"{}\"]", ids.join("\",\""))
}

// Two tests, which run side by side: most of their time goes by while leases end.
#[test]
fn a_crowd_shares_five_resources_in_memory() {
    crowd(StoreKind::Memory, 1);
}

#[test]
fn a_crowd_shares_five_resources_in_a_file() {
    crowd(StoreKind::File, 2);
}

fn crowd(store: StoreKind, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let mut sorts: Vec<Sort> = CROWD
        .iter()
        .flat_map(|&(sort, count)| vec![sort; count])
        .collect();
    assert_eq!(sorts.len(), 200);
    random.shuffle(&mut sorts);
    let server = with_pool(store, &IDS);
    let board = Board::new();
    let mut observer = server.connect();
    // All resources are held until all clients are queued, so that it is known which ones wait.
    let mut gate = server.connect();
    let held: Vec<Lease> = IDS.iter().map(|_| granted(&mut gate, "", &board)).collect();
    let started = Instant::now();
    let leavers = sorts
        .iter()
        .filter(|&&sort| matches!(sort, Sort::LeavesTheLine | Sort::HalfCloses))
        .count();
    let (parked, left) = (Barrier::default(), Barrier::default());
    thread::scope(|scope| {
        for (number, &sort) in sorts.iter().enumerate() {
            let (address, board, barriers) = (server.address, &board, (&parked, &left));
            let random = random.fork();
            thread::Builder::new()
                .name(format!("{sort:?} {number}, seed {seed}"))
                .stack_size(256 * 1024)
                .spawn_scoped(scope, move || {
                    visit(sort, number, address, board, barriers, random);
                })
                .expect("a thread starts");
        }
        await_queue_of(&mut observer, sorts.len());
        parked.open();
        // A client that has surely waited is out of the queue before the first resource is free.
        await_queue_of(&mut observer, sorts.len() - leavers);
        left.open();
        for lease in &held {
            release(&mut gate, lease, "", &board);
        }
    });
    await_calm(&mut observer, IDS.len());
    let elapsed = started.elapsed();
    assert!(elapsed < PATIENCE, "it took {elapsed:?}");
    let served = lock(&board.fences).len();
    let sure = |sort| {
        !matches!(
            sort,
            Sort::LeavesTheLine | Sort::HalfCloses | Sort::LeavesAtRandom
        )
    };
    let least = IDS.len() + sorts.iter().filter(|&&sort| sure(sort)).count();
    assert!(served >= least, "{served} of at least {least} were served");
    let highest = lock(&board.fences).last().copied().unwrap_or(0);
    let last = granted(&mut gate, "", &board);
    assert!(last.fence > highest, "fences go on rising");
}

/// Holds threads back until it is opened.
#[derive(Default)]
struct Barrier {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Barrier {
    fn open(&self) {
        *lock(&self.open) = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let open = lock(&self.open);
        let waited = self
            .opened
            .wait_timeout_while(open, PATIENCE, |open| !*open);
        let timed_out = waited.is_ok_and(|(_, result)| result.timed_out());
        assert!(!timed_out, "the others did not come in time");
    }
}

/// Acquires with these parameters, on a connection that is kept, and waits for the grant.
#[track_caller]
fn granted(client: &mut Client, parameters: &str, board: &Board) -> Lease {
    let lease = Lease::parse(&client.ask(&format!("POST /pool/A/lock?lease{parameters}")));
    board.put(&lease, State::Held);
    lease
}

#[track_caller]
fn release(client: &mut Client, lease: &Lease, parameters: &str, board: &Board) {
    board.take(lease);
    let Lease { fence, id } = lease;
    let answer = client.ask(&format!(
        "DELETE /pool/A/lock/{id}?fence={fence}{parameters}"
    ));
    assert_eq!(answer, "200", "{lease:?} is released");
}

/// One client's stay.
fn visit(
    sort: Sort,
    number: usize,
    address: SocketAddr,
    board: &Board,
    (parked, left): (&Barrier, &Barrier),
    mut random: Rng,
) {
    let hold = Duration::from_millis(random.u64(0..10));
    let owner = match sort {
        Sort::Owner | Sort::ComesBack => format!("&owner=client-{number}"),
        _ => String::new(),
    };
    let ttl = match sort {
        Sort::DiesHolding | Sort::LeavesAtRandom => LEASE.as_secs(),
        _ => 60,
    };
    let acquire = format!("POST /pool/A/lock?lease&wait=30&ttl={ttl}{owner}");
    let mut client = Client::connect(address);
    client.send(format!("{acquire}\n"));
    parked.pass();
    match sort {
        Sort::Releases | Sort::Owner | Sort::DiesHolding => {}
        // These are gone before any client is served.
        Sort::LeavesTheLine => return,
        Sort::HalfCloses => {
            client.half_close();
            let answer = client.read_to_end();
            assert_eq!(answer.escape_ascii().to_string(), r"409 busy\n");
            return;
        }
        Sort::ComesBack => {
            // Some before the first turn, some in the midst of it.
            if random.bool() {
                left.pass();
                thread::sleep(Duration::from_millis(random.u64(0..1000)));
            }
            client = Client::connect(address);
            client.send(format!("{acquire}\n"));
        }
        Sort::LeavesAtRandom => {
            left.pass();
            // It never checks whether it was granted a resource.
            thread::sleep(Duration::from_millis(random.u64(0..3000)));
            return;
        }
    }
    let lease = Lease::parse(&client.read_line());
    if sort == Sort::DiesHolding {
        return board.put(&lease, State::Lapses);
    }
    board.put(&lease, State::Held);
    thread::sleep(hold);
    if !owner.is_empty() {
        let again = Lease::parse(&client.ask(&acquire));
        assert_eq!(again, lease, "an owner has what it has");
    }
    release(&mut client, &lease, &owner, board);
}

/// The server reads all of them in one tick, some of them in another way than others: no client
/// overtakes.
#[test]
fn what_has_come_by_the_same_tick_is_served_in_the_order_in_which_it_came() {
    const COUNT: usize = 300;
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut first = server.connect();
        let ids: Vec<usize> = (0..COUNT).rev().collect();
        let seeded = first.ask(&format!("POST /pool/A {ids:?}"));
        assert!(seeded.starts_with("200 "), "{seeded}");
        let mut clients: Vec<Client> = (0..COUNT).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.ask("GET /ping"), "200 pong");
        }
        server.signal("STOP");
        for (place, client) in clients.iter_mut().enumerate() {
            let blank_lines = match place {
                // More than is read at once, before the request.
                _ if place % 50 == 7 => 100_000,
                // It does not fit in behind some others.
                _ if place % 7 == 5 => 20_000,
                _ => 1_000,
            };
            client.send("\n".repeat(blank_lines) + "POST /pool/A/lock\n");
            if place % 90 == 3 {
                client.half_close();
            }
        }
        server.signal("CONT");
        let mut served: Vec<(usize, usize)> = Vec::new();
        for (place, client) in clients.iter_mut().enumerate() {
            let answer = client.read_line();
            let id = answer.strip_prefix("200 ").expect("all are served");
            served.push((id.parse().expect("a number"), place));
        }
        // A client that has sent more than that may be later than others.
        served.retain(|(_, place)| place % 50 != 7);
        let in_order: Vec<usize> = served.iter().map(|&(id, _)| id).collect();
        assert!(in_order.is_sorted(), "{store:?}: {in_order:?}");
    }
}

#[test]
fn first_come_is_first_served() {
    for store in StoreKind::ALL {
        pass_through(store, 20);
    }
}

#[test]
fn two_thousand_parked_connections_are_served_in_order() {
    pass_through(StoreKind::Memory, 2000);
}

/// This many wait for one resource. Each releases its lock when it has it, and the next one gets
/// it.
fn pass_through(store: StoreKind, count: usize) {
    let server = with_pool(store, &["only"]);
    let mut observer = server.connect();
    let mut holder = server.connect();
    assert_eq!(holder.ask("POST /pool/A/lock"), "200 only");
    let mut clients = Vec::with_capacity(count);
    for ahead in 0..count {
        let mut client = server.connect();
        client.send("POST /pool/A/lock?wait=300&lease\n");
        clients.push(client);
        // The next one comes only when this one is queued.
        await_queue_of(&mut observer, ahead + 1);
    }
    assert_eq!(counts(&mut observer), (1, 1, count));
    assert_eq!(holder.ask("DELETE /pool/A/lock/only"), "200");
    // The first grant had fence 1. Each has the next fence, so no other client was served in
    // between.
    for (fence, client) in (2..).zip(&mut clients) {
        assert_eq!(client.read_line(), format!("200 {fence} - only"));
        let answer = client.ask(&format!("DELETE /pool/A/lock/only?fence={fence}"));
        assert_eq!(answer, "200");
    }
    assert_eq!(counts(&mut observer), (1, 0, 0));
}
