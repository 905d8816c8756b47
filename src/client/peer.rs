//! A server to connect to: its URL and, with TLS, the authorities that may vouch for it.
//!
//! The certificates of authorities are read here, those of the system too.

use std::fs;
use std::path::Path;

use super::Url;
use crate::tls::{ClientSettings, Pem, Roots};

/// A server to connect to. With `https://` it always has TLS, with `http://` never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    url: Url,
    tls: Option<ClientSettings>,
}

/// The authorities whose certificates are trusted.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The certificates of a PEM file.
    File {
        /// The option that names the file, such as `--ca`, for messages.
        name: &'a str,
        /// The path of the file.
        path: &'a Path,
    },
    /// The authorities that the system trusts.
    System {
        /// The option that a message suggests if the system has none.
        instead: &'a str,
    },
}

impl Peer {
    /// Reads the trusted certificates if the URL has TLS. An error is one line.
    pub fn new(url: Url, trust: Trust<'_>) -> Result<Peer, String> {
        let tls = match url.has_tls() {
            true => Some(read(url.host(), trust)?),
            false => None,
        };
        Ok(Peer { url, tls })
    }

    /// Returns the URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the TLS settings; `None` without TLS.
    pub(super) fn tls(&self) -> Option<&ClientSettings> {
        self.tls.as_ref()
    }
}

fn read(host: &str, trust: Trust<'_>) -> Result<ClientSettings, String> {
    let settings = match trust {
        Trust::System { instead } => {
            ClientSettings::new(host, Roots::System(system_roots(instead)?), None)
        }
        Trust::File { name, path } => {
            let name = &format!("{name} {}", path.display());
            let text = &fs::read(path).map_err(|error| format!("{name}: {error}"))?;
            ClientSettings::new(host, Roots::File(Pem { name, text }), None)
        }
    };
    settings.map_err(|error| error.to_string())
}

/// Returns the certificates of the authorities that the system trusts. If there are none, the error suggests
/// `instead`.
#[cfg(feature = "tls")]
pub fn system_roots(instead: &str) -> Result<Vec<Vec<u8>>, String> {
    let found = rustls_native_certs::load_native_certs().certs;
    match found.is_empty() {
        true => Err(format!(
            "the system has no certificates of authorities to trust; wanted {instead}"
        )),
        false => Ok(found.iter().map(|root| root.to_vec()).collect()),
    }
}

/// Fails: this build has no TLS.
#[cfg(not(feature = "tls"))]
pub fn system_roots(_: &str) -> Result<Vec<Vec<u8>>, String> {
    Err(crate::tls::NOT_BUILT.into())
}
