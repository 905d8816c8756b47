//! Certificates are renewed while the server runs: SIGHUP has them read again.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind};

use crate::support::signal;
use crate::support::tls::{Identity, NAMES, Secured, TlsClient};

/// Puts a certificate and its key in the place of others.
fn put(new: &Identity, old: &Identity) {
    fs::copy(&new.cert, &old.cert).expect("a copy");
    fs::copy(&new.key, &old.key).expect("a copy");
}

/// Tells the server to read its files again, and returns the line that it logs.
fn told_to_read_again(server: &mut Secured) -> String {
    signal(server.process.child.id(), "HUP");
    server.process.wait_for_line("the certificate was ")
}

/// The certificate that a server has shown.
fn shown(client: &TlsClient) -> Vec<u8> {
    let certificates = client.stream.connection.peer_certificates();
    certificates.expect("one was shown")[0].to_vec()
}

#[test]
fn new_connections_get_the_new_certificate_and_old_ones_go_on() {
    let mut server = Secured::start();
    let mut before = server.connect();
    assert_eq!(before.ask("GET /ping"), "200 pong");
    let new = server.authority.sign("renewed", NAMES);
    put(&new, &server.identity);
    let unchanged = server.connect();
    assert_eq!(
        shown(&unchanged),
        shown(&before),
        "no reload was asked for yet"
    );
    let line = told_to_read_again(&mut server);
    assert!(
        line.contains("INFO") && line.contains("was read again"),
        "{line}"
    );
    let mut after = server.connect();
    assert_ne!(shown(&after), shown(&before));
    assert_eq!(after.ask("GET /ping"), "200 pong");
    assert_eq!(before.ask("GET /ping"), "200 pong");
}

#[test]
fn a_bad_file_keeps_the_old_certificate_and_says_what_is_wrong() {
    let mut server = Secured::start();
    let before = shown(&server.connect());
    let other = server.authority.sign("other", NAMES);
    let (cert, key) = (server.identity.cert.clone(), server.identity.key.clone());
    let good = (
        fs::read(&cert).expect("a file"),
        fs::read(&key).expect("a file"),
    );
    let private = fs::metadata(&key).expect("a file").permissions();
    type Spoil = fn(&Identity, &Identity);
    let cases: [(Spoil, &str); 4] = [
        (
            |server, _| fs::write(&server.cert, "").expect("a file"),
            "there is no certificate in it",
        ),
        (
            |server, _| fs::remove_file(&server.key).expect("a file"),
            "No such file",
        ),
        (
            |server, other| put_key(other, server),
            "it is not the key of --tls-cert",
        ),
        (
            |server, _| fs::write(&server.key, "-----BEGIN PRIVATE KEY-----\n").expect("a file"),
            "it is not PEM",
        ),
    ];
    for (spoil, words) in cases {
        spoil(&server.identity, &other);
        let line = told_to_read_again(&mut server);
        assert!(
            line.contains("ERROR") && line.contains("the old one stays"),
            "{line}"
        );
        assert!(
            line.contains(words) && line.contains("--tls-"),
            "no {words:?} in {line}"
        );
        let mut client = server.connect();
        assert_eq!(client.ask("GET /ping"), "200 pong");
        assert_eq!(shown(&client), before);
        fs::write(&cert, &good.0).expect("a file");
        fs::write(&key, &good.1).expect("a file");
        fs::set_permissions(&key, private.clone()).expect("it is ours");
    }
    assert!(told_to_read_again(&mut server).contains("was read again"));
}

fn put_key(new: &Identity, old: &Identity) {
    fs::copy(&new.key, &old.key).expect("a copy");
}

/// Otherwise all devices would do a full handshake at once, as often as a log is rotated.
#[test]
fn sessions_outlive_a_signal_and_end_with_the_certificate() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut server = Secured::start();
        let config = server.trust(&[version]);
        assert_eq!(kind(server.tls, &config), Some(HandshakeKind::Full));
        assert_eq!(kind(server.tls, &config), Some(HandshakeKind::Resumed));
        assert!(told_to_read_again(&mut server).contains("was read again"));
        assert_eq!(kind(server.tls, &config), Some(HandshakeKind::Resumed));
        let new = server.authority.sign("renewed", NAMES);
        put(&new, &server.identity);
        assert!(told_to_read_again(&mut server).contains("was read again"));
        assert_eq!(kind(server.tls, &config), Some(HandshakeKind::Full));
    }
}

/// The kind of handshake of a new connection.
fn kind(server: SocketAddr, config: &Arc<ClientConfig>) -> Option<HandshakeKind> {
    let mut client = TlsClient::connect(server, config);
    assert_eq!(client.ask("GET /ping"), "200 pong");
    client.stream.connection.handshake_kind()
}
