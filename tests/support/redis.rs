//! A redis-server of a test's own, with which a test can cause every fault of one.
//!
//! It listens on loopback, keeps its files in a temporary folder, and is killed when it is dropped. It restarts
//! on the same port and in the same folder, so it finds the data of its append-only file again, if it has one.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::launch::{addresses_in, eventually};
use super::{PATIENCE, Process, Server, StoreLocation, signal};

/// Every write is in the append-only file before it is answered.
pub const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// The number of ports to try, as another process may have taken the one that was picked.
const START_ATTEMPTS: usize = 5;

/// A redis-server, running or not.
pub struct RedisServer {
    pub port: u16,
    folder: TempDir,
    options: Vec<String>,
    /// The password of a test's own commands.
    password: Option<String>,
    /// The library that replaces the system's clock, if the test sets it.
    clock: Option<PathBuf>,
    process: Option<Running>,
}

/// A process that is to be started, and where it is to be sent.
type SpawnRequest = (Command, Sender<Child>);

/// A process that dies with its owner, also when the tests are killed. Unlike `Process` it can be
/// shared by threads.
struct Running(Child);

impl Running {
    fn spawn(command: Command) -> Running {
        /// Starts each process that it receives, and sends it back. The system ends a process with the thread
        /// that has started it, and this thread stays to the end.
        static SPAWNER: OnceLock<Mutex<Sender<SpawnRequest>>> = OnceLock::new();
        let spawner = SPAWNER.get_or_init(|| {
            let (sender, requests) = channel::<SpawnRequest>();
            thread::spawn(move || {
                for (mut command, reply) in requests {
                    let child = command
                        .spawn()
                        .expect("setpriv, of util-linux, is installed");
                    let _ = reply.send(child);
                }
            });
            Mutex::new(sender)
        });
        let (sender, children) = channel();
        let request = (command, sender);
        let spawner = spawner.lock().unwrap_or_else(PoisonError::into_inner);
        spawner
            .send(request)
            .expect("it starts processes to the end");
        drop(spawner);
        Running(children.recv().expect("the process starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl RedisServer {
    /// A redis-server that loses all when it is killed.
    pub fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// A redis-server that loses nothing when it is killed.
    pub fn durable() -> RedisServer {
        RedisServer::start_with(&DURABLE)
    }

    /// One in which fences begin at 1, under the prefixes that tests use most.
    pub fn start_with(options: &[&str]) -> RedisServer {
        let server = RedisServer::start_new(options);
        for prefix in ["t:", "pool:"] {
            server.count_from_one(prefix);
        }
        server
    }

    /// One whose clock the test sets, in which fences begin at 1.
    pub fn start_on_a_clock(options: &[&str]) -> RedisServer {
        let mut server = RedisServer::absent(options);
        let shim = server.folder.path().join("clock.so");
        let mut compiler = Command::new("cc");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis/clock.c");
        compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", source, "-o"]);
        let compiled = compiler.arg(&shim).status();
        assert!(compiled.expect("a C compiler is installed").success());
        server.clock = Some(shim);
        server.resume();
        server.count_from_one("t:");
        server
    }

    /// A redis-server that keeps its data, and whose clock the test sets.
    pub fn durable_on_a_clock() -> RedisServer {
        let server = RedisServer::start_on_a_clock(&DURABLE);
        server.count_from_one("pool:");
        server
    }

    /// Sets its clock ahead of the system's by this many milliseconds from now on.
    pub fn set_clock_ahead(&self, ms: i64) {
        let [new, file] = ["clock.new", "clock"].map(|name| self.folder.path().join(name));
        std::fs::write(&new, ms.to_string()).expect("a file");
        std::fs::rename(new, file).expect("it replaces the one before");
    }

    /// One without any key.
    pub fn start_new(options: &[&str]) -> RedisServer {
        for _ in 1..START_ATTEMPTS {
            let mut server = RedisServer::absent(options);
            match server.try_start() {
                Ok(()) => return server,
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("redis-server did not start:\n{log}"),
            }
        }
        panic!("no free port for a redis-server");
    }

    /// A redis-server that is not running yet; `resume` starts it.
    pub fn absent(options: &[&str]) -> RedisServer {
        let mut words = options.iter();
        let password = words
            .find(|&&word| word == "--requirepass")
            .and_then(|_| words.next());
        RedisServer {
            port: free_low_port(),
            folder: TempDir::new().expect("a temporary folder"),
            options: options.iter().map(|word| word.to_string()).collect(),
            password: password.map(|word| word.to_string()),
            clock: None,
            process: None,
        }
    }

    /// Starts it (again), and returns when it serves.
    #[track_caller]
    pub fn resume(&mut self) {
        if let Err(log) = self.try_start() {
            panic!("redis-server did not start:\n{log}");
        }
    }

    /// Lets fences of servers with this prefix begin at 1, as if all that was lent before were known. Else they
    /// begin at the time. It holds until the next restart.
    pub fn count_from_one(&self, prefix: &str) {
        let info = self.ask(&["INFO"]);
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.expect("INFO tells it").to_owned()
        };
        let id = format!("{}/{}", field("run_id:"), field("master_replid:"));
        let key = format!("{prefix}history");
        self.order(&["HSET", &key, "id", &id, "above", "0"]);
        // The list of pools was not lost.
        self.order(&["ZADD", &format!("{prefix}index"), "NX", "0", ""]);
    }

    /// Starts it (again) with a further option for this time, and returns while it may still be
    /// loading its file.
    pub fn resume_slowly(&mut self, option: [&str; 2]) {
        assert!(self.process.is_none(), "it runs already");
        let mut command = self.command();
        command.args(option);
        self.process = Some(Running::spawn(command));
    }

    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "redis-server"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(shim) = &self.clock {
            let file = self.folder.path().join("clock");
            command.env("LD_PRELOAD", shim).env("CLOCK_FILE", file);
        }
        let port = self.port.to_string();
        command.current_dir(self.folder.path()).args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--unixsocket",
            "redis.sock",
            "--save",
            "",
            "--auto-aof-rewrite-percentage",
            "0",
            "--logfile",
            "redis.log",
        ]);
        command.args(&self.options);
        command
    }

    /// Its log if it ends instead of serving.
    fn try_start(&mut self) -> Result<(), String> {
        assert!(self.process.is_none(), "it runs already");
        let mut process = Running::spawn(self.command());
        let started = eventually("redis-server serves, or ends", || {
            if let Ok(Some(_)) = process.0.try_wait() {
                return Some(Err(self.log()));
            }
            let pong = self.try_ask(&["PING"]).ok()?;
            (pong == "PONG").then_some(Ok(()))
        });
        self.process = Some(process);
        started
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("redis.log"))
            .unwrap_or_else(|error| format!("no log: {error}"))
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Ends it as a power cut would: SIGKILL.
    pub fn kill(&mut self) {
        drop(self.process.take().expect("it runs"));
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    pub fn terminate(&mut self) {
        let mut process = self.process.take().expect("it runs");
        signal(process.0.id(), "TERM");
        eventually("redis-server ends", || {
            process.0.try_wait().expect("it can be waited for")
        });
    }

    /// It stands still, and its connections stay open (SIGSTOP).
    pub fn freeze(&self) {
        signal(self.pid(), "STOP");
    }

    /// Continues it (SIGCONT), and waits for the answer to a command. Earlier input has been carried out then:
    /// it reads all its connections before it returns to any of them.
    #[track_caller]
    pub fn thaw(&self) {
        signal(self.pid(), "CONT");
        assert_eq!(self.ask(&["PING"]), "PONG");
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").0.id()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Sets the password that new connections need from now on.
    #[track_caller]
    pub fn set_password(&mut self, password: &str) {
        let set = self.ask(&["CONFIG", "SET", "requirepass", password]);
        assert_eq!(set, "OK");
        self.password = Some(password.to_owned());
    }

    /// Copies its append-only file, while nothing is written to it.
    pub fn keep_file(&self) {
        self.copy_file("appendonlydir", "kept");
    }

    /// Replaces its file with that copy, while it does not run.
    pub fn bring_file_back(&self) {
        assert!(self.process.is_none(), "it runs");
        let folder = self.folder.path().join("appendonlydir");
        std::fs::remove_dir_all(folder).expect("its file can be removed");
        self.copy_file("kept", "appendonlydir");
    }

    fn copy_file(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| self.folder.path().join(name));
        std::fs::create_dir_all(&to).expect("a folder");
        for file in std::fs::read_dir(from).expect("its file is a folder") {
            let file = file.expect("a part of it");
            std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
        }
    }

    /// Sends a command on a connection of its own, and returns the reply as text: an error starts with `-`, no
    /// value is `(nil)`, and line feeds separate the elements of an array.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> String {
        self.ask_in(0, command)
    }

    /// The same in another of its numbered databases.
    #[track_caller]
    pub fn ask_in(&self, database: u32, command: &[&str]) -> String {
        let database = database.to_string();
        let replies = self.talk(&[&["SELECT", &database], command]);
        replies.expect("redis-server answers").swap_remove(1)
    }

    /// A command that must succeed.
    #[track_caller]
    pub fn order(&self, command: &[&str]) {
        let reply = self.ask(command);
        assert!(!reply.starts_with('-'), "{command:?}: {reply}");
    }

    /// The reply, if there is a server that answers.
    pub fn try_ask(&self, command: &[&str]) -> io::Result<String> {
        Ok(self.talk(&[command])?.swap_remove(0))
    }

    fn talk(&self, commands: &[&[&str]]) -> io::Result<Vec<String>> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut request = Vec::new();
        if let Some(password) = &self.password {
            encode(&["AUTH", password], &mut request);
        }
        for command in commands {
            encode(command, &mut request);
        }
        stream.write_all(&request)?;
        let mut stream = BufReader::new(stream);
        if self.password.is_some() {
            read_reply(&mut stream)?;
        }
        commands.iter().map(|_| read_reply(&mut stream)).collect()
    }

    /// Cuts the current connections of a kind, `normal` or `pubsub`, but not its own.
    pub fn cut_connections(&self, kind: &str) {
        self.order(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
    }

    /// Cuts all of them. Later answers come on other connections.
    #[track_caller]
    pub fn cut_all(&self) {
        let connections = eventually("a client is connected", || {
            Some(self.connections()).filter(|connections| !connections.is_empty())
        });
        self.cut(&connections);
    }

    /// The numbers of the current connections, but not its own.
    #[track_caller]
    pub fn connections(&self) -> Vec<String> {
        let list = self.ask(&["CLIENT", "LIST"]);
        let others = list
            .lines()
            .filter(|line| !line.contains("cmd=client|list"));
        let number = |line: &str| {
            line.split(' ')
                .next()?
                .strip_prefix("id=")
                .map(str::to_owned)
        };
        others.filter_map(number).collect()
    }

    /// Cuts the connections with these numbers, as far as they are still there.
    pub fn cut(&self, connections: &[String]) {
        for number in connections {
            self.order(&["CLIENT", "KILL", "ID", number]);
        }
    }

    /// The contents of all keys of a prefix: name and serialized value, sorted by name.
    pub fn contents(&self, prefix: &str) -> Vec<(String, String)> {
        let pattern = format!("{prefix}*");
        let keys = self.ask(&["KEYS", &pattern]);
        let mut keys: Vec<&str> = keys.lines().collect();
        keys.sort_unstable();
        let dump = |key: &&str| (key.to_string(), self.ask(&["DUMP", key]));
        keys.iter().map(dump).collect()
    }
}

