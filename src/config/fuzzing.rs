//! Entry points of the fuzz targets into the configuration, built for them alone (`cfg(fuzzing)`).
//! None of them opens a file or looks up a name.

use super::draft::Draft;
use super::file::Files;
use super::flags::Flags;
use super::origins::Origins;
use super::{ConfigError, RedisSettings, StoreUrl, parse_store};

/// Reads the text of a configuration file, and returns all its settings as text.
pub fn read_file(text: &str) -> Result<String, String> {
    let mut draft = Draft::default();
    let mut files = Files::new(&mut draft);
    files.put("FILE", text).map_err(describe)?;
    files.finish().map_err(describe)?;
    Ok(settings_of(draft))
}

/// Reads a command line, program name first, and returns all its settings as text.
pub fn read_flags(arguments: &[&str]) -> Result<String, String> {
    let mut draft = Draft::default();
    let flags = Flags::parse(arguments.iter().map(Into::into)).map_err(describe)?;
    flags.ping().map_err(describe)?;
    flags.put(&mut draft).map_err(describe)?;
    Ok(settings_of(draft))
}

/// Formats all settings, but not their sources.
fn settings_of(mut draft: Draft) -> String {
    draft.origins = Origins::default();
    format!("{draft:?}")
}

/// Reads the URL of a store.
pub fn read_store(url: &str) -> Result<StoreUrl, String> {
    let redis = RedisSettings {
        prefix: "pool:".into(),
        timeout_ms: 2000,
    };
    parse_store(url, &redis).map_err(describe)
}

fn describe(error: ConfigError) -> String {
    match error {
        ConfigError::Usage(usage) => usage.to_string(),
        ConfigError::Invalid(problem) => problem,
    }
}
