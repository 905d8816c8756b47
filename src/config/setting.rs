//! What a setting is: how each source calls it, what its value may be, and where that goes.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::draft::Draft;

/// One setting: all that the command line, the environment and a file have to know of it.
pub(super) struct Setting {
    /// `--flag`. Its variable is named after it.
    pub(super) flag: &'static str,
    /// `section.key` of a file.
    pub(super) key: &'static str,
    /// What the help calls its value.
    pub(super) value: &'static str,
    /// One paragraph. What is behind an empty line only `--help` shows, and not `-h`.
    pub(super) help: &'static str,
    pub(super) kind: SettingKind,
}

/// What a value may be, and what puts it where it belongs.
pub(super) enum SettingKind {
    /// A whole number within these bounds.
    Number(RangeInclusive<u32>, fn(&mut Draft, usize)),
    /// Any number.
    Decimal(fn(&mut Draft, f64) -> Result<(), &'static str>),
    /// `true` or `false`. The flag alone means `true`.
    Switch(fn(&mut Draft, bool)),
    Text(fn(&mut Draft, &str) -> Result<(), &'static str>),
    /// A text, or a whole number in the place of one.
    Level(fn(&mut Draft, &str) -> Result<(), &'static str>),
    /// The path of a file or a folder.
    Path(fn(&mut Draft, PathBuf)),
    /// Texts: a list in a file, with commas between them elsewhere. The flag may be repeated.
    List(fn(&mut Draft, Vec<String>)),
}

/// A value as a source gives it.
pub(super) enum Value {
    /// As if nothing were said.
    Null,
    Number(f64),
    Switch(bool),
    Text(String),
    Path(PathBuf),
    List(Vec<String>),
}

impl Setting {
    /// The variable of the environment that says the same as the flag.
    pub(super) fn variable(&self) -> String {
        format!(
            "LATCHD_{}",
            self.flag.to_ascii_uppercase().replace('-', "_")
        )
    }

    /// Puts a value of this source into the draft, or says what would be right.
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
    /// What a flag or a variable says. What makes no sense stays a text, which [`Setting::put`]
    /// refuses.
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
    /// Nothing where a number is not whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            // The rest in words would be twelve kilobytes of the binary.
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
