//! The tables of the documents match the code: routes with their methods, parameters, settings and figures.
//! The table of refusals is tested beside the code, in `src/api/tests.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::{read, root};
use latchd::contract::{ROUTES, RouteRow};

/// The cells of all table rows of a document below a heading, up to the next heading, without its first row.
fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let (_, below) = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("{document} has {heading}"));
    let lines = below.lines().take_while(|line| !line.starts_with('#'));
    let rows = lines.filter(|line| line.starts_with("| ") && !line.starts_with("| --"));
    let cells = |row: &str| {
        let row = row.replace("\\|", "\u{1}");
        let cells = row.trim_matches(['|', ' ']).split(" | ");
        cells
            .map(|cell| cell.trim().replace('\u{1}', "|"))
            .collect()
    };
    let rows: Vec<Vec<String>> = rows.map(cells).skip(1).collect();
    assert!(!rows.is_empty(), "{heading} of {document} has a table");
    rows
}

/// The text between the first two backticks.
fn code(cell: &str) -> &str {
    cell.split('`').nth(1).unwrap_or_default()
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 200, "{lines} lines");
}

/// A path with names for those in its pattern, as the documents write it.
fn path_of(row: &RouteRow) -> String {
    row.pattern.replace("{pool}", "A").replace("{id}", "4")
}

#[test]
fn the_table_of_requests_has_every_route_and_method() {
    let told: BTreeSet<(String, String)> = rows("docs/http-api.md", "## Requests")
        .iter()
        .map(|row| {
            let (method, target) = code(&row[0]).split_once(' ').expect("METHOD PATH");
            let path = target.split('?').next().expect("it has a path");
            (method.to_owned(), path.to_owned())
        })
        .collect();
    let mut known = BTreeSet::new();
    for row in &ROUTES {
        known.extend(
            row.operations()
                .map(|(method, _)| (method.to_owned(), path_of(row))),
        );
    }
    assert_eq!(told, known);
}

/// The requests that the parameters' table names in words.
const NAMED: [(&str, &[(&str, &str)]); 6] = [
    (
        "acquire",
        &[("POST", "/pool/A/lock"), ("POST", "/pool/A/lock/4")],
    ),
    ("renew", &[("PUT", "/pool/A/lock/4")]),
    ("renew all", &[("PUT", "/pool/A/lock")]),
    ("release", &[("DELETE", "/pool/A/lock/4")]),
    ("release all", &[("DELETE", "/pool/A/lock")]),
    ("list pools", &[("GET", "/pool")]),
];

#[test]
fn the_table_of_parameters_has_those_of_each_request() {
    let mut told: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for row in rows("docs/http-api.md", "## Parameters") {
        if row[1] == "any `POST`" {
            continue;
        }
        let parameter = code(&row[0]).split('=').next().expect("it has a name");
        for name in row[1].split(", ") {
            let named = NAMED.iter().find(|(known, _)| *known == name);
            let (_, requests) = named.unwrap_or_else(|| panic!("what is {name}?"));
            for request in *requests {
                told.entry(*request)
                    .or_default()
                    .insert(parameter.to_owned());
            }
        }
    }
    let paths: Vec<String> = ROUTES.iter().map(path_of).collect();
    for (row, path) in ROUTES.iter().zip(&paths) {
        for (method, operation) in row.operations() {
            let known = operation
                .parameters
                .iter()
                .map(|known| known.name.to_owned());
            let told = told.remove(&(method, &**path)).unwrap_or_default();
            assert_eq!(told, known.collect(), "{method} {path}");
        }
    }
    assert!(told.is_empty(), "no requests: {told:?}");
}

/// The flag of each setting in the source, with its key in a file and the default that its help names.
fn settings() -> BTreeMap<String, [String; 2]> {
    // A backslash joins the lines of a text.
    let source = read("src/config/table.rs").replace("\\\n", "\u{1}");
    let between = |text: &str, start: &str, end: &str| {
        let rest = text.split(start).nth(1).unwrap_or_default();
        rest.split(end).next().unwrap_or_default().to_owned()
    };
    let rows = source.split("flag: \"").skip(1).map(|row| {
        let default = between(row, "[default: ", "]");
        let parts = default.split('\u{1}').map(str::trim_start);
        let default: String = parts.collect();
        let flag = row.split('"').next().unwrap_or_default();
        (
            format!("--{flag}"),
            [between(row, "key: \"", "\""), default],
        )
    });
    rows.collect()
}

#[test]
fn the_tables_of_settings_have_every_one_with_its_default() {
    let document = read("docs/configuration.md");
    let rows = document.lines().filter(|line| line.starts_with("| `--"));
    let told: BTreeMap<String, [String; 2]> = rows
        .filter_map(|row| {
            let mut cells = row.split('|').skip(1).map(str::trim);
            let (flag, key) = (cells.next()?, cells.next()?);
            let key = key.strip_prefix('`')?.strip_suffix('`')?;
            let is_key = key.contains('.') && !key.contains(' ');
            let row = [key.to_owned(), cells.next()?.to_owned()];
            is_key.then(|| (code(flag).to_owned(), row))
        })
        .collect();
    assert!(told.len() > 40, "the rows are found: {told:?}");
    assert_eq!(told, settings());
}

#[test]
fn each_figure_is_documented_and_each_documented_one_is_there() {
    let document = read("docs/operations.md");
    let files = std::fs::read_dir(root().join("src/metrics")).expect("a folder");
    let source: String = files
        .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("UTF-8"))
        .collect();
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let names = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c| !is_of_name(c));
        let names = words.filter(|word| word.starts_with("latchd_"));
        names.map(str::to_owned).collect()
    };
    let told = names(&document);
    assert!(told.len() > 30, "the names are found: {told:?}");
    for name in &told {
        let literal = format!("\"{}\"", name.trim_end_matches("_bucket"));
        assert!(source.contains(&literal), "there is no {name}");
    }
    let literals = source.split('"').filter(|text| text.starts_with("latchd_"));
    for name in literals.filter(|text| text.chars().all(is_of_name)) {
        // One cell has several of a pool: `latchd_pool_resources`, `_held`.
        let short = name.replacen("latchd_pool", "", 1);
        let is_told = told.contains(name) || document.contains(&format!("`{short}`"));
        assert!(is_told, "{name} is not documented");
    }
}
