//! The backup: `dump` and `restore`.

use std::ops::ControlFlow;
use std::time::Duration;

use super::arguments::Restore;
use super::failure::{Cause, ExitResult, Failure};
use super::output::Output;
use super::server::{Server, printable};
use super::subcommands::read_input;
use crate::client::Request;

/// The longest pause between two pieces of a dump that the client accepts.
const PIECE_LIMIT: Duration = Duration::from_secs(60);

/// The time limit of a restore, which keeps the server busy until it answers.
const RESTORE_LIMIT: Duration = Duration::from_secs(60);

/// The start of a dump's last line.
const LAST_LINE: &str = "{\"pools\":";

pub(super) fn dump(server: &Server, output: Output) -> ExitResult {
    let request = Request::new("GET", &["dump"]).streamed();
    let mut is_whole = false;
    let mut problem = None;
    let answer = server
        .client
        .ask_for_lines(&request, PIECE_LIMIT, &mut |line| {
            let printed = printable(line.to_vec()).and_then(|line| {
                is_whole = line.starts_with(LAST_LINE);
                output.print(&line)
            });
            match printed {
                Ok(()) => ControlFlow::Continue(()),
                Err(failure) => {
                    problem = Some(failure);
                    ControlFlow::Break(())
                }
            }
        });
    if let Some(failure) = problem {
        return Err(failure);
    }
    match answer {
        Ok(answer) if answer.status != 200 => Err(Failure::of_answer(&answer)),
        Ok(answer) if is_whole && answer.body.is_empty() => Ok(0),
        Ok(_) => {
            let message = "the dump is cut off: its last line, with the counts, has not come";
            Err(Failure::new(Cause::Unreachable, "cut off", message))
        }
        Err(error) => Err(Failure::of_client(&error, server.client.peer.url())),
    }
}

pub(super) fn restore(server: &Server, arguments: Restore, output: Output) -> ExitResult {
    let missing = "no dump; name its file, or give it on the standard input";
    let body = read_input(arguments.file.as_deref(), missing)?;
    let request = Request::new("PUT", &["dump"]).with_body(body);
    server.change(&request, RESTORE_LIMIT)?;
    if output.json {
        output.print("{\"restored\":true}")?;
    }
    Ok(0)
}
