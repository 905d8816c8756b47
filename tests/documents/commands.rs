//! Every command in the documents runs here, against a real server, or names the test that runs it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Block, blocks_in, blocks_of, documents, read, root};
use crate::support::programs::{client, succeed};
use crate::support::{Server, StoreKind, run_command, signal};

/// A command line for a shell, with this server in the place of the named one, and the programs of this
/// build.
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

/// The commands of a console, each with its shown output.
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
    for (document, section) in [("README.md", "A first lock"), ("docs/guide.md", "Tasks")] {
        for block in blocks_of(document, section, "console") {
            converse(&block, "", &server, folder.path());
        }
    }
}

/// Requests that a task needs first, by a part of its text.
const PREPARED: [(&str, &[&str]); 4] = [
    // The seventeenth lock is one of 3.
    ("fence=17", &["POST /pool/A/lock"]),
    ("lock/3?owner=job-1'", &["POST /pool/A/lock/3?owner=job-1"]),
    ("make test", &["POST /pool/A/lock"]),
    ("lock/4?_method", &["POST /pool/A/lock/4"]),
];

#[test]
fn each_task_can_be_done_as_it_is_shown() {
    let folder = TempDir::new().expect("a folder");
    // An answer that is an error fails the task.
    fs::write(folder.path().join(".curlrc"), "fail\n").expect("a file");
    fs::write(folder.path().join("Makefile"), "test:\n\t@true\n").expect("a file");
    for (document, section) in [
        ("README.md", "A first lock"),
        ("docs/guide.md", "Words"),
        ("docs/guide.md", "Tasks"),
    ] {
        for block in blocks_of(document, section, "sh") {
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
    let block = &blocks_of("docs/latch.md", "The latch command", "console")[0];
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
    let make = &blocks_of("docs/operations.md", "Keys", "sh")[0].text;
    let nobody = Server::start(StoreKind::Memory);
    let script = format!("{make}printf '%s\\n' \"$secret\"");
    let made = succeed(&mut shell(&script, &nobody, folder.path()), "");
    let [hash, secret] = made.lines().collect::<Vec<_>>()[..] else {
        panic!("a hash and a secret: {made}");
    };
    let example = &blocks_of("docs/operations.md", "Keys", "")[0].text;
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
    for block in blocks_of("docs/http-api.md", "Keys", "console") {
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
    let example = &blocks_of("docs/configuration.md", "The configuration file", "js")[0].text;
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
    let shown = &blocks_of("docs/configuration.md", "Check the settings", "text")[0].text;
    for line in shown.lines() {
        assert!(
            printed.contains(&format!("{line}\n")),
            "{line} in {printed}"
        );
    }
}

/// The blocks that the tests above run: document, section, language.
const RUN_HERE: [(&str, &str, &str); 11] = [
    ("README.md", "A first lock", "console"),
    ("README.md", "A first lock", "sh"),
    ("docs/guide.md", "Words", "sh"),
    ("docs/guide.md", "Tasks", "sh"),
    ("docs/guide.md", "Tasks", "console"),
    ("docs/latch.md", "The latch command", "console"),
    ("docs/operations.md", "Keys", "sh"),
    ("docs/operations.md", "Keys", ""),
    ("docs/http-api.md", "Keys", "console"),
    ("docs/configuration.md", "The configuration file", "js"),
    ("docs/configuration.md", "Check the settings", "text"),
];

/// The blocks that another test runs, or that only the machine of a reader can run: the document, how the
/// block starts, and the files that run it or say why not.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("README.md", "cargo install --path .", ".ci/run"),
    (
        "README.md",
        "cargo build --release",
        "packaging/latchd.service",
    ),
    (
        "docs/http-api.md",
        "HTTP/1.1 200 OK",
        "tests/conformance/form.rs",
    ),
    ("docs/operations.md", "latch dump", "tests/latch/dump.rs"),
    (
        "docs/operations.md",
        "{\"latchd\"",
        "tests/conformance/dump.rs",
    ),
    // For Prometheus, which is not here.
    (
        "docs/operations.md",
        "scrape_configs:",
        "tests/metrics/mod.rs",
    ),
    ("docs/operations.md", "groups:", "tests/metrics/mod.rs"),
    ("docs/proxies.md", "upstream latchd", "tests/proxies.rs"),
    ("docs/proxies.md", "defaults", "tests/proxies.rs"),
    (
        "docs/redis.md",
        "ACL SETUSER latchd on",
        "tests/redis/rights.rs",
    ),
    (
        "docs/redis.md",
        "for core in",
        "tests/reuse_port.rs, tests/redis/mod.rs",
    ),
    ("docs/tls.md", "cargo build --release", "tests/tls/mod.rs"),
    ("docs/tls.md", "openssl req", "tests/tls/mod.rs"),
    // SIGHUP is tested; the rest is the system's.
    ("docs/tls.md", "certbot renew", "tests/tls/reload.rs"),
    // The modem of the test says these bytes.
    (
        "docs/recipes/esp8266-at.md",
        ">",
        "tests/recipes/devices.rs",
    ),
    (
        "packaging/README.md",
        "packaging/build-static",
        "tests/static_binary.rs",
    ),
    (
        "packaging/README.md",
        "rustup target add",
        "packaging/build-static",
    ),
    // No engine for images is here.
    (
        "packaging/README.md",
        "docker build",
        "packaging/Dockerfile",
    ),
    ("packaging/README.md", "livenessProbe:", "tests/ping.rs"),
    ("packaging/README.md", "readinessProbe:", "tests/ping.rs"),
    (
        "packaging/README.md",
        "install -m",
        "packaging/latchd.service",
    ),
];

#[test]
fn nothing_is_shown_that_is_not_run() {
    let mut blocks: Vec<Block> = documents()
        .iter()
        .flat_map(|name| blocks_in(name))
        .collect();
    for (document, start, files) in ELSEWHERE {
        let is_it = |block: &Block| block.document == *document && block.text.starts_with(start);
        let before = blocks.len();
        blocks.retain(|block| !is_it(block));
        assert_ne!(blocks.len(), before, "{document} no longer shows {start}");
        for file in files.split(", ") {
            assert!(root().join(file).exists(), "{file}, which runs {start}");
        }
    }
    for (document, section, language) in RUN_HERE {
        blocks_of(document, section, language);
    }
    let is_run = |block: &Block| {
        let place = (&*block.document, &*block.section, &*block.language);
        RUN_HERE.contains(&place) || is_of_development(block) || is_of_servers(block)
    };
    let forgotten: Vec<&Block> = blocks.iter().filter(|block| !is_run(block)).collect();
    assert!(forgotten.is_empty(), "nothing runs these: {forgotten:#?}");
}

/// The lines of a script, with those that a backslash continues as one, and without comments.
fn lines(script: &str) -> Vec<String> {
    let script = script.replace("\\\n", " ");
    let code = |line: &str| {
        line.split(" #")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let lines = script.lines().map(code);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// The command of a line, without the variables in front of it.
fn command_of(line: &str) -> &str {
    let is_variable = |word: &str| {
        word.split('=').next().is_some_and(|name| {
            word.contains('=') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
    };
    let mut rest = line;
    while let Some((word, after)) = rest.split_once(' ')
        && is_variable(word)
    {
        rest = after.trim_start();
    }
    rest
}

/// Whether all commands of a block build or test the project itself, which takes minutes: here only their
/// names are checked.
fn is_of_development(block: &Block) -> bool {
    let programs = [
        "cargo ",
        "tests/run",
        "tests/coverage",
        "fuzz/run",
        ".ci/run",
    ];
    let lines = lines(&block.text);
    let is_shell = ["sh", "console"].contains(&&*block.language);
    is_shell
        && lines
            .iter()
            .all(|line| programs.iter().any(|p| command_of(line).starts_with(p)))
}

/// Whether all that a block shows starts servers, whose settings are checked below.
fn is_of_servers(block: &Block) -> bool {
    block.language == "sh" && lines(&block.text).iter().all(|line| starts_server(line))
}

fn starts_server(line: &str) -> bool {
    line.starts_with("latchd ") && !line.contains("--ping")
}

/// `cargo test --test latchd TOPIC` runs something.
#[test]
fn tests_that_are_shown_by_name_exist() {
    let listed = Command::new(std::env::current_exe().expect("this runs"))
        .arg("--list")
        .output();
    let listed = String::from_utf8(listed.expect("it can be run").stdout).expect("UTF-8");
    let tests: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .collect();
    assert!(tests.len() > 500, "the tests are found: {}", tests.len());
    let mut count = 0;
    for name in documents().iter().filter(|name| *name != "CHANGELOG.md") {
        for part in read(name).split("cargo test ").skip(1) {
            let end = part.find(['`', '\n', '#', ';']).unwrap_or(part.len());
            let words: Vec<&str> = part[..end].split_whitespace().collect();
            if !words.contains(&"latchd") || words.contains(&"--skip") {
                continue;
            }
            let options = ["--test", "latchd", "--features", "tls", "--", "--release"];
            for filter in words.iter().filter(|word| !options.contains(word)) {
                let is_kind = filter.chars().all(|c| c.is_ascii_uppercase());
                let exists = filter.starts_with("--") || tests.iter().any(|t| t.contains(filter));
                assert!(is_kind || exists, "{name}: no test is called {filter}");
                count += 1;
            }
        }
    }
    assert!(count > 0, "filters are found");
}

/// Each line that starts the server has settings that there are.
#[test]
fn servers_that_are_shown_can_be_started() {
    let folder = TempDir::new().expect("a folder");
    let keys = folder.path().join("latchd.keys");
    fs::write(&keys, "ops 4Yf0cXgW1mH6yqvT3sK9dRb2LzPeJn7u admin *\n").expect("a file");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).expect("its own");
    let mut count = 0;
    for block in documents().iter().flat_map(|name| blocks_in(name)) {
        for line in lines(&block.text) {
            // A build without TLS refuses its settings.
            if block.language != "sh" || !starts_server(&line) || line.contains("--tls-") {
                continue;
            }
            let here = folder.path().to_str().expect("UTF-8");
            let script = format!("{line} --check").replace("/etc/", &format!("{here}/"));
            let mut command = client("bash");
            let latchd = Path::new(env!("CARGO_BIN_EXE_latchd"))
                .parent()
                .expect("a folder");
            let path = std::env::var("PATH").expect("there is a path");
            command
                .args(["-e", "-c", &script])
                .env("PATH", format!("{}:{path}", latchd.display()))
                .current_dir(&folder);
            succeed(&mut command, "");
            count += 1;
        }
    }
    assert!(count > 1, "some are shown: {count}");
}
