//! Whom to speak with: where it is and, where it is met with TLS, whom to trust to say who it is.
//!
//! The files of authorities are read here, those of the system too.

use std::fs;
use std::path::Path;

use super::Url;
use crate::tls::{ClientSettings, Pem, Roots};

/// A server that can be connected to. With `https://` it has what TLS needs, and with `http://` it has
/// none: neither is ever taken for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    url: Url,
    tls: Option<ClientSettings>,
}

/// Whose word counts for who a server is.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// The certificates of a file in PEM; `name` is what has named it, such as `--ca`.
    File {
        /// What has named it.
        name: &'a str,
        /// The file.
        path: &'a Path,
    },
    /// The authorities that the system trusts. Where it has none, `instead` is what could be given.
    System {
        /// What could be given.
        instead: &'a str,
    },
}

impl Peer {
    /// Reads what there is to trust, if the URL is one with TLS. What is wrong is one line.
    pub fn new(url: Url, trust: Trust<'_>) -> Result<Peer, String> {
        let tls = match url.has_tls() {
            true => Some(read(url.host(), trust)?),
            false => None,
        };
        Ok(Peer { url, tls })
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How to meet it, where that is with TLS.
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

/// The certificates of those whom the system trusts. Where there are none, `instead` is what could be
/// given.
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

/// There is nothing to trust them for.
#[cfg(not(feature = "tls"))]
pub fn system_roots(_: &str) -> Result<Vec<Vec<u8>>, String> {
    Err(crate::tls::NOT_BUILT.into())
}
