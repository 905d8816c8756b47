//! Every command that the README shows is run here, against a real server, or it is said which test
//! runs it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::programs::{client, succeed};
use crate::support::{Server, StoreKind, run_command, signal};

const README: &str = include_str!("../README.md");

/// What only the machine of a reader can do, or what takes more than is shown; by its first line.
const ELSEWHERE: [(&str, &str); 8] = [
    (
        "cargo run --release",
        "the gate builds it, and runs tests/run",
    ),
    ("latchd --store redis://127.0.0.1:6379", "tests/redis"),
    ("ACL SETUSER latchd on >PASSWORD", "tests/redis/rights.rs"),
    ("for core in 1 2 3 4", "tests/reuse_port.rs, tests/redis"),
    ("cargo build --release --features tls", "tests/tls"),
    ("openssl req", "tests/tls"),
    (
        "certbot renew",
        "tests/tls: SIGHUP renews what is shown to clients",
    ),
    ("# NAME    SECRET", "the example of keys below"),
];

/// A piece of the README that is set as code.
#[derive(Debug)]
struct Block {
    section: &'static str,
    language: &'static str,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut section, mut is_open) = ("", false);
    for line in README.lines() {
        match (line.strip_prefix("```"), is_open) {
            (Some(language), false) => blocks.push(Block {
                section,
                language,
                text: String::new(),
            }),
            (None, true) => {
                let block = blocks.last_mut().expect("it has been opened");
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, false) if line.starts_with("# ") || line.starts_with("## ") => {
                section = line.trim_start_matches(['#', ' ']);
            }
            _ => {}
        }
        is_open ^= line.starts_with("```");
    }
    blocks
}

fn blocks_of(section: &str, language: &str) -> Vec<Block> {
    let mut blocks = blocks();
    blocks.retain(|block| block.section == section && block.language == language);
    assert!(!blocks.is_empty(), "{section} shows {language}");
    blocks
}

/// The first piece of code in this language that a section shows.
pub fn shown(section: &str, language: &str) -> String {
    blocks_of(section, language).swap_remove(0).text
}

/// A command line, to be run in a shell: with this server in the place of the one that is named, and
/// the programs of this build.
fn shell(script: &str, server: &Server, folder: &Path) -> Command {
    let port = server.address.port();
    let script = script
        .replace("127.0.0.1:8081", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1 8081", &format!("127.0.0.1 {port}"));
    let programs = Path::new(env!("CARGO_BIN_EXE_latch")).parent();
    let programs = programs.expect("a program is in a folder").display();
    let path = std::env::var("PATH").expect("there is a path");
    let mut command = client("bash");
    command
        .args(["-e", "-o", "pipefail", "-c", &script])
        .env("PATH", format!("{programs}:{path}"))
        .env("LATCH_URL", server.url())
        .env("CURL_HOME", folder)
        .current_dir(folder);
    command
}

/// The commands of a console, each with what it is shown to print.
fn conversation(block: &Block) -> Vec<(String, String)> {
    let mut conversation: Vec<(String, String)> = Vec::new();
    for line in block.text.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => conversation.push((command.to_owned(), String::new())),
            None => {
                let (_, shown) = conversation.last_mut().expect("a command comes first");
                shown.push_str(line);
                shown.push('\n');
            }
        }
    }
    conversation
}

/// Ids have no line feed of their own; a terminal shows them as lines all the same.
#[track_caller]
fn converse(block: &Block, before: &str, server: &Server, folder: &Path) {
    for (command, shown) in conversation(block) {
        let printed = succeed(
            &mut shell(&format!("{before}{command}"), server, folder),
            "",
        );
        assert_eq!(printed.trim_end(), shown.trim_end(), "{command}");
    }
}

#[test]
fn the_first_lock_and_what_is_to_be_seen_then() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::start(StoreKind::File);
    for block in blocks_of("latchd", "console") {
        converse(&block, "", &server, folder.path());
    }
    for block in blocks_of("Tasks", "console") {
        converse(&block, "", &server, folder.path());
    }
}

/// What a task needs to be there, by a part of its text.
const PREPARED: [(&str, &[&str]); 3] = [
    // The seventeenth lock is one of 3.
    ("fence=17", &["POST /pool/A/lock"]),
    ("lock/3?owner=job-1'", &["POST /pool/A/lock/3?owner=job-1"]),
    ("make test", &["POST /pool/A/lock"]),
];

