//! webdis, the peer that puts HTTP in front of Redis and nothing else: how it is started, and what it
//! is asked outside of the measurement.
//!
//! A pool is a set there, a lock is `SPOP`, a release is `SADD`. There is no more to it: no lease, no
//! owner, no fence, no line.

use std::{net::SocketAddr, path::Path};

use serde_json::json;

use crate::{
    Outcome, compare, control,
    process::{Launcher, Server, free_address},
    requests::request,
};

/// One worker thread, since it has one core as latchd does. Nothing is logged, and all else is as it
/// comes.
pub fn start(
    webdis: &Path,
    launcher: &Launcher,
    folder: &Path,
    redis: SocketAddr,
) -> Outcome<Server> {
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

/// Gives the set the members "1" to "N" and no others.
pub fn seed(server: SocketAddr, set: &str, resources: u32) -> Outcome<()> {
    const PART: u32 = 1000;
    ask(server, &format!("DEL/{set}"))?;
    for part in control::in_parts(resources, PART) {
        let ids: Vec<String> = part.map(|id| id.to_string()).collect();
        ask(server, &format!("SADD/{set}/{}", ids.join("/")))?;
    }
    verify(server, set, resources)
}

/// Only what was seeded has come back, as the load saw to: so it is all there if there are as many.
pub fn verify(server: SocketAddr, set: &str, resources: u32) -> Outcome<()> {
    let count = ask(server, &format!("SCARD/{set}.txt"))?;
    if count != resources.to_string() {
        return Err(format!("webdis has {count} members of {resources}").into());
    }
    Ok(())
}

/// A command in a body may be long, in a path it may not. The connection is not asked to be closed:
/// webdis 0.1.9 would not answer a body that it needs two reads for.
fn ask(server: SocketAddr, command: &str) -> Outcome<String> {
    let reply = control::exchange(server, &request("POST", "/", server, false, command))?;
    reply
        .success()
        .map_err(|problem| format!("webdis: {problem}").into())
}
