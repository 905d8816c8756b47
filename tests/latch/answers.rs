//! Servers that give other answers: keys, proxies, silence, and names with control characters.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::support::{answer, latch, own_address, stranger};
use crate::support::{Ended, run_command};

fn run(url: &str, arguments: &[&str]) -> Ended {
    let mut command = latch(url);
    command.args(arguments).env("LATCH_KEY", "s3cret");
    run_command(command)
}

#[test]
fn a_key_is_shown_and_a_refusal_told() {
    for (status, body, words) in [
        (
            "401 no key",
            "no key",
            "latch: no key (latch sends the key in LATCH_KEY)\n",
        ),
        (
            "403 not allowed",
            r#"{"code":"not allowed","message":"the key must have the role admin in this pool"}"#,
            "latch: not allowed: the key must have the role admin in this pool (latch sends",
        ),
    ] {
        let (address, requests) = stranger(vec![answer(status, body); 2]);
        let ended = run(&address.to_string(), &["ls"]);
        assert_eq!(ended.code, Some(7));
        assert!(ended.stderr.starts_with(words), "{}", ended.stderr);
        assert!(!ended.stderr.contains("s3cret"));
        let request = requests.recv().expect("it was asked");
        assert_eq!(
            request,
            format!(
                "GET /pool HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n\
                 Connection: close\r\nAuthorization: Bearer s3cret\r\n\r\n"
            )
        );
        let ended = run(&address.to_string(), &["run", "A", "--", "true"]);
        assert_eq!(ended.code, Some(117));
    }
}

#[test]
fn without_a_key_none_is_sent() {
    let (address, requests) = stranger(vec![answer("200 OK", "{}")]);
    let mut command = latch(&format!("http://{address}/below/"));
    command.arg("ls");
    let ended = run_command(command);
    assert_eq!(ended.stdout, "POOL  RESOURCES  HELD  WAITING\n");
    let request = requests.recv().expect("it was asked");
    assert!(
        request.starts_with("GET /below/pool HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(!request.contains("Authorization"), "{request}");
}

#[test]
fn a_server_that_cannot_be_reached_is_named() {
    let url = format!("http://{}", own_address());
    let mut all = vec![
        "ls",
        "ls A",
        "lock A",
        "free A 1",
        "renew A 1",
        "seed A 1",
        "purge A",
    ];
    all.extend(["remove A", "wait-free A", "watch"]);
    for order in all {
        let arguments: Vec<&str> = order.split(' ').collect();
        let ended = run(&url, &arguments);
        assert_eq!((ended.code, &*ended.stdout), (Some(6), ""), "{order}");
        assert!(
            ended.stderr.contains(&format!("{url}: Connection refused"))
                && ended.stderr.contains("LATCH_URL"),
            "{}",
            ended.stderr
        );
        let mut arguments = arguments;
        arguments.push("--json");
        let ended = run(&url, &arguments);
        let said: serde_json::Value = serde_json::from_str(&ended.stderr).expect("JSON");
        assert_eq!(
            (ended.code, &said["code"]),
            (Some(6), &"unreachable".into()),
            "{order}"
        );
    }
    let ended = run("http://latchd.invalid:1", &["ls"]);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(6), 1));
}

