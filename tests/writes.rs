//! Head and body leave in one write, and so do the answers to a burst of requests: a modem makes one
//! segment of each, and system calls dominate the cost of a request. strace counts them.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::support::launch::{addresses_in, eventually, latchd_in};
use crate::support::{Client, Process, signal};

/// A latchd under strace.
struct Traced {
    process: Process,
    folder: TempDir,
}

/// One system call that sends on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sending {
    connection: u32,
    /// The number of bytes offered.
    offered: usize,
    /// They leave together with the next ones: the end.
    waits: bool,
}

impl Traced {
    /// `-D` makes strace the grandchild, so that the process is latchd itself, and ends strace with it.
    fn start() -> (Traced, Client) {
        let (traced, addresses) = Traced::start_with(&[]);
        let mut client = Client::connect(addresses[0]);
        assert_eq!(
            client.ask(r#"POST /pool {"A":["1","2","3","4"]}"#),
            r#"200 {"A":["1","2","3","4"]}"#
        );
        (traced, client)
    }

    fn start_with(arguments: &[&str]) -> (Traced, Vec<SocketAddr>) {
        let installed = Command::new("strace").arg("-V").output();
        assert!(
            installed.is_ok(),
            "strace is missing, tests/run installs it"
        );
        let folder = TempDir::new().expect("a folder");
        let mut latchd = latchd_in(&folder, &["--listen", "127.0.0.1:0", "--store", "memory:"]);
        latchd.args(arguments);
        let mut strace = Command::new("strace");
        strace.args(["-D", "-o", "calls", "-s", "0"]);
        strace.args([
            "-e",
            "trace=accept4,write,writev,sendto,sendmsg,sendmmsg,sendfile",
        ]);
        strace
            .arg(latchd.get_program())
            .args(latchd.get_args())
            .current_dir(folder.path());
        for (name, value) in latchd.get_envs() {
            match value {
                Some(value) => strace.env(name, value),
                None => strace.env_remove(name),
            };
        }
        let mut process = Process::spawn(strace);
        let line = process.wait_for_line("listening on ");
        (Traced { process, folder }, addresses_in(&line))
    }

    /// Ends the server, and returns its writes on connections after the answer to the seed.
    fn sendings(self) -> Vec<Sending> {
        let mut sendings = self.all_sendings();
        assert_eq!(
            sendings.remove(0).offered,
            "200 {\"A\":[\"1\",\"2\",\"3\",\"4\"]}\n".len()
        );
        sendings
    }

    /// Ends the server, and returns its writes on connections.
    fn all_sendings(mut self) -> Vec<Sending> {
        signal(self.process.child.id(), "TERM");
        assert_eq!(self.process.wait().code(), Some(0));
        let calls = eventually("strace writes down the end", || {
            let calls = fs::read_to_string(self.folder.path().join("calls")).ok()?;
            calls.contains("+++ exited with 0 +++").then_some(calls)
        });
        let (mut connections, mut sendings) = (Vec::new(), Vec::new());
        for line in calls.lines() {
            let (name, arguments) = line.split_once('(').unwrap_or((line, ""));
            let returned = || {
                line.rsplit_once(" = ")?
                    .1
                    .split(' ')
                    .next()?
                    .parse::<i64>()
                    .ok()
            };
            let first = arguments
                .split([',', ')'])
                .next()
                .and_then(|fd| fd.parse::<u32>().ok());
            match (name, first) {
                ("accept4", _) => {
                    connections.extend(returned().and_then(|fd| u32::try_from(fd).ok()))
                }
                (_, Some(connection)) if connections.contains(&connection) => {
                    assert!(
                        ["sendto", "write"].contains(&name),
                        "this test reads no {name}: {line}"
                    );
                    let length = arguments
                        .split(", ")
                        .nth(2)
                        .map(|rest| rest.split(')').next());
                    let length = length.flatten().and_then(|digits| digits.parse().ok());
                    let offered = length.unwrap_or_else(|| panic!("no length in {line}"));
                    sendings.push(Sending {
                        connection,
                        offered,
                        waits: arguments.contains("MSG_MORE"),
                    });
                }
                _ => {}
            }
        }
        sendings
    }
}

fn lengths(sendings: &[Sending]) -> Vec<usize> {
    sendings.iter().map(|sending| sending.offered).collect()
}

#[test]
fn the_last_answer_leaves_with_the_end() {
    let (server, mut client) = Traced::start();
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4";
    client.send("POST /pool/A/lock HTTP/1.1\r\n\r\n");
    client.expect(ok);
    client.send("DELETE /pool/A/lock/4 HTTP/1.1\r\nConnection: close\r\n\r\n");
    let closed = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    client.expect(closed);
    client.expect_end();
    let waits: Vec<bool> = server.sendings().iter().map(|sent| sent.waits).collect();
    assert_eq!(
        waits,
        [false, true],
        "an answer waits for nothing but the end"
    );
}

/// With TLS as without: one write there is one write here, and one record.
#[cfg(feature = "tls")]
#[test]
fn an_answer_with_tls_is_one_record_in_one_write_also_together_with_the_end() {
    use crate::support::tls::{Authority, NAMES, TlsClient, trust};
    let authority = Authority::new();
    let identity = authority.sign("server", NAMES);
    let [cert, key] = [&identity.cert, &identity.key].map(|path| path.display().to_string());
    let tls = [
        "--tls-listen",
        "127.0.0.1:0",
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
    ];
    let (traced, addresses) = Traced::start_with(&tls);
    let config = trust(&authority.ca(), &[&rustls::version::TLS13]);
    let mut client = TlsClient::connect(addresses[1], &config);
    for _ in 0..2 {
        assert_eq!(client.ask("GET /ping"), "200 pong");
    }
    client.send("GET /ping\n".repeat(100));
    client.expect(&"200 pong\n".repeat(100));
    client.send("GET /ping HTTP/1.0\r\n\r\n");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npong";
    client.expect(answer);
    client.expect_end();
    drop(client);
    let sendings = traced.all_sendings();
    // A header, a type and a tag.
    let record = |plaintext: usize| 5 + plaintext + 1 + 16;
    let pong = "200 pong\n".len();
    let last = record(answer.len()) + record(2);
    let expected = [record(pong), record(100 * pong), last];
    let lengths = lengths(&sendings);
    assert!(
        lengths.ends_with(&expected),
        "{expected:?} at the end of {lengths:?}"
    );
    // Before that: the handshake, the ticket behind it, and the first answer, if not together with it.
    assert!(lengths.len() <= expected.len() + 3, "{lengths:?}");
    let waits: Vec<bool> = sendings.iter().rev().map(|sending| sending.waits).collect();
    assert!(
        waits[0] && !waits[1..].contains(&true),
        "only the last waits for the end"
    );
}

#[test]
fn each_answer_is_one_write() {
    let (server, mut client) = Traced::start();
    let bare = |text: &str| format!("{text} HTTP/1.1\r\n\r\n");
    let talk = [
        (
            bare("POST /pool/A/lock"),
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4".to_owned(),
        ),
        ("POST /pool/A/lock\n".into(), "200 3\n".into()),
        (
            bare("DELETE /pool/A/lock/4"),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (
            bare("DELETE /pool/A/lock/4"),
            "HTTP/1.1 404 not held\r\nContent-Length: 8\r\n\r\nnot held".into(),
        ),
        (
            bare("HEAD /ping"),
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".into(),
        ),
        (
            bare("GET /pool/A"),
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n1\n2\n3\n4".into(),
        ),
        (
            "GET /pool/A HTTP/1.1\r\nAccept: application/json\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\
             Cache-Control: no-store\r\n\r\n\
             [\"1\",\"2\",\"3\",\"4\"]"
                .into(),
        ),
        (
            "GET / HTTP/1.1\r\nbad header\r\n\r\n".into(),
            "HTTP/1.1 400 bad header\r\nContent-Length: 10\r\nConnection: close\r\n\r\nbad header"
                .into(),
        ),
    ];
    let mut answers = Vec::new();
    for (request, answer) in &talk {
        client.send(request);
        // The order of header fields is not promised, but their length is.
        let mut received = vec![0; answer.len()];
        client.stream.read_exact(&mut received).expect("an answer");
        answers.push(answer.len());
    }
    client.expect_end();
    drop(client);
    assert_eq!(answers[0], 39, "the bare lock answer");
    assert_eq!(lengths(&server.sendings()), answers);
}

#[test]
fn a_burst_of_requests_is_answered_in_one_write() {
    let (server, mut client) = Traced::start();
    let requests = [
        "POST /pool/A/lock HTTP/1.1\r\n\r\n",
        "DELETE /pool/A/lock/4\n",
        "GET /nothing\n",
    ];
    client.send(requests.join("").repeat(30));
    let first = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n4200\n404 no route\n";
    // Released, 4 goes to the back and is held no more: the others take their turn.
    client.expect(first);
    client.half_close();
    let rest = client.read_to_end();
    let length = first.len() + rest.len();
    assert_eq!(
        rest.windows(12)
            .filter(|window| window == b"404 no route")
            .count(),
        29
    );
    assert_eq!(lengths(&server.sendings()), [length]);
}

/// A listing may be long, so that a burst of them is answered bit by bit; but never in halves.
#[test]
fn a_burst_with_listings_splits_no_answer() {
    let (server, mut client) = Traced::start();
    client.send("GET /pool/A\nGET /ping\nGET /pool/A/lock\n".repeat(100));
    let answers = ["200 1\t2\t3\t4\n", "200 pong\n", "200\n"];
    client.expect(answers.concat().repeat(100));
    drop(client);
    let mut sizes = answers.iter().cycle().map(|answer| answer.len());
    let sendings = server.sendings();
    for sending in &sendings {
        let mut left = sending.offered;
        while left > 0 {
            let next = sizes.next().expect("it goes round");
            assert!(
                next <= left,
                "an answer of {next} bytes is split: {:?}",
                lengths(&sendings)
            );
            left -= next;
        }
    }
    assert_eq!(
        lengths(&sendings).iter().sum::<usize>(),
        100 * answers.concat().len()
    );
    assert!(
        sendings.len() <= 300,
        "at most one write for an answer: {}",
        sendings.len()
    );
}

#[test]
fn a_long_answer_is_offered_to_the_socket_as_a_whole() {
    let (server, mut client) = Traced::start();
    let ids: Vec<String> = (0..20_000).map(|n| format!("resource {n:06}")).collect();
    let body = serde_json::json!(ids).to_string();
    let seeded = client.ask(&format!("PUT /pool/A {body}"));
    assert_eq!(seeded.len(), body.len() + 4);
    client.send("GET /pool/A HTTP/1.1\r\n\r\n");
    let listing = ids.join("\n");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{listing}",
        listing.len()
    );
    client.expect(&answer);
    drop(client);
    let lengths = lengths(&server.sendings());
    assert_eq!(lengths[0], seeded.len() + 1);
    assert!(
        lengths.contains(&answer.len()),
        "{} bytes in {lengths:?}",
        answer.len()
    );
}
