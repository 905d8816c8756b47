//! Every mistake in a configuration is found before anything is opened, with exit code 2 and a message
//! that names the mistake and its place.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::configuration::{check_text, folder, write};
use crate::support::launch::latchd_in;
use crate::support::{Ended, run, run_command};

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_source() {
    for (text, words) in [
        ("{sever: {port: 1}}", "sever"),
        ("{server: {prot: 1}}", "prot"),
        ("{store: {uri: 'memory:'}}", "uri"),
        ("{redis: {prefx: 'x'}}", "prefx"),
        ("{redis: {prefix: 'a b'}}", "redis.prefix"),
        ("{redis: {timeout: 0}}", "redis.timeout"),
        (
            "{redis: {timeout: '2'}}",
            "redis.timeout 2: wanted a number",
        ),
        ("{redis: {url: 'file:x'}}", "redis.url"),
        (
            "{redis: {url: 'redis://h'}, store: {url: 'memory:'}}",
            "either this or store.url",
        ),
        (
            "{redis: {purgeOnLoad: true}, store: {purgeOnStart: true}}",
            "either this or store.purgeOnStart",
        ),
        (
            "{server: {reusePort: 1}}",
            "server.reusePort 1: wanted true",
        ),
        ("{logging: {levle: 'warn'}}", "levle"),
        ("{server: {port: 70000}}", "70000"),
        ("{server: {port: 'x'}}", "server.port x: wanted 0 to 65535"),
        ("{server: {cluster: 2}}", "server.cluster 2: wanted true"),
        ("{server: {name: 'a\\nb'}}", "server.name"),
        ("{server: {name: 1}}", "server.name 1: wanted a text"),
        ("{logging: {level: 9}}", "logging.level 9: wanted off"),
        ("{logging: {level: 61}}", "logging.level 61: wanted off"),
        ("{logging: {level: 30.5}}", "logging.level"),
        ("{logging: {level: true}}", "logging.level true: wanted"),
        ("{server: {host: '::1'}}", "host needs a port"),
        (
            "{server: {port: 1, listen: ['127.0.0.1:1']}}",
            "either listen, or port",
        ),
        ("{server: {listen: ['nonsense']}}", "nonsense"),
        ("{server: {adminListen: ['nonsense']}}", "nonsense"),
        ("{server: {metricsPools: 10001}}", "server.metricsPools"),
        ("{server: {maxBody: 0}}", "server.maxBody"),
        ("{server: {maxConnections: 0}}", "server.maxConnections"),
        ("{server: {headerTimeout: 0}}", "server.headerTimeout"),
        ("{server: {idleTimeout: 0}}", "server.idleTimeout"),
        ("{limits: {maxPerAddress: 0}}", "limits.maxPerAddress 0"),
        ("{limits: {maxBacklog: -1}}", "limits.maxBacklog -1: wanted"),
        ("{limits: {perAddress: 1}}", "perAddress"),
        ("{server: {cors: 'x'}}", "server.cors"),
        ("{lending: {ttl: 60}}", "ttl"),
        ("{lending: {defaultTtl: 0}}", "lending.defaultTtl"),
        ("{lending: {defaultTtl: 31536001}}", "lending.defaultTtl"),
        ("{lending: {defaultTtl: 'none'}}", "lending.defaultTtl none"),
        ("{lending: {maxWait: 0}}", "lending.maxWait"),
        ("{lending: {maxWaiters: -1}}", "lending.maxWaiters -1"),
        (
            "{lending: {queueGrace: 1.5}}",
            "lending.queueGrace: wanted a whole",
        ),
        ("{store: {url: 'ftp://x'}}", "ftp://x"),
        ("{store: {sync: 'sometimes'}}", "store.sync"),
        ("{store: {seed: 'missing.json'}}", "missing.json"),
        ("{logging: {level: 'loud'}}", "logging.level"),
        ("{server: {keys: ''}}", "wanted a path"),
        ("{server: {listen: '127.0.0.1:1'}}", "wanted a list"),
        ("{server: {listen: [1]}}", "line 1 column"),
        (
            "{server: {maxBody: {}}}",
            "wanted a value instead of an object at line 1",
        ),
        ("{server: {maxBody: [[]]}}", "line 1 column"),
        (
            "{server: {maxBody: 1, maxBody: 2}}",
            "maxBody is given twice",
        ),
        ("{server: {}, server: {}}", "server is given twice"),
        ("{server: 1}", "line 1 column"),
        ("{server: null}", "line 1 column"),
        ("{'server.maxBody': {}}", "server.maxBody"),
        (
            "{sever: {}}",
            "wanted one of lending, limits, logging, redis",
        ),
        ("{} {}", "line 1 column"),
        ("{server: ", "config.json5"),
        ("[]", "config.json5"),
        ("", "config.json5"),
    ] {
        let ended = check_text(text);
        assert_misconfigured(&ended, words, text);
    }
}

