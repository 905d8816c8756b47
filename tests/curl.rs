//! Features that only curl uses: chunked uploads behind `Expect`, JSON, several requests over one
//! connection, and the head alone.

use crate::support::programs::{SEED, client, run, seeded, succeed, text};
use crate::support::{Server, StoreKind};

#[test]
fn curl_uploads_from_a_pipe_in_chunks_when_it_is_told_to_go_on() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut curl = client("curl");
        curl.args(["-q", "-sSv", "-T", "-", "-H", "Expect: 100-continue"]);
        let output = run(curl.arg(server.url() + "/pool/A"), "10\n20\n");
        assert_eq!(text(&output.stdout), r#"["10","20"]"#, "{store:?}");
        let talk = text(&output.stderr);
        for line in [
            "> Transfer-Encoding: chunked",
            "> Expect: 100-continue",
            "< HTTP/1.1 100 Continue",
        ] {
            assert!(talk.contains(line), "no {line:?} in\n{talk}");
        }
        assert!(
            !talk.contains("Done waiting for 100-continue"),
            "it waited in vain:\n{talk}"
        );
    }
}

#[test]
fn curl_asks_for_json_and_gets_it() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let ask = |options: &[&str], path: &str| {
            let mut curl = client("curl");
            curl.args(["-q", "-sS", "-H", "Accept: application/json"]);
            curl.args(["-w", " %{http_code} %{content_type}"])
                .args(options);
            succeed(curl.arg(server.url() + path), "")
        };
        let json = |status: &str, body: &str| format!("{body} {status} application/json");
        assert_eq!(ask(&["-d", SEED], "/pool"), json("200", SEED));
        assert_eq!(ask(&["-X", "POST"], "/pool/A/lock"), json("200", r#""4""#));
        assert_eq!(
            ask(&["-X", "DELETE"], "/pool/A/lock/4"),
            json("200", r#""""#)
        );
        assert_eq!(ask(&[], "/pool/A"), json("200", r#"["1","2","3","4"]"#));
        let refused = ask(&["-X", "DELETE"], "/pool/A/lock/4");
        assert!(
            refused.starts_with(r#"{"code":"not held","message":""#),
            "{refused}"
        );
        assert!(refused.ends_with("\"} 404 application/json"), "{refused}");
    }
}

#[test]
fn curl_takes_several_locks_over_one_connection() {
    for store in StoreKind::ALL {
        let server = seeded(store);
        let lock = server.url() + "/pool/A/lock";
        let mut curl = client("curl");
        curl.args([
            "-q",
            "-sS",
            "-w",
            " %{http_code} %{num_connects}\n",
            "-X",
            "POST",
        ]);
        let shown = succeed(curl.args([&lock; 5]), "");
        assert_eq!(
            shown, "4 200 1\n3 200 0\n2 200 0\n1 200 0\nbusy 409 0\n",
            "{store:?}"
        );
    }
}

#[test]
fn curl_sends_the_head_alone_and_shows_the_fields() {
    let server = seeded(StoreKind::Memory);
    let mut curl = client("curl");
    curl.args(["-q", "-sS", "-I"]).arg(server.url() + "/pool/A");
    let shown = succeed(&mut curl, "");
    assert!(shown.starts_with("HTTP/1.1 200 OK\r\n"), "{shown}");
    assert!(shown.contains("Content-Length: 7\r\n"), "{shown}");
}
