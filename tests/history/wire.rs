//! One client of a campaign: connections that may be cut at any time, and a record of each call.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use socket2::SockRef;

use super::call::{Asked, Call, CallAnswer, Lease, Selection, Time};

/// The longest time to wait for an answer, beyond its time in the queue: longer than any fault
/// lasts.
const PATIENCE: Duration = Duration::from_secs(6);
const CONNECT_PATIENCE: Duration = Duration::from_millis(500);

/// The one clock of a campaign.
#[derive(Clone, Copy)]
pub struct Clock(pub Instant);

impl Clock {
    pub fn now(self) -> Time {
        self.0.elapsed().as_micros() as Time
    }
}

/// A server that clients may go to. Its number is given to no other process.
#[derive(Clone, Copy, Debug)]
pub struct ServerAddress {
    pub address: SocketAddr,
    pub server: usize,
}

/// The servers' addresses for clients, and the connections that clients have.
#[derive(Default)]
pub struct ServerAddresses {
    open: Mutex<Vec<ServerAddress>>,
    connections: Mutex<Vec<Arc<TcpStream>>>,
}

impl ServerAddresses {
    /// Sets the addresses of the current servers.
    pub fn set(&self, addresses: Vec<ServerAddress>) {
        *lock(&self.open) = addresses;
    }

    /// Cuts a connection: its client reads no more, and the server is sent a FIN or, when the client
    /// closes it, an RST.
    pub fn cut_one(&self, random: &mut Rng) {
        let mut connections = lock(&self.connections);
        // Connections that only this list holds are closed.
        connections.retain(|stream| Arc::strong_count(stream) > 1);
        let count = connections.len();
        if count == 0 {
            return;
        }
        let stream = connections.swap_remove(random.usize(..count));
        // It may have been closed by the server in the meantime.
        let _ = if random.bool() {
            let reset = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            reset.and(stream.shutdown(Shutdown::Read))
        } else {
            stream.shutdown(Shutdown::Both)
        };
    }

    fn connect(&self, random: &mut Rng) -> Option<(Connection, usize)> {
        let open = lock(&self.open).clone();
        let target = random.choice(open)?;
        let stream = TcpStream::connect_timeout(&target.address, CONNECT_PATIENCE).ok()?;
        stream.set_nodelay(true).ok()?;
        let stream = Arc::new(stream);
        lock(&self.connections).push(Arc::clone(&stream));
        let received = Vec::new();
        Some((Connection { stream, received }, target.server))
    }
}

/// A client that fails must not hide why behind the failures of the others.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client that records its calls and the answers.
pub struct Caller<'a> {
    pub number: usize,
    pub clock: Clock,
    pub random: Rng,
    pub calls: Vec<Call>,
    addresses: &'a ServerAddresses,
    /// And the server that it leads to.
    connection: Option<(Connection, usize)>,
}

struct Connection {
    stream: Arc<TcpStream>,
    /// Answers that have not been read yet, the last one perhaps in part.
    received: Vec<u8>,
}

impl<'a> Caller<'a> {
    pub fn new(
        number: usize,
        clock: Clock,
        addresses: &'a ServerAddresses,
        random: Rng,
    ) -> Caller<'a> {
        Caller {
            number,
            clock,
            random,
            calls: Vec::new(),
            addresses,
            connection: None,
        }
    }

    /// Makes one call at the server that this client uses now. `None` if the outcome is unknown.
    #[track_caller]
    pub fn call(&mut self, pool: &str, asked: Asked) -> Option<CallAnswer> {
        self.burst(pool, vec![asked]).pop()?
    }

    /// Asks several things at once, without waiting for answers in between.
    #[track_caller]
    pub fn burst(&mut self, pool: &str, asked: Vec<Asked>) -> Vec<Option<CallAnswer>> {
        let Some(server) = self.be_connected() else {
            return vec![None; asked.len()];
        };
        let lines = asked.iter().map(|asked| line_of(pool, asked) + "\n");
        let sent = self.clock.now();
        self.send(&lines.collect::<String>());
        let mut answers = Vec::new();
        for asked in asked {
            let answer = self.receive(wait_of(&asked));
            let at = self.clock.now();
            let answered = answer.and_then(|answer| Some((at, parse(pool, &asked, &answer)?)));
            answers.push(answered.as_ref().map(|(_, answer)| answer.clone()));
            self.calls.push(Call {
                client: self.number,
                server,
                pool: pool.to_owned(),
                asked,
                sent,
                answered,
            });
        }
        if answers.contains(&None) {
            pause();
        }
        answers
    }

    /// Asks until it succeeds, without a record: for preparing and cleaning up.
    #[track_caller]
    pub fn order(&mut self, line: &str) {
        let end = Instant::now() + 5 * PATIENCE;
        while Instant::now() < end {
            if self.be_connected().is_some() {
                self.send(&format!("{line}\n"));
                match self.receive(Duration::ZERO) {
                    Some(answer) if answer.starts_with("503 ") => pause(),
                    // To remove a pool once more does no harm.
                    Some(answer) if answer.starts_with("200") || answer == "404 no pool" => return,
                    Some(answer) => panic!("{line}: {answer}"),
                    None => {}
                }
            }
        }
        panic!("no server answers {line}");
    }

    /// Goes to any server for the next call.
    pub fn move_on(&mut self) {
        self.connection = None;
    }

    /// The server that it is at.
    fn be_connected(&mut self) -> Option<usize> {
        if self.connection.is_none() {
            self.connection = self.addresses.connect(&mut self.random);
        }
        if self.connection.is_none() {
            pause();
        }
        self.connection.as_ref().map(|(_, server)| *server)
    }

    fn send(&mut self, lines: &str) {
        if let Some((connection, _)) = &mut self.connection
            && connection.send(lines).is_err()
        {
            self.connection = None;
        }
    }

    /// The next answer. `None` if the connection ends before, in any way.
    fn receive(&mut self, wait: Duration) -> Option<String> {
        let (connection, _) = self.connection.as_mut()?;
        let answer = connection.receive(wait + PATIENCE);
        if answer.is_none() {
            self.connection = None;
        }
        answer
    }
}

