//! Requests outside the measurement: they seed the pool before the load, and verify what it leaves
//! behind.
//!
//! All of them block, with a timeout.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    ops::RangeInclusive,
    thread,
    time::{Duration, Instant},
};

use crate::{BenchResult, answer, requests::request};

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends bytes on a new connection and returns the first answer.
pub fn exchange(server: SocketAddr, bytes: &[u8]) -> BenchResult<Reply> {
    let attempt = || -> BenchResult<Reply> {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(bytes)?;
        let mut received = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match answer::parse(&received) {
                Ok(Some(answer)) => {
                    return Ok(Reply {
                        status: answer.status,
                        body: String::from_utf8_lossy(answer.body).into_owned(),
                        whole_bytes: answer.whole_bytes,
                    });
                }
                Ok(None) => {}
                Err(answer::Malformed) => return Err("what came back is not HTTP".into()),
            }
            match stream.read(&mut buffer)? {
                0 => return Err("closed without a whole answer".into()),
                read => received.extend_from_slice(&buffer[..read]),
            }
        }
    };
    attempt().map_err(|error| format!("asking {server}: {error}").into())
}

pub struct Reply {
    pub status: u16,
    pub body: String,
    pub whole_bytes: usize,
}

impl Reply {
    /// Returns the body; any status but 200 is an error.
    pub fn success(self) -> Result<String, String> {
        match self.status {
            200 => Ok(self.body),
            status => Err(format!("{status} {}", self.body)),
        }
    }
}

/// Waits while the server's store is down.
pub fn wait_until_ready(server: SocketAddr) -> BenchResult<()> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match succeed(server, "GET", "/pool", "") {
            Err(_) if Instant::now() < patience => thread::sleep(Duration::from_millis(10)),
            outcome => return outcome.map(drop),
        }
    }
}

/// Sets the members of the pool to "1" to "N", none of them held.
pub fn seed(server: SocketAddr, pool: &str, resources: u32) -> BenchResult<()> {
    let ids: Vec<String> = (1..=resources).map(|id| format!("\"{id}\"")).collect();
    let body = format!("{{\"{pool}\":[{}]}}", ids.join(","));
    succeed(server, "PUT", "/pool", &body)?;
    // An earlier load may have left locks.
    succeed(server, "DELETE", &format!("/pool/{pool}/lock"), "")?;
    Ok(())
}

/// Creates the pool again, with the members "1" to "N", which may be too many for one body.
pub fn seed_anew(server: SocketAddr, pool: &str, resources: u32) -> BenchResult<()> {
    const PART: u32 = 50_000;
    let path = format!("/pool/{pool}");
    let removed = exchange(server, &request("DELETE", &path, server, true, ""))?;
    if !matches!(removed.status, 200 | 404) {
        return Err(format!("DELETE {path}: {} {}", removed.status, removed.body).into());
    }
    for part in in_parts(resources, PART) {
        let ids: Vec<String> = part.map(|id| id.to_string()).collect();
        succeed(server, "POST", &path, &ids.join("\n"))?;
    }
    Ok(())
}

/// Returns the numbers of the resources, in pieces of `size`.
pub fn in_parts(resources: u32, size: u32) -> impl Iterator<Item = RangeInclusive<u32>> {
    (1..=resources)
        .step_by(size as usize)
        .map(move |first| first..=resources.min(first + size - 1))
}

/// Returns the number of held resources of the pool.
pub fn held(server: SocketAddr, pool: &str) -> BenchResult<u64> {
    let pools = succeed(server, "GET", "/pool", "")?;
    held_of(&pools, pool).ok_or_else(|| format!("no pool {pool} in {pools:?}").into())
}

/// Finds it in a list of pools, each `RESOURCES HELD WAITING NAME`.
fn held_of(pools: &str, pool: &str) -> Option<u64> {
    let mut lines = pools.lines().map(|line| line.splitn(4, ' '));
    lines.find_map(|mut fields| {
        let held = fields.nth(1)?;
        (fields.nth(1)? == pool).then(|| held.parse().ok())?
    })
}

/// Verifies that the server lists no locks and misses no resources after the load.
pub fn verify(server: SocketAddr, pool: &str, resources: u32) -> BenchResult<()> {
    let held = succeed(server, "GET", &format!("/pool/{pool}/lock"), "")?;
    if !held.is_empty() {
        let count = held.lines().count();
        return Err(format!("all is released, yet the server lists {count} locks").into());
    }
    let members = succeed(server, "GET", &format!("/pool/{pool}"), "")?;
    let mut members: Vec<&str> = members.lines().collect();
    members.sort_unstable();
    let mut seeded: Vec<String> = (1..=resources).map(|id| id.to_string()).collect();
    seeded.sort_unstable();
    if members != seeded {
        return Err("the pool's members are not those that were seeded".into());
    }
    Ok(())
}

fn succeed(server: SocketAddr, method: &str, path: &str, body: &str) -> BenchResult<String> {
    let reply = exchange(server, &request(method, path, server, true, body))?;
    reply
        .success()
        .map_err(|problem| format!("{method} {path}: {problem}").into())
}

/// One persistent connection that waits for each answer.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub fn connect(server: SocketAddr) -> BenchResult<Self> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) -> BenchResult<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    pub fn answer_to(&mut self, bytes: &[u8]) -> BenchResult<String> {
        self.send(bytes)?;
        self.answer()
    }

    pub fn ask(&mut self, bytes: &[u8], expected: &str) -> BenchResult<()> {
        self.send(bytes)?;
        self.expect(expected)
    }

    pub fn expect(&mut self, expected: &str) -> BenchResult<()> {
        match self.answer()? {
            body if body == expected => Ok(()),
            body => Err(format!("the answer is {body:?}, not {expected:?}").into()),
        }
    }

    fn answer(&mut self) -> BenchResult<String> {
        match self.reply()? {
            (200, body) => Ok(body),
            (status, _) => Err(format!("answered {status}").into()),
        }
    }

    /// Returns the status and the body of the next answer.
    pub fn reply(&mut self) -> BenchResult<(u16, String)> {
        loop {
            match answer::parse(&self.received) {
                Ok(Some(answer)) => {
                    let reply = String::from_utf8_lossy(answer.body).into_owned();
                    let (status, whole_bytes) = (answer.status, answer.whole_bytes);
                    self.received.drain(..whole_bytes);
                    return Ok((status, reply));
                }
                Ok(None) => {}
                Err(answer::Malformed) => return Err("what came back is not HTTP".into()),
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err("closed without a whole answer".into()),
                read => self.received.extend_from_slice(&buffer[..read]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_found_in_the_list_of_pools() {
        let pools = "4 2 1 A\n9 7 0 B";
        assert_eq!(held_of(pools, "B"), Some(7));
        assert_eq!(held_of(pools, "C"), None);
    }

    #[test]
    fn parts_are_all_numbers_once() {
        let all: Vec<u32> = in_parts(100_001, 50_000).flatten().collect();
        assert_eq!(all, (1..=100_001).collect::<Vec<u32>>());
        assert_eq!(in_parts(100_001, 50_000).count(), 3);
    }
}