#[test]
fn each_task_can_be_done_as_it_is_shown() {
    let folder = TempDir::new().expect("a folder");
    // An answer that is an error fails the task.
    fs::write(folder.path().join(".curlrc"), "fail\n").expect("a file");
    fs::write(folder.path().join("Makefile"), "test:\n\t@true\n").expect("a file");
    for section in ["Words", "Tasks"] {
        for block in blocks_of(section, "sh") {
            let server = Server::start(StoreKind::Memory);
            let mut client = server.connect();
            client.ask(r#"POST /pool {"A":["1","2","3","4"]}"#);
            for _ in 0..15 {
                client.ask("POST /pool/A/lock/1");
                client.ask("DELETE /pool/A/lock/1");
            }
            for (part, requests) in PREPARED {
                if block.text.contains(part) {
                    requests
                        .iter()
                        .for_each(|request| drop(client.ask(request)));
                }
            }
            succeed(&mut shell(&block.text, &server, folder.path()), "");
        }
    }
}

#[test]
fn latch_runs_a_command_as_it_is_shown() {
    let folder = TempDir::new().expect("a folder");
    let server = Server::start(StoreKind::Memory);
    let block = &blocks_of("The latch command", "console")[0];
    let conversation = conversation(block);
    let [(seed, seeded), (hold, held), (list, listed)] = &conversation[..] else {
        panic!("three commands: {conversation:?}");
    };
    let run = |line: &str| succeed(&mut shell(line, &server, folder.path()), "");
    assert_eq!(&run(seed), seeded);

    let hold = hold
        .strip_suffix(" &")
        .expect("it goes on in the background");
    let mut command = shell(&format!("exec {hold}"), &server, folder.path());
    let mut holder = command.stdout(Stdio::piped()).spawn().expect("bash");
    let mut line = String::new();
    let stdout = holder.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert_eq!(&line, held);

    // Ages and owners differ; the columns do not, up to those.
    let start = |line: &str| line.chars().take(21).collect::<String>();
    let printed = run(list);
    let (printed, listed): (Vec<_>, Vec<_>) = (printed.lines().collect(), listed.lines().collect());
    assert_eq!(printed[0], listed[0]);
    assert_eq!(start(printed[1]), start(listed[1]));
    assert_eq!(printed.len(), listed.len());
    signal(holder.id(), "TERM");
    holder.wait().expect("it ends");
}

#[test]
fn keys_are_made_and_shown_as_it_says() {
    let folder = TempDir::new().expect("a folder");
    let make = &blocks_of("Keys", "sh")[0].text;
    let nobody = Server::start(StoreKind::Memory);
    let script = format!("{make}printf '%s\\n' \"$secret\"");
    let made = succeed(&mut shell(&script, &nobody, folder.path()), "");
    let [hash, secret] = made.lines().collect::<Vec<_>>()[..] else {
        panic!("a hash and a secret: {made}");
    };
    let example = &blocks_of("Keys", "")[0].text;
    let keys = folder.path().join("keys");
    let known = "sha256:ed47eeca05df6c446c360f27e22f4f31f4611ac09923500592a44d1a155f15a7";
    assert!(example.contains(known), "the example has a hash");
    fs::write(&keys, example.replace(known, hash)).expect("a file");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).expect("its own");

    let keys = keys.to_str().expect("UTF-8");
    let server = Server::start_with(StoreKind::Memory, &["--keys", keys]);
    let ops = "key=4Yf0cXgW1mH6yqvT3sK9dRb2LzPeJn7u";
    let seed = format!(r#"{ops} POST /pool/build-1 ["1","2","3","4"]"#);
    assert_eq!(server.connect().ask(&seed), r#"200 ["1","2","3","4"]"#);
    let before = format!("secret='{secret}'; ");
    for block in blocks_of("Keys", "console") {
        converse(&block, &before, &server, folder.path());
    }
}

#[test]
fn the_configuration_file_is_a_good_one() {
    let folder = TempDir::new().expect("a folder");
    let keys = folder.path().join("latchd.keys");
    fs::write(&keys, "ops 4Yf0cXgW1mH6yqvT3sK9dRb2LzPeJn7u admin *\n").expect("a file");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).expect("its own");
    fs::write(folder.path().join("pools.json"), r#"{"A":["1"]}"#).expect("a file");
    let example = &blocks_of("Configuration", "js")[0].text;
    let example = example.replace("/etc/latchd.keys", keys.to_str().expect("UTF-8"));
    fs::write(folder.path().join("latchd.json5"), example).expect("a file");
    let mut command = crate::support::latchd();
    command
        .current_dir(folder.path())
        .args(["--config", "latchd.json5", "--check"]);
    let ended = run_command(command);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .contains("max-pools            1000  (latchd.json5)\n"),
        "{}",
        ended.stdout
    );
}

#[test]
fn check_shows_sources_as_it_says() {
    let folder = TempDir::new().expect("a folder");
    let config = folder.path().join("config");
    fs::create_dir(&config).expect("a folder in it");
    let mapping = "{redis: {url: 'REDIS_URL'}}";
    fs::write(config.join("custom-environment-variables.json5"), mapping).expect("a file");
    let script = "ulimit -n 1024; exec \"$0\" --check --config config --max-connections 5000";
    let mut command = client("bash");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_latchd")])
        .env("LATCHD_MAX_BODY", "4096")
        .env("REDIS_URL", "redis://:secret@10.0.0.5/1")
        .current_dir(folder.path());
    let printed = succeed(&mut command, "");
    let shown = &blocks_of("Configuration", "text")[0].text;
    for line in shown.lines() {
        assert!(
            printed.contains(&format!("{line}\n")),
            "{line} in {printed}"
        );
    }
}

#[test]
fn nothing_is_shown_that_is_not_run() {
    let run_here = [
        ("Configuration", "text"),
        ("latchd", "console"),
        ("Words", "sh"),
        ("Tasks", "sh"),
        ("Tasks", "console"),
        ("The latch command", "console"),
        ("Keys", "sh"),
        ("Keys", "console"),
        ("Configuration", "js"),
        // By tests/conformance/dump.rs, to the byte.
        ("Stores", "text"),
        // By tests/proxies.rs.
        ("Behind a proxy", "nginx"),
        ("Behind a proxy", "haproxy"),
        // For Prometheus, which is not here.
        ("Monitoring", "yaml"),
    ];
    for block in blocks() {
        let first = block.text.lines().next().expect("a block has lines");
        let elsewhere = |(line, _): &(&str, &str)| first.starts_with(line);
        assert!(
            run_here.contains(&(block.section, block.language)) || ELSEWHERE.iter().any(elsewhere),
            "nothing runs this of {}: {first}",
            block.section
        );
    }
    for (line, _) in ELSEWHERE {
        assert!(README.contains(line), "no longer shown: {line}");
    }
}
