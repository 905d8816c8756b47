//! What a request shows to say who asks. Here it is handed over, not understood.

use std::fmt;

/// What a request shows to say who asks, as it came.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// Nothing.
    #[default]
    None,
    /// The value of its Authorization field.
    Field(&'a [u8]),
    /// The secret that a one-line request begins with.
    Word(&'a [u8]),
    /// More than one Authorization field: two readers might take different ones.
    Several,
}

impl Credentials<'_> {
    /// Whether something stands where a key belongs, whatever it is. A variable that is not set
    /// leaves `Bearer` alone, or `key=`.
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
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Field(_) => "Field(***)",
            Credentials::Word(_) => "Word(***)",
            Credentials::Several => "Several",
        })
    }
}
