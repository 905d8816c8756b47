//! What the fuzz targets reach of the configuration. It is built for them alone (`cfg(fuzzing)`).
//! Nothing here opens a file or looks up a name.

use super::{ConfigError, RedisSettings, StoreUrl, file, flags, parse_store};

/// Reads the text of a configuration file: all that it says, in words.
pub fn read_file(text: &str) -> Result<String, String> {
    let layer = file::parse("FILE", text).map_err(in_words)?;
    Ok(format!("{layer:?}"))
}

/// Reads a command line, program name first: all that its settings say, in words.
pub fn read_flags(arguments: &[&str]) -> Result<String, String> {
    match flags::parse_these(arguments) {
        Ok(flags) => Ok(format!("{:?}", flags.layer)),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads the URL of a store.
pub fn read_store(url: &str) -> Result<StoreUrl, String> {
    let redis = RedisSettings {
        prefix: "pool:".into(),
        timeout_ms: 2000,
    };
    parse_store(url, &redis).map_err(in_words)
}

fn in_words(error: ConfigError) -> String {
    match error {
        ConfigError::Usage(usage) => usage.to_string(),
        ConfigError::Invalid(problem) => problem,
    }
}
