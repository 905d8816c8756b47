//! The scripts that Redis runs, assembled from fragments.
//!
//! The directory `scripts/` has the fragments. This table says which of them make up which script. The first
//! fragment is the clock, so that a test can replace it. Some fragments are made from the table of operations.

use super::operations::{HISTORY_HEAD, RESTORE_HEAD, SEED_HEAD, TRIAL_HEAD};
use super::prologue::Generated;
use Fragment::{Made, Text};

/// The scripts of one server.
#[derive(Debug)]
pub(super) struct Scripts {
    texts: [String; Script::ALL.len()],
    /// The name that Redis gives to each script, once it has loaded them.
    hashes: [String; Script::ALL.len()],
}

/// One script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// A batch of operations on one pool.
    Pool,
    /// New members of one or more pools.
    Seed,
    /// The list of all pools.
    Index,
    /// The history of the data: whether Redis has kept all of it since a server last asked.
    History,
    /// A trial of all commands that the other scripts use.
    Trial,
    /// A slice of a pool, for a dump.
    Dump,
    /// A slice of a long list of members or locks.
    ListSlice,
    /// All pools of a dump.
    Restore,
}

impl Script {
    pub(super) const ALL: [Script; 8] = [
        Script::Pool,
        Script::Seed,
        Script::Index,
        Script::History,
        Script::Trial,
        Script::Dump,
        Script::ListSlice,
        Script::Restore,
    ];
}

/// Loads a fragment without its comments and indents, which are a third of it.
macro_rules! fragment {
    ($name:literal) => {{
        const SOURCE: &[u8] = include_str!(concat!("scripts/", $name, ".lua")).as_bytes();
        const LENGTH: usize = compact::<{ SOURCE.len() }>(SOURCE).1;
        const COMPACTED: [u8; LENGTH] = compact::<LENGTH>(SOURCE).0;
        match str::from_utf8(&COMPACTED) {
            Ok(text) => text,
            Err(_) => panic!("whole lines are left out"),
        }
    }};
}

/// A part of a script. One of several scripts is in the binary once.
#[derive(Clone, Copy)]
enum Fragment {
    Text(&'static str),
    Made(Generated),
}

/// Defines `clock`: the milliseconds of Redis' own clock.
const CLOCK: &str = fragment!("clock");

const POOL: &[Fragment] = &[
    Made(Generated::Batch),
    Text(fragment!("begin")),
    Text(fragment!("head")),
    Text(fragment!("quick")),
    Text(fragment!("state")),
    Text(fragment!("grants")),
    Text(fragment!("lending")),
    Text(fragment!("listing")),
    Text(fragment!("dispatch")),
    Made(Generated::Operations),
    Text(fragment!("alone")),
    Text(fragment!("queue")),
    Text(fragment!("queue_listing")),
    Text(fragment!("serving")),
    Text(fragment!("repair")),
    Text(fragment!("due")),
    Text(fragment!("waiting")),
    Text(fragment!("keys")),
    Text(fragment!("upkeep")),
    Made(Generated::QueueOperations),
    Text(fragment!("queued")),
];
const SEED: &[Fragment] = &[
    Made(Generated::Head(SEED_HEAD, "FIRST_POOL")),
    Text(fragment!("begin")),
    Text(fragment!("seed_head")),
    Text(fragment!("first_fence")),
    Text(fragment!("state")),
    Text(fragment!("grants")),
    Text(fragment!("lending")),
    Text(fragment!("queue")),
    Text(fragment!("serving")),
    Text(fragment!("repair")),
    Text(fragment!("due")),
    Text(fragment!("seed")),
];
const INDEX: &[Fragment] = &[Text(fragment!("first_fence")), Text(fragment!("index"))];
const TRIAL: &[Fragment] = &[
    Made(Generated::Head(TRIAL_HEAD, "")),
    Text(fragment!("trial")),
];
const HISTORY: &[Fragment] = &[
    Made(Generated::Head(HISTORY_HEAD, "")),
    Text(fragment!("first_fence")),
    Text(fragment!("history")),
];
const DUMP: &[Fragment] = &[Text(fragment!("dump"))];
const LIST_SLICE: &[Fragment] = &[Text(fragment!("list_slice"))];
const RESTORE: &[Fragment] = &[
    Made(Generated::Head(RESTORE_HEAD, "FIRST_POOL")),
    Text(fragment!("begin")),
    Text(fragment!("first_fence")),
    Text(fragment!("keys")),
    Text(fragment!("restore")),
];

/// Returns a script without indents, empty lines and comment lines, and its length: the first call finds the length
/// for the second. No string in the scripts spans several lines.
const fn compact<const LENGTH: usize>(source: &[u8]) -> ([u8; LENGTH], usize) {
    let mut compacted = [0; LENGTH];
    let (mut at, mut length) = (0, 0);
    while at < source.len() {
        while at < source.len() && source[at].is_ascii_whitespace() {
            at += 1;
        }
        let is_comment = at + 1 < source.len() && source[at] == b'-' && source[at + 1] == b'-';
        while at < source.len() {
            if !is_comment {
                compacted[length] = source[at];
                length += 1;
            }
            at += 1;
            if source[at - 1] == b'\n' {
                break;
            }
        }
    }
    (compacted, length)
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts::with_clock(CLOCK)
    }

    /// Returns the scripts with another clock: a fragment that defines `clock()`.
    pub(super) fn with_clock(clock: &str) -> Scripts {
        let texts = Script::ALL.map(|script| {
            let fragments = match script {
                Script::Pool => POOL,
                Script::Seed => SEED,
                Script::Index => INDEX,
                Script::History => HISTORY,
                Script::Trial => TRIAL,
                Script::Dump => DUMP,
                Script::ListSlice => LIST_SLICE,
                Script::Restore => RESTORE,
            };
            let mut text = clock.to_owned();
            for fragment in fragments {
                match fragment {
                    Text(fragment) => text += fragment,
                    Made(generated) => text += &generated.text(),
                }
            }
            text
        });
        Scripts {
            texts,
            hashes: Default::default(),
        }
    }

    pub(super) fn text(&self, script: Script) -> &str {
        &self.texts[script as usize]
    }

    /// Returns the hash for EVALSHA.
    pub(super) fn hash(&self, script: Script) -> &str {
        &self.hashes[script as usize]
    }

    pub(super) fn set_hash(&mut self, script: Script, hash: String) {
        self.hashes[script as usize] = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::super::operations::{OPERATIONS, Run};
    use super::*;

    #[test]
    fn the_function_of_each_operation_has_the_arguments_of_the_table() {
        let scripts = Scripts::new();
        for row in OPERATIONS.iter().filter(|row| matches!(row.run, Run::Once)) {
            let line = format!("local function {}\n", row.call);
            assert!(scripts.text(Script::Pool).contains(&line), "{line}");
        }
    }

    #[test]
    fn fragments_lose_comments_and_indents_alone() {
        const SOURCE: &[u8] = b"-- What it does.\nlocal a = 1 -- stays\n\n  if a - -1 then\n    --[[x]]\n    b('-- ')\nend";
        const LENGTH: usize = compact::<{ SOURCE.len() }>(SOURCE).1;
        let compacted = compact::<LENGTH>(SOURCE).0;
        let expected = b"local a = 1 -- stays\nif a - -1 then\nb('-- ')\nend";
        assert_eq!(
            compacted.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}
