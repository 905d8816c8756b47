//! `latch run`: runs a command while a lock is held.
//!
//! One thread acts, on the events of one channel: signals, results of the requests that two other
//! threads make, and reports of the guardian. `schedule` decides the times, and `termination` does so
//! in the guardian.

#[cfg(target_os = "linux")]
mod guardian;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod process_tree;
mod processes;
mod schedule;
mod supervision;
mod terminal;
#[cfg(target_os = "linux")]
mod termination;
#[cfg(target_os = "linux")]
mod wire;

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::getpid;
use rustix::system::uname;

use super::acquire::{self, AcquiredLock, NotAcquired};
use super::arguments::Run;
use super::event::Event;
use super::failure::{Cause, Failure};
use super::output::Output;
use super::server::{AcquireRequest, Lease, Server, locks};
use super::{clock, signals};
use crate::client::Request;
use crate::command::OwnerName;
use crate::time::Time;
pub(super) use processes::ProcessRole;
use processes::{CommandEnd, FORM_JSON, FORM_WORDS, Process, exit_code_of};
use schedule::RenewalSchedule;
use supervision::{CommandHandle, End, Supervision};
#[cfg(target_os = "linux")]
pub(super) use wire::FromGuardian;

/// The offset of latch's own exit codes, which separates them from those of the command.
const OWN_CODES: u8 = 110;

/// The result of an attempt to renew.
#[derive(Debug)]
pub(super) struct RenewalAttempt {
    asked_at: Time,
    result: Result<(), Failure>,
}

/// Runs the command, and returns the exit code.
pub(super) fn run(server: &Server, arguments: Run, output: Output) -> u8 {
    match hold_and_run(server, arguments, output) {
        Ok(code) => code,
        Err(failure) => {
            output.report(&failure);
            OWN_CODES + failure.cause as u8
        }
    }
}

fn hold_and_run(server: &Server, arguments: Run, output: Output) -> Result<u8, Failure> {
    let (sender, events) = channel();
    let failed = |error: std::io::Error| Failure::new(Cause::Failed, "failed", error.to_string());
    signals::listen(sender.clone()).map_err(failed)?;
    let acquire_request = acquire_request(&arguments);
    let pool = acquire_request.pool.as_str().to_owned();
    let notify = |message: &str| {
        if !arguments.quiet {
            output.note(&format!("{}: {message}", super::text::clean(&pool)));
        }
    };
    let acquired = match acquire::wait(
        server,
        &acquire_request,
        arguments.wait,
        (&sender, &events),
        notify,
    ) {
        Ok(acquired) => acquired,
        Err(NotAcquired::Signal(signal)) => return Ok(signals::end_by(signal)),
        Err(NotAcquired::Failure(failure)) => {
            return Err(failure.while_queued(arguments.wait).prefixed(&pool));
        }
    };
    let end = match start(
        server,
        &acquire_request,
        &acquired,
        (&arguments, output),
        sender,
    ) {
        Ok(mut supervision) => supervision.run(&events, notify, |failure| {
            output.report(&failure.prefixed(&pool))
        }),
        Err(error) => {
            let message = format!("the command cannot be run: {error}");
            output.report(&Failure::new(Cause::Failed, "not run", message));
            End::Command(CommandEnd::Code(exit_code_of(&error)))
        }
    };
    // A lost lock is released with one attempt: a part of it, or the server, may still be there.
    let limit = match end {
        End::Command(_) => acquire::RELEASE_LIMIT,
        End::Lost => Duration::ZERO,
    };
    let released = acquire::release(server, &acquire_request, &acquired.leases, limit);
    match (end, released) {
        (End::Lost, _) => Ok(OWN_CODES + Cause::NotYours as u8),
        (End::Command(end), released) => {
            if let Err(failure) = released {
                output.report(
                    &failure
                        .prefixed("the lock could not be released")
                        .prefixed(&pool),
                );
            }
            Ok(match end {
                CommandEnd::Code(code) => code,
                CommandEnd::Signal(signal) => signals::end_by(signal),
            })
        }
    }
}

