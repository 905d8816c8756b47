//! Transport Layer Security, pure: bytes from a socket go in, plaintext comes out, and back.
//!
//! A `Channel` is one end of one connection: the server's end at a listener with TLS, or the client's
//! end at a Redis or another latchd. rustls is the protocol, and ring its cryptography: ring needs no
//! more than a C compiler to build and is small, where rustls' default, aws-lc, needs cmake and is
//! several times its size.
//!
//! It knows no sockets and opens no files. rustls itself asks the system for randomness, and for the
//! date, by which certificates and tickets expire.
//!
//! A build without the feature `tls` has the same types without values: constructors return an error
//! that names the feature.

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

/// True if this build has TLS.
pub const IS_BUILT: bool = cfg!(feature = "tls");

/// The error of a build without TLS.
pub const NOT_BUILT: &str =
    "this build has no TLS; cargo build --release --features tls makes one that has";

/// The largest record that TLS allows, in bytes of plaintext.
pub const MAX_RECORD_BYTES: u16 = 16 << 10;

/// The result of processing input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All complete input was passed on; more may come.
    More,
    /// The peer has sent its last data (close_notify). Returned once.
    End,
}

/// The reason why a channel has ended. Its last output is the alert, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A certificate or a key in PEM.
#[derive(Clone, Copy, Debug)]
pub struct Pem<'a> {
    /// The name in errors: a flag or a parameter, and the file.
    pub name: &'a str,
    /// The content of the file.
    pub text: &'a [u8],
}

/// The authorities that may sign the certificate of a server.
#[derive(Clone, Debug)]
pub enum Roots<'a> {
    /// The authorities in a file.
    File(Pem<'a>),
    /// The authorities that the system trusts, each in DER.
    System(Vec<Vec<u8>>),
}

/// The reason why there are no settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// This build has no TLS.
    NotBuilt,
    /// A file is wrong: its name, and the error.
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
