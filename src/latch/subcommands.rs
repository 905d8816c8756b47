//! Subcommands that send one request and print its result.

use std::io::{self, IsTerminal, Read};
use std::sync::mpsc::channel;
use std::{fs, path::Path};

use serde_json::json;

use super::acquire::{self, AcquiredLock, NotAcquired};
use super::arguments::{Free, Lock, Ls, Purge, Remove, Renew, Seed};
use super::failure::{Cause, ExitResult, Failure};
use super::output::Output;
use super::server::{ANSWER_LIMIT, AcquireRequest, Lease, Parsed, Server, lock as lock_at, locks};
use super::{clock, listing, signals, watch};
use crate::client::Request;
use crate::command::{OwnerName, PoolName, ResourceId};

pub(super) fn lock(server: &Server, arguments: Lock, output: Output) -> ExitResult {
    let acquire_request = AcquireRequest {
        pool: arguments.selection.pool,
        id: arguments.selection.id,
        count: arguments.selection.count,
        owner: arguments.owner,
        is_generated: false,
        ttl_s: arguments.ttl,
    };
    let (sender, events) = channel();
    if arguments.wait > 0 {
        let listening = signals::listen(sender.clone());
        listening.map_err(|error| Failure::new(Cause::Failed, "failed", error.to_string()))?;
    }
    let notify = |message: &str| {
        output.note(&format!(
            "{}: {message}",
            super::text::clean(acquire_request.pool.as_str())
        ))
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
            return Err(failure
                .while_queued(arguments.wait)
                .prefixed(acquire_request.pool.as_str()));
        }
    };
    let printed = match (output.json, arguments.lease) {
        (true, _) => output.print(&acquired.json),
        (false, true) => output.print_lines(&lease_lines(&acquired.leases)),
        (false, false) => output.print_lines(&ids(&acquired.leases)),
    };
    match printed {
        Err(failure) if is_new(&acquired) => {
            Err(
                release_unreported(server, &acquire_request, &acquired, failure)
                    .prefixed(acquire_request.pool.as_str()),
            )
        }
        printed => printed.map(|()| 0),
    }
}

/// Returns whether the lock was granted to this request. The owner may have held it before.
fn is_new(acquired: &AcquiredLock) -> bool {
    let age_ms = acquired.leases[0].age.saturating_mul(1000);
    age_ms <= clock::now().ms_since(acquired.asked_at)
}

/// Releases a lock that could not be reported to the user.
fn release_unreported(
    server: &Server,
    acquire_request: &AcquireRequest,
    acquired: &AcquiredLock,
    failure: Failure,
) -> Failure {
    let failure = Failure {
        cause: Cause::Failed,
        ..failure
    };
    match acquire::release(
        server,
        acquire_request,
        &acquired.leases,
        acquire::RELEASE_LIMIT,
    ) {
        Ok(()) => failure.with_note("the lock was given back"),
        Err(why) => failure.with_note(&format!(
            "the lock could not be given back: {}",
            why.message
        )),
    }
}

fn ids(leases: &[Lease]) -> Vec<String> {
    leases.iter().map(|lease| lease.id.clone()).collect()
}

/// Formats leases as `FENCE TTL ID`, as the server's plain answers do.
fn lease_lines(leases: &[Lease]) -> Vec<String> {
    let line = |lease: &Lease| {
        let ttl = lease.ttl.map_or("-".to_owned(), |ttl_s| ttl_s.to_string());
        format!("{} {ttl} {}", lease.fence, lease.id)
    };
    leases.iter().map(line).collect()
}

pub(super) fn free(server: &Server, arguments: Free, output: Output) -> ExitResult {
    let owner = arguments.owner.as_ref().map(OwnerName::as_str);
    if arguments.ids.is_empty() {
        let request = locks("DELETE", &arguments.pool).with_some("owner", owner);
        return print_count(server, &request, &arguments.pool, output);
    }
    let mut released = 0;
    let code = for_each_id(&arguments.pool, &arguments.ids, output, |id| {
        let request = lock_at("DELETE", &arguments.pool, id)
            .with_some("owner", owner)
            .with_some("fence", arguments.fence);
        let request = if arguments.force {
            request.with("force", None)
        } else {
            request
        };
        server.change(&request, ANSWER_LIMIT)?;
        released += 1;
        Ok(())
    });
    if output.json {
        output.print(&json!({"released": released}).to_string())?;
    }
    Ok(code)
}

pub(super) fn purge(server: &Server, arguments: Purge, output: Output) -> ExitResult {
    let owner = arguments.owner.as_ref().map(OwnerName::as_str);
    let request = locks("DELETE", &arguments.pool)
        .with_some("older", arguments.older)
        .with_some("owner", owner);
    print_count(server, &request, &arguments.pool, output)
}

fn print_count(
    server: &Server,
    request: &Request,
    pool: &PoolName<'_>,
    output: Output,
) -> ExitResult {
    let parsed: Result<Parsed<u64>, Failure> = server.ask_for(request);
    let released = parsed
        .map_err(|failure| failure.prefixed(pool.as_str()))?
        .value;
    match output.json {
        true => output.print(&json!({"released": released}).to_string())?,
        false => output.print(&released.to_string())?,
    }
    Ok(0)
}

