//! The documents name tests and files, and link to files and headings: each of them must exist, so that no
//! document outlives its subject.

use std::collections::HashMap;
use std::path::Path;

use super::{documents, prose, read, root};

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

#[test]
fn each_test_that_the_threat_model_names_exists() {
    let prose = prose("docs/threat-model.md");
    let tests: Vec<&str> = code_spans(&prose)
        .filter(|code| is_test_path(code))
        .collect();
    assert!(tests.len() > 30, "the names are found: {tests:?}");
    let is_missing = |path: &&str| {
        let (module, name) = path.rsplit_once("::").expect("it is a path");
        let module = module.replace("::", "/");
        let files = [
            format!("tests/{module}.rs"),
            format!("tests/{module}/mod.rs"),
        ];
        let file = files.iter().find(|file| root().join(file).is_file());
        !file.is_some_and(|file| has_test(&read(file), name))
    };
    let missing: Vec<&str> = tests.into_iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
}

/// The folders whose files the documents name, by their path from the root.
const FOLDERS: [&str; 6] = ["bench/", "docs/", "fuzz/", "packaging/", "src/", "tests/"];

#[test]
fn each_file_that_a_document_names_exists() {
    let mut count = 0;
    let mut missing = Vec::new();
    // The changelog names former files and tests.
    for document in documents().iter().filter(|name| *name != "CHANGELOG.md") {
        let prose = prose(document);
        let words = code_spans(&prose).filter_map(|code| code.split([' ', ':']).next());
        let is_pattern =
            |word: &str| word.contains(['*', '{', '<', '…']) || is_name_of_a_kind(word);
        for word in words.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder))) {
            count += 1;
            if !is_pattern(word) && !root().join(word).exists() {
                missing.push(format!("{word} in {document}"));
            }
        }
    }
    assert!(count > 20, "the files are found: {count}");
    assert!(missing.is_empty(), "there are no such files: {missing:#?}");
}

/// Whether a path stands for many, as `tests/TOPIC.rs` does.
fn is_name_of_a_kind(path: &str) -> bool {
    let mut parts = path.split(['/', '.']).filter(|part| part.len() > 1);
    let is_kind = |part: &str| part.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    parts.any(|part| is_kind(part) && part != "README" && part != "LICENSE")
}

/// The targets of links within the project: `](packaging/README.md#an-image)`.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    let targets = prose.split("](").skip(1);
    let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://"))
}

/// The anchors of a document's headings: lower case, without punctuation, with hyphens for spaces. A heading
/// that is there already gets a number.
fn anchors(prose: &str) -> Vec<String> {
    let mut times: HashMap<String, usize> = HashMap::new();
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let is_kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
            let anchor: String = heading.chars().filter(is_kept).collect();
            let anchor = anchor.replace(' ', "-");
            let before = times.entry(anchor.clone()).or_default();
            *before += 1;
            match *before {
                1 => anchor,
                n => format!("{anchor}-{}", n - 1),
            }
        })
        .collect()
}

/// Whether a link of this document leads to a file or folder and, if it names one, to a heading.
fn leads_somewhere(link: &str, document: &str) -> bool {
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = Path::new(document).parent().expect("it is in a folder");
    let target = match path {
        "" => Path::new(document).to_path_buf(),
        _ => folder.join(path),
    };
    let target = target.to_str().expect("UTF-8");
    let exists = root().join(target).exists();
    exists && (heading.is_empty() || anchors(&prose(target)).iter().any(|a| a == heading))
}

#[test]
fn each_link_leads_to_a_file_and_a_heading() {
    let mut count = 0;
    let mut broken = Vec::new();
    for document in documents() {
        for link in links(&prose(&document)) {
            count += 1;
            if !leads_somewhere(link, &document) {
                broken.push(format!("{link} in {document}"));
            }
        }
    }
    assert!(count > 100, "the links are found: {count}");
    assert!(broken.is_empty(), "these lead nowhere: {broken:#?}");
}

/// Returns the text below the heading with this anchor, up to the next one of its level.
fn below(document: &str, anchor: &str) -> String {
    let text = read(document);
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    let at = anchors(&text).iter().position(|a| a == anchor);
    let heading = headings[at.unwrap_or_else(|| panic!("{document} has {anchor}"))];
    let level = heading.split(' ').next().expect("it has a level");
    let (_, rest) = text.split_once(heading).expect("it is there");
    let is_next = |line: &&str| line.starts_with('#') && line.split(' ').next() <= Some(level);
    rest.lines()
        .skip(1)
        .take_while(|line| !is_next(line))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Tasks of the README's first table, and the text at the place that each links to.
const TASKS: [(&str, &str); 3] = [
    ("listen on a network", "--listen 0.0.0.0:8081"),
    ("remove members", "latch seed A --set"),
    ("back up", "latch dump > pools.dump"),
];

#[test]
fn hard_tasks_are_found_from_the_readme() {
    let readme = read("README.md");
    for (task, shown) in TASKS {
        let mut rows = readme.lines().filter(|line| line.starts_with("| "));
        let row = rows.find(|row| row.contains(task));
        let link = row.and_then(|row| links(row).next());
        let link = link.unwrap_or_else(|| panic!("no row for: {task}"));
        let (path, anchor) = link.split_once('#').expect("it leads to a heading");
        let document = if path.is_empty() { "README.md" } else { path };
        assert!(below(document, anchor).contains(shown), "{task}: {link}");
    }
}
