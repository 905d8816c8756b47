//! The client's end: the trusted authorities, and the name that the server must have.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, Error, RootCertStore};

use super::channel::Channel;
use super::{Pem, Roots, SettingsError};

/// The settings of the client's end.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl ClientSettings {
    /// Reads the trusted authorities, and a certificate and key for a server that requires them.
    /// `host` is the name or address that the certificate of the server must have.
    pub fn new(
        host: &str,
        roots: Roots<'_>,
        identity: Option<(Pem<'_>, Pem<'_>)>,
    ) -> Result<ClientSettings, SettingsError> {
        let wrong = |problem: String| SettingsError::Wrong(host.to_owned(), problem);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| wrong("no certificate can have this name".into()))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(read_roots(roots)?);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificate.certificates()?, key.key()?)
                .map_err(|error| key.is_of_no_use_to(&certificate, &error))?,
        };
        let settings = ClientSettings {
            config: Arc::new(config),
            name,
        };
        // Any error is found here, and not with the first connection.
        match settings.connection() {
            Ok(_) => Ok(settings),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// Returns the client's end of a new connection.
    pub fn connect(&self) -> Channel {
        let connection = self.connection();
        Channel::client(connection.expect("tried when the settings were made"))
    }

    fn connection(&self) -> Result<UnbufferedClientConnection, Error> {
        UnbufferedClientConnection::new(self.config.clone(), self.name.clone())
    }
}

impl PartialEq for ClientSettings {
    /// Compares by identity, not by content.
    fn eq(&self, other: &ClientSettings) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for ClientSettings {}

fn read_roots(roots: Roots<'_>) -> Result<RootCertStore, SettingsError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::File(pem) => {
            for certificate in pem.certificates()? {
                store
                    .add(certificate)
                    .map_err(|error| pem.wrong(format!("a certificate is broken: {error}")))?;
            }
        }
        Roots::System(certificates) => {
            // Systems trust a few certificates that are too old to be parsed.
            let certificates = certificates.into_iter().map(CertificateDer::from);
            store.add_parsable_certificates(certificates);
        }
    }
    Ok(store)
}
