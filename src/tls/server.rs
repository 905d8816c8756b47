//! How to meet clients: the certificate, and what is offered.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::{
    ProducesTickets, ServerSessionMemoryCache, StoresServerSessions, UnbufferedServerConnection,
};
use rustls::{Error, ServerConfig};

use super::channel::Channel;
use super::{Pem, SettingsError};

/// How many sessions are remembered for clients that know no tickets, as BearSSL: some 300 bytes each.
const REMEMBERED_SESSIONS: usize = 4096;

/// A device that connects anew uses one. Each is a record that it has to read.
const TICKETS: usize = 1;

/// What a record counts besides what it carries, for rustls.
const RECORD_HEADER_BYTES: usize = 5;

/// How to meet clients.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    config: Arc<ServerConfig>,
    /// The certificates that clients are shown, the own one first.
    certificates: Arc<[CertificateDer<'static>]>,
    record_bytes: u16,
}

/// What a client takes up a session with that it had before: a handshake without a signature, which is
/// the costly part for a small device.
struct Resumption {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    /// No client has a session yet.
    fn new(key: &Pem<'_>) -> Result<Resumption, SettingsError> {
        let tickets = ring::Ticketer::new()
            .map_err(|error| key.wrong(format!("the system gives no randomness: {error}")))?;
        let sessions = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
        Ok(Resumption { tickets, sessions })
    }
}

impl ServerSettings {
    /// Reads a certificate, with those of its issuers behind it, and its key. Records carry
    /// `record_bytes` at most.
    pub fn new(
        certificate: Pem<'_>,
        key: Pem<'_>,
        record_bytes: u16,
    ) -> Result<ServerSettings, SettingsError> {
        let resumption = Resumption::new(&key)?;
        ServerSettings::build(certificate, key, record_bytes, resumption)
    }

    /// The same with the certificate and key of now. If the certificate is another one, sessions from before
    /// are forgotten: they rest on a key that may have been replaced since it was stolen.
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
        // Both are spoken. Who offers only others, such as h2, is refused.
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        config.max_fragment_size = Some(usize::from(record_bytes) + RECORD_HEADER_BYTES);
        let settings = ServerSettings {
            config: Arc::new(config),
            certificates: certificates.into(),
            record_bytes,
        };
        // Whatever could be wrong with it is found here, and not with the first client.
        match settings.connection() {
            Ok(_) => Ok(settings),
            Err(error) => Err(certificate.wrong(error.to_string())),
        }
    }

    /// The server's end of a new connection.
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
