//! What is set about TLS: flags, and the files that they name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use clap::Args;
use serde::Deserialize;

use super::{ConfigError, resolve};
use crate::tls::{self, MAX_RECORD_BYTES, Pem, ServerSettings, SettingsError};

/// What a small client may have room for, and what TLS allows.
const RECORD_BYTES: std::ops::RangeInclusive<i64> = 512..=MAX_RECORD_BYTES as i64;

/// Settings about TLS from one source, the section `tls` of a configuration file. What is `None` is left
/// to the next one.
#[derive(Args, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(super) struct TlsLayer {
    /// Listen here with TLS; may be repeated. Without --listen there is nothing without TLS
    #[arg(
        long = "tls-listen",
        id = "tls_listen",
        value_name = "ADDRESS:PORT",
        env = "LATCHD_TLS_LISTEN",
        hide_env = true,
        value_delimiter = ',',
        help_heading = "TLS"
    )]
    pub(super) listen: Option<Vec<String>>,

    /// The certificate in PEM, with those of its issuers behind it; read again on SIGHUP
    #[arg(
        long = "tls-cert",
        id = "tls_cert",
        value_name = "FILE",
        env = "LATCHD_TLS_CERT",
        hide_env = true,
        help_heading = "TLS"
    )]
    pub(super) cert: Option<PathBuf>,

    /// The key of the certificate in PEM; read again on SIGHUP
    #[arg(
        long = "tls-key",
        id = "tls_key",
        value_name = "FILE",
        env = "LATCHD_TLS_KEY",
        hide_env = true,
        help_heading = "TLS"
    )]
    pub(super) key: Option<PathBuf>,

    /// The most that a record carries, for clients with small buffers [default: 16384]
    #[arg(long = "tls-record-size", id = "tls_record_size", value_name = "BYTES", env = "LATCHD_TLS_RECORD_SIZE", hide_env = true, value_parser = clap::value_parser!(u16).range(RECORD_BYTES), help_heading = "TLS")]
    pub(super) record_size: Option<u16>,
}

impl TlsLayer {
    /// This layer where it says something, and `lower` where it does not.
    pub(super) fn over(self, lower: TlsLayer) -> TlsLayer {
        TlsLayer {
            listen: self.listen.or(lower.listen),
            cert: self.cert.or(lower.cert),
            key: self.key.or(lower.key),
            record_size: self.record_size.or(lower.record_size),
        }
    }
}

/// Whether records may be of this size.
pub(super) fn is_record_size(bytes: u16) -> bool {
    RECORD_BYTES.contains(&i64::from(bytes))
}

/// Where to listen with TLS, and as whom.
#[derive(Debug)]
pub struct Tls {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// How clients are met.
    pub settings: ServerSettings,
    cert: PathBuf,
    key: PathBuf,
    record_bytes: u16,
}

impl Tls {
    /// `None` if there is to be no TLS. Half of what it needs is an error: nobody is to believe that
    /// there is TLS where there is none.
    pub(super) fn from_layer(layer: TlsLayer) -> Result<Option<Tls>, ConfigError> {
        let given = [
            ("--tls-listen", layer.listen.is_some()),
            ("--tls-cert", layer.cert.is_some()),
            ("--tls-key", layer.key.is_some()),
            ("--tls-record-size", layer.record_size.is_some()),
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
        let listen = layer.listen.ok_or_else(|| missing("--tls-listen"))?;
        let cert = layer.cert.ok_or_else(|| missing("--tls-cert"))?;
        let key = layer.key.ok_or_else(|| missing("--tls-key"))?;
        let record_bytes = layer.record_size.unwrap_or(MAX_RECORD_BYTES);
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

    /// Reads certificate and key again. If that does not go well, all stays as it was.
    pub fn read_again(&mut self) -> Result<(), String> {
        let settings = &self.settings;
        self.settings = with_files(&self.cert, &self.key, |cert, key| {
            settings.renewed(cert, key)
        })?;
        Ok(())
    }
}

impl fmt::Display for Tls {
    /// The lines that `--check` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listen: Vec<String> = self.listen.iter().map(SocketAddr::to_string).collect();
        writeln!(f, "tls-listen       {}", listen.join(", "))?;
        writeln!(f, "tls-cert         {}", self.cert.display())?;
        writeln!(f, "tls-key          {}", self.key.display())?;
        writeln!(f, "tls-record-size  {} bytes", self.record_bytes)
    }
}

/// What two files come to. What is wrong is one line that names the flag and the file.
fn with_files(
    cert: &Path,
    key: &Path,
    settings: impl FnOnce(Pem<'_>, Pem<'_>) -> Result<ServerSettings, SettingsError>,
) -> Result<ServerSettings, String> {
    let cert = File::read("--tls-cert", cert)?;
    let key = File::read("--tls-key", key)?;
    settings(cert.pem(), key.pem()).map_err(|error| error.to_string())
}

/// A file that has been read, and what it is called in errors.
pub(super) struct File {
    name: String,
    text: Vec<u8>,
}

impl File {
    pub(super) fn read(name: &str, path: &Path) -> Result<File, String> {
        let name = format!("{name} {}", path.display());
        match fs::read(path) {
            Ok(text) => Ok(File { name, text }),
            Err(error) => Err(format!("{name}: {error}")),
        }
    }

    pub(super) fn pem(&self) -> Pem<'_> {
        Pem {
            name: &self.name,
            text: &self.text,
        }
    }
}
