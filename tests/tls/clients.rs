//! Clients that are programs of their own, as users have them.

use std::process::Command;

use crate::support::programs::{SEED, client, run, succeed, text};
use crate::support::tls::{Authority, NAMES, Secured};
use crate::support::{Client, StoreKind};

/// A curl that trusts the authority of this server and no other.
fn curl(server: &Secured, options: &[&str]) -> Command {
    let mut curl = client("curl");
    curl.args(["-q", "-sS", "--cacert"]);
    curl.arg(server.authority.ca()).args(options);
    curl
}

#[test]
fn curl_takes_a_lock_and_gives_it_back() {
    for store in [StoreKind::Memory, StoreKind::File] {
        let server = Secured::start_with(store, &[]);
        let ask = |options: &[&str], path: &str| {
            let options = [options, &["-w", " %{http_code} %{ssl_verify_result}"]].concat();
            succeed(curl(&server, &options).arg(server.url() + path), "")
        };
        assert_eq!(ask(&["-d", SEED], "/pool"), format!("{SEED} 200 0"));
        assert_eq!(ask(&["-X", "POST"], "/pool/A/lock"), "4 200 0");
        assert_eq!(
            ask(&["--tls-max", "1.2", "-X", "POST"], "/pool/A/lock"),
            "3 200 0"
        );
        assert_eq!(ask(&["--tlsv1.3", "-X", "POST"], "/pool/A/lock"), "2 200 0");
        assert_eq!(ask(&["-X", "DELETE"], "/pool/A/lock/4"), " 200 0");
        // One server, over either listener.
        let mut plain = Client::connect(server.plain);
        assert_eq!(plain.ask("GET /pool"), "200 4 2 0 A");
    }
}

/// A page that came without TLS may be forged on the way, also where host and port are the server's.
#[test]
fn a_page_without_tls_is_of_another_origin() {
    let server = Secured::start();
    let change = |scheme: &str| {
        let origin = format!("Origin: {}", server.url().replace("https", scheme));
        let options = ["-H", &origin, "-w", " %{http_code}", "-X", "DELETE"];
        succeed(curl(&server, &options).arg(server.url() + "/pool/A"), "")
    };
    assert_eq!(change("http"), "other origin 403");
    assert_eq!(change("https"), "no pool 404");
}

#[test]
fn curl_uses_one_connection_and_closes_it_well() {
    let server = Secured::start();
    let lock = server.url() + "/pool/A/lock";
    assert_eq!(
        succeed(curl(&server, &["-d", SEED]).arg(server.url() + "/pool"), ""),
        SEED
    );
    let shown = ["-w", " %{http_code} %{num_connects}\n", "-X", "POST"];
    let shown = succeed(curl(&server, &shown).args([&lock; 3]), "");
    assert_eq!(shown, "4 200 1\n3 200 0\n2 200 0\n");
    // A client that asks for the end would complain about a missing alert.
    let closing = ["-H", "Connection: close", "-X", "POST"];
    assert_eq!(succeed(curl(&server, &closing).arg(&lock), ""), "1");
}

