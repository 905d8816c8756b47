//! All servers of a comparison. Those that are not installed are named.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::Command,
};

use crate::{
    BenchResult, compare, control, nginx,
    plan::{Api, Mode},
    process::{Launcher, Server, find_program},
    redis,
    table::{Entry, FILE, FLOOR, MEMORY, NGINX, REDIS, WEBDIS},
    webdis,
};

pub struct Peers {
    /// The servers, each before its store.
    pub servers: Vec<Server>,
    pub entries: Vec<Entry>,
    pub missing: Vec<&'static str>,
}

/// More connections than any load has.
const NGINX_CONNECTIONS: u32 = 16_384;

impl Peers {
    pub fn start(
        modes: &[Mode],
        depth: u32,
        launcher: &Launcher,
        latchd: &Path,
        folder: &Path,
    ) -> BenchResult<Self> {
        let mut peers = Self {
            servers: Vec::new(),
            entries: Vec::new(),
            missing: Vec::new(),
        };
        for &mode in modes {
            let server = Server::start(FLOOR, floor_command(launcher, mode, depth)?)?;
            peers.add(FLOOR, server, &[mode], Api::Latchd);
        }
        let mut file = OsString::from("file:");
        file.push(folder.join("latchd.redb"));
        for (name, store) in [(MEMORY, OsStr::new("memory:")), (FILE, &file)] {
            let command = compare::latchd_command(launcher, latchd, folder, store);
            peers.add(name, Server::start(name, command)?, modes, Api::Latchd);
        }
        match nginx::find() {
            Some(nginx) => {
                let folder = folder.join("nginx");
                let server = nginx::start(&nginx, launcher, &folder, NGINX_CONNECTIONS)?;
                peers.add(NGINX, server, modes, Api::Latchd);
            }
            None => peers.missing.push("nginx"),
        }
        match find_program("redis-server") {
            Some(_) => peers.add_redis(modes, launcher, latchd, folder)?,
            None => peers
                .missing
                .push("redis-server (latchd over Redis, webdis)"),
        }
        // Sorted for the table.
        peers.entries.sort_by_key(|entry| entry.mode as u8);
        Ok(peers)
    }

    /// Adds latchd over a Redis and webdis over another, in the modes that webdis supports.
    fn add_redis(
        &mut self,
        modes: &[Mode],
        launcher: &Launcher,
        latchd: &Path,
        folder: &Path,
    ) -> BenchResult<()> {
        let store = redis::start_redis(launcher, folder)?;
        let url = format!("redis://{}", store.address);
        let command = compare::latchd_command(launcher, latchd, folder, url.as_ref());
        let server = Server::start(REDIS, command)?;
        // latchd listens before it is connected to Redis.
        control::wait_until_ready(server.address)?;
        self.add(REDIS, server, modes, Api::Latchd);
        self.servers.push(store);
        let Some(program) = find_program("webdis") else {
            self.missing.push("webdis");
            return Ok(());
        };
        let store = redis::start_redis(launcher, folder)?;
        let server = webdis::start(&program, launcher, folder, store.address)?;
        let modes: Vec<Mode> = modes
            .iter()
            .copied()
            .filter(|mode| *mode == Mode::KeepAlive)
            .collect();
        self.add(WEBDIS, server, &modes, Api::Webdis);
        self.servers.push(store);
        Ok(())
    }

    fn add(&mut self, name: &'static str, server: Server, modes: &[Mode], api: Api) {
        let place = self.servers.len();
        self.servers.push(server);
        self.entries
            .extend(modes.iter().map(|mode| Entry::new(name, *mode, api, place)));
    }
}

pub fn floor_command(launcher: &Launcher, mode: Mode, depth: u32) -> BenchResult<Command> {
    let bench = std::env::current_exe()?;
    let mut command = launcher.command(compare::SERVER_CORE, &bench);
    command.arg("floor");
    match mode {
        Mode::KeepAlive => &mut command,
        Mode::Pipelined => command.args(["--requests-per-read", &depth.to_string()]),
        Mode::Close => command.arg("--close"),
    };
    Ok(command)
}
