//! The configuration: flags before environment before NODE_CONFIG before the file of `--config`,
//! each of them complete; and the output of `--check`, `--help` and `--version`.

mod settings;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use self::settings::{SETTINGS, Setting};
use crate::support::launch::{addresses_in, latchd_in, start};
use crate::support::{Client, Ended, Process, run, run_command};

#[test]
fn flags_come_before_environment_before_node_config_before_the_file() {
    let folder = folder();
    for setting in &SETTINGS {
        let Setting {
            flag,
            key,
            values,
            shown,
        } = setting;
        let (section, name) = key.split_once('.').expect("a key is in a section");
        let json = |value: &str| format!("{{\"{section}\": {{\"{name}\": {value}}}}}");
        write(&folder, "config.json5", &json(values[3]));
        // Each source is left away in turn, and the next one counts.
        for (from, shown) in shown.iter().enumerate() {
            let mut command = latchd_in(&folder, &["--check"]);
            if from <= 3 {
                command.args(["--config", "config.json5"]);
            }
            if from <= 2 {
                command.env("NODE_CONFIG", json(values[2]));
            }
            if from <= 1 {
                command.env(variable_of(flag), values[1]);
            }
            if from == 0 {
                command.arg(format!("--{flag}={}", values[0]));
            }
            let ended = run_command(command);
            assert_eq!(
                ended.code,
                Some(0),
                "{flag} from source {from}: {}",
                ended.stderr
            );
            assert_eq!(ended.stderr, "");
            let line = line_of(&ended.stdout, flag);
            assert!(line.contains(shown), "{flag} from source {from}: {line}");
            let variable = variable_of(flag);
            let by_flag = format!("--{flag}");
            let sources = [
                &by_flag,
                &*variable,
                "NODE_CONFIG",
                "config.json5",
                "default",
            ];
            assert_eq!(source_of(&ended.stdout, flag), sources[from], "{line}");
        }
    }
}

/// The line of `--check` that shows a setting.
pub fn line_of<'a>(shown: &'a str, flag: &str) -> &'a str {
    let line = shown
        .lines()
        .find(|line| line.split(' ').next() == Some(flag));
    line.unwrap_or_else(|| panic!("nothing of {flag} in\n{shown}"))
}

/// The value and the source of a setting, from a line of the form `NAME VALUE  (SOURCE: NOTE)`.
fn value_and_source<'a>(shown: &'a str, flag: &str) -> (&'a str, &'a str) {
    let line = line_of(shown, flag);
    let rest = line[flag.len()..].strip_suffix(')');
    let parts = rest.and_then(|rest| rest.split_once("  ("));
    let (value, source) = parts.unwrap_or_else(|| panic!("no source in {line:?}"));
    let (source, _) = source.split_once(": ").unwrap_or((source, ""));
    (value.trim_start(), source)
}

/// The value that `--check` shows of a setting.
#[track_caller]
pub fn value_of<'a>(shown: &'a str, flag: &str) -> &'a str {
    value_and_source(shown, flag).0
}

/// The source that `--check` names for a setting.
#[track_caller]
pub fn source_of<'a>(shown: &'a str, flag: &str) -> &'a str {
    value_and_source(shown, flag).1
}

fn variable_of(flag: &str) -> String {
    format!("LATCHD_{}", flag.to_uppercase().replace('-', "_"))
}

#[test]
fn the_config_file_can_be_named_in_the_environment() {
    let folder = folder();
    write(&folder, "config.json5", "{server: {maxBody: 77}}");
    let mut command = latchd_in(&folder, &["--check"]);
    command.env("LATCHD_CONFIG", "config.json5");
    assert!(run_command(command).stdout.contains("77 bytes"));
}

#[test]
fn the_config_file_is_json5_with_comments() {
    let folder = folder();
    let text = "// latchd\n{\n  /* where */ server: {listen: ['127.0.0.1:0',],},\n  \
                store: {url: 'memory:'}, // and no more\n}\n";
    write(&folder, "config.json5", text);
    let (_process, addresses) = start(latchd_in(&folder, &["--config", "config.json5"]));
    assert_eq!(Client::connect(addresses[0]).ask("GET /ping"), "200 pong");
}

#[test]
fn node_config_with_a_port_serves_on_it() {
    let folder = folder();
    let text = r#"{"server":{"port":0},"logging":{"level":"info"}}"#;
    let mut command = latchd_in(&folder, &["--store", "memory:"]);
    command.env("NODE_CONFIG", text);
    let mut process = Process::spawn(command);
    let warning = process.wait_for_line("without --keys");
    assert!(warning.contains("WARN"), "others can reach it: {warning}");
    let addresses = addresses_in(&process.wait_for_line("listening on"));
    assert_eq!(
        addresses[0].ip().to_string(),
        "0.0.0.0",
        "as the Node original does"
    );
    assert_eq!(
        Client::connect(([127, 0, 0, 1], addresses[0].port()).into()).ask("GET /ping"),
        "200 pong"
    );
}

