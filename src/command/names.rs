//! Checked names, with a type for each kind.
//!
//! A name that exists is well formed. Whether the pool or resource exists is not known here.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use ecow::EcoString;

/// A name as a store keeps it. Up to 15 bytes are stored in place and longer names are shared, so that a reply
/// costs no allocation.
pub type StoredName = EcoString;

/// The longest name in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// The reason why a text is no valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text has more than [`MAX_NAME_BYTES`].
    TooLong,
    /// The text has a control character.
    Control,
    /// The text has a part `.` or `..` between slashes: a proxy that decodes paths would resolve it to another
    /// path.
    DotSegment,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "a name is empty; it must have 1 to 128 bytes",
            NameError::TooLong => "a name is too long; it must have 1 to 128 bytes",
            NameError::Control => "a name has a control character; it must have none",
            NameError::DotSegment => "a name has a part . or .. between slashes; it must have none",
        })
    }
}

impl Error for NameError {}

/// Defines a type for each kind of name: they have the same form and must not be mixed.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name<'a>(pub(super) Cow<'a, str>);

        impl<'a> $name<'a> {
            /// Checks the form of a new name.
            pub fn parse(text: impl Into<Cow<'a, str>>) -> Result<$name<'a>, NameError> {
                let text = text.into();
                $check(&text).map(|()| $name(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Copies the name, so that it outlives the text it was read from.
            pub fn into_owned(self) -> $name<'static> {
                $name(Cow::Owned(self.0.into_owned()))
            }
        }
    };
}

name_type!(
    /// The name of a pool: 1 to 128 bytes of UTF-8 without control characters, and without a part `.` or
    /// `..` between slashes.
    PoolName,
    check_path_name
);
name_type!(
    /// The id of a resource, in the form of a [`PoolName`].
    ResourceId,
    check_path_name
);
name_type!(
    /// The name that a client gives itself: 1 to 128 bytes of UTF-8 without control characters.
    OwnerName,
    check_name
);

impl<'a> PoolName<'a> {
    /// Checks the form of a stored name. A part `.` or `..` is accepted, as older versions stored them.
    #[inline]
    pub fn parse_stored(text: impl Into<Cow<'a, str>>) -> Result<PoolName<'a>, NameError> {
        let text = text.into();
        check_name(&text).map(|()| PoolName(text))
    }
}

impl<'a> ResourceId<'a> {
    /// Checks the form of a stored id. A part `.` or `..` is accepted, as older versions stored them.
    #[inline]
    pub fn parse_stored(text: impl Into<Cow<'a, str>>) -> Result<ResourceId<'a>, NameError> {
        let text = text.into();
        check_name(&text).map(|()| ResourceId(text))
    }
}

impl<'a> PoolName<'a> {
    /// Splits a name from the start of a path, and returns the rest: empty, or a slash and more. `None` if the
    /// name is wrong, or needs decoding or the full check.
    #[inline(always)]
    pub fn split_plain(path: &'a str) -> Option<(PoolName<'a>, &'a str)> {
        let (name, rest) = split_plain_segment(path)?;
        Some((PoolName(name.into()), rest))
    }
}

impl<'a> ResourceId<'a> {
    /// Reads an id that is the whole rest of a path, by the rules of [`PoolName::split_plain`].
    #[inline(always)]
    pub fn parse_plain(path: &'a str) -> Option<ResourceId<'a>> {
        match split_plain_segment(path)? {
            (id, "") => Some(ResourceId(id.into())),
            _ => None,
        }
    }
}

#[inline(always)]
fn split_plain_segment(path: &str) -> Option<(&str, &str)> {
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'%' | b'.' | b'/');
    let length = path.bytes().position(|b| !is_plain(b));
    let (segment, rest) = path.split_at_checked(length.unwrap_or(path.len()))?;
    let is_name = matches!(segment.len(), 1..=MAX_NAME_BYTES);
    (is_name && (rest.is_empty() || rest.starts_with('/'))).then_some((segment, rest))
}

/// Returns true if a part of a name between slashes is `.` or `..`.
pub fn has_dot_segment(name: &str) -> bool {
    name.bytes().any(|byte| byte == b'.') && name.split('/').any(|part| part == "." || part == "..")
}

fn check_path_name(text: &str) -> Result<(), NameError> {
    check_name(text)?;
    match has_dot_segment(text) {
        true => Err(NameError::DotSegment),
        false => Ok(()),
    }
}

fn check_name(text: &str) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        1..=MAX_NAME_BYTES if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(()),
        1..=MAX_NAME_BYTES if text.chars().any(char::is_control) => Err(NameError::Control),
        1..=MAX_NAME_BYTES => Ok(()),
        _ => Err(NameError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_path_name_is_a_step() {
        for bad in [".", "..", "a/..", "../a", "a/./b", "/..", "../../B/lock/x"] {
            assert_eq!(PoolName::parse(bad), Err(NameError::DotSegment), "{bad}");
            assert_eq!(ResourceId::parse(bad), Err(NameError::DotSegment), "{bad}");
            assert!(ResourceId::parse_stored(bad).is_ok(), "{bad}");
            assert!(OwnerName::parse(bad).is_ok(), "{bad}");
        }
        for good in [
            "...", ".a", "a.", "a..b", "a/.../b", "10.0.0.1", "..%2F", "a\\..\\b",
        ] {
            assert!(PoolName::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn names_are_checked_where_they_enter() {
        assert!(PoolName::parse("A").is_ok());
        assert!(PoolName::parse("with space / \"quote\" and \u{e9}").is_ok());
        assert!(ResourceId::parse("x".repeat(128)).is_ok());
        assert_eq!(ResourceId::parse("x".repeat(129)), Err(NameError::TooLong));
        assert_eq!(PoolName::parse(""), Err(NameError::Empty));
        for control in ["a\nb", "a\tb", "\u{0}", "\u{7f}", "\u{85}"] {
            assert_eq!(
                PoolName::parse(control),
                Err(NameError::Control),
                "{control:?}"
            );
        }
    }
}
