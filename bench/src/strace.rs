//! Counts the system calls of a server while it serves requests.
//!
//! Tracing slows the server down many times over, so nothing else is measured meanwhile. The server
//! also finds more requests at a time than usual, so the calls that serve many requests at once
//! (`epoll_wait`) are as few as can be.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{BenchResult, process};

const PATIENCE: Duration = Duration::from_secs(10);

/// Counts the system calls of process `pid` during `work`, and returns its result too.
pub fn count<T>(
    strace: &Path,
    pid: u32,
    folder: &Path,
    work: impl FnOnce() -> BenchResult<T>,
) -> BenchResult<(u64, T)> {
    let tracer = Tracer::attach(strace, pid, folder.join("strace.txt"))?;
    let result = work()?;
    Ok((tracer.detach()?, result))
}

/// A running strace, ended when dropped.
struct Tracer {
    child: Child,
    output: PathBuf,
}

impl Tracer {
    fn attach(strace: &Path, pid: u32, output: PathBuf) -> BenchResult<Self> {
        let mut command = Command::new(strace);
        command.args(["-c", "-f", "-p", &pid.to_string(), "-o"]);
        command.arg(&output).stdin(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn()?;
        let mut tracer = Self { child, output };
        let patience = Instant::now() + PATIENCE;
        while !is_traced(pid)? {
            if tracer.child.try_wait()?.is_some() || Instant::now() > patience {
                return Err("strace may not trace here".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(tracer)
    }

    fn detach(mut self) -> BenchResult<u64> {
        process::signal(self.child.id(), "INT")?;
        // strace ends by that signal, which is no failure.
        self.child.wait()?;
        let text = fs::read_to_string(&self.output)?;
        total_calls(&text).ok_or_else(|| "strace has counted nothing".into())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It fails only if strace has ended already. The kernel detaches the traced process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_traced(pid: u32) -> BenchResult<bool> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    Ok(tracer.is_some_and(|tracer| tracer.trim() != "0"))
}

/// Parses the last line of the summary: share, seconds, microseconds a call, calls, perhaps errors,
/// and the word.
fn total_calls(summary: &str) -> Option<u64> {
    let line = summary
        .lines()
        .find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_with_and_without_errors() {
        let head = "% time     seconds  usecs/call     calls    errors syscall\n";
        let read = " 60.00    0.000003           3         1           read\n";
        for total in [
            "100.00    0.000005           1         3         1 total\n",
            "100.00    0.000005           1         3           total\n",
        ] {
            assert_eq!(total_calls(&format!("{head}{read}{total}")), Some(3));
        }
        assert_eq!(total_calls(head), None);
    }
}
