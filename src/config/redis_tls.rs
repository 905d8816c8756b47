//! The parameters of a `rediss://` URL, and the files that they name.

use std::path::PathBuf;

use super::tls::File;
use crate::client::system_roots;
use crate::store::RedisTls;
use crate::tls::{self, ClientSettings, Roots, SettingsError};

/// The trusted authorities, and the certificate of the client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// Certificates of authorities; `None` means those that the system trusts.
    pub(super) ca: Option<PathBuf>,
    /// A certificate and its key; `None` means that the client shows none.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
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
