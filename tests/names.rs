//! Names that were replaced do not come back, functions name their actors, and doc comments begin with a verb or a
//! noun.
//! `docs/glossary.md` lists the replaced names and the words that are used instead.

use std::fs;
use std::path::{Path, PathBuf};

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

/// Actors without a name. Every actor has one: client, server, session, store, waiter, holder, operator.
const NAMELESS_ACTORS: &[&str] = &[
    "who", "whoever", "whom", "somebody", "nobody", "anybody", "someone", "anyone", "he", "him",
    "his",
];

#[test]
fn names_of_functions_name_their_actors() {
    let mut found = Vec::new();
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a source can be read");
        for (number, line) in (1..).zip(text.lines()) {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let functions = line.split("fn ").skip(1);
            let names = functions.filter_map(|after| after.split(|c| !is_name(c)).next());
            let nameless = |name: &str| name.split('_').any(|word| NAMELESS_ACTORS.contains(&word));
            let wrong = names.filter(|name| nameless(name));
            found.extend(wrong.map(|name| format!("{}:{number}: {name}", file.display())));
        }
    }
    assert!(found.is_empty(), "actors without a name: {found:#?}");
}

#[test]
fn retired_names_do_not_come_back() {
    let retired_names = retired();
    assert!(retired_names.len() > 200, "the table is found");
    let mut found = Vec::new();
    for file in sources() {
        let text = fs::read_to_string(&file).expect("a source can be read");
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("// ").next().unwrap_or_default();
            if code.trim_start().starts_with("//") {
                continue;
            }
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let words = code.split(|c| !is_part(c));
            let retired = words.filter(|word| retired_names.contains(word));
            found.extend(retired.map(|word| format!("{}:{number}: {word}", file.display())));
        }
    }
    assert!(found.is_empty(), "retired names: {found:#?}");
}

/// Returns the identifiers in the glossary's table of retired words: those in code spans.
fn retired() -> Vec<&'static str> {
    let glossary = include_str!("../docs/glossary.md");
    let (_, table) = glossary.split_once("| retired | now |").expect("a table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
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
