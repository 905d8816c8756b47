//! The files of the recipes, and the folders that they run in.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the folder `docs/recipes`.
pub fn recipe(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/recipes")
        .join(name);
    assert!(path.is_file(), "no recipe {name}");
    path
}

/// A file that stands beside these tests.
pub fn beside(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("tests").join("recipes").join(name)
}

/// A program of the folder that `LATCHD_RECIPES` names. None, and a line that says so, where that is
/// missing; `tests/run` makes it, and so the gate always has it.
pub fn installed(program: &str) -> Option<Command> {
    let Some(folder) = std::env::var_os("LATCHD_RECIPES") else {
        // Not eprintln!, which is only shown of a test that fails.
        let _ = writeln!(
            std::io::stderr(),
            "NOT RUN: LATCHD_RECIPES names no folder; tests/run installs one"
        );
        return None;
    };
    let program = Path::new(&folder).join("bin").join(program);
    assert!(program.is_file(), "{} is missing", program.display());
    let mut command = Command::new(program);
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    Some(command)
}
