//! Resident memory: when idle, for each idle connection, for each resource and pool; and the time
//! of a start that reads them all from the file.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    BenchResult, compare,
    control::Client,
    nginx,
    process::{Launcher, Server, free_address, resident_bytes},
    requests::request,
    seeding::{self, Shape},
    start,
    table::{self, FILE, MEMORY, NGINX},
};

/// Measure resident memory, starts from a large file, and stalls while seeding
#[derive(clap::Args)]
pub struct Options {
    /// The server's binary; default: the one beside this program
    #[arg(long, value_name = "PATH")]
    latchd: Option<PathBuf>,
    /// Idle connections
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    connections: u32,
    /// Resources in one pool
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    resources: u32,
    /// Pools of one resource each
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pools: u32,
    /// Repetitions of each seeding, on a new server
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// The time in which a server completes its one-time work after its start.
const SETTLE: Duration = Duration::from_millis(300);
const MAX_BODY: &str = "268435456";

pub fn run(options: &Options) -> BenchResult<()> {
    let latchd = compare::latchd_path(options.latchd.as_deref())?;
    let bench = Bench {
        launcher: Launcher::find(),
        latchd,
        options,
    };
    println!("{}; {}.\n", table::machine(), bench.launcher.pinning());
    println!(
        "| server | idle MB | with {0} idle connections MB | bytes each |\n| --- | ---: | ---: | ---: |",
        options.connections
    );
    for name in [MEMORY, FILE, NGINX] {
        bench.connections(name)?;
    }
    println!(
        "\n| what | server | resident MB | at most MB | bytes each | seeding s | longest ping ms | when idle: longest | median \
         | start after kill s | after stop s |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    for (shape, count) in [
        (Shape::OnePool, options.resources),
        (Shape::ManyPools, options.pools),
    ] {
        for name in [MEMORY, FILE] {
            for _ in 0..options.rounds {
                bench.resources(name, shape, count)?;
            }
        }
    }
    Ok(())
}

struct Bench<'a> {
    launcher: Launcher,
    latchd: PathBuf,
    options: &'a Options,
}

impl Bench<'_> {
    /// Measures idle connections, each of which has sent a request and been answered.
    fn connections(&self, name: &str) -> BenchResult<()> {
        let folder = TempDir::with_prefix("latchd-bench-")?;
        let count = self.options.connections;
        let Some(server) = self.start(name, folder.path(), count + 100)? else {
            println!("| {name} | not installed here | | |");
            return Ok(());
        };
        // nginx reserves memory for all its connections: without them it is smaller.
        let idle = match name {
            NGINX => {
                let other = TempDir::with_prefix("latchd-bench-")?;
                let small = self.start(name, other.path(), 64)?;
                resident(small.as_ref().unwrap_or(&server))?
            }
            _ => resident(&server)?,
        };
        let ping = request("GET", "/ping", server.address, false, "");
        let mut connections = Vec::new();
        for _ in 0..count {
            let mut client = Client::connect(server.address)?;
            client.answer_to(&ping)?;
            connections.push(client);
        }
        let with = resident(&server)?;
        println!(
            "| {name} | {} | {} | {:.0} |",
            mb(idle),
            mb(with),
            (with as f64 - idle as f64) / f64::from(count)
        );
        Ok(())
    }

    fn resources(&self, name: &str, shape: Shape, count: u32) -> BenchResult<()> {
        let folder = TempDir::with_prefix("latchd-bench-")?;
        let server = self.start(name, folder.path(), 0)?;
        let server = server.ok_or("latchd is always there")?;
        let before = resident(&server)?;
        let seeded = seeding::seed(server.address, shape, count)?;
        let after = resident(&server)?;
        let (_, most) = resident_bytes(server.pid())?;
        // The first start follows a kill, the second a stop.
        drop(server);
        let starts = match name {
            FILE => {
                let (after_kill, server) = self.start_again(folder.path())?;
                server.stop()?;
                let (after_stop, _server) = self.start_again(folder.path())?;
                [after_kill, after_stop].map(|took| format!("{:.2}", took.as_secs_f64()))
            }
            _ => ["-".to_owned(), "-".to_owned()],
        };
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        let row = [
            shape.words(count),
            name.to_owned(),
            mb(after),
            mb(most),
            format!("{:.0}", (after as f64 - before as f64) / f64::from(count)),
            format!("{:.2}", seeded.took.as_secs_f64()),
            ms(seeded.longest_ping),
            ms(seeded.longest_usual),
            ms(seeded.median_usual),
            starts.join(" | "),
        ];
        println!("| {} |", row.join(" | "));
        Ok(())
    }

    /// Starts a server; returns `None` if it is not installed.
    fn start(&self, name: &str, folder: &Path, connections: u32) -> BenchResult<Option<Server>> {
        let server = match name {
            NGINX => match nginx::find() {
                Some(nginx) => nginx::start(&nginx, &self.launcher, folder, connections)?,
                None => return Ok(None),
            },
            _ => {
                let store = match name {
                    FILE => file_store(folder),
                    _ => "memory:".into(),
                };
                let mut command =
                    compare::latchd_command(&self.launcher, &self.latchd, folder, &store);
                command.args(["--max-body", MAX_BODY]);
                // All clients are on this machine.
                command.args(["--max-per-address", "1000000"]);
                Server::start(name, command)?
            }
        };
        wait_for_answer(server.address)?;
        Ok(Some(server))
    }

    fn start_again(&self, folder: &Path) -> BenchResult<(Duration, Server)> {
        let address = free_address()?;
        let command = start::latchd_at(&self.latchd, folder, address, &file_store(folder));
        start::until_answer(FILE, command, address)
    }
}

fn file_store(folder: &Path) -> OsString {
    let mut store = OsString::from("file:");
    store.push(folder.join("latchd.redb"));
    store
}

fn wait_for_answer(server: SocketAddr) -> BenchResult<()> {
    drop(TcpStream::connect(server)?);
    let ping = request("GET", "/ping", server, false, "");
    Client::connect(server)?.answer_to(&ping).map(drop)
}

fn resident(server: &Server) -> BenchResult<u64> {
    thread::sleep(SETTLE);
    Ok(resident_bytes(server.pid())?.0)
}

fn mb(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
