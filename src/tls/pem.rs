//! Certificates and keys out of the text of a PEM file (RFC 7468).

use rustls::InconsistentKeys;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Pem, SettingsError};

impl Pem<'_> {
    /// Returns all certificates, first the one of the server or client itself.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
        let wanted = "wanted -----BEGIN CERTIFICATE-----";
        let certificates: Result<Vec<_>, Error> =
            CertificateDer::pem_slice_iter(self.text).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => {
                Err(self.wrong(format!("there is no certificate in it; {wanted}")))
            }
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(self.wrong(format!("it is not PEM ({error}); {wanted}"))),
        }
    }

    /// Returns the first private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, SettingsError> {
        let wanted = "wanted -----BEGIN PRIVATE KEY-----";
        PrivateKeyDer::from_pem_slice(self.text).map_err(|error| match error {
            _ if self.is_encrypted() => {
                self.wrong("the key in it is encrypted; wanted one that needs no passphrase")
            }
            Error::NoItemsFound => self.wrong(format!("there is no private key in it; {wanted}")),
            error => self.wrong(format!("it is not PEM ({error}); {wanted}")),
        })
    }

    /// Returns whether a key needs a passphrase, in either of its forms.
    fn is_encrypted(&self) -> bool {
        let has = |text: &[u8]| memchr::memmem::find(self.text, text).is_some();
        has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
    }

    /// Returns the error of a key that rustls does not accept for `certificate`.
    pub(super) fn is_of_no_use_to(
        &self,
        certificate: &Pem<'_>,
        error: &rustls::Error,
    ) -> SettingsError {
        match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                self.wrong(format!("it is not the key of {}", certificate.name))
            }
            rustls::Error::InvalidCertificate(error) => {
                certificate.wrong(format!("the certificate is broken: {error}"))
            }
            error => self.wrong(format!("the key is of no use: {error}")),
        }
    }

    pub(super) fn wrong(&self, problem: impl Into<String>) -> SettingsError {
        SettingsError::Wrong(self.name.to_owned(), problem.into())
    }
}
