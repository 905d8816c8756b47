//! The server's process: reads the configuration, starts what it names, and ends with an exit code.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use latchd::command::Refusal;
use latchd::config::{Config, ConfigError, Invocation, StoreUrl, access_warnings};
use latchd::logging;
use latchd::ping::Target;
use latchd::server::{Clock, Options, Server};
use latchd::store::{EmbeddedStore, Journal, JournalPort, JournalThread, RedisStore, Store};

/// The server could not run or end cleanly, or the pinged one is not healthy.
const FAILED: u8 = 1;
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    match Invocation::read() {
        Ok(Invocation::Serve(config)) => start(*config),
        Ok(Invocation::Ping(target)) => ping(&target),
        Err(ConfigError::Usage(usage)) => usage.exit(),
        Err(ConfigError::Invalid(problem)) => {
            print_error(&problem);
            ExitCode::from(MISCONFIGURED)
        }
    }
}

fn ping(target: &Target) -> ExitCode {
    match target.ping() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            print_error(&problem);
            ExitCode::from(FAILED)
        }
    }
}

fn start(config: Config) -> ExitCode {
    if config.check {
        let _ = write!(io::stdout(), "{config}");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = logging::start(config.log_level, config.log_dir.as_deref()) {
        let folder = config.log_dir.unwrap_or_default();
        let folder = folder.display();
        print_error(&format!("the log cannot be written in {folder}: {error}"));
        return ExitCode::from(FAILED);
    }
    match serve(config) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(problem) => {
            log::error!("{problem}");
            ExitCode::from(FAILED)
        }
    }
}

/// Unlike `eprintln!`, does not panic if stderr is closed, so that the exit code is kept.
fn print_error(problem: &str) {
    let _ = writeln!(io::stderr(), "error: {problem}");
}

/// Serves until a signal stops the server. Returns false if the store could not make everything
/// durable at the end.
fn serve(config: Config) -> Result<bool, String> {
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    let clock = Clock::start();
    let keys = config.settings.keys.clone();
    let options = Options {
        listen: config.listen,
        tls: config.tls,
        admin_listen: config.admin_listen,
        reuse_port: config.reuse_port,
        settings: config.settings,
        keys_file: config.keys_file,
        max_connections: config.max_connections,
        max_per_address: config.max_per_address,
        max_address_waiters: config.max_address_waiters,
        max_requests: config.max_requests,
        max_wrong_keys: config.max_wrong_keys,
        drain_ms: config.drain_ms,
        log_dir: config.log_dir,
    };
    let bound = Server::bind(options, clock).map_err(|e| format!("cannot listen on {e}"))?;
    let store: Box<dyn Store> = match &config.store {
        StoreUrl::Memory => Box::new(EmbeddedStore::in_memory(config.rules)),
        StoreUrl::File(path) => {
            let journal = match config.must_exist {
                true => Journal::open_existing(path, config.sync),
                false => Journal::open(path, config.sync),
            };
            let journal = journal.map_err(|error| error.to_string())?;
            if journal.is_new() {
                log::info!("{} is new and has no pools yet", config.store);
            }
            let start =
                |worker| Ok(Box::new(JournalThread::start(worker)?) as Box<dyn JournalPort>);
            let store = EmbeddedStore::with_port(journal, config.rules, clock.now(), start)
                .map(|store| store.with_commit_timeout(config.commit_timeout_ms));
            Box::new(store.map_err(|error| error.to_string())?)
        }
        StoreUrl::Redis(options) => {
            let store = RedisStore::new(options.clone(), config.rules);
            Box::new(match config.must_exist {
                true => store.expecting_pools(),
                false => store,
            })
        }
    };
    let server = bound.with_store(store);
    let mut server = server.map_err(|error| format!("the event loop cannot start: {error}"))?;
    if let Some(restoration) = config.restoration {
        server
            .restore(restoration)
            .map_err(|refusal| match refusal {
                Refusal::NotEmpty => {
                    "--restore: there are pools already; nothing was restored".to_owned()
                }
                refusal => format!("--restore: nothing was restored: {refusal:?}"),
            })?;
    }
    server
        .prepare(config.purge_on_start, config.seed)
        .map_err(|refusal| {
            format!("the store refuses what is ordered for the start: {refusal:?}")
        })?;
    let admin = server
        .admin_addresses()
        .map_err(|error| error.to_string())?;
    let admin: Vec<String> = admin.iter().map(SocketAddr::to_string).collect();
    if !admin.is_empty() {
        log::info!("metrics on {}", admin.join(" and "));
    }
    let addresses = server.addresses().map_err(|error| error.to_string())?;
    for warning in access_warnings(keys.as_ref(), addresses.iter().copied()) {
        log::warn!("{warning}");
    }
    let describe = |(address, has_tls): &(SocketAddr, bool)| match has_tls {
        true => format!("{address} (TLS)"),
        false => address.to_string(),
    };
    let addresses: Vec<String> = addresses.iter().map(describe).collect();
    log::info!(
        "listening on {}, storing in {}",
        addresses.join(" and "),
        config.store
    );
    server
        .run()
        .map_err(|error| format!("the event loop failed: {error}"))
}
