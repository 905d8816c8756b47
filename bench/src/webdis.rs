//! webdis, the peer that puts HTTP in front of Redis and nothing else: its start, and the requests
//! outside of the measurement.
//!
//! A pool is a set there, a lock is `SPOP`, a release is `SADD`. It has no lease, no owner, no fence,
//! no queue.

use std::{net::SocketAddr, path::Path};

use serde_json::json;

use crate::{
    BenchResult, compare, control,
    process::{Launcher, Server, free_address},
    requests::request,
};

/// Starts webdis with one worker thread, since it has one core as latchd does. Nothing is logged, and
/// all else has its default.
pub fn start(
    webdis: &Path,
    launcher: &Launcher,
    folder: &Path,
    redis: SocketAddr,
) -> BenchResult<Server> {
    let address = free_address()?;
    let settings = json!({
        "redis_host": redis.ip().to_string(),
        "redis_port": redis.port(),
        "http_host": address.ip().to_string(),
        "http_port": address.port(),
        "threads": 1,
        "daemonize": false,
        "database": 0,
        "verbosity": 0,
        "logfile": "/dev/null",
    });
    let file = folder.join("webdis.json");
    std::fs::write(&file, settings.to_string())?;
    let mut command = launcher.command(compare::SERVER_CORE, webdis);
    command.current_dir(folder).arg(file);
    Server::start_at("webdis", command, address)
}

/// Sets the members of the set to "1" to "N".
pub fn seed(server: SocketAddr, set: &str, resources: u32) -> BenchResult<()> {
    const PART: u32 = 1000;
    ask(server, &format!("DEL/{set}"))?;
    for part in control::in_parts(resources, PART) {
        let ids: Vec<String> = part.map(|id| id.to_string()).collect();
        ask(server, &format!("SADD/{set}/{}", ids.join("/")))?;
    }
    verify(server, set, resources)
}

/// Verifies the number of members. The load has checked that only seeded ones came back, so none is
/// missing if the number is right.
pub fn verify(server: SocketAddr, set: &str, resources: u32) -> BenchResult<()> {
    let count = ask(server, &format!("SCARD/{set}.txt"))?;
    if count != resources.to_string() {
        return Err(format!("webdis has {count} members of {resources}").into());
    }
    Ok(())
}

/// Sends a command in a body, which may be long; in a path it may not. The request does not close the
/// connection: webdis 0.1.9 would not answer a body that it needs two reads for.
fn ask(server: SocketAddr, command: &str) -> BenchResult<String> {
    let reply = control::exchange(server, &request("POST", "/", server, false, command))?;
    reply
        .success()
        .map_err(|problem| format!("webdis: {problem}").into())
}
