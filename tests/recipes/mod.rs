//! The recipes of the folder `recipes`, each against a real server, with the shells, libraries and
//! systems that they are for, or with what plays those.
//!
//! `LATCHD_RECIPES` names the folder with the Python libraries; `tests/run` installs them and sets it.

mod ci;
mod devices;
mod load;
mod shell;
mod support;

/// Each file of the folder has its row in the README.
#[test]
fn the_readme_has_every_recipe() {
    let readme = include_str!("../../README.md");
    let names = std::fs::read_dir(support::recipe("k6.js").with_file_name(""));
    let names = names
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name());
    let names: Vec<String> = names
        .map(|name| name.into_string().expect("UTF-8"))
        .collect();
    for name in &names {
        assert!(
            readme.contains(&format!("| [{name}](recipes/{name}) |")),
            "{name}"
        );
    }
    assert_eq!(readme.matches("](recipes/").count(), names.len());
}
