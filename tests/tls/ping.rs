//! `latchd --ping https://…`: the exit codes and lines of tests/ping.rs, and those that only TLS has.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::launch::{free_port, latchd_in};
use crate::support::run_command;
use crate::support::tls::{Authority, NAMES, Secured};

/// Returns the exit code and the message, with these variables.
fn ping_with(arguments: &[&str], variables: &[(&str, &Path)]) -> (Option<i32>, String) {
    let folder = TempDir::new().expect("a folder");
    let mut command = latchd_in(&folder, arguments);
    command.env_remove("SSL_CERT_DIR");
    // Without it there are those of the machine, which are not the test's.
    command.env("SSL_CERT_FILE", "none.pem");
    command.envs(variables.iter().copied());
    let ended = run_command(command);
    assert_eq!(ended.stdout, "", "all that is said is what is wrong");
    (ended.code, ended.stderr)
}

/// The same, where this file is trusted.
fn ping(url: &str, trusted: &Path) -> (Option<i32>, String) {
    let trusted = trusted.to_str().expect("a path in UTF-8");
    ping_with(&["--ping", url, "--ping-ca", trusted], &[])
}

const WELL: (Option<i32>, String) = (Some(0), String::new());

#[test]
fn a_server_that_lives_is_well() {
    let server = Secured::start();
    let port = server.tls.port();
    for url in [
        server.url(),
        server.url() + "/ready",
        format!("https://127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}/ping"),
    ] {
        assert_eq!(ping(&url, &server.authority.ca()), WELL, "{url}");
        let system = [("SSL_CERT_FILE", &*server.authority.ca())];
        assert_eq!(ping_with(&["--ping", &url], &system), WELL, "{url}");
    }
}

/// As in a container: the check has the environment of its server, and no flags but `--ping`.
#[test]
fn the_certificate_of_the_server_is_trusted_where_nothing_else_is_named() {
    let server =
        Secured::start_signed(|authority| authority.sign_itself("server", NAMES, "CA:FALSE"));
    let url = format!("https://127.0.0.1:{}", server.tls.port());
    let cert = &*server.identity.cert;
    let environment = [
        ("LATCHD_TLS_CERT", cert),
        ("LATCHD_TLS_KEY", "none".as_ref()),
    ];
    assert_eq!(ping_with(&["--ping", &url], &environment), WELL);
    let cert_text = cert.to_str().expect("UTF-8");
    let flags = ["--ping", &url, "--tls-cert", cert_text];
    assert_eq!(ping_with(&flags, &[]), WELL);
    // The check's own setting is first, and a flag precedes the environment.
    let other = Authority::new();
    let other = &*other.ca();
    let other_text = other.to_str().expect("UTF-8");
    let nobody = format!(
        "error: {url}/ping: its certificate is signed by no authority that is trusted here\n"
    );
    let named = [
        "--ping",
        &url,
        "--ping-ca",
        other_text,
        "--tls-cert",
        cert_text,
    ];
    for (flags, variable) in [
        (&named[..], cert),
        (&["--ping", &url, "--ping-ca", other_text], cert),
        (&["--ping", &url, "--tls-cert", other_text], cert),
        (&["--ping", &url], other),
    ] {
        let told = ping_with(flags, &[("LATCHD_TLS_CERT", variable)]);
        assert_eq!(told, (Some(1), nobody.clone()), "{flags:?}");
    }
    let named = [
        "--ping",
        &url,
        "--ping-ca",
        cert_text,
        "--tls-cert",
        other_text,
    ];
    assert_eq!(ping_with(&named, &[("LATCHD_TLS_CERT", other)]), WELL);
    // The certificate of the signing authority may follow it.
    let chained = Secured::start();
    let chain = chained.folder.path().join("chain.pem");
    let read = |path: &Path| fs::read(path).expect("a certificate");
    let text = [read(&chained.identity.cert), read(&chained.authority.ca())].concat();
    fs::write(&chain, text).expect("a file");
    let variable = [("LATCHD_TLS_CERT", &*chain)];
    assert_eq!(ping_with(&["--ping", &chained.url()], &variable), WELL);
    // Without TLS the file is not read.
    let plain = format!("http://{}", server.plain);
    let variable = [("LATCHD_TLS_CERT", "none.pem".as_ref())];
    assert_eq!(ping_with(&["--ping", &plain], &variable), WELL);
}

