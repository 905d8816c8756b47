//! The base of all tests: a latchd process for each, and raw connections to it.
//!
//! A `Server` listens on a port that the system picked, keeps its files in a temporary folder, and is
//! killed when it is dropped. Nothing here sleeps: all waiting is for bytes, an end or an exit.

// Each test module uses its own part of this.
#![allow(dead_code, unreachable_pub)]

pub mod conversation;
pub mod exposition;
pub mod launch;
pub mod programs;
pub mod redis;
pub mod stopwatch;
#[cfg(feature = "tls")]
pub mod tls;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::redis::RedisServer;

/// Longer than anything that is expected to happen takes; only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The stores that the contract is tested on. A new store is a new variant and a new URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    Memory,
    File,
    Redis,
}

impl StoreKind {
    pub const ALL: [StoreKind; 3] = [StoreKind::Memory, StoreKind::File, StoreKind::Redis];

    /// Whether a server that was killed finds its pools again.
    pub fn is_durable(self) -> bool {
        self != StoreKind::Memory
    }

    /// A place that no other test uses.
    fn place(self, folder: &TempDir) -> StoreLocation {
        match self {
            StoreKind::Memory => StoreLocation::at("memory:"),
            StoreKind::File => {
                let file = folder.path().join("latchd.redb");
                StoreLocation::at(&format!("file:{}", file.display()))
            }
            StoreKind::Redis => redis::shared_location(),
        }
    }
}

/// The place of a server's pools, which stays the same over its restarts.
pub struct StoreLocation {
    arguments: Vec<String>,
    /// A limit on the size of files looks to the server like a full disk, and does not end it.
    has_size_limit: bool,
    /// The redis-server that they are in, if it is not the test that looks after it.
    redis: Option<Arc<RedisServer>>,
}

impl StoreLocation {
    fn at(url: &str) -> StoreLocation {
        StoreLocation {
            arguments: vec!["--store".into(), url.into()],
            has_size_limit: false,
            redis: None,
        }
    }
}

/// A running latchd and the folder that it lives in.
pub struct Server {
    pub address: SocketAddr,
    /// The address of its TLS listener; `None` without one.
    pub tls_address: Option<SocketAddr>,
    pub folder: TempDir,
    arguments: Vec<String>,
    process: Process,
    // Dropped behind the process that uses it.
    place: StoreLocation,
}

impl Server {
    pub fn start(store: StoreKind) -> Server {
        Server::start_with(store, &[])
    }

    /// Starts with further command-line arguments.
    pub fn start_with(store: StoreKind, arguments: &[&str]) -> Server {
        let folder = TempDir::new().expect("a temporary folder");
        Server::start_in(folder, store, arguments)
    }

    /// Starts on a file. `prlimit --fsize` then fills its disk.
    pub fn start_on_a_disk_that_fills(arguments: &[&str]) -> Server {
        let folder = TempDir::new().expect("a temporary folder");
        let mut place = StoreKind::File.place(&folder);
        place.has_size_limit = true;
        Server::start_in_place(folder, place, arguments)
    }

    /// Starts in a folder that a test has prepared, which becomes the working directory.
    pub fn start_in(folder: TempDir, store: StoreKind, arguments: &[&str]) -> Server {
        let place = store.place(&folder);
        Server::start_in_place(folder, place, arguments)
    }

    fn start_in_place(folder: TempDir, place: StoreLocation, arguments: &[&str]) -> Server {
        let arguments: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
        let (process, address, tls_address) = launch(&folder, &place, &arguments);
        Server {
            address,
            tls_address,
            folder,
            arguments,
            process,
            place,
        }
    }

    /// Ends the process as a power cut would: SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks the process to stop (SIGTERM) and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Sends a signal by its name, such as `INT`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Starts again on the same folder after `kill` or `terminate`; the port may be another one.
    pub fn restart(&mut self) {
        self.process.kill();
        let launched = launch(&self.folder, &self.place, &self.arguments);
        (self.process, self.address, self.tls_address) = launched;
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for a line of the log that contains `text`, and returns it.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        self.process.wait_for_line(text)
    }
}

/// The process, where it listens without TLS, and where with it.
fn launch(
    folder: &TempDir,
    place: &StoreLocation,
    arguments: &[String],
) -> (Process, SocketAddr, Option<SocketAddr>) {
    let mut command = latchd();
    if place.has_size_limit {
        let mut ignoring = Command::new("env");
        ignoring
            .arg("--ignore-signal=XFSZ")
            .arg(command.get_program());
        for (name, _) in command.get_envs() {
            ignoring.env_remove(name);
        }
        command = ignoring;
    }
    command.current_dir(folder.path());
    command
        .args(["--listen", "127.0.0.1:0"])
        .args(&place.arguments)
        .args(arguments);
    let mut process = Process::spawn(command);
    let line = process.wait_for_line("listening on ");
    let addresses = launch::listening_on(&line);
    let address = |is_tls| addresses.iter().find(|(_, tls)| *tls == is_tls);
    let (plain, _) = address(false).expect("it listens without TLS");
    let tls = address(true).map(|(address, _)| *address);
    (process, *plain, tls)
}

