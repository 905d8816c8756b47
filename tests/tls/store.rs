//! A store in a Redis that is spoken to with TLS: `rediss://`.

use std::path::Path;

use tempfile::TempDir;

use crate::support::launch::{free_port, latchd_in};
use crate::support::redis::{Logged, RedisServer};
use crate::support::tls::{Authority, Identity, NAMES};
use crate::support::{Client, run};

/// A redis-server with TLS on a port beside the one without.
struct Redis {
    server: RedisServer,
    authority: Authority,
    port: u16,
}

impl Redis {
    fn start() -> Redis {
        Redis::start_for(NAMES, &["--tls-auth-clients", "no"])
    }

    /// Its certificate is for these names.
    fn start_for(names: &str, options: &[&str]) -> Redis {
        let authority = Authority::new();
        let Identity { cert, key } = authority.sign("redis", names);
        let text = |path: &Path| path.display().to_string();
        let (cert, key, ca) = (text(&cert), text(&key), text(&authority.ca()));
        let port = free_port();
        let port_text = port.to_string();
        let tls = [
            "--tls-port",
            &port_text,
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
        ];
        let tls = [
            &tls[..],
            &["--tls-ca-cert-file", &ca, "--appendonly", "yes"],
            options,
        ]
        .concat();
        Redis {
            server: RedisServer::start_with(&tls),
            authority,
            port,
        }
    }

    /// Its URL with TLS, which trusts its authority.
    fn url(&self) -> String {
        let ca = self.authority.ca();
        format!("rediss://localhost:{}?ca={}", self.port, ca.display())
    }
}

fn serve_at(url: &str) -> Logged {
    let folder = TempDir::new().expect("a folder");
    Logged::start(latchd_in(
        &folder,
        &["--listen", "127.0.0.1:0", "--store", url],
    ))
}

