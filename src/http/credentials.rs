//! The credentials of a request: passed on, not checked here.

use std::fmt;

/// The credentials of a request, as received.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// None.
    #[default]
    None,
    /// The value of its Authorization field.
    Field(&'a [u8]),
    /// The secret at the start of a one-line request.
    Word(&'a [u8]),
    /// More than one Authorization field: two readers could use different ones.
    Several,
}

impl Credentials<'_> {
    /// Returns whether there is a key, valid or not. An unset variable in a script leaves `Bearer`
    /// alone, or `key=`.
    pub fn include_key(&self) -> bool {
        match self {
            Credentials::None => false,
            Credentials::Word(secret) => !secret.is_empty(),
            Credentials::Several => true,
            Credentials::Field(value) => {
                let is_scheme = |name: &[u8]| value.trim_ascii().eq_ignore_ascii_case(name);
                !(is_scheme(b"") || is_scheme(b"Bearer") || is_scheme(b"Basic"))
            }
        }
    }
}

impl fmt::Debug for Credentials<'_> {
    /// Omits the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Field(_) => "Field(***)",
            Credentials::Word(_) => "Word(***)",
            Credentials::Several => "Several",
        })
    }
}
