//! The source of each setting's value, for `--check`.

/// The last source of each setting; a setting that is missing here has its default.
#[derive(Debug, Default)]
pub(super) struct Origins(Vec<(&'static str, String)>);

impl Origins {
    /// Records the source of a setting, and replaces an earlier one.
    pub(super) fn record(&mut self, flag: &'static str, source: &str) {
        self.0.retain(|(known, _)| *known != flag);
        self.0.push((flag, source.to_owned()));
    }

    /// Returns the name of a flag, a variable or a file; `default` if no source sets the setting.
    pub(super) fn of(&self, flag: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| *known == flag);
        found.map_or("default", |(_, source)| source)
    }
}
