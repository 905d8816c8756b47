//! The orders that look again and again: `watch` and `wait-free`.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use rustix::termios::tcgetwinsize;
use serde_json::json;

use super::arguments::{WaitFree, Watch};
use super::failure::{Cause, Failure};
use super::listing;
use super::orders::Done;
use super::output::Output;
use super::server::Server;
use super::table::Table;
use super::text::{clean, fit};
use crate::command::PoolName;

/// Between two looks of `wait-free`.
const GLANCE: Duration = Duration::from_secs(1);

pub(super) fn watch(server: &Server, order: Watch, output: Output) -> Done {
    let mut looks = 0;
    let mut was_seen = false;
    loop {
        let seen = look(server, order.pool.as_ref(), order.waiting);
        // Who was never there is hardly going to come; who is gone may be back soon.
        let seen = match seen {
            Err(failure) if !was_seen || failure.cause != Cause::Unreachable => {
                return Err(failure);
            }
            seen => seen,
        };
        was_seen = true;
        looks += 1;
        show(server, &order, seen, looks, output)?;
        if order.count == Some(looks) {
            return Ok(0);
        }
        thread::sleep(Duration::from_secs(order.interval.into()));
    }
}

/// What is to be seen: a table, and the JSON that it comes from.
pub(super) fn look(
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
                .map_err(|failure| failure.about(pool.as_str()))?;
            Ok((listing::waiters(&waiters.value), waiters.json))
        }
        Some(pool) => {
            let locks = server
                .list_locks(pool)
                .map_err(|failure| failure.about(pool.as_str()))?;
            Ok((listing::locks(&locks.value), locks.json))
        }
    }
}

fn show(
    server: &Server,
    order: &Watch,
    seen: Result<(Table, String), Failure>,
    looks: u32,
    output: Output,
) -> Result<(), Failure> {
    let size = terminal_size().filter(|_| !output.json);
    match (seen, size) {
        (Ok((_, json)), _) if output.json => output.print(&json),
        (Ok((table, _)), Some(size)) => {
            let lines = table.lines(Some(size.columns));
            output.write(&redraw(&title(server, order), lines, size))
        }
        (Err(failure), Some(size)) => {
            output.write(&redraw(&title(server, order), vec![failure.message], size))
        }
        (Ok((table, _)), None) => {
            let gap = if looks > 1 { "\n" } else { "" };
            output.write(gap)?;
            output.print_lines(&table.lines(None))
        }
        (Err(failure), None) => {
            output.report(&failure);
            Ok(())
        }
    }
}

fn title(server: &Server, order: &Watch) -> String {
    let pool = order.pool.as_ref().map(|pool| {
        let what = if order.waiting { "line of" } else { "pool" };
        format!(", {what} {}", clean(pool.as_str()))
    });
    format!("{}{}", server.client.peer.url(), pool.unwrap_or_default())
}

/// The size of a terminal, as far as it can be written to.
#[derive(Clone, Copy)]
struct Size {
    /// One less than there are: in a full line some terminals go on to the next.
    columns: usize,
    rows: usize,
}

/// `None` where the output is no terminal.
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

/// Bytes that draw a title and lines over what stood there before, and leave the cursor behind them.
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

pub(super) fn wait_free(server: &Server, order: WaitFree, output: Output) -> Done {
    let end = order
        .wait
        .map(|wait_s| Instant::now() + Duration::from_secs(wait_s.into()));
    let mut was_seen = false;
    loop {
        match count_free(server, &order.pool) {
            Ok(Seen { free, held }) => {
                was_seen = true;
                let is_so = if order.idle {
                    held == 0
                } else {
                    free >= order.count as usize
                };
                if is_so {
                    match output.json {
                        true => output.print(&json!({"free": free, "held": held}).to_string())?,
                        false => output.print(&free.to_string())?,
                    }
                    return Ok(0);
                }
            }
            Err(failure) if was_seen && failure.cause == Cause::Unreachable => {}
            Err(failure) => return Err(failure.about(order.pool.as_str())),
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let message = format!("busy: not so within {} s", order.wait.unwrap_or(0));
            let failure = Failure::new(Cause::Busy, "busy", message);
            return Err(failure.about(order.pool.as_str()));
        }
        thread::sleep(left.unwrap_or(GLANCE).min(GLANCE));
    }
}

struct Seen {
    free: usize,
    held: usize,
}

/// A held resource may be a member no longer, so that members less locks is not what is free.
fn count_free(server: &Server, pool: &PoolName<'_>) -> Result<Seen, Failure> {
    let members = server.list_members(pool)?.value;
    let locks = server.list_locks(pool)?.value;
    let held: HashSet<&str> = locks.iter().map(|lease| &*lease.id).collect();
    let free = members.iter().filter(|id| !held.contains(&***id)).count();
    Ok(Seen {
        free,
        held: held.len(),
    })
}