#[track_caller]
fn expect_service(latchd: &Logged) {
    let mut client = Client::connect(latchd.address);
    assert_eq!(client.ask(r#"PUT /pool {"A":["1"]}"#), r#"200 {"A":["1"]}"#);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
    let mut waiter = Client::connect(latchd.address);
    waiter.send("POST /pool/A/lock?wait=20\n");
    crate::support::launch::eventually("it waits", || {
        (client.ask("GET /pool") == "200 1 1 1 A").then_some(())
    });
    assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
    assert_eq!(waiter.read_line(), "200 1");
    assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
}

/// Checks the log of an attempt that must fail, while the server answers that its store is down.
#[track_caller]
fn refused(url: &str, words: &str) {
    let mut latchd = serve_at(url);
    let line = latchd.wait_for(|line| line.contains("is lost"));
    assert!(
        line.contains("ERROR") && line.contains("rediss://"),
        "{line}"
    );
    assert!(line.contains(words), "no {words:?} in {line}");
    let answer = Client::connect(latchd.address).ask("GET /pool");
    assert_eq!(answer, "503 store down");
}

#[test]
fn a_redis_with_tls_serves_and_the_log_says_so() {
    let redis = Redis::start();
    let mut latchd = serve_at(&redis.url());
    expect_service(&latchd);
    let said = format!("connected to rediss://localhost:{}/0?ca=/", redis.port);
    let line = latchd.wait_for(|line| line.contains("connected to"));
    assert!(line.contains(&said), "{line}");
    let clients = redis.server.ask(&["INFO", "clients"]);
    assert!(clients.contains("connected_clients:"), "{clients}");
}

#[test]
fn what_is_larger_than_a_socket_holds_comes_through() {
    let redis = Redis::start();
    let latchd = serve_at(&redis.url());
    let mut client = Client::connect(latchd.address);
    let ids: Vec<String> = (0..20_000).map(|n| format!("resource {n}")).collect();
    let members = serde_json::json!(ids).to_string();
    let answer = client.ask(&format!("PUT /pool/A {members}"));
    assert_eq!(answer, format!("200 {members}"));
    assert_eq!(client.ask("GET /pool/A"), format!("200 {}", ids.join("\t")));
}

/// Redis is stopped until its socket and the server's are full; then all the queued bytes must be
/// sent.
#[test]
fn what_finds_no_room_in_the_socket_is_sent_when_there_is_some() {
    let redis = Redis::start();
    let folder = TempDir::new().expect("a folder");
    let url = redis.url();
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--redis-timeout",
        "20",
        "--store",
        &url,
    ];
    let mut latchd = Logged::start(latchd_in(&folder, &arguments));
    latchd.wait_for(|line| line.contains("connected to"));
    let ids: Vec<String> = (0..8000).map(|n| format!("{n:0>100}")).collect();
    let members = serde_json::json!(ids).to_string();
    redis.server.freeze();
    let mut clients: Vec<Client> = (0..24)
        .map(|place| {
            let mut client = Client::connect(latchd.address);
            client.send(format!("PUT /pool/P{place} {members}\n"));
            client
        })
        .collect();
    // All of them have been read when this one is answered.
    let mut aside = Client::connect(latchd.address);
    for _ in 0..50 {
        assert_eq!(aside.ask("GET /ping"), "200 pong");
    }
    redis.server.thaw();
    for client in &mut clients {
        client.expect(format!("200 {members}\n"));
    }
}

#[test]
fn it_connects_again_by_itself() {
    let mut redis = Redis::start();
    let mut latchd = serve_at(&redis.url());
    expect_service(&latchd);
    redis.server.kill();
    latchd.wait_for(|line| line.contains("is lost"));
    redis.server.resume();
    crate::support::launch::eventually("it serves again", || {
        let answer = Client::connect(latchd.address).ask("GET /pool");
        answer.starts_with("200").then_some(())
    });
    expect_service(&latchd);
}

#[test]
fn a_certificate_of_a_stranger_is_refused() {
    let redis = Redis::start();
    let stranger = Authority::new();
    let url = format!(
        "rediss://localhost:{}?ca={}",
        redis.port,
        stranger.ca().display()
    );
    refused(
        &url,
        "its certificate is signed by no authority that is trusted here",
    );
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let redis = Redis::start_for("DNS:other.example", &["--tls-auth-clients", "no"]);
    refused(&redis.url(), "its certificate has another name");
}

#[test]
fn a_redis_without_tls_is_refused() {
    let redis = Redis::start();
    let ca = redis.authority.ca();
    let url = format!(
        "rediss://localhost:{}?ca={}",
        redis.server.port,
        ca.display()
    );
    // Redis takes the handshake for a line, and waits for its end.
    refused(&url, "no TLS handshake in time");
}

#[test]
fn a_redis_that_wants_a_certificate_gets_one() {
    let redis = Redis::start_for(NAMES, &["--tls-auth-clients", "yes"]);
    refused(&redis.url(), "it wants a certificate of us");
    let Identity { cert, key } = redis.authority.sign("latchd", "DNS:latchd");
    let url = format!(
        "{}&cert={}&key={}",
        redis.url(),
        cert.display(),
        key.display()
    );
    expect_service(&serve_at(&url));
}

#[test]
fn without_ca_the_system_s_authorities_are_trusted() {
    let redis = Redis::start();
    let folder = TempDir::new().expect("a folder");
    let url = format!("rediss://localhost:{}", redis.port);
    let latchd = || latchd_in(&folder, &["--listen", "127.0.0.1:0", "--store", &url]);
    let mut trusting = latchd();
    trusting
        .env("SSL_CERT_FILE", redis.authority.ca())
        .env_remove("SSL_CERT_DIR");
    expect_service(&Logged::start(trusting));
    let mut wary = latchd_in(&folder, &["--check", "--store", &url]);
    wary.env("SSL_CERT_FILE", "none.pem")
        .env("SSL_CERT_DIR", "none");
    let ended = crate::support::run_command(wary);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let words = "the system has no certificates of authorities to trust; wanted ?ca=FILE";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}

#[test]
fn a_wrong_file_is_said_before_anything_is_opened() {
    let folder = TempDir::new().expect("a folder");
    let authority = Authority::new();
    let identity = authority.sign("latchd", NAMES);
    let other = authority.sign("other", NAMES);
    let file =
        |name: &str, from: &Path| std::fs::copy(from, folder.path().join(name)).expect("a copy");
    file("ca.pem", &authority.ca());
    file("cert.pem", &identity.cert);
    file("key.pem", &identity.key);
    file("other.pem", &other.key);
    for (query, words) in [
        ("ca=none.pem", "ca none.pem: No such file"),
        ("ca=key.pem", "ca key.pem: there is no certificate in it"),
        (
            "ca=ca.pem&cert=cert.pem&key=other.pem",
            "key other.pem: it is not the key of cert cert.pem",
        ),
        (
            "ca=ca.pem&cert=key.pem&key=key.pem",
            "cert key.pem: there is no certificate in it",
        ),
    ] {
        let url = format!("rediss://:secret@h?{query}");
        let ended = run(&folder, &["--check", "--store", &url]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(words),
            "no {words:?} in {}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    }
    let url = "rediss://u:secret@h/2?ca=ca.pem&cert=cert.pem&key=key.pem";
    let ended = run(&folder, &["--check", "--store", url]);
    let shown = "rediss://u:***@h:6379/2?ca=ca.pem&cert=cert.pem&key=key.pem  (--store)\n";
    assert!(
        ended.stdout.contains(shown),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
}
