//! One client of a soak: its random actions, and its checks.
//!
//! In the steady pool every grant goes into the ledger that all clients share, so that a resource
//! that is granted twice is found at once. A client can renew what it holds with its fence, so that
//! a lost resource is found soon.
//!
//! The other pools come and go, with leases that end by themselves, waiters that disconnect, and
//! connections that end in the middle of a request; there only the form of the answers is checked.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;

use crate::{BenchResult, control, ledger::Ledger, requests::request};

/// The pool whose members stay.
pub const STEADY: &str = "steady";
/// Fewer than all clients request together, so that some are queued.
pub const STEADY_RESOURCES: u32 = 16;
const MAX_HELD: usize = 3;
const CHURNING_POOLS: u32 = 40;
const PATIENCE: Duration = Duration::from_secs(30);

/// The state that all clients share.
pub struct Shared {
    pub server: SocketAddr,
    pub enough: AtomicBool,
    pub ledger: Mutex<Ledger>,
}

/// Counts of actions.
#[derive(Default)]
pub struct Tally {
    grants: u64,
    renewals: u64,
    in_vain: u64,
    churn: u64,
    connections: u64,
    cut_off: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.grants += other.grants;
        self.renewals += other.renewals;
        self.in_vain += other.in_vain;
        self.churn += other.churn;
        self.connections += other.connections;
        self.cut_off += other.cut_off;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} grants, {} renewals with their fence, {} acquires in vain, {} operations on pools that come and go, \
             {} connections, {} cut off in the middle",
            self.grants, self.renewals, self.in_vain, self.churn, self.connections, self.cut_off
        )
    }
}

/// Works until `enough` is set, and releases all that it holds.
pub fn work(shared: &Shared, number: u32, seed: u64) -> Result<Tally, String> {
    let worker = Worker {
        shared,
        number,
        random: Rng::with_seed(seed.wrapping_mul(1000).wrapping_add(number.into())),
        held: Vec::new(),
        tally: Tally::default(),
    };
    worker
        .run()
        .map_err(|error| format!("worker {number}: {error}"))
}

/// A connection that uses the one-line protocol.
struct SoakConnection(BufReader<TcpStream>);

impl SoakConnection {
    fn open(server: SocketAddr) -> BenchResult<SoakConnection> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(SoakConnection(BufReader::new(stream)))
    }

    fn send(&mut self, bytes: &str) -> BenchResult<()> {
        Ok(self.0.get_mut().write_all(bytes.as_bytes())?)
    }

    /// Sends a line and returns the status and the words of its answer.
    fn ask(&mut self, line: &str) -> BenchResult<(u16, String)> {
        self.send(&format!("{line}\n"))?;
        let mut answer = String::new();
        self.0.read_line(&mut answer)?;
        let answer = answer
            .strip_suffix('\n')
            .ok_or_else(|| format!("{line}: cut off: {answer:?}"))?;
        let (status, words) = answer.split_once(' ').unwrap_or((answer, ""));
        let status = status.parse().map_err(|_| format!("{line}: {answer:?}"))?;
        Ok((status, words.to_owned()))
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    number: u32,
    random: Rng,
    /// Resources of the steady pool, numbered from 0, with their fences.
    held: Vec<(u32, u64)>,
    tally: Tally,
}

