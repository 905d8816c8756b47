//! The command line of `latch`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::text::parse_duration;
use crate::command::{NameError, OwnerName, PoolName, ResourceId, Ttl};

/// Takes, holds and shows locks of a latchd.
#[derive(Debug, Parser)]
#[command(
    name = "latch",
    version,
    after_help = AFTER_HELP,
    max_term_width = 100
)]
pub(super) struct Arguments {
    /// The server's URL; also LATCH_URL [default: http://127.0.0.1:8081]
    // Parsed later, so that an error does not repeat the URL: it may contain a password.
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    pub(super) url: Option<String>,

    /// Trust the certificates in this PEM file to identify https://HOST; also LATCH_CA [default: the system's]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(super) ca: Option<PathBuf>,

    /// Print results and errors as JSON
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: LatchCommand,
}

const AFTER_HELP: &str = "\
Environment:
  LATCH_URL  where the server is, http://HOST:PORT[/PATH] or, in a build with TLS,
             https://HOST[:PORT][/PATH]
  LATCH_CA   a file with the certificates to trust there, as --ca
  LATCH_KEY  the key that the server wants; only https:// encrypts it

A DURATION is a number of seconds, or has units: 90, 90s, 5m, 1h30m, 1d.

Examples:
  latch run A -- make test
      run a command while holding a resource of pool A; wait for it if need be
  latch seed A 1 2 3 4
      make a pool of four resources
  latch ls A
      who holds what

Exit codes:
  0  done
  1  refused, or failed; also where a certificate is not accepted
  2  wrong usage
  3  busy: not acquired in time
  4  there is no such pool or resource, or it is not held
  5  it is another's: it has another owner or fence
  6  the server cannot be reached, cannot serve now, or has not said what it has done
  7  not allowed: the server wants a key, or another one
latch run has the exit code of its command; see latch run --help.";

#[derive(Debug, Subcommand)]
pub(super) enum LatchCommand {
    Run(Run),
    Lock(Lock),
    Free(Free),
    Renew(Renew),
    Ls(Ls),
    Seed(Seed),
    Purge(Purge),
    Remove(Remove),
    Dump(Dump),
    Restore(Restore),
    WaitFree(WaitFree),
    Watch(Watch),
    Completions(Completions),
}

/// The pool and the selection of its resources.
#[derive(Args, Debug)]
pub(super) struct SelectionArguments {
    /// The pool
    #[arg(value_parser = pool_name)]
    pub(super) pool: PoolName<'static>,

    /// Number of resources, all or none
    #[arg(short = 'n', long, value_name = "K", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=999_999_999))]
    pub(super) count: u32,

    /// Only this resource
    #[arg(long, value_name = "ID", conflicts_with = "count", value_parser = resource_id)]
    pub(super) id: Option<ResourceId<'static>>,
}

/// Run a command while holding a lock
///
/// Takes a lock, runs COMMAND, renews the lock meanwhile, and releases it when COMMAND has ended. Signals are passed
/// on to COMMAND, which stays in the foreground of the terminal.
#[derive(Args, Debug)]
#[command(after_help = AFTER_RUN)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) selection: SelectionArguments,

    /// Lease of the lock: how long it outlives latch at most, if that is killed; renewed at a third of it
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = ttl)]
    pub(super) ttl: u32,

    /// Longest wait for the lock
    #[arg(long, value_name = "DURATION", default_value = "300", value_parser = parse_duration)]
    pub(super) wait: u32,

    /// Owner of the lock; clients with the same owner share it [default: a unique name]
    #[arg(long, value_name = "NAME", value_parser = owner_name)]
    pub(super) owner: Option<OwnerName<'static>>,

    /// Time between SIGTERM and SIGKILL when the lock is lost
    #[arg(long, value_name = "DURATION", default_value = "10", value_parser = parse_duration)]
    pub(super) grace: u32,

    /// Report errors only
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Command to run, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

const AFTER_RUN: &str = "\
COMMAND finds in its environment:
  LATCH_ID     the resource; of several the first
  LATCH_IDS    all of them, a line each: an id may have spaces, but no line feeds
  LATCH_FENCE  the number of the grant
  LATCH_POOL, LATCH_OWNER, LATCH_URL and, where one is given, LATCH_CA

The lock is lost if another client releases it, or if no renewal succeeds in time. Then COMMAND and
all that it has started get SIGTERM, and SIGKILL after --grace; if the server is away, early enough
that all is over before the lease may be. The same happens if latch is killed, and where it is
stopped, also by Ctrl-Z, until the lease is about to end: a guardian process sees to it. After
latch's death the lock ends with its lease.

The lock is released when COMMAND and all that it has started have ended. What COMMAND leaves
running has half a second to end by itself, and gets SIGTERM and SIGKILL as above. Only Linux with
/proc has the guardian; elsewhere latch knows COMMAND alone.

