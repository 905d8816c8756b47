//! The definition of a setting: its names in each source, its values, and their place in the draft.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::draft::Draft;

/// One setting, as the command line, the environment and a file use it.
pub(super) struct Setting {
    /// The flag, without `--`. The environment variable is named after it.
    pub(super) flag: &'static str,
    /// The `section.key` in a file.
    pub(super) key: &'static str,
    /// The name of its value in the help.
    pub(super) value: &'static str,
    /// The help: one paragraph. Only `--help` shows what follows an empty line, and `-h` does not.
    pub(super) help: &'static str,
    pub(super) kind: SettingKind,
}

/// The values of a setting, and the function that puts one into the draft.
pub(super) enum SettingKind {
    /// A whole number within these bounds.
    Number(RangeInclusive<u32>, fn(&mut Draft, usize)),
    /// Any number.
    Decimal(fn(&mut Draft, f64) -> Result<(), &'static str>),
    /// `true` or `false`. The flag alone means `true`.
    Switch(fn(&mut Draft, bool)),
    Text(fn(&mut Draft, &str) -> Result<(), &'static str>),
    /// A text, or a whole number instead.
    Level(fn(&mut Draft, &str) -> Result<(), &'static str>),
    /// The path of a file or a folder.
    Path(fn(&mut Draft, PathBuf)),
    /// Texts: a list in a file, separated by commas elsewhere. The flag may be repeated.
    List(fn(&mut Draft, Vec<String>)),
}

/// A value as a source gives it.
pub(super) enum Value {
    /// The same as a missing value.
    Null,
    Number(f64),
    Switch(bool),
    Text(String),
    Path(PathBuf),
    List(Vec<String>),
}

impl Setting {
    /// Returns the environment variable that means the same as the flag.
    pub(super) fn variable(&self) -> String {
        format!(
            "LATCHD_{}",
            self.flag.to_ascii_uppercase().replace('-', "_")
        )
    }

    /// Puts a value of `source` into the draft. The error describes a right value.
    pub(super) fn put(&self, draft: &mut Draft, value: Value, source: &str) -> Result<(), String> {
        match (&self.kind, value) {
            (SettingKind::Number(bounds, put), Value::Number(number))
                if number.fract() == 0.0
                    && (f64::from(*bounds.start())..=f64::from(*bounds.end()))
                        .contains(&number) =>
            {
                put(draft, number as usize);
            }
            (SettingKind::Decimal(put), Value::Number(number)) => put(draft, number)?,
            (SettingKind::Switch(put), Value::Switch(is_on)) => put(draft, is_on),
            (SettingKind::Text(put) | SettingKind::Level(put), Value::Text(text)) => {
                put(draft, &text)?
            }
            (SettingKind::Level(put), number @ Value::Number(_)) => {
                put(draft, &number.to_string())?
            }
            (SettingKind::Path(put), Value::Path(path)) if !path.as_os_str().is_empty() => {
                put(draft, path);
            }
            (SettingKind::Path(put), Value::Text(path)) if !path.is_empty() => {
                put(draft, path.into())
            }
            (SettingKind::List(put), Value::List(texts)) => put(draft, texts),
            (kind, _) => return Err(kind.expected()),
        }
        draft.origins.record(self.flag, source);
        Ok(())
    }
}

impl SettingKind {
    /// Parses the text of a flag or a variable. A text that does not fit the kind stays a text,
    /// which [`Setting::put`] refuses.
    pub(super) fn read(&self, text: &str) -> Value {
        let value = match self {
            SettingKind::Number(..) => text.parse::<u32>().ok().map(|n| Value::Number(n.into())),
            SettingKind::Decimal(_) => text.parse().ok().map(Value::Number),
            SettingKind::Switch(_) => text.parse().ok().map(Value::Switch),
            SettingKind::List(_) => Some(Value::List(text.split(',').map(str::to_owned).collect())),
            SettingKind::Text(_) | SettingKind::Level(_) | SettingKind::Path(_) => None,
        };
        value.unwrap_or_else(|| Value::Text(text.to_owned()))
    }

    fn expected(&self) -> String {
        match self {
            SettingKind::Number(bounds, _) => {
                let (min, max) = (bounds.start(), bounds.end());
                return format!("wanted a whole number, {min} to {max}");
            }
            SettingKind::Decimal(_) => "wanted a number",
            SettingKind::Switch(_) => "wanted true or false",
            SettingKind::Text(_) => "wanted a text",
            SettingKind::Level(_) => "wanted a text or a number",
            SettingKind::Path(_) => "wanted a path",
            SettingKind::List(_) => "wanted a list of texts",
        }
        .to_owned()
    }
}

impl fmt::Display for Value {
    /// Formats a value; a number that is not whole is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            // Formatting the rest would take twelve kilobytes of the binary.
            Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                (*number as i64).fmt(f)
            }
            Value::Number(_) => Ok(()),
            Value::Switch(is_on) => is_on.fmt(f),
            Value::Text(text) => f.write_str(text),
            Value::Path(path) => path.display().fmt(f),
            Value::List(texts) => f.write_str(&texts.join(",")),
        }
    }
}
