//! The documents of the project: their commands run, their links lead somewhere, and their tables match
//! the code.

mod commands;
mod links;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the project, by its path from the root.
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths of all documents, from the root.
fn documents() -> Vec<String> {
    let mut documents = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be listed") {
            let path: PathBuf = entry.expect("an entry can be read").path();
            let name = path.strip_prefix(root()).expect("it is below the root");
            let name = name.to_str().expect("UTF-8");
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "fuzz/target"
            {
                folders.push(path);
            } else if name.ends_with(".md") {
                documents.push(name.to_owned());
            }
        }
    }
    documents.sort_unstable();
    documents
}

/// A piece of a document that is set as code.
#[derive(Debug)]
struct Block {
    document: String,
    /// The heading of the first or second level that it is under.
    section: String,
    language: String,
    text: String,
}

fn blocks_in(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut section, mut is_open) = (String::new(), false);
    for line in read(document).lines() {
        match (line.trim_start().strip_prefix("```"), is_open) {
            (Some(language), false) => blocks.push(Block {
                document: document.to_owned(),
                section: section.clone(),
                language: language.to_owned(),
                text: String::new(),
            }),
            (None, true) => {
                let block = blocks.last_mut().expect("it has been opened");
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, false) if line.starts_with("# ") || line.starts_with("## ") => {
                section = line.trim_start_matches(['#', ' ']).to_owned();
            }
            _ => {}
        }
        is_open ^= line.trim_start().starts_with("```");
    }
    assert!(!is_open, "{document} closes its last block");
    blocks
}

fn blocks_of(document: &str, section: &str, language: &str) -> Vec<Block> {
    let mut blocks = blocks_in(document);
    blocks.retain(|block| block.section == section && block.language == language);
    assert!(
        !blocks.is_empty(),
        "{section} of {document} shows {language}"
    );
    blocks
}

/// Returns the first block of this language in a section of a document.
pub fn shown(document: &str, section: &str, language: &str) -> String {
    blocks_of(document, section, language).swap_remove(0).text
}

/// The text of a document without its blocks of code, in which nothing is a link or a name.
fn prose(document: &str) -> String {
    let text = read(document);
    text.split("```").step_by(2).collect()
}
