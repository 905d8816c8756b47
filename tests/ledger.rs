//! A client-side ledger: the answers that clients got, and so the state that a server must still have
//! after it was killed. A request that was sent and not answered is in doubt: it may have been carried
//! out, or not.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use fastrand::Rng;

/// The pools that are worked on.
pub const POOLS: [(&str, usize); 3] = [("A", 4), ("B", 8), ("C", 3)];

/// A resource as clients know it: the place of its pool in `POOLS`, and its id.
pub type Resource = (usize, String);

#[derive(Clone, Debug)]
pub enum Request {
    Lock { pool: usize, count: usize },
    Release { resource: Resource, fence: u64 },
}

impl Request {
    /// The method and the target.
    pub fn target(&self) -> String {
        match self {
            Request::Lock { pool, count } => {
                format!("POST /pool/{}/lock?lease&n={count}", POOLS[*pool].0)
            }
            Request::Release {
                resource: (pool, id),
                ..
            } => {
                format!("DELETE /pool/{}/lock/{id}", POOLS[*pool].0)
            }
        }
    }
}

/// The current holders, as far as answers and requests show them. All clients write on it; a second
/// holder of a resource fails the test.
#[derive(Debug, Default)]
pub struct Board(Mutex<HashMap<Resource, u64>>);

impl Board {
    fn put(&self, resource: &Resource, fence: u64) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let other = held.insert(resource.clone(), fence);
        assert_eq!(
            other, None,
            "{resource:?} is lent twice, now with fence {fence}"
        );
    }

    fn take(&self, resource: &Resource) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(resource);
    }
}

/// The grants and requests that one client knows of.
#[derive(Debug, Default)]
pub struct Ledger {
    held: BTreeMap<Resource, u64>,
    /// Fences of its answered grants.
    fences: Vec<(usize, u64)>,
    in_doubt: Vec<Request>,
}

impl Ledger {
    /// Requests that are sent together. Resources that they release no longer count as held.
    pub fn next_requests(&mut self, random: &mut Rng, board: &Board) -> Vec<Request> {
        let mut requests = Vec::new();
        for _ in 0..random.usize(1..=4) {
            let held: Vec<&Resource> = self.held.keys().collect();
            if random.usize(..4) < held.len() {
                let resource = held[random.usize(..held.len())].clone();
                let fence = self.held.remove(&resource).expect("it was just seen");
                board.take(&resource);
                requests.push(Request::Release { resource, fence });
            } else {
                let count = [1, 1, 1, 2][random.usize(..4)];
                requests.push(Request::Lock {
                    pool: random.usize(..POOLS.len()),
                    count,
                });
            }
        }
        requests
    }

    /// Notes an answer, and checks it as far as it can be checked alone.
    pub fn note_answer(&mut self, request: &Request, status: &str, body: &str, board: &Board) {
        match (request, status) {
            (Request::Lock { pool, count }, "200 OK") => {
                let leases: Vec<(u64, &str)> = body.lines().map(read_lease).collect();
                let fence = leases.first().map_or(0, |(fence, _)| *fence);
                assert_eq!(leases.len(), *count, "{request:?}: {body:?}");
                assert!(
                    leases.iter().all(|(other, _)| *other == fence),
                    "one grant, one fence: {body:?}"
                );
                let before = self.fences.iter().rfind(|(other, _)| other == pool);
                assert!(
                    before.is_none_or(|(_, before)| *before < fence),
                    "{fence} after {before:?}"
                );
                self.fences.push((*pool, fence));
                for (_, id) in leases {
                    self.adopt((*pool, id.to_owned()), fence, board);
                }
            }
            (Request::Lock { .. }, "409 busy") => {}
            (Request::Release { .. }, "200 OK") => assert_eq!(body, ""),
            _ => panic!("{request:?} is answered {status}, {body:?}"),
        }
    }

    /// Notes that a request was sent, at least in part, and is not answered.
    pub fn note_doubt(&mut self, request: &Request) {
        self.in_doubt.push(request.clone());
    }

    /// Makes a lock this client's own.
    pub fn adopt(&mut self, resource: Resource, fence: u64, board: &Board) {
        board.put(&resource, fence);
        self.held.insert(resource, fence);
    }
}

/// A lease line without a ttl: `FENCE - ID`.
pub fn read_lease(line: &str) -> (u64, &str) {
    let (fence, id) = line
        .split_once(" - ")
        .unwrap_or_else(|| panic!("no lease line: {line:?}"));
    (
        fence
            .parse()
            .unwrap_or_else(|_| panic!("no fence in {line:?}")),
        id,
    )
}

/// Compares the locks that a restarted server has in one pool with all ledgers, and returns the highest
/// fence in any answer there.
#[track_caller]
pub fn compare(ledgers: &[Ledger], pool: usize, locks: &HashMap<String, u64>) -> u64 {
    let mut unexplained: HashSet<(&String, u64)> =
        locks.iter().map(|(id, fence)| (id, *fence)).collect();
    for ((_, id), fence) in of_pool(ledgers, pool) {
        let found = unexplained.remove(&(id, *fence));
        assert!(
            found,
            "the answered grant of {id:?} with fence {fence} is lost: {locks:?}"
        );
    }
    let in_doubt: Vec<&Request> = ledgers.iter().flat_map(|ledger| &ledger.in_doubt).collect();
    for request in &in_doubt {
        if let Request::Release {
            resource: (of, id),
            fence,
        } = request
            && *of == pool
        {
            unexplained.remove(&(id, *fence));
        }
    }
    // The other locks must come from requests without an answer: by fences, all of a grant or none.
    let answered: HashSet<u64> = ledgers
        .iter()
        .flat_map(|ledger| &ledger.fences)
        .filter(|(of, _)| *of == pool)
        .map(|(_, fence)| *fence)
        .collect();
    let mut grants: BTreeMap<u64, usize> = BTreeMap::new();
    for (id, fence) in unexplained {
        assert!(
            !answered.contains(&fence),
            "the answered release of {id:?} ({fence}) is undone"
        );
        *grants.entry(fence).or_default() += 1;
    }
    for size in [1, 2] {
        let asked = in_doubt.iter().filter(
            |request| matches!(request, Request::Lock { pool: of, count } if *of == pool && *count == size),
        );
        let granted = grants.values().filter(|count| **count == size).count();
        assert!(
            granted <= asked.count(),
            "grants that no client asked for: {grants:?}"
        );
    }
    assert!(
        grants.values().all(|count| *count <= 2),
        "one fence for more than was asked: {grants:?}"
    );
    answered
        .into_iter()
        .chain(locks.values().copied())
        .max()
        .unwrap_or(0)
}

fn of_pool(ledgers: &[Ledger], pool: usize) -> impl Iterator<Item = (&Resource, &u64)> {
    ledgers
        .iter()
        .flat_map(|ledger| &ledger.held)
        .filter(move |((of, _), _)| *of == pool)
}
