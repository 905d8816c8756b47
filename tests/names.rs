//! Names that were replaced do not come back, and doc comments begin with a verb or a noun.
//! `docs/glossary.md` has the words that are used instead.

use std::fs;
use std::path::{Path, PathBuf};

/// Identifiers that no code uses any more.
const RETIRED: &[&str] = &[
    // The queue
    "InLine",
    "stands_in_line",
    "most_of_an_address",
    // Connections
    "Door",
    "Desk",
    "StoreDesk",
    "Newcomer",
    "at_the_door",
    "let_in",
    "turn_away",
    "Yielding",
    "close_for_another",
    "barren_until",
    "make_room_at",
    "Household",
    "NOWHERE",
    "InHand",
    "in_hand",
    "hold_back",
    "is_held_back",
    "let_go",
    "let_act",
    // Sessions
    "Unfinished",
    "Undelivered",
    "LongAnswer",
    "break_off",
    "receive_cut",
    "is_cut_off",
    "is_stranger",
    "strangers_bytes",
    "evict_strangers",
    // Callers and answers
    "Stranger",
    "Anyone",
    "Rendering",
    "Marks",
    "Came",
    "Proof",
    "Wanted",
    // Log messages
    "Seldom",
    "Detour",
    // latch
    "Keeper",
    "Unserved",
    "may_pass",
    "die_of",
    // The engine
    "Books",
    "Stock",
    "Seats",
    "Seating",
    "Touched",
    "closed_as",
    "pool_at_hand",
    "StoredWanted",
    "seed_on",
    "measure_on",
    "dump_on",
    "list_members_on",
    "check_room",
    "unkeep_from",
    "kept_count",
    "check_line",
    "dismiss_hopeless",
    "make_room",
    // The file store
    "SeedPlace",
    "SeedParts",
    "UnderWay",
    "asked_later",
    "held_may_go_on",
    "settle_job",
    "is_settled",
    "go_on",
    // Redis
    "PoolQueue",
    "Flight",
    "Unsettled",
    "Asker",
    "Leaving",
    "Wish",
    "take_up",
    "come_back",
    "plan_look",
    "asks_for_a_place",
    "HOPELESS",
    "is_hopeless",
    "Complaints",
    "complain",
    "Heard",
    "listen_to_notices",
    "look_at_clock",
];

/// Words that no doc comment begins with: they leave the subject or the actor open.
const VAGUE_STARTS: &[&str] = &[
    "Who",
    "Whoever",
    "What",
    "Whatever",
    "Where",
    "Wherever",
    "How",
    "Something",
    "Somebody",
    "Nobody",
];

#[test]
fn doc_comments_begin_with_a_verb_or_a_noun() {
    let mut found = Vec::new();
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a source can be read");
        let mut before = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_start();
            let marks = ["///", "//!"];
            let mark = marks.into_iter().find(|mark| line.starts_with(mark));
            let words = line.get(3..).unwrap_or_default().trim_start();
            let first = words.split(|c: char| !c.is_alphabetic()).next();
            let is_vague = first.is_some_and(|first| VAGUE_STARTS.contains(&first));
            if mark.is_some() && mark != before && is_vague {
                found.push(format!("{}:{number}: {line}", file.display()));
            }
            before = mark;
        }
    }
    assert!(found.is_empty(), "vague beginnings: {found:#?}");
}

#[test]
fn retired_names_do_not_come_back() {
    let files = sources();
    let mut found = Vec::new();
    for file in files
        .iter()
        .filter(|file| !file.ends_with("tests/names.rs"))
    {
        let text = fs::read_to_string(file).expect("a source can be read");
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("// ").next().unwrap_or_default();
            if code.trim_start().starts_with("//") {
                continue;
            }
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let words = code.split(|c| !is_part(c));
            let retired = words.filter(|word| RETIRED.contains(word));
            found.extend(retired.map(|word| format!("{}:{number}: {word}", file.display())));
        }
    }
    assert!(found.is_empty(), "retired names: {found:#?}");
}

/// Returns all Rust sources of the project.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "bench", "fuzz"] {
        collect(&root.join(folder), &mut files);
    }
    assert!(files.len() > 300, "the sources are found");
    files
}

/// Collects the Rust sources below a folder, without build results.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