#[test]
fn an_untrusted_server_is_not_well() {
    let stranger = Authority::new();
    for (server, ca, words) in [
        (
            Secured::start(),
            Some(stranger.ca()),
            "its certificate is signed by no authority that is trusted here",
        ),
        (
            Secured::start_signed(|authority| authority.sign("server", "DNS:other.example")),
            None,
            "its certificate has another name",
        ),
        (
            Secured::start_signed(|authority| authority.sign_expired("server", NAMES)),
            None,
            "its certificate has expired",
        ),
    ] {
        let ca = ca.unwrap_or(server.authority.ca());
        let (code, line) = ping(&server.url(), &ca);
        let expected = format!("error: {}/ping: {words}", server.url());
        assert!(line.starts_with(&expected), "no {words:?} in {line}");
        assert_eq!((code, line.lines().count()), (Some(1), 1), "{line}");
    }
}

#[test]
fn with_and_without_tls_are_told_apart() {
    let server = Secured::start();
    let (plain, tls) = (server.plain, server.tls);
    let told = ping(&format!("https://{plain}"), &server.authority.ca());
    let line = format!("error: https://{plain}/ping: it does not speak TLS; wanted http://\n");
    assert_eq!(told, (Some(1), line));
    let told = ping_with(&["--ping", &tls.to_string()], &[]);
    let line = format!("error: http://{tls}/ping: it speaks TLS; wanted https://\n");
    assert_eq!(told, (Some(1), line));
}

#[test]
fn whatever_else_does_not_answer_well_is_said() {
    let server = Secured::start();
    let ca = server.authority.ca();
    let url = server.url() + "/pool/missing";
    let line = format!("error: {url}: it answered \"HTTP/1.1 404 no pool\"\n");
    assert_eq!(ping(&url, &ca), (Some(1), line));
    let url = format!("https://127.0.0.1:{}", free_port());
    let line = format!("error: {url}/ping: Connection refused (os error 111)\n");
    assert_eq!(ping(&url, &ca), (Some(1), line));
    // A server that closes at once, and a server that says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("its address"));
    let goes = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        let _ = socket.read(&mut [0; 4096]);
        listener
    });
    let line = format!("error: {url}/ping: it closed the connection in the TLS handshake\n");
    assert_eq!(ping(&url, &ca), (Some(1), line));
    let _listener = goes.join().expect("it has gone");
    let started = Instant::now();
    let line = format!("error: {url}/ping: no answer within 2 s\n");
    assert_eq!(ping(&url, &ca), (Some(1), line));
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn what_is_set_wrong_is_a_wrong_configuration() {
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("empty.pem"), "").expect("a file");
    let (none, empty) = (path("none.pem"), path("empty.pem"));
    let (url, plain) = ("https://localhost:8443", "http://localhost:8081");
    for (arguments, words) in [
        (
            &["--ping", url, "--ping-ca", &none][..],
            format!("error: --ping {url}: --ping-ca {none}: No such file"),
        ),
        (
            &["--ping", url, "--tls-cert", &none],
            format!("error: --ping {url}: --tls-cert {none}: No such file"),
        ),
        (
            &["--ping", url, "--ping-ca", &empty],
            format!("error: --ping {url}: --ping-ca {empty}: there is no certificate in it"),
        ),
        (
            &["--ping", plain, "--ping-ca", &empty],
            format!("error: --ping-ca {empty}: there is no TLS; wanted --ping https://"),
        ),
        (
            &["--ping", url],
            format!(
                "error: --ping {url}: the system has no certificates of authorities to trust; \
                 wanted --ping-ca FILE\n"
            ),
        ),
        (
            &["--ping-ca", &empty],
            "error: the following required arguments were not provided:\n  --ping <URL>".into(),
        ),
        (
            &["--ping", "https://user:secret@h"],
            "error: --ping https://user:***@h: there are no users and no passwords".into(),
        ),
    ] {
        let (code, said) = ping_with(arguments, &[("SSL_CERT_DIR", "none".as_ref())]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with(&words), "no {words:?} in {said}");
    }
    let variable = [("LATCHD_TLS_CERT", Path::new(&none))];
    let (code, said) = ping_with(&["--ping", url], &variable);
    let words = format!("error: --ping {url}: LATCHD_TLS_CERT {none}: No such file");
    assert!(said.starts_with(&words), "{said}");
    assert_eq!(code, Some(2));
}
