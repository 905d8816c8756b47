//! The time from the start of a process to its first answer.
//!
//! The process is started directly, on any free core: a program that pins it would take time too.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    BenchResult, compare, control, nginx,
    process::{Server, free_address},
    requests::request,
    spread::Spread,
    table::{self, FILE, FLOOR, MEMORY, NGINX},
};

/// Measure the time from the start of each server to its first answer
#[derive(clap::Args)]
pub struct Options {
    /// The server's binary; default: the one beside this program
    #[arg(long, value_name = "PATH")]
    latchd: Option<PathBuf>,
    #[arg(long, value_name = "N", default_value_t = 51, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
}

pub fn run(options: &Options) -> BenchResult<()> {
    let latchd = compare::latchd_path(options.latchd.as_deref())?;
    let bench = std::env::current_exe()?;
    let nginx = nginx::find();
    let folder = TempDir::with_prefix("latchd-bench-")?;
    let mut file = std::ffi::OsString::from("file:");
    file.push(folder.path().join("latchd.redb"));
    let mut times: [(&str, Vec<f64>); 4] =
        [FLOOR, MEMORY, FILE, NGINX].map(|name| (name, Vec::new()));
    for _ in 0..options.rounds {
        for (name, times) in &mut times {
            let address = free_address()?;
            let command = match (*name, &nginx) {
                (FLOOR, _) => {
                    let mut command = Command::new(&bench);
                    command.args(["floor", "--listen", &address.to_string()]);
                    command
                }
                (MEMORY, _) => latchd_at(&latchd, folder.path(), address, "memory:".as_ref()),
                (FILE, _) => latchd_at(&latchd, folder.path(), address, &file),
                (_, Some(nginx)) => {
                    nginx::configure(folder.path(), address, 512)?;
                    let mut command = Command::new(nginx);
                    nginx::add_arguments(&mut command, folder.path());
                    command
                }
                (_, None) => continue,
            };
            let (took, _server) = until_answer(name, command, address)?;
            times.push(took.as_secs_f64() * 1e3);
        }
    }
    println!("{}; {} starts each.\n", table::machine(), options.rounds);
    println!("| server | ms from start to first answer |\n| --- | ---: |");
    for (name, times) in times {
        println!("| {name} | {} |", table::shown(Spread::of(times), 2));
    }
    Ok(())
}

/// Returns the command that starts latchd at `address`.
pub fn latchd_at(latchd: &Path, folder: &Path, address: SocketAddr, store: &OsStr) -> Command {
    let mut command = Command::new(latchd);
    command.env_clear().current_dir(folder);
    command.args(["--listen", &address.to_string(), "--store"]);
    command.arg(store);
    command
}

/// Starts a server, and waits until it has answered a ping.
pub fn until_answer(
    name: &str,
    mut command: Command,
    address: SocketAddr,
) -> BenchResult<(Duration, Server)> {
    let ping = request("GET", "/ping", address, true, "");
    command.stdin(Stdio::null());
    let start = Instant::now();
    let server = Server::start_at(name, command, address)?;
    control::exchange(address, &ping)?.success()?;
    Ok((start.elapsed(), server))
}