/// Calls `act` with each resource. A refused one does not stop the others; an unreachable server, or
/// one that requires another key, does. Returns the worst exit code, which is the highest.
fn for_each_id(
    pool: &PoolName<'_>,
    ids: &[ResourceId<'_>],
    output: Output,
    mut act: impl FnMut(&ResourceId<'_>) -> Result<(), Failure>,
) -> u8 {
    let mut worst = 0;
    for id in ids {
        let Err(failure) = act(id) else { continue };
        worst = worst.max(failure.cause as u8);
        let is_of_all = matches!(failure.cause, Cause::Unreachable | Cause::NotAllowed);
        output.report(&failure.prefixed(id.as_str()).prefixed(pool.as_str()));
        if is_of_all {
            break;
        }
    }
    worst
}

pub(super) fn renew(server: &Server, arguments: Renew, output: Output) -> ExitResult {
    let owner = arguments.owner.as_ref().map(OwnerName::as_str);
    let with_rest = |request: Request| {
        request
            .with_some("owner", owner)
            .with_some("fence", arguments.fence)
            .with_some("ttl", arguments.ttl)
            .with("lease", None)
    };
    let mut renewed = Vec::new();
    let mut ask = |request| {
        let parsed = server.ask_for_leases(&with_rest(request), ANSWER_LIMIT)?;
        renewed.extend(parsed.value);
        Ok(())
    };
    if arguments.ids.is_empty() {
        let asked = ask(locks("PUT", &arguments.pool));
        asked.map_err(|failure: Failure| failure.prefixed(arguments.pool.as_str()))?;
    }
    let code = for_each_id(&arguments.pool, &arguments.ids, output, |id| {
        ask(lock_at("PUT", &arguments.pool, id))
    });
    match (output.json, arguments.lease) {
        (true, _) => output.print(&listing::leases_json(&renewed))?,
        (false, true) => output.print_lines(&lease_lines(&renewed))?,
        (false, false) => {}
    }
    Ok(code)
}

pub(super) fn ls(server: &Server, arguments: Ls, output: Output) -> ExitResult {
    if let Some(pool) = arguments.pool.as_ref().filter(|_| arguments.members) {
        let members = server.list_members(pool);
        let members = members.map_err(|failure| failure.prefixed(pool.as_str()))?;
        match output.json {
            true => output.print(&members.json)?,
            false => {
                let ids: Vec<_> = members
                    .value
                    .iter()
                    .map(|id| super::text::clean(id))
                    .collect();
                output.print_lines(&ids)?;
            }
        }
        return Ok(0);
    }
    let (table, json) = watch::fetch_view(server, arguments.pool.as_ref(), arguments.waiting)?;
    match output.json {
        true => output.print(&json)?,
        false => output.print_lines(&table.lines(None))?,
    }
    Ok(0)
}

pub(super) fn seed(server: &Server, arguments: Seed, output: Output) -> ExitResult {
    let body = match (&*arguments.ids, &arguments.file) {
        ([], file) => read_input(
            file.as_deref(),
            "no ids; give them behind the pool, in --file, or on the standard input",
        )?,
        (ids, _) => {
            let ids: Vec<&str> = ids.iter().map(ResourceId::as_str).collect();
            json!(ids).to_string().into_bytes()
        }
    };
    let method = if arguments.set { "PUT" } else { "POST" };
    let counts = match &arguments.pool {
        None => {
            let parsed = server.ask_for(&Request::new(method, &["pool"]).with_body(body))?;
            if output.json {
                output.print(&parsed.json)?;
                return Ok(0);
            }
            parsed.value
        }
        Some(pool) => {
            let request = Request::new(method, &["pool", pool.as_str()]).with_body(body);
            let parsed: Parsed<Vec<String>> = server
                .ask_for(&request)
                .map_err(|failure| failure.prefixed(pool.as_str()))?;
            if output.json {
                output.print(&parsed.json)?;
                return Ok(0);
            }
            [(pool.as_str().to_owned(), parsed.value)].into()
        }
    };
    output.print_lines(&listing::members(&counts).lines(None))?;
    Ok(0)
}

pub(super) fn read_input(file: Option<&Path>, missing: &str) -> Result<Vec<u8>, Failure> {
    let mut input = Vec::new();
    let (name, read) = match file {
        Some(path) if path != "-" => (path.display().to_string(), fs::read(path)),
        named => {
            if named.is_none() && io::stdin().is_terminal() {
                return Err(Failure::new(Cause::Usage, "usage", missing));
            }
            let read = io::stdin().read_to_end(&mut input).map(|_| input);
            ("the standard input".to_owned(), read)
        }
    };
    read.map_err(|error| {
        let message = format!("{} cannot be read: {error}", super::text::clean(&name));
        Failure::new(Cause::Failed, "no input", message)
    })
}

pub(super) fn remove(server: &Server, arguments: Remove, output: Output) -> ExitResult {
    let pool = arguments.pool.as_str();
    let removed = server.change(&Request::new("DELETE", &["pool", pool]), ANSWER_LIMIT);
    removed.map_err(|failure| failure.prefixed(pool))?;
    if output.json {
        output.print(&json!({"removed": pool}).to_string())?;
    }
    Ok(0)
}
