//! Certificates that are made on demand, servers that show them, and a client that speaks TLS and
//! can break it as a test needs.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

use super::launch::{latchd_in, listening_on};
use super::{PATIENCE, Process, StoreKind};

/// The names that a server of a test has.
pub const NAMES: &str = "DNS:localhost,IP:127.0.0.1";

/// An authority of a test's own, and the certificates that it has signed.
pub struct Authority {
    folder: TempDir,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        let folder = TempDir::new().expect("a folder");
        let authority = Authority { folder };
        let (ca, key) = (authority.ca(), authority.folder.path().join("ca-key.pem"));
        let mut openssl = openssl_req(&key, &ca, "ec");
        openssl.args(["-subj", "/CN=the authority of a test"]);
        openssl.args(["-addext", "keyUsage=critical,keyCertSign"]);
        succeeds(openssl.args(["-addext", "basicConstraints=critical,CA:TRUE"]));
        authority
    }

    /// The certificate of the authority, for clients that trust it.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Signs a certificate for these names, as `subjectAltName` has them.
    pub fn sign(&self, file: &str, names: &str) -> Identity {
        self.sign_key(file, names, "ec")
    }

    /// The same, but it was over before it began.
    pub fn sign_expired(&self, file: &str, names: &str) -> Identity {
        let identity = self.sign(file, names);
        let request = self.folder.path().join(format!("{file}.csr"));
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-x509toreq", "-copy_extensions", "copyall"]);
        openssl.arg("-in").arg(&identity.cert);
        openssl.arg("-signkey").arg(&identity.key);
        succeeds(openssl.arg("-out").arg(&request));
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-req", "-days", "-1", "-copy_extensions", "copyall"]);
        openssl.arg("-in").arg(&request).arg("-CA").arg(self.ca());
        openssl
            .arg("-CAkey")
            .arg(self.folder.path().join("ca-key.pem"));
        succeeds(openssl.arg("-out").arg(&identity.cert));
        identity
    }

    /// A certificate that is signed by itself; `kind` is the text of `basicConstraints`.
    pub fn sign_itself(&self, file: &str, names: &str, kind: &str) -> Identity {
        let identity = self.paths(file);
        let mut openssl = openssl_req(&identity.key, &identity.cert, "ec");
        openssl.args(["-subj", &format!("/CN={file}")]);
        openssl.args(["-addext", &format!("subjectAltName={names}")]);
        succeeds(openssl.args(["-addext", &format!("basicConstraints=critical,{kind}")]));
        identity
    }

    /// The same with a key of this kind: `ec` or `rsa`.
    pub fn sign_key(&self, file: &str, names: &str, kind: &str) -> Identity {
        let identity = self.paths(file);
        let mut openssl = openssl_req(&identity.key, &identity.cert, kind);
        openssl.arg("-CA").arg(self.ca());
        openssl
            .arg("-CAkey")
            .arg(self.folder.path().join("ca-key.pem"));
        openssl.args(["-subj", &format!("/CN={file}")]);
        openssl.args(["-addext", &format!("subjectAltName={names}")]);
        succeeds(openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]));
        identity
    }

    fn paths(&self, file: &str) -> Identity {
        let path = |suffix: &str| self.folder.path().join(format!("{file}{suffix}"));
        Identity {
            cert: path(".pem"),
            key: path("-key.pem"),
        }
    }
}

