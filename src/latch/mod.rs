//! The client command, `latch`: takes, holds and shows locks of a latchd.
//!
//! Answers of the server are hostile until checked: none of their text reaches a terminal with a
//! control character. latch knows the server by its HTTP API alone.

mod acquire;
mod arguments;
mod clock;
mod dump;
mod event;
mod failure;
mod listing;
mod output;
mod queue_notice;
mod run;
mod server;
mod signals;
mod subcommands;
mod table;
mod text;
mod watch;

use std::env;
use std::ffi::OsString;
use std::path::{self, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::client::{Client, Key, Peer, Trust, Url};
use crate::tls;
use arguments::{Arguments, Completions, LatchCommand};
use failure::{Cause, Failure};
use output::Output;
use server::Server;

const DEFAULT_URL: &str = "http://127.0.0.1:8081";

/// Runs the command line, and returns the exit code.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    if let Some(role) = run::ProcessRole::of(&arguments) {
        return role.run();
    }
    let is_json = asks_for_json(&arguments);
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) if is_json && error.use_stderr() => {
            let message = text::clean_lines(&error.to_string());
            return fail(&usage(message), Output { json: true });
        }
        Err(error) => error.exit(),
    };
    let output = Output {
        json: arguments.json,
    };
    match follow(arguments, output) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => fail(&failure, output),
    }
}

fn fail(failure: &Failure, output: Output) -> ExitCode {
    if failure.cause != Cause::Unread {
        output.report(failure);
    }
    ExitCode::from(failure.cause as u8)
}

/// Returns whether errors are printed as JSON, also where the rest of the command line is wrong.
/// Arguments after `--` belong to a command.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let own = arguments.iter().take_while(|argument| *argument != "--");
    own.into_iter().any(|argument| argument == "--json")
}

fn follow(arguments: Arguments, output: Output) -> Result<u8, Failure> {
    let server = || find_server(arguments.url, arguments.ca);
    match arguments.command {
        LatchCommand::Run(command) => Ok(run::run(&server()?, command, output)),
        LatchCommand::Lock(command) => subcommands::lock(&server()?, command, output),
        LatchCommand::Free(command) => subcommands::free(&server()?, command, output),
        LatchCommand::Renew(command) => subcommands::renew(&server()?, command, output),
        LatchCommand::Ls(command) => subcommands::ls(&server()?, command, output),
        LatchCommand::Seed(command) => subcommands::seed(&server()?, command, output),
        LatchCommand::Purge(command) => subcommands::purge(&server()?, command, output),
        LatchCommand::Remove(command) => subcommands::remove(&server()?, command, output),
        LatchCommand::Dump(_) => dump::dump(&server()?, output),
        LatchCommand::Restore(command) => dump::restore(&server()?, command, output),
        LatchCommand::WaitFree(command) => watch::wait_free(&server()?, command, output),
        LatchCommand::Watch(command) => watch::watch(&server()?, command, output),
        LatchCommand::Completions(command) => print_completions(command, output),
    }
}

fn print_completions(command: Completions, output: Output) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        command.shell,
        &mut Arguments::command(),
        "latch",
        &mut script,
    );
    output.write(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Finds the server that the command line or the environment names. An empty variable counts as
/// missing.
fn find_server(url: Option<String>, ca: Option<PathBuf>) -> Result<Server, Failure> {
    let (name, url) = match (url, variable("LATCH_URL")) {
        (Some(url), _) => ("--url", url),
        (None, Some(url)) => ("LATCH_URL", url),
        (None, None) => ("", DEFAULT_URL.to_owned()),
    };
    let url = Url::parse(&url).map_err(|why| usage(format!("{name}: {why}")))?;
    if url.path().contains('?') {
        return Err(usage(format!(
            "{name}: there is a query; wanted http://HOST:PORT[/PATH]"
        )));
    }
    let key = variable("LATCH_KEY").map(|key| {
        Key::parse(&key).ok_or(usage(
            "LATCH_KEY: wanted printable ASCII without spaces".into(),
        ))
    });
    let key = key.transpose()?;
    let (peer, ca) = find_peer(url, ca)?;
    let client = Client { peer, key };
    Ok(Server { client, ca })
}

/// Builds the peer, with its file of trusted certificates if one is named. The path is made
/// absolute, so that it holds in any folder.
fn find_peer(url: Url, ca: Option<PathBuf>) -> Result<(Peer, Option<PathBuf>), Failure> {
    if ca.is_some() && !url.has_tls() {
        let why = match tls::IS_BUILT {
            true => "there is no TLS; wanted --url https://HOST[:PORT][/PATH]",
            false => tls::NOT_BUILT,
        };
        return Err(usage(format!("--ca: {why}")));
    }
    let variable = || {
        Some(PathBuf::from(
            env::var_os("LATCH_CA").filter(|path| !path.is_empty())?,
        ))
    };
    let (name, ca) = match ca {
        Some(ca) => ("--ca", Some(ca)),
        // The variable may be meant for another server.
        None => ("LATCH_CA", variable().filter(|_| url.has_tls())),
    };
    let trust = match &ca {
        Some(path) => Trust::File { name, path },
        None => Trust::System {
            instead: "--ca FILE",
        },
    };
    let peer = Peer::new(url, trust).map_err(usage)?;
    let ca = ca.map(|ca| path::absolute(&ca).unwrap_or(ca));
    Ok((peer, ca))
}

fn usage(message: String) -> Failure {
    Failure::new(Cause::Usage, "usage", message)
}

fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name)?.to_string_lossy().into_owned();
    Some(value).filter(|value| !value.is_empty())
}
