//! The script call by which latchd takes one lock from Redis, and redis-benchmark repeating it.
//!
//! The call is not written down here: `MONITOR` shows the one that latchd makes. So this measures
//! the very script and arguments of latchd, whatever they are.

use std::{io::Read, net::SocketAddr, path::Path, process::Stdio};

use crate::{
    BenchResult, compare, control,
    process::{Launcher, cpu_ns},
    requests::request,
    resp::Redis,
};

/// The words of the call: EVALSHA and its arguments.
pub struct ScriptCall {
    words: Vec<String>,
}

/// The measurements of redis-benchmark and its Redis.
pub struct Replayed {
    pub calls: u32,
    pub calls_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub redis_cpu_ns: u64,
    pub client_cpu_ns: u64,
}

/// A time in milliseconds that never comes: latchd limits the time until which Redis may run a call.
const NEVER_LATE: &str = "9007199254740991";
/// The index of this limit, after EVALSHA, the hash, the number of keys, the key, and the earliest
/// time.
const LIMIT_AT: usize = 5;

impl ScriptCall {
    /// Takes one lock from a pool that has a free resource, and records its call.
    pub fn learn(redis: SocketAddr, latchd: SocketAddr, pool: &str) -> BenchResult<Self> {
        let mut redis = Redis::connect(redis)?;
        redis.monitor()?;
        let lock = request("POST", &format!("/pool/{pool}/lock"), latchd, true, "");
        let reply = control::exchange(latchd, &lock)?;
        if reply.status != 200 {
            return Err(format!("latchd refused a lock: {} {}", reply.status, reply.body).into());
        }
        loop {
            if let Some(mut words) = call_for_one_lock(&redis.next_line()?) {
                words[LIMIT_AT] = NEVER_LATE.to_owned();
                return Ok(Self { words });
            }
        }
    }

    /// Replays the call, `depth` calls in one write; each takes one lock.
    pub fn replay(
        &self,
        benchmark: &Path,
        launcher: &Launcher,
        redis: SocketAddr,
        [connections, depth, calls]: [u32; 3],
    ) -> BenchResult<Replayed> {
        let mut command = launcher.command(compare::LOAD_CORE, benchmark);
        command.args([
            "-h",
            &redis.ip().to_string(),
            "-p",
            &redis.port().to_string(),
        ]);
        command.args(["-c", &connections.to_string(), "-P", &depth.to_string()]);
        command.args(["-n", &calls.to_string(), "--csv"]);
        command.args(&self.words);
        let mut redis = Redis::connect(redis)?;
        let before = redis.usage()?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut text = String::new();
        let mut stdout = child.stdout.take().ok_or("standard output was piped")?;
        stdout.read_to_string(&mut text)?;
        // The process has ended, and its CPU time is available until it is waited for.
        let client_cpu_ns = cpu_ns(child.id());
        let status = child.wait()?;
        let used = redis.usage()?.since(before);
        if !status.success() {
            return Err(format!("redis-benchmark: {status}; {text:?}").into());
        }
        let made = used.script_calls;
        if made != u64::from(calls) {
            return Err(format!("redis-benchmark made {made} calls, not {calls}").into());
        }
        let [calls_per_second, p50_us, p99_us] = figures(&text)
            .ok_or_else(|| format!("redis-benchmark said something else: {text:?}"))?;
        Ok(Replayed {
            calls,
            calls_per_second,
            p50_us,
            p99_us,
            redis_cpu_ns: used.cpu_ns,
            client_cpu_ns: client_cpu_ns?,
        })
    }
}

/// Returns the words of an EVALSHA for one plain acquire, if a line of MONITOR shows one.
fn call_for_one_lock(line: &str) -> Option<Vec<String>> {
    let (_, words) = line.split_once("] \"")?;
    let words: Vec<String> = words
        .strip_suffix('"')?
        .split("\" \"")
        .map(str::to_owned)
        .collect();
    let is_call = words[0].eq_ignore_ascii_case("evalsha") && words.len() > LIMIT_AT;
    (is_call && words.ends_with(&["a".to_owned(), "1".to_owned()])).then_some(words)
}

/// Returns calls a second, and latencies in microseconds, from redis-benchmark's CSV. The first
/// field is the command, which may contain anything.
fn figures(csv: &str) -> Option<[f64; 3]> {
    let line = csv.lines().find(|line| line.starts_with("\"EVALSHA"))?;
    let fields: Vec<&str> = line.strip_suffix('"')?.rsplit("\",\"").collect();
    // From behind: max, p99, p95, p50, min, average, calls a second.
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some([number(6)?, number(3)? * 1e3, number(1)? * 1e3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_for_one_lock_is_known_in_what_monitor_shows() {
        let line = "+1795466425.1 [0 127.0.0.1:5] \"EVALSHA\" \"ab\" \"1\" \"pool:{A}\" \"5\" \"7\" \"0\" \"s\" \"\" \"a\" \"1\"";
        let words = call_for_one_lock(line).unwrap();
        assert_eq!(words.len(), 11);
        assert_eq!(
            (&*words[3], &*words[LIMIT_AT], &*words[8]),
            ("pool:{A}", "7", "")
        );
        for other in [
            "+OK",
            "+1795466425.1 [0 lua] \"ZPOPMIN\" \"a\" \"1\"",
            "+1795466425.1 [0 127.0.0.1:5] \"EVALSHA\" \"ab\" \"1\" \"pool:{A}\" \"7\" \"s\" \"a\" \"2\"",
        ] {
            assert_eq!(call_for_one_lock(other), None, "{other}");
        }
    }

    #[test]
    fn figures_are_read_from_the_end_of_a_line() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\
                   \"EVALSHA ab 1 x,\"\"y\",\"50000.00\",\"1.1\",\"0.1\",\"1.2\",\"1.5\",\"2.0\",\"3.0\"\n";
        assert_eq!(figures(csv), Some([50000.0, 1200.0, 2000.0]));
        assert_eq!(figures("\"test\",\"rps\"\n"), None);
    }
}
