//! Processes: their CPU time, and servers that are started and ended here, each by its own id.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::BenchResult;

/// Returns the CPU time of all live threads of a process: the first field of their schedstat.
///
/// The kernel updates the figure of a running thread at each tick, so it may be some milliseconds
/// behind.
pub fn cpu_ns(pid: u32) -> BenchResult<u64> {
    let read = || -> io::Result<u64> {
        let mut sum_ns = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            sum_ns += text
                .split(' ')
                .next()
                .and_then(|field| field.parse::<u64>().ok())
                .ok_or(io::ErrorKind::InvalidData)?;
        }
        Ok(sum_ns)
    };
    read().map_err(|error| format!("CPU time of process {pid}: {error}").into())
}

/// Returns the resident memory of a process now, and its maximum, in bytes.
pub fn resident_bytes(pid: u32) -> BenchResult<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|error| format!("memory of process {pid}: {error}"))?;
    let field = |name| status_bytes(&status, name).ok_or(format!("process {pid} has no {name}"));
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// Returns a field of a process's status, which is given in kB, in bytes.
fn status_bytes(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// Sends a signal to a process that was started here.
pub fn signal(pid: u32, name: &str) -> BenchResult<()> {
    // Through a shell, which is there on every system.
    let line = format!("kill -{name} {pid}");
    match Command::new("sh").args(["-c", &line]).status()? {
        status if status.success() => Ok(()),
        _ => Err(format!("cannot send {name} to process {pid}").into()),
    }
}

/// Waits until the cores are idle, but no longer than `patience`: other users may share them.
pub fn wait_for_quiet(patience: Duration) -> BenchResult<()> {
    const SAMPLE: Duration = Duration::from_millis(100);
    const IDLE_ENOUGH: f64 = 0.9;
    let end = Instant::now() + patience;
    while Instant::now() < end {
        let before = fs::read_to_string("/proc/stat")?;
        thread::sleep(SAMPLE);
        let after = fs::read_to_string("/proc/stat")?;
        let [idle, all] = [0, 1].map(|what| {
            let of = |text| cpu_ticks(text).map(|ticks| ticks[what]);
            of(&after)
                .zip(of(&before))
                .map(|(after, before)| after - before)
        });
        let idle_share = idle
            .zip(all)
            .map(|(idle, all)| idle as f64 / all.max(1) as f64);
        if idle_share.is_none_or(|share| share >= IDLE_ENOUGH) {
            break;
        }
    }
    Ok(())
}

/// Returns the idle ticks and all ticks of all cores together, from `/proc/stat`.
fn cpu_ticks(stat: &str) -> Option<[u64; 2]> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    Some([*ticks.get(3)?, ticks.iter().sum()])
}

pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// Returns a port that was free a moment ago, for servers that cannot report the one that they were
/// given.
pub fn free_address() -> BenchResult<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Starts programs on a core of choice, and so that they end with this process.
pub struct Launcher {
    taskset: Option<PathBuf>,
    setpriv: Option<PathBuf>,
}

impl Launcher {
    pub fn find() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            taskset: find_program("taskset").filter(|_| cores > 1),
            setpriv: find_program("setpriv"),
        }
    }

    pub fn pins(&self) -> bool {
        self.taskset.is_some()
    }

    /// Describes the pinning.
    pub fn pinning(&self) -> &'static str {
        match self.pins() {
            true => "server on core 0, load on core 1",
            false => "NOT pinned to cores",
        }
    }

    /// Returns the command for a program. Both helpers replace themselves by the program, so the
    /// child's id is the program's.
    pub fn command(&self, core: usize, program: &Path) -> Command {
        let mut words = Vec::new();
        if let Some(setpriv) = &self.setpriv {
            words.extend([setpriv.clone(), "--pdeathsig".into(), "KILL".into()]);
        }
        if let Some(taskset) = &self.taskset {
            words.extend([taskset.clone(), "-c".into(), core.to_string().into()]);
        }
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command
    }
}

/// A server that reports its address on standard error. Ended when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

const START_PATIENCE: Duration = Duration::from_secs(10);

impl Server {
    pub fn start(name: &str, mut command: Command) -> BenchResult<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let stderr = child.stderr.take().ok_or("standard error was piped")?;
        match wait_until_listening(stderr) {
            Ok(address) => Ok(Self { child, address }),
            Err(why) => {
                end(&mut child);
                Err(format!("{name} did not start: {why}").into())
            }
        }
    }

    /// Starts a server at `address` that does not report when it listens.
    pub fn start_at(name: &str, mut command: Command, address: SocketAddr) -> BenchResult<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut server = Self { child, address };
        let patience = Instant::now() + START_PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{name} did not start: {status}").into());
            }
            if Instant::now() > patience {
                return Err(format!("{name} does not listen on {address}").into());
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the server in an orderly way; another end is an error.
    pub fn stop(mut self) -> BenchResult<()> {
        signal(self.pid(), "TERM")?;
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("a server ended badly: {status}").into()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It fails only if the child has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits for the address. A thread goes on reading while the server lives, so that its log never
/// blocks it.
fn wait_until_listening(stderr: ChildStderr) -> Result<SocketAddr, String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut said = String::new();
    loop {
        match lines.recv_timeout(START_PATIENCE) {
            Ok(line) => match listening_address(&line) {
                Some(address) => return Ok(address),
                None => said = line,
            },
            Err(RecvTimeoutError::Timeout) => return Err(format!("it listens nowhere; {said:?}")),
            Err(RecvTimeoutError::Disconnected) => return Err(format!("it ended; {said:?}")),
        }
    }
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let rest = rest.strip_prefix("http://").unwrap_or(rest);
    let end = rest
        .find(|letter: char| !(letter.is_ascii_hexdigit() || ".:[]".contains(letter)))
        .unwrap_or(rest.len());
    rest[..end].trim_end_matches(['.', ':']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_log_line() {
        for line in [
            "listening on 127.0.0.1:4711",
            "2026-01-01 INFO [latchd] listening on 127.0.0.1:4711, store memory:",
            "listening on http://127.0.0.1:4711/",
        ] {
            let found = listening_address(line).map(|address| address.to_string());
            assert_eq!(found.as_deref(), Some("127.0.0.1:4711"), "{line}");
        }
        assert_eq!(listening_address("cannot bind"), None);
    }

    #[test]
    fn memory_is_found_in_a_status() {
        let status = "Name:\tlatchd\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(status_bytes(status, "VmSwap:"), None);
    }

    #[test]
    fn idle_ticks_are_the_fourth() {
        let stat = "cpu  1 2 3 40 5\ncpu0 1 2 3 40 5\n";
        assert_eq!(cpu_ticks(stat), Some([40, 51]));
        assert_eq!(cpu_ticks("nonsense"), None);
    }

    #[test]
    fn this_process_has_used_some_time() {
        assert!(cpu_ns(std::process::id()).unwrap() > 0);
    }
}
