//! The description for machines: it is served, it has all of the contract's tables (`table.rs`), and the server does
//! what it says, which schemathesis checks with requests of its own making.
//!
//! Its paths are those under `/json`, the base path that it names.
//!
//! `tests/run` installs schemathesis; without it those tests say NOT RUN, past cargo's capture.

mod clients;
mod table;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::keys::{bearer, serve};
use crate::metrics::{get, listeners, scrape};
use crate::support::exposition::Page;
use crate::support::launch::eventually;
use crate::support::{Client, Server, StoreKind, run_command};

/// The head and the body of an answer.
fn ask(client: &mut Client, request: &str, fields: &str) -> (String, String) {
    client.send(format!(
        "{request} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"
    ));
    let answer = String::from_utf8(client.read_to_end()).expect("it is UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("the head ends");
    (head.into(), body.into())
}

/// The methods of each path, as the description has them.
fn operations(description: &Value) -> Vec<(String, BTreeSet<String>)> {
    let paths = description["paths"].as_object().expect("it has paths");
    let methods = |path: &Value| {
        let parts = path.as_object().expect("it has operations").keys();
        let methods = parts.filter(|part| *part != "parameters");
        methods.map(|method| method.to_uppercase()).collect()
    };
    paths
        .iter()
        .map(|(path, parts)| (path.clone(), methods(parts)))
        .collect()
}

#[test]
fn it_is_there_for_everybody_where_pools_are() {
    let server = serve("root secret-for-everything admin *\n", &[]);
    let (head, body) = ask(&mut server.connect(), "GET /openapi.json", "");
    let length = body.len();
    assert_eq!(
        head,
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\
             Content-Type: application/json\r\nConnection: close"
        )
    );
    let description: Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    // It is JSON whatever `Accept` says.
    for accept in ["*/*", "text/plain", "text/html", "application/json"] {
        let fields = format!("Accept: {accept}\r\n");
        let (head, same) = ask(&mut server.connect(), "GET /openapi.json", &fields);
        assert!(
            head.contains("\r\nContent-Type: application/json\r\n"),
            "{head}"
        );
        assert_eq!(same, body);
    }
    let (head, nothing) = ask(&mut server.connect(), "HEAD /openapi.json", "");
    assert!(head.contains(&format!("\r\nContent-Length: {length}\r\n")));
    assert_eq!(nothing, "");
    let mut client = server.connect();
    assert_eq!(client.ask("GET /openapi.json"), format!("200 {body}"));
    assert_eq!(client.ask("POST /openapi.json"), "405 bad method");
    assert_eq!(client.ask("GET /openapi.json?x"), "400 bad parameter x");

    let folder = TempDir::new().expect("a folder");
    let (_process, main, admin) = listeners::start(&folder, &[]);
    let mut client = Client::connect(main);
    assert_eq!(client.ask("GET /openapi.json"), format!("200 {body}"));
    let mut client = Client::connect(admin);
    assert_eq!(client.ask("GET /openapi.json"), "404 no route");
}

#[test]
fn the_server_allows_the_methods_that_it_names() {
    let server = Server::start(StoreKind::Memory);
    let (_, body) = ask(&mut server.connect(), "GET /openapi.json", "");
    let description: Value = serde_json::from_str(&body).expect("it is JSON");
    let operations = operations(&description);
    assert_eq!(description["servers"][0]["url"], "/json");
    for (path, mut methods) in operations {
        // These it names in words.
        methods.extend(["HEAD".to_owned(), "OPTIONS".to_owned()]);
        let path = path.replace("{pool}", "A").replace("{id}", "4");
        let (head, _) = ask(&mut server.connect(), &format!("OPTIONS /json{path}"), "");
        let allowed = head.lines().find_map(|line| line.strip_prefix("Allow: "));
        let allowed: BTreeSet<String> = allowed
            .expect("it tells them")
            .split(", ")
            .map(str::to_owned)
            .collect();
        assert_eq!(methods, allowed, "{path}");
    }
}

/// Requests of schemathesis never wait long, so it sees only an empty queue.
#[test]
fn a_waiter_is_told_as_it_says() {
    let server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    for line in [r#"POST /pool {"A":["1"]}"#, "POST /pool/A/lock"] {
        assert!(client.ask(line).starts_with("200 "));
    }
    let mut waiter = server.connect();
    waiter.send("POST /pool/A/lock/1?owner=o&wait=60\n");
    eventually("it waits", || {
        (client.ask("GET /pool") == "200 1 1 1 A").then_some(())
    });
    let read = |body: &str| serde_json::from_str::<Value>(body).expect("it is JSON");
    let (_, body) = ask(&mut server.connect(), "GET /openapi.json", "");
    let schema = read(&body)["components"]["schemas"]["Waiter"].clone();
    let (_, body) = ask(&mut server.connect(), "GET /json/pool/A/queue", "");
    let waiters = read(&body);
    let told = waiters[0].as_object().expect("an object").keys();
    let told: BTreeSet<&str> = told.map(String::as_str).collect();
    let named = schema["properties"].as_object().expect("they are named");
    assert_eq!(told, named.keys().map(String::as_str).collect());
    let required = schema["required"].as_array().expect("a list");
    assert_eq!(told, required.iter().filter_map(Value::as_str).collect());
}