fn start(
    server: &Server,
    acquire_request: &AcquireRequest,
    acquired: &AcquiredLock,
    (arguments, output): (&Run, Output),
    events: Sender<Event>,
) -> std::io::Result<Supervision> {
    let (ttl_ms, grace_ms) = (
        u64::from(arguments.ttl) * 1000,
        u64::from(arguments.grace) * 1000,
    );
    let schedule = RenewalSchedule::new(ttl_ms, grace_ms, acquired.asked_at);
    let renewals = renew_on_demand(server, acquire_request, acquired, events.clone())?;
    let environment = environment(server, acquire_request, acquired);
    #[cfg(target_os = "linux")]
    if process_tree::is_available() {
        let form = if output.json { FORM_JSON } else { FORM_WORDS };
        let lease = schedule.guardian_stop_times();
        let guard = link::GuardianLink::start(
            &arguments.command,
            &environment,
            form,
            grace_ms,
            lease,
            events,
        )?;
        return Ok(Supervision::new(
            CommandHandle::Guarded(guard),
            schedule,
            renewals,
        ));
    }
    let process = Process::start(&arguments.command, &environment)?;
    Ok(Supervision::new(
        CommandHandle::Direct(process),
        schedule,
        renewals,
    ))
}

fn acquire_request(arguments: &Run) -> AcquireRequest {
    AcquireRequest {
        pool: arguments.selection.pool.clone(),
        id: arguments.selection.id.clone(),
        count: arguments.selection.count,
        owner: Some(arguments.owner.clone().unwrap_or_else(generate_owner)),
        is_generated: arguments.owner.is_none(),
        ttl_s: Some(arguments.ttl),
    }
}

/// Generates a unique owner name that shows its origin: host, process, and a random part.
fn generate_owner() -> OwnerName<'static> {
    let system = uname();
    let host = system.nodename().to_string_lossy();
    let host: String = host
        .chars()
        .filter(char::is_ascii_graphic)
        .take(32)
        .collect();
    let (process, random) = (getpid().as_raw_nonzero(), RandomState::new().hash_one(0));
    OwnerName::parse(format!("{host}-{process}-{random:016x}"))
        .expect("it is short, and has no control characters")
}

/// Returns the variables that latch adds to the command's environment.
fn environment(
    server: &Server,
    acquire_request: &AcquireRequest,
    acquired: &AcquiredLock,
) -> Vec<(&'static str, OsString)> {
    let ids: Vec<&str> = acquired.leases.iter().map(|lease| &*lease.id).collect();
    let owner = acquire_request
        .owner
        .as_ref()
        .map(OwnerName::as_str)
        .unwrap_or_default();
    let mut environment: Vec<(&'static str, OsString)> = vec![
        ("LATCH_ID", ids[0].into()),
        // Names have no control characters.
        ("LATCH_IDS", ids.join("\n").into()),
        ("LATCH_FENCE", acquired.leases[0].fence.to_string().into()),
        ("LATCH_POOL", acquire_request.pool.as_str().into()),
        ("LATCH_OWNER", owner.into()),
        ("LATCH_URL", server.client.peer.url().to_string().into()),
    ];
    environment.extend(server.ca.as_ref().map(|ca| ("LATCH_CA", ca.into())));
    environment
}

/// Starts a thread that tries to renew for each time limit that it receives.
fn renew_on_demand(
    server: &Server,
    acquire_request: &AcquireRequest,
    acquired: &AcquiredLock,
    events: Sender<Event>,
) -> std::io::Result<Sender<Duration>> {
    let (demand, demands) = channel();
    let (server, ids) = (server.clone(), ids_of(&acquired.leases));
    let request = renewal(acquire_request, acquired);
    thread::Builder::new().spawn(move || {
        for limit in demands {
            let asked_at = clock::now();
            let parsed = server.ask_for_leases(&request, limit);
            let result = parsed.and_then(|parsed| match ids_of(&parsed.value) == ids {
                true => Ok(()),
                false => Err(Failure::new(
                    Cause::NotYours,
                    "released",
                    "a part of it was released by another client",
                )),
            });
            let _ = events.send(Event::RenewalAttempt(RenewalAttempt { asked_at, result }));
        }
    })?;
    Ok(demand)
}

fn renewal(acquire_request: &AcquireRequest, acquired: &AcquiredLock) -> Request {
    let owner = acquire_request.owner.as_ref().map(OwnerName::as_str);
    locks("PUT", &acquire_request.pool)
        .with_some("owner", owner)
        .with_some("fence", Some(acquired.leases[0].fence))
        .with_some("ttl", acquire_request.ttl_s)
        .with("lease", None)
}

fn ids_of(leases: &[Lease]) -> Vec<String> {
    let mut ids: Vec<String> = leases.iter().map(|lease| lease.id.clone()).collect();
    ids.sort_unstable();
    ids
}