impl Worker<'_> {
    fn run(mut self) -> BenchResult<Tally> {
        while !self.shared.enough.load(Ordering::Relaxed) {
            let mut line = self.connect()?;
            for _ in 0..self.random.u32(1..200) {
                if self.shared.enough.load(Ordering::Relaxed) {
                    break;
                }
                match self.random.u32(..10) {
                    0..=3 => self.acquire(&mut line)?,
                    4..=6 => self.release(&mut line)?,
                    7 => self.renew(&mut line)?,
                    _ => self.churn(&mut line)?,
                }
            }
            if self.random.bool() {
                self.end_badly(line)?;
            }
        }
        let mut line = self.connect()?;
        while !self.held.is_empty() {
            self.renew(&mut line)?;
            self.release(&mut line)?;
        }
        Ok(self.tally)
    }

    fn connect(&mut self) -> BenchResult<SoakConnection> {
        self.tally.connections += 1;
        SoakConnection::open(self.shared.server)
    }

    fn acquire(&mut self, line: &mut SoakConnection) -> BenchResult<()> {
        if self.held.len() >= MAX_HELD {
            return Ok(());
        }
        let wait = ["", "&wait=1", "&wait=2"][self.random.usize(..3)];
        let (status, words) =
            line.ask(&format!("POST /pool/{STEADY}/lock?lease&ttl=3600{wait}"))?;
        match status {
            200 => {}
            409 if words == "busy" => {
                self.tally.in_vain += 1;
                return Ok(());
            }
            _ => return Err(format!("acquire: {status} {words}").into()),
        }
        let mut fields = words.splitn(3, ' ');
        let fence = fields.next().and_then(|fence| fence.parse().ok());
        let id = fields.nth(1).and_then(|id| id.parse::<u32>().ok());
        let (Some(fence), Some(id @ 1..=STEADY_RESOURCES)) = (fence, id) else {
            return Err(format!("acquire: no lease line: {words}").into());
        };
        self.ledger(|ledger, worker| ledger.lent(id - 1, worker))?;
        self.held.push((id - 1, fence));
        self.tally.grants += 1;
        Ok(())
    }

    fn release(&mut self, line: &mut SoakConnection) -> BenchResult<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let (resource, fence) = self.held.swap_remove(self.random.usize(..self.held.len()));
        self.ledger(|ledger, _| ledger.release_sent(resource));
        let id = resource + 1;
        let answer = line.ask(&format!("DELETE /pool/{STEADY}/lock/{id}?fence={fence}"))?;
        match answer {
            (200, _) => Ok(()),
            (status, words) => Err(format!(
                "LOST: {id} was held with fence {fence}, and its release is {status} {words}"
            )
            .into()),
        }
    }

    fn renew(&mut self, line: &mut SoakConnection) -> BenchResult<()> {
        for (resource, fence) in self.held.clone() {
            let id = resource + 1;
            let (status, words) =
                line.ask(&format!("PUT /pool/{STEADY}/lock/{id}?fence={fence}"))?;
            if status != 200 {
                return Err(format!(
                    "LOST: {id} was held with fence {fence}, and its renewal is {status} {words}"
                )
                .into());
            }
            self.tally.renewals += 1;
        }
        Ok(())
    }

    /// Sends a random request to a pool that comes and goes.
    fn churn(&mut self, line: &mut SoakConnection) -> BenchResult<()> {
        let pool = format!("churn-{}", self.random.u32(..CHURNING_POOLS));
        let id = self.random.u32(1..30);
        let owner = self.random.u32(..20);
        let asked = match self.random.u32(..12) {
            0 | 1 => format!("POST /pool/{pool} {}", self.members()),
            2 => format!("PUT /pool/{pool} {}", self.members()),
            3 => format!("DELETE /pool/{pool}"),
            4 => format!("POST /pool/{pool}/lock?ttl=1"),
            5 => format!("POST /pool/{pool}/lock?ttl=2&owner=o{owner}"),
            6 => format!("POST /pool/{pool}/lock?ttl=1&n=2&wait=1"),
            7 => format!("POST /pool/{pool}/lock/{id}?wait=1&ttl=1&owner=o{owner}"),
            8 => format!("DELETE /pool/{pool}/lock/{id}"),
            9 => format!("DELETE /pool/{pool}/lock?owner=o{owner}"),
            10 => format!("GET /pool/{pool}/lock"),
            _ => "GET /pool".to_owned(),
        };
        self.tally.churn += 1;
        match line.ask(&asked)? {
            (200 | 404 | 409 | 422, _) => Ok(()),
            (status, words) => Err(format!("{asked}: {status} {words}").into()),
        }
    }

    fn members(&mut self) -> String {
        let ids: Vec<String> = (1..30)
            .filter(|_| self.random.bool())
            .map(|id: u32| format!("\"{id}\""))
            .collect();
        format!("[{}]", ids.join(","))
    }

    /// Ends a connection improperly.
    fn end_badly(&mut self, mut line: SoakConnection) -> BenchResult<()> {
        let pool = format!("churn-{}", self.random.u32(..CHURNING_POOLS));
        self.tally.cut_off += 1;
        match self.random.u32(..6) {
            0 => line.send("POST /pool/x HTTP/1.1\r\nX: ")?,
            1 => line.send("PUT /pool/x HTTP/1.1\r\nContent-Length: 500000\r\n\r\n[")?,
            // Waits, and disconnects.
            2 => line.send(&format!("POST /pool/{pool}/lock?wait=60&ttl=1\n"))?,
            3 => line.send(&format!(
                "POST /pool/{pool}/lock?wait=60&ttl=1&owner=gone\n"
            ))?,
            // Its answers are never read.
            4 => line.send(&"POST /pool/steady/nowhere\nGET /pool\n".repeat(20))?,
            _ => {
                line.send("nonsense\n")?;
                line.0.get_ref().shutdown(Shutdown::Write)?;
                let mut rest = Vec::new();
                line.0.read_to_end(&mut rest)?;
                // Also HTTP, on a connection of its own.
                let server = self.shared.server;
                control::exchange(server, &request("GET", "/ping", server, true, ""))?.success()?;
            }
        }
        Ok(())
    }

    fn ledger<T>(&self, use_it: impl FnOnce(&mut Ledger, u32) -> T) -> T {
        let mut ledger = self
            .shared
            .ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        use_it(&mut ledger, self.number)
    }
}
