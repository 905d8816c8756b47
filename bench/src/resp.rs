//! A Redis seen by an observer: a connection for a few questions, each answered before the next is
//! sent.
//!
//! It implements as much of the protocol as `INFO` and `MONITOR` need.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{BenchResult, process::cpu_ns};

const PATIENCE: Duration = Duration::from_secs(10);

pub struct Redis {
    stream: BufReader<TcpStream>,
    pid: u32,
}

/// The CPU time and the calls of a Redis since it started.
#[derive(Clone, Copy)]
pub struct Usage {
    pub cpu_ns: u64,
    pub script_calls: u64,
}

impl Usage {
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns - before.cpu_ns,
            script_calls: self.script_calls - before.script_calls,
        }
    }
}

impl Redis {
    pub fn connect(address: SocketAddr) -> BenchResult<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut redis = Self {
            stream: BufReader::new(stream),
            pid: 0,
        };
        let about = redis.ask("INFO server")?;
        redis.pid = field(&about, "process_id")
            .and_then(|pid| pid.parse().ok())
            .ok_or("this Redis does not say which process it is")?;
        Ok(redis)
    }

    /// Returns the usage: CPU time by the kernel, calls by Redis itself.
    pub fn usage(&mut self) -> BenchResult<Usage> {
        let commands = self.ask("INFO commandstats")?;
        Ok(Usage {
            cpu_ns: cpu_ns(self.pid)?,
            script_calls: script_calls(&commands),
        })
    }

    /// Starts `MONITOR`: from now on `next_line` returns each command that Redis receives.
    pub fn monitor(&mut self) -> BenchResult<()> {
        self.ask("MONITOR").map(drop)
    }

    pub fn next_line(&mut self) -> BenchResult<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err("Redis has closed the connection".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// Sends words that need no quoting, and returns a reply of one text.
    fn ask(&mut self, words: &str) -> BenchResult<String> {
        self.stream
            .get_mut()
            .write_all(format!("{words}\r\n").as_bytes())?;
        let head = self.next_line()?;
        if let Some(status) = head.strip_prefix('+') {
            return Ok(status.to_owned());
        }
        let length = head
            .strip_prefix('$')
            .and_then(|length| length.parse().ok());
        let length: usize = length.ok_or_else(|| format!("Redis, asked {words}: {head}"))?;
        let mut text = vec![0; length + 2];
        self.stream.read_exact(&mut text)?;
        text.truncate(length);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn script_calls(commands: &str) -> u64 {
    let evalsha = field(commands, "cmdstat_evalsha");
    let calls = evalsha.and_then(|fields| fields.strip_prefix("calls=")?.split(',').next());
    calls.and_then(|calls| calls.parse().ok()).unwrap_or(0)
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = info.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_scripts_are_found_among_all_commands() {
        let info =
            "# Commandstats\r\ncmdstat_hget:calls=9,usec=1\r\ncmdstat_evalsha:calls=42,usec=7\r\n";
        assert_eq!(script_calls(info), 42);
        assert_eq!(script_calls("# Commandstats\r\n"), 0);
    }
}
