//! Real clients, from curl to a shell script that forgets the blank line: each holds a whole
//! conversation with the server and sees the right answers, errors included.
//!
//! A client that is not installed fails its test: nothing is skipped in silence.

use crate::support::programs::{SEED, client, run, seeded, succeed, text};
use crate::support::{Server, StoreKind};

/// A client's view of an answer: the body of a success, or the status and the words of a failure.
type Seen = Result<String, String>;

/// One request as a user means it, without the form that a client gives it.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    body: &'a str,
}

/// Seed, lock, list, release and be refused, on each store.
#[track_caller]
fn converse(ask: impl Fn(&Server, &Request<'_>) -> Seen) {
    let steps: [(&str, &str, &str, Seen); 12] = [
        ("GET", "/ping", "", Ok("pong".into())),
        ("POST", "/pool", SEED, Ok(SEED.into())),
        ("POST", "/pool/A/lock", "", Ok("4".into())),
        ("POST", "/pool/A/lock", "", Ok("3".into())),
        ("POST", "/pool/A/lock/3", "", Err("409 busy".into())),
        ("GET", "/pool/A/lock", "", Ok("1 - 4\n2 - 3".into())),
        ("DELETE", "/pool/A/lock/4", "", Ok("".into())),
        ("DELETE", "/pool/A/lock/4", "", Err("404 not held".into())),
        (
            "PUT",
            "/pool/A",
            "[\"3\",\"9\"]",
            Ok("[\"3\",\"9\"]".into()),
        ),
        ("GET", "/pool", "", Ok("2 1 0 A".into())),
        ("DELETE", "/pool/A/lock", "", Ok("1".into())),
        ("POST", "/pool/B/lock", "", Err("404 no pool".into())),
    ];
    for store in StoreKind::ALL {
        let server = Server::start(store);
        for (method, path, body, expected) in &steps {
            let seen = ask(&server, &Request { method, path, body });
            assert_eq!(&seen, expected, "{method} {path} on {store:?}");
        }
    }
}

#[test]
fn curl_converses() {
    converse(|server, request| ask_curl(server, request, &[]));
}

#[test]
fn curl_converses_in_http_1_0() {
    converse(|server, request| ask_curl(server, request, &["--http1.0"]));
}

/// `-d` gives the body a form's type, and without it a POST has no length at all.
fn ask_curl(server: &Server, request: &Request<'_>, options: &[&str]) -> Seen {
    let mut curl = client("curl");
    curl.args(["-q", "-sS", "-w", "\n%{http_code}"])
        .args(options);
    curl.args(["-X", request.method]);
    if !request.body.is_empty() {
        curl.args(["-d", request.body]);
    }
    let shown = succeed(curl.arg(server.url() + request.path), "");
    let (body, status) = shown
        .rsplit_once('\n')
        .expect("curl writes the status behind the body");
    match status {
        "200" => Ok(body.into()),
        _ => Err(format!("{status} {body}")),
    }
}

#[test]
fn wget_converses() {
    converse(|server, request| {
        let mut wget = client("wget");
        wget.args([
            "--no-config",
            "--tries=1",
            "-nv",
            "--content-on-error",
            "-O",
            "-",
        ]);
        match request.method {
            "GET" => {}
            "POST" => drop(wget.arg(format!("--post-data={}", request.body))),
            method => {
                wget.arg(format!("--method={method}"));
                wget.arg(format!("--body-data={}", request.body));
            }
        }
        let output = run(wget.arg(server.url() + request.path), "");
        let (body, talk) = (text(&output.stdout), text(&output.stderr));
        if output.status.success() {
            return Ok(body);
        }
        // "2025-01-01 00:00:00 ERROR 409: busy."
        let error = talk
            .lines()
            .find_map(|line| line.split_once("ERROR ")?.1.strip_suffix('.'));
        let error = error
            .unwrap_or_else(|| panic!("no error in {talk:?}"))
            .replacen(':', "", 1);
        assert!(
            error.ends_with(&body) && !body.is_empty(),
            "{error:?} with the body {body:?}"
        );
        Err(error)
    });
}

#[test]
fn wget_keeps_its_connection() {
    let server = seeded(StoreKind::Memory);
    let (pool, ping) = (server.url() + "/pool/A", server.url() + "/ping");
    let mut wget = client("wget");
    let output = run(
        wget.args(["--no-config", "--tries=1", "-O", "-", &pool, &ping]),
        "",
    );
    assert_eq!(text(&output.stdout), "1\n2\n3\n4pong");
    let talk = text(&output.stderr);
    assert!(talk.contains("Reusing existing connection"), "{talk}");
}

/// It knows GET and POST only, and shows nothing of a failure but the status line.
#[test]
fn busybox_wget_converses() {
    converse(|server, request| {
        let mut wget = client("busybox");
        wget.args(["wget", "-q", "-O", "-"]);
        let mut url = server.url() + request.path;
        if request.method != "GET" {
            wget.args(["--post-data", request.body]);
        }
        if matches!(request.method, "DELETE" | "PUT") {
            url += &format!("?_method={}", request.method);
        }
        let output = run(wget.arg(url), "");
        let talk = text(&output.stderr);
        match talk
            .trim_end()
            .split_once("server returned error: HTTP/1.1 ")
        {
            Some((_, error)) => Err(error.into()),
            None if output.status.success() => Ok(text(&output.stdout)),
            None => panic!("neither an answer nor an error: {talk}"),
        }
    });
}

#[test]
fn nc_converses_in_http() {
    converse(|server, request| {
        let Request { method, path, body } = request;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}");
        read_http(&nc(server, &format!("{head}\r\n\r\n{body}")))
    });
}

