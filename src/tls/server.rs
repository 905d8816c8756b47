//! The server's end: the certificate, and the offers to clients.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::{
    ProducesTickets, ServerSessionMemoryCache, StoresServerSessions, UnbufferedServerConnection,
};
use rustls::{Error, ServerConfig};

use super::channel::Channel;
use super::{Pem, SettingsError};

/// The number of sessions kept for clients without tickets, such as BearSSL: some 300 bytes each.
const REMEMBERED_SESSIONS: usize = 4096;

/// The tickets sent to a client; one is enough for its next connection. Each is a record that a device has
/// to read.
const TICKETS: usize = 1;

/// The bytes that rustls counts for a record besides its plaintext.
const RECORD_HEADER_BYTES: usize = 5;

/// The settings of the server's end.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    config: Arc<ServerConfig>,
    /// The certificates that clients are shown, the server's own first.
    certificates: Arc<[CertificateDer<'static>]>,
    record_bytes: u16,
}

/// The state by which a client resumes an earlier session: a handshake without a signature, the costly part
/// for a small device.
struct Resumption {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    /// Starts without sessions.
    fn new(key: &Pem<'_>) -> Result<Resumption, SettingsError> {
        let tickets = ring::Ticketer::new()
            .map_err(|error| key.wrong(format!("the system gives no randomness: {error}")))?;
        let sessions = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
        Ok(Resumption { tickets, sessions })
    }
}

impl ServerSettings {
    /// Reads a certificate, with those of its issuers behind it, and its key. Records carry at most
    /// `record_bytes`.
    pub fn new(
        certificate: Pem<'_>,
        key: Pem<'_>,
        record_bytes: u16,
    ) -> Result<ServerSettings, SettingsError> {
        let resumption = Resumption::new(&key)?;
        ServerSettings::build(certificate, key, record_bytes, resumption)
    }

    /// Returns these settings with a new certificate and key. If the certificate differs, earlier sessions
    /// are forgotten: they rest on a key that may have been replaced because it was stolen.
    pub fn renewed(
        &self,
        certificate: Pem<'_>,
        key: Pem<'_>,
    ) -> Result<ServerSettings, SettingsError> {
        let resumption = match certificate.certificates()?[..] == self.certificates[..] {
            true => Resumption {
                tickets: self.config.ticketer.clone(),
                sessions: self.config.session_storage.clone(),
            },
            false => Resumption::new(&key)?,
        };
        ServerSettings::build(certificate, key, self.record_bytes, resumption)
    }

    fn build(
        certificate: Pem<'_>,
        key: Pem<'_>,
        record_bytes: u16,
        resumption: Resumption,
    ) -> Result<ServerSettings, SettingsError> {
        let provider = Arc::new(ring::default_provider());
        let certificates = certificate.certificates()?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| certificate.wrong(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(certificates.clone(), key.key()?)
            .map_err(|error| key.is_of_no_use_to(&certificate, &error))?;
        config.ticketer = resumption.tickets;
        config.session_storage = resumption.sessions;
        config.send_tls13_tickets = TICKETS;
        // Both are supported. A client that offers only others, such as h2, is refused.
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        config.max_fragment_size = Some(usize::from(record_bytes) + RECORD_HEADER_BYTES);
        let settings = ServerSettings {
            config: Arc::new(config),
            certificates: certificates.into(),
            record_bytes,
        };
        // Any error is found here, and not with the first client.
        match settings.connection() {
            Ok(_) => Ok(settings),
            Err(error) => Err(certificate.wrong(error.to_string())),
        }
    }

    /// Returns the server's end of a new connection.
    pub fn accept(&self) -> Channel {
        let connection = self
            .connection()
            .expect("tried when the settings were made");
        Channel::server(connection, self.record_bytes)
    }

    fn connection(&self) -> Result<UnbufferedServerConnection, Error> {
        UnbufferedServerConnection::new(self.config.clone())
    }
}
