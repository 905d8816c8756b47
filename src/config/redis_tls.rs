//! The parameters of a `rediss://` URL, and the files that they name.

use std::path::PathBuf;

use super::redis_url::decode;
use super::tls::File;
use crate::client::system_roots;
use crate::store::RedisTls;
use crate::tls::{self, ClientSettings, Roots, SettingsError};

/// The trusted authorities, and the certificate of the client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// Certificates of authorities; `None` means those that the system trusts.
    ca: Option<PathBuf>,
    /// A certificate and its key; `None` means that the client shows none.
    identity: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// Parses `ca=FILE&cert=FILE&key=FILE`.
    pub(super) fn parse(query: &str) -> Result<TlsFiles, &'static str> {
        let (mut ca, mut cert, mut key) = (None, None, None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (place, path) = match parameter.split_once('=') {
                Some((_, "")) => return Err("a parameter names no file"),
                Some(("ca", path)) => (&mut ca, path),
                Some(("cert", path)) => (&mut cert, path),
                Some(("key", path)) => (&mut key, path),
                _ => {
                    return Err(
                        "the parameters are ca=FILE, cert=FILE and key=FILE; in these & is written %26",
                    );
                }
            };
            if place.replace(PathBuf::from(decode(path)?)).is_some() {
                return Err("a parameter is given twice");
            }
        }
        let identity = match (cert, key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert, key)),
            _ => return Err("cert=FILE and key=FILE need each other"),
        };
        Ok(TlsFiles { ca, identity })
    }

    /// Reads the files. An error is one line that names the parameter and the file.
    pub(super) fn read(self, host: &str) -> Result<RedisTls, String> {
        if !tls::IS_BUILT {
            return Err(SettingsError::NotBuilt.to_string());
        }
        let ca = self.ca.as_ref().map(|path| File::read("ca", path));
        let ca = ca.transpose()?;
        let roots = match &ca {
            Some(file) => Roots::File(file.pem()),
            None => Roots::System(system_roots("?ca=FILE")?),
        };
        let identity = match &self.identity {
            None => None,
            Some((cert, key)) => Some((File::read("cert", cert)?, File::read_private("key", key)?)),
        };
        let identity = identity.as_ref().map(|(cert, key)| (cert.pem(), key.pem()));
        let settings = ClientSettings::new(host, roots, identity);
        Ok(RedisTls {
            settings: settings.map_err(|error| error.to_string())?,
            files: self.named(),
        })
    }

    fn named(self) -> Vec<(&'static str, PathBuf)> {
        let mut files: Vec<(&'static str, PathBuf)> = Vec::new();
        files.extend(self.ca.map(|ca| ("ca", ca)));
        if let Some((cert, key)) = self.identity {
            files.extend([("cert", cert), ("key", key)]);
        }
        files
    }
}
