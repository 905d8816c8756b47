//! The settings of the Node original, as its users have them: `NODE_CONFIG`, a folder of files, and
//! variables of the environment that one of them names. And variables that only look like settings.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::configuration::{source_of, value_of, write};
use crate::mistakes::assert_misconfigured;
use crate::support::launch::{eventually, free_port, latchd_in, start};
use crate::support::redis::RedisServer;
use crate::support::{Client, Ended, Process, run_command};

/// A folder with these files of configuration in its folder `config`.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::create_dir(folder.path().join("config")).expect("a folder in it");
    for (name, text) in files {
        write(&folder, &format!("config/{name}"), text);
    }
    folder
}

/// Runs `--check` with these variables.
#[track_caller]
fn check(folder: &TempDir, variables: &[(&str, &str)]) -> Ended {
    let mut command = latchd_in(folder, &["--check"]);
    command.envs(variables.iter().copied());
    run_command(command)
}

#[track_caller]
fn checked(folder: &TempDir, variables: &[(&str, &str)]) -> String {
    let ended = check(folder, variables);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{variables:?}");
    ended.stdout
}

fn warnings(shown: &str) -> Vec<&str> {
    let warnings = shown
        .lines()
        .filter_map(|line| line.strip_prefix("warning"));
    warnings.map(str::trim_start).collect()
}

