//! Subcommands that poll: `watch` and `wait-free`.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use rustix::termios::tcgetwinsize;
use serde_json::json;

use super::arguments::{WaitFree, Watch};
use super::failure::{Cause, ExitResult, Failure};
use super::listing;
use super::output::Output;
use super::server::Server;
use super::table::Table;
use super::text::{clean, fit};
use crate::command::PoolName;

/// The pause between two polls of `wait-free`.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn watch(server: &Server, arguments: Watch, output: Output) -> ExitResult {
    let mut rounds = 0;
    let mut was_reached = false;
    loop {
        let view = fetch_view(server, arguments.pool.as_ref(), arguments.waiting);
        // A server that was never reached is unlikely to appear; one that was lost may return soon.
        let view = match view {
            Err(failure) if !was_reached || failure.cause != Cause::Unreachable => {
                return Err(failure);
            }
            view => view,
        };
        was_reached = true;
        rounds += 1;
        print_view(server, &arguments, view, rounds, output)?;
        if arguments.count == Some(rounds) {
            return Ok(0);
        }
        thread::sleep(Duration::from_secs(arguments.interval.into()));
    }
}

/// Fetches what `watch` and `ls` show: a table, and the JSON that it comes from.
pub(super) fn fetch_view(
    server: &Server,
    pool: Option<&PoolName<'_>>,
    waiting: bool,
) -> Result<(Table, String), Failure> {
    match pool {
        None => {
            let pools = server.list_pools()?;
            Ok((listing::pools(&pools.value), pools.json))
        }
        Some(pool) if waiting => {
            let waiters = server
                .list_waiters(pool)
                .map_err(|failure| failure.prefixed(pool.as_str()))?;
            Ok((listing::waiters(&waiters.value), waiters.json))
        }
        Some(pool) => {
            let locks = server
                .list_locks(pool)
                .map_err(|failure| failure.prefixed(pool.as_str()))?;
            Ok((listing::locks(&locks.value), locks.json))
        }
    }
}

fn print_view(
    server: &Server,
    arguments: &Watch,
    view: Result<(Table, String), Failure>,
    rounds: u32,
    output: Output,
) -> Result<(), Failure> {
    let size = terminal_size().filter(|_| !output.json);
    match (view, size) {
        (Ok((_, json)), _) if output.json => output.print(&json),
        (Ok((table, _)), Some(size)) => {
            let lines = table.lines(Some(size.columns));
            output.write(&redraw(&title(server, arguments), lines, size))
        }
        (Err(failure), Some(size)) => output.write(&redraw(
            &title(server, arguments),
            vec![failure.message],
            size,
        )),
        (Ok((table, _)), None) => {
            let gap = if rounds > 1 { "\n" } else { "" };
            output.write(gap)?;
            output.print_lines(&table.lines(None))
        }
        (Err(failure), None) => {
            output.report(&failure);
            Ok(())
        }
    }
}

fn title(server: &Server, arguments: &Watch) -> String {
    let pool = arguments.pool.as_ref().map(|pool| {
        let what = if arguments.waiting { "line of" } else { "pool" };
        format!(", {what} {}", clean(pool.as_str()))
    });
    format!("{}{}", server.client.peer.url(), pool.unwrap_or_default())
}

/// The usable size of a terminal.
#[derive(Clone, Copy)]
struct Size {
    /// One less than the terminal has: after a full line some terminals move to the next.
    columns: usize,
    rows: usize,
}

/// Returns the size, or `None` if the output is not a terminal.
fn terminal_size() -> Option<Size> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(stdout).ok();
    let size = size.filter(|size| size.ws_col > 1 && size.ws_row > 0);
    let (columns, rows) = size.map_or((80, 24), |size| (size.ws_col, size.ws_row));
    Some(Size {
        columns: usize::from(columns) - 1,
        rows: rows.into(),
    })
}

/// Returns bytes that draw a title and lines over the previous ones, and leave the cursor behind
/// them.
fn redraw(title: &str, mut lines: Vec<String>, size: Size) -> String {
    // The title, an empty line, and the one that the cursor stands on.
    let room = size.rows.saturating_sub(3).max(1);
    if lines.len() > room {
        let hidden = lines.len() - (room - 1);
        lines.truncate(room - 1);
        lines.push(format!("and {hidden} more"));
    }
    let mut text = "\x1b[H".to_owned();
    for line in [title.to_owned(), String::new()].iter().chain(&lines) {
        text.push_str(&fit(line, size.columns));
        text.push_str("\x1b[K\n");
    }
    text + "\x1b[J"
}

pub(super) fn wait_free(server: &Server, arguments: WaitFree, output: Output) -> ExitResult {
    let end = arguments
        .wait
        .map(|wait_s| Instant::now() + Duration::from_secs(wait_s.into()));
    let mut was_reached = false;
    loop {
        match count_free(server, &arguments.pool) {
            Ok(PoolCounts { free, held }) => {
                was_reached = true;
                let is_so = if arguments.idle {
                    held == 0
                } else {
                    free >= arguments.count as usize
                };
                if is_so {
                    match output.json {
                        true => output.print(&json!({"free": free, "held": held}).to_string())?,
                        false => output.print(&free.to_string())?,
                    }
                    return Ok(0);
                }
            }
            Err(failure) if was_reached && failure.cause == Cause::Unreachable => {}
            Err(failure) => return Err(failure.prefixed(arguments.pool.as_str())),
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let message = format!("busy: not so within {} s", arguments.wait.unwrap_or(0));
            let failure = Failure::new(Cause::Busy, "busy", message);
            return Err(failure.prefixed(arguments.pool.as_str()));
        }
        thread::sleep(left.unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL));
    }
}

struct PoolCounts {
    free: usize,
    held: usize,
}

/// Counts members and free resources. A held resource may no longer be a member, so members less
/// locks is not what is free.
fn count_free(server: &Server, pool: &PoolName<'_>) -> Result<PoolCounts, Failure> {
    let members = server.list_members(pool)?.value;
    let locks = server.list_locks(pool)?.value;
    let held: HashSet<&str> = locks.iter().map(|lease| &*lease.id).collect();
    let free = members.iter().filter(|id| !held.contains(&***id)).count();
    Ok(PoolCounts {
        free,
        held: held.len(),
    })
}
