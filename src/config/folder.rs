//! A folder of configuration as in the Node original: files that override each other, and one that
//! maps settings to environment variables.

use std::path::Path;
use std::{env, fmt, fs, io};

use super::ConfigError;
use super::file::Files;

/// Extensions of the files that are read; the later one overrides the earlier.
const READ: [&str; 2] = ["json", "json5"];
/// Extensions that the Node original would read, too. A file of these is refused, not ignored.
const NOT_READ: [&str; 14] = [
    "cjs",
    "coffee",
    "cson",
    "hjson",
    "iced",
    "js",
    "jsonc",
    "mjs",
    "properties",
    "toml",
    "ts",
    "xml",
    "yaml",
    "yml",
];
/// The file that maps settings to names of variables.
const VARIABLES: &str = "custom-environment-variables";
/// The Node original's default deployment.
const DEPLOYMENT: &str = "development";

/// Puts the values of the files of a folder, and then those of the variables that one of them
/// names.
pub(super) fn put(folder: &Path, files: &mut Files<'_>) -> Result<(), ConfigError> {
    let deployment = ["NODE_CONFIG_ENV", "NODE_ENV"].map(env::var_os);
    let deployment = deployment
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty());
    let deployment = deployment.map_or_else(
        || DEPLOYMENT.into(),
        |name| name.to_string_lossy().into_owned(),
    );
    let deployments: Vec<&str> = deployment.split(',').map(str::trim).collect();
    let mut names = vec!["default".to_owned()];
    names.extend(deployments.iter().map(|name| (*name).to_owned()));
    names.push("local".to_owned());
    names.extend(deployments.iter().map(|name| format!("local-{name}")));

    let mut is_empty = true;
    for name in &names {
        is_empty &= !put_each(folder, name, |source, text| files.put(source, text))?;
    }
    is_empty &= !put_each(folder, VARIABLES, |source, text| {
        files.put_variables(source, text)
    })?;
    if is_empty {
        let right = "there is no configuration in it; wanted default.json5 or default.json";
        return Err(invalid(folder, right));
    }
    Ok(())
}

/// Passes on the text of each file of this name. Returns false if no such file exists.
fn put_each(
    folder: &Path,
    name: &str,
    mut put: impl FnMut(&str, &str) -> Result<(), ConfigError>,
) -> Result<bool, ConfigError> {
    for extension in NOT_READ {
        let path = folder.join(format!("{name}.{extension}"));
        if path.exists() {
            let right = format!("wanted JSON5, in {name}.json5 or {name}.json");
            return Err(invalid(&path, right));
        }
    }
    let mut is_found = false;
    for extension in READ {
        let path = folder.join(format!("{name}.{extension}"));
        match fs::read_to_string(&path) {
            Ok(text) => put(&path.display().to_string(), &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(invalid(&path, error)),
        }
        is_found = true;
    }
    Ok(is_found)
}

fn invalid(path: &Path, right: impl fmt::Display) -> ConfigError {
    ConfigError::Invalid(format!("{}: {right}", path.display()))
}

/// Returns a warning if the Node original would read a folder that no source names.
pub(super) fn unnamed_folder() -> Option<String> {
    let files = READ.map(|extension| format!("config/default.{extension}"));
    let file = files.iter().rev().find(|file| Path::new(file).is_file())?;
    Some(format!(
        "./{file} is not read, as nothing names it: --config config or NODE_CONFIG_DIR=config does"
    ))
}