#[test]
fn the_published_configuration_starts() {
    let folder = folder(&[]);
    let redis = RedisServer::start();
    let text = serde_json::json!({
        "server": {"name": "pools", "port": free_port(), "cluster": false},
        "redis": {"url": redis.url(), "prefix": "pool-ci:", "purgeOnLoad": true},
        "logging": {"dir": "logs", "level": "warn"}
    });
    let port = text["server"]["port"].as_u64().expect("a port") as u16;
    let mut command = latchd_in(&folder, &[]);
    command.env("NODE_CONFIG", text.to_string());
    let _process = Process::spawn(command);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("it serves", || std::net::TcpStream::connect(address).ok());
    let mut client = Client::connect(address);
    assert_eq!(client.ask(r#"POST /pool/A ["1"]"#), r#"200 ["1"]"#);
    client.send("POST /pool/A/lock HTTP/1.1\r\n\r\n");
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nServer: pools\r\n\r\n1");
    let keys = redis.contents("pool-ci:");
    assert!(!keys.is_empty(), "the pools are under its prefix");
    assert!(folder.path().join("logs/latchd.log").exists());
}

#[test]
fn a_cluster_is_one_process_and_one_line_says_so() {
    let folder = folder(&[]);
    for (is_on, lines) in [(true, 1), (false, 0)] {
        let text = format!(r#"{{"server":{{"cluster":{is_on},"port":0,"host":"127.0.0.1"}}}}"#);
        let mut command = latchd_in(&folder, &["--store", "memory:"]);
        command.env("NODE_CONFIG", text);
        let mut process = Process::spawn(command);
        let mut said = Vec::new();
        process.next_lines(&mut said, |line| line.contains("listening on "));
        said.retain(|line| line.contains("server.cluster"));
        assert_eq!(said.len(), lines, "{said:?}");
        assert!(said.iter().all(|line| line.contains("--reuse-port")));
    }
}

#[test]
fn levels_have_the_names_and_numbers_of_the_originals_logger() {
    let folder = folder(&[]);
    for (given, level) in [
        ("trace", "trace"),
        ("debug", "debug"),
        ("info", "info"),
        ("warn", "warn"),
        ("error", "error"),
        ("fatal", "error"),
        ("FATAL", "error"),
        ("off", "off"),
        ("10", "trace"),
        ("20", "debug"),
        ("30", "info"),
        ("35", "warn"),
        ("40", "warn"),
        ("50", "error"),
        ("60", "error"),
    ] {
        let as_text = format!(r#"{{"logging":{{"level":"{given}"}}}}"#);
        let mut sources = vec![
            ("LATCHD_LOG_LEVEL", given.to_owned()),
            ("NODE_CONFIG", as_text),
        ];
        if given.parse::<u8>().is_ok() {
            let as_number = format!(r#"{{"logging":{{"level":{given}}}}}"#);
            sources.push(("NODE_CONFIG", as_number));
        }
        for (name, text) in sources {
            let shown = checked(&folder, &[(name, &text)]);
            assert_eq!(value_of(&shown, "log-level"), level, "{name}={text}");
        }
    }
}

#[test]
fn console_is_standard_error() {
    let folder = folder(&[]);
    let text = r#"{"logging":{"dir":"CONSOLE"}}"#;
    let mut command = latchd_in(&folder, &["--store", "memory:", "--listen", "127.0.0.1:0"]);
    command.env("NODE_CONFIG", text);
    let (_process, _) = start(command);
    assert!(!folder.path().join("CONSOLE").exists());
    // It overrides another source.
    let variables = [("NODE_CONFIG", text), ("LATCHD_LOG_DIR", "logs")];
    assert_eq!(value_of(&checked(&folder, &variables), "log-dir"), "logs");
}

/// All sources that a folder adds, from the weakest to the strongest, and their settings.
#[test]
fn a_later_file_of_the_folder_counts() {
    let named = ["default", "ci", "local", "local-ci"];
    let names: Vec<String> = named
        .iter()
        .flat_map(|name| [format!("{name}.json"), format!("{name}.json5")])
        .chain(["custom-environment-variables.json5".to_owned()])
        .collect();
    for strongest in 0..=names.len() {
        let texts: Vec<String> = (1..=names.len())
            .map(|number| match number == names.len() {
                true => "{server: {maxBody: 'BODY'}}".to_owned(),
                false => format!("{{\"server\": {{\"maxBody\": {number}}}}}"),
            })
            .collect();
        let files = names
            .iter()
            .zip(&texts)
            .map(|(name, text)| (&**name, &**text));
        let mut files: Vec<(&str, &str)> = files.take(strongest).collect();
        files.push(("development.json5", "{server: {maxBody: 1000}}"));
        files.push(("production.json", "not read"));
        files.insert(0, ("default.json", "{}"));
        let folder = folder(&files);
        let shown = checked(
            &folder,
            &[
                ("NODE_CONFIG_DIR", "config"),
                ("NODE_ENV", "ci"),
                ("BODY", "77"),
            ],
        );
        let (value, source) = match strongest {
            0 => ("1048576 bytes".to_owned(), "default".to_owned()),
            9 => (
                "77 bytes".to_owned(),
                "BODY of config/custom-environment-variables.json5".to_owned(),
            ),
            number => (
                format!("{number} bytes"),
                format!("config/{}", names[number - 1]),
            ),
        };
        assert_eq!(value_of(&shown, "max-body"), value);
        assert_eq!(source_of(&shown, "max-body"), source);
    }
}

#[test]
fn node_config_environment_and_flags_come_over_the_folder() {
    let folder = folder(&[
        ("local.json5", "{server: {maxBody: 1}}"),
        (
            "custom-environment-variables.json5",
            "{server: {maxBody: 'BODY'}}",
        ),
    ]);
    let node_config = ("NODE_CONFIG", "{server: {maxBody: 3}}");
    let folder_and_body = [("NODE_CONFIG_DIR", "config"), ("BODY", "2")];
    let all = [&folder_and_body[..], &[node_config]].concat();
    let shown = checked(&folder, &all);
    assert_eq!(value_of(&shown, "max-body"), "3 bytes");
    let shown = checked(&folder, &[&all[..], &[("LATCHD_MAX_BODY", "4")]].concat());
    assert_eq!(value_of(&shown, "max-body"), "4 bytes");
}

#[test]
fn the_folder_is_named_by_a_flag_or_a_variable() {
    let folder = folder(&[
        ("default.json5", "{server: {maxBody: 1}}"),
        ("development.json5", "{server: {maxBody: 2}}"),
        ("ci.json5", "{server: {maxBody: 3}}"),
        ("blue.json5", "{server: {maxBody: 4}}"),
    ]);
    write(&folder, "other.json5", "{server: {maxBody: 5}}");
    for (variables, body) in [
        (&[("NODE_CONFIG_DIR", "config")][..], "2 bytes"),
        (&[("NODE_CONFIG_DIR", "./config/")], "2 bytes"),
        (&[("LATCHD_CONFIG", "config")], "2 bytes"),
        (&[("LATCHD_CONFIG", "config"), ("NODE_ENV", "")], "2 bytes"),
        (
            &[("LATCHD_CONFIG", "config"), ("NODE_ENV", "ci")],
            "3 bytes",
        ),
        (
            &[("LATCHD_CONFIG", "config"), ("NODE_ENV", "ci,blue")],
            "4 bytes",
        ),
        (
            &[
                ("LATCHD_CONFIG", "config"),
                ("NODE_ENV", "ci"),
                ("NODE_CONFIG_ENV", "blue"),
            ],
            "4 bytes",
        ),
        // No file is named after it.
        (
            &[("LATCHD_CONFIG", "config"), ("NODE_ENV", "qa")],
            "1 bytes",
        ),
        // latchd's own name for it comes first.
        (
            &[
                ("LATCHD_CONFIG", "other.json5"),
                ("NODE_CONFIG_DIR", "config"),
            ],
            "5 bytes",
        ),
    ] {
        let shown = checked(&folder, variables);
        assert_eq!(value_of(&shown, "max-body"), body, "{variables:?}");
        assert_eq!(warnings(&shown), [""; 0]);
    }
    let mut command = latchd_in(&folder, &["--check", "--config", "config"]);
    command.env("NODE_CONFIG_DIR", "missing");
    assert_eq!(
        value_of(&run_command(command).stdout, "max-body"),
        "2 bytes"
    );
}

#[test]
fn a_folder_that_nothing_names_is_told_of_in_one_line() {
    for file in ["default.json5", "default.json"] {
        let folder = folder(&[(file, "{server: {maxBody: 1}}")]);
        let mut command = latchd_in(&folder, &["--store", "memory:", "--listen", "127.0.0.1:0"]);
        command.env("NODE_CONFIG", "{}");
        let mut process = Process::spawn(command);
        let mut said = Vec::new();
        process.next_lines(&mut said, |line| line.contains("listening on "));
        said.retain(|line| line.contains(&format!("./config/{file} is not read")));
        assert_eq!(said.len(), 1, "{said:?}");
        let shown = checked(&folder, &[]);
        assert_eq!(value_of(&shown, "max-body"), "1048576 bytes");
        assert_eq!(warnings(&shown).len(), 1, "{shown}");
    }
}

#[test]
fn variables_of_the_environment_stand_for_values_of_every_kind() {
    let mapping = r#"{
        server: {port: "APP_PORT", host: "APP_HOST", cluster: "APP_CLUSTER", name: "APP_NAME",
                 maxConnections: {__name: "APP_CONNECTIONS", __format: "json"},
                 adminListen: {__name: "APP_ADMIN", __format: "json"}},
        redis: {url: "REDIS_URL", purgeOnLoad: {__name: "APP_PURGE", __format: "boolean"}},
        logging: {level: "APP_LEVEL", dir: "APP_DIR"},
        lending: {maxWait: "APP_EMPTY", queueGrace: "APP_MISSING"},
    }"#;
    let folder = folder(&[
        (
            "default.json",
            r#"{"server": {"port": 1, "name": "x"}, "lending": {"maxWait": 9}}"#,
        ),
        ("custom-environment-variables.json", mapping),
    ]);
    let variables = [
        ("NODE_CONFIG_DIR", "config"),
        ("APP_PORT", "31678"),
        ("APP_HOST", "127.0.0.1"),
        ("APP_CLUSTER", "true"),
        ("APP_NAME", "pools"),
        ("APP_CONNECTIONS", "7"),
        ("APP_ADMIN", r#"["127.0.0.1:1","127.0.0.1:2"]"#),
        ("REDIS_URL", "redis://:secret@h"),
        ("APP_PURGE", "true"),
        ("APP_LEVEL", "40"),
        ("APP_DIR", "CONSOLE"),
        ("APP_EMPTY", ""),
    ];
    let shown = checked(&folder, &variables);
    let by = |name: &str| format!("{name} of config/custom-environment-variables.json");
    for (flag, value, source) in [
        ("listen", "127.0.0.1:31678", &*by("APP_HOST")),
        ("server-name", "pools", &by("APP_NAME")),
        ("max-connections", "7", &by("APP_CONNECTIONS")),
        ("admin-listen", "127.0.0.1:1, 127.0.0.1:2", &by("APP_ADMIN")),
        ("store", "redis://:***@h:6379/0", &by("REDIS_URL")),
        ("purge-on-start", "yes", &by("APP_PURGE")),
        ("log-level", "warn", &by("APP_LEVEL")),
        ("log-dir", "CONSOLE", &by("APP_DIR")),
        ("max-wait", "9 s", "config/default.json"),
        ("queue-grace", "10 s", "default"),
    ] {
        assert_eq!(value_of(&shown, flag), value);
        assert!(
            source_of(&shown, flag).starts_with(source),
            "{flag} {shown}"
        );
    }
    assert!(!shown.contains("secret"), "{shown}");
    assert_eq!(warnings(&shown).len(), 1, "of the cluster alone: {shown}");
}

#[test]
fn port_and_host_may_come_from_different_files() {
    for (default, local, listen, source) in [
        (
            "{server: {host: '127.0.0.1', port: 1}}",
            "{server: {port: 2}}",
            "127.0.0.1:2",
            "config/default.json5 and config/local.json5",
        ),
        (
            "{server: {port: 1}}",
            "{server: {host: '::1'}}",
            "[::1]:1",
            "config/local.json5 and config/default.json5",
        ),
        (
            "{server: {port: 1}}",
            "{server: {listen: ['127.0.0.1:3']}}",
            "127.0.0.1:3",
            "config/local.json5",
        ),
        (
            "{server: {listen: ['127.0.0.1:3']}}",
            "{server: {port: '1'}}",
            "0.0.0.0:1",
            "config/local.json5",
        ),
        (
            "{redis: {url: 'redis://h'}, server: {port: 1}}",
            "{store: {url: 'memory:'}}",
            "0.0.0.0:1",
            "config/default.json5",
        ),
    ] {
        let folder = folder(&[("default.json5", default), ("local.json5", local)]);
        let shown = checked(&folder, &[("NODE_CONFIG_DIR", "config")]);
        assert_eq!(value_of(&shown, "listen"), listen);
        assert_eq!(source_of(&shown, "listen"), source);
    }
}

#[test]
fn a_folder_with_a_mistake_is_refused() {
    for (file, text, words) in [
        (
            "README",
            "",
            "config: there is no configuration in it; wanted default.json5",
        ),
        (
            "default.yaml",
            "a: 1",
            "config/default.yaml: wanted JSON5, in default.json5",
        ),
        ("local.js", "", "config/local.js: wanted JSON5"),
        (
            "default.json5",
            "{server: {prot: 1}}",
            "config/default.json5: there is no server.prot",
        ),
        (
            "local.json",
            "{server: {maxBody: 0}}",
            "config/local.json: server.maxBody 0: wanted",
        ),
        (
            "local.json5",
            "{server: {host: 'h'}}",
            "config/local.json5: server.host h: a host needs",
        ),
        (
            "custom-environment-variables.json5",
            "{server: {prot: 'P'}}",
            "no server.prot",
        ),
        (
            "custom-environment-variables.json5",
            "{server: {port: 1}}",
            "the name of a variable",
        ),
        (
            "custom-environment-variables.json5",
            "{server: {port: 'APP_PORT'}}",
            "APP_PORT of config/custom-environment-variables.json5: server.port many: wanted 0 to",
        ),
        (
            "custom-environment-variables.json5",
            "{redis: {url: 'APP_URL'}}",
            "redis.url redis://:***@h:0: ",
        ),
        (
            "custom-environment-variables.json5",
            "{server: {port: {__format: 'json'}}}",
            "__name is missing",
        ),
        (
            "custom-environment-variables.json5",
            "{server: {port: {__name: 'APP_PORT', __format: 'yaml'}}}",
            "wanted __format json",
        ),
    ] {
        let folder = folder(&[(file, text)]);
        let variables = [
            ("NODE_CONFIG_DIR", "config"),
            ("APP_PORT", "many"),
            ("APP_URL", "redis://:secret@h:0"),
        ];
        assert_misconfigured(&check(&folder, &variables), words, text);
    }
    let ended = check(&folder(&[]), &[("NODE_CONFIG_DIR", "missing")]);
    assert_misconfigured(&ended, "NODE_CONFIG_DIR missing: ", "no such folder");
}

#[test]
fn an_unknown_variable_is_named_once_with_the_nearest() {
    let folder = folder(&[]);
    for (name, nearest) in [
        ("LATCHD_MAX_BODDY", "LATCHD_MAX_BODY"),
        ("LATCHD_LISTENS", "LATCHD_LISTEN"),
        ("LATCHD_STOR", "LATCHD_STORE"),
        ("LATCHD_MAXWAIT", "LATCHD_MAX_WAIT"),
        ("LATCHD_CONFG", "LATCHD_CONFIG"),
        ("LATCHD_PORT", "LATCHD_LISTEN"),
        ("LATCHD_REDIS_URL", "LATCHD_STORE"),
        ("LATCHD_max_body", "LATCHD_MAX_BODY"),
    ] {
        let shown = checked(
            &folder,
            &[(name, "secret"), ("LATCH_URL", "x"), ("LATCHDX", "x")],
        );
        let warning =
            format!("there is no variable {name}, so it sets nothing; the nearest is {nearest}");
        assert_eq!(warnings(&shown), [warning]);
        assert!(!shown.contains("secret"));
    }
    let mut command = latchd_in(&folder, &["--store", "memory:", "--listen", "127.0.0.1:0"]);
    command.env("LATCHD_MAX_BODDY", "1");
    let mut process = Process::spawn(command);
    let mut said = Vec::new();
    process.next_lines(&mut said, |line| line.contains("listening on "));
    said.retain(|line| line.contains("LATCHD_MAX_BODDY"));
    assert_eq!(said.len(), 1, "{said:?}");
}

/// Kubernetes sets them in every pod for a service called latchd, with one called latchd-admin beside
/// it.
#[test]
fn variables_of_a_kubernetes_service_are_neither_settings_nor_mistakes() {
    let shown = checked(
        &folder(&[]),
        &[
            ("LATCHD_SERVICE_HOST", "10.0.0.7"),
            ("LATCHD_SERVICE_PORT", "8081"),
            ("LATCHD_SERVICE_PORT_HTTP", "8081"),
            ("LATCHD_PORT", "tcp://10.0.0.7:8081"),
            ("LATCHD_PORT_8081_TCP", "tcp://10.0.0.7:8081"),
            ("LATCHD_PORT_8081_TCP_PROTO", "tcp"),
            ("LATCHD_PORT_8081_TCP_PORT", "8081"),
            ("LATCHD_PORT_8081_TCP_ADDR", "10.0.0.7"),
            ("LATCHD_ADMIN_SERVICE_HOST", "10.0.0.8"),
            ("LATCHD_ADMIN_PORT", "tcp://10.0.0.8:9081"),
            ("LATCHD_ADMIN_PORT_9081_TCP_ADDR", "10.0.0.8"),
            ("LATCHD_REUSE_PORT", "tcp://10.0.0.9:1"),
        ],
    );
    assert_eq!(warnings(&shown), [""; 0]);
    assert_eq!(shown, checked(&folder(&[]), &[]));
}

/// A health check is of one address, and says nothing of the server's variables.
#[test]
fn a_health_check_warns_of_nothing() {
    let folder = folder(&[]);
    let mut command = latchd_in(&folder, &["--ping", "127.0.0.1:1"]);
    command.env("LATCHD_MAX_BODDY", "1");
    let ended = run_command(command);
    assert!(
        !ended.stderr.contains("LATCHD_MAX_BODDY"),
        "{}",
        ended.stderr
    );
}