fn encode(command: &[&str], request: &mut Vec<u8>) {
    request.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
    for word in command {
        request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end_matches("\r\n");
    let invalid = || io::Error::new(ErrorKind::UnexpectedEof, format!("no reply: {line:?}"));
    let kind = line.chars().next().ok_or_else(invalid)?;
    let rest = &line[1..];
    match kind {
        '+' | ':' => Ok(rest.to_owned()),
        '-' => Ok(line.to_owned()),
        '$' | '*' if rest == "-1" => Ok("(nil)".to_owned()),
        '$' => {
            let length: usize = rest.parse().map_err(|_| invalid())?;
            let mut value = vec![0; length + 2];
            stream.read_exact(&mut value)?;
            value.truncate(length);
            let text = String::from_utf8(value);
            Ok(text.unwrap_or_else(|error| error.as_bytes().escape_ascii().to_string()))
        }
        '*' => {
            let count: usize = rest.parse().map_err(|_| invalid())?;
            let elements: io::Result<Vec<String>> =
                (0..count).map(|_| read_reply(stream)).collect();
            Ok(elements?.join("\n"))
        }
        _ => Err(invalid()),
    }
}

/// A port that is free just now, and that this process has not given out before. It lies below those that the
/// system picks for connections, so that it is still free after a restart.
fn free_low_port() -> u16 {
    const LOWEST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU16::new(fastrand::u16(0..COUNT)));
    loop {
        let port = LOWEST + next.fetch_add(1, Ordering::Relaxed) % COUNT;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A place in a redis-server that all servers of this process share while there are any: each has a
/// prefix of its own. It spares a start for each row of the conformance table.
pub fn shared_location() -> StoreLocation {
    static SHARED: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let redis = shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(RedisServer::start());
        *shared = Arc::downgrade(&started);
        started
    });
    let prefix = format!("{}:", NEXT.fetch_add(1, Ordering::Relaxed));
    redis.count_from_one(&prefix);
    let mut place = StoreLocation::at(&redis.url());
    place.arguments.extend(["--redis-prefix".into(), prefix]);
    place.redis = Some(redis);
    place
}

