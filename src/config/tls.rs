//! The settings of TLS, and the files that they name.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::private::{read_private, read_regular};
use super::{ConfigError, resolve};
use crate::tls::{self, MAX_RECORD_BYTES, Pem, ServerSettings, SettingsError};

/// The range from what a small client can hold to what TLS allows, in bytes.
pub(super) const RECORD_BYTES: RangeInclusive<u32> = 512..=MAX_RECORD_BYTES as u32;

/// The settings of TLS. `None` means that no source sets it.
#[derive(Debug, Default)]
pub(super) struct TlsDraft {
    pub(super) listen: Option<Vec<String>>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) record_bytes: Option<u16>,
}

/// The listeners with TLS, and their certificate.
#[derive(Debug)]
pub struct Tls {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// The settings of the server's end of a connection.
    pub settings: ServerSettings,
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
    pub(super) record_bytes: u16,
}

impl Tls {
    /// Checks the settings; returns `None` without any. An incomplete set is an error, so that no
    /// operator believes in TLS that is missing.
    pub(super) fn from_draft(draft: TlsDraft) -> Result<Option<Tls>, ConfigError> {
        let given = [
            ("--tls-listen", draft.listen.is_some()),
            ("--tls-cert", draft.cert.is_some()),
            ("--tls-key", draft.key.is_some()),
            ("--tls-record-size", draft.record_bytes.is_some()),
        ];
        let Some((flag, _)) = given.iter().find(|(_, is_given)| *is_given) else {
            return Ok(None);
        };
        if !tls::IS_BUILT {
            let problem = format!("{flag}: {}", SettingsError::NotBuilt);
            return Err(ConfigError::Invalid(problem));
        }
        let missing =
            |missing: &str| ConfigError::Invalid(format!("{missing} is missing: {flag} needs it"));
        let listen = draft.listen.ok_or_else(|| missing("--tls-listen"))?;
        let cert = draft.cert.ok_or_else(|| missing("--tls-cert"))?;
        let key = draft.key.ok_or_else(|| missing("--tls-key"))?;
        let record_bytes = draft.record_bytes.unwrap_or(MAX_RECORD_BYTES);
        let settings = with_files(&cert, &key, |cert, key| {
            ServerSettings::new(cert, key, record_bytes)
        });
        Ok(Some(Tls {
            listen: resolve("--tls-listen", &listen)?,
            settings: settings.map_err(ConfigError::Invalid)?,
            cert,
            key,
            record_bytes,
        }))
    }

    /// Reads certificate and key again. After an error, the previous ones stay.
    pub fn reload(&mut self) -> Result<(), String> {
        let settings = &self.settings;
        self.settings = with_files(&self.cert, &self.key, |cert, key| {
            settings.renewed(cert, key)
        })?;
        Ok(())
    }
}

/// Builds settings from two files. An error is one line that names the flag and the file.
fn with_files(
    cert: &Path,
    key: &Path,
    settings: impl FnOnce(Pem<'_>, Pem<'_>) -> Result<ServerSettings, SettingsError>,
) -> Result<ServerSettings, String> {
    let cert = File::read("--tls-cert", cert)?;
    let key = File::read_private("--tls-key", key)?;
    settings(cert.pem(), key.pem()).map_err(|error| error.to_string())
}

/// The content of a file, and its name in errors.
pub(super) struct File {
    name: String,
    text: Zeroizing<Vec<u8>>,
}

impl File {
    pub(super) fn read(name: &str, path: &Path) -> Result<File, String> {
        File::of(name, path, read_regular(path))
    }

    /// Reads a file with a secret, which must be private.
    pub(super) fn read_private(name: &str, path: &Path) -> Result<File, String> {
        File::of(name, path, read_private(path))
    }

    fn of(
        name: &str,
        path: &Path,
        text: Result<Zeroizing<Vec<u8>>, String>,
    ) -> Result<File, String> {
        let name = format!("{name} {}", path.display());
        match text {
            Ok(text) => Ok(File { name, text }),
            Err(why) => Err(format!("{name}: {why}")),
        }
    }

    pub(super) fn pem(&self) -> Pem<'_> {
        Pem {
            name: &self.name,
            text: &self.text,
        }
    }
}