#[test]
fn a_wrong_flag_or_value_is_named() {
    for (arguments, words) in [
        (&["--unknown"][..], "--unknown"),
        (&["stray"], "stray"),
        (&["--listen"], "--listen"),
        (&["--listen", "nonsense"], "nonsense"),
        (&["--listen", "127.0.0.1"], "127.0.0.1"),
        (&["--listen", "127.0.0.1:99999"], "127.0.0.1:99999"),
        (&["--admin-listen", "nonsense"], "--admin-listen nonsense"),
        (&["--metrics-pools", "10001"], "10001"),
        (&["--max-connections", "0"], "--max-connections"),
        (&["--max-connections", "-1"], "-1"),
        (&["--max-body", "0"], "--max-body"),
        (&["--max-body", "1M"], "1M"),
        (&["--max-body", "99999999999"], "99999999999"),
        (&["--header-timeout", "0"], "--header-timeout"),
        (&["--idle-timeout", "1.5"], "1.5"),
        (&["--max-per-address", "0"], "--max-per-address"),
        (&["--min-body-rate", "0"], "--min-body-rate"),
        (&["--body-grace", "1.5"], "1.5"),
        (&["--default-ttl", "0"], "--default-ttl"),
        (&["--default-ttl", "31536001"], "31536001"),
        (&["--default-ttl", "60s"], "60s"),
        (&["--max-wait", "0"], "--max-wait"),
        (&["--max-wait", "1.5"], "1.5"),
        (&["--max-waiters", "-1"], "-1"),
        (&["--queue-grace", "-1"], "-1"),
        (&["--queue-grace", "soon"], "soon"),
        (&["--cors", "example.org"], "example.org"),
        (&["--server-name", "a\r\nX: y"], "--server-name"),
        (&["--server-name", "pôle"], "printable ASCII"),
        (&["--server-name", &"n".repeat(129)], "at most 128"),
        (&["--cors", "http://a\r\nX: y"], "--cors"),
        (
            &["--cors", "https://x.example/path"],
            "https://x.example/path",
        ),
        (&["--cors", "null"], "own or none"),
        (&["--host", "https://locks.example"], "without a port"),
        (&["--host", "locks.example:8081"], "locks.example:8081"),
        (&["--host", "*"], "--host *"),
        (&["--store", "pools.redb"], "pools.redb"),
        (&["--store", "file:"], "file:"),
        (&["--store", "memory:x"], "memory:x"),
        (&["--sync", "sometimes"], "sometimes"),
        (&["--redis-prefix", ""], "1 to 64 printable ASCII"),
        (&["--redis-prefix", "my pools:"], "my pools:"),
        (&["--redis-prefix", "pôle:"], "without spaces"),
        (&["--redis-prefix", &"p".repeat(65)], "1 to 64"),
        (&["--redis-timeout", "0"], "0.01 to 300"),
        (&["--redis-timeout", "-1"], "-1"),
        (&["--redis-timeout", "2000"], "wanted seconds"),
        (&["--redis-timeout", "nan"], "nan"),
        (&["--redis-timeout", "2s"], "2s"),
        (&["--reuse-port=perhaps"], "perhaps"),
        (&["--seed", "missing.json"], "missing.json"),
        (&["--seed", "bad.json"], "bad.json"),
        (&["--seed", "ids.json"], "ids.json"),
        (
            &["--purge-on-start", "--purge-on-start"],
            "--purge-on-start",
        ),
        (&["--purge-on-start=perhaps"], "perhaps"),
        (&["--log-level", "loud"], "10 (trace) to 60 (fatal)"),
        (&["--log-level", "300"], "300"),
        (&["--config", "missing.json5"], "missing.json5"),
    ] {
        let folder = folder();
        write(&folder, "bad.json", r#"{"A":["1""#);
        write(&folder, "ids.json", r#"{"A":[{}]}"#);
        assert_misconfigured(&run(&folder, arguments), words, &arguments.join(" "));
        assert!(
            !folder.path().join("latchd.redb").exists(),
            "nothing is opened before"
        );
    }
}

#[test]
fn a_wrong_value_in_the_environment_is_named() {
    for (variable, value) in [
        ("LATCHD_MAX_BODY", "many"),
        ("LATCHD_LISTEN", "nonsense"),
        ("LATCHD_DEFAULT_TTL", "31536001"),
        ("LATCHD_MAX_WAIT", "long"),
        ("LATCHD_MAX_WAITERS", "all"),
        ("LATCHD_QUEUE_GRACE", "1.5"),
        ("LATCHD_SYNC", "sometimes"),
        ("LATCHD_STORE", "redis://h:0"),
        ("LATCHD_REDIS_PREFIX", "a b"),
        ("LATCHD_REDIS_TIMEOUT", "soon"),
        ("LATCHD_REUSE_PORT", "perhaps"),
        ("LATCHD_PURGE_ON_START", "perhaps"),
    ] {
        let folder = folder();
        let mut command = latchd_in(&folder, &["--check"]);
        command.env(variable, value);
        assert_misconfigured(&run_command(command), value, variable);
    }
}

#[test]
fn a_node_config_that_is_no_text_is_not_passed_over() {
    let folder = folder();
    let mut command = latchd_in(&folder, &["--check"]);
    command.env(
        "NODE_CONFIG",
        OsStr::from_bytes(b"{server: {port: 1}} // \xff"),
    );
    let ended = run_command(command);
    assert_misconfigured(&ended, "NODE_CONFIG", "bytes that are not UTF-8");
}

/// Exit code 2, a message with these words, and no panic.
#[track_caller]
pub fn assert_misconfigured(ended: &Ended, words: &str, given: &str) {
    let Ended { code, stderr, .. } = ended;
    assert_eq!(*code, Some(2), "{given}: {stderr}");
    assert!(stderr.contains(words), "{given}: {words:?} in {stderr:?}");
    assert!(stderr.starts_with("error: "), "{given}: {stderr}");
}