fn openssl_req(key: &Path, cert: &Path, kind: &str) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey"]);
    match kind {
        "rsa" => openssl.arg("rsa:2048"),
        _ => openssl.args(["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    };
    openssl.arg("-keyout").arg(key).arg("-out").arg(cert);
    openssl
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = command.output().expect("openssl, tests/run installs it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}

/// A latchd with a listener without TLS and one with it.
pub struct Secured {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub process: Process,
    pub folder: TempDir,
    pub authority: Authority,
    pub identity: Identity,
}

impl Secured {
    /// Starts with a certificate that an authority has made so.
    pub fn start_signed(sign: impl FnOnce(&Authority) -> Identity) -> Secured {
        let authority = Authority::new();
        let identity = sign(&authority);
        Secured::start_as(authority, identity, StoreKind::Memory, &[])
    }

    pub fn start() -> Secured {
        Secured::start_with(StoreKind::Memory, &[])
    }

    /// Starts with further arguments, on a store that is in this process or its folder.
    pub fn start_with(store: StoreKind, arguments: &[&str]) -> Secured {
        let authority = Authority::new();
        let identity = authority.sign("server", NAMES);
        Secured::start_as(authority, identity, store, arguments)
    }

    pub fn start_as(
        authority: Authority,
        identity: Identity,
        store: StoreKind,
        arguments: &[&str],
    ) -> Secured {
        let folder = TempDir::new().expect("a folder");
        let store = match store {
            StoreKind::Memory => "memory:",
            StoreKind::File => "file:latchd.redb",
            StoreKind::Redis => panic!("a Redis of its own has to be named"),
        };
        let mut latchd = latchd_in(&folder, &["--listen", "127.0.0.1:0", "--store", store]);
        latchd
            .args(["--tls-listen", "127.0.0.1:0", "--log-level", "debug"])
            .args(arguments)
            .arg("--tls-cert")
            .arg(&identity.cert)
            .arg("--tls-key")
            .arg(&identity.key);
        let mut process = Process::spawn(latchd);
        let line = process.wait_for_line("listening on ");
        let addresses = listening_on(&line);
        Secured {
            plain: addresses[0].0,
            tls: addresses[1].0,
            process,
            folder,
            authority,
            identity,
        }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.tls.port())
    }

    /// A client that trusts the authority, after its handshake.
    #[track_caller]
    pub fn connect(&self) -> TlsClient {
        TlsClient::connect(self.tls, &self.trust(rustls::ALL_VERSIONS))
    }

    /// The configuration of a client that trusts this server's authority.
    pub fn trust(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        trust(&self.authority.ca(), versions)
    }
}

/// The configuration of a client that trusts an authority.
pub fn trust(ca: &Path, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(ca).expect("a certificate");
    roots.add(ca).expect("a good certificate");
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions that there are");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A socket with TLS on it. A read gives `UnexpectedEof` if the peer ended without an alert, and 0
/// if with one.
pub struct TlsStream {
    pub connection: ClientConnection,
    pub socket: TcpStream,
}

impl TlsStream {
    /// After the handshake.
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<TlsStream> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let mut stream = TlsStream { connection, socket };
        while stream.connection.is_handshaking() {
            stream.push()?;
            if stream.connection.is_handshaking() {
                stream.pull()?;
            }
        }
        stream.push()?;
        Ok(stream)
    }

    /// Says that nothing more comes, and nothing of it to TCP.
    pub fn close_notify(&mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        self.push()
    }

    fn push(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    fn pull(&mut self) -> io::Result<()> {
        let count = self.connection.read_tls(&mut self.socket)?;
        let result = self.connection.process_new_packets();
        // What there is to say about it.
        let _ = self.push();
        result.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        match count == 0 && self.connection.is_handshaking() {
            true => Err(ErrorKind::UnexpectedEof.into()),
            false => Ok(()),
        }
    }
}

impl Read for TlsStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.pull()?,
                result => return result,
            }
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.connection.writer().write(bytes)?;
        self.push()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

/// One connection with TLS.
pub struct TlsClient {
    pub stream: TlsStream,
}

impl TlsClient {
    #[track_caller]
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> TlsClient {
        let stream = TlsStream::connect(address, config).expect("a handshake");
        TlsClient { stream }
    }

    /// Sends bytes, in one record if they fit.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the server takes the bytes");
    }

    /// Reads as many bytes as are expected, and compares them.
    #[track_caller]
    pub fn expect(&mut self, expected: &str) {
        let mut received = vec![0; expected.len()];
        let result = self.stream.read_exact(&mut received);
        let received = received.escape_ascii().to_string();
        result.unwrap_or_else(|error| panic!("{error} after {received}"));
        assert_eq!(received, expected.as_bytes().escape_ascii().to_string());
    }

    /// Sends a one-line request and returns its answer without the line end.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.read_line()
    }

    #[track_caller]
    pub fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            self.stream.read_exact(&mut byte).expect("a whole line");
            if byte[0] == b'\n' {
                return String::from_utf8(line).expect("UTF-8");
            }
            line.push(byte[0]);
        }
    }

    /// Says with TLS that nothing more comes.
    #[track_caller]
    pub fn close_notify(&mut self) {
        self.stream.close_notify().expect("it is taken");
    }

    /// Closes the sending side of TCP, and says nothing of it.
    pub fn half_close(&mut self) {
        let result = self.stream.socket.shutdown(Shutdown::Write);
        result.expect("the sending side closes");
    }

    /// Checks that the server has sent the alert that ends TLS, and nothing else.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let result = self.stream.read_to_end(&mut rest);
        result.expect("the server says close_notify before it closes");
        assert_eq!(rest.escape_ascii().to_string(), "");
        // And TCP ends as well, without a reset.
        let count = self.stream.socket.read(&mut [0; 16]);
        assert_eq!(count.expect("no reset"), 0);
    }
}