/// The binary under test, with an environment that says nothing about latchd.
pub fn latchd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("LATCHD_") || shown.starts_with("NODE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The exit code and the output of a latchd that ended by itself.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs latchd with `arguments` until it ends by itself.
pub fn run(folder: &TempDir, arguments: &[&str]) -> Ended {
    let mut command = latchd();
    command.current_dir(folder.path()).args(arguments);
    run_command(command)
}

pub fn run_command(mut command: Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("latchd runs");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

/// A child process whose standard error is read line by line, and which dies with its owner.
pub struct Process {
    pub child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub fn spawn(mut command: Command) -> Process {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the process starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Process { child, lines }
    }

    pub fn wait_for_line(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut seen = String::new();
        loop {
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push_str(&(line + "\n")),
                Err(RecvTimeoutError::Timeout) => panic!("no {text:?} in time; the log:\n{seen}"),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended without {text:?}; the log:\n{seen}")
                }
            }
        }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the process can be waited for")
            {
                return status;
            }
            // The standard library has no wait with a time-out; this polls for the exit itself.
            thread::sleep(Duration::from_millis(2));
        }
        panic!("process {} did not end in time", self.child.id());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal by its name, such as `TERM`, to a process that the test has started. After `STOP`
/// the process has stopped: the signal alone leaves it time for one more tick.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(
        status.expect("kill runs").success(),
        "SIG{name} could not be sent to {pid}"
    );
    while name == "STOP" && !has_stopped(pid) {
        thread::yield_now();
    }
}

/// Whether the system says that a process is stopped: proc(5), the field behind the name.
fn has_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    stat.rsplit(") ")
        .next()
        .is_some_and(|fields| fields.starts_with('T'))
}

/// Waits until the server's system has seen the client close its connection: under load, an end can
/// arrive later than later data on another connection.
pub fn wait_until_told(server: SocketAddr, client: SocketAddr) {
    let end = Instant::now() + PATIENCE;
    while is_established(server, client) {
        assert!(Instant::now() < end, "the end of {client} does not arrive");
        thread::yield_now();
    }
}

/// Whether the system holds the connection for open in both directions: proc_pid_net(5), tcp.
fn is_established(local: SocketAddr, remote: SocketAddr) -> bool {
    let in_hexadecimal = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => format!(
            "{:08X}:{:04X}",
            u32::from_le_bytes(ip.octets()),
            address.port()
        ),
        IpAddr::V6(_) => panic!("tests talk IPv4"),
    };
    let entry = format!(" {} {} 01 ", in_hexadecimal(local), in_hexadecimal(remote));
    fs::read_to_string("/proc/net/tcp")
        .expect("procfs")
        .contains(&entry)
}

/// One raw TCP connection.
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("nodelay");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a read time-out");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a write time-out");
        Client { stream }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the server takes the bytes");
    }

    /// Closes the sending side (FIN); answers can still be read.
    pub fn half_close(&mut self) {
        self.stream
            .shutdown(Shutdown::Write)
            .expect("the sending side closes");
    }

    /// Reads exactly as many bytes as are expected and compares them.
    #[track_caller]
    pub fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut received = vec![0; expected.len()];
        let mut length = 0;
        while length < expected.len() {
            match self.stream.read(&mut received[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
            if received[..length] != expected[..length] {
                break;
            }
        }
        let received = received[..length].escape_ascii().to_string();
        assert_eq!(received, expected.escape_ascii().to_string());
    }

    /// Expects that the server has closed its side and sent nothing more.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let rest = self.read_to_end();
        assert_eq!(
            rest.escape_ascii().to_string(),
            "",
            "bytes where the end was expected"
        );
    }

    /// Everything up to the server's FIN.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream
            .read_to_end(&mut rest)
            .expect("the server closes in time, without a reset");
        rest
    }

    /// Sends a one-line request and returns its answer without the line end.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.read_line()
    }

    /// Reads up to the next line feed, which is not returned.
    #[track_caller]
    pub fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            self.stream
                .read_exact(&mut byte)
                .expect("a whole line arrives");
            if byte[0] == b'\n' {
                return String::from_utf8(line).expect("the line is UTF-8");
            }
            line.push(byte[0]);
        }
    }
}
