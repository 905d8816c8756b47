//! The recipes of the folder `docs/recipes`, each against a real server, with the shells, libraries and
//! systems that they are for, or with our stand-ins for those.
//!
//! `LATCHD_RECIPES` names the folder with the Python libraries; `tests/run` installs them and sets it.

mod ci;
mod devices;
mod load;
mod shell;
mod support;

/// Each file of the folder has its row in the document beside it.
#[test]
fn the_document_has_every_recipe() {
    let document = include_str!("../../docs/recipes/README.md");
    let names = std::fs::read_dir(support::recipe("k6.js").with_file_name(""));
    let names = names
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    let names: Vec<String> = names.filter(|name| name != "README.md").collect();
    for name in &names {
        let row = format!("| [{name}]({name}) |");
        assert!(document.contains(&row), "{name} has no row");
    }
    let rows = document.lines().filter(|line| line.contains(" | ["));
    assert_eq!(rows.count(), names.len(), "a row names no file");
}
