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