#[test]
fn curl_uploads_in_chunks_and_takes_a_long_answer() {
    let server = Secured::start();
    let ids: Vec<String> = (0..20_000).map(|n| format!("resource {n}")).collect();
    let ids = ids.join("\n");
    let pool = server.url() + "/pool/A";
    let members = succeed(curl(&server, &["-T", "-"]).arg(&pool), &ids);
    assert!(members.starts_with(r#"["resource 0","resource 1","#));
    assert_eq!(succeed(curl(&server, &[]).arg(&pool), ""), ids);
}

#[test]
fn a_client_chooses_http_1_or_is_refused() {
    let server = Secured::start();
    let version = |options: &[&str]| {
        let options = [options, &["-w", " %{http_version}"]].concat();
        succeed(curl(&server, &options).arg(server.url() + "/ping"), "")
    };
    assert_eq!(version(&["--http2"]), "pong 1.1");
    assert_eq!(version(&["--http1.1"]), "pong 1.1");
    assert_eq!(version(&["--no-alpn"]), "pong 1.1");
    assert_eq!(
        version(&["--http1.0"]),
        "pong 1.1",
        "the answer says so to 1.0, too"
    );
    let refused = s_client(&server, &["-alpn", "h2"], "GET /ping\n");
    assert!(refused.contains("no application protocol"), "{refused}");
}

#[test]
fn a_client_that_trusts_no_certificate_does_not_come_in() {
    let server = Secured::start();
    let mut curl = client("curl");
    curl.args(["-q", "-sS"]).arg(server.url() + "/ping");
    let output = run(&mut curl, "");
    assert_eq!(output.status.code(), Some(60), "{}", text(&output.stderr));
}

/// Returns the output of openssl. It sends `input`, and its end only when the server has closed.
fn s_client(server: &Secured, options: &[&str], input: &str) -> String {
    let mut openssl = client("openssl");
    openssl.args(["s_client", "-connect", &server.tls.to_string(), "-CAfile"]);
    openssl.arg(server.authority.ca()).args(options);
    let output = run(
        openssl.args(["-servername", "localhost", "-ign_eof"]),
        input,
    );
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn openssl_speaks_both_versions_and_no_older_one() {
    let server = Secured::start();
    let request = "GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n";
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let shown = s_client(&server, &[option], request);
        for words in [
            version,
            "Verify return code: 0 (ok)",
            "HTTP/1.1 200 OK",
            "pong",
        ] {
            assert!(shown.contains(words), "no {words:?} in\n{shown}");
        }
        assert!(
            !shown.contains("unexpected eof"),
            "the end is said:\n{shown}"
        );
    }
    let old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    let refused = s_client(&server, &old, request);
    assert!(refused.contains("alert handshake failure"), "{refused}");
    assert!(!refused.contains("pong"));
}

#[test]
fn a_device_that_comes_back_takes_up_its_session() {
    let server = Secured::start();
    let request = "GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n";
    for options in [&["-tls1_2"][..], &["-tls1_2", "-no_ticket"], &["-tls1_3"]] {
        let file = server.folder.path().join("session.pem");
        let file = file.to_str().expect("a path in UTF-8");
        let first = [options, &["-sess_out", file]].concat();
        let shown = s_client(&server, &first, request);
        assert!(
            shown.contains("New, TLSv1") && shown.contains("pong"),
            "{shown}"
        );
        let again = [options, &["-sess_in", file]].concat();
        let shown = s_client(&server, &again, request);
        assert!(shown.contains("Reused, TLSv1"), "{options:?}:\n{shown}");
        assert!(shown.contains("pong"), "{options:?}:\n{shown}");
    }
}

const PYTHON: &str = r#"
import socket, ssl, sys
port, ca, size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
context = ssl.create_default_context(cafile=ca)
context.set_alpn_protocols(["http/1.1"])
with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        requests = b"POST /pool/A/lock HTTP/1.1\r\nHost: h\r\n\r\n" * 2 + b"POST /pool/A/lock\n"
        for start in range(0, len(requests), size):
            tls.sendall(requests[start:start + size])
        answer = b""
        while not answer.endswith(b"200 2\n"):
            piece = tls.recv(size)
            assert piece, answer
            answer += piece
        print(answer)
        # Raises if the server does not say that it ends, too.
        tls.unwrap()
"#;

#[test]
fn python_sends_in_records_of_any_size() {
    let server = Secured::start();
    let mut aside = Client::connect(server.plain);
    for size in ["1", "7", "1000"] {
        assert_eq!(
            aside.ask(&format!("PUT /pool {SEED}")),
            format!("200 {SEED}")
        );
        let mut python = client("python3");
        python.args(["-c", PYTHON, &server.tls.port().to_string()]);
        let shown = succeed(python.arg(server.authority.ca()).arg(size), "");
        let ok = |id: u8| format!(r"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{id}");
        assert_eq!(shown.trim_end(), format!("b'{}{}200 2\\n'", ok(4), ok(3)));
        assert_eq!(aside.ask("DELETE /pool/A/lock"), "200 3");
        assert_eq!(aside.ask("DELETE /pool/A"), "200");
    }
}

#[test]
fn a_key_may_be_rsa_or_ec_and_in_any_of_its_forms() {
    for (kind, form) in [
        ("ec", "ec"),
        ("ec", "pkey"),
        ("rsa", "rsa"),
        ("rsa", "pkey"),
    ] {
        let authority = Authority::new();
        let mut identity = authority.sign_key("server", NAMES, kind);
        let key = identity.key.with_file_name("other-form.pem");
        let mut openssl = Command::new("openssl");
        openssl
            .args([form, "-in"])
            .arg(&identity.key)
            .arg("-out")
            .arg(&key);
        if form == "rsa" {
            openssl.arg("-traditional");
        }
        assert!(
            openssl.output().expect("openssl").status.success(),
            "{openssl:?}"
        );
        identity.key = key;
        let server = Secured::start_as(authority, identity, StoreKind::Memory, &[]);
        assert_eq!(
            server.connect().ask("GET /ping"),
            "200 pong",
            "{kind} as {form}"
        );
    }
}