/// Has schemathesis ask a server, and expects that it finds nothing; false if it is not installed.
#[track_caller]
fn check(what: &str, server: &Server, arguments: &[&str]) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/schemathesis/bin/st");
    if !program.is_file() {
        // cargo shows no captured output of a test that passes.
        let line = format!("\nNOT RUN: {what}: schemathesis is not installed; see tests/run\n");
        io::stderr().write_all(line.as_bytes()).expect("it is open");
        return false;
    }
    // It leaves its notes in the working directory.
    let folder = TempDir::new().expect("a folder");
    let mut command = Command::new("timeout");
    command
        .current_dir(&folder)
        .env("PYTHONPATH", root.join("tests/openapi"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg("300")
        .arg(program)
        .arg("--config-file")
        .arg(root.join("tests/openapi/schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", server.url())])
        .args(["--seed", "1", "--continue-on-failure"])
        .args(arguments);
    let ended = run_command(command);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    true
}

const PHASES: [&str; 2] = ["--phases", "examples,coverage,fuzzing"];
const SEED: &str = r#"POST /pool {"A":["1","2","3","4"]}"#;

fn seeded() -> Server {
    // As long as it waits for one, it asks for nothing else.
    let server = Server::start_with(StoreKind::Memory, &["--max-wait", "1"]);
    assert!(server.connect().ask(SEED).starts_with("200 "));
    server
}

#[test]
fn the_server_does_what_it_says_in_json() {
    let server = seeded();
    let arguments = [
        &PHASES[..],
        &["--max-examples", "20"],
        // So that the requested pools and resources stay.
        &["--exclude-operation-id-regex", "remove|set"],
    ];
    if !check("OpenAPI, JSON", &server, &arguments.concat()) {
        return;
    }
    // It has seen each of them succeed.
    let page = scrape(server.address);
    let mut never = Vec::new();
    for (path, methods) in [
        ("/", "GET"),
        ("/ping", "GET"),
        ("/health", "GET"),
        ("/ready", "GET"),
        ("/metrics", "GET"),
        ("/openapi.json", "GET"),
        ("/dump", "GET"),
        ("/pool", "GET POST"),
        ("/pool/:pool", "GET POST"),
        ("/pool/:pool/lock", "GET POST PUT DELETE"),
        ("/pool/:pool/lock/:id", "GET POST PUT DELETE"),
        ("/pool/:pool/queue", "GET"),
    ] {
        for method in methods.split(' ') {
            let labels = [("route", path), ("method", method), ("status", "200")];
            if page.find("latchd_requests_total", &labels).is_none() {
                never.push(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(never, [""; 0]);
}

/// Without the base path the same requests are taken and refused; only the bodies are not as described.
#[test]
fn in_plain_text_it_does_the_same() {
    let server = seeded();
    let arguments = [
        &PHASES[..],
        &["--max-examples", "10", "--url", &server.url()],
        &[
            "--exclude-checks",
            "content_type_conformance,response_schema_conformance",
        ],
    ];
    check("OpenAPI, plain text", &server, &arguments.concat());
}

/// Excludes a wrong guess of schemathesis: a seeded resource is not locked.
#[test]
fn one_request_after_another_does_what_it_says() {
    let guesses = "positive_data_acceptance,ensure_resource_availability";
    let arguments = [
        &["--phases", "stateful", "--max-examples", "10"][..],
        &["--exclude-checks", guesses],
    ];
    check("OpenAPI, stories", &seeded(), &arguments.concat());
}

#[test]
fn with_keys_it_is_as_it_says() {
    let keys = "look secret-for-looking read A\nroot secret-for-everything admin *\n";
    let server = serve(keys, &["--max-wait", "1"]);
    let mut client = server.connect();
    let seeded = client.ask(&format!("key=secret-for-everything {SEED}"));
    assert!(seeded.starts_with("200 "), "{seeded}");
    for secret in ["", "secret-for-looking"] {
        let field = bearer(secret);
        let shown = ["--header", &field];
        let key = if secret.is_empty() { &[][..] } else { &shown };
        let few = ["--phases", "examples,fuzzing", "--max-examples", "5"];
        if !check("OpenAPI, keys", &server, &[&few[..], key].concat()) {
            return;
        }
    }
    let field = bearer("secret-for-everything") + "\r\n";
    // The connection from before may have been idle for too long meanwhile.
    let page = Page::read(&get(&mut server.connect(), "/metrics", &field).1);
    for (route, method) in [
        ("/pool", "POST"),
        ("/pool/:pool", "PUT"),
        ("/pool/:pool/lock", "POST"),
        ("/pool/:pool/lock/:id", "DELETE"),
    ] {
        for status in ["401", "403"] {
            let labels = [("route", route), ("method", method), ("status", status)];
            let count = page.value("latchd_requests_total", &labels);
            assert!(count > 0.0, "{method} {route} {status}");
        }
    }
}