A server that restarts is waited for as long as --wait and the lease allow, and one that has not
been seen yet for ten seconds at most.

Exit codes:
  that of COMMAND; 126 and 127 if it cannot be run or found. If signal N has ended COMMAND, it ends
  latch, too; shells call that 128+N
  2    wrong usage
  111  refused, or failed; also where a certificate is not accepted
  113  busy: not acquired in time
  114  there is no such pool or resource
  115  the lock was lost, and COMMAND was stopped
  116  the server cannot be reached, cannot serve now, or has not said what it has done
  117  not allowed: the server wants a key, or another one

Examples:
  latch run A -- make test
  latch run phones --wait 3600 -- sh -c 'flash \"$LATCH_ID\" && test \"$LATCH_ID\"'
  latch run licences -n 2 --ttl 600 -- render scene.blend";

/// Take a lock, and print its id
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  id=$(latch lock A --ttl 600) && trap 'latch free A \"$id\"' EXIT
  latch lock A --owner greenhouse-7 --ttl 90    # again and again: takes, renews and recovers
  read -r fence ttl id <<< \"$(latch lock A --lease)\"

With --owner asking again is safe: it gives the same lock. Without --ttl the lock ends when it is
released, unless the server has a --default-ttl.")]
pub(super) struct Lock {
    #[command(flatten)]
    pub(super) selection: SelectionArguments,

    /// Lease of the lock [default: until it is released]
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    pub(super) ttl: Option<u32>,

    /// Longest wait for the lock
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    pub(super) wait: u32,

    /// Owner of the lock
    #[arg(long, value_name = "NAME", value_parser = owner_name)]
    pub(super) owner: Option<OwnerName<'static>>,

    /// Print FENCE TTL ID
    #[arg(long)]
    pub(super) lease: bool,
}

/// Release locks
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latch free A 4
  latch free A --owner job-1    # all that it holds there")]
pub(super) struct Free {
    /// The pool
    #[arg(value_parser = pool_name)]
    pub(super) pool: PoolName<'static>,

    /// Resources to release; without any, all of --owner
    #[arg(value_name = "ID", value_parser = resource_id, required_unless_present = "owner")]
    pub(super) ids: Vec<ResourceId<'static>>,

    /// Owner of the lock
    #[arg(long, value_name = "NAME", value_parser = owner_name)]
    pub(super) owner: Option<OwnerName<'static>>,

    /// Only if the lock has this fence
    #[arg(long, value_name = "FENCE", requires = "ids")]
    pub(super) fence: Option<u64>,

    /// Release it from any owner
    #[arg(long, requires = "ids")]
    pub(super) force: bool,
}

/// Renew the leases of locks
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latch renew A 4 --ttl 60
  latch renew A --owner job-1    # all that it holds there")]
pub(super) struct Renew {
    /// The pool
    #[arg(value_parser = pool_name)]
    pub(super) pool: PoolName<'static>,

    /// Resources to renew; without any, all of --owner
    #[arg(value_name = "ID", value_parser = resource_id, required_unless_present = "owner")]
    pub(super) ids: Vec<ResourceId<'static>>,

    /// Owner of the lock
    #[arg(long, value_name = "NAME", value_parser = owner_name)]
    pub(super) owner: Option<OwnerName<'static>>,

    /// Only if the lock has this fence
    #[arg(long, value_name = "FENCE")]
    pub(super) fence: Option<u64>,

    /// Lease from now on [default: as long as before]
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    pub(super) ttl: Option<u32>,

    /// Print FENCE TTL ID
    #[arg(long)]
    pub(super) lease: bool,
}

/// List pools, or the locks, members or waiters of a pool
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latch ls
  latch ls A
  latch ls A --members    # an id a line
  latch ls A --waiting    # from the front of the line
  latch ls A --json | jq -r '.[] | select(.age > 3600) | .id'")]
pub(super) struct Ls {
    /// The pool
    #[arg(value_parser = pool_name)]
    pub(super) pool: Option<PoolName<'static>>,

    /// List all its members, held or free
    #[arg(long, requires = "pool")]
    pub(super) members: bool,

    /// List its waiters, from the front of the queue
    #[arg(long, requires = "pool", conflicts_with = "members")]
    pub(super) waiting: bool,
}

/// Add resources to a pool, and create it if needed
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latch seed A 1 2 3 4
  seq 1 100 | latch seed licences
  latch seed licences --set --file ids.txt
  echo '{\"A\":[\"1\",\"2\"],\"B\":[\"x\"]}' | latch seed")]
pub(super) struct Seed {
    /// The pool; without one, the input is a JSON object of pools
    #[arg(value_parser = pool_name)]
    pub(super) pool: Option<PoolName<'static>>,

    /// The resources; without any, ids are read from --file or the standard input
    #[arg(value_name = "ID", value_parser = resource_id)]
    pub(super) ids: Vec<ResourceId<'static>>,

