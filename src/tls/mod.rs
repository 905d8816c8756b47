//! Transport Layer Security, pure: what a socket has received goes in, plaintext comes out, and back.
//!
//! A `Channel` is one end of one connection: a client's at a listener with TLS, or ours at a Redis
//! or another latchd.
//! rustls is the protocol, and ring its cryptography: ring needs no more than a C compiler to build
//! and is small, where rustls' default, aws-lc, wants cmake and is several times its size.
//!
//! It knows no sockets and opens no files. rustls itself asks the system for randomness, and for the
//! date, by which certificates and tickets expire.
//!
//! A build without the feature `tls` has the same types, but there are no values of them: whoever
//! asks for one is told how to get a build that has.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod channel;
#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod output;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod server;

use std::fmt;

#[cfg(not(feature = "tls"))]
pub use absent::{Channel, ClientSettings, ServerSettings};
#[cfg(feature = "tls")]
pub use channel::Channel;
#[cfg(feature = "tls")]
pub use client::ClientSettings;
#[cfg(feature = "tls")]
pub use server::ServerSettings;

/// Whether this build has TLS.
pub const IS_BUILT: bool = cfg!(feature = "tls");

/// What a build without TLS says when it is asked for it.
pub const NOT_BUILT: &str =
    "this build has no TLS; cargo build --release --features tls makes one that has";

/// The largest records that TLS knows, in bytes of what they carry.
pub const MAX_RECORD_BYTES: u16 = 16 << 10;

/// What the other side has had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All that there was to understand has been handed on; more may come.
    More,
    /// The other side has said that nothing more comes (close_notify). This is said once.
    End,
}

/// Why a channel is of no more use. What it has to say about that is its last output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A certificate or a key in PEM, and what names it in errors: a flag or a parameter, and the file.
#[derive(Clone, Copy, Debug)]
pub struct Pem<'a> {
    /// What names it.
    pub name: &'a str,
    /// The content of the file.
    pub text: &'a [u8],
}

/// Who may have signed the certificate of a server.
#[derive(Clone, Debug)]
pub enum Roots<'a> {
    /// The authorities in a file.
    File(Pem<'a>),
    /// Those that the system trusts, each in DER.
    System(Vec<Vec<u8>>),
}

/// Why there are no settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// This build has no TLS.
    NotBuilt,
    /// A file has something else in it: what names it, and what is wrong.
    Wrong(String, String),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::NotBuilt => f.write_str(NOT_BUILT),
            SettingsError::Wrong(name, problem) => write!(f, "{name}: {problem}"),
        }
    }
}
