//! Requests outside the measurement: seeding the pool before the load, and verifying what it leaves
//! behind.
//!
//! Blocking, one connection each, with a time-out.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{Outcome, answer, requests::request};

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends bytes on a new connection and hands back the first answer.
pub fn exchange(server: SocketAddr, bytes: &[u8]) -> Outcome<Reply> {
    let attempt = || -> Outcome<Reply> {
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

/// Gives the pool the members "1" to "N", none of them held.
pub fn seed(server: SocketAddr, pool: &str, resources: u32) -> Outcome<()> {
    let ids: Vec<String> = (1..=resources).map(|id| format!("\"{id}\"")).collect();
    let body = format!("{{\"{pool}\":[{}]}}", ids.join(","));
    succeed(server, "PUT", "/pool", &body)?;
    // Whoever was here before may have left locks.
    succeed(server, "DELETE", &format!("/pool/{pool}/lock"), "")?;
    Ok(())
}

/// After the load everything has been released: the server must say that nothing is held and
/// nothing is missing.
pub fn verify(server: SocketAddr, pool: &str, resources: u32) -> Outcome<()> {
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

fn succeed(server: SocketAddr, method: &str, path: &str, body: &str) -> Outcome<String> {
    let reply = exchange(server, &request(method, path, server, true, body))?;
    match reply.status {
        200 => Ok(reply.body),
        status => Err(format!("{method} {path}: {status} {}", reply.body).into()),
    }
}