impl Server {
    /// Starts on a store that the test looks after.
    pub fn start_at(url: &str, arguments: &[&str]) -> Server {
        let folder = TempDir::new().expect("a temporary folder");
        Server::start_in_place(folder, StoreLocation::at(url), arguments)
    }
}

/// A latchd whose whole log is kept.
pub struct Logged {
    pub address: SocketAddr,
    process: Process,
    seen: Vec<String>,
}

impl Logged {
    /// Starts a latchd that must serve.
    #[track_caller]
    pub fn start(command: Command) -> Logged {
        let mut logged = Logged {
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            process: Process::spawn(command),
            seen: Vec::new(),
        };
        let line = logged.wait_for(|line| line.contains("listening on "));
        logged.address = addresses_in(&line)[0];
        logged
    }

    /// The first line of the log, from its start, that is `right`.
    #[track_caller]
    pub fn wait_for(&mut self, right: impl Fn(&str) -> bool) -> String {
        if let Some(line) = self.seen.iter().find(|line| right(line)) {
            return line.clone();
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.process.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if right(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("not in time: {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended: {:#?}", self.seen),
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Ends it, and returns all that it has logged.
    pub fn end(mut self) -> Vec<String> {
        signal(self.process.child.id(), "TERM");
        self.process.wait();
        self.seen.extend(self.process.lines.iter());
        self.seen
    }
}

/// Lets time pass, where that itself is the subject of a test.
pub fn let_pass(time: Duration) {
    thread::sleep(time);
}
