//! The connections of rows: plain, or with TLS.

use super::wire::Connection;
#[cfg(feature = "tls")]
use crate::support::tls::{Authority, Identity, NAMES, TlsStream, trust};
use crate::support::{Server, StoreKind};

/// Opens the connections of rows.
pub enum Dialer {
    Plain,
    /// With TLS: the authority, and the certificate.
    #[cfg(feature = "tls")]
    Tls(Authority, Identity),
}

impl Dialer {
    #[cfg(feature = "tls")]
    pub fn with_tls() -> Dialer {
        let authority = Authority::new();
        let identity = authority.sign("server", NAMES);
        Dialer::Tls(authority, identity)
    }

    /// A server that listens without TLS, and with it if that is how the row talks.
    pub fn start(&self, store: StoreKind, arguments: &[&str]) -> Server {
        match self {
            Dialer::Plain => Server::start_with(store, arguments),
            #[cfg(feature = "tls")]
            Dialer::Tls(_, identity) => {
                let [cert, key] =
                    [&identity.cert, &identity.key].map(|path| path.display().to_string());
                let tls = [
                    "--tls-listen",
                    "127.0.0.1:0",
                    "--tls-cert",
                    &cert,
                    "--tls-key",
                    &key,
                ];
                Server::start_with(store, &[arguments, &tls].concat())
            }
        }
    }

    pub fn open(&self, server: &Server) -> Connection {
        match self {
            Dialer::Plain => Connection::open(server),
            #[cfg(feature = "tls")]
            Dialer::Tls(authority, _) => {
                let config = trust(&authority.ca(), rustls::ALL_VERSIONS);
                let address = server.tls_address.expect("it listens with TLS");
                let stream = TlsStream::connect(address, &config);
                Connection::on(stream.expect("a handshake"))
            }
        }
    }
}
