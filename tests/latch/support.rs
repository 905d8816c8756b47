//! A running `latch`, whose lines are read as they come.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::launch::{eventually, free_port};
use crate::support::{Ended, PATIENCE, Server, StoreKind, run_command, signal};

/// The command, with nothing of its own in the environment but where the server is.
pub fn latch(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latch"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LATCH_") {
            command.env_remove(name);
        }
    }
    command.env("LATCH_URL", url);
    command
}

/// Runs it to its end.
#[track_caller]
pub fn run(server: &Server, arguments: &[&str]) -> Ended {
    let mut command = latch(&server.url());
    command.args(arguments);
    run_command(command)
}

/// Returns what a successful run prints.
#[track_caller]
pub fn printed(server: &Server, arguments: &[&str]) -> String {
    let ended = run(server, arguments);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{arguments:?}");
    ended.stdout
}

/// Returns the exit code and the message of a run that must fail.
#[track_caller]
pub fn failed(server: &Server, arguments: &[&str]) -> (i32, String) {
    let ended = run(server, arguments);
    assert_eq!(ended.stdout, "", "{arguments:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    (ended.code.expect("no signal"), ended.stderr)
}

/// One request in the form of a line.
#[track_caller]
pub fn ask(server: &Server, line: &str) -> String {
    server.connect().ask(line)
}

/// Waits until the state of pool A is `RESOURCES HELD WAITING`.
#[track_caller]
pub fn wait_for_state(server: &Server, state: &str) {
    let wanted = format!("200 {state} A");
    let mut seen = String::new();
    let mut client = server.connect();
    eventually(&wanted.clone(), || {
        seen = client.ask("GET /pool");
        (seen == wanted).then_some(())
    });
}

/// A server that listens on the same address when it is started again, with one resource in pool A.
pub struct Lasting {
    pub server: Server,
    url: String,
    ca: Option<PathBuf>,
}

impl Lasting {
    /// `ca` is the authority that `latch` has to trust, with TLS.
    pub fn start(store: StoreKind, options: &[&str], url: String, ca: Option<PathBuf>) -> Lasting {
        let server = Server::start_with(store, options);
        ask(&server, r#"POST /pool {"A":["1"]}"#);
        Lasting { server, url, ca }
    }

    pub fn run(&self, arguments: &[&str], script: &str) -> Running {
        let mut command = latch(&self.url);
        command.envs(self.ca.iter().map(|ca| ("LATCH_CA", ca)));
        command.args(["run", "A"]).args(arguments);
        command.args(["--", "sh", "-c", script]);
        Running::spawn(command)
    }

    /// A restart within the lease must be survived, with the same grant.
    #[track_caller]
    pub fn restart_within_a_lease(mut self) {
        let mut running = self.run(&["--ttl", "6"], "echo ready; read x; echo on; exit 3");
        assert_eq!(running.line(), "ready");
        let held = ask(&self.server, "GET /pool/A/lock/1");
        assert!(held.starts_with("200 1 "), "{held}");
        self.server.kill();
        running.hear("not renewed, trying again");
        self.server.restart();
        running.hear("the lock was renewed again");
        let held = ask(&self.server, "GET /pool/A/lock/1");
        assert!(held.starts_with("200 1 "), "the same grant: {held}");
        running.close_stdin();
        assert_eq!(running.code(), 3);
        assert_eq!(running.rest(), "on");
        assert_eq!(ask(&self.server, "GET /pool"), "200 1 0 0 A");
    }
}

/// A `latch` that runs.
pub struct Running {
    child: Child,
    pub stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
}

impl Running {
    pub fn start(server: &Server, arguments: &[&str]) -> Running {
        let mut command = latch(&server.url());
        command.args(arguments);
        Running::spawn(command)
    }

    pub fn spawn(mut command: Command) -> Running {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        Running {
            stdin: child.stdin.take(),
            stdout: Lines::of(child.stdout.take().expect("stdout is piped")),
            stderr: Lines::of(child.stderr.take().expect("stderr is piped")),
            child,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// The next line that the command prints.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.stdout.next()
    }

    /// Waits until latch prints a message with these words in it, and returns that.
    #[track_caller]
    pub fn hear(&mut self, words: &str) -> String {
        loop {
            let line = self.stderr.next();
            if line.contains(words) {
                return line;
            }
        }
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the end, and returns the exit code.
    #[track_caller]
    pub fn code(&mut self) -> i32 {
        self.wait().code().expect("it ends by itself")
    }

    /// Waits for the end, which must be by a signal, and returns its number.
    #[track_caller]
    pub fn signal_of_end(&mut self) -> i32 {
        self.wait().signal().expect("a signal ends it")
    }

    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("latch ends", || {
            self.child.try_wait().expect("it can be waited for")
        })
    }

    /// Returns all further output, to the end.
    pub fn rest(&mut self) -> String {
        self.stdout.rest()
    }

    /// Returns all further messages, to the end.
    pub fn rest_heard(&mut self) -> String {
        self.stderr.rest()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command gets its SIGTERM when latch is killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Lines(Receiver<String>);

impl Lines {
    fn of(from: impl Read + Send + 'static) -> Lines {
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Lines(lines)
    }

    #[track_caller]
    fn next(&mut self) -> String {
        self.0.recv_timeout(PATIENCE).expect("a line in time")
    }

    fn rest(&mut self) -> String {
        let end = Instant::now() + PATIENCE;
        let mut rest = Vec::new();
        while let Ok(line) = self
            .0
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            rest.push(line);
        }
        rest.join("\n")
    }
}

/// An address that no other test has, also while no process listens there: on a loopback host of its
/// own.
pub fn own_address() -> SocketAddr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    let host = [
        127,
        (process >> 8) as u8 | 128,
        process as u8,
        COUNT.fetch_add(1, Ordering::Relaxed),
    ];
    SocketAddr::from((host, free_port()))
}

/// Whether a process exists that has not ended.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}

/// Plays a server that gives each request the next of these answers, and reports the requests.
pub fn stranger(answers: Vec<Vec<u8>>) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (sender, requests) = channel();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .expect("a time-out");
            let mut request = vec![0; 10_000];
            let length = stream.read(&mut request).expect("a request");
            request.truncate(length);
            let _ = sender.send(String::from_utf8_lossy(&request).into_owned());
            // A client that has read enough may have closed.
            let _ = stream.write_all(&answer);
        }
    });
    (address, requests)
}

/// An answer as a latchd would give it.
pub fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