    /// Read ids from this file, one a line or a JSON array; - is the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "ids")]
    pub(super) file: Option<PathBuf>,

    /// Replace the members: the pool has these resources and no others
    #[arg(long)]
    pub(super) set: bool,
}

/// Release every lock of a pool
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latch purge A
  latch purge A --older 3600    # what was granted more than an hour ago")]
pub(super) struct Purge {
    /// The pool
    #[arg(value_parser = pool_name)]
    pub(super) pool: PoolName<'static>,

    /// Only locks that were granted at least this long ago
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) older: Option<u32>,

    /// Only locks of this owner
    #[arg(long, value_name = "NAME", value_parser = owner_name)]
    pub(super) owner: Option<OwnerName<'static>>,
}

/// Remove a pool with its locks
#[derive(Args, Debug)]
pub(super) struct Remove {
    /// The pool
    #[arg(value_parser = pool_name)]
    pub(super) pool: PoolName<'static>,
}

/// Print the contents of the store, for a backup
///
/// Prints a first line, a line for each pool with its members, the lending order and the locks, and a last line with
/// counts. Ends with an error if the last line is missing. The server serves other requests meanwhile. It requires a
/// key with admin for all pools.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latch dump > pools.dump
  latch dump | jq -r 'select(.pool) | .pool'")]
pub(super) struct Dump {}

/// Restore a dump into a server that has no pools
///
/// Restores all of it or nothing. Leases get their full time again, and fences continue 16 million higher. The server
/// accepts a dump up to its --max-body; a larger one is for latchd --restore. It requires a key with admin for all
/// pools.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latch restore pools.dump
  latch --url http://old:8081 dump | latch --url http://new:8081 restore")]
pub(super) struct Restore {
    /// The dump; without one, or with -, the standard input
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

/// Wait until a pool has free resources, or until nothing is held
///
/// Polls the pool once a second, prints the number of free resources, and takes nothing: a resource that was free may
/// be taken by the time it is reported. To use a resource, take it with run or lock.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latch wait-free A --idle --wait 3600 && reboot    # let all who work finish
  latch wait-free A -n 2 && start-two-jobs")]
pub(super) struct WaitFree {
    /// The pool
    #[arg(value_parser = pool_name)]
    pub(super) pool: PoolName<'static>,

    /// Number of resources that must be free
    #[arg(short = 'n', long, value_name = "K", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=999_999_999))]
    pub(super) count: u32,

    /// Wait until nothing is held
    #[arg(long, conflicts_with = "count")]
    pub(super) idle: bool,

    /// Longest wait [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) wait: Option<u32>,
}

/// Show pools, or the locks or waiters of a pool, again and again
#[derive(Args, Debug)]
#[command(after_help = "\
On a terminal the table is redrawn in place; elsewhere each one follows the last behind an empty
line, or with --json as a line.

Examples:
  latch watch
  latch watch A --interval 5
  latch watch --json | jq --unbuffered .A.held")]
pub(super) struct Watch {
    /// The pool
    #[arg(value_parser = pool_name)]
    pub(super) pool: Option<PoolName<'static>>,

    /// Show its waiters, from the front of the queue
    #[arg(long, requires = "pool")]
    pub(super) waiting: bool,

    /// Time between two polls
    #[arg(long, value_name = "DURATION", default_value = "1", value_parser = interval)]
    pub(super) interval: u32,

    /// End after this many polls [default: no limit]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) count: Option<u32>,
}

/// Print a script that completes latch's arguments in a shell
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latch completions bash > /etc/bash_completion.d/latch
  latch completions zsh > \"${fpath[1]}/_latch\"
  latch completions fish > ~/.config/fish/completions/latch.fish")]
pub(super) struct Completions {
    /// The shell
    pub(super) shell: Shell,
}

/// Parses a lease of 1 to 31,536,000 s.
fn ttl(text: &str) -> Result<u32, String> {
    duration_up_to(text, Ttl::MAX_S)
}

/// Parses a pause of 1 to 86,400 s.
fn interval(text: &str) -> Result<u32, String> {
    duration_up_to(text, 86_400)
}

fn duration_up_to(text: &str, max_s: u32) -> Result<u32, String> {
    match parse_duration(text)? {
        seconds if (1..=max_s).contains(&seconds) => Ok(seconds),
        _ => Err(format!("out of range; wanted 1 to {max_s} seconds")),
    }
}

fn pool_name(text: &str) -> Result<PoolName<'static>, NameError> {
    PoolName::parse(text.to_owned())
}

fn resource_id(text: &str) -> Result<ResourceId<'static>, NameError> {
    ResourceId::parse(text.to_owned())
}

fn owner_name(text: &str) -> Result<OwnerName<'static>, NameError> {
    OwnerName::parse(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_in_order() {
        Arguments::command().debug_assert();
    }
}