#[test]
fn port_and_host_make_an_address() {
    for (server, listen) in [
        ("{port: 31678}", "0.0.0.0:31678"),
        ("{port: 31678, host: '127.0.0.1'}", "127.0.0.1:31678"),
        ("{port: 31678, host: '::1'}", "[::1]:31678"),
    ] {
        let ended = check_text(&format!("{{server: {server}}}"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(value_of(&ended.stdout, "listen"), listen);
    }
}

#[test]
fn check_shows_the_configuration_and_opens_nothing() {
    let folder = folder();
    let ended = run(&folder, &["--check", "--log-dir", "logs"]);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    for setting in &SETTINGS {
        line_of(&ended.stdout, setting.flag);
    }
    assert_eq!(
        line_of(&ended.stdout, "queue-grace"),
        "queue-grace          10 s  (default)"
    );
    let ended = run(&folder, &["--check", "--default-ttl=60"]);
    assert_eq!(
        line_of(&ended.stdout, "default-ttl"),
        "default-ttl          60 s  (--default-ttl)"
    );
    assert!(!folder.path().join("latchd.redb").exists());
    assert!(!folder.path().join("logs").exists());
}

/// A thousand descriptors, as some systems have it.
#[test]
fn check_shows_the_numbers_that_the_system_allows() {
    let folder = folder();
    for (arguments, shown) in [
        (
            "",
            [
                "max-connections      960  (default: the descriptor limit less 64)",
                "max-per-address      480  (default: half of the connections, at least 64)",
                "max-waiters          720  (default: 100000 is above three quarters of the connections)",
                "max-pool-waiters     720  (default: 10000 is above max-waiters)",
                "max-address-waiters  360  (default: half of three quarters of the connections, at least 64)",
            ],
        ),
        (
            "--max-connections 5000 --max-waiters 100 --max-per-address 10 --max-address-waiters 7",
            [
                "max-connections      960  (--max-connections: 5000 is above the descriptor limit less 64)",
                "max-per-address      10  (--max-per-address)",
                "max-waiters          100  (--max-waiters)",
                "max-pool-waiters     100  (default: 10000 is above max-waiters)",
                "max-address-waiters  7  (--max-address-waiters)",
            ],
        ),
    ] {
        let mut command = std::process::Command::new("bash");
        let script = format!("ulimit -n 1024; exec \"$0\" --check {arguments}");
        let latchd = env!("CARGO_BIN_EXE_latchd");
        command
            .current_dir(folder.path())
            .args(["-c", &script, latchd]);
        let ended = run_command(command);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
        for line in shown {
            let flag = line.split(' ').next().unwrap_or("");
            assert_eq!(line_of(&ended.stdout, flag), line);
        }
    }
}

#[test]
fn help_mentions_every_flag_and_every_flag_is_tested_here() {
    let ended = run(&folder(), &["--help"]);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let flags = ended
        .stdout
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"));
    let mut mentioned: Vec<&str> = flags
        .filter_map(|rest| rest.split([' ', '[']).next())
        .collect();
    let mut known: Vec<&str> = SETTINGS.iter().map(|setting| setting.flag).collect();
    known.extend(["config", "check", "ping"]);
    // They have tests of their own, tests/tls/settings.rs and tests/tls/ping.rs.
    known.extend(["tls-listen", "tls-cert", "tls-key", "tls-record-size"]);
    known.push("ping-ca");
    // It needs keys: tests/keys/file.rs.
    known.push("require-keys");
    mentioned.sort_unstable();
    known.sort_unstable();
    assert_eq!(mentioned, known);
    for words in [
        "-h, --help",
        "-V, --version",
        "NODE_CONFIG",
        "LATCHD_MAX_BODY",
        "Exit codes",
    ] {
        assert!(ended.stdout.contains(words), "{words} in\n{}", ended.stdout);
    }
    let longest = ended.stdout.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(100), "lines fit a terminal: {longest:?}");
}

#[test]
fn version_names_the_package_and_its_version() {
    for flag in ["--version", "-V"] {
        let ended = run(&folder(), &[flag]);
        let version = concat!("latchd ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!((ended.code, &*ended.stdout), (Some(0), version));
    }
}

/// Checks a configuration file with this text.
#[track_caller]
pub fn check_text(text: &str) -> Ended {
    let folder = folder();
    write(&folder, "config.json5", text);
    run(&folder, &["--check", "--config", "config.json5"])
}

/// A folder with seeds and dumps of one, two and three pools, and files of as many keys.
pub fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    write(&folder, "1.json", r#"{"A":[1]}"#);
    write(&folder, "2.json", r#"{"A":[1],"B":[2]}"#);
    write(&folder, "3.json", r#"{"A":[1],"B":[2],"C":[3]}"#);
    for count in 1..=3 {
        let pool = |number| {
            format!(r#"{{"pool":"{number}","fence":0,"members":[],"free":[],"locks":[]}}"#)
        };
        let first = r#"{"latchd":"0","dump":1}"#.to_owned();
        let last = format!(r#"{{"pools":{count},"members":0,"locks":0,"retired_fence":0}}"#);
        let lines: Vec<String> = [first]
            .into_iter()
            .chain((0..count).map(pool))
            .chain([last])
            .collect();
        write(&folder, &format!("{count}.dump"), &lines.join("\n"));
    }
    let mut keys = String::new();
    for number in 1..=3 {
        keys += &format!("key{number} 0123456789abcdef-{number} read *\n");
        let name = format!("keys{number}");
        write(&folder, &name, &keys);
        let only_mine = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.path().join(name), only_mine).expect("it is ours");
    }
    folder
}

pub fn write(folder: &TempDir, name: &str, text: &str) {
    fs::write(folder.path().join(name), text).expect("a file in the folder");
}