#[test]
fn a_response_that_is_no_answer_is_reported() {
    for (bytes, code, words) in [
        (
            b"".to_vec(),
            6,
            "the connection ended before the answer did",
        ),
        (b"SSH-2.0-x\r\n\r\n".to_vec(), 6, "this is no latchd"),
        (
            answer("404 Not Found", "<html>\x1b[2J"),
            1,
            "the server answered 404 Not Found",
        ),
        (answer("500 Oh\x1b[2J", ""), 6, "this is no latchd"),
        (answer("500 Oh\u{9b}2J", ""), 1, "answered 500"),
        (
            answer("500 Oh", r#"{"code":"\u001b[2J","message":"\u0007"}"#),
            1,
            r"\u{1b}[2J: \u{7}",
        ),
        (answer("502 Bad Gateway", ""), 6, "Bad Gateway"),
        (
            answer("200 OK", "<html>"),
            1,
            "the server's answer is not understood",
        ),
        (
            answer("200 OK", r#"{"A":7}"#),
            1,
            "the server's answer is not understood",
        ),
    ] {
        let (address, _requests) = stranger(vec![bytes.clone()]);
        let ended = run(&address.to_string(), &["ls"]);
        let shown = bytes.escape_ascii().to_string();
        assert_eq!(ended.stdout, "", "{shown}");
        assert!(ended.stderr.contains(words), "{shown}: {}", ended.stderr);
        assert!(
            !ended.stderr.trim_end().contains(char::is_control),
            "{:?}",
            ended.stderr
        );
        assert_eq!(ended.code, Some(code), "{shown}: {}", ended.stderr);
    }
}

/// Names have no control characters; a server that sends some must not reach the terminal.
#[test]
fn no_name_moves_the_cursor() {
    let evil = "\\u001b[2J\u{9b}2J\\u0007\\u202e";
    let pools = format!(r#"{{"{evil}":{{"resources":1,"held":1,"waiting":0}}}}"#);
    let lease = format!(r#"{{"id":"{evil}","fence":1,"ttl":null,"owner":"{evil}","age":1}}"#);
    let members = format!(r#"["{evil}"]"#);
    for (arguments, body) in [
        (&["ls"][..], &pools),
        (&["ls", "--json"], &pools),
        (&["ls", "A"], &format!("[{lease}]")),
        (&["ls", "A", "--json"], &format!("[{lease}]")),
        (&["ls", "A", "--members"], &members),
        (&["ls", "A", "--members", "--json"], &members),
        (&["lock", "A"], &lease),
        (&["lock", "A", "--json"], &lease),
        (&["lock", "A", "--lease"], &lease),
        (&["renew", "A", "1", "--json"], &lease),
        (&["seed", "A", "1", "--json"], &members),
        (&["watch", "--count", "1"], &pools),
        (&["watch", "A", "--count", "1"], &format!("[{lease}]")),
    ] {
        let (address, _requests) = stranger(vec![answer("200 OK", body)]);
        let ended = run(&address.to_string(), arguments);
        let text = ended.stdout + &ended.stderr;
        assert!(text.len() > 1, "{arguments:?}");
        let bad: String = text
            .chars()
            .filter(|c| c.is_control() && *c != '\n')
            .collect();
        assert_eq!(bad, "", "{arguments:?}: {text:?}");
        if !arguments.contains(&"--json") {
            assert!(!text.contains('\u{202e}'), "{arguments:?}: {text:?}");
        }
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let body = format!(
        r#"{{"{}":{{"resources":1,"held":1,"waiting":0}}}}"#,
        "x".repeat(100)
    );
    let (address, _requests) = stranger(vec![answer("200 OK", &body); 3]);
    let mut command = latch(&address.to_string());
    let mut child = command
        .arg("watch")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// It takes the connection, and nothing more: the lock may have been taken.
#[test]
fn a_lost_answer_is_asked_for_again_by_an_owner_only() {
    let lease = r#"{"id":"4","fence":1,"ttl":60,"owner":"me","age":0}"#;
    let lost = vec![
        b"HTTP/1.1 200 OK\r\nContent-Le".to_vec(),
        answer("200 OK", lease),
    ];
    let (address, requests) = stranger(lost.clone());
    let ended = run(
        &address.to_string(),
        &["lock", "A", "--owner", "me", "--wait", "5"],
    );
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(0), "4\n"),
        "{}",
        ended.stderr
    );
    let asked: Vec<String> = requests.iter().collect();
    assert_eq!(asked.len(), 2);
    assert!(
        asked[1].starts_with("POST /pool/A/lock?wait=5&owner=me&lease HTTP/1.1\r\n"),
        "{}",
        asked[1]
    );

    let (address, _requests) = stranger(lost);
    let ended = run(&address.to_string(), &["lock", "A", "--wait", "5"]);
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(6), ""),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains("the connection ended before the answer did; a lock may have been taken"),
        "{}",
        ended.stderr
    );
}

/// Answers without latchd's own words: their effect is unknown.
fn unknown() -> Vec<Vec<u8>> {
    let mut answers = vec![answer("200 OK", "<html>"), answer("200 OK", "{}")];
    for status in [
        "408 Request Timeout",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Time-out",
    ] {
        answers.push(answer(status, "<html>"));
    }
    answers
}

#[test]
fn what_may_have_been_taken_is_not_asked_for_again_without_an_owner() {
    for bytes in unknown() {
        let (address, requests) = stranger(vec![bytes.clone()]);
        let ended = run(&address.to_string(), &["lock", "A", "--wait", "5"]);
        let shown = bytes.escape_ascii().to_string();
        assert_eq!((ended.code, &*ended.stdout), (Some(6), ""), "{shown}");
        let words = "; a lock may have been taken; latch ls shows it\n";
        assert!(ended.stderr.ends_with(words), "{shown}: {}", ended.stderr);
        assert_eq!(requests.iter().count(), 1, "{shown}");
    }
    // A refusal in latchd's own words has had no effect.
    let (address, _requests) = stranger(vec![
        answer("503 stopping", "stopping"),
        answer(
            "200 OK",
            r#"{"id":"4","fence":1,"ttl":null,"owner":null,"age":0}"#,
        ),
    ]);
    let ended = run(&address.to_string(), &["lock", "A", "--wait", "5"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "4\n"));
}

#[test]
fn what_may_have_been_taken_is_asked_for_again_by_an_owner() {
    let lease = r#"{"id":"4","fence":1,"ttl":60,"owner":"me","age":0}"#;
    for bytes in unknown() {
        let (address, requests) = stranger(vec![bytes.clone(), answer("200 OK", lease)]);
        let arguments = ["lock", "A", "--wait", "5", "--owner", "me"];
        let ended = run(&address.to_string(), &arguments);
        let shown = bytes.escape_ascii().to_string();
        assert_eq!((ended.code, &*ended.stdout), (Some(0), "4\n"), "{shown}");
        assert_eq!(requests.iter().count(), 2, "{shown}");
    }
}

#[test]
fn run_gives_back_what_it_may_have_taken() {
    for bytes in unknown() {
        let (address, requests) = stranger(vec![
            bytes.clone(),
            answer("502 Bad Gateway", ""),
            answer("200 OK", "1"),
        ]);
        let arguments = ["run", "A", "--wait", "0", "--", "echo", "it runs"];
        let ended = run(&address.to_string(), &arguments);
        let shown = bytes.escape_ascii().to_string();
        assert_eq!((ended.code, &*ended.stdout), (Some(116), ""), "{shown}");
        let asked: Vec<String> = requests.iter().collect();
        assert_eq!(asked.len(), 3, "{shown}");
        let owner = asked[0].split("owner=").nth(1).expect("it has one");
        let owner = owner.split('&').next().expect("a name");
        for given_back in &asked[1..] {
            let start = format!("DELETE /pool/A/lock?owner={owner} HTTP/1.1\r\n");
            assert!(given_back.starts_with(&start), "{given_back}");
        }
    }
}

/// A gateway waits for no more than a minute, and a server restarts: latch continues to wait.
#[test]
fn a_gateway_does_not_end_a_wait_that_has_begun() {
    let lease = r#"{"id":"4","fence":1,"ttl":60,"owner":"me","age":0}"#;
    let mut answers = vec![answer("503 stopping", "stopping")];
    // Longer than the ten seconds for a server that was never there.
    answers.extend(vec![answer("502 Bad Gateway", "<html>"); 15]);
    answers.push(answer("200 OK", lease));
    let (address, requests) = stranger(answers);
    let started = Instant::now();
    let arguments = ["run", "A", "--wait", "300", "-q", "--", "echo", "it runs"];
    let ended = run(&address.to_string(), &arguments);
    assert_eq!(ended.stdout, "it runs\n", "{}", ended.stderr);
    assert!(requests.iter().count() >= 17);
    assert!(started.elapsed() > Duration::from_secs(10));
}

#[test]
fn a_change_that_may_have_been_made_is_not_refused() {
    for arguments in [
        &["free", "A", "1"][..],
        &["renew", "A", "1"],
        &["seed", "A", "1"],
        &["purge", "A"],
        &["remove", "A"],
    ] {
        for bytes in unknown() {
            let (address, _requests) = stranger(vec![bytes.clone()]);
            let ended = run(&address.to_string(), arguments);
            let shown = bytes.escape_ascii().to_string();
            assert_eq!(
                (ended.code, &*ended.stdout),
                (Some(6), ""),
                "{arguments:?} {shown}"
            );
        }
    }
}