/// Limits the rate of retries.
fn pause() {
    thread::sleep(Duration::from_millis(10));
}

impl Connection {
    fn send(&mut self, lines: &str) -> io::Result<()> {
        (&*self.stream).write_all(lines.as_bytes())
    }

    fn receive(&mut self, patience: Duration) -> Option<String> {
        self.stream.set_read_timeout(Some(patience)).ok()?;
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let line = String::from_utf8(line).expect("answers are UTF-8");
                return Some(line.trim_end_matches('\n').to_owned());
            }
            match (&*self.stream).read(&mut buffer).ok()? {
                0 => return None,
                count => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

fn wait_of(asked: &Asked) -> Duration {
    match asked {
        Asked::Acquire { wait_s, .. } => Duration::from_secs(*wait_s),
        _ => Duration::ZERO,
    }
}

/// The request as one line.
fn line_of(pool: &str, asked: &Asked) -> String {
    let mut query = String::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={value}"));
        }
    };
    let text = |number: Option<u64>| number.map(|number| number.to_string());
    let (method, id) = match asked {
        Asked::Acquire {
            selection,
            owner,
            ttl_s,
            wait_s,
        } => {
            add("owner", owner.clone());
            add("ttl", text(*ttl_s));
            add("wait", (*wait_s > 0).then(|| wait_s.to_string()));
            match selection {
                Selection::Any(count) => {
                    add("n", (*count > 1).then(|| count.to_string()));
                    ("POST", None)
                }
                Selection::Named(id) => ("POST", Some(id)),
            }
        }
        Asked::Renew {
            id,
            owner,
            fence,
            ttl_s,
        } => {
            add("owner", owner.clone());
            add("fence", text(*fence));
            add("ttl", text(*ttl_s));
            ("PUT", id.as_ref())
        }
        Asked::Release {
            id,
            owner,
            fence,
            force,
        } => {
            add("owner", owner.clone());
            add("fence", text(*fence));
            query.push_str(if *force { "&force" } else { "" });
            ("DELETE", id.as_ref())
        }
        Asked::List => ("GET", None),
        Asked::Count => return "GET /pool".into(),
    };
    if matches!(asked, Asked::Acquire { .. } | Asked::Renew { .. }) {
        query.push_str("&lease");
    }
    let id = id.map_or(String::new(), |id| format!("/{id}"));
    let query = match query.strip_prefix('&') {
        Some(query) => format!("?{query}"),
        None => query,
    };
    format!("{method} /pool/{pool}/lock{id}{query}")
}

/// Parses an answer; `None` if it leaves the outcome unknown. Fails the test at once if an answer
/// makes no sense.
#[track_caller]
fn parse(pool: &str, asked: &Asked, answer: &str) -> Option<CallAnswer> {
    let (status, body) = answer.split_once(' ').unwrap_or((answer, ""));
    let lines = || body.split('\t').filter(|line| !line.is_empty());
    match status {
        "503" => None,
        "409" | "404" if matches!(body, "busy" | "not yours" | "stale" | "not held") => {
            Some(CallAnswer::Refused(body.to_owned()))
        }
        "409" if body.starts_with("owner holds ") => Some(CallAnswer::Refused(body.to_owned())),
        "200" => Some(match asked {
            Asked::Release { .. } => CallAnswer::Done,
            Asked::Count => counts(pool, lines()).unwrap_or_else(|| panic!("{pool}: {answer}")),
            _ => {
                let leases: Vec<Lease> = lines().map(parse_lease).collect();
                check_leases(asked, &leases);
                CallAnswer::Leases(leases)
            }
        }),
        _ => panic!("{pool}: {asked} is answered {answer:?}"),
    }
}

/// Checks that a grant matches the request.
#[track_caller]
fn check_leases(asked: &Asked, leases: &[Lease]) {
    let Asked::Acquire { selection, .. } = asked else {
        return;
    };
    assert_eq!(leases.len(), selection.count(), "{asked}: {leases:?}");
    let fence = leases[0].fence;
    let is_one = leases.iter().all(|lease| lease.fence == fence);
    assert!(is_one, "one grant, one fence: {asked}: {leases:?}");
    if let Selection::Named(id) = selection {
        assert_eq!(leases[0].id, *id, "{asked}");
    }
}

/// `FENCE TTL ID`.
#[track_caller]
fn parse_lease(line: &str) -> Lease {
    let mut fields = line.splitn(3, ' ');
    let fence = fields.next().and_then(|fence| fence.parse().ok());
    match (fence, fields.nth(1)) {
        (Some(fence), Some(id)) => Lease {
            fence,
            id: id.to_owned(),
        },
        _ => panic!("no lease line: {line:?}"),
    }
}

/// The queue of one pool: `RESOURCES HELD WAITING NAME`.
fn counts<'a>(pool: &str, mut lines: impl Iterator<Item = &'a str>) -> Option<CallAnswer> {
    lines.find_map(|line| {
        let fields: Vec<&str> = line.splitn(4, ' ').collect();
        let number = |at: usize| fields.get(at)?.parse().ok();
        (fields.get(3) == Some(&pool)).then_some(CallAnswer::Counts {
            resources: number(0)?,
            held: number(1)?,
            waiting: number(2)?,
        })
    })
}
