//! The documents name tests and link to files: each of them must exist, so that no document outlives what it
//! speaks of.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `docs/*.md`, and the documents that have a place of their own.
fn documents() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).expect("docs can be listed");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.extend(
        [
            "README.md",
            "SECURITY.md",
            "packaging/README.md",
            "docs/recipes/README.md",
        ]
        .map(|name| root().join(name)),
    );
    paths
}

/// The text without blocks of code, in which nothing is a link or a name.
fn prose(document: &Path) -> String {
    let text = read(document);
    let parts = text.split("```").step_by(2);
    parts.collect()
}

/// The code of a prose, such as `keys::file::a_file_that_others_can_read_is_refused`.
fn code_spans(prose: &str) -> impl Iterator<Item = &str> {
    prose.split('`').skip(1).step_by(2)
}

/// Whether this has the form of a test's path within the test binary.
fn is_test_path(code: &str) -> bool {
    let is_name = |part: &str| {
        let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        !part.is_empty() && part.chars().all(is_of_name)
    };
    code.contains("::") && code.split("::").all(is_name)
}

/// Whether a source has this test, which runs with the others.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().collect();
    let start = format!("fn {name}() {{");
    let at = lines.iter().position(|line| *line == start);
    at.is_some_and(|at| {
        let before = lines[..at].iter().rev();
        let mut attributes = before.take_while(|line| !line.is_empty());
        attributes.any(|line| *line == "#[test]")
    })
}

fn threat_model() -> String {
    prose(&root().join("docs/threat-model.md"))
}

#[test]
fn each_test_that_the_threat_model_names_exists() {
    let prose = threat_model();
    let tests: Vec<&str> = code_spans(&prose)
        .filter(|code| is_test_path(code))
        .collect();
    assert!(tests.len() > 30, "the names are found: {tests:?}");
    let is_missing = |path: &&str| {
        let (module, name) = path.rsplit_once("::").expect("it is a path");
        let module = root().join("tests").join(module.replace("::", "/"));
        let files = [module.with_extension("rs"), module.join("mod.rs")];
        let file = files.iter().find(|file| file.is_file());
        !file.is_some_and(|file| has_test(&read(file), name))
    };
    let missing: Vec<&str> = tests.into_iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
}

#[test]
fn each_file_that_the_threat_model_names_exists() {
    let prose = threat_model();
    let folders = ["tests/", "fuzz/", "src/", "packaging/", "docs/recipes/"];
    let is_file = |code: &&str| folders.iter().any(|folder| code.starts_with(folder));
    let files: Vec<&str> = code_spans(&prose).filter(is_file).collect();
    assert!(files.len() > 3, "the files are found: {files:?}");
    let missing: Vec<&str> = files
        .into_iter()
        .filter(|file| !root().join(file).exists())
        .collect();
    assert!(missing.is_empty(), "there are no such files: {missing:#?}");
}

/// The targets of links within the project: `](packaging/README.md#an-image)`.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    let targets = prose.split("](").skip(1);
    let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://"))
}

/// The anchor of a heading: lower case, without punctuation, with hyphens for spaces.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let is_kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    let kept: String = heading.chars().filter(is_kept).collect();
    kept.replace(' ', "-")
}

/// Whether a link of this document leads to a file or folder and, if it names one, to a heading.
fn leads_somewhere(link: &str, document: &Path) -> bool {
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = document.parent().expect("it is in a folder");
    let target = match path {
        "" => document.to_path_buf(),
        _ => folder.join(path),
    };
    match heading {
        "" => target.exists(),
        _ => prose(&target)
            .lines()
            .any(|line| line.starts_with('#') && anchor(line) == heading),
    }
}

#[test]
fn each_link_leads_to_a_file_and_a_heading() {
    let mut count = 0;
    let mut broken = Vec::new();
    for document in documents() {
        for link in links(&prose(&document)) {
            count += 1;
            if !leads_somewhere(link, &document) {
                broken.push(format!("{link} in {}", document.display()));
            }
        }
    }
    assert!(count > 50, "the links are found: {count}");
    assert!(broken.is_empty(), "these lead nowhere: {broken:#?}");
}