#[test]
fn nc_converses_in_lines() {
    converse(|server, request| {
        let Request { method, path, body } = request;
        read_line(&nc(server, &format!("{method} {path} {body}\n")))
    });
}

#[test]
fn nc_sends_a_script_of_lines_and_gets_a_line_each() {
    for store in StoreKind::ALL {
        let server = seeded(store);
        let script = "POST /pool/A/lock\nPOST /pool/A/lock?lease\n\nDELETE /pool/A/lock/4\n\
                      DELETE /pool/A/lock/4\nGET /pool/A\n";
        let answers = "200 4\n200 2 - 3\n200\n404 not held\n200 1\t2\t3\t4\n";
        assert_eq!(nc(&server, script), answers, "{store:?}");
    }
}

#[test]
fn a_script_that_forgets_the_blank_line_is_answered_at_its_end() {
    for store in StoreKind::ALL {
        let server = seeded(store);
        let script = format!(
            "printf 'POST /pool/A/lock HTTP/1.1\\nHost: h\\n' | nc -N 127.0.0.1 {}",
            server.address.port()
        );
        let shown = succeed(client("sh").args(["-c", &script]), "");
        assert_eq!(
            shown, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4",
            "{store:?}"
        );
    }
}

#[test]
fn busybox_nc_converses_in_lines() {
    converse(|server, request| {
        let Request { method, path, body } = request;
        let line = format!("{method} {path} {body}\n");
        let port = server.address.port().to_string();
        read_line(&succeed(
            client("busybox").args(["nc", "127.0.0.1", &port]),
            &line,
        ))
    });
}

#[test]
fn bash_converses_over_dev_tcp() {
    const SCRIPT: &str = r#"
        exec 3<>/dev/tcp/127.0.0.1/$1
        printf '%s %s HTTP/1.1\nHost: h\nConnection: close\nContent-Length: %d\n\n%s' \
            "$2" "$3" "${#4}" "$4" >&3
        cat <&3"#;
    converse(|server, request| {
        let port = server.address.port().to_string();
        let Request { method, path, body } = request;
        let mut bash = client("bash");
        bash.args(["-c", SCRIPT, "bash", &port, method, path, body]);
        read_http(&succeed(&mut bash, ""))
    });
}

#[test]
fn bash_holds_a_connection_open_and_asks_in_lines() {
    const SCRIPT: &str = r#"
        exec 3<>/dev/tcp/127.0.0.1/$1
        while read -r request; do
            printf '%s\n' "$request" >&3
            IFS= read -r -t 20 answer <&3 && printf '%s\n' "$answer"
        done"#;
    for store in StoreKind::ALL {
        let server = seeded(store);
        let port = server.address.port().to_string();
        let mut bash = client("bash");
        bash.args(["-c", SCRIPT, "bash", &port]);
        let requests = "POST /pool/A/lock\nPOST /pool/A/lock/4\nDELETE /pool/A/lock/4\n";
        assert_eq!(
            succeed(&mut bash, requests),
            "200 4\n409 busy\n200\n",
            "{store:?}"
        );
    }
}

#[test]
fn gawk_converses_over_inet() {
    const SCRIPT: &str = r#"BEGIN {
        server = "/inet/tcp/0/127.0.0.1/" port
        print request |& server
        server |& getline answer
        print answer
    }"#;
    converse(|server, request| {
        let Request { method, path, body } = request;
        let mut gawk = client("gawk");
        gawk.args(["-v", &format!("port={}", server.address.port())]);
        gawk.args(["-v", &format!("request={method} {path} {body}"), SCRIPT]);
        read_line(&succeed(&mut gawk, ""))
    });
}

#[test]
fn gawk_reads_http_up_to_the_end() {
    const SCRIPT: &str = r#"BEGIN {
        server = "/inet/tcp/0/127.0.0.1/" port
        ORS = "\r\n"
        print "POST /pool/A/lock HTTP/1.0" |& server
        print "" |& server
        while ((server |& getline line) > 0) printf "%s|", line
    }"#;
    for store in StoreKind::ALL {
        let server = seeded(store);
        let port = format!("port={}", server.address.port());
        let shown = succeed(client("gawk").args(["-v", &port, SCRIPT]), "");
        assert_eq!(
            shown, "HTTP/1.1 200 OK\r|Content-Length: 1\r|Connection: close\r|\r|4|",
            "{store:?}"
        );
    }
}

fn nc(server: &Server, input: &str) -> String {
    let port = server.address.port().to_string();
    succeed(client("nc").args(["-N", "127.0.0.1", &port]), input)
}

/// Parses one HTTP answer.
#[track_caller]
fn read_http(answer: &str) -> Seen {
    let parts = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.split_once("\r\n\r\n"));
    let (head, body) = parts.unwrap_or_else(|| panic!("not an HTTP answer: {answer:?}"));
    match head.lines().next() {
        Some("200 OK") => Ok(body.into()),
        status => {
            let status = status.unwrap_or_default();
            assert!(
                status.ends_with(body) && !body.is_empty(),
                "{status:?}, but {body:?}"
            );
            Err(status.into())
        }
    }
}

/// Parses the answer to a one-line request.
#[track_caller]
fn read_line(answer: &str) -> Seen {
    let line = answer
        .strip_suffix('\n')
        .unwrap_or_else(|| panic!("not a line: {answer:?}"));
    match line.strip_prefix("200") {
        Some(body) => Ok(body.trim_start_matches(' ').replace('\t', "\n")),
        None => Err(line.into()),
    }
}
